"""The plan over the life of a cluster: hosts in memory are planned, changed, rebooted, lost and planned again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.actions import lines as lines_of
from podlab.changes.netfilter import rules
from podlab.changes.network import bridge, routes
from podlab.changes.pods import pods
from podlab.changes.system import sysctls
from podlab.controller import inputs
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.host_links import uplink_interfaces
from podlab.planner.inputs.settings import Cluster
from podlab.planner.model import Container, Desired, Invalid, Pod, PodTemplate, Security, Workload
from podlab.planner.plan import plan
from podlab.planner.preflight import networks
from podlab.planner.preflight.host_checks import told
from podlab.planner.scheduler.model import Selector
from tests.simulated_host import SimulatedHost

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"
PROGRAMS = {"agnhost": "#!/usr/bin/python3\n"}
SLEEP = (Container("main", "busybox", ("sleep", "9")),)


def pod(name: str, **fields: Any) -> Pod:
    return Pod("default", name, PodTemplate(SLEEP, labels={"app": name}, **fields), f"{name}.yml:1")


def wanting(*bare: Pod, **replicas: int) -> Desired:
    """Bare pods, and StatefulSets with so many replicas: of all workloads their pods have the plainest names."""
    return Desired(bare, tuple(workload(name, count) for name, count in replicas.items()))


def workload(name: str, count: int, revision: str = "abc", kind: str = "StatefulSet", **fields: Any) -> Workload:
    template = PodTemplate(SLEEP, labels={"app": name})
    strategy = {"StatefulSet": "Parallel", "Deployment": "RollingUpdate"}[kind]
    how = {"strategy": strategy, "selector": Selector({"app": name}), **fields}
    return Workload(kind, "default", name, count, template, revision, f"{name}.yml:1", **how)


class Lab:
    """The hosts of DESIGN.md. ``run`` is ``site.yml``: observe, plan, and apply what is pending."""

    def __init__(self, nodes: int = 2, **setting: Any) -> None:
        self.cluster = Cluster(**setting)
        self.inventory = [self.node(number) for number in range(1, nodes + 1)]
        self.inventory += [("gateway", "gateway", "10.100.0.1"), ("outside", "outside", "198.51.100.10")]
        self.hosts: dict[str, SimulatedHost] = {}
        self.away: set[str] = {"outside"}
        for name, role, address in self.inventory:
            self.hosts[name] = self.bare(role, address)

    @staticmethod
    def node(number: int) -> tuple[str, str, str]:
        return f"node{number}", "node", f"10.100.0.{number + 1}"

    @staticmethod
    def bare(role: str, address: str) -> SimulatedHost:
        if role == "gateway":
            return SimulatedHost(f"{address}/24", eth1="198.51.100.1/24")
        return SimulatedHost(f"{address}/24", gateway=address.rpartition(".")[0] + ".1")

    def add(self, number: int) -> None:
        name, role, address = self.node(number)
        self.inventory.insert(len([1 for _, known, _ in self.inventory if known == "node"]), (name, role, address))
        self.hosts.setdefault(name, self.bare(role, address))

    def drop(self, name: str) -> None:
        self.inventory = [entry for entry in self.inventory if entry[0] != name]

    def observed(self, limit: Iterable[str] | None = None) -> list[Host]:
        return [
            Host(
                name,
                role,
                address,
                observation=None if name in self.away else self.hosts[name].observe(),
                in_run=limit is None or name in limit,
            )
            for name, role, address in self.inventory
        ]

    def plan(
        self, desired: Desired, *, limit: Iterable[str] | None = None, now: str = NOW, assume_ready: bool = False
    ) -> dict[str, Any]:
        result = plan(self.cluster, self.observed(limit), desired, PROGRAMS, now, assume_ready=assume_ready)
        return json.loads(json.dumps(result))  # as Ansible carries it to the hosts

    def run(self, desired: Desired, **how: Any) -> dict[str, Any]:
        result = self.plan(desired, **how)
        for name, rows in result["hosts"].items():
            self.hosts[name].apply(rows, rows["pending"])
        return result

    def problems(self, desired: Desired = Desired(()), **how: Any) -> list[str]:  # noqa: B008 - it is frozen
        """What keeps the run from everything, or from single hosts."""
        try:
            result = self.plan(desired, **how)
        except Invalid as error:
            return error.problems
        assert not result["refused"].keys() & result["hosts"].keys()
        return told(result["refused"])


def pending(result: dict[str, Any]) -> dict[str, list[str]]:
    """Components that have anything to do; waiting for what they started is none of them."""
    components = {
        name: [word for word in rows["pending"] if word != "rollout"] for name, rows in result["hosts"].items()
    }
    return {name: words for name, words in components.items() if words}


def record(result: dict[str, Any]) -> dict[str, Any]:
    """What hosts of a run are told of the cluster, put together."""
    return together(rows["node"]["record"] for rows in result["hosts"].values() if "node" in rows)


def together(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Sections of records that are of one generation, as if they were one."""
    whole: dict[str, Any] = {}
    pods: dict[str, Any] = {}
    for one in records:
        for name, section in one["pods"].items():
            assert pods.setdefault(name, section) == section
        for name in ("network", "cluster"):
            assert name not in one or whole.setdefault(name, one[name]) == one[name]
    sections = [*whole.values(), *pods.values()]
    placed = {key: [node, address] for node, held in pods.items() for key, (address, _) in held["pods"].items()}
    newest = max(section["generation"] for section in sections)
    return {**whole["network"], **whole.get("cluster", {}), "pods": placed, "generation": newest}


