"""``./lab get`` of services: from manifests over a run's record to kubectl's tables and objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.look import columns, describe, get, objects, table
from podlab.controller import transport
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.model import Document
from podlab.planner.services.addresses import allocate
from podlab.planner.services.backends import Backend
from podlab.planner.services.endpoints import slices_in_force, slices_of_pods
from podlab.planner.services.record import remembered
from tests.answers import NOW, answer
from tests.unit.bodies import desired, endpoint_slice, endpoints, service

MADE = "2026-01-02T11:50:00Z"
HTTP = {"name": "http", "port": 80, "targetPort": "http"}


def backend(number: int, **facts: Any) -> Backend:
    own: dict[str, Any] = {"labels": {"app": "web"}, "ports": {("http", "TCP"): 8080}, "node": "node1", "zone": ""}
    return Backend(f"default/web-{number}", f"10.1.1.{number}", **{**own, "is_ready": True, **facts})


def state(*documents: Document, pods: tuple[Backend, ...] = (), **settings: Any) -> objects.State:
    wanted = desired(*documents)
    given = allocate(Cluster(**settings), [Host("node1", "node", "10.100.0.2")], wanted.services)
    slices, _ = slices_in_force(wanted.services, slices_of_pods(wanted.services, pods), wanted.slices, wanted.endpoints)
    everything = [part for parts in slices.values() for part in parts]
    record = remembered(wanted.services, given, everything, wanted.endpoints, {}, MADE)
    packed = {name: transport.pack(part) for name, part in record.items()}
    return objects.cluster_state({"node1": answer(**packed)}, ["node1"])


def shown(plural: str, found: objects.State, **form: Any) -> list[str]:
    """The table of a kind, blanks squeezed."""
    text = table.table(columns.KINDS[plural], get.LISTS[plural](found), NOW, **form)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_services_in_kubectls_columns():
    found = state(
        service("a", clusterIP="10.96.0.10", ports=[HTTP, {"name": "dns", "port": 53, "protocol": "UDP"}]),
        service("b", clusterIP="10.96.0.11", type="NodePort", ports=[{"port": 80, "nodePort": 30080}], externalIPs=["203.0.113.5"]),
        service("c", clusterIP="10.96.0.12", type="LoadBalancer", allocateLoadBalancerNodePorts=False, selector=None),
        service("d", clusterIP="None", ports=None),
        service("e", type="ExternalName", externalName="example.com", ports=None),
        service("f", clusterIP="10.96.0.13", type="LoadBalancer", ports=[{"port": 80, "nodePort": 30081}], externalIPs=["203.0.113.6"], status=[{"ip": "192.0.2.2"}, {"hostname": "lb"}]),
    )  # fmt: skip
    assert shown("services", found, wide=True) == [
        "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
        "a ClusterIP 10.96.0.10 <none> 80/TCP,53/UDP 10m app=a",
        "b NodePort 10.96.0.11 203.0.113.5 80:30080/TCP 10m app=b",
        "c LoadBalancer 10.96.0.12 <pending> 80/TCP 10m <none>",
        "d ClusterIP None <none> <none> 10m app=d",
        "e ExternalName <none> example.com <none> 10m app=e",
        "f LoadBalancer 10.96.0.13 192.0.2.2,lb,203.0.113.6 80:30081/TCP 10m app=f",
    ]


def test_a_pool_gives_what_is_shown():
    found = state(service("a", clusterIP="10.96.0.10", type="LoadBalancer"), load_balancer_pool="192.0.2.9/32")
    assert shown("services", found)[1].split()[3] == "192.0.2.9"


def test_endpoints_are_those_that_are_ready_and_the_others_are_told_of_widely():
    pods = (*map(backend, range(2, 8)), backend(9, is_ready=False))
    found = state(
        service("web", ports=[HTTP]),
        service("all", selector={"app": "web"}, publishNotReadyAddresses=True, clusterIP="None", ports=None),
        service("nobody", selector={"app": "x"}),
        service("mine", selector=None),
        endpoints("mine", {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}, {"port": 81, "name": "b"}][:1]}),
        service("sliced", selector=None),
        endpoint_slice("sliced-1", "sliced"),
        pods=pods,
    )
    assert shown("endpoints", found, wide=True) == [
        "NAME ENDPOINTS AGE NOT READY",
        "all 10.1.1.2,10.1.1.3,10.1.1.4 + 4 more... 10m <none>",
        "mine 192.0.2.1:80 10m <none>",
        "nobody <none> 10m <none>",
        "web 10.1.1.2:8080,10.1.1.3:8080,10.1.1.4:8080 + 3 more... 10m 10.1.1.9:8080",
    ]
    assert shown("endpoints", found)[0] == "NAME ENDPOINTS AGE"


def test_endpointslices_in_kubectls_columns():
    pods = (*map(backend, range(2, 5)), backend(5, ports={("http", "TCP"): 9090}), backend(6, is_ready=False))
    found = state(
        service("web", ports=[HTTP]),
        service("nobody", selector={"app": "x"}),
        endpoint_slice("web-1", endpoints=[{"addresses": ["192.0.2.1"]}], ports=[{"port": 80}, {"name": "all"}]),
        endpoint_slice("z", addressType="FQDN", endpoints=[{"addresses": ["a.example.com"]}], ports=[]),
        pods=pods,
    )
    lines = [
        line.replace(line.split()[0], line.split()[0].partition("-")[0], 1) for line in shown("endpointslices", found)
    ]
    assert sorted(lines) == [
        "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
        "nobody IPv4 <unset> <unset> 10m",
        "web IPv4 80,all 192.0.2.1 10m",
        "web IPv4 8080 10.1.1.2,10.1.1.3,10.1.1.4 + 1 more... 10m",
        "web IPv4 9090 10.1.1.5 10m",
        "z FQDN <unset> a.example.com 10m",
    ]


def items(plural: str, found: objects.State) -> Any:
    return json.loads(json.dumps(get.LISTS[plural](found)))


def test_a_slice_as_an_object():
    headless = service(
        "web", metadata={"labels": {"a": "b"}}, clusterIP="None", ports=[HTTP], trafficDistribution="PreferClose"
    )
    (found,) = items("endpointslices", state(headless, pods=(backend(2, zone="z", hostname="web-2", subdomain="web"),)))
    assert found == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": found["metadata"]["name"],
            "namespace": "default",
            "generateName": "web-",
            "creationTimestamp": MADE,
            "labels": {
                "a": "b",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": "web",
                "service.kubernetes.io/headless": "",
            },
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Service", "name": "web", "controller": True, "blockOwnerDeletion": True}
            ],
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.1.1.2"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": "node1",
                "zone": "z",
                "hostname": "web-2",
                "hints": {"forZones": [{"name": "z"}]},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-2"},
            }
        ],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def test_a_mirrored_slice_is_that_of_its_endpoints():
    written = endpoints("web", {"notReadyAddresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]})
    (found,) = items("endpointslices", state(service(selector=None), written))
    assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == (
        "endpointslicemirroring-controller.k8s.io"
    )
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
    assert found["endpoints"] == [{"addresses": ["192.0.2.1"], "conditions": {"ready": False}}]


def test_endpoints_as_an_object():
    pods = (
        backend(10),
        backend(2),
        backend(3, is_ready=False, ports={("http", "TCP"): 9090}),
        backend(4, is_ready=False),
    )
    (found,) = items("endpoints", state(service(metadata={"labels": {"a": "b"}}, ports=[HTTP]), pods=pods))
    assert found["metadata"] == {"name": "web", "namespace": "default", "labels": {"a": "b"}, "creationTimestamp": MADE}

    def address(number: int) -> dict[str, Any]:
        target = {"kind": "Pod", "namespace": "default", "name": f"web-{number}"}
        return {"ip": f"10.1.1.{number}", "nodeName": "node1", "targetRef": target}

    assert found["subsets"] == [
        {
            "addresses": [address(2), address(10)],
            "notReadyAddresses": [address(4)],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
        {"notReadyAddresses": [address(3)], "ports": [{"name": "http", "port": 9090, "protocol": "TCP"}]},
    ]


@pytest.mark.parametrize("publishes", [False, True])
def test_who_is_about_to_go_is_in_the_slice_and_in_endpoints_only_where_all_are_published(publishes):
    """The endpoints controller passes over pods that end, unless the Service tolerates those that are not ready."""
    found = state(service(publishNotReadyAddresses=publishes), pods=(backend(1, is_terminating=True),))
    (part,) = items("endpointslices", found)
    conditions = {"ready": publishes, "serving": True, "terminating": True}
    assert [one["conditions"] for one in part["endpoints"]] == [conditions]
    (whole,) = items("endpoints", found)
    assert [one["ip"] for some in whole.get("subsets", ()) for one in some["addresses"]] == ["10.1.1.1"] * publishes


def test_what_is_written_is_shown_as_it_is_written():
    (found,) = items(
        "endpoints", state(service(selector=None), endpoints("web", {"addresses": [{"ip": "192.0.2.01"}]}))
    )
    assert found["subsets"] == [{"addresses": [{"ip": "192.0.2.01"}]}]


@pytest.mark.parametrize("plural", ["services", "endpoints", "endpointslices"])
def test_a_cluster_of_an_older_podlab_has_none(plural):
    assert get.LISTS[plural](objects.cluster_state({"node1": answer()}, ["node1"])) == []


def test_pods_without_the_named_port_stand_in_a_slice_of_unset_ports_and_lead_nowhere():
    found = state(
        service("web", clusterIP="10.96.0.10", ports=[HTTP]),
        service("two", clusterIP="10.96.0.11", selector={"app": "web"}, ports=[{**HTTP, "name": "a"}, {"name": "b", "port": 81}]),
        pods=(backend(2, ports={}),),
    )  # fmt: skip
    parts = [line.partition(" ")[2] for line in shown("endpointslices", found)]
    assert parts == ["ADDRESSTYPE PORTS ENDPOINTS AGE", "IPv4 81 10.1.1.2 10m", "IPv4 <unset> 10.1.1.2 10m"]
    assert shown("endpoints", found) == ["NAME ENDPOINTS AGE", "two 10.1.1.2:81 10m", "web <none> 10m"]
    lines = [" ".join(line.split()) for name in ("web", "two") for line in told(found, name).splitlines()]
    assert [line for line in lines if line.startswith(("Port", "Target", "Endpoints"))] == [
        *("Port: http 80/TCP", "TargetPort: http/TCP", "Endpoints: 10.1.1.2"),
        *("Port: a 80/TCP", "TargetPort: http/TCP", "Endpoints:"),
        *("Port: b 81/TCP", "TargetPort: 81/TCP", "Endpoints: 10.1.1.2:81"),
    ]


def test_a_record_that_somebody_has_changed_is_shown_as_what_it_is_a_record_of():
    found = state(service("web", clusterIP="10.96.0.10", type="NodePort", ports=[{**HTTP, "nodePort": 30080}]))
    (told,) = found.records
    entry = told["services"] = dict(transport.decode_part(told["services"]))
    web = entry["default/web"] = {**entry["default/web"], "nodePorts": []}
    web["body"] = {**web["body"], "kind": "Deployment"}
    (item,) = items("services", found)
    assert item["kind"] == "Service"
    assert "nodePort" not in item["spec"]["ports"][0]
    web["nodePorts"] = [30080, 30081]
    (item,) = items("services", found)
    assert [port["nodePort"] for port in item["spec"]["ports"]] == [30080]


# --- describe -------------------------------------------------------------------------------------------


def told(found: objects.State, name: str) -> str:
    (item,) = [item for item in get.LISTS["services"](found) if item["metadata"]["name"] == name]
    return describe.text(found, item, NOW, [], "")


def test_a_service_at_length(golden):
    """Line for line as kubectl 1.32 has it; endpoints are those that are ready."""
    found = state(
        service(
            "web",
            metadata={"labels": {"team": "x", "a": "b"}, "annotations": {"why": "not"}},
            type="LoadBalancer",
            clusterIP="10.96.0.10",
            ports=[{**HTTP, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}],
            externalIPs=["203.0.113.5", "203.0.113.6"],
            externalTrafficPolicy="Local",
            healthCheckNodePort=30500,
            loadBalancerSourceRanges=["10.0.0.0/8"],
            sessionAffinity="ClientIP",
            trafficDistribution="PreferClose",
            status=[{"ip": "192.0.2.2"}, {"hostname": "lb"}],
        ),
        pods=(*map(backend, range(2, 7)), backend(9, is_ready=False)),
    )
    golden("describe-service.txt", told(found, "web"))


def test_services_of_other_types_at_length(golden):
    found = state(
        service("alias", type="ExternalName", externalName="example.com", ports=None, selector=None),
        service("headless", clusterIP="None", ports=None),
        service("sliced", selector=None, clusterIP="10.96.0.11"),
        endpoint_slice("sliced-1", "sliced", endpoints=[{"addresses": ["192.0.2.1"]}], ports=[{"port": 8080}]),
    )
    pages = [told(found, name) for name in ("alias", "headless", "sliced")]
    golden("describe-services.txt", "\n\n".join(pages))
