"""``./lab get``: kubectl's way of looking at a cluster."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import inventory, objects, table
from .failure import Failure
from .hosts import Embedded, Host, ask

LISTS: dict[str, Callable[[objects.State], list[objects.Object]]] = {
    "pods": objects.pods,
    "nodes": objects.nodes,
    "deployments": objects.deployments,
    "namespaces": objects.namespaces,
}


def get(
    resource: str,
    names: Sequence[str],
    *,
    namespace: str,
    all_namespaces: bool,
    output: str,
    selector: str,
    headers: bool,
    sources: Sequence[str],
) -> None:
    """Print what was asked for, as kubectl would.

    :raises Failure: in kubectl's words.
    """
    if "/" in resource:
        resource, *names = resource.split("/", 1)
    if resource.lower() not in table.ALIASES:
        raise Failure(f'error: the server doesn\'t have a resource type "{resource}"')
    plural = table.ALIASES[resource.lower()]
    kind = table.KINDS[plural]
    if names and all_namespaces and kind.is_namespaced:
        raise Failure("error: a resource cannot be retrieved by name across all namespaces")
    labels = parse_selector(selector)
    state = observe(sources)
    items = [
        item
        for item in LISTS[plural](state)
        if (all_namespaces or not kind.is_namespaced or item["metadata"]["namespace"] == namespace)
        and selected(item["metadata"].get("labels", {}), labels)
    ]
    missing = []
    if names:
        by_name = {item["metadata"]["name"]: item for item in items}
        items = [by_name[name] for name in names if name in by_name]
        missing = [not_found(kind.plural, name) for name in names if name not in by_name]
    if items or (output in ("json", "yaml") and not missing):
        show(kind, items, output, single=len(names) == 1, all_namespaces=all_namespaces, headers=headers)
    elif not names:
        where = f" in {namespace} namespace" if kind.is_namespaced and not all_namespaces else ""
        print(f"No resources found{where}.", file=sys.stderr)
    if missing:
        raise Failure("\n".join(missing))


def show(
    kind: table.Kind,
    items: Sequence[objects.Object],
    output: str,
    *,
    single: bool = False,
    all_namespaces: bool = False,
    headers: bool = True,
) -> None:
    """Print objects in one of the forms of ``-o``."""
    document: Any = items[0] if single else objects.listed(items)
    if output == "json":
        print(json.dumps(document, indent=4, sort_keys=True))
    elif output == "yaml":
        import yaml

        # Through JSON: what stands twice is written twice, as kubectl does, not by reference.
        print(yaml.safe_dump(json.loads(json.dumps(document)), default_flow_style=False), end="")
    elif output == "name":
        print("".join(f"{kind.prefix}/{item['metadata']['name']}\n" for item in items), end="")
    else:
        now = datetime.datetime.now(datetime.timezone.utc)
        wide = output == "wide"
        print(table.table(kind, items, now, wide=wide, all_namespaces=all_namespaces, headers=headers), end="")


def observe(sources: Sequence[str]) -> objects.State:
    """Ask all hosts of the inventory that have anything to tell."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    return state_of(hosts)


def state_of(hosts: Sequence[Host]) -> objects.State:
    """Hosts beyond the cluster are not asked: podlab keeps nothing there."""
    answers = ask([host for host in hosts if host.role in ("node", "gateway")])
    return objects.state_of(answers, [host.name for host in hosts if host.role == "node"])


def must_be_on(hosts: Sequence[Host]) -> None:
    """:raises Failure: the inventory is nothing but embedded hosts, and none of them is on."""
    if all(isinstance(host, Embedded) and host.pid is None for host in hosts):
        raise Failure("the lab is off; ./lab up lights it")


def not_found(plural: str, name: str) -> str:
    return f'Error from server (NotFound): {plural} "{name}" not found'


def parse_selector(text: str) -> list[tuple[str, bool, str]]:
    """Equality-based requirements: (key, whether equal, value).

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#equality-based-requirement
    """
    found = []
    for term in filter(None, map(str.strip, text.split(","))):
        key, sign, value = term.partition("!=") if "!=" in term else term.replace("==", "=", 1).partition("=")
        if not sign or not key.strip():
            raise Failure(f"error: unable to parse requirement: {term!r} is not KEY=VALUE, KEY==VALUE or KEY!=VALUE")
        found.append((key.strip(), sign == "=", value.strip()))
    return found


def selected(labels: dict[str, str], requirements: Sequence[tuple[str, bool, str]]) -> bool:
    """A label that is missing is unlike any value."""
    return all((labels.get(key) == value) == equal for key, equal, value in requirements)