def places(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {key.removeprefix("default/"): tuple(place) for key, place in record(result)["pods"].items()}


def addresses(result: dict[str, Any]) -> dict[str, str]:
    return {name: address for name, (_, address) in places(result).items()}


def commands(lab: Lab, result: dict[str, Any]) -> dict[str, list[str]]:
    """What a person would type on each host, in the order of the components."""
    typed = {}
    for name in pending(result):
        rows = result["hosts"][name]
        typed[name] = _commands(lab.hosts[name].observe(), rows)
    return typed


def _commands(seen: dict[str, Any], rows: dict[str, Any]) -> list[str]:
    recorded = (seen["record"] or {}).get("sysctls", {})
    values = sysctls.changes(seen["sysctls"], rows["node"]["sysctls"], recorded)
    lines = [sysctls.line(key, value) for key, value in values.items()]
    if "bridge" in rows:
        lines += lines_of(bridge.actions(seen["links"], rows["bridge"]))
        lines += lines_of(pods.changes(seen["links"], seen["pods"], rows["pods"]["pods"]))
    lines += lines_of(routes.steps(seen["links"], seen["tunnels"], seen["routes"], rows["routes"]).actions())
    for table, row in rows.get("egress", {}).items():
        lines += rules.commands(table, rules.changes(seen["rules"][table], row))
    return lines


def as_script(typed: dict[str, list[str]]) -> str:
    return "\n".join("".join(f"{line}\n" for line in [f"# {name}", *lines]) for name, lines in typed.items())


class Readable(yaml.SafeDumper):
    """Texts of several lines as they are, and what is short in one line."""

    longest = 120


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _row(dumper: Readable, row: Any) -> yaml.Node:
    node = dumper.represent_dict(row) if isinstance(row, dict) else dumper.represent_list(row)
    node.flow_style = len(str(row)) <= dumper.longest and "\\n" not in str(row)
    return node


Readable.add_representer(str, _text)
Readable.add_representer(dict, _row)
Readable.add_representer(list, _row)


class Table(Readable):
    """Many rows that are alike."""

    longest = 400


def as_yaml(content: Any, dumper: type[Readable] = Readable) -> str:
    return yaml.dump(content, Dumper=dumper, sort_keys=False, width=120, allow_unicode=True)


# --- the sample cluster


@pytest.fixture(scope="module")
def sample() -> Desired:
    read = inputs.read(str(ROOT), str(ROOT / "manifests"), {})
    assert read.problems == ()
    return read.desired


def test_the_sample_on_bare_hosts(sample, golden: Callable[[str, str], None]):
    """A file a component, with all hosts in it; of pods, which are longer, a file a node."""
    result = Lab().plan(sample, assume_ready=True)
    sections = ("network", "cluster", "pods")
    records = [rows["node"]["record"] for rows in result["hosts"].values() if "node" in rows]
    told = {name: records[0][name] for name in sections}
    for one in records:
        assert {name: one[name] for name in sections} == told, "there are too few hosts for any to go without"
        one |= dict.fromkeys(sections, "as in record.yml")
    files: dict[str, dict[str, Any]] = {"record": told, "run": {}}
    for key, value in result.items():
        if key == "verify":
            files["verify"] = {"expected": {**value, "services": "as in expected-services.yml"}}
            files["expected-services"] = value["services"]
        elif key != "hosts":
            files["run"][key] = value
    for name, rows in result["hosts"].items():
        for component, row in rows.items():
            file = f"{component}-{name}" if component == "pods" else component
            files.setdefault(file, {})[name] = row
    for file, content in files.items():
        golden(f"sample/{file}.yml", as_yaml(content, Table if "services" in file else Readable))
    assert {path.stem for path in (GOLDEN / "sample").iterdir()} == files.keys()


def test_the_commands_of_the_sample(sample, golden: Callable[[str, str], None]):
    lab = Lab()
    typed = commands(lab, lab.plan(sample))
    golden("sample.sh", as_script(typed))


def test_a_third_node_changes_nothing_but_one_route_elsewhere(sample, golden: Callable[[str, str], None]):
    lab = Lab()
    lab.run(sample, assume_ready=True)
    lab.add(3)
    result = lab.plan(sample)
    typed = commands(lab, result)
    golden("third-node.sh", as_script(typed))
    assert pending(result) == {
        "node1": ["node"],
        "node2": ["node"],
        "node3": ["node", "bridge", "pods", "routes", "egress", "services"],
        "gateway": ["node", "routes"],
    }


def test_the_second_run_has_nothing_to_do(sample):
    lab = Lab()
    first = lab.run(sample, assume_ready=True)  # a run looks again when pods are ready; here that is at once
    second = lab.run(sample, now=LATER)
    assert pending(second) == {}
    assert "rollout" not in {word for rows in second["hosts"].values() for word in rows["pending"]}
    passing = ("pending", "ready", "routes_parts")  # what is yet to be done
    for name, rows in first["hosts"].items():
        assert {key: row for key, row in rows.items() if key not in passing} == {
            key: row for key, row in second["hosts"][name].items() if key not in passing
        }
    assert second["verify"] == first["verify"]
    assert record(second)["generation"] == 1


def test_a_pod_that_asks_for_an_architecture_stays_on_a_node_that_is_not_seen():
    lab = Lab()
    asking = [pod(name, node_selector={"kubernetes.io/arch": "amd64"}) for name in ("a", "b")]
    before = places(lab.run(wanting(*asking)))
    assert {node for node, _ in before.values()} == {"node1", "node2"}
    lab.away.add("node2")
    assert places(lab.run(wanting(*asking))) == before


def test_what_is_ignored_and_who_waits_is_said():
    lab = Lab()
    lab.away.add("node2")
    desired = Desired((pod("a", node_name="node2"),), ignored=("Pod: spec.priority",))
    result = lab.run(desired)
    assert result["notes"] == [
        "ignored, it has no meaning here: Pod: spec.priority",
        "pod default/a waits: the nodes that it may run on are not part of this run",
    ]
    assert record(result)["waiting"] == ["default/a"]
    assert record(result)["pods"] == {}


# --- hosts come, go and come back


def test_a_node_that_is_down_keeps_its_pods_and_their_addresses():
    lab = Lab()
    before = places(lab.run(wanting(web=4)))
    lab.away.add("node2")
    result = lab.run(wanting(web=6))
    assert places(result).items() >= before.items()
    assert {node for name, (node, _) in places(result).items() if name not in before} == {"node1"}
    assert "bridge" not in result["hosts"]["node2"]
    lab.away.remove("node2")
    after = lab.run(wanting(web=6))
    assert places(after) == places(result)
    assert pending(after) == {"node2": ["node"]}
    assert pending(lab.run(wanting(web=6))) == {}


def test_a_pod_that_left_while_its_node_was_down_goes_when_the_node_is_back():
    lab = Lab()
    lab.run(wanting(web=4))
    lab.away.add("node2")
    lab.run(wanting(web=1))
    lab.away.remove("node2")
    lab.run(wanting(web=1))
    assert set(lab.hosts["node2"].pods) == set()
    assert pending(lab.run(wanting(web=1))) == {}


def test_limit_writes_to_the_hosts_of_the_run_and_renumbers_nobody():
    lab = Lab()
    before = places(lab.run(wanting(web=4)))
    lab.add(3)
    result = lab.run(wanting(web=6), limit=["node3"])
    assert list(result["hosts"]) == ["node3"]
    assert places(result).items() >= before.items()
    assert places(result)["web-4"] == ("node3", "10.1.3.2")
    full = lab.run(wanting(web=6))
    assert places(full) == places(result)
    assert pending(lab.run(wanting(web=6))) == {}


def test_a_host_outside_of_the_run_spoils_nothing_by_what_it_lacks():
    lab = Lab()
    lab.hosts["node2"].missing = {"bwrap": "bubblewrap"}
    assert list(lab.run(wanting(web=2), limit=["node1", "gateway"])["hosts"]) == ["node1", "gateway"]


def test_a_host_that_was_rebooted_gets_everything_back_at_the_same_address():
    lab = Lab()
    before = lab.run(wanting(web=4))
    lab.hosts["node1"].reboot()
    after = lab.run(wanting(web=4))
    assert record(after) == record(before)
    assert pending(after) == {"node1": ["node", "bridge", "pods", "routes", "egress", "services"]}
    assert pending(lab.run(wanting(web=4))) == {}


@pytest.mark.parametrize("lost", [["node1"], ["node2", "node3", "gateway"]])
def test_where_the_record_was_lost_the_kernel_is_believed(lost):
    lab = Lab(3)
    lab.hosts["node1"].root.route("add", "10.1.200.0/24", {"via": "10.100.0.77"})
    lab.run(wanting(web=4))
    lab.drop("node1" if "node2" in lost else "node3")
    before = lab.run(wanting(pod("z"), web=4))  # not where a cluster that begins anew would have it
    for name in lost:
        lab.hosts[name].record = None
    after = lab.run(wanting(pod("z"), web=4))
    assert places(after) == places(before)
    assert record(after)["podCIDRs"] == record(before)["podCIDRs"]
    for name, rows in after["hosts"].items():
        if "routes" in rows:
            assert rows["routes"]["foreign"] == (["10.1.200.0/24"] if name == "node1" else [])
    assert pending(lab.run(wanting(pod("z"), web=4))) == {}


def test_a_node_that_left_and_came_back_has_no_claim_to_what_another_one_got():
    lab = Lab(3)
    lab.run(wanting(web=6))
    lab.drop("node3")
    lab.add(4)
    before = lab.run(wanting(web=6))
    assert record(before)["podCIDRs"]["node4"] == "10.1.3.0/24"
    lab.add(3)
    after = lab.run(wanting(web=6))
    assert record(after)["podCIDRs"] == {**record(before)["podCIDRs"], "node3": "10.1.4.0/24"}
    assert places(after) == places(before)
    assert pending(lab.run(wanting(web=6))) == {}


@pytest.mark.parametrize("rebooted", [True, False], ids=["its record tells", "its bridge tells"])
def test_a_node_that_left_and_came_back_keeps_its_cidr_if_nobody_got_it(rebooted):
    lab = Lab(3)
    lab.run(wanting(web=3))
    for number in (2, 1):
        lab.drop(f"node{number}")
        lab.run(wanting(web=3))
    for number in (2, 1):
        lab.add(number)
        if rebooted:
            lab.hosts[f"node{number}"].reboot()
        else:
            lab.hosts[f"node{number}"].record = None
    result = lab.run(wanting(web=3))
    assert record(result)["podCIDRs"] == {"node3": "10.1.3.0/24", "node2": "10.1.2.0/24", "node1": "10.1.1.0/24"}


def test_a_node_without_record_and_without_address_on_its_bridge_begins_anew():
    lab = Lab(1)
    lab.run(wanting(web=2))
    lab.hosts["node1"].record = lab.hosts["gateway"].record = None
    lab.hosts["node1"].root.ip(["addr del 10.1.1.1/24 dev cbr0"])
    lab.run(wanting(web=2))
    assert pending(lab.run(wanting(web=2))) == {}


def test_two_nodes_with_one_cidr_and_no_record_to_judge_by():
    lab = Lab()
    lab.run(wanting(web=2))
    for host in lab.hosts.values():
        host.record = None
    lab.hosts["node2"].root.links["cbr0"]["addresses"] = ["10.1.1.1/24"]
    assert lab.problems(wanting(web=2)) == [
        'node2: present[node2]: Invalid value: "10.1.1.0/24": node2 and node1 have the same pod CIDR'
    ]


def test_a_pod_whose_wishes_changed_moves_and_gets_an_address_there():
    lab = Lab()
    lab.run(wanting(pod("a", node_name="node1"), web=2))
    result = lab.run(wanting(pod("a", node_name="node2"), web=2))
    assert places(result)["a"] == ("node2", "10.1.2.3")
    assert set(lab.hosts["node1"].pods) == {"default_web-1"}
    assert pending(lab.run(wanting(pod("a", node_name="node2"), web=2))) == {}


# --- addresses


def test_a_freed_address_is_not_the_next_one_given_out():
    lab = Lab(1)
    lab.run(wanting(pod("a"), pod("b")))
    lab.run(wanting(pod("a")))
    assert addresses(lab.run(wanting(pod("a"), pod("c")))) == {"a": "10.1.1.2", "c": "10.1.1.4"}
    replaced = lab.run(wanting(pod("a"), pod("d")))
    assert addresses(replaced) == {"a": "10.1.1.2", "d": "10.1.1.5"}


def test_a_slash_28_holds_13_pods_and_not_one_more():
    lab = Lab(1, node_prefix=28)
    result = lab.run(wanting(web=13))
    assert sorted(addresses(result).values(), key=IPv4Address) == [f"10.1.0.{16 + index}" for index in range(2, 15)]
    result = lab.run(wanting(web=14))
    assert [(held["pod"], held["node"], held["words"]) for held in result["pending_pods"]] == [
        (
            "default/web-13",
            "",
            ["FailedScheduling: 0/1 nodes are available: 1 node(s) had no IP addresses available in range set."],
        )
    ]


def test_a_network_that_a_host_routes_already_is_nobodys_pod_cidr():
    lab = Lab()
    lab.hosts["node1"].link("docker0", "172.17.0.1/16")
    lab.hosts["node2"].root.route("add", "10.1.1.0/24", {"via": "10.100.0.77"})
    result = lab.run(wanting(web=2))
    assert record(result)["podCIDRs"] == {"node1": "10.1.2.0/24", "node2": "10.1.3.0/24"}
    assert result["hosts"]["node2"]["routes"]["foreign"] == ["10.1.1.0/24"]
    assert pending(lab.run(wanting(web=2))) == {}
    assert any(route["to"] == "10.1.1.0/24" for route in lab.hosts["node2"].root.routes)


def test_a_foreign_route_that_came_later_renumbers_nobody_and_is_removed():
    lab = Lab()
    before = lab.run(wanting(web=2))
    lab.hosts["node2"].root.route("add", "10.1.1.0/24", {"via": "10.100.0.77"})
    lab.hosts["node2"].link("docker0", "10.1.2.129/25")
    after = lab.plan(wanting(web=2))
    assert record(after) == record(before)
    assert pending(after) == {"node2": ["routes"]}
    assert commands(lab, after) == {"node2": ["ip route del 10.1.1.0/24 via 10.100.0.77 dev eth0 proto boot"]}


def test_a_gateway_that_leads_a_pod_cidr_elsewhere_is_told_so():
    lab = Lab()
    lab.run(wanting(web=2))
    lab.hosts["gateway"] = Lab.bare("gateway", "10.100.0.1")
    lab.hosts["gateway"].root.route("add", "10.1.2.0/24", {"via": "10.100.0.77"})
    assert lab.problems(wanting(web=2)) == [
        "gateway: route 10.1.2.0/24 is in the way: podlab has not made it and does not touch it; remove it"
    ]


def test_cidrs_that_do_not_suffice():
    (problem,) = Lab(3, cidr="10.1.0.0/23").problems()
    assert problem.startswith(
        'podlab_cluster_cidr: Invalid value: "10.1.0.0/23": CIDR allocation failed; there are no remaining CIDRs left'
    )


# --- kernel settings


@pytest.mark.parametrize(
    ("everywhere", "uplink", "wanted"),
    [("0", "0", False), ("1", "0", True), ("0", "1", True), ("2", "1", True), ("0", "2", False), ("1", "2", False)],
)
def test_the_reverse_path_filter_is_loosened_where_it_is_strict(everywhere, uplink, wanted):
    lab = Lab()
    key = "net.ipv4.conf.eth0.rp_filter"
    lab.hosts["node1"].sysctls |= {"net.ipv4.conf.all.rp_filter": everywhere, key: uplink}
    result = lab.run(wanting())
    assert result["hosts"]["node1"]["node"]["sysctls"].get(key) == ("2" if wanted else None)
    assert lab.hosts["node1"].sysctls[key] == ("2" if wanted else uplink)
    assert pending(lab.run(wanting())) == {}


def test_what_a_node_and_a_gateway_need_of_the_kernel():
    rows = Lab().plan(wanting())["hosts"]
    assert rows["node1"]["node"]["sysctls"] == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.default.forwarding": "1",
        "net.ipv4.conf.eth0.forwarding": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
    }
    assert rows["gateway"]["node"]["sysctls"] == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.default.forwarding": "1",
        "net.ipv4.conf.eth0.forwarding": "1",
        "net.ipv4.conf.eth1.forwarding": "1",
        "net.ipv4.conf.all.send_redirects": "0",
        "net.ipv4.conf.eth0.send_redirects": "0",
    }


