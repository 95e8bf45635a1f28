"""What a person says of a role's inputs, completed and checked."""

from __future__ import annotations

import pytest

from podlab.changes.network import bridge_config, defaults
from podlab.changes.pods import configs, problems
from podlab.configs import PodConfig, ServicesConfig
from podlab.planner.model import Invalid
from podlab.planner.services.standalone import services_config
from podlab.shapes import misfit
from tests.unit.test_plan import Lab
from tests.unit.test_plan import sample as sample

ETH0 = {"kind": "veth", "alias": "", "mac": "", "mtu": 1450, "up": True, "master": None, "addresses": ["10.100.0.2/24"]}
UPLINK = [{"to": "0.0.0.0/0", "via": "10.100.0.1", "dev": "eth0", "protocol": "3"}]
WEB = {"name": "web", "address": "10.1.1.2/24", "containers": [{"name": "web", "command": ["nginx"]}]}


def test_a_pod_of_three_words_is_whole() -> None:
    config = configs.complete(WEB, lambda bridge: 1450)
    assert not misfit(config, PodConfig)
    computed = ("netns", "gateway", "mac", "mtu", "bridge", "hostname", "restart_policy")
    assert {key: config[key] for key in computed} == {  # type: ignore[literal-required]
        **{"netns": "default_web", "gateway": "10.1.1.1", "mac": "0a:58:0a:01:01:02", "mtu": 1450},
        **{"bridge": "cbr0", "hostname": "web", "restart_policy": "Always"},
    }
    assert config["containers"]["web"]["argv"] == ["nginx"]
    assert config["etc"]["hosts"].endswith("10.1.1.2\tweb\n")


def test_what_is_said_stays_and_what_is_null_was_not_said() -> None:
    said = {"gateway": "10.1.1.9", "mac": "0a:00:00:00:00:01", "mtu": 1400, "bridge": "br0", "hostname": "w"}
    config = configs.complete({**WEB, **said, "namespace": "shop", "restart_policy": None, "etc": {"hosts": "x"}})
    assert said.items() <= config.items()
    assert (config["netns"], config["restart_policy"]) == ("shop_web", "Always")
    assert (config["etc"]["hosts"], config["etc"]["hostname"]) == ("x", "w\n")


def test_what_the_plan_hands_over_are_the_same_inputs(sample) -> None:
    rows = [row for host in Lab().plan(sample)["hosts"].values() for row in host.get("pods", {}).get("pods", [])]
    assert rows
    items = [configs.item(row) for row in rows]
    assert problems.problems(items) == []
    assert [configs.complete(item) for item in items] == rows


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "Web"}, "pod Web: name: 'Web' is no name"),
        ({"namespace": "a.b"}, "pod web: namespace: 'a.b' is no name"),
        ({"address": "10.1.1.2"}, "pod web: address: '10.1.1.2' is none; write an IPv4 address with prefix length"),
        ({"address": None}, "pod web: address: it is missing"),
        ({"address": "10.1.1.255/24"}, "pod web: address: 10.1.1.255 is the broadcast address of 10.1.1.0/24"),
        ({"address": "10.1.1.1/24"}, "pod web: address: 10.1.1.1 is the gateway's; give the pod another one"),
        ({"gateway": "10.1.1.1/24"}, "pod web: gateway: '10.1.1.1/24' is none; write the bridge's IPv4 address"),
        ({"gateway": "10.9.0.1"}, "pod web: gateway: 10.9.0.1 is not in 10.1.1.0/24"),
        ({"mac": "01:58:0a:01:01:02"}, "pod web: mac: '01:58:0a:01:01:02' is no MAC address of one link"),
        ({"mtu": 9}, "pod web: mtu: 9 is not from 68 to 65535"),
        ({"bridge": "a/b"}, "pod web: bridge: 'a/b' is no name of a link"),
        ({"containers": []}, "pod web: containers: write a list with one at least, each with name and command"),
        ({"containers": [{"name": "a"}]}, "pod web: container a: command: it is missing"),
        ({"containers": [{"name": "a", "command": "sleep 1"}]}, "pod web: container a: command: write a list of words"),
        ({"containers": [{"name": "a", "command": ["sleep", 1]}]}, "pod web: container a: command: write a list"),
        ({"containers": ["a"]}, "pod web: containers[0]: write a container as a mapping"),
        ({"containers": [{"name": "a", "command": ["x"], "env": {"A": 1}}]}, "pod web: containers.a.env.A: must be of type"),
    ],
)  # fmt: skip
def test_each_mistake_is_said_once(more, words) -> None:
    (found,) = problems.problems([{**WEB, **more}])
    assert found.startswith(words)


def test_pods_with_one_name_or_one_address() -> None:
    other = {**WEB, "name": "other", "address": "10.1.1.2/16"}
    assert problems.problems([WEB, {**WEB, "address": "10.1.1.3/24"}, {**WEB, "namespace": "shop"}, other]) == [
        "pod default/web is in the list 2 times; give each pod a name",
        "pods web, web, other: address 10.1.1.2 is given to each of them; one pod can have it",
    ]


def test_a_bridge_of_one_word_is_whole() -> None:
    given = {"name": "cbr0", "address": "10.1.1.1/24", "mac": None, "mtu": None}
    whole = {"name": "cbr0", "address": "10.1.1.1/24", "mac": "0a:58:0a:01:01:01", "mtu": 1450}
    assert bridge_config.complete(given, {"eth0": ETH0}, UPLINK) == whole
    assert bridge_config.complete({**given, "mtu": 9000, "mac": "02:00:00:00:00:01"}, {}, []) == {
        **whole,
        **{"mtu": 9000, "mac": "02:00:00:00:00:01"},
    }
    assert defaults.pod_mtu("cbr0", {"eth0": ETH0, "cbr0": {**ETH0, "mtu": 1400}}, UPLINK) == 1400
    assert defaults.pod_mtu("cbr0", {"eth0": ETH0}, UPLINK) == 1450
    assert defaults.pod_mtu("cbr0", {}, []) == 1500


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
SLICE = {
    **{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"port": 80}]},
    "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
    "endpoints": [{"addresses": ["10.1.1.2"], "nodeName": "node1"}],
}
POD_CIDRS, SERVICE_IPS = "10.1.0.0/16", "10.96.0.0/16"


def test_objects_become_what_a_node_is_told() -> None:
    found = services_config([SERVICE, SLICE], POD_CIDRS, "node1", SERVICE_IPS)
    (port,) = found["ports"]
    assert port["cluster_ip"] == "10.96.54.115", "as with site.yml"
    assert [(end["address"], end["port"], end["node"]) for end in port["endpoints"]] == [("10.1.1.2", 80, "node1")]
    assert not misfit({**found, "addresses": ["10.100.0.2"]}, ServicesConfig)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ("web", "services_objects: write a list of objects"),
        (["web"], "services_objects:0: write an object"),
        (
            [{**SERVICE, "kind": "Pod"}],
            "services_objects:0: Pod is none of Service, EndpointSlice, Endpoints, Namespace",
        ),
        ([SLICE], "EndpointSlice default/web-1 is nobody's: there is no Service web"),
        ([SERVICE, SERVICE], 'services_objects:1: Service "web" already exists: first seen at services_objects:0'),
    ],
)
def test_what_is_wrong_with_objects_is_said(objects, words) -> None:
    with pytest.raises(Invalid) as raised:
        services_config(objects, POD_CIDRS, "node1", SERVICE_IPS)
    assert raised.value.problems == [words]
