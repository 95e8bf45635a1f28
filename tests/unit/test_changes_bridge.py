"""The bridge: every drift and the lines that mend it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.network import bridge
from tests.simulated_host import SimulatedHost

ROW: bridge.BridgeConfig = {"name": "cbr0", "address": "10.1.1.1/24", "mac": "0a:58:0a:01:01:01", "mtu": 1500}


def link(**facts) -> bridge.Link:
    return {
        **{"kind": "veth", "alias": "", "mac": "12:34:56:78:9a:bc", "mtu": 1500, "up": True},
        **{"master": None, "hairpin": False, "addresses": []},
        **facts,
    }


def cbr0(**drift) -> bridge.Link:
    sound = {"kind": "bridge", "alias": "podlab", "mac": ROW["mac"], "addresses": ["10.1.1.1/24"]}
    return link(**{**sound, **drift})


ETH0 = link(addresses=["10.100.0.2/24"])
PORT = link(alias="podlab default/web", master="cbr0", hairpin=True)


def test_a_bare_host_gets_the_whole_bridge():
    assert bridge.changes({"eth0": ETH0}, ROW) == [
        "link add cbr0 address 0a:58:0a:01:01:01 mtu 1500 type bridge",
        "link set cbr0 alias podlab up",
        "addr add 10.1.1.1/24 brd + dev cbr0",
    ]


def test_a_sound_bridge_is_not_named():
    assert bridge.changes({"eth0": ETH0, "cbr0": cbr0(), "veth1": PORT}, ROW) == []


@pytest.mark.parametrize(
    ("drift", "lines"),
    [
        pytest.param({"mac": "02:00:00:00:00:01"}, ["link set cbr0 address 0a:58:0a:01:01:01"], id="mac"),
        pytest.param({"mtu": 9000}, ["link set cbr0 mtu 1500"], id="mtu"),
        pytest.param({"alias": ""}, ["link set cbr0 alias podlab"], id="mark gone"),
        pytest.param({"up": False}, ["link set cbr0 up"], id="down"),
        pytest.param(
            {"mac": "02:00:00:00:00:01", "mtu": 1400, "alias": "x", "up": False},
            ["link set cbr0 address 0a:58:0a:01:01:01 mtu 1500 alias podlab up"],
            id="all at once",
        ),
        pytest.param({"addresses": []}, ["addr replace 10.1.1.1/24 brd + dev cbr0"], id="address gone"),
        pytest.param(
            {"addresses": ["10.1.1.1/24", "10.9.0.1/24"]},
            ["addr del 10.9.0.1/24 dev cbr0", "addr replace 10.1.1.1/24 brd + dev cbr0"],
            id="address too many",
        ),
        pytest.param(
            {"addresses": ["10.1.1.1/16"]},
            ["addr del 10.1.1.1/16 dev cbr0", "addr replace 10.1.1.1/24 brd + dev cbr0"],
            id="same address, other prefix",
        ),
    ],
)
def test_drift_is_mended_by_just_these_lines(drift, lines):
    assert bridge.changes({"cbr0": cbr0(**drift)}, ROW) == lines


CONNECTED = {"to": "10.1.1.0/24", "via": None, "dev": "cbr0", "protocol": "kernel"}
RECONNECT = "route replace 10.1.1.0/24 dev cbr0 proto kernel scope link src 10.1.1.1"


@pytest.mark.parametrize(
    ("drift", "routes", "lines"),
    [
        pytest.param({}, [CONNECTED], [], id="there"),
        pytest.param({}, None, [], id="nobody has looked"),
        pytest.param({}, [], [RECONNECT], id="gone"),
        pytest.param({}, [{**CONNECTED, "dev": "eth0", "protocol": "boot"}], [RECONNECT], id="leads elsewhere"),
        # Else the kernel makes it.
        pytest.param({"up": False}, [], ["link set cbr0 up"], id="down"),
        pytest.param({"addresses": []}, [], ["addr replace 10.1.1.1/24 brd + dev cbr0"], id="no address"),
    ],
)
def test_the_kernels_own_route_to_the_pods_is_looked_after(drift, routes, lines):
    assert bridge.changes({"cbr0": cbr0(**drift)}, ROW, routes) == lines


def test_what_somebody_wrote_over_what_is_learnt_goes():
    entry = "02:00:00:00:00:09 dev veth1 master"
    links = {"cbr0": cbr0(neighbours=["10.1.1.7"], forwarding=[entry])}
    assert bridge.changes(links, ROW) == ["neigh del 10.1.1.7 dev cbr0"]
    assert bridge.forwarding(links, ROW) == [f"fdb del {entry}"]
    assert bridge.forwarding({"cbr0": cbr0()}, ROW) == bridge.forwarding({}, ROW) == []


def test_a_port_of_somebody_else_is_let_go_and_a_pods_port_stays():
    links = {"cbr0": cbr0(), "veth1": PORT, "tap0": link(kind="tun", master="cbr0"), "tap1": link(master="br-lan")}
    assert bridge.changes(links, ROW) == ["link set tap0 nomaster"]


def test_a_bridge_of_ours_under_another_name_goes():
    links = {"old0": cbr0(), "br-lan": link(kind="bridge"), "vx0": link(kind="vxlan", alias="podlab")}
    assert bridge.changes(links, ROW)[:2] == [
        "link del old0",
        "link add cbr0 address 0a:58:0a:01:01:01 mtu 1500 type bridge",
    ]


@pytest.mark.parametrize(
    ("links", "lines"),
    [
        pytest.param({"cbr0": cbr0()}, ["link del cbr0"], id="ours"),
        pytest.param({"cbr0": cbr0(alias="")}, [], id="not marked"),
        pytest.param({"eth0": ETH0}, [], id="not there"),
    ],
)
def test_removal_takes_only_what_is_marked(links, lines):
    assert bridge.removal(links, "cbr0") == lines


addresses = st.lists(
    st.sampled_from(["10.1.1.1/24", "10.1.1.9/24", "10.1.1.1/16", "10.7.0.1/24"]), unique=True, max_size=4
)
drifts = st.fixed_dictionaries(
    {},
    optional={
        "mac": st.sampled_from([ROW["mac"], "02:00:00:00:00:01"]),
        "mtu": st.sampled_from([1500, 1400]),
        "alias": st.sampled_from(["podlab", "", "lab"]),
        "up": st.booleans(),
    },
)


@settings(deadline=None, max_examples=100)
@given(drifts, addresses, st.booleans(), st.booleans(), st.booleans())
def test_one_run_mends_and_the_next_finds_nothing(drift, present, foreign_port, renamed, cut):
    host = SimulatedHost("10.100.0.2/24")
    name = "lost0" if renamed else "cbr0"
    host.root.add(name, **{"kind": "bridge", "alias": "podlab", "mac": ROW["mac"], "up": True, **drift})
    for address in present:
        host.root.add_address(address, name)
    if foreign_port:
        host.link("tap0", "10.8.0.1/24", master=name)
    before = host.root.facts()
    if cut:
        host.root.routes = [route for route in host.root.routes if route["dev"] != name]
    lines = bridge.changes(before, ROW, host.root.routes)
    assert not any("eth0" in line for line in lines)
    host.root.ip(lines)
    after = host.root.facts()
    assert bridge.changes(after, ROW, host.root.routes) == []
    assert after["eth0"] == before["eth0"]
    assert after["cbr0"]["addresses"] == ["10.1.1.1/24"]
    assert {"to": "10.1.1.0/24", "via": None, "dev": "cbr0", "protocol": "kernel"} in host.root.routes