def test_a_gateway_sends_no_redirects_into_any_subnet_that_has_a_node():
    lab = Lab()
    lab.inventory[1] = ("node2", "node", "10.200.0.2")
    lab.hosts["node2"] = SimulatedHost("10.200.0.2/24", gateway=None)
    lab.hosts["gateway"].link("eth2", "10.200.0.1/24")
    settings = lab.run(wanting())["hosts"]["gateway"]["node"]["sysctls"]
    assert {key for key in settings if key.endswith("send_redirects")} == {
        f"net.ipv4.conf.{name}.send_redirects" for name in ("all", "eth0", "eth2")
    }
    assert pending(lab.run(wanting())) == {}


def test_a_setting_that_was_given_back_is_forgotten():
    """Else the value that somebody chooses later would be podlab's to change."""
    lab = Lab()
    lab.run(wanting())
    lab.hosts["node1"].record["sysctls"]["net.ipv4.conf.eth0.send_redirects"] = "0"
    lab.hosts["node1"].sysctls["net.ipv4.conf.eth0.send_redirects"] = "0"
    assert pending(lab.run(wanting())) == {"node1": ["node"]}
    assert "net.ipv4.conf.eth0.send_redirects" not in lab.hosts["node1"].record["sysctls"]


def test_forwarding_of_every_link_on_the_way_is_looked_after():
    lab = Lab()
    lab.run(wanting())
    before = {name: host.record["sysctls"] for name, host in lab.hosts.items() if host.record}
    for name, leg in (("node1", "eth0"), ("gateway", "eth0"), ("gateway", "eth1"), ("node2", "default")):
        lab.hosts[name].sysctls[f"net.ipv4.conf.{leg}.forwarding"] = "0"
        assert pending(lab.run(wanting())) == {name: ["node"]}
        assert lab.hosts[name].sysctls[f"net.ipv4.conf.{leg}.forwarding"] == "1"
    assert {name: host.record["sysctls"] for name, host in lab.hosts.items() if host.record} == before


