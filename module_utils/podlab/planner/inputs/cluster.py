"""Settings and hosts as they are written, checked: the input of the plan."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from ..ipam.parsing import overlaps
from ..ipam.pod_cidrs import LONGEST_NODE_PREFIX
from ..manifests.names import dns1123_subdomain
from ..manifests.scheduling_fields import taint
from ..model import Image, Invalid
from ..routing.registry import POD_ROUTING
from .host import Host
from .service_settings import bad_settings
from .settings import SETTINGS, Cluster, Setting, setting_of

LARGEST_VNI = 2**24 - 1
ROLES = ("node", "gateway", "outside")
UNKNOWN_IMAGES = ("stand-in", "refuse")
OF_MANIFESTS = ("allow_", "images", "unknown_images", "manifests_")
TRUTH = {**dict.fromkeys(("true", "yes", "on"), True), **dict.fromkeys(("false", "no", "off"), False)}


def for_manifests(settings: Mapping[str, Any]) -> Cluster:
    """Those settings alone by which manifests are read, so that what is wrong there is told as well where another
    setting is wrong; the defaults where they are wrong themselves.
    """
    names = [setting_of(member.name) for member in fields(Cluster) if member.name.startswith(OF_MANIFESTS)]
    try:
        return cluster_of({name: settings[name] for name in names if name in settings})
    except Invalid:
        return Cluster()


def cluster_of(settings: Mapping[str, Any]) -> Cluster:
    """Settings as written in the inventory, by their names, with defaults for what is not.

    :raises Invalid: values that cannot be.
    """
    problems: list[str] = []
    given: dict[str, Any] = {}
    for attribute in sorted(member.name for member in fields(Cluster)):
        setting = SETTINGS[setting_of(attribute)]
        if setting.name in settings:
            value = _read(settings[setting.name], setting.type)
            wrong = _wrong_type(setting, value)
            problems += wrong
            if not wrong:
                given[attribute] = tuple(value) if setting.type is list else value
    if "images" in given:
        given["images"] = {name: image_of(image) for name, image in given["images"].items()}
    cluster = Cluster(**given)
    problems += _bad_ranges(cluster)
    if cluster.pod_routing not in POD_ROUTING:
        supported = ", ".join(f'"{word}"' for word in POD_ROUTING)
        problems.append(
            f'podlab_pod_routing: Unsupported value: "{cluster.pod_routing}": supported values: {supported}'
        )
    if cluster.unknown_images not in UNKNOWN_IMAGES:
        supported = ", ".join(f'"{word}"' for word in UNKNOWN_IMAGES)
        problems.append(
            f'podlab_unknown_images: Unsupported value: "{cluster.unknown_images}": supported values: {supported}'
        )
    problems += _bad_port_range(cluster.node_port_range)
    problems += bad_settings(cluster)
    problems += _bad_numbers(cluster)
    domain = cluster.domain
    problems += [f'podlab_domain: Invalid value: "{domain}": {words}' for words in dns1123_subdomain(domain)]
    if cluster.dns and not _is_address(cluster.dns):
        problems.append(
            f"podlab_dns: Invalid value: {json.dumps(cluster.dns)}: must be a valid IP address, (e.g. 10.9.8.7)"
        )
    if not _is_interface_name(cluster.bridge):
        problems.append(
            f'podlab_bridge: Invalid value: "{cluster.bridge}": must be 1 to 15 letters, digits, "-" or "_"'
        )
    if problems:
        raise Invalid(problems)
    return cluster


def manifests_of(settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Files and directories of manifests, and what is wrong with them as a setting."""
    setting = SETTINGS["podlab_manifests"]
    written = settings.get(setting.name, setting.default)
    if isinstance(written, list) and written and all(isinstance(path, str) for path in written):
        return written, []
    wrong = _wrong_type(setting, written)
    return [setting.default if wrong else written], wrong


def image_of(entry: Mapping[str, Any]) -> Image:
    """One entry of the catalogue as it stands in YAML."""
    return Image(
        entrypoint=tuple(map(str, entry.get("entrypoint", ()))),
        cmd=tuple(map(str, entry.get("cmd", ()))),
        path=str(entry.get("path", "")),
        binds=dict(entry.get("binds", {})),
        ports=tuple(entry.get("ports", ())),
    )


