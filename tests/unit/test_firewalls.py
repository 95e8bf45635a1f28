"""Firewalls of others, from what nft prints to what a run says of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.netfilter import firewalls
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.preflight import firewalls as planner
from podlab.planner.verify import pod_report
from podlab.records.observation import BaseChain

RECORDED = Path(__file__).parents[1] / "nftables"


def recorded(name: str, *, uses_nft: bool = True) -> list[BaseChain]:
    return chains(json.loads((RECORDED / f"{name}.json").read_text()), uses_nft=uses_nft)


def chains(document: dict[str, Any], *, uses_nft: bool = True) -> list[BaseChain]:
    """What a host tells that has these tables."""
    found = []
    for chain in (entry["chain"] for entry in document["nftables"] if "hook" in entry.get("chain", {})):
        if chain["hook"] in firewalls.HOOKS and firewalls.is_foreign(
            chain["family"], chain["table"], chain["name"], uses_nft=uses_nft
        ):
            own = [entry for entry in document["nftables"] if next(iter(entry.values())).get("table") == chain["table"]]
            one: Any = {key: chain.get(key, "accept") for key in ("family", "table", "hook", "policy")}
            found.append(
                firewalls.base_chain({**one, "tool": "nft", "chain": chain["name"], "rules": []}, {"nftables": own})
            )
    return found


def link(*addresses: str, alias: str = "") -> dict[str, Any]:
    return {"addresses": list(addresses), "alias": alias, "up": True, "mac": "", "kind": None}


def hosts(found: list[BaseChain], on: str, nat: list[str] | None = None) -> list[Host]:
    """A gateway and two nodes, one of which has a firewall."""
    seen: dict[str, dict[str, Any]] = {
        "gateway": {"links": {"eth0": link("10.100.0.1/24"), "eth1": link("198.51.100.1/24")}},
        "node1": {"links": {"eth0": link("10.100.0.2/24"), "cbr0": link("10.1.1.1/24", alias="podlab")}},
        "node2": {"links": {"eth0": link("10.100.0.3/24"), "cbr0": link("10.1.2.1/24", alias="podlab")}},
    }
    for observation in seen.values():
        observation |= {"rules": {"nat": {}, "filter": {}}, "routes": []}
    seen[on] |= {"firewalls": json.loads(json.dumps(found)), "rules": {"nat": {"POSTROUTING": nat or []}}}
    roles = {"gateway": ("gateway", "10.100.0.1"), "node1": ("node", "10.100.0.2"), "node2": ("node", "10.100.0.3")}
    inside = [Host(name, *roles[name], observation=observation) for name, observation in seen.items()]
    return [*inside, Host("outside", "outside", "198.51.100.10")]


def told(found: list[BaseChain], on: str = "node1", **setting: Any) -> list[planner.Finding]:
    return planner.findings(Cluster(**setting), hosts(found, on))


def test_what_a_run_says_of_firewalls(golden) -> None:
    lines = []
    for name in ("ufw", "docker", "firewalld", "firewalld-trusted", "workstation", "router"):
        for host in ("node1", "gateway"):
            lines += [f"== {name} on {host}"]
            lines += [
                f"{'' if one['sure'] else '(if verify fails) '}{one['words']}" for one in told(recorded(name), host)
            ]
    golden("firewalls.txt", "\n".join(lines) + "\n")


def test_rules_of_the_other_kind_of_iptables_are_somebody_elses() -> None:
    (found,) = (one for one in told(recorded("docker", uses_nft=False)) if one["stops"])
    assert "chain FORWARD of table ip filter (hook forward) drops what pods send" in found["words"]
    text = (RECORDED.parent / "nftables" / "docker.save").read_text()
    (found,) = (one for one in told(firewalls.from_iptables(text, "iptables-legacy")) if one["stops"])
    assert found["words"].startswith(
        "node1: iptables-legacy chain FORWARD of table filter (hook forward) drops what pods send"
    )
    assert "iptables-legacy -t filter -I FORWARD -s 10.1.0.0/16 -j ACCEPT" in found["words"]


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        ("-o eth0 -j MASQUERADE", True),
        ("-s 10.0.0.0/8 -j SNAT --to-source 192.0.2.1", True),
        ("-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", False),
        ("-s 10.1.0.0/16 -j PODLAB-EGRESS", False),
        ("-o wlan0 -j MASQUERADE", False),
    ],
)
def test_who_masquerades_before_podlab_does(rule: str, is_told: bool) -> None:
    found = planner.findings(Cluster(), hosts([], "node1", [rule]))
    assert [one["words"].partition(" (hook")[0] for one in found] == [
        "node1: iptables chain POSTROUTING of table nat"
    ] * is_told


def chain(*rules: Any, policy: str = "drop", hook: str = "forward") -> dict[str, Any]:
    """A table with one chain; a rule is what it tests, and its verdict."""
    place = {"family": "inet", "table": "t"}
    base = {**place, "name": hook, "type": "filter", "hook": hook, "prio": 0, "policy": policy}
    listed = [{"rule": {**place, "chain": hook, "handle": 1, "expr": list(rule)}} for rule in rules]
    return {"nftables": [{"chain": base}, *listed]}


def match(what: str, value: Any, op: str = "==") -> dict[str, Any]:
    left: dict[str, Any] = (
        {"payload": {"protocol": "ip", "field": what}} if what.endswith("addr") else {"meta": {"key": what}}
    )
    return {"match": {"op": op, "left": left, "right": value}}


ACCEPT, DROP = {"accept": None}, {"drop": None}
PODS = {"prefix": {"addr": "10.1.0.0", "len": 16}}
BOTH = [(match("saddr", PODS), ACCEPT), (match("daddr", PODS), ACCEPT)]


@pytest.mark.parametrize(
    ("rules", "policy", "whom"),
    [
        pytest.param([], "accept", [], id="nothing"),
        pytest.param([], "drop", ["pods send", "to pods", "outside"], id="its policy"),
        pytest.param(BOTH, "drop", [], id="its policy, behind what lets the cluster pass"),
        pytest.param(BOTH[:1], "drop", ["to pods", "outside"], id="its policy, behind what lets half of it pass"),
        pytest.param(
            [(match("iifname", "cbr0"), ACCEPT)], "drop", ["to pods", "outside"], id="who comes by the bridge passes"
        ),
        pytest.param(
            [(match("saddr", {"prefix": {"addr": "10.1.2.0", "len": 24}}), DROP)],
            "accept",
            ["pods send"],
            id="some pods",
        ),
        pytest.param(
            [(match("saddr", {"range": ["10.1.9.0", "10.1.9.9"]}), DROP)], "accept", ["pods send"], id="a range"
        ),
        pytest.param([(match("saddr", "198.51.100.10"), DROP)], "accept", ["outside"], id="somebody outside"),
        pytest.param([(match("iifname", {"set": ["wlan0", "tun*"]}), DROP)], "accept", [], id="links of nobody here"),
        pytest.param(
            [(match("oifname", "docker0", "!="), DROP)],
            "accept",
            ["pods send", "to pods", "outside"],
            id="all but one",
        ),
        pytest.param([(match("nfproto", "ipv6"), DROP)], "accept", [], id="IPv6"),
        pytest.param(
            [({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["invalid"]}}, DROP)],
            "accept",
            [],
            id="invalid ones",
        ),
        pytest.param(
            [({"limit": {"rate": 1}}, ACCEPT)], "drop", ["pods send", "to pods", "outside"], id="a limit lets some pass"
        ),
    ],
)
def test_whom_a_chain_stops(rules, policy, whom) -> None:
    found = told(chains(chain(*rules, policy=policy)))
    assert len(found) == bool(whom)
    words = found[0]["words"] if found else ""
    assert [one for one in ("pods send", "to pods", "outside") if one in words.partition("; podlab has")[0]] == whom


def test_what_depends_on_a_set_is_only_said_where_verify_fails() -> None:
    found = told(chains(chain((match("saddr", "@banned"), DROP), policy="accept")))
    assert [one["sure"] for one in found] == [False]
    assert planner.notes(found) == []


def test_the_overlay_needs_its_port() -> None:
    port = {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 8472}}
    only_pods = [(match("saddr", PODS), ACCEPT)]
    assert told(chains(chain(*only_pods, hook="input"))) == []
    (found,) = told(chains(chain(*only_pods, hook="input")), pod_routing="vxlan")
    assert "the overlay of other nodes" in found["words"]
    assert told(chains(chain(*only_pods, (port, ACCEPT), hook="input")), pod_routing="vxlan") == []


def test_rules_behind_jumps() -> None:
    inner = [
        {"rule": {"family": "inet", "table": "t", "chain": "zone", "expr": [*one]}}
        for one in [(match("saddr", PODS), {"return": None}), (DROP,)]
    ]
    for verdict_, stops in (({"jump": {"target": "zone"}}, False), ({"goto": {"target": "zone"}}, False)):
        document = chain((match("iifname", "cbr0"), verdict_), policy="accept")
        found = told(chains({"nftables": [*document["nftables"], *inner]}))
        assert bool(found) == stops, verdict_
    document = chain(({"goto": {"target": "zone"}},), *BOTH, policy="drop")
    (found_,) = told(chains({"nftables": [*document["nftables"], *inner]}))
    assert "pods send" in found_["words"], "what returns from a goto meets the policy"


def test_a_failing_line_names_who_may_be_to_blame() -> None:
    stops: planner.Finding = {
        "host": "gateway",
        "stops": True,
        "sure": True,
        "name": "chain x on gateway",
        "words": "gateway: x",
    }
    ends = [
        {"name": name, "kind": "pod", "host": host, "netns": name, "address": "10.1.1.2"}
        for name, host in (("a", "node1"), ("b", "node1"), ("c", "node2"))
    ]
    matrix = {"ends": ends, "expect": {"a": {"b": "10.1.1.2", "c": "10.1.1.2"}}, "firewalls": [stops]}
    near, far = pod_report.differences(matrix, {"a": {"b": {"error": "timed out"}, "c": {"error": "timed out"}}})
    assert near.endswith("got timed out")
    assert far.endswith("got timed out (likely by chain x on gateway)")
    assert pod_report.differences(matrix, {"a": {"b": {"seen": "10.1.1.2"}, "c": {"seen": "10.9.9.9"}}})[0].endswith(
        "10.9.9.9"
    )
    assert pod_report.causes(matrix) == ["likely cause: gateway: x"]


KERNEL = """
import json, subprocess, sys
for argv in json.loads(sys.argv[1]):
    subprocess.run(argv, check=True)
