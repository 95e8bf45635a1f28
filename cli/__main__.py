"""What the shell script ``lab`` hands over to."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# In the place of this very directory: the package is called ``cli``, and ``podlab`` lies in module_utils.
ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT / "module_utils"), str(ROOT)]

from cli import passwords
from cli.develop import test as test_verb
from cli.enter import enter
from cli.failure import Failure
from cli.look import columns, get
from cli.output import complain, say
from cli.run import power
from podlab.embedded import usual_limits
from podlab.printable import printable

NO_VENV = "there is no .venv yet to read the inventory with; ./lab up makes it"


class Parser(argparse.ArgumentParser):
    """Its messages repeat what was typed, and ``--help`` fails where it cannot be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = sys.stderr if file is None else file
        stream.write(printable(message))
        stream.flush()


def main(argv: Sequence[str]) -> int:
    """Run a verb; return its exit code. Wrong arguments end with 2, as argparse has it."""
    _settle()
    verb, *rest = argv
    words, command = _parted(rest)
    usual_limits()
    try:
        return int(VERBS[verb](words, command) or 0)
    except Failure as error:
        complain(str(error))
        return error.code
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("ansible", "yaml", "jinja2"):
            raise
        complain(NO_VENV)
        return 1


def _settle() -> None:
    """Take the terminal, or the pipe, as other programs have left it. Ansible asks for blocking input and output, and a
    table is longer than a pipe; a signal that is blocked would be so in every process that comes after."""
    for stream in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.set_blocking(stream, True)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first ``--``, and the command after it: that one is not ours to read."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def _parser(verb: str, usage: str, description: str, *, inventory: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"lab {verb}",
        usage=f"./lab {verb} {usage}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if inventory:
        parser.add_argument(
            *inventory,
            dest="sources",
            action="append",
            default=[],
            metavar="INVENTORY",
            help="instead of $ANSIBLE_INVENTORY or ansible.cfg's",
        )
        passwords.add_options(parser)
    return parser


INVENTORY = ("-i", "--inventory")


def up(words: list[str], command: list[str]) -> int:
    parser = _parser(
        "up",
        "[--manifests DIR] [OPTION OF ansible-playbook]...",
        "Make .venv, light the embedded lab, run site.yml, verify, and show nodes and pods.\n"
        "Options of ansible-playbook are handed on: -i INVENTORY, -e NAME=VALUE, --check, --limit NODES, -v, ...",
    )
    parser.add_argument("--manifests", metavar="DIR", help="Kubernetes YAML, instead of manifests/")
    known, options = parser.parse_known_args(words)
    return power.up([*options, *command], known.manifests)


def down(words: list[str], command: list[str]) -> int:
    parser = _parser("down", "[-i INVENTORY]", "Take everything away, whatever state it is in.", inventory=INVENTORY)
    return power.down(parser.parse_args([*words, *command]).sources)


def reset(words: list[str], command: list[str]) -> int:
    parser = _parser(
        "reset",
        "HOST [--manifests DIR] [-i INVENTORY] [OPTION OF ansible-playbook]...",
        "Take podlab off a node or gateway and put it on again.\n"
        "What pods have written there is gone then, and addresses stay.",
        inventory=INVENTORY,
    )
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("--manifests", metavar="DIR", help="Kubernetes YAML, instead of manifests/")
    known, options = parser.parse_known_args(words)
    return power.reset(known.host, known.sources, [*options, *command], known.manifests)


def test(words: list[str], command: list[str]) -> int:
    if words[:1] == ["faults"]:
        return test_verb.faults([*words[1:], *command])
    parser = _parser(
        "test",
        "[faults [--count N] [--seed S] | --fast | --vm [--image PATH] [-- OPTION OF pytest...]]",
        "Lint, unit and property tests, every molecule scenario.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fast", action="store_true", help="lint and unit tests alone")
    which.add_argument(
        "--vm", action="store_true", help="on virtual machines instead, over SSH; ends with 77 where there can be none"
    )
    parser.add_argument(
        "--image", metavar="PATH", help="with --vm: machines of this cloud image, instead of Debian 12 and 13"
    )
    known = parser.parse_args(words)
    if known.vm:
        return test_verb.run_on_machines(known.image, command)
    if command or known.image:
        parser.error("--image and options of pytest go with --vm")
    return test_verb.run(fast=known.fast)


