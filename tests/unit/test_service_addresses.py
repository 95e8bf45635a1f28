"""What Services are given, over the life of a cluster: nobody is renumbered, and nobody has what another one has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.planner.inputs.cluster import cluster_of
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.service_settings import pool_of
from podlab.planner.inputs.settings import Cluster
from podlab.planner.manifests.updates import IMMUTABLE, ONCE_SET
from podlab.planner.model import Document, Invalid
from podlab.planner.services.addresses import allocate, waiting
from podlab.planner.services.model import Ingress, Service, ServiceAllocation
from podlab.planner.services.record import remembered
from tests.unit.bodies import desired, problems_of, service

HOSTS = [Host("node1", "node", "10.100.0.2"), Host("node2", "node", "10.100.0.3"), Host("gw", "gateway", "10.100.0.1")]
NOW = "2030-01-01T00:00:00Z"


class Lab:
    """A cluster that remembers what it has given out, as the hosts' records do."""

    def __init__(self, **settings_: Any) -> None:
        self.cluster = Cluster(**settings_)
        self.record: dict[str, Any] = {}

    def hosts(self) -> list[Host]:
        seen = {"record": {"cluster": self.record}} if self.record else None
        return [Host(host.name, host.role, host.address, observation=seen) for host in HOSTS]

    def allocate(self, *documents: Document) -> dict[str, ServiceAllocation]:
        return allocate(self.cluster, self.hosts(), desired(*documents).services)

    def run(self, *documents: Document) -> dict[str, ServiceAllocation]:
        services = desired(*documents).services
        found = allocate(self.cluster, self.hosts(), services)
        kept = remembered(services, found, [], [], self.record, NOW)
        self.record = {**json.loads(json.dumps(kept)), "generation": self.record.get("generation", 0) + 1}
        return found

    def problems(self, *documents: Document) -> list[str]:
        return [line.partition(" is invalid: ")[2] or line for line in problems_of(self.allocate, *documents)]


def ips(found: dict[str, ServiceAllocation]) -> dict[str, str]:
    return {key.partition("/")[2]: one.cluster_ip for key, one in found.items()}


def node_port(name: str = "web", number: int = 0, **spec: Any) -> Document:
    port = {"port": 80, **({"nodePort": number} if number else {})}
    return service(name, **{"type": "NodePort", "ports": [port], **spec})


def balanced(name: str = "web", **spec: Any) -> Document:
    return service(name, **{"type": "LoadBalancer", **spec})


LOCAL = {"externalTrafficPolicy": "Local"}


# --- settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("10.9.0.0/24", ("10.9.0.1", "10.9.0.254")),
        ("10.9.0.0/31", ("10.9.0.0", "10.9.0.1")),
        ("10.9.0.7/32", ("10.9.0.7", "10.9.0.7")),
        ("10.9.0.5-10.9.0.9", ("10.9.0.5", "10.9.0.9")),
        (" 10.9.0.5 - 10.9.0.5 ", ("10.9.0.5", "10.9.0.5")),
        *((bad, None) for bad in ("", "10.9.0.5", "10.9.0.9-10.9.0.5", "10.9.0.1/24", "a-b", "10.9.0.0/24-10.9.0.9")),
    ],
)
def test_a_pool_is_a_cidr_or_two_addresses(text, ends):
    assert pool_of(text) == (ends and tuple(int(IPv4Address(end)) for end in ends))


