"""What is wrong with a list of pods, by itself and on this host: all of it, before anything is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Interface
from typing import Any

from ... import configs as types
from ...records.observation import Link
from ...shapes import misfit
from .. import input_checks as check
from ..network.defaults import BRIDGE, gateway
from .configs import Item, complete, namespace_of, netns_of

EXAMPLE = "10.1.1.2/24"
POLICIES = ("Always", "OnFailure", "Never")
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(rf"{_LABEL}(\.{_LABEL})*").fullmatch


def problems(items: Sequence[Any]) -> list[str]:
    """What is wrong with the list by itself, in sentences."""
    found = [f"{_label(n, item)}: {words}" for n, item in enumerate(items) for words in _of_item(item)]
    named = [item for item in items if isinstance(item, Mapping) and isinstance(item.get("name"), str)]
    names = Counter(f"{namespace_of(item)}/{item['name']}" for item in named)
    found += [
        f"pod {name} is in the list {count} times; give each pod a name" for name, count in names.items() if count > 1
    ]
    wired = [item for item in named if not item.get("host_network") and check.interface(item.get("address"))]
    taken = Counter(item["address"].partition("/")[0] for item in wired)
    for address in (address for address, count in taken.items() if count > 1):
        both = [item["name"] for item in wired if item["address"].partition("/")[0] == address]
        found.append(f"pods {', '.join(both)}: address {address} is given to each of them; one pod can have it")
    return found


def _label(number: int, item: Any) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return f"pod {name}" if name else f"pods_list[{number}]"


def _of_item(item: Any) -> Iterator[str]:
    if not isinstance(item, Mapping):
        yield "write a pod as a mapping with name, address and containers"
        return
    wrong = [*_missing(item, "name", "address", "containers"), *_of_names(item), *_of_wire(item)]
    containers = item.get("containers")
    if isinstance(containers, list) and containers:
        wrong += [words for n, one in enumerate(containers) for words in _of_container(n, one)]
        names = Counter(one.get("name") for one in containers if isinstance(one, Mapping))
        wrong += [
            f"containers: {name} is the name of {count}; give each its own"
            for name, count in names.items()
            if count > 1
        ]
    elif containers not in (None, ""):
        wrong.append("containers: write a list with one at least, each with name and command")
    yield from wrong or filter(None, [misfit(complete(item), types.PodConfig)])


def _missing(item: Mapping[str, Any], *needed: str) -> list[str]:
    """Those that have no default."""
    return [f"{field}: it is missing" for field in needed if item.get(field) in (None, "")]


def _of_names(item: Item) -> Iterator[str]:
    words = "is no name; take lower case letters, digits and '-', and begin and end with a letter or digit"
    name, namespace = item.get("name"), namespace_of(item)
    if name and not (isinstance(name, str) and _is_subdomain(name)):
        yield f"name: {name!r} {words}"
    if not (isinstance(namespace, str) and _is_label(namespace)):
        yield f"namespace: {namespace!r} {words}"
    if item.get("restart_policy") not in (None, *POLICIES):
        yield f"restart_policy: {item['restart_policy']!r} is none of {', '.join(POLICIES)}"


def _of_wire(item: Item) -> Iterator[str]:
    if item.get("host_network"):
        return
    checks = {"bridge": check.of_link, "mac": check.of_mac, "mtu": check.of_mtu}
    for field, words in checks.items():
        if item.get(field) is not None:
            yield from words(field, item[field])
    if item.get("address"):
        yield from check.of_interface("address", item["address"], EXAMPLE)
    if own := check.interface(item.get("address")):
        yield from _of_gateway(item.get("gateway"), own)


def _of_gateway(given: object, own: IPv4Interface) -> Iterator[str]:
    way = check.address(gateway(str(own)) if given is None else given)
    if way is None:
        yield f"gateway: {check.shown(given)}write the bridge's IPv4 address, without prefix length"
    elif way not in own.network:
        yield f"gateway: {way} is not in {own.network}, the network of address {own}"
    elif way == own.ip:
        yield f"address: {way} is the gateway's; give the pod another one"


def _of_container(number: int, one: Any) -> Iterator[str]:
    if not isinstance(one, Mapping):
        yield f"containers[{number}]: write a container as a mapping with name and command"
        return
    label = f"container {one['name']}" if one.get("name") else f"containers[{number}]"
    wrong = _missing(one, "name", "command")
    if one.get("name") and not (isinstance(one["name"], str) and _is_label(one["name"])):
        wrong.append(f"name: {one['name']!r} is no name; take lower case letters, digits and '-'")
    command = one.get("command")
    if command and not (isinstance(command, list) and all(isinstance(word, str) for word in command)):
        wrong.append('command: write a list of words, and numbers in quotes, as [sleep, "3600"]')
    yield from (f"{label}: {words}" for words in wrong)


def in_the_way(items: Sequence[Item], others: Collection[str]) -> list[str]:
    """:param others: named network namespaces that podlab has not made."""
    words = "network namespace {} is in the way: podlab has not made it; remove it, or give pod {} another name"
    return [words.format(netns_of(item), item["name"]) for item in items if netns_of(item) in others]


def without_bridge(rows: Sequence[types.PodConfig], links: Mapping[str, Link]) -> list[str]:
    """What cannot be connected."""
    wanted: dict[str, list[str]] = {}
    for row in rows:
        if not row.get("host_network") and row["bridge"] not in links:
            wanted.setdefault(row["bridge"], []).append(row["netns"].replace("_", "/"))
    return [
        f"there is no bridge {name} for pods {', '.join(pods)}; the role bridge makes it, as {BRIDGE} by default"
        for name, pods in wanted.items()
    ]
