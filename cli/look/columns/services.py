"""Cells of Services and of what stands behind them. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ..table import NONE, Object, age, joined


def service(item: Object, now: datetime.datetime) -> list[str]:
    spec = item["spec"]
    ports = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port['protocol']}"
        for port in spec.get("ports", [])
    ]
    return [
        item["metadata"]["name"],
        spec["type"],
        spec.get("clusterIP") or NONE,
        _external_ip(item),
        ",".join(ports) or NONE,
        age(item, now),
        joined(spec.get("selector") or {}),
    ]


def _external_ip(item: Object) -> str:
    spec = item["spec"]
    if spec["type"] == "ExternalName":
        return str(spec["externalName"])
    own = list(spec.get("externalIPs") or [])
    if spec["type"] == "LoadBalancer":
        ingress = item["status"]["loadBalancer"].get("ingress", [])
        own = [*sorted({one.get("ip") or one["hostname"] for one in ingress}), *own]
        return ",".join(own) or "<pending>"
    return ",".join(own) or NONE


MOST_SHOWN = 3


def some(words: Sequence[str], empty: str) -> str:
    """The first three, and how many more there are."""
    more = len(words) - MOST_SHOWN
    return (",".join(words[:MOST_SHOWN]) or empty) + (f" + {more} more..." if more > 0 else "")


def endpoints(item: Object, now: datetime.datetime) -> list[str]:
    """kubectl shows those that are ready, and of the others nothing; here ``-o wide`` does."""
    return [
        item["metadata"]["name"],
        some(_addresses(item, "addresses"), NONE),
        age(item, now),
        some(_addresses(item, "notReadyAddresses"), NONE),
    ]


def _addresses(item: Object, field: str) -> list[str]:
    return [
        f"{address['ip']}:{port['port']}" if port else address["ip"]
        for subset in item.get("subsets") or []
        for port in subset.get("ports") or [None]
        for address in subset.get(field) or []
    ]


def endpointslice(item: Object, now: datetime.datetime) -> list[str]:
    ports = [str(port["port"]) if port.get("port") else port.get("name") or "*" for port in item.get("ports") or []]
    addresses = [address for endpoint in item.get("endpoints") or [] for address in endpoint["addresses"]]
    return [
        item["metadata"]["name"],
        item["addressType"],
        some(ports, "<unset>"),
        some(addresses, "<unset>"),
        age(item, now),
    ]