from podlab.host.network import firewalls
firewalls._uses_nft = lambda: sys.argv[2] == "nft"
print(json.dumps([[one["table"], one["chain"], one["hook"], one["policy"], len(one["rules"])] for one in firewalls.observe()]))
"""


def asked(kind: str, *commands: str) -> Any:
    """What a kernel tells that has these rules, in a network of its own."""
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", KERNEL]
    told = json.dumps([command.split() for command in commands])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "module_utils"), "PATH": PROGRAMS}
    done = subprocess.run([*argv, told, kind], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PROGRAMS = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@pytest.mark.skipif(not shutil.which("iptables-nft", path=PROGRAMS), reason="no iptables that writes nftables")
def test_the_kernel_names_its_base_chains_without_nft() -> None:
    drops = ("iptables-nft -P FORWARD DROP", "iptables-nft -A INPUT -j ACCEPT")
    assert asked("nft", *drops) == [], "iptables-save tells those"
    found = asked("legacy", *drops)
    assert sorted(chain[:4] for chain in found) == [
        ["filter", "FORWARD", "forward", "drop"],
        ["filter", "INPUT", "input", "accept"],
    ]


@pytest.mark.skipif(not shutil.which("nft", path=PROGRAMS), reason="no nft")
def test_nft_reads_the_rules_of_chains_of_others() -> None:
    found = asked(
        "nft",
        "nft add table inet t",
        "nft add chain inet t f { type filter hook forward priority 0 ; policy drop ; }",
        "nft add rule inet t f ip saddr 10.1.0.0/16 accept",
        "nft add table ip filter",
        "nft add chain ip filter mine { type filter hook forward priority 5 ; policy drop ; }",
    )
    assert sorted(found) == [["filter", "mine", "forward", "drop", 0], ["t", "f", "forward", "drop", 1]]