@pytest.mark.parametrize(
    ("setting", "problems"),
    [
        (
            {"podlab_load_balancer_pool": "10.9.0.0"},
            [
                'podlab_load_balancer_pool: Invalid value: "10.9.0.0": must be a CIDR or two addresses, the lower one '
                "first (e.g. 10.100.1.0/24 or 10.100.0.200-10.100.0.250)"
            ],
        ),
        (
            {"podlab_load_balancer_pool": "10.1.200.0/24"},
            ["podlab_load_balancer_pool 10.1.200.0/24 overlaps with podlab_cluster_cidr 10.1.0.0/16"],
        ),
        (
            {"podlab_load_balancer_pool": "10.95.255.250-10.96.0.9"},
            ["podlab_load_balancer_pool 10.95.255.250-10.96.0.9 overlaps with podlab_service_cidr 10.96.0.0/16"],
        ),
        (
            {"podlab_node_port_addresses": ["10.0.0.0/8", "10.0.0.1/8"]},
            [
                'podlab_node_port_addresses[1]: Invalid value: "10.0.0.1/8": network has host bits set; '
                "the network address is 10.0.0.0/8"
            ],
        ),
        (
            {"podlab_masquerade_all": "all", "podlab_node_port_addresses": "all", "podlab_load_balancer_pool": 1},
            [
                "podlab_load_balancer_pool: Invalid value: 1: must be of type string",
                'podlab_masquerade_all: Invalid value: "all": must be of type boolean',
                'podlab_node_port_addresses: Invalid value: "all": must be of type array',
            ],
        ),
    ],
)
def test_a_bad_setting(setting, problems):
    with pytest.raises(Invalid) as caught:
        cluster_of(setting)
    assert caught.value.problems == problems


def test_a_pool_holds_no_address_of_a_host():
    assert Lab(load_balancer_pool="10.100.0.0/24").problems() == [
        f"podlab_load_balancer_pool 10.100.0.0/24 overlaps with the address of {host.name}, {host.address}"
        for host in HOSTS
    ]


def of_links(pool: str) -> dict[str, ServiceAllocation]:
    """A gateway with two interfaces, and a node that bears an address of a load balancer's, to take it for its own."""
    interfaces = {"gw": ["10.100.0.1/24", "198.51.100.1/24"], "node1": ["10.100.0.2/24", "203.0.113.7/32"]}
    hosts = [
        Host(name, "node", own[0].partition("/")[0], observation={"links": {"eth0": {"addresses": own}}})
        for name, own in interfaces.items()
    ]
    return allocate(Cluster(load_balancer_pool=pool), hosts, [])


@pytest.mark.parametrize(
    ("pool", "what"),
    [
        ("198.51.100.0/24", "the address of gw, 198.51.100.1"),
        ("10.100.0.200-10.100.1.10", "the broadcast address of 10.100.0.0/24, 10.100.0.255"),
    ],
)
def test_a_pool_holds_nothing_that_the_links_of_hosts_have(pool, what):
    assert problems_of(of_links, pool) == [f"podlab_load_balancer_pool {pool} overlaps with {what}"]


@pytest.mark.parametrize("pool", ["10.100.0.200-10.100.0.250", "203.0.113.0/24"])
def test_a_pool_may_lie_beside_hosts_and_a_node_may_bear_an_address_of_it(pool):
    assert of_links(pool) == {}


# --- cluster IPs ----------------------------------------------------------------------------------------


def test_a_service_gets_the_same_address_whatever_stands_beside_it():
    alone = ips(Lab().run(service("web")))
    beside = ips(Lab().run(service("a"), service("b"), service("web"), service("c")))
    assert beside["web"] == alone["web"] == "10.96.54.115"


def test_given_ones_have_the_lower_band_to_themselves():
    found = Lab().run(*(service(f"s{index}") for index in range(300)))
    lower = range(int(IPv4Address("10.96.0.1")), int(IPv4Address("10.96.1.1")))
    assert [ip for ip in ips(found).values() if int(IPv4Address(ip)) in lower] == []


def test_the_lower_band_is_given_out_when_the_upper_one_is_full():
    found = Lab(service_cidr="10.96.0.0/27").run(*(service(f"s{index}") for index in range(30)))
    assert sorted(map(IPv4Address, ips(found).values())) == list(IPv4Network("10.96.0.0/27").hosts())


def test_who_asks_for_an_address_gets_it_and_who_has_none_has_none():
    found = Lab().run(
        service("a", clusterIP="10.96.0.10"),
        service("b", clusterIP="None"),
        service("c", type="ExternalName", externalName="example.com", ports=None),
    )
    assert ips(found) == {"a": "10.96.0.10", "b": "None", "c": ""}


