"""Every kind of service, called by every kind of client: the table says who answers, and whom he sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from services_lab import Clients, Get, Node, Pods, Site, prepare
from services_matrix import ITSELF, NODE, REFUSED, TIMEOUT, UNREACHABLE, Answers, Cell, Row, World, cells, told

SCENARIO = Path(__file__).resolve().parents[1]

PODS = "client1 client2"
# ``host`` is a pod on node1's own network.
NODES = "node1 node2 host"
INSIDE = f"{PODS} {NODES}"
EVERYBODY = f"{INSIDE} outside"

# Both pods give these ports other numbers.
HTTP = "one:8080 two:9080"
MORE = "one:8081 two:9081"

TABLE = [
    # --- ClusterIP: pods are seen as themselves, everybody else as the node
    Row(PODS, "given:80", HTTP, ITSELF),
    Row(PODS, "given:80/udp", HTTP, ITSELF),
    Row(NODES, "given:80", HTTP, NODE),
    Row(NODES, "given:80/udp", HTTP, NODE),
    # The gateway has a route to this address. On most clusters nobody has.
    Row("outside", "given:80", HTTP, NODE),
    Row("outside", "given:80/udp", HTTP, NODE),
    Row(PODS, "allocated:80", HTTP, ITSELF),
    Row(PODS, "allocated:81", MORE, ITSELF),
    Row(NODES, "allocated:81", MORE, NODE),
    # A port that it has not is not refused: the packet goes wherever its address leads.
    Row("client1 node2", "opted-out:80", UNREACHABLE),
    Row("client1 node2", "labelled-headless:80", UNREACHABLE),
    Row("client1", "allocated:82", UNREACHABLE),
    # Endpoints on a node's own network
    Row(PODS, "on-node:80", "node1:10080", ITSELF),
    Row("node2", "on-node:80", "node1:10080", NODE),
    # No packet of this connection leaves the node that translates it, so none has its source changed.
    Row("outside", "on-node:80", "node1:10080", ITSELF),
    Row("client1", "by-slice:80", "node1:10080", ITSELF),
    Row("node2", "by-slice:80", "node1:10080", NODE),
    Row("client2", "by-endpoints:80", "node1:10080", ITSELF),
    # --- hairpin: a pod that meets itself sees its node's bridge
    Row("one", "given:80", HTTP, {"one": NODE, "two": ITSELF}),
    Row("two", "given:80", HTTP, {"one": ITSELF, "two": NODE}),
    Row("two", "given:80/udp", HTTP, {"one": ITSELF, "two": NODE}),
    Row("one", "node1:30080", HTTP, NODE),
    # --- NodePort: at every address of every node, and always seen as the node that was called
    Row(EVERYBODY, "node1:30080", HTTP, NODE),
    Row(EVERYBODY, "node2:30080", HTTP, NODE),
    Row(EVERYBODY, "node1:30080/udp", HTTP, NODE),
    Row(EVERYBODY, "node2:any-node-port", HTTP, NODE),
    Row(f"{NODES} client1 outside", "cbr0@node1:30080", HTTP, NODE),
    Row("outside", "cbr0@node2:30080", HTTP, NODE),
    Row(NODES, "localhost:30080", HTTP, NODE),
    Row(NODES, "localhost:30080/udp", HTTP, NODE),
    Row(PODS, "localhost:30080", REFUSED),
    # The ports of the service itself are at its own address only.
    Row(PODS, "node-port:80", HTTP, ITSELF),
    Row("outside", "node1:80", REFUSED),
    # --- addresses that are on no interface, and lead to the first node that gets the packet
    Row(EVERYBODY, "external.external:80", HTTP, NODE),
    Row(EVERYBODY, "balanced.lb:80", HTTP, NODE),
    Row("client1 outside", "balanced.lb:80/udp", HTTP, NODE),
    Row(EVERYBODY, "pooled.lb:80", HTTP, NODE),
    Row("outside", "node2:pooled", HTTP, NODE),
    Row("client1 node2 outside", "no-node-port.lb:80", HTTP, NODE),
    # Source ranges are silent to others, and are for the load balancer's address only.
    Row("client2 outside", "guarded.lb:80", HTTP, NODE),
    Row("client1 node1 node2 host", "guarded.lb:80", TIMEOUT),
    Row("client1 outside", "node1:30081", HTTP, NODE),
    Row("client1", "guarded:80", HTTP, ITSELF),
    Row("client1 node2", "proxied.lb:80", UNREACHABLE),
    Row("client1", "node2:30082", HTTP, NODE),
    # --- nobody there: told at once
    Row(EVERYBODY, "nobody:80", REFUSED),
    Row("client1 node2 outside", "nobody:80/udp", REFUSED),
    Row(EVERYBODY, "node1:30091", REFUSED),
    Row("client1 node2 outside", "node2:30091/udp", REFUSED),
    Row("client2 node1", "localhost:30091", REFUSED),
    # A node's own packets are not asked about there (OUTPUT has no such jump): they go the way of their address.
    Row(f"{PODS} outside", "nobody.external:80", REFUSED),
    # --- somebody there, but not on this node: silence
    Row("client1 node1 host outside", "not-here:80", TIMEOUT),
    Row("outside", "node1:30092", TIMEOUT),
    Row("client2", "not-here:80", "two:9080", ITSELF),
    Row("node2", "not-here:80", "two:9080", NODE),
    Row("outside", "node2:30092", "two:9080", ITSELF),
    # --- who is not ready is no endpoint
    Row("client1 client2", "ready:80", "two:9080", ITSELF),
    Row("client2", "ready-or-not:80", "moody:8080 two:9080", ITSELF),
    Row("client2 node1", "moody:80", REFUSED),
]

STICKY = [
    Row("client1 client2 node1", "sticky:80", HTTP),
    Row("client1", "node1:30090", HTTP),
    Row("outside", "node2:30090", HTTP),
    Row("node2", "localhost:30090", HTTP),
]
FORGETFUL = Cell("client1", "forgetful:80", HTTP)

# Routes that the gateway is given: to addresses that are on no interface, by way of ENTRANCE.
ROUTED = ("10.96.100.0/24", "203.0.113.0/25", "203.0.113.250/31")


@pytest.fixture(scope="session")
def world(node: Node, pods: Pods, clients: Clients, lab_get: Get, site: Site) -> World:
    """The cluster with a pod that is not ready any more, and with a gateway that knows the way to services."""
    clients.make_ready("moody", False)
    site(SCENARIO, SCENARIO / "manifests", "--tags", "services")
    prepare(node, *ROUTED)
    return World(pods, lab_get("services"))


@pytest.fixture(scope="session")
def answers(world: World, clients: Clients) -> Answers:
    """What everybody met, asked all at once."""
    questions = {cell: world.question(cell) for cell in cells(TABLE)}
    questions |= {cell: {**world.question(cell), "until": [], "least": 20} for cell in cells(STICKY)}
    # A client who has been away for longer than the Service remembers is a new one.
    questions[FORGETFUL] = {**world.question(FORGETFUL), "least": 2, "most": 20, "pause": 1.2}
    return clients.ask(questions)


@pytest.mark.parametrize("cell", cells(TABLE), ids=str)
def test_who_answers_and_whom_he_sees(cell: Cell, world: World, answers: Answers) -> None:
    assert told(answers[cell]) == world.expected(cell)


# --- session affinity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", cells(STICKY), ids=str)
def test_a_sticky_service_sends_a_client_to_one_pod(cell: Cell, answers: Answers) -> None:
    answer = answers[cell]
    assert (answer["outcome"], len(answer["calls"])) == ("answered", 20)
    assert len({server for server, _ in answer["calls"]}) == 1


def test_a_client_has_the_same_pod_at_every_address_of_a_sticky_service(answers: Answers) -> None:
    first = [answers[Cell("client1", target, HTTP)]["calls"][0][0] for target in ("sticky:80", "node1:30090")]
    assert first[0] == first[1]


def test_affinity_ends_after_its_time(answers: Answers) -> None:
    assert set(told(answers[FORGETFUL])) == set(HTTP.split())


# --- rules without traffic --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rules(node: Node) -> str:
    return str(node("node1").check_output("iptables-save"))


@pytest.mark.parametrize("service", ["headless", "alias", "opted-out", "labelled-headless"])
def test_no_rule_knows_a_service_that_is_not_proxied(service: str, rules: str, world: World) -> None:
    assert service in world.services
    assert f'"default/{service}' not in rules
    assert '"default/given:http cluster IP"' in rules


def test_a_load_balancer_without_node_ports_has_no_rule_for_one(rules: str, world: World) -> None:
    ports = world.services["no-node-port"]["spec"]["ports"]
    assert [port.get("nodePort") for port in ports] == [None]
    assert not re.search(r'^-A KUBE-NODEPORTS .*"default/no-node-port', rules, re.MULTILINE)
    assert re.search(r'^-A KUBE-NODEPORTS .*"default/pooled', rules, re.MULTILINE)


def test_sctp_has_rules_like_everybody(rules: str) -> None:
    """This kernel may have no sockets to try them with."""
    chain = re.search(r"-d 10\.96\.100\.3/32 -p sctp .* -m sctp --dport 80 -j (KUBE-SVC-\w+)", rules)
    assert chain
    ends = re.findall(rf"-A {chain[1]} .*-j (KUBE-SEP-\w+)", rules)
    to = {found for end in ends for found in re.findall(rf"-A {end} -p sctp .* --to-destination (\S+)", rules)}
    assert to == {"10.1.1.2:5000", "10.1.2.2:5000"}


def test_nothing_listens_at_a_node_port(node: Node) -> None:
    assert ":30080 " not in node("node1").check_output("ss -Hltun")
