"""What is long travels as JSON text: nested, Ansible would walk through all of it, leaf by leaf, several times.

330 pods are 30,000 leaves, and took two of the four seconds of a run that changes nothing (docs/decisions.md). What
grows with Services is packed besides: hosts keep the same word, and who has read it once has read it for all.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import packed
from ..changes.pods import configs as pod_configs
from ..configs import Plan, PlannedHost
from ..planner.configs import services as service_configs
from ..planner.configs.services import compact
from ..planner.inputs.request import COMPONENTS
from ..records.host_record import PACKED, HostRecord
from . import signature

Configs = Mapping[str, Any]  # component -> row, as it travels

LONG = {"verify": ("ends", "asks", "callers"), "verify_services": ("asks", "watched", "endpoints")}
"""Component -> parts of its row that grow with the pods. The modules take them as text."""

SECTIONS = ("network", "cluster", "pods")
"""Parts of a record that hold what is told of the cluster."""

RECORDED = PACKED
"""Parts of a cluster's record that grow with its Services. Hosts keep them as the word that they are told."""


def pack(value: object) -> str:
    return _packed(compact(value))


def _packed(text: str) -> str:
    return packed.pack(text.encode())


def unpack(value: Any) -> Any:
    """What was packed; anything else comes back as it is. It must not be changed: all calls return the same object."""
    return _unpacked(value) if isinstance(value, str) else value


@functools.lru_cache(maxsize=32)  # all hosts of a run remember the same
def _unpacked(word: str) -> Any:
    return packed.loads(packed.unpack(word))


# --- from a host ----------------------------------------------------------------------------------------


def decode(text: Any) -> Any:
    """An observation as the planner wants it, or what verify expects; None where there is none.

    Text that is no JSON stays as it is: ``records`` says of an observation that it does not fit.
    """
    return all_opened([text])[0]


def all_opened(texts: Iterable[Any]) -> list[Any]:
    """Observations of several hosts. What a record tells of the cluster is left out where it is its host's own word."""
    found = [_read(text) for text in texts]
    sections = [one for item in found if isinstance(item, dict) for one in signature.sections_of(item.get("record"))]
    counting = signature.believed((about, place[name]) for about, place, name in sections)
    opened: dict[int, Any] = {}
    for (_, place, name), section in zip(sections, counting, strict=True):
        del place[name]
        if section is not None:
            if id(section) not in opened:
                opened[id(section)] = _opened_section(section)
            place[name] = opened[id(section)]
    return found


def _read(text: Any) -> Any:
    try:
        return packed.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def _opened_section(section: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in section.items() if key != signature.NAME}
    return {key: decode_part(value) if key in RECORDED else value for key, value in told.items()}


def decode_part(value: Any) -> Any:
    """A word that cannot be unpacked stays one, and ``records`` says that it does not fit."""
    try:
        return unpack(value)
    except (ValueError, RecursionError):
        return value


def opened_rows(rows: Configs) -> PlannedHost:
    """The rows of a host as the planner has made them."""
    found = _with(rows, json.loads)
    if "pods" in found:
        found["pods"] = {
            **found["pods"],
            "pods": [pod_configs.complete(item) for item in json.loads(found["pods"]["pods"])],
        }
    for name in ("services", "draining"):
        if name in found:
            found[name] = unpack(found[name])
    if "node" in found:
        node = dict(found["node"])
        record = {**node["record"], **json.loads(node.pop("cluster"))}
        for _, place, name in signature.sections_of(record):
            place[name] = _opened_section(place[name])
        found["node"] = {**node, "record": record}
    planned: PlannedHost = found
    return planned


# --- to a host ------------------------------------------------------------------------------------------


def encode(plan: Plan, *, whole: bool = False) -> dict[str, Any]:
    """A plan as Ansible carries it about. The row of a component that has nothing to do on a host stays behind.

    :param whole: whether it is needed all the same.
    """
    once: dict[int, str] = {}  # what all hosts are told alike is made into text once, by its id
    hosts = {name: _closed_rows(rows, whole, once) for name, rows in plan["hosts"].items()}
    return {**plan, "hosts": hosts, "verify": _text(plan["verify"])}


def _closed_rows(rows: PlannedHost, whole: bool, once: dict[int, str]) -> dict[str, Any]:
    idle = () if whole else [name for name in COMPONENTS if name in rows and name not in rows["pending"]]
    found = _with({name: row for name, row in rows.items() if name not in idle}, _text)
    if found.get("pods"):
        found["pods"] = {**found["pods"], "pods": _text([pod_configs.item(row) for row in found["pods"]["pods"]])}
    if "node" in found:
        found["node"] = {**found["node"], **_closed_record(found["node"]["record"], once)}
    for name in ("services", "draining"):
        if name in found:
            row = found[name]
            ports = _once(row["ports"], service_configs.text_of_ports, once)
            found[name] = _packed(service_configs.text_of(row, ports))
    return {**found, **{name: {} for name in idle}}


def _closed_record(record: HostRecord, once: dict[int, str]) -> dict[str, Any]:
    """What a host remembers of itself, and as text its sections of what it does of the cluster."""
    own: dict[str, str] = {}
    pods: dict[str, str] = {}
    for about, place, name in signature.sections_of(record):
        section = place[name]
        if id(section) not in once:
            once[id(section)] = _closed_section(about, section)
        (own if place is record else pods)[name] = once[id(section)]
    sections = _joined({**own, **({"pods": _joined(pods)} if "pods" in record else {})})
    return {"record": {key: value for key, value in record.items() if key not in SECTIONS}, "cluster": sections}


def _joined(texts: Mapping[str, str]) -> str:
    """A JSON object of values that are text already."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items()) + "}"


def _closed_section(about: str, section: Mapping[str, Any]) -> str:
    told = {key: pack(value) if key in RECORDED else value for key, value in section.items()}
    return _text(signature.signed(about, told))


def _once(value: Any, to_text: Callable[[Any], str], once: dict[int, str]) -> str:
    if id(value) not in once:
        once[id(value)] = to_text(value)
    return once[id(value)]


def _text(value: Any) -> str:
    """In the planner's order: containers are shown in that of their manifest."""
    return json.dumps(value, separators=(",", ":"))


def _with(rows: Configs, change: Callable[[Any], Any]) -> Any:
    """The rows with their long parts changed."""
    found = dict(rows)
    for component, keys in LONG.items():
        if component in found:
            changed = {key: change(found[component][key]) for key in keys if key in found[component]}
            found[component] = {**found[component], **changed}
    return found