def test_an_address_out_of_the_range_or_taken():
    a, b, c = (
        service(name, clusterIP=ip) for name, ip in (("a", "10.96.0.10"), ("b", "10.96.0.10"), ("c", "10.97.0.1"))
    )
    assert Lab().problems(a, b, c) == [
        'spec.clusterIPs: Invalid value: []string{"10.96.0.10"}: failed to allocate IP 10.96.0.10: '
        "provided IP is already allocated",
        'spec.clusterIPs: Invalid value: []string{"10.97.0.1"}: failed to allocate IP 10.97.0.1: '
        "provided IP 10.97.0.1 is not in the valid range. The range of valid IPs is 10.96.0.0/16",
    ]


@pytest.mark.parametrize("ip", ["10.96.0.0", "10.96.255.255"])
def test_nobody_has_the_networks_own_address(ip):
    assert len(Lab().problems(service(clusterIP=ip))) == 1


def test_a_range_that_is_full_is_said_once_with_those_who_are_left():
    documents = [service(f"s{index}") for index in range(17)]
    assert Lab(service_cidr="10.96.0.0/28").problems(*documents) == [
        "spec.clusterIPs: Internal error: failed to allocate a serviceIP: range is full; "
        "none for default/s14, default/s15, default/s16"
    ]
    assert Lab(service_cidr="10.96.0.0/28").problems(*documents[:15]) == [
        "spec.clusterIPs: Internal error: failed to allocate a serviceIP: range is full"
    ]


def test_what_was_given_is_kept_and_may_not_be_changed():
    lab = Lab()
    lab.run(service(clusterIP="10.96.0.10"))
    assert ips(lab.run(service())) == {"web": "10.96.0.10"}
    assert lab.problems(service(clusterIP="10.96.0.11")) == [
        f'spec.clusterIPs[0]: Invalid value: []string{{"10.96.0.11"}}: {ONCE_SET}'
    ]
    assert lab.problems(service(clusterIP="None")) == [
        f'spec.clusterIPs[0]: Invalid value: []string{{"None"}}: {ONCE_SET}'
    ]
    assert ips(lab.run(service(clusterIP="10.96.0.10"))) == {"web": "10.96.0.10"}


def test_what_one_has_no_other_one_gets_by_asking():
    lab = Lab()
    taken = ips(lab.run(service("a")))["a"]
    assert lab.problems(service("b", clusterIP=taken), service("a")) == [
        f'spec.clusterIPs: Invalid value: []string{{"{taken}"}}: failed to allocate IP {taken}: '
        "provided IP is already allocated"
    ]
    assert ips(lab.run(service("b", clusterIP=taken))) == {"b": taken}


def test_an_address_comes_and_goes_with_the_type():
    lab = Lab()
    first = ips(lab.run(service()))
    outside = {"type": "ExternalName", "externalName": "example.com"}
    assert ips(lab.run(service(**outside))) == {"web": ""}
    assert ips(lab.run(service(clusterIP="10.96.0.7"))) == {"web": "10.96.0.7"}
    assert ips(Lab().run(service())) == first


def test_a_headless_service_may_get_an_address_by_not_asking_for_none():
    lab = Lab()
    lab.run(service(clusterIP="None"))
    assert ips(lab.run(service())) == ips(Lab().run(service()))


def test_another_range_begins_anew():
    lab = Lab()
    lab.run(service())
    lab.cluster = Cluster(service_cidr="10.97.0.0/16")
    assert ips(lab.run(service()))["web"].startswith("10.97.")


# --- node ports -----------------------------------------------------------------------------------------


def test_a_node_port_is_given_out_above_those_that_people_write_down():
    found = Lab().run(*(node_port(f"s{index}") for index in range(100)))
    numbers = [number for one in found.values() for number in one.node_ports]
    assert len(set(numbers)) == 100
    assert all(30086 <= number <= 32767 for number in numbers)


def test_a_node_port_is_the_same_whatever_stands_beside_it():
    alone = Lab().run(node_port("web"))["default/web"]
    assert Lab().run(node_port("a"), node_port("web"))["default/web"] == alone
    assert alone.node_ports == (30349,)


