"""hostPort: from rows of pods to rules."""

from __future__ import annotations

from typing import Any

import pytest

from podlab.changes.kube_proxy import conntrack
from podlab.changes.netfilter.rules import HOST_PORTS
from podlab.planner.configs import host_ports


def row(*ports: dict[str, Any], **extras: Any) -> Any:
    return {
        "address": "10.1.1.2/24",
        "object": {
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"containers": [{"name": "main", "ports": list(ports)}]},
        },
        **extras,
    }


def test_a_node_without_host_ports_has_no_rule_and_no_setting():
    assert host_ports.rows(host_ports.of_rows([row({"containerPort": 80})])) == {}
    assert host_ports.sysctls(host_ports.of_rows([row({"containerPort": 80})])) == {}


def test_a_pod_on_the_nodes_network_listens_there_itself():
    assert host_ports.of_rows([row({"containerPort": 80, "hostPort": 80}, host_network=True)]) == []


def test_rules_keep_the_source_but_for_the_pod_itself_and_localhost(golden):
    ports = host_ports.of_rows(
        [
            row(
                {"containerPort": 80, "hostPort": 8080},
                {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.100.0.2"},
                {"containerPort": 9, "hostPort": 9, "protocol": "SCTP", "hostIP": "127.0.0.1"},
                {"containerPort": 81, "hostPort": 81, "hostIP": "0.0.0.0"},
            )
        ]
    )
    tables = host_ports.rows(ports)
    text = "".join(
        f"*{table}\n"
        + "".join(f"-A {builtin} {rule}\n" for builtin, rules in layer["jumps"].items() for rule in rules)
        + "".join(f"-A {chain} {rule}\n" for chain, rules in layer["chains"].items() for rule in rules)
        for table, layer in tables.items()
    )
    golden("hostports.rules", text)
    assert host_ports.sysctls(ports) == {"net.ipv4.conf.all.route_localnet": "1"}


# --- UDP connections that go past them

NODE = "10.100.0.2"
OTHER = "10.100.0.9"
POD = ("10.1.1.2", 53)


def chain(*ports: dict[str, Any]) -> list[str]:
    rows = host_ports.rows(host_ports.of_rows([row(*ports)]))
    return rows["nat"]["chains"][HOST_PORTS] if rows else []


UDP = {"containerPort": 53, "hostPort": 5353, "protocol": "UDP"}


def test_udp_ports_are_read_from_the_rules_that_lead_there():
    one = {**UDP, "hostPort": 54, "hostIP": NODE}
    assert conntrack.host_ports(chain(UDP, one, {"containerPort": 80, "hostPort": 80})) == {
        ("", 5353): {"10.1.1.2:53"},
        (NODE, 54): {"10.1.1.2:53"},
    }


@pytest.mark.parametrize(
    ("called", "by", "before", "there", "goes"),
    [
        pytest.param((NODE, 5353), (NODE, 5353), [], [UDP], True, id="it has come, and the node was called"),
        pytest.param(("127.0.0.1", 5353), ("127.0.0.1", 5353), [], [UDP], True, id="at 127.0.0.1"),
        pytest.param((NODE, 5353), POD, [UDP], [UDP], False, id="it stays"),
        pytest.param((NODE, 5353), ("10.1.1.9", 53), [UDP], [UDP], True, id="it is another pod's"),
        pytest.param((NODE, 5353), POD, [UDP], [], True, id="it has gone"),
        pytest.param((NODE, 5353), (NODE, 5353), [UDP], [], False, id="it has gone, and the node was called"),
        pytest.param((OTHER, 5353), (OTHER, 5353), [], [UDP], False, id="the port of another host"),
        pytest.param((NODE, 5354), (NODE, 5354), [], [UDP], False, id="another port"),
        pytest.param((NODE, 5353), POD, [UDP], [{**UDP, "hostIP": NODE}], False, id="at the same address still"),
        pytest.param((NODE, 5353), POD, [{**UDP, "hostIP": NODE}], [UDP], False, id="at every address now"),
        pytest.param((NODE, 5353), POD, [UDP], [{**UDP, "hostIP": "127.0.0.1"}], True, id="at another address now"),
    ],
)
def test_exactly_those_are_ended_that_lead_elsewhere(called, by, before, there, goes):
    flow = conntrack.ConntrackFlow(*called, *by)
    ports = [conntrack.host_ports(chain(*(item for item in row))) for row in (before, there)]
    assert conntrack.astray([flow], {NODE}, *ports) == ([flow] if goes else [])
