"""One plan of a big cluster, in a process of its own: ``python -m bench.planning NODES [again]`` prints JSON.

The hosts are made up here, as ``host/observe.py`` would tell of them: bare ones, or (``again``) such as stand when
everything of a first plan is in place.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

from podlab.changes import MARK, ROUTE_PROTOCOL
from podlab.changes.pods.pods import alias, veth_name
from podlab.configs import PodConfig
from podlab.controller import cache, inputs
from podlab.planner.configs.services import digest_of
from podlab.planner.inputs.host import Host
from podlab.planner.plan import plan
from podlab.records.observation import ObservedPod
from podlab.records.pod_config import NO_FACTS, Facts

ROOT = Path(__file__).resolve().parent.parent
PODS, DEPLOYMENTS = 30, 50  # a node; in all
NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"
# Room for 32,768 nodes with a /24 each, away from the service range.
SETTINGS = {"podlab_cluster_cidr": "10.128.0.0/9"}
GATEWAY, FIRST_NODE = "172.16.0.1", int(IPv4Address("172.16.0.2"))
RUNS: Facts = {**NO_FACTS, "pid": 100, "started": 0.0, "seen": 1.0}


def measure(nodes: int, *, again: bool) -> dict[str, Any]:
    """Seconds and peak MiB of one plan, and how many pods it has placed."""
    wanted, code = _wanted(nodes), cache.code_digest()
    found = (wanted.desired, wanted.programs)
    hosts = [bare(f"node{number + 1}", "node", str(IPv4Address(FIRST_NODE + number))) for number in range(nodes)]
    hosts.append(bare("gateway", "gateway", GATEWAY))
    first_cpu = None
    if again:
        started = time.process_time()
        first = plan(wanted.cluster, hosts, *found, NOW, wanted.problems, planner_code=code)
        first_cpu = time.process_time() - started
        hosts = [built(host, first["hosts"][host.name]) for host in hosts]
        del first
    before = forget_peak()
    started, cpu = time.perf_counter(), time.process_time()
    result = plan(wanted.cluster, hosts, *found, LATER, wanted.problems, planner_code=code)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    own = result["hosts"]["node1"]["node"]["record"]
    pending = sum(len(rows["pending"]) for rows in result["hosts"].values())
    if again and pending:
        raise SystemExit(f"the second plan finds {pending} components to do")
    return {
        "seconds": seconds,
        "cpu": cpu,
        "first_cpu": first_cpu,
        "peak": peak(),
        "before": before,
        "pods": sum(len(rows.get("pods", {}).get("pods", ())) for rows in result["hosts"].values()),
        "record": len(json.dumps(own)) / 2**20,
    }


def _wanted(nodes: int) -> inputs.Inputs:
    labels = [{"app": f"app{number}"} for number in range(DEPLOYMENTS)]
    container = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"]}
    items = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": label["app"]},
            "spec": {
                "replicas": nodes * PODS // DEPLOYMENTS,
                "selector": {"matchLabels": label},
                "template": {"metadata": {"labels": label}, "spec": {"containers": [container]}},
            },
        }
        for label in labels
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="podlab-bench-") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": items}, file)
        file.flush()
        return inputs.read(str(ROOT), file.name, SETTINGS)


# --- hosts ----------------------------------------------------------------------------------------------


def bare(name: str, role: str, address: str) -> Host:
    """A host as Debian leaves it behind."""
    seen: Any = {
        "record": None,
        "links": {
            "lo": _link(None, "00:00:00:00:00:00", ["127.0.0.1/8"], mtu=65536),
            "eth0": _link("veth", "02:00:00:00:00:01", [f"{address}/12"]),
        },
        "routes": [{"to": "172.16.0.0/12", "via": None, "dev": "eth0", "protocol": "kernel"}],
        "tunnels": {},
        "rules": {
            "filter": {"INPUT": [], "FORWARD": [], "OUTPUT": []},
            "nat": {"PREROUTING": [], "INPUT": [], "OUTPUT": [], "POSTROUTING": []},
        },
        "sysctls": {
            "net.ipv4.ip_forward": "0",
            "net.bridge.bridge-nf-call-iptables": "1",
            "net.ipv4.conf.all.rp_filter": "0",
            "net.ipv4.conf.all.send_redirects": "1",
            "net.ipv4.conf.eth0.rp_filter": "0",
            "net.ipv4.conf.eth0.forwarding": "0",
            "net.ipv4.conf.default.forwarding": "0",
            "net.ipv4.conf.eth0.send_redirects": "1",
        },
        "pods": {},
        "namespaces": [],
        "programs": {},
        "missing": {},
        "kernel": {"loadable": [], "missing": [], "may_load": False},
        "ids": {"uid": [[0, 65536]], "gid": [[0, 65536]]},
        "resolv_conf": "",
    }
    return Host(name, role, address, observation=seen)


def built(host: Host, rows: Mapping[str, Any]) -> Host:
    """The same host when its rows have been applied. Hosts share the record here, as they do once it was decoded; what
    a host tells of its pods is its own, read out of text."""
    seen: Any = dict(host.seen)
    recorded = {key: seen["sysctls"].get(key) for key in rows["node"]["sysctls"]}
    seen["record"] = {**rows["node"]["record"], "sysctls": recorded}
    seen["sysctls"] = {**seen["sysctls"], **rows["node"]["sysctls"]}
    seen["routes"] = [
        *seen["routes"],
        *({"dev": "eth0", **route, "protocol": str(ROUTE_PROTOCOL)} for route in rows["routes"]["routes"]),
    ]
    if host.role == "node":
        frame, links = rows["bridge"], dict(seen["links"])
        links[frame["name"]] = _link("bridge", frame["mac"], [frame["address"]], alias=MARK, mtu=frame["mtu"])
        for row in rows["pods"]["pods"]:
            wire = {"alias": alias(row["netns"]), "master": row["bridge"], "hairpin": True, "mtu": row["mtu"]}
            links[veth_name(row["netns"])] = _link("veth", "02:00:00:00:00:02", [], **wire)
        seen["links"] = links
        network = str(IPv4Interface(frame["address"]).network)
        seen["routes"].append({"to": network, "via": None, "dev": frame["name"], "protocol": "kernel"})
        seen["pods"] = json.loads(json.dumps({row["netns"]: _pod(row) for row in rows["pods"]["pods"]}))
        seen["programs"] = rows["pods"]["programs"]
        seen["services"] = {"row": digest_of(rows["services"]), "sound": True}
        seen["rules"] = {
            table: {
                **seen["rules"][table],
                **row["chains"],
                **{chain: [*seen["rules"][table][chain], *jumps] for chain, jumps in row["jumps"].items()},
            }
            for table, row in rows["egress"].items()
        }
    return Host(host.name, host.role, host.address, observation=seen)


def _link(kind: str | None, mac: str, addresses: list[str], **more: Any) -> dict[str, Any]:
    facts = {"kind": kind, "alias": "", "mac": mac, "mtu": 1500, "up": True, "master": None, "hairpin": False}
    return {**facts, "addresses": addresses, **more}


def _pod(row: PodConfig) -> ObservedPod:
    eth0: Any = _link("veth", row["mac"], [row["address"]], mtu=row["mtu"])
    return {
        "sandbox": True,
        "row": row,
        "services": list(row["containers"]),
        "facts": dict.fromkeys(row["containers"], RUNS),
        "initialized": False,
        "kubelet": False,
        "age": None,
        "lost": [],
        "unlogged": [],
        "incomplete": [],
        "neighbours": [],
        "connected": [str(IPv4Interface(row["address"]).network)],
        "eth0": eth0,
        "lo_up": True,
        "routes": [f"default via {row['gateway']} dev eth0"],
    }


# --- memory ---------------------------------------------------------------------------------------------


def forget_peak() -> float:
    """Begin to look for the peak of resident memory anew (proc(5), clear_refs); MiB now."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return _status("VmRSS")


def peak() -> float:
    return _status("VmHWM")


def _status(key: str) -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{key}:")) / 1024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), again="again" in sys.argv[2:])))
