"""``./lab get``: kubectl's way of looking at a cluster."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .. import inventory
from ..failure import Failure
from ..hosts import Embedded, Host, ask
from ..output import complain, say
from . import objects, workloads
from .columns import ALIASES, ALL, KINDS
from .table import Kind, table

LISTS: dict[str, Callable[[objects.State], list[objects.Object]]] = {
    "pods": lambda state: state.pods,
    "nodes": objects.nodes,
    "daemonsets": workloads.daemonsets,
    "deployments": workloads.deployments,
    "replicasets": workloads.replicasets,
    "statefulsets": workloads.statefulsets,
    "jobs": workloads.jobs,
    "services": lambda state: _services().services(state),
    "endpoints": lambda state: _services().endpoints(state),
    "endpointslices": lambda state: _services().endpointslices(state),
    "configmaps": objects.configmaps,
    "secrets": objects.secrets,
    "namespaces": objects.namespaces,
}


def _services() -> ModuleType:
    """Imported late: it brings the planner's words along, 0.1 s that other kinds need not spend."""
    from . import services

    return services


Wanted = dict[str, list[str]]
"""Plural of a kind -> the names asked for; none is all of them."""


@dataclass(frozen=True)
class Form:
    """How ``get`` shows what it has found."""

    output: str = ""  # "", wide, name, json, yaml
    all_namespaces: bool = False
    headers: bool = True
    labels: bool = False


def get(words: Sequence[str], *, namespace: str, selector: str, form: Form, sources: Sequence[str]) -> None:
    """Print what was asked for, as kubectl would.

    :param words: ``pods``, ``pods,deploy``, ``all``, ``pod NAME...``, ``pod/NAME deploy/NAME...``.
    :raises Failure: in kubectl's words.
    """
    wanted = parse(words)
    by_name = any(wanted.values())
    if form.all_namespaces and any(names and KINDS[plural].is_namespaced for plural, names in wanted.items()):
        raise Failure("error: a resource cannot be retrieved by name across all namespaces")
    if selector and by_name:
        raise Failure("error: name cannot be provided when a selector is specified")
    requirements = parse_selector(selector)
    state = observe(sources)
    found, missing = {}, []
    for plural, names in wanted.items():
        items = [
            item
            for item in LISTS[plural](state)
            if (form.all_namespaces or not KINDS[plural].is_namespaced or item["metadata"]["namespace"] == namespace)
            and selected(item["metadata"].get("labels", {}), requirements)
        ]
        if names:
            known = {item["metadata"]["name"]: item for item in items}
            items = [known[name] for name in names if name in known]
            missing += [not_found(KINDS[plural].plural, name) for name in names if name not in known]
        found[plural] = items
    single = [len(names) for names in wanted.values()] == [1]
    if not any(found.values()):
        must_be_known(state, missing)
    if any(found.values()) or (form.output in ("json", "yaml") and not missing):
        show(found, form, single=single)
    elif not missing:
        everywhere = form.all_namespaces or not all(KINDS[plural].is_namespaced for plural in wanted)
        complain("No resources found" if everywhere else f"No resources found in {namespace} namespace.")
    if missing:
        raise Failure("\n".join(missing))


def parse(words: Sequence[str]) -> Wanted:
    """What the words after ``get`` or ``describe`` ask for.

    :raises Failure: a kind that there is not, or both forms in one.
    """
    wanted: Wanted = {}
    if any("/" in word for word in words):
        for word in words:
            kind, sign, name = word.partition("/")
            if not sign:
                raise Failure(
                    "error: there is no need to specify a resource type as a separate argument when passing "
                    "arguments in resource/name form (e.g. './lab get resource/<resource_name>' instead of "
                    "'./lab get resource resource/<resource_name>'"
                )
            if not kind or not name or "/" in name:
                raise Failure("error: arguments in resource/name form must have a single resource and name")
            (plural,) = _plurals(kind) if "," not in kind else [_no_such_kind(kind)]
            wanted.setdefault(plural, []).append(name)
        return wanted
    kinds, *names = words
    for plural in _plurals(kinds):
        wanted[plural] = list(dict.fromkeys(names))
    return wanted


def _plurals(kinds: str) -> list[str]:
    found: dict[str, None] = {}
    for kind in kinds.split(","):
        if kind == "all":
            found |= dict.fromkeys(ALL)
        else:
            found[ALIASES.get(kind.lower()) or _no_such_kind(kind)] = None
    return list(found)


def _no_such_kind(kind: str) -> str:
    raise Failure(f'error: the server doesn\'t have a resource type "{kind}"')


