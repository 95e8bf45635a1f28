"""Endpoints: written down as EndpointSlices or Endpoints, and found by a selector among the plan's pods."""

from __future__ import annotations

from typing import Any

import pytest

from podlab.planner.inputs.host import Host
from podlab.planner.manifests import names
from podlab.planner.model import Container, Document, Pod, PodTemplate, Port, Present
from podlab.planner.services.backends import Backend, Stage, backends
from podlab.planner.services.endpoints import slices_in_force, slices_of_pods
from podlab.planner.services.model import Endpoint, Slice, SlicePort
from tests.unit.bodies import desired, endpoint_slice, endpoints, problems_of, service, wrong

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
    "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


# --- EndpointSlices that are written --------------------------------------------------------------------


def slice_of(*documents: Document) -> Slice:
    return desired(*documents).slices[0]


def test_conditions_have_defaults():
    """As kube-proxy reads them: nobody has said that an endpoint is not ready, or that it is about to end."""
    written: list[dict[str, Any]] = [{}, {"ready": False}, {"ready": False, "serving": False, "terminating": True}]
    items = [{"addresses": [f"10.0.0.{at}"], "conditions": conditions} for at, conditions in enumerate(written, 1)]
    found = slice_of(endpoint_slice(endpoints=[*items, {"addresses": ["10.0.0.9"]}])).endpoints
    assert [(one.ready, one.serving, one.terminating) for one in found] == [
        (True, True, False),
        (False, True, False),
        (False, False, True),
        (True, True, False),
    ]


def test_everything_that_can_be_written_of_a_slice():
    document = endpoint_slice(
        labels={"service.kubernetes.io/headless": ""},
        ports=[
            {"name": "http", "port": 8080, "appProtocol": "http"},
            {"name": "dns", "protocol": "UDP", "port": 53},
            {"name": "all"},
        ],
        endpoints=[
            {
                "addresses": ["10.0.0.041", "10.0.0.2"],
                "nodeName": "node1",
                "zone": "a",
                "hostname": "web-0",
                "hints": {"forZones": [{"name": "a"}, {"name": "b"}]},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0"},
            }
        ],
    )
    assert slice_of(document) == Slice(
        namespace="default",
        name="web-1",
        service="web",
        ports=(SlicePort(8080, "TCP", "http", "http"), SlicePort(53, "UDP", "dns"), SlicePort(0, "TCP", "all")),
        endpoints=(
            Endpoint("10.0.0.41", "node1", target="default/web-0", hostname="web-0", zone="a", zones=("a", "b")),
        ),
        is_proxied=False,
        body=document.body,
    )


@pytest.mark.parametrize("family", ["IPv6", "FQDN"])
def test_another_family_is_nobodys_endpoint_and_that_is_said(family):
    found = desired(endpoint_slice(addressType=family, endpoints=[{"addresses": ["2001:db8::1"]}]))
    assert found.slices[0].endpoints == ()
    assert found.ignored == (f"EndpointSlice: addressType {family}",)


