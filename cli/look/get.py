"""``./lab get``: kubectl's way of looking at a cluster."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import arguments
from ..errors import CommandError
from ..output import print_error, print_text
from . import columns, objects
from .cluster import LISTS, must_be_known, not_found, observe
from .columns import KINDS
from .resources import parse
from .selectors import parse_selector, selected
from .table import Kind, table


@dataclass(frozen=True)
class OutputOptions:
    """How ``get`` shows what it has found."""

    output: str = ""  # "", wide, name, json, yaml
    all_namespaces: bool = False
    headers: bool = True
    labels: bool = False


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "get",
        "KIND[,KIND]... [NAME...] | KIND/NAME... [-n NS | -A] [-o FORM] [-l SELECTOR]",
        "Show the cluster in kubectl's columns.\n\n" + _kinds(),
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("words", metavar="KIND", nargs="+", help="one of those above, several with commas, or all")
    arguments.namespace(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", choices=("wide", "json", "yaml", "name"), default="")
    arguments.selector(parser)
    parser.add_argument("--show-labels", action="store_true", help="with a last column of all labels")
    parser.add_argument("--no-headers", action="store_true")
    known = parser.parse_intermixed_args([*words, *command])
    get(
        known.words,
        namespace=known.namespace,
        selector=known.selector,
        form=OutputOptions(known.output, known.all_namespaces, not known.no_headers, known.show_labels),
        sources=known.sources,
    )


def _kinds() -> str:
    short = {plural: word for word, plural in columns.SHORT.items()}
    lines = [f"  {plural:13} {short.get(plural, '')}".rstrip() for plural in columns.KINDS]
    return "\n".join(["kinds, and how they are called for short:", *lines, f"  {'all':13} {', '.join(columns.ALL)}"])


def get(words: Sequence[str], *, namespace: str, selector: str, form: OutputOptions, sources: Sequence[str]) -> None:
    """Print what was asked for, as kubectl would.

    :param words: ``pods``, ``pods,deploy``, ``all``, ``pod NAME...``, ``pod/NAME deploy/NAME...``.
    :raises CommandError: in kubectl's words.
    """
    wanted = parse(words)
    by_name = any(wanted.values())
    if form.all_namespaces and any(names and KINDS[plural].is_namespaced for plural, names in wanted.items()):
        raise CommandError("error: a resource cannot be retrieved by name across all namespaces")
    if selector and by_name:
        raise CommandError("error: name cannot be provided when a selector is specified")
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
        print_error("No resources found" if everywhere else f"No resources found in {namespace} namespace.")
    if missing:
        raise CommandError("\n".join(missing))


def show(found: Mapping[str, Sequence[objects.Object]], form: OutputOptions, *, single: bool = False) -> None:
    """Print objects in one of the forms of ``-o``.

    :param found: plural of a kind -> its objects. Several kinds are several tables.
    :param single: one object was asked for, by its name: it stands by itself.
    """
    items = [item for some in found.values() for item in some]
    if form.output in ("json", "yaml"):
        document = items[0] if single else objects.listed(items)
        print_text(_json(document) if form.output == "json" else _yaml(document), end="")
        return
    if form.output == "name":
        named = [(KINDS[plural], item) for plural, some in found.items() for item in some]
        print_text("".join(f"{kind.prefix}/{item['metadata']['name']}\n" for kind, item in named), end="")
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    tables = [_table(KINDS[plural], some, now, form, len(found) > 1) for plural, some in found.items() if some]
    print_text(("\n" if form.headers else "").join(tables), end="")


def _table(
    kind: Kind, items: Sequence[objects.Object], now: datetime.datetime, form: OutputOptions, prefixed: bool
) -> str:
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
