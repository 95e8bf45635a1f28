"""hostPort: a node's own port that leads to one of its pods, as the portmap plugin of CNI does it.

Where the source stays: from outside and from other nodes. Where it cannot: a pod that reaches itself through the
node (the answer would never leave the pod), and a client on the node at 127.0.0.1 (which means another machine inside
of the pod); those leave with the node's address, told by a mark.
https://github.com/containernetworking/plugins/tree/main/plugins/meta/portmap
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...changes.netfilter.rules import GUARD, HOST_PORTS
from ...changes.system.sysctls import LOCALNET
from ...configs import PodConfig, TableConfig

MARK = "0x2000/0x2000"  # portmap's; kube-proxy's is 0x4000


@dataclass(frozen=True)
class HostPort:
    """``ip`` of the node is empty for all of its addresses."""

    pod: str  # namespace/name
    protocol: str
    ip: str
    port: int
    to: str  # address:port


def of_rows(rows: Sequence[PodConfig]) -> list[HostPort]:
    """Host ports of a node's pods, from their rows: a pod that stays as it was made has nothing else any more."""
    return [found for row in rows if not row.get("host_network") for found in _of_row(row)]


def _of_row(row: PodConfig) -> Iterator[HostPort]:
    meta, spec = row["object"]["metadata"], row["object"]["spec"]
    address = row["address"].split("/")[0]
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                ip = port.get("hostIP") or ""
                yield HostPort(
                    f"{meta['namespace']}/{meta['name']}",
                    port.get("protocol") or "TCP",
                    "" if ip == "0.0.0.0" else ip,
                    port["hostPort"],
                    f"{address}:{port['containerPort']}",
                )


def rows(ports: Sequence[HostPort]) -> Mapping[str, TableConfig]:
    """Table -> chains, as ``iptables-save`` prints them; empty where no pod asks for a port of the node."""
    if not ports:
        return {}
    way_in = f"-m addrtype --dst-type LOCAL -j {HOST_PORTS}"
    return {
        "nat": {
            "chains": {
                HOST_PORTS: [rule for port in ports for rule in _rules(port)],
                "PODLAB-MARK-MASQ": [f"-j MARK --set-xmark {MARK}"],
                "PODLAB-MASQ": [f"-m mark --mark {MARK} -j MASQUERADE --random-fully"],
            },
            "jumps": {"PREROUTING": [way_in], "OUTPUT": [way_in], "POSTROUTING": ["-j PODLAB-MASQ"]},
        },
        "filter": {
            # route_localnet opens 127.0.0.0/8 to the pods; only what came by a host port may pass.
            "chains": {
                GUARD: ["! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"]
            },
            "jumps": {"INPUT": [f"-j {GUARD}"]},
        },
    }


def sysctls(ports: Sequence[HostPort]) -> dict[str, str]:
    """With it a packet from 127.0.0.1 may leave for a pod. kube-proxy sets the same, for node ports."""
    return {LOCALNET: "1"} if ports else {}


def _rules(port: HostPort) -> list[str]:
    protocol = port.protocol.lower()
    ip = f"-d {port.ip}/32 " if port.ip else ""
    comment = f'-m comment --comment "{port.pod} hostport {port.port}"'
    match = f"-p {protocol} {comment} -m {protocol} --dport {port.port}"
    pod = port.to.partition(":")[0]
    return [
        f"-s {pod}/32 {ip}{match} -j PODLAB-MARK-MASQ",
        *([f"-s 127.0.0.1/32 {ip}{match} -j PODLAB-MARK-MASQ"] if not port.ip or port.ip.startswith("127.") else []),
        f"{ip}{match} -j DNAT --to-destination {port.to}",
    ]