BAD_SLICES: list[tuple[dict[str, Any], list[str]]] = [
    ({"addressType": "ipv4"}, ['addressType: Unsupported value: "ipv4": supported values: "FQDN", "IPv4", "IPv6"']),
    ({"addressType": ""}, ["addressType: Required value"]),
    ({"endpoints": [{"addresses": []}]}, ["endpoints[0].addresses: Required value: must contain at least 1 address"]),
    ({"endpoints": [{"addresses": ["10.0.0"]}, {"addresses": ["2001:db8::1"]}, {"addresses": ["127.0.0.1"], "hostname": "A"}]}, [
        'endpoints[0].addresses[0]: Invalid value: "10.0.0": must be a valid IPv4 address',
        'endpoints[1].addresses[0]: Invalid value: "2001:db8::1": must be a valid IPv4 address',
        'endpoints[2].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        f'endpoints[2].hostname: Invalid value: "A": {LABEL}',
    ]),
    ({"ports": [{"name": "A_b", "port": 1}, {"name": "c", "protocol": "tcp"}, {"name": "c"}]}, [
        f'ports[0].name: Invalid value: "A_b": {LABEL}',
        'ports[1].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
        'ports[2].name: Duplicate value: "c"',
    ]),
    ({"endpoints": [{"addresses": ["10.0.0.1"]}] * 1001}, ["endpoints: Too many: 1001: must have at most 1000 items"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BAD_SLICES)
def test_a_bad_slice(body, expected):
    assert wrong(endpoint_slice(**body)) == expected


def test_words_begin_with_the_object():
    (line,) = problems_of(desired, endpoint_slice("web-1", addressType="x"))
    assert line.startswith('m/e.yaml:1: The EndpointSlice "web-1" is invalid: addressType: ')


# --- Endpoints that are written -------------------------------------------------------------------------


def test_subsets_become_slices_by_their_ports():
    http, dns = {"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}
    written = endpoints(
        "web",
        {"addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1", "nodeName": "node1"}], "ports": [http]},
        {"notReadyAddresses": [{"ip": "10.0.0.03"}], "addresses": [{"ip": "2001:db8::1"}], "ports": [http]},
        {"addresses": [{"ip": "10.0.0.1", "hostname": "a"}], "ports": [dns]},
    )
    found = desired(written)
    (one,) = found.endpoints
    assert [(mirror.name, mirror.service, mirror.manager) for mirror in one.mirrors] == [
        ("web-rh9hr", "web", "endpointslicemirroring-controller.k8s.io"),
        ("web-24mhn", "web", "endpointslicemirroring-controller.k8s.io"),
    ]
    assert [(mirror.ports, mirror.endpoints) for mirror in one.mirrors] == [
        (
            (SlicePort(80, "TCP", "http"),),
            (Endpoint("10.0.0.1", "node1"), Endpoint("10.0.0.2"), Endpoint("10.0.0.3", ready=False)),
        ),
        ((SlicePort(53, "UDP", "dns"),), (Endpoint("10.0.0.1", hostname="a"),)),
    ]
    assert found.ignored == ("Endpoints: subsets of IPv6",)


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}},
    ],
)
def test_some_are_not_to_be_mirrored(metadata):
    assert desired(endpoints("web", {"addresses": [{"ip": "10.0.0.1"}]}, **metadata)).endpoints[0].mirrors == ()


def test_bad_endpoints():
    written = endpoints(
        "web",
        {"ports": [{"port": 80}]},
        {
            "addresses": [{"ip": "10.0.0"}, {"ip": "169.254.0.1", "nodeName": "A", "hostname": "a.b"}, {}],
            "ports": [{"port": 0, "name": "a"}, {"port": 80}, {"name": "B", "port": 1, "protocol": "x"}],
        },
    )
    assert wrong(written) == [
        "subsets[1].addresses[2].ip: Required value",
        "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
        "subsets[1].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "subsets[1].ports[1].name: Required value",
        f'subsets[1].ports[2].name: Invalid value: "B": {LABEL}',
        'subsets[1].ports[2].protocol: Unsupported value: "x": supported values: "SCTP", "TCP", "UDP"',
        'subsets[1].addresses[0].ip: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'subsets[1].addresses[1].hostname: Invalid value: "a.b": must not contain dots',
        f'subsets[1].addresses[1].nodeName: Invalid value: "A": {names.dns1123_subdomain("A")[0]}',
        'subsets[1].addresses[1].ip: Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
    ]


# --- pods as backends -----------------------------------------------------------------------------------

HOSTS = {
    "node1": Host("node1", "node", "10.100.0.2", {"topology.kubernetes.io/zone": "a"}, observation={}),
    "node2": Host("node2", "node", "10.100.0.3", observation={}),
    "limited": Host("limited", "node", "10.100.0.4", observation={}, in_run=False),
    "away": Host("away", "node", "10.100.0.5"),
}
HTTP = Container("main", "nginx", ("nginx",), ports=(Port(80, name="http"), Port(80, "UDP", "http"), Port(81)))


def pod(name: str = "web-0", **template: Any) -> Pod:
    return Pod("default", name, PodTemplate(**{"containers": (HTTP,), "labels": {"app": "web"}, **template}), "a.yml:1")


def present(name: str = "web-0", node: str = "node1", **facts: Any) -> Present:
    body = {
        "metadata": {"labels": {"app": "old"}},
        "spec": {"containers": [{"ports": [{"containerPort": 8080, "name": "http"}]}]},
    }
    row = {"address": f"{facts.pop('address', '10.1.1.2')}/24", "object": body}
    if "revision" in facts:
        row["revision"] = facts.pop("revision")
    return Present(**{"key": f"default/{name}", "node": node, "row": row, "ready": True, "phase": "Running", **facts})


def backend_of(
    one: Pod, *there: Present, node: str = "node1", address: str | None = "10.1.1.2", **how: Any
) -> Backend | None:
    found = backends([one], {one.key: node}, {one.key: address}, {item.key: item for item in there}, HOSTS, **how)
    assert len(found) <= 1, "of one name there is one pod"
    return found[0] if found else None


