"""The settings of a cluster and the hosts that make it: the input of the plan, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from .addresses import overlaps
from .model import Image, Invalid
from .names import dns1123_subdomain

POD_ROUTING = ("gateway",)
ROLES = ("node", "gateway", "outside")


@dataclass(frozen=True)
class Cluster:
    """Settings that hold for every host; the argument spec of the ``plan`` role describes them."""

    cidr: str = "10.1.0.0/16"
    node_prefix: int = 24
    service_cidr: str = "10.96.0.0/16"
    node_port_range: str = "30000-32767"
    domain: str = "cluster.local"
    dns: str = ""
    pod_routing: str = "gateway"
    non_masquerade_cidrs: tuple[str, ...] = ("10.0.0.0/8",)
    bridge: str = "cbr0"
    verify_port: int = 20256
    images: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """One host of the inventory.

    ``observation`` is None when nothing is known of it now: it does not answer, or is beyond the cluster.
    A host that is not ``in_run`` gets no rows, whether or not it was read.
    """

    name: str
    role: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    observation: Mapping[str, Any] | None = None
    in_run: bool = True

    @property
    def record(self) -> Mapping[str, Any]:
        """What the host was told last; empty on a host that podlab has not marked."""
        return (self.observation or {}).get("record") or {}

    @property
    def is_managed(self) -> bool:
        """Whether this run may write to the host."""
        return self.in_run and self.observation is not None

    @property
    def is_probed(self) -> bool:
        """Whether verify has this host as an end. One beyond the cluster is called, and never read."""
        return self.is_managed or (self.in_run and self.role == "outside")

    @property
    def is_marked(self) -> bool:
        return bool(self.record)

    def all_labels(self) -> dict[str, str]:
        """The node's labels with those that a kubelet sets."""
        return {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", **self.labels}


def cluster_of(settings: Mapping[str, Any]) -> Cluster:
    """Settings as written in the inventory, with defaults for what is not.

    :raises Invalid: unknown settings, and values that cannot be.
    """
    known = {setting.name for setting in fields(Cluster)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise Invalid(
            f"cluster.{name}: unknown setting; there are: {', '.join(sorted(known))}" for name in unknown
        )
    given = dict(settings)
    wrong = [problem for name, value in given.items() for problem in _wrong_type(name, value)]
    if wrong:
        raise Invalid(wrong)
    if "non_masquerade_cidrs" in given:
        given["non_masquerade_cidrs"] = tuple(given["non_masquerade_cidrs"])
    if "images" in given:
        given["images"] = {name: image_of(image) for name, image in given["images"].items()}
    cluster = Cluster(**given)
    problems = _bad_ranges(cluster)
    if cluster.pod_routing not in POD_ROUTING:
        supported = ", ".join(f'"{word}"' for word in POD_ROUTING)
        problems.append(
            f'cluster.pod_routing: Unsupported value: "{cluster.pod_routing}": supported values: {supported}'
        )
    if not 1 <= cluster.verify_port <= 65535:
        problems.append(
            f"cluster.verify_port: Invalid value: {cluster.verify_port}: must be between 1 and 65535, inclusive"
        )
    problems += [f'cluster.domain: Invalid value: "{cluster.domain}": {text}' for text in dns1123_subdomain(cluster.domain)]
    if not _is_interface_name(cluster.bridge):
        problems.append(f'cluster.bridge: Invalid value: "{cluster.bridge}": must be 1 to 15 letters, digits, "-" or "_"')
    if problems:
        raise Invalid(problems)
    return cluster


def image_of(entry: Mapping[str, Any]) -> Image:
    """One entry of the catalogue as it stands in YAML."""
    return Image(
        entrypoint=tuple(map(str, entry.get("entrypoint", ()))),
        cmd=tuple(map(str, entry.get("cmd", ()))),
        path=str(entry.get("path", "")),
    )


def check_hosts(hosts: Sequence[Host], cluster: Cluster) -> list[str]:
    """What is wrong with the inventory."""
    problems, seen = [], {}
    for host in hosts:
        if dns1123_subdomain(host.name):
            problems.append(f'inventory: Invalid value: "{host.name}": {dns1123_subdomain(host.name)[0]}')
        try:
            address = str(IPv4Address(host.address))
        except AddressValueError:
            problems.append(
                f'inventory: {host.name}: Invalid value: "{host.address}": the cluster needs the host\'s IPv4 address; '
                "set ansible_host to it, or node_ip where Ansible reaches the host in another way"
            )
            continue
        if address in seen:
            problems.append(f"inventory: {host.name}: Duplicate value: {address} is {seen[address]}'s address already")
        seen.setdefault(address, host.name)
        for name, cidr in (("cluster.cidr", cluster.cidr), ("cluster.service_cidr", cluster.service_cidr)):
            if IPv4Address(address) in IPv4Network(cidr):
                problems.append(f"inventory: {host.name}: Invalid value: {address} lies in {name} {cidr}")
        for key in host.labels:
            if not isinstance(host.labels[key], str):
                problems.append(f"inventory: {host.name}: node_labels.{key}: Invalid value: {host.labels[key]}: must be a string")
    if not any(host.role == "node" for host in hosts):
        problems.append("inventory: the group nodes is empty; a cluster has at least one node")
    if cluster.pod_routing == "gateway" and not any(host.role == "gateway" for host in hosts):
        if sum(host.role == "node" for host in hosts) > 1:
            problems.append(
                'cluster.pod_routing: Invalid value: "gateway": the inventory has no host in the group gateways'
            )
    return problems


def _wrong_type(name: str, value: object) -> list[str]:
    kinds: dict[str, tuple[type, str]] = {
        "node_prefix": (int, "integer"),
        "verify_port": (int, "integer"),
        "non_masquerade_cidrs": (list, "array"),
        "images": (dict, "object"),
    }
    kind, word = kinds.get(name, (str, "string"))
    if isinstance(value, kind) and not isinstance(value, bool):
        return []
    return [f"cluster.{name}: Invalid value: {json.dumps(value, default=str)}: must be of type {word}"]


def _bad_ranges(cluster: Cluster) -> list[str]:
    problems = []
    for name, text in (
        ("cluster.cidr", cluster.cidr),
        ("cluster.service_cidr", cluster.service_cidr),
        *((f"cluster.non_masquerade_cidrs[{i}]", cidr) for i, cidr in enumerate(cluster.non_masquerade_cidrs)),
    ):
        try:
            IPv4Network(text)
        except ValueError as error:
            problems.append(f'{name}: Invalid value: "{text}": {_cidr_words(text, error)}')
    if not problems:
        problems += overlaps({"cluster.cidr": cluster.cidr, "cluster.service_cidr": cluster.service_cidr})
    return problems


def _cidr_words(text: object, error: ValueError) -> str:
    try:
        return f"host bits are set; the network address is {IPv4Network(str(text), strict=False)}"
    except ValueError:
        return f"must be a valid CIDR value, (e.g. 10.9.8.0/24): {error}"


def _is_interface_name(name: str) -> bool:
    return 1 <= len(name) <= 15 and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name)