def bench_(words: list[str], command: list[str]) -> int:
    parser = _parser(
        "bench",
        "[NAME...] [--repeat N] [--json FILE] [--markdown] | --list | --show FILE [--markdown]",
        "Measure what podlab takes, beside its peers, in labs of their own. Ends with 1 if a figure is over its limit.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="one of --list; all of them, if left out")
    parser.add_argument("--repeat", type=_times, default=3, metavar="N", help="take each figure N times (3)")
    parser.add_argument("--json", default="", metavar="FILE", help="write there what was measured, beside what it has")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page")
    parser.add_argument("--list", action="store_true", help="say which benchmarks there are")
    parser.add_argument("--show", default="", metavar="FILE", help="print the table of an earlier run's JSON")
    known = parser.parse_intermixed_args([*words, *command])
    from cli.develop import bench

    if known.list:
        return bench.listed()
    if known.show:
        return bench.show(known.show, known.names, markdown=known.markdown)
    return bench.run(known.names, known.repeat, known.json, markdown=known.markdown)


def _times(word: str) -> int:
    if int(word) < 1:
        raise argparse.ArgumentTypeError("at least once")
    return int(word)


def get_(words: list[str], command: list[str]) -> None:
    parser = _parser(
        "get",
        "KIND[,KIND]... [NAME...] | KIND/NAME... [-n NS | -A] [-o FORM] [-l SELECTOR]",
        "Show the cluster in kubectl's columns.\n\n" + _kinds(),
        inventory=INVENTORY,
    )
    parser.add_argument("words", metavar="KIND", nargs="+", help="one of those above, several with commas, or all")
    _namespace(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", choices=("wide", "json", "yaml", "name"), default="")
    _selector(parser)
    parser.add_argument("--show-labels", action="store_true", help="with a last column of all labels")
    parser.add_argument("--no-headers", action="store_true")
    known = parser.parse_intermixed_args([*words, *command])
    get.get(
        known.words,
        namespace=known.namespace,
        selector=known.selector,
        form=get.Form(known.output, known.all_namespaces, not known.no_headers, known.show_labels),
        sources=known.sources,
    )


def _kinds() -> str:
    short = {plural: word for word, plural in columns.SHORT.items()}
    lines = [f"  {plural:13} {short.get(plural, '')}".rstrip() for plural in columns.KINDS]
    return "\n".join(["kinds, and how they are called for short:", *lines, f"  {'all':13} {', '.join(columns.ALL)}"])


def describe_(words: list[str], command: list[str]) -> None:
    parser = _parser(
        "describe",
        "pod|service|node|deployment [NAME...] | KIND/NAME... [-n NS] [-l SELECTOR]",
        "Tell of an object at length: how its containers fare, what has happened to it,\n"
        "and which kernel objects it is made of.",
        inventory=INVENTORY,
    )
    parser.add_argument(
        "words", metavar="KIND", nargs="+", help="pods (po), services (svc), nodes (no), deployments (deploy)"
    )
    _namespace(parser)
    _selector(parser)
    known = parser.parse_intermixed_args([*words, *command])
    from cli.look import describe

    describe.describe(known.words, namespace=known.namespace, selector=known.selector, sources=known.sources)


def exec_(words: list[str], command: list[str]) -> None:
    # -i is kubectl's here.
    parser = _parser(
        "exec",
        "[-it] [-n NS] POD [-c CONTAINER] -- COMMAND [ARGUMENT]...",
        "Run a command in a container.",
        inventory=("--inventory",),
    )
    _pod(parser)
    parser.add_argument("-i", "--stdin", action="store_true", help="pass standard input on")
    parser.add_argument("-t", "--tty", action="store_true", help="with a terminal")
    _container(parser)
    _namespace(parser)
    known, rest = parser.parse_known_args(words)
    if rest and rest[0].startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        parser.error("the command stands after --: exec POD -- COMMAND")
    enter.execute(
        known.pod,
        command,
        container=known.container,
        namespace=known.namespace,
        stdin=known.stdin,
        tty=known.tty,
        sources=known.sources,
    )


def node(words: list[str], command: list[str]) -> None:
    parser = _parser(
        "node",
        "HOST [-i INVENTORY] [-- COMMAND [ARGUMENT]...]",
        "Run a command on a host of the inventory; without one, a shell.",
        inventory=INVENTORY,
    )
    parser.add_argument("host", metavar="HOST")
    known = parser.parse_args(words)
    enter.node(known.host, command, sources=known.sources)


def rules_(words: list[str], command: list[str]) -> None:
    parser = _parser(
        "rules",
        "NODE [SERVICE] [-n NS] [-i INVENTORY]",
        "Print the iptables rules that a packet to a service passes on a node, in the order in which it passes them.\n"
        "Without a service, those of all.",
        inventory=INVENTORY,
    )
    parser.add_argument("node", metavar="NODE")
    parser.add_argument("service", metavar="SERVICE", nargs="?", default="", help="web, default/web or svc/web")
    _namespace(parser)
    known = parser.parse_intermixed_args([*words, *command])
    from cli.look import rules

    rules.rules(known.node, known.service, namespace=known.namespace, sources=known.sources)


def logs(words: list[str], command: list[str]) -> int:
    parser = _parser(
        "logs",
        "[-f | -p] [-n NS] POD [-c CONTAINER | --all-containers] [--tail N]",
        "Print the log of a container.",
        inventory=INVENTORY,
    )
    _pod(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more, across restarts, until Ctrl-C")
    parser.add_argument("-p", "--previous", action="store_true", help="of the start before the present one")
    _container(parser)
    parser.add_argument("--all-containers", action="store_true", help="of all, init containers among them")
    parser.add_argument("--tail", type=int, default=-1, metavar="N", help="the last N lines alone; -1: all")
    _namespace(parser)
    known = parser.parse_args([*words, *command])
    return enter.logs(
        known.pod,
        container=known.container,
        namespace=known.namespace,
        follow=known.follow,
        previous=known.previous,
        every=known.all_containers,
        tail=known.tail,
        sources=known.sources,
    )


def port_forward(words: list[str], command: list[str]) -> None:
    parser = _parser(
        "port-forward",
        "[-n NS] POD [LOCAL:]REMOTE...",
        "Open ports of this machine's loopback, 127.0.0.1, that lead into a pod, until Ctrl-C.\n"
        "80 is the same port on both sides, :80 any free port here. Of svc/NAME, REMOTE is a port of the Service.",
        inventory=INVENTORY,
    )
    _pod(parser)
    parser.add_argument("ports", metavar="[LOCAL:]REMOTE", nargs="+", help="numbers; REMOTE may be a port's name")
    _namespace(parser)
    known = parser.parse_intermixed_args([*words, *command])
    from cli.enter import port_forward

    port_forward.port_forward(known.pod, known.ports, namespace=known.namespace, sources=known.sources)


def cp(words: list[str], command: list[str]) -> int:
    parser = _parser(
        "cp",
        "[-n NS] SRC DST [-c CONTAINER]",
        "Copy a file or a directory into a container, or out of it. One of both is [NS/]POD:PATH.\n"
        "What is a directory already gets the copy under its own name; POD:DIR/. is what DIR holds.",
        inventory=INVENTORY,
    )
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST")
    _container(parser)
    _namespace(parser)
    known = parser.parse_intermixed_args([*words, *command])
    from cli.enter import cp

    return cp.copy(
        known.source,
        known.destination,
        container=known.container,
        namespace=known.namespace,
        sources=known.sources,
    )


def script_(words: list[str], command: list[str]) -> None:
    parser = _parser(
        "script",
        "[--undo] HOST [--manifests DIR] [-i INVENTORY] [-e NAME=VALUE]",
        "Print a host as a shell script that makes the same of a bare one. Nothing is written anywhere.\n"
        "It holds the values of Secrets.",
        inventory=INVENTORY,
    )
    parser.add_argument("host", metavar="HOST", help="a node or a gateway")
    parser.add_argument("--undo", action="store_true", help="the script that takes it away again")
    parser.add_argument("--manifests", metavar="DIR", help="Kubernetes YAML, instead of manifests/")
    parser.add_argument("-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="as for up")
    known = parser.parse_args([*words, *command])
    from cli.look import script

    options = [word for source in known.sources for word in ("-i", source)]
    options += passwords.KNOWN.options()
    options += [word for value in known.extra_vars for word in ("-e", value)]
    # A script has to stay one: it brings nothing that would steer a terminal.
    say(script.script(known.host, options, known.manifests, undo=known.undo), end="")


def _pod(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="or deploy/NAME, svc/NAME, ...: one of its pods")


def _container(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--container", default="", help="the first one, if left out")


def _namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--namespace", default="default", metavar="NS")


def _selector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--selector", default="", help="labels: a=b, a!=b, 'a in (b,c)', a, '!a', with commas")


VERBS: dict[str, Callable[[list[str], list[str]], int | None]] = {
    "up": up,
    "down": down,
    "reset": reset,
    "test": test,
    "bench": bench_,
    "get": get_,
    "describe": describe_,
    "exec": exec_,
    "logs": logs,
    "port-forward": port_forward,
    "cp": cp,
    "node": node,
    "rules": rules_,
    "script": script_,
}


def run(argv: Sequence[str]) -> int:
    """``main``, with an exit code for whatever ends it early."""
    try:
        try:
            code = main(argv)
        finally:  # argparse ends by itself
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _close_stdout()  # whoever read this has had enough
        return 128 + signal.SIGPIPE
    except OSError as error:
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF)
        where = "standard output" if full else error.filename
        complain(f"error: {f'{where}: ' if where else ''}{error.strerror or error}")
        _close_stdout()
        return 1
    except Exception as error:
        if type(error).__module__ != "ansible.errors":
            raise
        # While it is imported: it wants a directory of its own.
        complain(f"error: {str(error).rstrip('.')}; set HOME, or ANSIBLE_HOME, to a directory that can be written")
        return 1


def _close_stdout() -> None:
    """Nothing more shall be tried when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
