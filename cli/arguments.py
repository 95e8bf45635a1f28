"""What the command lines of verbs have in common."""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, NoReturn

from podlab.printable import printable

from . import passwords, verbs
from .errors import CommandError

INVENTORY = ("-i", "--inventory")


class Parser(argparse.ArgumentParser):
    """Its messages repeat what was typed, and ``--help`` fails where it cannot be written."""

    def error(self, message: str) -> NoReturn:
        """For an option of kubectl's that is not here, the line of what does it here in place of the usage."""
        before, _, words = message.partition("unrecognized arguments: ")
        word = words.partition(" ")[0].partition("=")[0]
        if not before and (instead := verbs.instead_of(self.prog.removeprefix("lab "), word)):
            self.exit(2, f"{self.prog}: there is no {word} here: {instead}\n")
        super().error(message)

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = sys.stderr if file is None else file
        stream.write(printable(message))
        stream.flush()


def parser(verb: str, usage: str, description: str, *, inventory: Sequence[str] = ()) -> argparse.ArgumentParser:
    made = Parser(
        prog=f"lab {verb}",
        usage=f"./lab {verb} {usage}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if inventory:
        made.add_argument(
            *inventory,
            dest="sources",
            action="append",
            default=[],
            metavar="INVENTORY",
            help="instead of $ANSIBLE_INVENTORY or ansible.cfg's",
        )
        passwords.add_options(made)
    return made


def manifests(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifests",
        metavar="PATH",
        action="append",
        default=[],
        help="Kubernetes YAML or JSON instead of manifests/: a directory, a file, or -; may be repeated",
    )
    parser.add_argument("-R", "--recursive", action="store_true", help="directories below as well")


def manifest_settings(known: argparse.Namespace) -> dict[str, Any]:
    """The settings of a run that ``manifests`` stands for. What comes by standard input is kept until the end of this
    process: a run reads its manifests at every step of a rollout.

    :raises CommandError: standard input is asked for twice.
    """
    paths: list[str] = known.manifests
    if paths.count("-") > 1:
        raise CommandError("error: standard input (-) can be read once")
    if "-" in paths:
        directory = tempfile.mkdtemp(prefix="podlab-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        file = os.path.join(directory, "STDIN")
        with open(file, "wb") as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
        paths = [file if path == "-" else path for path in paths]
    settings: dict[str, Any] = {"podlab_manifests": paths[0] if len(paths) == 1 else paths} if paths else {}
    return {**settings, **({"podlab_manifests_recursive": True} if known.recursive else {})}


def pod(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="or deploy/NAME, svc/NAME, ...: one of its pods")


def container(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--container", default="", help="the first one, if left out")


def namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--namespace", default="default", metavar="NS")


def selector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--selector", default="", help="labels: a=b, a!=b, 'a in (b,c)', a, '!a', with commas")