def test_a_gateway_has_rules_of_podlabs_only_where_its_own_keep_packets_back():
    lab = Lab()
    gateway = lab.hosts["gateway"]
    assert "egress" not in lab.run(wanting())["hosts"]["gateway"]
    gateway.rules["filter"]["FORWARD"] = ["-j LOG", "-j REJECT"]
    assert pending(lab.run(wanting())) == {"gateway": ["egress"]}
    assert gateway.rules["filter"]["FORWARD"] == ["-j PODLAB-FORWARD", "-j LOG", "-j REJECT"]
    assert "-s 10.100.0.2/32 -j ACCEPT" in gateway.rules["filter"]["PODLAB-FORWARD"]
    assert pending(lab.run(wanting())) == {}
    gateway.rules["filter"]["FORWARD"].remove("-j REJECT")
    assert pending(lab.run(wanting())) == {"gateway": ["egress"]}
    assert gateway.rules["filter"] == {"INPUT": [], "FORWARD": ["-j LOG"], "OUTPUT": []}


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        ("100: from 10.1.0.0/16 lookup 7", True),
        ("100: not from all fwmark 0xca6c lookup 51820", False),
        ("100: from all to 10.1.2.5 prohibit", True),
        ("100: from all iif cbr0 blackhole", True),
        ("100: from 192.168.0.0/16 lookup 7", False),
        ("100: from all to 10.0.0.0/8 lookup main", True),
        ("100: from 10.1.2.3/16 lookup 7", True),
        ("100: from 192.168.3.4/16 lookup 7", False),
        ("100: from 2001:db8::/32 to 10.1.2.5 lookup 7", True),
        ("100: from somewhere to 10.1.2.5/99 lookup 7", False),
        ("100: from", False),
    ],
)
def test_rules_of_others_that_may_lead_pods_packets_elsewhere_are_told_and_left(rule, is_told):
    lab = Lab()
    lab.run(wanting())
    lab.hosts["node1"].policy_rules = [rule]
    result = lab.run(wanting())
    assert pending(result) == {}
    assert [note for note in result["notes"] if "ip rule" in note] == [
        f"node1: ip rule {rule!r} may lead pods' packets past podlab's routes; podlab has not made it and leaves it"
    ] * is_told