def labels_of(written: object) -> tuple[dict[str, str], tuple[str, ...]]:
    """``node_labels`` of a host, and what is wrong with them. What a label's value has to be ``check_hosts`` tells."""
    if not isinstance(written, dict):
        return {}, tuple(_unless(written, dict, "node_labels"))
    wrong = [line for key in written for line in _unless(key, str, f"node_labels[{key}]")]
    return {key: value for key, value in written.items() if isinstance(key, str)}, tuple(wrong)


def taints_of(written: object) -> tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]:
    """``node_taints`` of a host, in the words of ``kubectl taint``: the taints, and what is wrong with the rest."""
    if not isinstance(written, list):
        return (), tuple(_unless(written, list, "node_taints"))
    found: dict[tuple[str, str], tuple[str, str, str]] = {}
    wrong: list[str] = []
    for item in written:
        one = taint(item) if isinstance(item, str) else "must be of type string"
        if isinstance(one, str):
            wrong.append(f"node_taints: Invalid value: {json.dumps(item, default=str)}: {one}")
        elif found.setdefault((one[0], one[2]), one) is not one:
            wrong.append(f"node_taints: Duplicate value: {json.dumps(item)}")
    return tuple(found.values()), tuple(wrong)


def check_hosts(hosts: Sequence[Host], cluster: Cluster) -> list[str]:
    """What is wrong with the inventory."""
    problems: list[str] = []
    owners: dict[str, str] = {}  # address -> host
    names = Counter(host.name for host in hosts)
    problems += [f"inventory: {name}: a host is in one group only" for name, count in names.items() if count > 1]
    for host in hosts:
        if dns1123_subdomain(host.name):
            problems.append(f'inventory: Invalid value: "{host.name}": {dns1123_subdomain(host.name)[0]}')
        problems += [f"inventory: {host.name}: {line}" for line in host.wrong]
        labels = f"inventory: {host.name}: node_labels"
        problems += [line for key, value in host.labels.items() for line in _unless(value, str, f"{labels}.{key}")]
        if not _is_address(host.address):
            problems.append(
                f'inventory: {host.name}: Invalid value: "{host.address}": the cluster needs the host\'s IPv4 address; '
                "set ansible_host to it, or node_ip where Ansible reaches the host in another way"
            )
            continue
        address = host.address
        owner = owners.setdefault(address, host.name)
        if owner != host.name:
            problems.append(f"inventory: {host.name}: Duplicate value: {address} is {owner}'s address already")
        for name, cidr in (("podlab_cluster_cidr", cluster.cidr), ("podlab_service_cidr", cluster.service_cidr)):
            if IPv4Address(address) in IPv4Network(cidr):
                problems.append(f"inventory: {host.name}: Invalid value: {address} lies in {name} {cidr}")
    roles = Counter(host.role for host in hosts)
    if not roles["node"]:
        problems.append("inventory: the group nodes is empty; a cluster has at least one node")
    problems += POD_ROUTING[cluster.pod_routing].lacking(roles)
    return problems


def _read(value: Any, kind: type) -> Any:
    """A number or a truth value that stands in quotes, or behind ``-e NAME=``, as Ansible reads it of an argument."""
    if not isinstance(value, str):
        return value
    if kind is int and re.fullmatch("-?[0-9]{1,9}", value):
        return int(value)
    return TRUTH.get(value.lower(), value) if kind is bool else value


def _wrong_type(setting: Setting, value: Any) -> list[str]:
    problems = _unless(value, setting.type, setting.name)
    if setting.name == "podlab_images" and not problems:
        problems = [line for image, entry in value.items() for line in _wrong_image(image, entry)]
    return problems