def test_a_pod_as_a_service_sees_it():
    assert backend_of(pod(hostname="web-0", subdomain="web"), present()) == Backend(
        key="default/web-0",
        address="10.1.1.2",
        node="node1",
        zone="a",
        is_ready=True,
        labels={"app": "web"},
        ports={("http", "TCP"): 80, ("http", "UDP"): 80},
        hostname="web-0",
        subdomain="web",
    )


NOBODY_YET = [
    pytest.param([present(ready=False, row=None, phase="Unknown")], id="on a node that is not seen"),
    pytest.param([present(node="node2", phase="Succeeded")], id="ended elsewhere"),
    pytest.param([present(revision="old", phase="Failed")], id="ended, and about to be replaced"),
    pytest.param([], id="yet to be made"),
]
ANOTHER = [
    pytest.param(present(node="node2"), id="moved, and not yet there"),
    pytest.param(present(address="10.1.1.9"), id="under another address"),
    pytest.param(present(revision="old"), id="about to be replaced under its name and address"),
]


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("is_ready", [True, False])
def test_who_stays_is_as_ready_as_it_was_found(is_ready, stage):
    found = backend_of(pod(), present(ready=is_ready), stage=stage)
    assert found
    assert (found.is_ready, found.is_terminating) == (is_ready, False)


@pytest.mark.parametrize(("stage", "is_ready"), [(Stage.NOW, False), (Stage.NEXT, False), (Stage.ALL_READY, True)])
@pytest.mark.parametrize("there", NOBODY_YET)
def test_who_is_yet_to_be_made_is_ready_when_all_is_settled(there, stage, is_ready):
    found = backend_of(pod(), *there, stage=stage)
    assert found
    assert (found.address, found.is_ready, found.is_terminating) == ("10.1.1.2", is_ready, False)


@pytest.mark.parametrize("how", [{"node": "away"}, {"node": "limited"}, {"touches_pods": False}], ids=str)
def test_who_is_not_made_by_this_run_does_not_get_ready_by_it(how):
    found = backend_of(pod(), stage=Stage.ALL_READY, **how)
    assert found
    assert not found.is_ready


@pytest.mark.parametrize("there", ANOTHER)
def test_another_pod_of_its_name_serves_until_it_goes(there):
    found = backend_of(pod(), there)
    assert found
    assert (found.address, found.node) == (there.row["address"].removesuffix("/24"), there.node)
    assert (found.is_ready, found.is_terminating) == (True, True)
    assert (found.labels, found.ports) == ({"app": "old"}, {("http", "TCP"): 8080})
    for stage, is_ready in ((Stage.NEXT, False), (Stage.ALL_READY, True)):
        after = backend_of(pod(), there, stage=stage)
        assert after
        assert (after.address, after.is_ready, after.is_terminating) == ("10.1.1.2", is_ready, False)


def gone(there: Present, **how: Any) -> list[tuple[str, bool, bool]]:
    """Nothing is planned any more."""
    found = backends([], {}, {}, {there.key: there}, HOSTS, **how)
    return [(one.address, one.is_ready, one.is_terminating) for one in found]


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_pod_that_is_planned_no_more_serves_until_it_goes(is_ready):
    there = present(ready=is_ready)
    assert gone(there) == [("10.1.1.2", is_ready, True)]
    assert gone(there, stage=Stage.NEXT) == gone(there, stage=Stage.ALL_READY) == []
    assert gone(present(ready=False, phase="Succeeded")) == []
    assert gone(present(ready=False, row=None, phase="Unknown")) == []


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("there", [present(), present(revision="old"), present(address="10.1.1.9")])
@pytest.mark.parametrize("how", [{"node": "limited"}, {"touches_pods": False}], ids=str)
def test_a_pod_that_this_run_does_not_touch_is_as_it_was(how, there, stage):
    node = how.get("node", "node1")
    one = there._replace(node=node)
    found = backend_of(pod(), one, stage=stage, **{"node": "node1", **how})
    assert found
    address = one.row["address"].removesuffix("/24")
    assert (found.address, found.is_ready, found.is_terminating) == (address, True, False)
    how = {key: value for key, value in how.items() if key != "node"}
    assert gone(one, stage=stage, **how) == [(address, True, False)]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_no_backend(phase):
    assert backend_of(pod(), present(phase=phase, ready=False)) is None