def test_a_host_whose_name_only_looks_like_an_address_is_on_no_network():
    observation = {"links": {"eth0": {"addresses": ["10.100.0.2/24"], "alias": ""}}}
    node = Host("node1", "node", "10.100.0.2", observation=observation)
    assert uplink_interfaces(node, ["10.100.0.300", "10.100.0.3"]) == ["eth0"]


def test_a_link_to_others_that_is_down_is_named():
    lab = Lab()
    lab.hosts["node1"].root.links["eth0"]["up"] = False
    assert lab.problems(wanting()) == ["node1: link eth0 is down: sudo ip link set eth0 up"]


def test_modules_that_may_be_loaded_are_loaded():
    lab = Lab()
    lab.hosts["node1"].kernel = {"loadable": ["br_netfilter"], "missing": [], "may_load": True}
    del lab.hosts["node1"].sysctls["net.bridge.bridge-nf-call-iptables"]
    result = lab.plan(wanting())
    assert result["hosts"]["node1"]["node"]["modules"] == ["br_netfilter"]


def test_a_module_that_was_unloaded_is_something_to_do():
    lab = Lab()
    lab.run(wanting())
    lab.hosts["node1"].kernel = {"loadable": ["veth"], "missing": [], "may_load": True}
    assert pending(lab.plan(wanting())) == {"node1": ["node"]}


def test_the_mtu_is_that_of_the_uplink():
    lab = Lab()
    lab.hosts["node1"].root.links["eth0"]["mtu"] = 9000
    rows = lab.plan(wanting(web=2))["hosts"]
    assert (rows["node1"]["bridge"]["mtu"], rows["node1"]["pods"]["pods"][0]["mtu"]) == (9000, 9000)
    assert rows["node2"]["bridge"]["mtu"] == 1500


def test_a_program_of_podlabs_in_another_version_is_pending():
    lab = Lab()
    lab.run(wanting())
    lab.hosts["node1"].programs["agnhost"] += "# older\n"
    assert pending(lab.run(wanting())) == {"node1": ["pods"]}
    assert pending(lab.run(wanting())) == {}


# --- rollouts


def deployment(revision: str, **fields: Any) -> Desired:
    return Desired((), (workload("web", 2, revision, "Deployment", **fields),))


def test_a_run_waits_for_what_it_starts_and_for_nothing_else():
    lab = Lab()
    result = lab.run(wanting(web=2))
    assert result["hosts"]["node1"]["ready"] == {"pods": {"default_web-0": "Ready"}, "timeout": 60}
    assert all("rollout" in rows["pending"] for rows in result["hosts"].values()), "all hosts hear where pods are"
    assert (result["unfinished"], result["pods_changed"]) == ([], True)
    again = lab.run(wanting(web=2))
    assert "ready" not in again["hosts"]["node1"]
    assert not again["pods_changed"]


def test_a_new_template_comes_step_by_step_until_nothing_of_the_old_one_is_left():
    lab = Lab()
    lab.run(deployment("old"))
    counts = []
    for _ in range(9):
        result = lab.run(deployment("new"))
        counts.append(len(record(result)["pods"]))
        if not result["pods_changed"]:
            break
    assert max(counts) == 3, "one more than wanted while it lasts"
    assert result["unfinished"] == []
    assert sorted(places(result)) == sorted(name for name in places(result) if name.startswith("web-new-"))
    assert pending(lab.run(deployment("new"))) == {}


def test_an_old_pod_stays_as_it_was_made_while_it_waits():
    lab = Lab()
    before = lab.run(deployment("old"))
    rows = {row["netns"]: row for host in ("node1", "node2") for row in before["hosts"][host]["pods"]["pods"]}
    after = lab.plan(deployment("new"))
    kept = [row for host in ("node1", "node2") for row in after["hosts"][host]["pods"]["pods"] if row["netns"] in rows]
    assert kept
    assert all(row == rows[row["netns"]] for row in kept)


def test_a_step_that_finds_nothing_to_do_is_the_last_one(monkeypatch):
    """New pods that never get ready: the old ones go on serving, and the run ends."""
    lab = Lab()
    lab.run(deployment("old"))
    lab.run(deployment("new"))
    for host in lab.hosts.values():
        for pod_ in host.pods.values():
            if "new" in pod_["row"]["netns"]:
                pod_["services"].clear()
    monkeypatch.setattr(pods, "changes", lambda *_: [])  # their containers are being started again and again
    result = lab.plan(deployment("new"))
    assert result["unfinished"]
    assert not result["pods_changed"]


def with_one_id(desired: Desired) -> tuple[dict[str, Any], list[str]]:
    """What becomes of a pod's row in an ordinary user's lab, and the notes of the run."""
    lab = Lab(1)
    lab.hosts["node1"].ids = [[0, 1]]
    result = lab.plan(desired)
    return result["hosts"]["node1"]["pods"]["pods"][0], result["notes"]


def securely(security: Security, **fields: Any) -> Desired:
    mine = Container("main", "busybox", ("sh",), security=security)
    return Desired((Pod("default", "a", PodTemplate((mine,), **fields), "a.yml:1"),))


def test_an_id_that_the_node_does_not_have_is_mapped_and_groups_are_ignored_with_a_note():
    desired = securely(Security(user=1000, group=0, groups=(0, 5)), fs_group=5)
    row, notes = with_one_id(desired)
    main = row["containers"]["main"]
    assert (main["user"], main["group"], main["user_namespace"]) == (1000, 0, True)
    assert "groups" not in main and "fs_group" not in row
    words = "fsGroup and supplementalGroups are ignored where a node has no such ids, as in an ordinary user's lab"
    assert notes == [f"{words}: pod default/a"]
    plain = Lab(1).plan(desired)["hosts"]["node1"]["pods"]["pods"][0]
    assert (plain["fs_group"], plain["containers"]["main"]["groups"]) == (5, [0, 5])
    assert "user_namespace" not in plain["containers"]["main"]


def test_an_id_that_every_node_has_is_no_reason_for_a_user_namespace():
    row, notes = with_one_id(securely(Security(user=0, group=0, groups=(0,))))
    assert "user_namespace" not in row["containers"]["main"]
    assert notes == []


def test_who_shares_processes_keeps_the_nodes_id_and_a_note_tells():
    row, notes = with_one_id(securely(Security(user=1000), share_processes=True))
    assert not {"user", "group", "user_namespace"} & row["containers"]["main"].keys()
    assert len(notes) == 1 and notes[0].startswith("runAsUser and runAsGroup are ignored")


