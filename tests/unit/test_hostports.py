"""hostPort: from rows of pods to rules."""

from __future__ import annotations

from typing import Any

from podlab.planner import hostports


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
    assert hostports.rows(hostports.of_rows([row({"containerPort": 80})])) == {}
    assert hostports.sysctls(hostports.of_rows([row({"containerPort": 80})])) == {}


def test_a_pod_on_the_nodes_network_listens_there_itself():
    assert hostports.of_rows([row({"containerPort": 80, "hostPort": 80}, host_network=True)]) == []


def test_rules_keep_the_source_but_for_the_pod_itself_and_localhost(golden):
    ports = hostports.of_rows(
        [
            row(
                {"containerPort": 80, "hostPort": 8080},
                {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.100.0.2"},
                {"containerPort": 9, "hostPort": 9, "protocol": "SCTP", "hostIP": "127.0.0.1"},
                {"containerPort": 81, "hostPort": 81, "hostIP": "0.0.0.0"},
            )
        ]
    )
    tables = hostports.rows(ports)
    text = "".join(
        f"*{table}\n"
        + "".join(f"-A {builtin} {rule}\n" for builtin, rules in layer["jumps"].items() for rule in rules)
        + "".join(f"-A {chain} {rule}\n" for chain, rules in layer["chains"].items() for rule in rules)
        for table, layer in tables.items()
    )
    golden("hostports.rules", text)
    assert hostports.sysctls(ports) == {"net.ipv4.conf.all.route_localnet": "1"}