def test_one_number_on_two_protocols_shares_a_node_port():
    ports = [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53}, {"name": "c", "port": 54}]
    first, second, third = Lab().run(node_port(ports=ports))["default/web"].node_ports
    assert first == second != third
    ports[1]["nodePort"] = 30053
    assert Lab().run(node_port(ports=ports))["default/web"].node_ports[:2] == (30053, 30053)


def test_node_ports_that_cannot_be():
    shared = [
        {"name": "a", "port": 1, "nodePort": 30001},
        {"name": "b", "port": 2, "nodePort": 30001, "protocol": "UDP"},
    ]
    assert Lab(verify_port=30500).problems(
        node_port("a", 80),
        node_port("b", 30080),
        node_port("c", 30080),
        node_port("d", ports=shared),
        node_port("e", 30500),
    ) == [
        "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. "
        "The range of valid ports is 30000-32767",
        "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated",
        "spec.ports[1].nodePort: Invalid value: 30001: provided port is already allocated",
        "spec.ports[0].nodePort: Invalid value: 30500: provided port is already allocated",
    ]


def test_kube_proxys_own_port_is_no_node_port():
    """Or its health checks would end at a pod."""
    lab = Lab(node_port_range="10256-10257")
    assert lab.run(node_port())["default/web"].node_ports == (10257,)
    assert Lab(node_port_range="10256-10257").problems(node_port(number=10256)) == [
        "spec.ports[0].nodePort: Invalid value: 10256: provided port is already allocated"
    ]


def test_a_range_of_ports_that_is_full():
    lab = Lab(node_port_range="30000-30001")
    assert lab.problems(node_port("a"), node_port("b"), node_port("c")) == [
        "spec.ports[0].nodePort: Internal error: failed to allocate a nodePort: range is full"
    ]
    assert lab.problems(node_port("a"), balanced("b", **LOCAL)) == [
        "spec.healthCheckNodePort: Internal error: failed to allocate a HealthCheck NodePort: range is full"
    ]


def test_node_ports_are_kept_by_the_name_of_the_port_or_by_its_number():
    lab = Lab()
    first = lab.run(node_port(ports=[{"name": "http", "port": 80}, {"name": "other", "port": 81}]))["default/web"]
    renamed = [{"name": "http", "port": 8080}, {"name": "new", "port": 81}]
    assert lab.run(node_port(ports=renamed))["default/web"] == first
    assert lab.run(node_port(ports=[renamed[1]]))["default/web"].node_ports == first.node_ports[1:]


def test_names_that_change_places_take_their_node_ports_along():
    lab = Lab()
    a, b = lab.run(node_port(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]))["default/web"].node_ports
    swapped = [{"name": "a", "port": 81}, {"name": "b", "port": 80}]
    assert lab.run(node_port(ports=swapped))["default/web"].node_ports == (a, b)


def test_another_protocol_may_join_at_a_node_port_that_is_there():
    lab = Lab()
    tcp = {"name": "a", "port": 53}
    (number,) = lab.run(node_port(ports=[tcp]))["default/web"].node_ports
    udp = {"name": "b", "port": 53, "protocol": "UDP", "nodePort": number}
    assert lab.run(node_port(ports=[tcp, udp]))["default/web"].node_ports == (number, number)


def test_a_node_port_that_is_asked_for_takes_the_place_of_the_other():
    lab = Lab()
    before = lab.run(node_port())["default/web"].node_ports[0]
    found = lab.run(node_port(number=30080), node_port("other", before))
    assert (found["default/web"].node_ports, found["default/other"].node_ports) == ((30080,), (before,))


def test_what_is_no_node_port_any_more_is_free():
    lab = Lab()
    lab.run(node_port(number=30080))
    lab.run(service())
    assert lab.run(service(), node_port("b", 30080))["default/b"].node_ports == (30080,)


def test_a_load_balancer_has_node_ports_unless_it_says_so():
    found = Lab().run(balanced("a"), balanced("b", allocateLoadBalancerNodePorts=False))
    assert found["default/a"].node_ports != (0,)
    assert found["default/b"].node_ports == (0,)
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 30080}]
    asked = balanced(allocateLoadBalancerNodePorts=False, ports=ports)
    assert Lab().run(asked)["default/web"].node_ports == (0, 30080)