def test_a_pod_without_address_or_node_is_no_backend():
    assert backend_of(pod(), address=None) is None
    assert backends([pod()], {}, {}, {}, HOSTS) == []


def test_a_pod_that_stays_as_it_was_made_is_what_it_was_made_as():
    spec = {
        "hostname": "a",
        "subdomain": "b",
        "containers": [{"name": "c"}, {"name": "d", "ports": [{"name": "http", "containerPort": 8080}]}],
        "initContainers": [
            {"name": "i", "ports": [{"name": "no", "containerPort": 1}]},
            {
                "name": "s",
                "restartPolicy": "Always",
                "ports": [{"name": "side", "containerPort": 2, "protocol": "UDP"}],
            },
        ],
    }
    kept = {"address": "10.1.1.2/24", "object": {"metadata": {"labels": {"app": "old"}}, "spec": spec}}
    found = backend_of(Pod("default", "web-0", PodTemplate((HTTP,)), "a.yml:1", pinned=kept), present())
    assert found
    assert (found.labels, found.ports) == ({"app": "old"}, {("http", "TCP"): 8080, ("side", "UDP"): 2})
    assert (found.hostname, found.subdomain) == ("a", "b")


def test_a_sidecar_has_ports_and_an_init_container_has_none():
    side = Container("s", "nginx", ("nginx",), ports=(Port(2, name="side"),), restart_policy="Always")
    init = Container("i", "nginx", ("nginx",), ports=(Port(3, name="init"),))
    found = backend_of(pod(init_containers=(init, side)), present())
    assert found
    assert sorted(found.ports) == [("http", "TCP"), ("http", "UDP"), ("side", "TCP")]


# --- slices by selector ---------------------------------------------------------------------------------


def some(*numbers: int, is_ready: bool = True, **facts: Any) -> list[Backend]:
    ports = {("http", "TCP"): 8080}
    own: dict[str, Any] = {"labels": {"app": "web"}, "ports": ports, "node": "node1", "zone": "", **facts}
    return [
        Backend(f"default/web-{number}", f"10.1.{number >> 8}.{number & 255}", is_ready=is_ready, **own)
        for number in numbers
    ]


def made(pods: list[Backend], **spec: Any) -> list[Slice]:
    return slices_of_pods(desired(service(**spec)).services, pods)


NAMED = [{"name": "http", "port": 80, "targetPort": "http"}]


def test_pods_of_a_selector_by_address():
    (found,) = made(some(10, 2))
    assert found == Slice(
        namespace="default",
        name="web-5c78q",
        service="web",
        ports=(SlicePort(80),),
        endpoints=(
            Endpoint("10.1.0.2", "node1", target="default/web-2"),
            Endpoint("10.1.0.10", "node1", target="default/web-10"),
        ),
        manager="endpointslice-controller.k8s.io",
    )


def test_labels_have_to_match_all_of_them_in_the_same_namespace():
    more = {"app": "web", "tier": "a"}
    pods = [*some(1, labels=more), *some(2), *some(3, labels={"tier": "a"})]
    pods.append(Backend("other/web-4", "10.1.0.4", "node1", "", True, more))
    (found,) = made(pods, selector=more)
    assert [one.target for one in found.endpoints] == ["default/web-1"]


def test_a_service_that_selects_nobody_has_an_empty_slice_and_one_without_selector_has_none():
    (found,) = made(some(1), selector={"app": "db"})
    assert (found.ports, found.endpoints) == ((), ())
    assert made(some(1), selector=None) == []
    assert made(some(1), selector={}) == []
    assert made(some(1), type="ExternalName", externalName="a.b") == []


def test_pods_with_other_numbers_for_a_name_are_in_other_slices():
    pods = [
        *some(1, 3),
        *some(2, ports={("http", "TCP"): 9090}),
        *some(4, ports={("http", "UDP"): 8080}),
        *some(5, ports={}),
    ]
    found = made(pods, ports=NAMED)
    assert [([port.port for port in part.ports], [one.target for one in part.endpoints]) for part in found] == [
        ([8080], ["default/web-1", "default/web-3"]),
        ([9090], ["default/web-2"]),
        ([], ["default/web-4", "default/web-5"]),  # which have no port of that name and protocol
    ]
    assert len({part.name for part in found}) == 3