def _wrong_image(name: str, entry: object) -> list[str]:
    path = f"podlab_images[{name}]"
    if not isinstance(entry, dict):
        return _unless(entry, dict, path)
    return [
        *_wrong_words(entry.get("entrypoint", []), f"{path}.entrypoint"),
        *_wrong_words(entry.get("cmd", []), f"{path}.cmd"),
        *_unless(entry.get("path", ""), str, f"{path}.path"),
        *_wrong_binds(entry.get("binds", {}), f"{path}.binds"),
        *_wrong_ports(entry.get("ports", []), f"{path}.ports"),
    ]


def _wrong_words(words: object, path: str) -> list[str]:
    """A number is a word of a command as well: YAML has no other way to say so without quotes."""
    if not isinstance(words, list):
        return _unless(words, list, path)
    return [
        line
        for index, word in enumerate(words)
        if not isinstance(word, (int, float)) or isinstance(word, bool)
        for line in _unless(word, str, f"{path}[{index}]")
    ]


def _wrong_ports(ports: object, path: str) -> list[str]:
    if not isinstance(ports, list):
        return _unless(ports, list, path)
    return [
        line or f"{path}[{index}]: Invalid value: {port}: must be between 1 and 65535, inclusive"
        for index, port in enumerate(ports)
        for line in _unless(port, int, f"{path}[{index}]") or ([""] if not 1 <= port <= 65535 else [])
    ]


def _wrong_binds(binds: object, path: str) -> list[str]:
    """Both sides of a bind are absolute paths, and lead nowhere but where they say."""
    if not isinstance(binds, dict):
        return _unless(binds, dict, path)
    problems = []
    for inside, outside in binds.items():
        for side in (inside, outside):
            if not isinstance(side, str) or not side.startswith("/") or ".." in side.split("/") or "\0" in side:
                shown = json.dumps(side, default=str)
                problems.append(f"{path}[{inside}]: Invalid value: {shown}: must be an absolute path without '..'")
    return problems


def _unless(value: object, kind: type, path: str) -> list[str]:
    """The problem of a value that is of another type, in the words of JSON."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return []
    word = {int: "integer", list: "array", dict: "object", str: "string", bool: "boolean"}[kind]
    return [f"{path}: Invalid value: {json.dumps(value, default=str)}: must be of type {word}"]


def _bad_ranges(cluster: Cluster) -> list[str]:
    problems = overlaps({"podlab_cluster_cidr": cluster.cidr, "podlab_service_cidr": cluster.service_cidr})
    for index, cidr in enumerate(cluster.non_masquerade_cidrs):
        problems += overlaps({f"podlab_non_masquerade_cidrs[{index}]": cidr})
    if not problems:
        shortest = IPv4Network(cluster.cidr).prefixlen
        if not shortest <= cluster.node_prefix <= LONGEST_NODE_PREFIX:
            problems.append(
                f"podlab_node_prefix: Invalid value: {cluster.node_prefix}: must be between {shortest}, "
                f"the length of podlab_cluster_cidr's prefix, and {LONGEST_NODE_PREFIX}, inclusive"
            )
    return problems


def _bad_numbers(cluster: Cluster) -> list[str]:
    problems = []
    if cluster.ready_timeout < 0:
        wrong = f"Invalid value: {cluster.ready_timeout}: must be greater than or equal to 0"
        problems.append(f"podlab_ready_timeout: {wrong}")
    limits = {"verify_port": 65535, "vxlan_port": 65535, "vxlan_id": LARGEST_VNI}
    return problems + [
        f"{setting_of(name)}: Invalid value: {getattr(cluster, name)}: must be between 1 and {largest}, inclusive"
        for name, largest in limits.items()
        if not 1 <= getattr(cluster, name) <= largest
    ]


def _bad_port_range(written: str) -> list[str]:
    """Two ports with a hyphen between, the lower one first (``--service-node-port-range`` of the API server)."""
    first, _, last = (port if re.fullmatch("[0-9]{1,5}", port) else "0" for port in written.partition("-"))
    if 1 <= int(first) <= int(last) <= 65535:
        return []
    return [
        f"podlab_node_port_range: Invalid value: {json.dumps(written)}: must be two ports, the lower one first "
        "(e.g. 30000-32767)"
    ]


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _is_interface_name(name: str) -> bool:
    return 1 <= len(name) <= 15 and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name)