def test_a_pod_on_its_nodes_network_has_the_nodes_address_and_takes_none_of_the_pods():
    lab = Lab(1)
    result = lab.plan(wanting(pod("a", host_network=True), pod("b")))
    a, b = result["hosts"]["node1"]["pods"]["pods"]
    assert (a["address"], a["hostname"], a["host_network"]) == ("10.100.0.2/32", "node1", True)
    assert b["address"] == "10.1.1.2/24"
    assert [end["name"] for end in result["verify"]["ends"]] == ["default/b", "node1", "outside"]


def test_a_host_port_at_localhost_is_opened_by_who_guards_it():
    spec = {"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
    lab, wish = Lab(1), wanting(pod("a", spec=spec))
    node1, localnet = lab.hosts["node1"], "net.ipv4.conf.all.route_localnet"
    node1.apply(lab.plan(wish)["hosts"]["node1"], ["node", "bridge", "pods", "routes"])
    assert node1.sysctls.get(localnet) != "1"
    pending = lab.plan(wish)["hosts"]["node1"]["pending"]
    assert "egress" in pending
    node1.apply(lab.plan(wish)["hosts"]["node1"], pending)
    assert node1.sysctls[localnet] == "1"
    assert lab.plan(wish)["hosts"]["node1"]["pending"] == []
    node1.sysctls[localnet] = "0"
    assert lab.plan(wish)["hosts"]["node1"]["pending"] == ["egress"]


def test_a_host_port_is_a_rule_and_a_setting_of_its_node_alone():
    spec = {"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
    rows = Lab().plan(wanting(pod("a", node_name="node1", spec=spec)))["hosts"]
    assert rows["node1"]["node"]["sysctls"]["net.ipv4.conf.all.route_localnet"] == "1"
    assert "PODLAB-HOSTPORTS" in rows["node1"]["egress"]["nat"]["chains"]
    assert "PODLAB-HOSTPORTS" not in rows["node2"]["egress"]["nat"]["chains"]
    assert "net.ipv4.conf.all.route_localnet" not in rows["node2"]["node"]["sysctls"]


# --- what a pod sees


def row_of(**template: Any) -> dict[str, Any]:
    wish = Pod("shop", "web.v1", PodTemplate(**{"containers": SLEEP, **template}), "a.yml:1")
    lab = Lab(1, dns="10.96.0.10")
    return lab.plan(Desired((wish,)))["hosts"]["node1"]["pods"]["pods"][0]


def test_the_files_of_a_pod():
    assert row_of()["etc"] == {
        "hostname": "web.v1\n",
        "hosts": "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n10.1.1.2\tweb.v1\n",
        "resolv.conf": (
            "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
        ),
    }
    assert row_of(hostname="shop")["hostname"] == "shop"
    assert row_of()["netns"] == "shop_web.v1"


def test_the_environment_of_a_container():
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    own = Container("main", "busybox", ("sh",), {"A": "1"}, path="/opt/podlab/busybox")
    given_ = Container("side", "busybox", ("sh",), {"PATH": "/mine"}, path="/opt/podlab/busybox")
    containers = row_of(containers=(own, given_))["containers"]
    assert containers["main"]["env"] == {"PATH": f"/opt/podlab/busybox:{path}", "A": "1"}
    assert containers["side"]["env"] == {"PATH": "/mine"}


def test_the_object_that_get_shows():
    lab = Lab(1)
    lab.run(wanting(web=1))
    result = lab.run(wanting(web=2), now=LATER)
    first, second = (row["object"] for row in result["hosts"]["node1"]["pods"]["pods"])
    assert first["metadata"]["creationTimestamp"] == NOW
    assert second["metadata"]["creationTimestamp"] == LATER
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert first["metadata"]["labels"].items() >= {"app": "web"}.items()
    assert first["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": True}
    ]
    assert first["spec"] == {"hostname": "web-0", "nodeName": "node1", "restartPolicy": "Always"}


# --- what is wrong


def test_everything_that_is_wrong_with_hosts_is_said_at_once():
    lab = Lab()
    node1, node2, gateway = (lab.hosts[name] for name in ("node1", "node2", "gateway"))
    node1.link("cbr0", "10.9.0.1/24", mac="02:42:00:00:00:01")
    node1.missing = {"bwrap": "bubblewrap", "s6-svscan": "s6", "execlineb": "execline"}
    del node2.sysctls["net.bridge.bridge-nf-call-iptables"]
    node2.kernel["missing"] = ["the kernel cannot do this: ip link add podlab0 type bridge: Not supported"]
    gateway.root.links["eth0"]["addresses"] = ["10.100.0.99/24"]
    gateway.link("cbr0", "10.8.0.1/24")
    assert lab.problems(wanting(pod("a"))) == [
        "node1: programs are missing: sudo apt-get install --no-install-recommends bubblewrap execline s6",
        "node1: link cbr0 is in the way: podlab has not made it and does not touch it; remove it, "
        "or choose another name (podlab_bridge)",
        "node2: the kernel cannot do this: ip link add podlab0 type bridge: Not supported",
        "node2: the kernel has no net.bridge.bridge-nf-call-iptables, which the module br_netfilter brings",
        "gateway: no link of this host has the address 10.100.0.1; set node_ip to the address that the other nodes "
        "reach it at",
    ]


def test_what_was_found_before_comes_first_and_a_bad_inventory_is_told_once():
    hosts = [Host("node1", "node", "no-address"), Host("node2", "node", "10.1.0.9"), Host("a", "gateway", "10.1.0.9")]
    with pytest.raises(Invalid) as caught:
        plan(Cluster(), hosts, wanting(pod("a", node_name="node9")), PROGRAMS, NOW, ["a.yml:1: broken"])
    assert caught.value.problems == [
        "a.yml:1: broken",
        'inventory: node1: Invalid value: "no-address": the cluster needs the host\'s IPv4 address; '
        "set ansible_host to it, or node_ip where Ansible reaches the host in another way",
        "inventory: node2: Invalid value: 10.1.0.9 lies in podlab_cluster_cidr 10.1.0.0/16",
        "inventory: a: Duplicate value: 10.1.0.9 is node2's address already",
        "inventory: a: Invalid value: 10.1.0.9 lies in podlab_cluster_cidr 10.1.0.0/16",
    ]


def test_without_a_node_nothing_is_said_of_the_pods_that_none_can_take():
    lab = Lab(0)
    assert lab.problems(wanting(web=1)) == ["inventory: the group nodes is empty; a cluster has at least one node"]


def test_what_is_wrong_with_one_host_stops_no_other():
    lab = Lab(3)
    before = lab.run(wanting(web=3))
    lab.hosts["node1"].missing = {"bwrap": "bubblewrap"}
    lab.hosts["node2"].observe_as = {"links": "nonsense"}
    lab.hosts["node3"].sysctls["net.ipv4.ip_forward"] = "0"
    result = lab.run(wanting(web=3))
    assert result["refused"].keys() == {"node1", "node2"}
    assert pending(result) == {"node3": ["node"]}
    assert record(result)["pods"] == record(before)["pods"], "those of the others stay where they are"


@pytest.mark.parametrize("way", ["gateway", "host-gw", "vxlan"])
@pytest.mark.parametrize(
    ("link", "addresses", "words"),
    [
        ("tun0", ["10.1.0.9/8"], "podlab_cluster_cidr: "),
        ("eth0", ["10.100.0.2/24", "10.100.0.201/24"], "podlab_load_balancer_pool "),
        ("eth0", ["10.100.0.2/32"], "podlab_pod_routing: "),
        ("cbr0", ["10.77.0.1/24"], "present[node1]: "),
        ("cbr0", ["10.1.1.1/26"], "present[node1]: "),
    ],
)
def test_what_one_host_tells_of_its_networks_stops_no_other(way, link, addresses, words):
    lab = Lab(3, pod_routing=way, load_balancer_pool="10.100.0.200-10.100.0.220")
    lab.run(wanting(web=3))
    before = lab.run(wanting(web=3))
    lab.add(4)  # there is a pod CIDR to be found
    if link == "tun0":
        lab.hosts["node1"].link(link, *addresses)
    lab.hosts["node1"].root.links[link]["addresses"] = addresses
    if link == "cbr0":
        for host in lab.hosts.values():
            host.record = None
    result = lab.plan(wanting(web=3))
    if result["refused"] or way != "vxlan" or link != "eth0":
        assert result["refused"].keys() == {"node1"}
        assert result["refused"]["node1"][0].startswith(words)
    assert result["hosts"]["node4"]["pending"]
    kept = {name: place for name, place in places(before).items() if place[0] != "node1"}
    assert kept.items() <= places(result).items()


def test_ids_that_one_node_lacks_are_mapped_there_alone():
    lab = Lab()
    lab.hosts["node1"].ids = [[0, 1]]
    mine = Container("main", "busybox", ("sh",), security=Security(user=1000))
    template = PodTemplate((mine,))
    result = lab.plan(Desired(tuple(Pod("default", name, template, f"{name}.yml:1") for name in "ab")))
    rows = {host: result["hosts"][host]["pods"]["pods"][0] for host in ("node1", "node2")}
    assert {host: "user_namespace" in row["containers"]["main"] for host, row in rows.items()} == {
        "node1": True,
        "node2": False,
    }


def test_pod_cidrs_are_allocated_once_though_pods_of_a_refused_host_are_placed_anew(monkeypatch):
    lab, calls = Lab(), []
    lab.hosts["node1"].observe_as = {"namespaces": ["default_a"]}
    allocate = networks.allocate_cidrs
    monkeypatch.setattr(networks, "allocate_cidrs", lambda *args: calls.append(args) or allocate(*args))
    result = lab.plan(wanting(pod("a")))
    assert result["refused"].keys() == {"node1"}
    assert [row["netns"] for row in result["hosts"]["node2"]["pods"]["pods"]] == ["default_a"]
    assert len(calls) == 1


def test_pods_that_only_a_refused_host_may_have_wait():
    lab = Lab()
    lab.hosts["node1"].missing = {"bwrap": "bubblewrap"}
    result = lab.run(wanting(pod("a", node_name="node1"), pod("b", node_name="node2")))
    assert [row["netns"] for row in result["hosts"]["node2"]["pods"]["pods"]] == ["default_b"]
    assert "pod default/a waits: the nodes that it may run on are not part of this run" in result["notes"]


def test_a_host_that_has_lost_its_record_is_known_by_its_marks():
    lab = Lab()
    lab.hosts["node1"].root.route("add", "10.1.200.0/24", {"via": "10.100.0.77"})
    before = lab.run(wanting(web=2))
    assert record(before)["foreign"] == {"node1": ["10.1.200.0/24"]}
    for name in ("node1", "gateway"):
        lab.hosts[name].record = None
        lab.hosts[name].services["others"] = ["nat KUBE-SERVICES"]
    result = lab.run(wanting(web=2))
    assert pending(result) == {"node1": ["node"], "gateway": ["node"]}
    assert result["hosts"]["node1"]["routes"]["foreign"] == ["10.1.200.0/24"], "the others remember"
    (note,) = (note for note in result["notes"] if note.startswith("node1: "))
    assert note.startswith("node1: the record (/var/lib/podlab/record.json) is lost; ")
    assert lab.hosts["node1"].record["sysctls"]["net.ipv4.ip_forward"] == "0", "and not what podlab has made of it"
    assert pending(lab.run(wanting(web=2))) == {}


def test_a_node_that_has_lost_its_bridge_too_keeps_the_network_of_its_pods():
    lab = Lab()
    before = lab.run(wanting(pod("a", node_name="node2"), pod("b", node_name="node1")))
    for host in lab.hosts.values():
        host.record = None
    del lab.hosts["node2"].root.links["cbr0"]
    after = lab.plan(wanting(pod("a", node_name="node2"), pod("b", node_name="node1")))
    for name in ("node1", "node2"):
        assert after["hosts"][name]["bridge"]["address"] == before["hosts"][name]["bridge"]["address"]


def test_with_all_records_lost_drift_of_routes_is_drift():
    lab = Lab()
    lab.run(wanting(web=2))
    for host in lab.hosts.values():
        host.record = None
    lab.hosts["gateway"].root.route("add", "10.1.2.0/24", {"via": "10.100.0.77", "metric": "5"})
    assert commands(lab, lab.plan(wanting(web=2)))["gateway"][-1].startswith("ip route del 10.1.2.0/24 via 10.100.0.77")


def test_a_kubelet_of_a_real_cluster_keeps_the_run_from_its_host_whoever_was_there_before():
    lab = Lab()
    lab.run(wanting(web=2))
    lab.hosts["node2"].kubernetes = "kubelet runs here (process 7)"
    assert lab.problems(wanting(web=2)) == [
        "node2: kubelet runs here (process 7), and podlab writes the rules of the same names; take another host"
    ]


def test_a_bridge_of_another_cni_is_in_the_way_though_its_mac_looks_like_podlabs():
    lab = Lab(1)
    lab.hosts["node1"].link("cbr0", "10.9.0.1/24", mac="0a:58:0a:09:00:01")
    assert lab.problems() == [
        "node1: link cbr0 is in the way: podlab has not made it and does not touch it; remove it, "
        "or choose another name (podlab_bridge)"
    ]


def test_an_overlay_of_another_cni_with_the_same_vni_and_port_is_in_the_way():
    lab = Lab(pod_routing="vxlan")
    overlay = {"id": 1, "port": 8472, "local": "10.100.0.2", "link": "eth0", "learning": False}
    lab.hosts["node1"].link("flannel.1", "10.9.0.0/32", kind="vxlan", mac="02:00:00:00:00:01", vxlan=overlay)
    assert lab.problems() == [
        "node1: link flannel.1 is in the way: podlab has not made it and does not touch it; remove it, "
        "or set podlab_vxlan_id"
    ]
    lab.hosts["node1"].root.links["flannel.1"]["vxlan"]["port"] = 4789
    assert lab.run(wanting())


def test_modules_that_nobody_here_may_load():
    lab = Lab(1)
    lab.hosts["node1"].kernel["loadable"] = ["veth", "br_netfilter"]
    assert lab.problems() == ["node1: kernel modules are not loaded: sudo modprobe -a veth br_netfilter"]


def test_drift_of_a_marked_host_is_never_in_the_way():
    lab = Lab()
    lab.run(wanting(web=2))
    node1 = lab.hosts["node1"]
    node1.root.links["cbr0"].update(alias="", up=False)
    node1.rules["filter"]["PODLAB-OLD"] = ["-j RETURN"]
    assert pending(lab.run(wanting(web=2))) == {"node1": ["bridge", "egress"]}
    assert pending(lab.run(wanting(web=2))) == {}


def test_a_marked_host_does_not_give_up_its_own_bridge_for_a_new_name():
    lab = Lab()
    lab.run(wanting(web=2))
    lab.hosts["node1"].link("br0", "10.9.0.1/24", mac="02:42:00:00:00:01")
    lab.cluster = Cluster(bridge="br0")
    assert lab.problems(wanting(web=2)) == [
        "node1: link br0 is in the way: podlab has not made it and does not touch it; remove it, "
        "or choose another name (podlab_bridge)"
    ]


def test_a_new_name_for_the_bridge_moves_the_pods():
    lab = Lab()
    lab.run(wanting(web=2))
    lab.cluster = Cluster(bridge="br0")
    lab.run(wanting(web=2))
    assert "cbr0" not in lab.hosts["node1"].root.links
    lab.run(wanting(web=2))
    assert pending(lab.run(wanting(web=2))) == {}


# --- any history

actions = st.one_of(
    st.tuples(st.just("node"), st.integers(1, 4)),
    st.tuples(st.just("scale"), st.sampled_from(["web", "api"]), st.integers(0, 9)),
    st.tuples(st.just("pod"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("power"), st.integers(1, 4)),
    st.tuples(st.just("reboot"), st.integers(1, 4)),
    st.tuples(st.just("limit"), st.sets(st.integers(1, 4), min_size=1, max_size=3)),
)


class History:
    """A lab, what is wanted of it, and what was true after the last run."""

    def __init__(self) -> None:
        self.lab = Lab(2, cidr="10.1.0.0/25", node_prefix=28)  # few addresses, so that the circle closes
        self.replicas = {"web": 3, "api": 2}
        self.bare: set[str] = set()
        self.last: dict[str, Any] = {}
        self.run()

    def take(self, action: Sequence[Any]) -> None:
        verb, *what = action
        before = copy.deepcopy((self.lab.inventory, self.lab.away, self.replicas, self.bare))
        limit = getattr(self, verb)(*what)
        try:
            self.run(limit)
        except Invalid as error:
            if not all("no IP addresses" in line or "at least one node" in line for line in error.problems):
                raise
            # The cluster is full, or no node is left. Nothing was written, so nobody wanted it.
            self.lab.inventory, self.lab.away, self.replicas, self.bare = before

    def node(self, number: int) -> None:
        name = f"node{number}"
        if any(name == known for known, _, _ in self.lab.inventory):
            self.lab.drop(name)
        else:
            self.lab.add(number)

    def scale(self, name: str, replicas: int) -> None:
        self.replicas[name] = replicas

    def pod(self, name: str) -> None:
        self.bare ^= {name}

    def power(self, number: int) -> None:
        self.lab.away ^= {f"node{number}"}

    def reboot(self, number: int) -> None:
        if f"node{number}" in self.lab.hosts:
            self.lab.hosts[f"node{number}"].reboot()

    def limit(self, numbers: set[int]) -> list[str]:
        return [f"node{number}" for number in numbers]

    def run(self, limit: list[str] | None = None) -> None:
        up = [name for name, _, _ in self.lab.inventory if name not in self.lab.away]
        managed = {name for name in up if limit is None or name in limit}
        knowing = [name for name in up if (self.lab.hosts[name].record or {}).get("cluster", {}) == self.last]
        if not managed or not knowing:
            return  # nobody to write to, or nobody to ask
        desired = wanting(*(pod(name) for name in sorted(self.bare)), **self.replicas)
        result = self.lab.run(desired, limit=limit)
        now = record(result)
        self.check(now, managed)
        self.last = now
        again = self.lab.run(desired, limit=limit, now=LATER)
        assert pending(again) == {}
        assert record(again) == now

    def check(self, now: dict[str, Any], managed: set[str]) -> None:
        nodes = [name for name, role, _ in self.lab.inventory if role == "node"]
        cidrs = {name: IPv4Network(cidr) for name, cidr in now["podCIDRs"].items()}
        assert list(cidrs) == nodes
        assert not any(one.overlaps(other) for one, other in combinations(cidrs.values(), 2))
        given_ = [address for _, address in now["pods"].values() if address]
        assert len(given_) == len(set(given_))
        for key, (node, address) in now["pods"].items():
            assert node in nodes
            before = self.last.get("pods", {}).get(key)
            if before and before[0] in nodes:
                assert [node, address] == before
            else:
                assert node in managed
                assert IPv4Address(address) in cidrs[node]
        for name, cidr in self.last.get("podCIDRs", {}).items():
            assert name not in nodes or now["podCIDRs"][name] == cidr
        for name in managed & set(nodes):
            running = {f"default/{netns.removeprefix('default_')}" for netns in self.lab.hosts[name].pods}
            assert running == {key for key, (node, _) in now["pods"].items() if node == name}


@settings(deadline=None, max_examples=50)
@given(st.lists(actions, max_size=8))
def test_nobody_is_renumbered_in_any_history(history):
    world = History()
    for action in history:
        world.take(action)
