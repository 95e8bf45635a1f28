"""``./lab plan``: what a run would make of manifests, before anything is looked at or made."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from podlab.controller import inputs, settings
from podlab.planner.inputs.cluster import labels_of, taints_of
from podlab.planner.inputs.host import Host
from podlab.planner.outline import outline
from podlab.printable import printable

from .. import arguments, inventory
from ..errors import CommandError
from ..output import print_text
from .table import render

COLUMNS = ("OUTCOME", "KIND", "NAMESPACE", "NAME", "WHY")
REFUSED = 2


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "plan",
        "[--manifests PATH]... [-o json] [-i INVENTORY] [-e NAME=VALUE]",
        "Tell what would come up, what stands in, what is ignored, what waits and what is refused. No host is asked,\n"
        "nothing is made, and no lab has to be on. Ends with 2 where anything is refused: ./lab up would make nothing.",
        inventory=arguments.INVENTORY,
    )
    arguments.manifests(parser)
    parser.add_argument("-o", "--output", choices=("json",), default="")
    parser.add_argument("-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="as for up")
    known = parser.parse_args([*words, *command])
    found = plan(known)
    print_text(_json(found) if known.output else table(found), end="")
    return REFUSED if any(row.outcome is outline.Outcome.REFUSED for row in found.rows) else 0


def plan(known: argparse.Namespace) -> outline.Outline:
    chosen = arguments.manifest_settings(known)
    extra = [*known.extra_vars, *([json.dumps(chosen)] if chosen else [])]
    groups, variables = inventory.variables(known.sources, extra)
    first = next(iter(variables))
    facts = {**variables[first], "inventory_hostname": first, "groups": groups}
    wanted = inputs.read(inventory.ROOT, *settings.of_cluster(facts, variables, lambda value: value))
    return outline.outline(wanted.cluster, hosts_of(groups, variables), wanted.desired, wanted.problems)


def hosts_of(groups: Mapping[str, Sequence[str]], variables: Mapping[str, Mapping[str, Any]]) -> list[Host]:
    """Hosts as if they were bare, and machines like this one."""
    hosts = []
    for group, role in inventory.GROUPS.items():
        for name in groups.get(group, ()):
            own = variables[name]
            taints, wrong_taints = taints_of(own.get("node_taints", []))
            labels, wrong_labels = labels_of(own.get("node_labels", {}))
            seen: Any = {"machine": platform.machine()} if role != "outside" else None
            address = str(own.get("node_ip", own.get("ansible_host", name)))
            wrong = (*wrong_labels, *wrong_taints)
            hosts.append(Host(name, role, address, labels, seen, taints=taints, wrong=wrong))
    return hosts


def table(found: outline.Outline) -> str:
    """A line for each row, notes below."""
    rows = [(row.outcome.value, row.kind, row.namespace, row.name, row.why.split("\n")[0]) for row in found.rows]
    if not rows:
        raise CommandError("No resources found", 0)
    lines = render([COLUMNS, *rows])
    return printable(lines + "".join(f"note: {note}\n" for note in found.notes))


def _json(found: outline.Outline) -> str:
    document = {"kind": "Plan", "items": outline.as_objects(found), "notes": list(found.notes)}
    return json.dumps(document, indent=4) + "\n"