def test_health_checks_have_a_port_of_the_same_range():
    lab = Lab()
    found = lab.run(balanced("a", **LOCAL), balanced("b", **LOCAL, healthCheckNodePort=30500), balanced("c"))
    a, b, c = (found[f"default/{name}"].health_check_node_port for name in "abc")
    assert 30086 <= a <= 32767
    assert (b, c) == (30500, 0)
    assert lab.run(balanced("a", **LOCAL))["default/a"].health_check_node_port == a
    assert lab.run(balanced("a"))["default/a"].health_check_node_port == 0


def test_ports_of_health_checks_that_cannot_be():
    lab = Lab()
    lab.run(balanced(**LOCAL, healthCheckNodePort=30500))
    assert lab.problems(
        balanced(**LOCAL, healthCheckNodePort=30501),
        balanced("a", **LOCAL, healthCheckNodePort=80),
        node_port("b", 30502),
        balanced("c", **LOCAL, healthCheckNodePort=30502),
    ) == [
        f"spec.healthCheckNodePort: Forbidden: {IMMUTABLE}",
        "spec.healthCheckNodePort: Internal error: failed to allocate requested HealthCheck NodePort 80: "
        "provided port is not in the valid range. The range of valid ports is 30000-32767",
        "spec.healthCheckNodePort: Internal error: failed to allocate requested HealthCheck NodePort 30502: "
        "provided port is already allocated",
    ]


# --- load balancers -------------------------------------------------------------------------------------

POOL = {"load_balancer_pool": "192.0.2.10-192.0.2.13"}


def balancers(found: dict[str, ServiceAllocation]) -> dict[str, str]:
    return {key.partition("/")[2]: ",".join(item.ip for item in one.ingress) for key, one in found.items()}


def test_an_address_comes_out_of_the_pool_and_is_kept():
    lab = Lab(**POOL)
    first = balancers(lab.run(balanced("a"), balanced("b")))
    assert len(set(first.values())) == 2
    second = balancers(lab.run(balanced("c"), balanced("b"), balanced("a")))
    assert {name: second[name] for name in "ab"} == first
    assert all(192 << 24 | 2 << 8 | 10 <= int(IPv4Address(ip)) <= 192 << 24 | 2 << 8 | 13 for ip in second.values())


def test_what_the_manifest_tells_of_goes_before_the_pool():
    told = balanced(status=[{"ip": "203.0.113.1", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}])
    assert Lab(**POOL).run(told)["default/web"].ingress == (
        Ingress("203.0.113.1", mode="Proxy"),
        Ingress(hostname="lb.example.com"),
    )


def test_without_a_pool_one_waits_and_is_told():
    documents = [balanced("a"), balanced("b", loadBalancerIP="192.0.2.1"), service("c")]
    found = Lab().run(*documents)
    assert balancers(found) == {"a": "", "b": "", "c": ""}
    services: Sequence[Service] = desired(*documents).services
    assert waiting(services, found) == [
        "no load balancer gives an address to Service default/a, default/b: podlab_load_balancer_pool is not set"
    ]


def test_a_balancer_of_another_class_gives_the_address_and_podlabs_own_does_not():
    lab = Lab(load_balancer_pool="192.0.2.0/24")
    documents = [
        balanced("mine", loadBalancerClass="podlab.io/gateway"),
        balanced("plain"),
        balanced("theirs", loadBalancerClass="example.com/lb"),
        balanced("asks", loadBalancerClass="example.com/lb", loadBalancerIP="192.0.2.9"),
        balanced("told", loadBalancerClass="example.com/lb", status=[{"ip": "203.0.113.7"}]),
    ]
    found = lab.run(*documents)
    assert [name for name, ip in balancers(found).items() if ip] == ["mine", "plain", "told"]
    assert balancers(found)["told"] == "203.0.113.7"
    services: Sequence[Service] = desired(*documents).services
    assert waiting(services, found) == [
        "no load balancer gives an address to Service default/theirs (example.com/lb), default/asks (example.com/lb): "
        "podlab's own has the loadBalancerClass podlab.io/gateway, or none"
    ]


