"""``./lab describe``: one object after another, told at length in kubectl's layout.

Of a pod there is a section more, of what podlab alone knows: the kernel objects that it is made of, and the
commands that show them. The layout is that of kubectl's own pkg/describe/describe.go; what is printed is
made here from the same objects that ``get`` shows.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podlab import packed
from podlab.records import pod_row
from podlab.shapes import misfit

from .. import arguments, inventory
from ..errors import CommandError
from ..hosts import Host, HostUnreachable, ask
from ..hosts.status import STATUS
from ..output import print_text
from . import objects
from .cluster import LISTS, must_be_known, must_be_on, not_found
from .columns import KINDS
from .description import deployments, nodes, pods, services
from .description.pods import Event
from .objects import Object
from .resources import parse
from .selectors import parse_selector, selected
from .table import aligned

KNOWN = ("pods", "services", "nodes", "deployments")


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "describe",
        "pod|service|node|deployment [NAME...] | KIND/NAME... [-n NS] [-l SELECTOR]",
        "Tell of an object at length: how its containers fare, what has happened to it,\n"
        "and which kernel objects it is made of.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument(
        "words", metavar="KIND", nargs="+", help="pods (po), services (svc), nodes (no), deployments (deploy)"
    )
    arguments.namespace(parser)
    arguments.selector(parser)
    known = parser.parse_intermixed_args([*words, *command])
    describe(known.words, namespace=known.namespace, selector=known.selector, sources=known.sources)


def describe(words: Sequence[str], *, namespace: str, selector: str, sources: Sequence[str]) -> None:
    """Print at length what was asked for.

    :raises CommandError: in kubectl's words.
    """
    wanted = parse(words)
    if unknown := [plural for plural in wanted if plural not in KNOWN]:
        raise CommandError(
            f"error: describe knows pods, services, nodes and deployments; try ./lab get {unknown[0]} -o yaml"
        )
    requirements = parse_selector(selector)
    hosts = inventory.read(sources)
    must_be_on(hosts)
    answers = ask([host for host in hosts if host.role in ("node", "gateway")])
    state = objects.cluster_state(answers, [host.name for host in hosts if host.role == "node"])
    chosen, missing = [], []
    for plural, names in wanted.items():
        items = [
            item
            for item in LISTS[plural](state)
            if item["metadata"].get("namespace", namespace) == namespace
            and selected(item["metadata"].get("labels", {}), requirements)
        ]
        known = {item["metadata"]["name"]: item for item in items}
        missing += [not_found(KINDS[plural].plural, name) for name in names if name not in known]
        chosen += [known[name] for name in names if name in known] if names else items
    if not chosen:
        must_be_known(state, missing)
    if not chosen and not missing:
        everywhere = not all(KINDS[plural].is_namespaced for plural in wanted)
        raise CommandError("No resources found" if everywhere else f"No resources found in {namespace} namespace.", 0)
    now = datetime.datetime.now(datetime.timezone.utc)
    more = _more(state, chosen, {host.name: host for host in hosts})
    pages = []
    for at, item in enumerate(chosen):
        try:
            pages.append(text(state, item, now, *more[at]))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # one object hides no other
            words = f"what is recorded of it is damaged: {type(error).__name__}: {error}"
            missing.append(f"error: {item['kind'].lower()} {item['metadata']['name']} cannot be described: {words}")
    print_text("\n\n".join(pages), end="")
    if missing:
        raise CommandError("\n".join(missing))


def text(state: objects.State, item: Object, now: datetime.datetime, events: Sequence[Event], pause: str) -> str:
    """One object. Pure.

    :param events: of a pod, the oldest first.
    :param pause: pid of the process that holds a pod's namespaces, or nothing.
    """
    if item["kind"] == "Pod":
        row = _live(state, item).get("row")
        lines = pods.pod(item, row, now) + (pods.kernel_objects(item, row, pause) if row else [])
        lines += pods.events(events, now)
    elif item["kind"] == "Node":
        lines = nodes.node(state, item, now)
    elif item["kind"] == "Service":
        lines = services.service(state, item)
    else:
        lines = deployments.deployment(state, item)
    return aligned("\n".join(lines))


def _live(state: objects.State, pod: Object) -> Mapping[str, Any]:
    for live in (state.nodes.get(pod["spec"].get("nodeName", "")) or {}).get("pods", []):
        if live["row"]["object"]["metadata"] == pod["metadata"]:
            return dict(live)
    return {}


def _more(
    state: objects.State, items: Sequence[Object], hosts: Mapping[str, Host]
) -> list[tuple[Sequence[Event], str]]:
    """Events and pause of each pod, asked side by side; nothing of what is no pod that is there."""

    def of(item: Object) -> tuple[Sequence[Event], str]:
        row = _live(state, item).get("row") if item["kind"] == "Pod" else None
        if row is None:
            return [], ""
        host = hosts[item["spec"]["nodeName"]]
        program = STATUS.read_text("utf-8")
        said = _output(host, [host.python, "-IS", "-", "events", row["netns"]], program)
        pid = _output(host, [host.python, "-IS", "-", "pause", row["netns"]], program).strip()
        return _parsed(said), pid if pid.isdigit() else ""

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(of, items))


def _output(host: Host, command: Sequence[str], program: str = "") -> str:
    try:
        return host.question(command).ask(program, patience=host.patience).out
    except (OSError, HostUnreachable):
        return ""


def _parsed(said: str) -> list[Event]:
    """Events, one a line; what is none is passed over, or an old host could not be described."""
    events = []
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            found = packed.loads(line)
            told = found if isinstance(found, list) else [found]
            events += [event for event in told if not misfit(event, pod_row.Event)]
    return events
