"""Others that give pods a network: each makes the pods of a plan on a bare node, and is timed there.

The clock is read on the node by the very script that does the work, so that entering the node is not measured.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from . import packages
from .labs import BenchLab
from .node import INSIDE, NODE

CLOCK = "date +%s%N"


def ip_batch(
    made: BenchLab, planned: Mapping[str, Any], wires: Sequence[str], netns_commands: Mapping[str, Sequence[str]]
) -> tuple[float, float]:
    """The floor: the very lines that podlab has typed, by ip alone. Seconds for namespaces, and for all the rest."""
    bridge = planned["bridge"]
    outside = [
        f"link add {bridge['name']} address {bridge['mac']} mtu {bridge['mtu']} type bridge",
        f"link set {bridge['name']} up",
        f"addr add {bridge['address']} brd + dev {bridge['name']}",
        *wires,
    ]
    files = {"names": [f"netns add {netns}" for netns in netns_commands], "outside": outside, **netns_commands}
    script = [
        "cd /tmp",
        *(f"cat >{name} <<'END'\n" + "\n".join(lines) + "\nEND" for name, lines in files.items()),
        CLOCK,
        "ip -batch names",
        CLOCK,
        "ip -batch outside",
        *(f"ip -n {netns} -batch {netns}" for netns in netns_commands),
        CLOCK,
    ]
    names, rest = _between(made, script)
    return names, rest


def cni(made: BenchLab, planned: Mapping[str, Any]) -> float:
    """The plugins bridge and host-local, one ADD a pod. Their namespaces are made before, as a runtime does."""
    prefix = packages.bring(made, NODE, "/usr/lib/cni/bridge", ["containernetworking-plugins"])
    plugins = f"{prefix}/usr/lib/cni"
    network = {
        "cniVersion": "0.4.0",
        "name": "bench",
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "subnet": "10.1.1.0/24",
            "dataDir": "/run/cni",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    names = [row["netns"] for row in planned["pods"]["pods"]]
    script = [
        "cd /tmp",
        f"echo {shlex.quote(json.dumps(network))} >network",
        *(f"ip netns add {netns}" for netns in names),
        f"export CNI_COMMAND=ADD CNI_IFNAME=eth0 CNI_PATH={plugins}",
        CLOCK,
        *(
            f"CNI_CONTAINERID={netns} CNI_NETNS=/run/netns/{netns} {plugins}/bridge <network >answer || exec cat answer"
            for netns in names
        ),
        CLOCK,
    ]
    return _between(made, script)[0]


def mininet(made: BenchLab, planned: Mapping[str, Any]) -> float:
    """As many hosts at one Linux bridge. It cleans up by killing what is called as its own programs are, so it needs
    a host of its own even more than the others."""
    wanted = {"/usr/bin/mnexec": "mininet", "/usr/sbin/brctl": "bridge-utils", "/usr/sbin/ifconfig": "net-tools"}
    prefixes = {packages.bring(made, NODE, program, [package]) for program, package in wanted.items()}
    prefix = max(prefixes)
    path = ":".join(f"{prefix}{directory}" for directory in ("/usr/bin", "/usr/sbin", "/sbin"))
    program = (INSIDE / "mininet_start.py").read_text("utf-8")
    argv = ["sh", "-c", f'PATH={path}:$PATH exec python3 -I - "$@"', "sh", prefix, str(len(planned["pods"]["pods"]))]
    return float(made.on(NODE, *argv, text=program).out.split()[-1])


def looped(made: BenchLab, planned: Mapping[str, Any], some: int, of: int) -> float:
    """One task a kernel object and one item a pod, as playbooks are often written; so many pods, from which the time
    of all is worked out."""
    play = made.directory / "looped.yml"
    rows = planned["pods"]["pods"]
    seconds = {}
    for count in (0, some):
        pods = [{key: row[key] for key in ("netns", "address", "gateway")} for row in rows[:count]]
        for number, pod in enumerate(pods):
            pod["veth"] = f"veth{number}"
        play.write_text(json.dumps(_looped_play(planned["bridge"], pods)), "utf-8")
        seconds[count] = made.play(play)
    return seconds[0] + (seconds[some] - seconds[0]) * of / some


def _looped_play(bridge: Mapping[str, Any], pods: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    name = bridge["name"]
    commands = [
        "ip netns add {{ item.netns }}",
        "ip link add {{ item.veth }} type veth peer name eth0 netns {{ item.netns }}",
        f"ip link set {{{{ item.veth }}}} master {name} up",
        "ip -n {{ item.netns }} addr add {{ item.address }} dev eth0",
        "ip -n {{ item.netns }} link set eth0 up",
        "ip -n {{ item.netns }} route add default via {{ item.gateway }}",
    ]
    once = [] if not pods else [f"ip link add {name} type bridge", f"ip link set {name} up"]
    tasks: list[dict[str, Any]] = [{"ansible.builtin.command": command} for command in once]
    tasks += [{"ansible.builtin.command": command, "loop": list(pods)} for command in commands]
    return [{"hosts": NODE, "gather_facts": False, "tasks": tasks}]


def _between(made: BenchLab, script: Sequence[str]) -> list[float]:
    """Seconds between the times that a script prints."""
    out = made.on(NODE, "sh", "-e", text="\n".join(script) + "\n").out
    stamps = [int(word) for word in out.split() if word.isdigit()]
    return [(after - before) / 1e9 for before, after in pairwise(stamps)]