def show(found: Mapping[str, Sequence[objects.Object]], form: Form, *, single: bool = False) -> None:
    """Print objects in one of the forms of ``-o``.

    :param found: plural of a kind -> its objects. Several kinds are several tables.
    :param single: one object was asked for, by its name: it stands by itself.
    """
    items = [item for some in found.values() for item in some]
    if form.output in ("json", "yaml"):
        document = items[0] if single else objects.listed(items)
        say(_json(document) if form.output == "json" else _yaml(document), end="")
        return
    if form.output == "name":
        named = [(KINDS[plural], item) for plural, some in found.items() for item in some]
        say("".join(f"{kind.prefix}/{item['metadata']['name']}\n" for kind, item in named), end="")
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    tables = [_table(KINDS[plural], some, now, form, len(found) > 1) for plural, some in found.items() if some]
    say(("\n" if form.headers else "").join(tables), end="")


def _table(kind: Kind, items: Sequence[objects.Object], now: datetime.datetime, form: Form, prefixed: bool) -> str:
    return table(
        kind,
        items,
        now,
        wide=form.output == "wide",
        all_namespaces=form.all_namespaces,
        headers=form.headers,
        prefixed=prefixed,
        labels=form.labels,
    )


def _json(document: Any) -> str:
    return json.dumps(document, indent=4, sort_keys=True) + "\n"


_NO_TEXT = re.compile("[\ud800-\udfff]")  # bytes that are no UTF-8, for which YAML has no word


def _yaml(document: Any) -> str:
    import yaml

    # Through JSON: what stands twice is written twice, as kubectl does, not by reference.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # four times as fast, where PyYAML has it
    plain = _NO_TEXT.sub(lambda byte: rf"\\x{ord(byte[0]) & 0xFF:02x}", json.dumps(document, ensure_ascii=False))
    text: str = yaml.dump(json.loads(plain), Dumper=dumper, default_flow_style=False)
    return text


def observe(sources: Sequence[str]) -> objects.State:
    """Ask all hosts of the inventory that have anything to tell."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    return state_of(hosts)


def state_of(hosts: Sequence[Host]) -> objects.State:
    """Hosts beyond the cluster are not asked: podlab keeps nothing there."""
    answers = ask([host for host in hosts if host.role in ("node", "gateway")])
    return objects.state_of(answers, [host.name for host in hosts if host.role == "node"])


def must_be_known(state: objects.State, missing: Sequence[str]) -> None:
    """Tell "there is none" from "nobody has said". What a run has made is in the record of every host.

    :param missing: what was asked for by name and is not there.
    :raises Failure: nodes are silent, and the others do not know either.
    """
    if state.silent and not (missing and state.record):
        raise Failure(f"error: what there is cannot be told: no answer from {', '.join(state.silent)}")


def must_be_on(hosts: Sequence[Host]) -> None:
    """:raises Failure: the inventory is nothing but embedded hosts, and none of them is on."""
    if all(isinstance(host, Embedded) and host.pid is None for host in hosts):
        raise Failure("the lab is off; ./lab up lights it")


def not_found(plural: str, name: str) -> str:
    return f'Error from server (NotFound): {plural} "{name}" not found'


# --- selectors ------------------------------------------------------------------------------------

Requirement = tuple[str, str, tuple[str, ...]]
"""Key, operator (``in``, ``notin``, ``exists``, ``!``) and values."""

KEY = r"(?P<key>[A-Za-z0-9][\w./-]*)"
TERMS = (
    re.compile(rf"{KEY}\s*(?P<sign>==|=|!=)\s*(?P<value>[\w.-]*)"),
    re.compile(rf"{KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)"),
    re.compile(rf"(?P<negated>!?)\s*{KEY}"),
)


def parse_selector(text: str) -> list[Requirement]:
    """Equality-based and set-based requirements, with commas between.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    found: list[Requirement] = []
    for term in filter(None, map(str.strip, re.split(r",(?![^()]*\))", text))):
        equal, listed, bare = (pattern.fullmatch(term) for pattern in TERMS)
        if equal:
            found.append((equal["key"], "notin" if equal["sign"] == "!=" else "in", (equal["value"],)))
        elif listed:
            found.append((listed["key"], listed["operator"], tuple(map(str.strip, listed["values"].split(",")))))
        elif bare:
            found.append((bare["key"], "!" if bare["negated"] else "exists", ()))
        else:
            raise Failure(f"error: unable to parse requirement: {term!r} is no label selector")
    return found


def selected(labels: Mapping[str, str], requirements: Sequence[Requirement]) -> bool:
    """A label that is missing is unlike any value."""
    return all(_holds(labels, *requirement) for requirement in requirements)


def _holds(labels: Mapping[str, str], key: str, operator: str, values: Sequence[str]) -> bool:
    if operator in ("exists", "!"):
        return (key in labels) == (operator == "exists")
    return (labels.get(key) in values) == (operator == "in")
