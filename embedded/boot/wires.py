"""The lab's segments: bridges of the lab's init, and the veth pairs that lead from them into hosts."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import subprocess


def ip(lines: list[str], pid: int | None = None) -> None:
    """One ``ip -batch``, here or in the network namespace of a host."""
    if not lines:
        return
    enter = ["nsenter", "-t", str(pid), "-n"] if pid else []
    done = subprocess.run([*enter, "ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


def segment(interface: str) -> str:
    """The bridge that stands for a network is named by the network's address: it fits in 15 characters."""
    return str(ipaddress.ip_interface(interface).network.network_address)


def port(name: str, interface: str) -> str:
    """The bridge's end of a wire. Its alias tells what a host's name may be too long for."""
    return "p" + hashlib.sha256(f"{name} {interface}".encode()).hexdigest()[:12]


def links() -> dict[str, str]:
    """Links of the lab's init: name -> operational state."""
    listing = subprocess.run(["ip", "-j", "link", "show"], capture_output=True, text=True, check=True)
    return {link["ifname"]: link["operstate"] for link in json.loads(listing.stdout)}


def outer_lines(name: str, pid: int, interfaces: list[str], present: dict[str, str]) -> list[str]:
    lines = []
    for index, interface in enumerate(interfaces):
        end = port(name, interface)
        if end in present:
            lines.append(f"link del {end}")
        lines += [
            f"link add {end} type veth peer name eth{index} netns {pid}",
            f"link set {end} alias {name}:eth{index} master {segment(interface)} up",
        ]
    return lines


def inner_lines(host: dict, interfaces: list[str]) -> list[str]:
    lines = ["link set lo up"]
    for index, interface in enumerate(interfaces):
        lines += [f"addr add {interface} brd + dev eth{index}", f"link set eth{index} up"]
    if host["gateway"]:
        lines.append(f"route add default via {host['gateway']}")
    return lines


def prepare_holder() -> None:
    """Wires, not filters: the segments are layer 2 and carry IPv4 only."""
    ip(["link set lo up"])
    with open("/proc/sys/user/max_cgroup_namespaces", "w", encoding="ascii") as file:
        file.write("0")  # of the lab's user namespace, and so for all below it: who has one may mount cgroups
    for path, value in (("bridge/bridge-nf-call-iptables", "0"), ("ipv6/conf/default/disable_ipv6", "1")):
        try:
            with open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
                file.write(value)
        except FileNotFoundError:  # the kernel has no br_netfilter or no IPv6: nothing to switch off
            pass
