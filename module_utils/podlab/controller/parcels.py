"""What is large travels as one short word: nested, Ansible would walk through all of it, leaf by leaf, several times.

Ten thousand Services in a record take 4.4 s on their way to a host and 1.1 s as a word (docs/decisions.md).
"""

from __future__ import annotations

import base64
import functools
import json
import zlib
from collections.abc import Mapping
from typing import Any

from ..planner import service_rows

RECORDED = ("services", "slices", "endpoints")
"""Parts of a cluster's record that grow with its Services. Hosts keep them as the word that they are told."""


def pack(value: object) -> str:
    return _packed(service_rows.compact(value))


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 1)).decode()


def unpack(value: Any) -> Any:
    """What was packed; what never was, comes back as it is. Nobody may change it: whoever asks again gets the same."""
    return _unpacked(value) if isinstance(value, str) else value


@functools.lru_cache(maxsize=32)  # all hosts of a run remember the same
def _unpacked(word: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(word)))


def opened(observation: Mapping[str, Any]) -> dict[str, Any]:
    """An observation as the planner wants it, or a row with the same record."""
    record = observation.get("record")
    if not record or not record.get("cluster"):
        return dict(observation)
    cluster = {key: unpack(value) if key in RECORDED else value for key, value in record["cluster"].items()}
    return {**observation, "record": {**record, "cluster": cluster}}


def closed(plan: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """A plan as Ansible carries it about. What nobody will ask for stays behind.

    :param whole: whether somebody will ask for what the hosts have already.
    """
    verify = {**plan["verify"], "services": pack(plan["verify"]["services"])}
    return {**plan, "hosts": _closed_rows(plan["hosts"], whole), "verify": verify}


def _closed_rows(hosts: Mapping[str, dict[str, Any]], whole: bool) -> dict[str, dict[str, Any]]:
    """The rows of the hosts.

    The row of services becomes what ``changes.kube_record.pack`` makes of it.
    """
    words: dict[int, str] = {}
    ports: dict[int, str] = {}
    found = {}
    for name, rows in hosts.items():
        mine = dict(rows)
        if "node" in mine:
            mine["node"] = _closed_node(mine["node"], words)
        if "services" in mine:
            row = mine.pop("services")
            if whole or "services" in mine["pending"]:
                if id(row["ports"]) not in ports:  # which all nodes share
                    ports[id(row["ports"])] = service_rows.text_of_ports(row["ports"])
                mine["services"] = _packed(service_rows.text_of(row, ports[id(row["ports"])]))
        if "verify_services" in mine:
            mine["verify_services"] = {key: _text(value) for key, value in mine["verify_services"].items()}
        found[name] = mine
    return found


def opened_rows(rows: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of a host as the planner has made them."""
    found = dict(rows)
    if "services" in found:
        found["services"] = unpack(found["services"])
    if "node" in found:
        found["node"] = {**found["node"], **opened(found["node"])}
    return found


def _text(value: Any) -> Any:
    """Lists as JSON, for the module to read."""
    return service_rows.compact(value) if isinstance(value, list) else value


def _closed_node(row: Mapping[str, Any], words: dict[int, str]) -> dict[str, Any]:
    """Of what all hosts remember alike, each part is packed once: ``words`` are those by their ids."""
    cluster = dict(row["record"]["cluster"])
    for key in RECORDED:
        if key in cluster:
            if id(cluster[key]) not in words:
                words[id(cluster[key])] = pack(cluster[key])
            cluster[key] = words[id(cluster[key])]
    return {**row, "record": {**row["record"], "cluster": cluster}}
