"""The overlay's device: every drift and the lines that mend it."""

from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.actions import Ip
from podlab.changes.actions import lines as lines_of
from podlab.changes.network import routes, vxlan
from tests.simulated_host import Refused, SimulatedHost

ROW: vxlan.VxlanConfig = {
    **{"name": "vxlan.1", "id": 1, "port": 8472, "local": "10.100.0.2", "link": "eth0", "address": "10.1.1.0/32"},
    **{"mac": "0a:58:0a:01:01:00", "mtu": 1450},
    "peers": [{"address": "10.1.2.0", "mac": "0a:58:0a:01:02:00", "node": "10.100.0.3"}],
}
NODE: routes.RoutesConfig = {
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
TUNNEL = {
    **{"neighbours": {"10.1.2.0": "0a:58:0a:01:02:00"}, "forwarding": [("0a:58:0a:01:02:00", "10.100.0.3", True)]},
    "settings": {"rp_filter": "2", "forwarding": "1"},
}
ADD = "link add vxlan.1 address 0a:58:0a:01:01:00 mtu 1450 type vxlan id 1 dstport 8472 local 10.100.0.2 dev eth0 nolearning"
ARP = "neigh replace 10.1.2.0 lladdr 0a:58:0a:01:02:00 dev vxlan.1 nud permanent"
FDB = "fdb append 0a:58:0a:01:02:00 dev vxlan.1 dst 10.100.0.3 self permanent"
LOOSE = "sysctl -w net.ipv4.conf.vxlan/1.rp_filter=2"
OLD = {"to": "10.1.0.0/16", "via": "10.100.0.1", "dev": "eth0", "protocol": "117"}
ROUTE = "route replace 10.1.2.0/24 via 10.1.2.0 dev vxlan.1 onlink proto 117"
SOUND = {"to": "10.1.2.0/24", "via": "10.1.2.0", "dev": "vxlan.1", "protocol": "117"}
MADE = [ADD, "link set vxlan.1 alias podlab up", "addr add 10.1.1.0/32 dev vxlan.1", ARP]


def lines(link=None, tunnel=None, row=ROW):
    links = {"vxlan.1": {**copy.deepcopy(LINK), **link}} if link is not None else {}
    return vxlan.changes(links, {"vxlan.1": {**copy.deepcopy(TUNNEL), **(tunnel or {})}}, row)


def test_the_route_comes_last():
    steps = routes.steps({}, {}, [], NODE)
    assert lines_of(steps.actions()) == [
        *(f"ip {line}" for line in MADE),
        LOOSE,
        f"bridge {FDB}",
        f"ip {ROUTE}",
    ]


def test_what_is_sound_is_not_named():
    assert lines({}) == ([], [])


@pytest.mark.parametrize(
    ("link", "tunnel", "ip", "bridge"),
    [
        pytest.param({"mtu": 1500}, {}, ["link set vxlan.1 mtu 1450"], [], id="mtu"),
        pytest.param(
            # It forgets its ARP entries then.
            {"mac": "02:00:00:00:00:01"},
            {},
            ["link set vxlan.1 address 0a:58:0a:01:01:00", ARP],
            [],
            id="mac",
        ),
        pytest.param({"master": "cbr0"}, {}, ["link set vxlan.1 nomaster"], [], id="on a bridge"),
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
        pytest.param(
            # The last address takes routes and ARP entries along: it may not be the wanted one's turn after it.
            {"addresses": ["10.7.0.1/24"]},
            {},
            ["addr add 10.1.1.0/32 dev vxlan.1", "addr del 10.7.0.1/24 dev vxlan.1"],
            [],
            id="another one instead",
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
            {"forwarding": [("0a:58:0a:01:02:00", "10.100.0.3 port 4789", True)]},
            [],
            ["fdb del 0a:58:0a:01:02:00 dev vxlan.1 dst 10.100.0.3 port 4789 self", FDB],
            id="to another port",
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
    assert lines_of(steps.actions()) == ["ip link del vxlan.1"]


def test_routes_over_a_device_that_is_made_anew_are_said_again():
    assert lines_of(routes.steps({"vxlan.1": LINK}, {"vxlan.1": TUNNEL}, [SOUND], NODE).actions()) == []
    wrong = {"vxlan.1": {**LINK, "vxlan": {**LINK["vxlan"], "port": 4789}}}
    assert routes.steps(wrong, {}, [SOUND], NODE).routes == [Ip(ROUTE)]


def test_a_device_under_another_name_goes_first_and_takes_its_routes_along():
    lost = {**SOUND, "to": "10.1.9.0/24", "dev": "lost0"}
    steps = routes.steps({"lost0": LINK}, {"lost0": TUNNEL}, [{**SOUND, "dev": "lost0"}, lost], NODE)
    assert steps.device == [*map(Ip, ["link del lost0", *MADE])]
    assert steps.routes == [Ip(ROUTE)]


def test_a_device_in_another_namespace_goes_first():
    command = ["ip", "-n", "elsewhere", "link", "del", "vxlan.1"]
    assert lines_of(routes.steps({}, {}, [], NODE, [command]).actions())[:2] == [" ".join(command), f"ip {ADD}"]


@pytest.mark.parametrize(("seen", "lines"), [("2", []), ("1", [LOOSE]), ("0", [LOOSE]), ("", [LOOSE])])
def test_its_rp_filter_is_loose(seen, lines):
    tunnels = {"vxlan.1": {**TUNNEL, "settings": {"rp_filter": seen, "forwarding": "1"}}}
    assert lines_of(routes.steps({"vxlan.1": LINK}, tunnels, [SOUND], NODE).actions()) == lines


def test_what_hangs_on_a_device_without_mark_is_read_too():
    links = {"vxlan.1": {**LINK, "alias": ""}, "foo": LINK, "flannel.1": {**LINK, "alias": ""}, "vxlan.9": {"kind": ""}}
    assert vxlan.may_be_ours(links) == ["foo", "vxlan.1"]


nodes = st.integers(2, 6).map(lambda n: f"10.100.0.{n}")
macs = st.integers(2, 6).map(lambda n: f"0a:58:0a:01:{n:02x}:00")
drift = st.one_of(
    st.tuples(st.just("neigh"), st.integers(2, 6).map(lambda n: f"10.1.{n}.0"), macs),
    st.tuples(st.just("fdb"), macs, nodes),
    st.tuples(st.just("link"), st.sampled_from(["down", "mtu 1300", "alias other", "master cbr0"]), st.just("")),
    st.tuples(st.just("link"), st.just("address 02:00:00:00:00:01"), st.just("")),
    st.tuples(st.just("addr"), st.sampled_from(["10.7.0.1/24", "10.1.1.0/24"]), st.booleans()),
    st.tuples(st.just("rename"), st.just("lost0"), st.just("")),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(drift, max_size=6))
def test_one_run_mends_all_of_it(wrong):
    host = SimulatedHost("10.100.0.2/24")
    host.root.add("cbr0", kind="bridge")
    host._apply_routes(copy.deepcopy(NODE))
    name = "vxlan.1"
    for kind, first, second in wrong:
        with contextlib.suppress(Refused):  # it is there already
            if kind == "neigh":
                host.root.ip([f"neigh replace {first} lladdr {second} dev {name} nud permanent"])
            elif kind == "fdb":
                host.root.bridge([f"fdb append {first} dev {name} dst {second} self"])
            elif kind == "addr":
                host.root.ip([f"addr add {first} dev {name}", *([f"addr del 10.1.1.0/32 dev {name}"] * second)])
            elif kind == "rename" and host.root.links[name]["alias"] == "podlab":
                host.root.ip([f"link set {name} down", f"link set {name} name {first}"])
                name = first
            elif kind == "link" and (
                first != "alias other" or name == "vxlan.1"
            ):  # without mark and name it would be somebody else's
                host.root.ip([f"link set {name} {first}"])
    host._apply_routes(copy.deepcopy(NODE))
    seen = host.observe()
    assert lines_of(routes.steps(seen["links"], seen["tunnels"], seen["routes"], NODE).actions()) == []
    assert sorted(seen["tunnels"]["vxlan.1"]["forwarding"]) == TUNNEL["forwarding"]
    assert seen["tunnels"]["vxlan.1"]["neighbours"] == TUNNEL["neighbours"]
    assert [route for route in seen["routes"] if route["to"] == "10.1.2.0/24"] == [SOUND]


# --- make before break


def gateway_row(*, relay: bool) -> routes.RoutesConfig:
    return {**NODE, "vxlan": None, "routes": [{"to": "10.1.0.0/16", "via": "10.100.0.1"}], "relay": relay}


def test_into_an_overlay_the_device_is_made_first_and_nothing_is_sent_by_it():
    steps = routes.steps({}, {}, [OLD], NODE)
    assert steps.parts() == ["make", "switch"]
    assert lines_of(steps.part("make").actions()) == [*(f"ip {line}" for line in MADE), LOOSE, f"bridge {FDB}"]
    assert lines_of(steps.part("switch").actions()) == [
        f"ip {ROUTE}",
        "ip route del 10.1.0.0/16 via 10.100.0.1 dev eth0 proto 117",
    ]


def test_out_of_it_the_device_goes_last_when_nobody_sends_by_it():
    steps = routes.steps({"vxlan.1": LINK}, {"vxlan.1": TUNNEL}, [SOUND], gateway_row(relay=False))
    assert steps.parts() == ["switch", "break"]
    assert lines_of(steps.part("break").actions()) == ["ip link del vxlan.1"]


def test_a_gateway_has_its_routes_before_nodes_send_by_it_and_until_none_does():
    come = routes.steps({}, {}, [], gateway_row(relay=True))
    go = routes.steps({}, {}, [OLD], {**gateway_row(relay=True), "routes": []})
    assert (come.parts(), go.parts()) == (["make"], ["break"])


def test_another_overlay_is_there_before_the_one_of_before_goes():
    other = {**LINK, "vxlan": {**LINK["vxlan"], "id": 7}}
    steps = routes.steps({"vxlan.7": other}, {"vxlan.7": TUNNEL}, [{**SOUND, "dev": "vxlan.7"}], NODE)
    assert steps.part("make").device == [*map(Ip, MADE)]
    assert lines_of(steps.part("switch").actions()) == [f"ip {ROUTE}"]
    assert lines_of(steps.part("break").actions()) == ["ip link del vxlan.7"]
