"""A host of the inventory, with what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from ...changes.system.marks import marks
from ...records.host_record import HostRecord
from ...records.observation import Observation, ObservedPod

_NOTHING: Any = {}

ARCH_LABELS = ("kubernetes.io/arch", "beta.kubernetes.io/arch")


@dataclass(frozen=True)
class Host:
    """One host of the inventory.

    ``taints`` are (key, value, effect). ``observation`` is None when nothing is known of it now: it does not
    answer, or is beyond the cluster. A host that is not ``in_run`` gets no rows, whether or not it was read.
    ``wrong`` is what is wrong with its variables, for ``check_hosts`` to tell. ``boot`` is whether it puts everything
    back after a reboot by itself; None: where it has systemd. ``unavailable`` is why the packages of programs that it
    lacks could not be installed. ``lost`` are parts of its record that something else stands in for.
    """

    name: str
    role: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    observation: Observation | None = None
    in_run: bool = True
    taints: tuple[tuple[str, str, str], ...] = ()
    wrong: tuple[str, ...] = ()
    boot: bool | None = None
    unavailable: str = ""
    lost: tuple[str, ...] = ()

    @property
    def seen(self) -> Observation:
        """What the host tells; nothing where nothing is known of it."""
        return self.observation or _NOTHING

    @property
    def record(self) -> HostRecord:
        """What the host was told last; empty on a host that podlab has not marked."""
        return self.seen.get("record") or {}

    @cached_property
    def addresses(self) -> list[str]:
        """Those of all its links, with prefix length; none where nothing is known of it."""
        links = self.seen.get("links", {}).values()
        return [text for link in links for text in link["addresses"]]

    @cached_property
    def subnet(self) -> IPv4Network | None:
        """The network of the link that bears the host's address, as far as it was seen."""
        own = (text for text in self.addresses if text.partition("/")[0] == self.address)
        return next((IPv4Interface(text).network for text in own), None)

    @property
    def is_managed(self) -> bool:
        """Whether this run may write to the host."""
        return self.in_run and self.observation is not None

    @property
    def is_probed(self) -> bool:
        """Whether verify has this host as an end. One beyond the cluster is called, and never read."""
        return self.is_managed or (self.in_run and self.role == "outside")

    @cached_property
    def told_pods(self) -> list[tuple[str, ObservedPod]]:
        """The pods of which it still has the row, each with its key, ``namespace/name``."""
        found = []
        for pod in self.seen.get("pods", {}).values():
            if pod["row"] is not None:
                meta = pod["row"]["object"]["metadata"]
                found.append((f"{meta['namespace']}/{meta['name']}", pod))
        return found

    @cached_property
    def is_marked(self) -> bool:
        """Whether podlab has been there: it has its record, or what bears its mark where that was lost."""
        seen = self.observation
        return bool(self.record or (seen and marks(seen["links"], seen["routes"], self.rules, seen["pods"])))

    @property
    def rules(self) -> Mapping[str, Mapping[str, list[str]]]:
        """Table -> chain -> its rules, as ``iptables-save`` prints them."""
        return self.seen["rules"]

    def all_labels(self) -> dict[str, str]:
        """The node's labels with those that a kubelet sets by itself
        (https://kubernetes.io/docs/reference/node/node-labels/)."""
        own = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux"}
        machine = self.seen.get("machine")
        if machine:
            own |= dict.fromkeys(ARCH_LABELS, architecture(machine))
        return {**own, **self.labels}


def architecture(machine: str) -> str:
    """What Kubernetes calls a machine that ``uname -m`` calls so: the word that Go has for it."""
    names = {
        **{"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i586": "386", "i686": "386"},
        **{"armv6l": "arm", "armv7l": "arm", "armv8l": "arm", "loongarch64": "loong64"},
    }
    return names.get(machine, machine)
