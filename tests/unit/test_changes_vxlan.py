"""The overlay's device: every drift and the lines that mend it."""

from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes import routes, vxlan
from tests.simulated_host import Refused, SimulatedHost

ROW: vxlan.VxlanRow = {
    **{"name": "vxlan.1", "id": 1, "port": 8472, "local": "10.100.0.2", "link": "eth0", "address": "10.1.1.0/32"},
    **{"mac": "0a:58:0a:01:01:00", "mtu": 1450},
    "peers": [{"address": "10.1.2.0", "mac": "0a:58:0a:01:02:00", "node": "10.100.0.3"}],
}
NODE: routes.RoutesRow = {
    **{"within": "10.1.0.0/16", "foreign": [], "vxlan": ROW},
    "routes": [{"to": "10.1.2.0/24", "via": "10.1.2.0", "dev": "vxlan.1"}],
}
LINK = {
    **{
        "kind": "vxlan",
        "alias": "podlab",
        "mac": ROW["mac"],
        "mtu": 1450,
        "up": True,
        "master": None,
        "hairpin": False,
    },
    **{"addresses": ["10.1.1.0/32"]},
    "vxlan": {"id": 1, "port": 8472, "local": "10.100.0.2", "link": "eth0", "learning": False},
}
TUNNEL = {"neighbours": {"10.1.2.0": "0a:58:0a:01:02:00"}, "forwarding": [("0a:58:0a:01:02:00", "10.100.0.3", True)]}
ADD = "link add vxlan.1 address 0a:58:0a:01:01:00 mtu 1450 type vxlan id 1 dstport 8472 local 10.100.0.2 dev eth0 nolearning"
ARP = "neigh replace 10.1.2.0 lladdr 0a:58:0a:01:02:00 dev vxlan.1 nud permanent"
FDB = "fdb append 0a:58:0a:01:02:00 dev vxlan.1 dst 10.100.0.3 self permanent"
MADE = [ADD, "link set vxlan.1 alias podlab up", "addr add 10.1.1.0/32 dev vxlan.1", ARP]


def lines(link=None, tunnel=None, row=ROW):
    links = {"vxlan.1": {**copy.deepcopy(LINK), **link}} if link is not None else {}
    return vxlan.changes(links, {"vxlan.1": {**copy.deepcopy(TUNNEL), **(tunnel or {})}}, row)


def test_the_route_comes_last():
    steps = routes.steps({}, {}, [], NODE)
    assert steps.lines() == [
        *(f"ip {line}" for line in MADE),
        f"bridge {FDB}",
        "ip route replace 10.1.2.0/24 via 10.1.2.0 dev vxlan.1 onlink proto 117",
    ]


def test_what_is_sound_is_not_named():
    assert lines({}) == ([], [])