def test_a_pod_without_one_of_the_ports_has_the_others():
    ports = [*NAMED, {"name": "metrics", "port": 90, "targetPort": "metrics"}]
    pods = [*some(1), *some(2, ports={("http", "TCP"): 8080, ("metrics", "TCP"): 9100})]
    first, second = made(pods, ports=ports)
    assert [port.name for port in first.ports] == ["http"]
    assert [port.name for port in second.ports] == ["http", "metrics"]


@pytest.mark.parametrize(("publishes", "ready"), [(False, False), (True, True)])
def test_who_is_not_ready_is_published_where_the_service_says_so(publishes, ready):
    (found,) = made(some(1, is_ready=False), publishNotReadyAddresses=publishes)
    assert (found.endpoints[0].ready, found.endpoints[0].serving) == (ready, False)


@pytest.mark.parametrize(
    ("is_ready", "publishes", "conditions"),
    [
        (True, False, (False, True, True)),
        (False, False, (False, False, True)),
        (True, True, (True, True, True)),
        (False, True, (True, False, True)),
    ],
)
def test_the_conditions_of_who_is_leaving(is_ready, publishes, conditions):
    """As the endpointslice controller has them: ``ready`` is never true of one that ends, unless all are published."""
    pods = some(1, zone="a", is_ready=is_ready, is_terminating=True)
    (found,) = made(pods, publishNotReadyAddresses=publishes, trafficDistribution="PreferClose")
    (one,) = found.endpoints
    assert (one.ready, one.serving, one.terminating) == conditions
    assert one.zones == (("a",) if publishes else ())


def test_a_slice_has_a_hundred_endpoints():
    found = made(some(*range(2, 252)))
    assert [len(part.endpoints) for part in found] == [100, 100, 50]
    assert len({part.name for part in found}) == 3
    assert made(some(*range(2, 252))) == found


def test_a_headless_service_may_have_no_ports_and_knows_its_pods_by_name():
    pods = [*some(1, hostname="web-1", subdomain="web"), *some(2, hostname="x", subdomain="other")]
    (found,) = made(pods, clusterIP="None", ports=None)
    assert found.ports == ()
    assert [one.hostname for one in found.endpoints] == ["web-1", ""]


def test_services_of_one_selector_do_not_share_host_names():
    pods = some(1, hostname="web-1", subdomain="a")
    wanted = desired(service("a", selector={"app": "web"}), service("b", selector={"app": "web"}))
    assert [part.endpoints[0].hostname for part in slices_of_pods(wanted.services, pods)] == ["web-1", ""]


def test_close_endpoints_are_preferred_by_hints():
    pods = [*some(1, zone="a"), *some(2), *some(3, zone="b", is_ready=False)]
    (found,) = made(pods, trafficDistribution="PreferClose")
    assert [one.zones for one in found.endpoints] == [("a",), (), ()]
    assert [one.zones for one in made(pods)[0].endpoints] == [(), (), ()]


# --- what counts ----------------------------------------------------------------------------------------


def in_force(*documents: Document, pods: list[Backend] | None = None) -> tuple[dict[str, list[str]], list[str]]:
    wanted = desired(*documents)
    by_selector = slices_of_pods(wanted.services, pods or [])
    found, notes = slices_in_force(wanted.services, by_selector, wanted.slices, wanted.endpoints)
    return {key: [part.name.partition("-")[0] for part in parts] for key, parts in found.items()}, notes


def test_slices_of_all_sources_stand_side_by_side():
    written = [endpoint_slice("b-1"), endpoint_slice("a-2")]
    assert in_force(service(), *written, pods=some(1))[0] == {"default/web": ["a", "b", "web"]}


def test_endpoints_count_where_nobody_finds_endpoints():
    subset = {"addresses": [{"ip": "10.0.0.1"}]}
    alone, notes = in_force(service(selector=None), endpoints("web", subset), endpoints("db", subset))
    assert (alone, notes) == (
        {"default/web": ["web"]},
        ["Endpoints default/db are nobody's: there is no Service of this name"],
    )
    found, notes = in_force(service(), endpoints("web", subset), pods=some(1))
    assert notes == ["Endpoints default/web are not taken: the Service has a selector, which finds its own"]
    assert found == {"default/web": ["web"]}


def test_a_slice_that_names_no_service_is_said_to_be_nobodys():
    _, notes = in_force(endpoint_slice("x", of=None), endpoint_slice("y"), endpoint_slice("z", "db"), service("db"))
    assert notes == [
        "EndpointSlice default/x is nobody's: it has no label kubernetes.io/service-name",
        "EndpointSlice default/y is nobody's: there is no Service web",
    ]
