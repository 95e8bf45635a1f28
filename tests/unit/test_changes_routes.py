"""Routes: every drift and the lines that mend it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.network import routes
from tests.simulated_host import SimulatedHost

NODE: routes.RoutesConfig = {
    "within": "10.1.0.0/16",
    "foreign": ["10.1.200.0/24"],
    "routes": [{"to": "10.1.0.0/16", "via": "10.100.0.1"}],
    "vxlan": None,
}
GATEWAY: routes.RoutesConfig = {
    "within": "10.1.0.0/16",
    "foreign": [],
    "routes": [{"to": "10.1.1.0/24", "via": "10.100.0.2"}, {"to": "10.1.2.0/24", "via": "10.100.0.3"}],
    "vxlan": None,
}


def route(to, via=None, dev="eth0", protocol="117", **more) -> routes.Route:
    return {"to": to, "via": via, "dev": dev, "protocol": protocol, **more}


def changes(observed, row) -> list[str]:
    come, go = routes.changes(observed, row)
    return come + go


OURS = route("10.1.0.0/16", "10.100.0.1")
REPLACE = "route replace 10.1.0.0/16 via 10.100.0.1 proto 117"


def test_a_bare_host_gets_every_route():
    assert changes([route("0.0.0.0/0", "10.100.0.1", protocol="16")], GATEWAY) == [
        "route replace 10.1.1.0/24 via 10.100.0.2 proto 117",
        "route replace 10.1.2.0/24 via 10.100.0.3 proto 117",
    ]


def test_a_row_without_a_link_may_say_so():
    """AnsibleModule fills in None for what is not given."""
    row = {**NODE, "routes": [{**NODE["routes"][0], "dev": None}]}
    assert changes([], row) == [REPLACE]
    assert changes([OURS], row) == []


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(route("0.0.0.0/0", "10.100.0.1", protocol="16"), id="default route"),
        pytest.param(route("10.100.0.0/24", protocol="kernel"), id="the node network"),
        pytest.param(route("10.1.1.0/24", dev="cbr0", protocol="kernel"), id="the kernel's, for the bridge"),
        pytest.param(route("10.1.200.0/24", "10.100.0.77", protocol="None"), id="inside, but older than podlab"),
        pytest.param(route("10.2.0.0/16", "10.100.0.77", protocol="None"), id="outside of the cluster CIDR"),
        pytest.param(route("10.0.0.0/8", "10.100.0.77", protocol="None"), id="around the cluster CIDR"),
    ],
)
def test_what_is_sound_or_not_podlabs_is_not_named(beside):
    assert changes([beside, OURS], NODE) == []


@pytest.mark.parametrize(
    ("observed", "lines"),
    [
        pytest.param([], [REPLACE], id="gone"),
        pytest.param([route("10.1.0.0/16", "10.100.0.77")], [REPLACE], id="leads elsewhere"),
        pytest.param([route("10.1.0.0/16", "10.100.0.1", protocol="None")], [REPLACE], id="no mark"),
        pytest.param([route("10.1.0.0/16", dev="eth9")], [REPLACE], id="no next hop"),
        pytest.param(
            [route("10.1.0.0/16", "10.100.0.1", metric=50)],
            [REPLACE, "route del 10.1.0.0/16 via 10.100.0.1 dev eth0 metric 50 proto 117"],
            id="other metric",
        ),
        pytest.param(
            [OURS, route("10.1.0.0/16", "10.100.0.77", protocol="None", metric=50)],
            ["route del 10.1.0.0/16 via 10.100.0.77 dev eth0 metric 50 proto boot"],
            id="a second one, with a metric",
        ),
        pytest.param(
            [route("10.1.0.0/16", "10.100.0.77", protocol="None"), OURS],
            ["route del 10.1.0.0/16 via 10.100.0.77 dev eth0 proto boot"],
            id="a second one, in front",
        ),
        pytest.param(
            [route("10.1.0.0/16", "10.100.0.77"), route("10.1.0.0/16", "10.100.0.78")],
            [REPLACE, "route del 10.1.0.0/16 via 10.100.0.78 dev eth0 proto 117"],
            id="two wrong ones",
        ),
        pytest.param(
            [OURS, route("10.1.7.0/24", "10.100.0.77", protocol="None")],
            ["route del 10.1.7.0/24 via 10.100.0.77 dev eth0 proto boot"],
            id="somebody's, inside the cluster CIDR",
        ),
        pytest.param(
            [OURS, route("10.1.7.0/24", dev=None, protocol="None")],
            ["route del 10.1.7.0/24 proto boot"],
            id="a blackhole",
        ),
        pytest.param([route("10.1.0.0/16", "10.100.0.1", more="mtu 500")], [REPLACE], id="with an MTU"),
        pytest.param(
            [route("10.1.0.0/16", dev=None, protocol="boot", more="type 6")], [REPLACE], id="a blackhole of all"
        ),
        pytest.param(
            [OURS, route("10.1.2.2/32", dev=None, protocol="boot", table="255", more="type 6")],
            ["route del 10.1.2.2/32 table 255 proto boot"],
            id="in the local table",
        ),
        pytest.param(
            [OURS, route("10.1.7.0/24", dev=None, protocol="kernel", more="type 6")],
            ["route del 10.1.7.0/24 proto kernel"],
            id="said to be the kernel's",
        ),
        pytest.param(
            [OURS, route("10.55.0.0/16", "10.100.0.9")],
            ["route del 10.55.0.0/16 via 10.100.0.9 dev eth0 proto 117"],
            id="ours, of an older cluster CIDR",
        ),
        pytest.param(
            [OURS, route("10.55.0.0/16")], ["route del 10.55.0.0/16 dev eth0 proto 117"], id="ours, without next hop"
        ),
    ],
)
def test_drift_is_mended_by_just_these_lines(observed, lines):
    assert changes(observed, NODE) == lines


def test_removal_takes_what_is_marked_and_nothing_else():
    observed = [OURS, route("10.1.7.0/24", "10.100.0.7", protocol="None"), route("10.9.0.0/16", metric=5)]
    assert routes.removal(observed) == [
        "route del 10.1.0.0/16 via 10.100.0.1 dev eth0 proto 117",
        "route del 10.9.0.0/16 dev eth0 metric 5 proto 117",
    ]


vias = st.sampled_from(["10.100.0.2", "10.100.0.3", "10.100.0.77"])
inside = st.sampled_from(["10.1.1.0/24", "10.1.2.0/24", "10.1.7.0/24", "10.1.7.128/25"])
outside = st.sampled_from(["10.2.0.0/16", "172.17.0.0/16", "10.0.0.0/8", "10.1.200.0/24"])
metrics = st.sampled_from([0, 0, 50])
drift = st.tuples(st.sampled_from(["replace", "append"]), inside, vias, metrics, st.sampled_from(["117", "4", "boot"]))
others = st.tuples(outside, vias, metrics)


@settings(deadline=None, max_examples=150)
@given(st.lists(others, max_size=4), st.lists(drift, max_size=8))
def test_one_run_mends_and_nothing_foreign_is_touched(foreign, wrong):
    host = SimulatedHost("10.100.0.1/24", eth1="198.51.100.1/24")
    for to, via, metric in dict.fromkeys(foreign):
        host.root.route("append", to, {"via": via, "metric": str(metric)})
    untouched = host.observe()["routes"]
    for verb, to, via, metric, protocol in wrong:
        host.root.route(verb, to, {"via": via, "metric": str(metric), "proto": protocol})
    row: routes.RoutesConfig = {**GATEWAY, "foreign": ["10.1.200.0/24"]}
    host.root.ip(changes(host.observe()["routes"], row))
    after = host.observe()["routes"]
    assert changes(after, row) == []
    assert [found for found in after if found in untouched] == untouched
    ours = {(found["to"], found["via"], found["protocol"]) for found in after if found not in untouched}
    assert ours == {("10.1.1.0/24", "10.100.0.2", "117"), ("10.1.2.0/24", "10.100.0.3", "117")}
