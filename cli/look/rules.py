"""``./lab rules``: the rules that a packet to a service passes on a node, in the order in which it passes them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from podlab import packed
from podlab.changes.kube_proxy import record as kube_record
from podlab.changes.kube_proxy import trace
from podlab.changes.netfilter import iptables_save
from podlab.configs import ServicesConfig

from .. import arguments, inventory
from ..errors import CommandError
from ..hosts import Host, HostUnreachable
from ..output import print_text
from .cluster import must_be_on, not_found

STATE = "/var/lib/podlab/services.json"
TIMEOUT = 60.0  # seconds; iptables-save of 10,000 Services takes one or two


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "rules",
        "NODE [SERVICE] [-n NS] [-i INVENTORY]",
        "Print the iptables rules that a packet to a service passes on a node, in the order in which it passes them.\n"
        "Without a service, those of all.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("node", metavar="NODE")
    parser.add_argument("service", metavar="SERVICE", nargs="?", default="", help="web, default/web or svc/web")
    arguments.namespace(parser)
    known = parser.parse_intermixed_args([*words, *command])
    rules(known.node, known.service, namespace=known.namespace, sources=known.sources)


def rules(name: str, service: str, *, namespace: str, sources: Sequence[str]) -> None:
    """Print the way of a packet to one service, or to all.

    :param service: ``web``, ``default/web``, ``svc/web``; empty: all of them.
    :raises CommandError: there is no such node, or it has no rules of that service.
    """
    hosts = inventory.read(sources)
    must_be_on(hosts)
    host = next((host for host in hosts if host.name == name), None)
    if host is None:
        raise CommandError(not_found("nodes", name))
    with ThreadPoolExecutor() as pool:
        state, saved = pool.map(lambda command: _output(host, command), (["cat", STATE], ["iptables-save"]))
    if not state:
        raise CommandError(f"error: {name} has no service rules: podlab has not told it of any services")
    row = _row(state)
    if row is None:
        raise CommandError(f"error: {name}: the record ({STATE}) is damaged; ./lab up writes it anew")
    wanted = full_name(service, namespace) if service else None
    if wanted and not any(port["service"] == wanted for port in row["ports"]):
        raise CommandError(
            f'error: {name} has no rules of service "{wanted}"; '
            "one that is headless, or of type ExternalName, has none anywhere"
        )
    print_text("\n".join(trace.path(iptables_save.parsed(saved), row, wanted)))


def _row(text: str) -> ServicesConfig | None:
    """What a node was told last, if what it has kept of that is sound."""
    try:
        state = kube_record.sound_state(packed.loads(text))
    except (ValueError, RecursionError):
        return None
    return kube_record.told_row(state) if state else None


def full_name(word: str, namespace: str) -> str:
    """``default/web``, from that or from a name, with or without its kind."""
    before, _, name = word.rpartition("/")
    return f"{namespace}/{name}" if before in ("", "svc", "service", "services") else word


def _output(host: Host, command: Sequence[str]) -> str:
    """What a command prints there; nothing if it fails.

    :raises CommandError: the host does not answer.
    """
    try:
        said = host.question(command).ask(patience=max(TIMEOUT, host.patience))
    except HostUnreachable as error:
        raise CommandError(f"error: {host.name} does not answer: {error}") from error
    if said.code == 255:  # ssh's own
        raise CommandError(f"error: {host.name} does not answer: {said.err}")
    return "" if said.code else said.out