@pytest.mark.parametrize(
    ("link", "tunnel", "ip", "bridge"),
    [
        pytest.param({"mtu": 1500}, {}, ["link set vxlan.1 mtu 1450"], [], id="mtu"),
        pytest.param({"mac": "02:00:00:00:00:01"}, {}, ["link set vxlan.1 address 0a:58:0a:01:01:00"], [], id="mac"),
        pytest.param({"alias": "x"}, {}, ["link set vxlan.1 alias podlab"], [], id="alias"),
        pytest.param({"up": False}, {}, ["link set vxlan.1 up"], [], id="down"),
        pytest.param({"addresses": []}, {}, ["addr add 10.1.1.0/32 dev vxlan.1"], [], id="no address"),
        pytest.param(
            {"addresses": ["10.1.1.0/32", "10.7.0.1/24"]},
            {},
            ["addr del 10.7.0.1/24 dev vxlan.1"],
            [],
            id="another one",
        ),
        *(
            pytest.param(
                {"vxlan": {**LINK["vxlan"], key: value}}, {}, ["link del vxlan.1", *MADE], [FDB], id=f"another {key}"
            )
            for key, value in {"id": 2, "port": 4789, "local": "10.100.0.9", "link": "eth1", "learning": True}.items()
        ),
        pytest.param({"kind": "bridge", "vxlan": {}}, {}, ["link del vxlan.1", *MADE], [FDB], id="no vxlan"),
        pytest.param({}, {"neighbours": {}}, [ARP], [], id="no ARP entry"),
        pytest.param({}, {"neighbours": {"10.1.2.0": "0a:58:0a:01:02:99"}}, [ARP], [], id="a wrong one"),
        pytest.param(
            {},
            {"neighbours": {**TUNNEL["neighbours"], "10.1.7.0": "0a:58:0a:01:07:00"}},
            ["neigh del 10.1.7.0 dev vxlan.1"],
            [],
            id="one too many",
        ),
        pytest.param({}, {"forwarding": []}, [], [FDB], id="no FDB entry"),
        pytest.param(
            {},
            {"forwarding": [["0a:58:0a:01:02:00", "10.100.0.7", True]]},
            [],
            ["fdb del 0a:58:0a:01:02:00 dev vxlan.1 dst 10.100.0.7 self", FDB],
            id="to another node",
        ),
        pytest.param(
            {},
            {"forwarding": [*TUNNEL["forwarding"], ("0a:58:0a:01:07:00", "10.100.0.7", True)]},
            [],
            ["fdb del 0a:58:0a:01:07:00 dev vxlan.1 dst 10.100.0.7 self"],
            id="a node that is gone",
        ),
    ],
)
def test_drift_is_mended_by_just_these_lines(link, tunnel, ip, bridge):
    assert lines(link, tunnel) == (ip, bridge)


def test_the_device_goes_with_its_way_and_a_foreign_one_stays():
    links = {"vxlan.1": LINK, "flannel.1": {**LINK, "alias": ""}}
    assert vxlan.removal(links) == ["link del vxlan.1"]
    assert vxlan.removal(links, ROW) == []
    steps = routes.steps(links, {"vxlan.1": TUNNEL}, [], {**NODE, "vxlan": None, "routes": []})
    assert steps.lines() == ["ip link del vxlan.1"]


def test_routes_over_a_device_that_is_made_anew_are_said_again():
    sound = [{"to": "10.1.2.0/24", "via": "10.1.2.0", "dev": "vxlan.1", "protocol": "117"}]
    assert routes.steps({"vxlan.1": LINK}, {"vxlan.1": TUNNEL}, sound, NODE).lines() == []
    wrong = {"vxlan.1": {**LINK, "vxlan": {**LINK["vxlan"], "port": 4789}}}
    assert routes.steps(wrong, {}, sound, NODE).routes == [
        "route replace 10.1.2.0/24 via 10.1.2.0 dev vxlan.1 onlink proto 117"
    ]


nodes = st.integers(2, 6).map(lambda n: f"10.100.0.{n}")
macs = st.integers(2, 6).map(lambda n: f"0a:58:0a:01:{n:02x}:00")
drift = st.one_of(
    st.tuples(st.just("neigh"), st.integers(2, 6).map(lambda n: f"10.1.{n}.0"), macs),
    st.tuples(st.just("fdb"), macs, nodes),
    st.tuples(st.just("link"), st.sampled_from(["down", "mtu 1300", "alias other"]), st.just("")),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(drift, max_size=6))
def test_one_run_mends_all_of_it(wrong):
    host = SimulatedHost("10.100.0.2/24")
    host._apply_routes(copy.deepcopy(NODE))
    for kind, first, second in wrong:
        if kind == "neigh":
            host.root.ip([f"neigh replace {first} lladdr {second} dev vxlan.1 nud permanent"])
        elif kind == "fdb":
            with contextlib.suppress(Refused):  # it is there already
                host.root.bridge([f"fdb append {first} dev vxlan.1 dst {second} self"])
        elif first != "alias other":  # without the mark it would be somebody else's
            host.root.ip([f"link set vxlan.1 {first}"])
    host._apply_routes(copy.deepcopy(NODE))
    seen = host.observe()
    assert routes.steps(seen["links"], seen["tunnels"], seen["routes"], NODE).lines() == []
    assert sorted(seen["tunnels"]["vxlan.1"]["forwarding"]) == TUNNEL["forwarding"]
