"""``./lab get``: kubectl's way of looking at a cluster."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import arguments
from ..errors import CommandError
from ..output import print_error, print_text
from . import columns, objects, stand_ins
from .cluster import LISTS, must_be_known, not_found, observe
from .columns import KINDS
from .output_forms import HEADS, WORDS, Writer, writer
from .resources import parse
from .selectors import parse_selector, selected
from .sorting import sorted_by
from .table import Kind, table


@dataclass(frozen=True)
class OutputOptions:
    """How ``get`` shows what it has found."""

    output: str = ""  # "", wide, name, json, yaml, jsonpath=..., custom-columns=...
    all_namespaces: bool = False
    headers: bool = True
    labels: bool = False
    label_columns: tuple[str, ...] = ()
    sort_by: str = ""

    @property
    def is_table(self) -> bool:
        return self.output in ("", "wide")


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "get",
        "KIND[,KIND]... [NAME...] | KIND/NAME... [-n NS | -A] [-o FORM] [-l SELECTOR] [OPTION]...",
        "Show the cluster in kubectl's columns.\n\n" + _kinds(),
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("words", metavar="KIND", nargs="+", help="one of those above, several with commas, or all")
    arguments.namespace(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", metavar="FORM", default="", help=f"{', '.join(WORDS)}, {', '.join(HEADS)}")
    arguments.selector(parser)
    parser.add_argument("--sort-by", metavar="PATH", default="", help="by a field, say .metadata.creationTimestamp")
    parser.add_argument(
        "-L", "--label-columns", metavar="LABEL,...", action="append", default=[], help="with a column for each label"
    )
    parser.add_argument("--show-labels", action="store_true", help="with a last column of all labels")
    parser.add_argument("--no-headers", action="store_true")
    known = parser.parse_intermixed_args([*words, *command])
    get(
        known.words,
        namespace=known.namespace,
        selector=known.selector,
        form=OutputOptions(
            known.output,
            known.all_namespaces,
            headers=not known.no_headers,
            labels=known.show_labels,
            label_columns=tuple(label for words in known.label_columns for label in words.split(",")),
            sort_by=known.sort_by,
        ),
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
    write = writer(form)
    state = observe(sources, with_events="events" in wanted)
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
    if any(found.values()) or (form.output not in ("", "wide", "name") and not missing):
        show(found, form, single=single, write=write)
    elif not missing:
        everywhere = form.all_namespaces or not all(KINDS[plural].is_namespaced for plural in wanted)
        print_error("No resources found" if everywhere else f"No resources found in {namespace} namespace.")
    if missing:
        raise CommandError("\n".join(missing))


def show(
    found: Mapping[str, Sequence[objects.Object]],
    form: OutputOptions,
    *,
    single: bool = False,
    write: Writer | None = None,
) -> None:
    """Print objects in one of the forms of ``-o``.

    :param found: plural of a kind -> its objects. Several kinds are several tables.
    :param single: one object was asked for, by its name: it stands by itself.
    :param write: what ``writer`` has made of the form.
    """
    if form.is_table:
        if form.sort_by:
            found = {plural: sorted_by(form.sort_by, some) for plural, some in found.items()}
        now = datetime.datetime.now(datetime.timezone.utc)
        tables = [_table(KINDS[plural], some, now, form, len(found) > 1) for plural, some in found.items() if some]
        print_text(("\n" if form.headers else "").join(tables), end="")
        if words := stand_ins.note([item for some in found.values() for item in some]):
            print_error(words)
        return
    prefixes = {id(item): KINDS[plural].prefix for plural, some in found.items() for item in some}
    items = [item for some in found.values() for item in some]
    if form.sort_by and not single:
        items = sorted_by(form.sort_by, items)
    if form.output == "name":
        print_text("".join(f"{prefixes[id(item)]}/{item['metadata']['name']}\n" for item in items), end="")
        return
    print_text((write or writer(form))(items, single), end="")


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
        label_columns=form.label_columns,
    )