def test_one_may_ask_for_an_address_of_the_pool():
    lab = Lab(**POOL)
    assert balancers(lab.run(balanced("a", loadBalancerIP="192.0.2.12")))["a"] == "192.0.2.12"
    assert lab.problems(balanced("a", loadBalancerIP="192.0.2.14")) == [
        'spec.loadBalancerIP: Invalid value: "192.0.2.14": provided IP is not in '
        "podlab_load_balancer_pool 192.0.2.10-192.0.2.13"
    ]


def test_what_somebody_asks_for_is_given_to_nobody_else():
    asked = [balanced("a", loadBalancerIP="192.0.2.10"), service("b", externalIPs=["192.0.2.11"])]
    asked.append(balanced("c", status=[{"ip": "192.0.2.12"}]))
    assert balancers(Lab(**POOL).run(*asked, balanced("d")))["d"] == "192.0.2.13"
    (problem,) = Lab(**POOL).problems(*asked, balanced("d"), balanced("e"))
    assert "range is full" in problem


def test_a_pool_that_is_empty():
    assert Lab(**POOL).problems(*(balanced(f"s{index}") for index in range(6))) == [
        "status.loadBalancer.ingress: Internal error: failed to allocate a load balancer address: range is full "
        "(podlab_load_balancer_pool 192.0.2.10-192.0.2.13); none for default/s4, default/s5"
    ]


def test_an_address_that_left_the_pool_is_given_up():
    lab = Lab(**POOL)
    lab.run(balanced())
    lab.cluster = Cluster(load_balancer_pool="192.0.2.32/32")
    assert balancers(lab.run(balanced())) == {"web": "192.0.2.32"}


# --- two at one place -----------------------------------------------------------------------------------

EXTERNAL = {"externalIPs": ["203.0.113.5"]}


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        pytest.param(
            service("a", **EXTERNAL),
            service("b", **EXTERNAL),
            'spec.externalIPs[0]: Invalid value: "203.0.113.5": port 80/TCP of this address leads to Service default/a already',
            id="external IP twice",
        ),
        pytest.param(
            service("a", **EXTERNAL),
            balanced("b", status=[{"ip": "203.0.113.5"}]),
            'status.loadBalancer.ingress[0].ip: Invalid value: "203.0.113.5": port 80/TCP of this address leads to Service default/a already',
            id="external IP and load balancer",
        ),
        pytest.param(
            balanced("a", loadBalancerIP="192.0.2.10"),
            balanced("b", loadBalancerIP="192.0.2.10"),
            'spec.loadBalancerIP: Invalid value: "192.0.2.10": port 80/TCP of this address leads to Service default/a already',
            id="load balancer twice",
        ),
        pytest.param(
            service("a", externalIPs=["10.96.0.10"]),
            service("b", clusterIP="10.96.0.10"),
            'spec.externalIPs[0]: Invalid value: "10.96.0.10": port 80/TCP of this address leads to Service default/b already',
            id="somebody's cluster IP",
        ),
        pytest.param(
            service("a", externalIPs=["10.100.0.3"], ports=[{"port": 30080}]),
            node_port("b", 30080),
            'spec.externalIPs[0]: Invalid value: "10.100.0.3": port 30080/TCP of node2 is the node port of Service default/b already',
            id="node port of a node",
        ),
        pytest.param(
            service("a", externalIPs=["10.100.0.3"], ports=[{"port": 30500}]),
            balanced("b", **LOCAL, healthCheckNodePort=30500),
            'spec.externalIPs[0]: Invalid value: "10.100.0.3": port 30500/TCP of node2 is the node port of Service default/b already',
            id="health check of a node",
        ),
    ],
)
def test_two_services_at_one_address_and_port(first, second, problem):
    assert Lab(**POOL).problems(first, second) == [problem]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(service("a", **EXTERNAL), service("b", **EXTERNAL, ports=[{"port": 81}]), id="another port"),
        pytest.param(
            service("a", **EXTERNAL),
            service("b", **EXTERNAL, ports=[{"port": 80, "protocol": "UDP"}]),
            id="another protocol",
        ),
        pytest.param(
            service("a", **EXTERNAL),
            balanced("b", status=[{"ip": "203.0.113.5", "ipMode": "Proxy"}]),
            id="no rule for it",
        ),
        pytest.param(
            service("a", **EXTERNAL),
            service("b", **EXTERNAL, metadata={"labels": {"service.kubernetes.io/service-proxy-name": "x"}}),
            id="not served",
        ),
        pytest.param(
            service("a", externalIPs=["10.100.0.1"], ports=[{"port": 30080}]),
            node_port("b", 30080),
            id="no node's address",
        ),
        pytest.param(
            node_port("a", 30080, externalIPs=["10.100.0.3"], ports=[{"port": 30080, "nodePort": 30080}]),
            service("b"),
            id="one Service in two ways",
        ),
        pytest.param(
            balanced("a", externalIPs=["203.0.113.9"], status=[{"ip": "203.0.113.9"}]), service("b"), id="its own twice"
        ),
    ],
)
def test_what_may_stand_side_by_side(first, second):
    Lab().run(first, second)


