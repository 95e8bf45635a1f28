"""Traffic that stays on its node, or in its zone."""

from __future__ import annotations

import json

import pytest
from services_lab import Clients, Get, Node, Pods, prepare
from services_matrix import ITSELF, NODE, REFUSED, TIMEOUT, Answers, Cell, Row, World, cells, told

ALL = "one:8080 two:8080 three:8080"
HERE = {"node1": "one:8080", "node2": "two:8080 three:8080"}
PODS = "client1 client2"
# DaemonSet's pods, on the nodes' own networks
EDGE = "node1:10080 node2:10080"

TABLE = [
    # --- externalTrafficPolicy: from outside only to the endpoints of the node that was called, with its own address
    Row("outside", "node1:30080", HERE["node1"], ITSELF),
    Row("outside", "node2:30080", HERE["node2"], ITSELF),
    Row("outside", "node1:30080/udp", HERE["node1"], ITSELF),
    Row("outside", "everywhere.lb:80", HERE["node1"], ITSELF),
    Row("outside", "node2:30081", HERE["node2"], ITSELF),
    Row("outside", "node1:30081", TIMEOUT),
    Row("outside", "on-two.lb:80", TIMEOUT),
    # Pods are not outside, and keep their addresses.
    Row("client1", "node1:30080", ALL, ITSELF),
    Row("client1", "node1:30080/udp", ALL, ITSELF),
    Row(PODS, "everywhere.lb:80", ALL, ITSELF),
    Row(PODS, "on-two.lb:80", HERE["node2"], ITSELF),
    Row("client1", "node1:30081", HERE["node2"], ITSELF),
    # Nor are they at another node's address, where they arrive with their own, so that all endpoints are theirs there
    # as well. One beside the client then answers by the short way, and its answer is to nobody's question.
    Row("client2", "node1:30081", TIMEOUT),
    Row("client1", "node2:30091", "node2:10080", ITSELF),
    # A node is not outside at its own addresses, and is translated.
    Row("node1", "node1:30080", ALL, NODE),
    Row("node1", "localhost:30080", ALL, NODE),
    Row("node1", "everywhere.lb:80", ALL, NODE),
    Row("node1", "on-two.lb:80", HERE["node2"], NODE),
    # At another node's it is.
    Row("node1", "node2:30080", HERE["node2"], ITSELF),
    Row("node2", "node1:30081", TIMEOUT),
    # The policy is for outer addresses.
    Row(PODS, "everywhere:80", ALL, ITSELF),
    Row("node1 outside", "on-two:80", HERE["node2"], NODE),
    # --- internalTrafficPolicy: by the cluster IP only to the endpoints of the client's node
    Row("client1", "within:80", HERE["node1"], ITSELF),
    Row("client2", "within:80", HERE["node2"], ITSELF),
    Row("client1", "within:80/udp", HERE["node1"], ITSELF),
    Row("node1", "within:80", HERE["node1"], NODE),
    Row("outside", "within:80", HERE["node1"], NODE),
    Row("client1 node1 outside", "within-two:80", TIMEOUT),
    Row("client2", "within-two:80", HERE["node2"], ITSELF),
    # The policy is for the cluster IP.
    Row("client1 outside", "node1:30082", ALL, NODE),
    # --- draining endpoints serve where nobody else does
    Row("client1", "all-draining:80", EDGE, ITSELF),
    Row("outside", "node1:30090", "node1:10080", ITSELF),
    Row("outside", "node2:30090", "node2:10080", ITSELF),
    Row(PODS, "one-draining:80", "node2:10080", ITSELF),
    Row("outside", "node1:30091", "node1:10080", ITSELF),
    Row("outside", "node2:30091", "node2:10080", ITSELF),
    Row("client1", "draining-within:80", "node1:10080", ITSELF),
    Row("client2", "draining-within:80", "node2:10080", ITSELF),
    Row("client1 outside", "gone:80", REFUSED),
    Row("client1 outside", "node1:30093", REFUSED),
    # --- zones: node1 is in the east, node2 in the west
    Row("client1", "zonal:80", "node1:10080", ITSELF),
    Row("client2", "zonal:80", "node2:10080", ITSELF),
    Row("node2", "zonal:80", "node2:10080", NODE),
    Row(PODS, "half-zonal:80", EDGE, ITSELF),
    Row("client1", "eastern:80", "node1:10080", ITSELF),
    Row("client2", "eastern:80", EDGE, ITSELF),
    Row("client1", "close:80", HERE["node1"], ITSELF),
    Row("client2", "close:80", HERE["node2"], ITSELF),
]

# Routes that the gateway is given: to addresses that are on no interface, by way of node1.
ROUTED = ("10.96.100.0/24", "203.0.113.0/24")


@pytest.fixture(scope="session")
def world(node: Node, pods: Pods, lab_get: Get) -> World:
    prepare(node, *ROUTED)
    return World(pods, lab_get("services"))


@pytest.fixture(scope="session")
def answers(world: World, clients: Clients) -> Answers:
    return clients.ask({cell: world.question(cell) for cell in cells(TABLE)})


@pytest.mark.parametrize("cell", cells(TABLE), ids=str)
def test_who_answers_and_whom_he_sees(cell: Cell, world: World, answers: Answers) -> None:
    assert told(answers[cell]) == world.expected(cell)


# --- health checks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "port", "node_name", "status", "endpoints"),
    [
        ("everywhere", 30100, "node1", "200 OK", 1),
        ("everywhere", 30100, "node2", "200 OK", 2),
        ("on-two", 30101, "node1", "503 Service Unavailable", 0),
        ("on-two", 30101, "node2", "200 OK", 2),
        # It still serves, and asks the load balancer to go elsewhere.
        ("all-draining", 30110, "node1", "503 Service Unavailable", 0),
        ("one-draining", 30111, "node1", "503 Service Unavailable", 0),
        ("one-draining", 30111, "node2", "200 OK", 1),
    ],
)
def test_a_load_balancer_is_told_where_endpoints_are(
    service: str, port: int, node_name: str, status: str, endpoints: int, node: Node, world: World
) -> None:
    said = node("outside").check_output(f"curl -sim 5 http://{world.nodes[node_name]}:{port}/healthz")
    head, _, body = said.replace("\r", "").partition("\n\n")
    first, *lines = head.split("\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert first == f"HTTP/1.1 {status}"
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-load-balancing-endpoint-weight"] == str(endpoints)
    assert json.loads(body) == {
        "service": {"namespace": "default", "name": service},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": True,
    }


@pytest.mark.parametrize("name", ["node1", "node2"])
def test_every_node_says_that_its_rules_are_up_to_date(name: str, node: Node, world: World) -> None:
    said = node("outside").check_output(f"curl -sim 5 http://{world.nodes[name]}:10256/healthz")
    assert said.startswith("HTTP/1.1 200 OK")
    assert {"lastUpdated", "currentTime"} <= set(json.loads(said.replace("\r", "").partition("\n\n")[2]))


def test_no_other_service_has_a_health_check(node: Node) -> None:
    listening = node("node1").check_output("ss -Hltn")
    ports = {line.split()[3].rpartition(":")[2] for line in listening.split("\n") if ":301" in line}
    assert ports == {"30100", "30101", "30110", "30111"}