def test_where_node_ports_are_not_served_there_is_no_clash():
    clash = [service("a", externalIPs=["10.100.0.3"], ports=[{"port": 30080}]), node_port("b", 30080)]
    assert Lab(node_port_addresses=("192.168.0.0/16",)).run(*clash)


def test_a_clash_of_external_addresses_is_one_though_a_node_port_of_ones_own_is_there_too():
    ports = [{"port": 30080}]
    mine = node_port("b", externalIPs=["10.100.0.3"], ports=[{"port": 30080, "nodePort": 30080}])
    assert Lab().problems(service("a", externalIPs=["10.100.0.3"], ports=ports), mine) == [
        'spec.externalIPs[0]: Invalid value: "10.100.0.3": port 30080/TCP of node2 is the node port of Service default/b already',
        'spec.externalIPs[0]: Invalid value: "10.100.0.3": port 30080/TCP of this address leads to Service default/a already',
    ]


def test_a_service_of_two_ports_is_told_of_both():
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 443}]
    lines = Lab().problems(service("a", **EXTERNAL, ports=ports), service("b", **EXTERNAL, ports=ports))
    assert ["port 80/TCP" in line for line in lines] == [True, False]


# --- any history ----------------------------------------------------------------------------------------

KINDS = {
    "plain": service,
    "node": node_port,
    "balanced": balanced,
    "local": lambda name: balanced(name, **LOCAL),
    "none": lambda name: service(name, clusterIP="None"),
}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([f"s{index}" for index in range(12)]), st.sampled_from(sorted(KINDS)), max_size=8
        ),
        min_size=2,
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_nobody_is_renumbered_in_any_history(history, random):
    lab = Lab(service_cidr="10.96.0.0/27", node_port_range="30000-30039", load_balancer_pool="192.0.2.0/28")
    before: dict[str, ServiceAllocation] = {}
    kinds: dict[str, str] = {}
    for wanted in history:
        names = list(wanted)
        random.shuffle(names)
        # From None there is a way to an address, and none back.
        documents = [
            KINDS[wanted[name]](name)
            for name in names
            if not (wanted[name] == "none" and kinds.get(name, "none") != "none")
        ]
        found = lab.run(*documents)
        shown = [one.cluster_ip for one in found.values() if one.cluster_ip != "None"]
        numbers = [
            number for one in found.values() for number in {*one.node_ports, one.health_check_node_port} if number
        ]
        outer = [item.ip for one in found.values() for item in one.ingress]
        assert len(shown) == len(set(shown))
        assert len(numbers) == len(set(numbers))
        assert len(outer) == len(set(outer))
        for name in names:
            key = f"default/{name}"
            if key in before and key in found and before[key].cluster_ip != "None":
                assert found[key].cluster_ip == before[key].cluster_ip
                if kinds[name] == wanted[name]:
                    assert found[key] == before[key]
        assert lab.run(*documents) == found
        before, kinds = found, {name: wanted[name] for name in names if f"default/{name}" in found}
