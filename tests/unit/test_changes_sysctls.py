"""Kernel settings: what is written, what is remembered, what is given back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.system import sysctls
from podlab.changes.system.sysctls import LOCALNET

FORWARD, FILTER = "net.ipv4.ip_forward", "net.ipv4.conf.eth0.rp_filter"


@pytest.mark.parametrize(
    ("observed", "wanted", "recorded", "written"),
    [
        pytest.param({FORWARD: "0"}, {FORWARD: "1"}, {}, {FORWARD: "1"}, id="not so"),
        pytest.param({FORWARD: "1"}, {FORWARD: "1"}, {}, {}, id="so already"),
        pytest.param({}, {FORWARD: "1"}, {}, {FORWARD: "1"}, id="there only once its module is loaded"),
        pytest.param({FORWARD: "0"}, {FORWARD: "1"}, {FORWARD: "0"}, {FORWARD: "1"}, id="drifted back"),
        pytest.param({FILTER: "2"}, {}, {FILTER: "1"}, {FILTER: "1"}, id="wanted no more"),
        pytest.param({FILTER: "1"}, {}, {FILTER: "1"}, {}, id="given back already"),
        pytest.param({FILTER: "0"}, {FORWARD: "1"}, {}, {FORWARD: "1"}, id="a key of nobody's"),
        pytest.param({LOCALNET: "0"}, {LOCALNET: "1"}, {}, {}, id="somebody has to guard it first"),
        pytest.param({LOCALNET: "1"}, {}, {LOCALNET: "0"}, {LOCALNET: "0"}, id="guarded no more"),
    ],
)
def test_changes(observed, wanted, recorded, written):
    assert sysctls.changes(observed, wanted, recorded) == written


def test_nothing_is_given_back_to_a_link_that_has_gone():
    gone, there = "net.ipv4.conf.wg0.forwarding", "net.ipv4.conf.eth0.forwarding"
    seen, before = {FORWARD: "0", there: "0"}, {FORWARD: "0", gone: "0", there: "0"}
    assert sysctls.changes(seen, {FORWARD: "1"}, before) == {FORWARD: "1", there: "0"}
    assert sysctls.changes({FORWARD: "1", there: "1"}, {}, {**before, gone: "1"}) == {FORWARD: "0"}


@pytest.mark.parametrize(
    ("observed", "wanted", "recorded", "remembered"),
    [
        pytest.param({FORWARD: "0"}, {FORWARD: "1"}, {}, {FORWARD: "0"}, id="first time"),
        pytest.param({FORWARD: "1"}, {FORWARD: "1"}, {FORWARD: "0"}, {FORWARD: "0"}, id="the first value stays"),
        pytest.param({FILTER: "1"}, {}, {FILTER: "1"}, {}, id="given back, so forgotten"),
        pytest.param({}, {FORWARD: "1"}, {}, {}, id="not there yet"),
        pytest.param({}, {FILTER: "2"}, {FILTER: "1"}, {FILTER: "1"}, id="not there for the moment"),
    ],
)
def test_originals(observed, wanted, recorded, remembered):
    assert sysctls.originals(observed, wanted, recorded) == remembered


def test_the_line_that_a_person_would_type():
    assert sysctls.line(FORWARD, "1") == "sysctl -w net.ipv4.ip_forward=1"


keys = st.sampled_from([FORWARD, FILTER, "net.ipv4.conf.all.send_redirects"])
settings_ = st.dictionaries(keys, st.sampled_from(["0", "1", "2"]))


@settings(deadline=None)
@given(
    st.fixed_dictionaries({key: st.sampled_from("012") for key in [FORWARD, FILTER]}), st.lists(settings_, max_size=5)
)
def test_after_any_history_of_wishes_a_host_gets_back_what_it_had(host, wishes):
    first, recorded = dict(host), {}
    for wanted in [*({key: value for key, value in wish.items() if key in host} for wish in wishes), {}]:
        remembered = sysctls.originals(host, wanted, recorded)
        host = host | sysctls.changes(host, wanted, recorded)
        recorded = remembered
        assert host | wanted == host
        assert sysctls.changes(host, wanted, recorded) == {}
    assert host == first
    assert recorded == {}


# --- ip_forward, which the kernel gives to every link

ETH0, ETH1 = "net.ipv4.conf.eth0.forwarding", "net.ipv4.conf.eth1.forwarding"


@pytest.mark.parametrize(
    ("observed", "wanted", "recorded", "lines"),
    [
        pytest.param(("0", "0"), "1", {}, {sysctls.FORWARD: "1"}, id="on for all at once"),
        pytest.param(("1", "0"), "1", {}, {ETH0: "1"}, id="off for one"),
        pytest.param(("1", "1"), None, {sysctls.FORWARD: "0", ETH0: "0"}, {sysctls.FORWARD: "0"}, id="back for all"),
        pytest.param(
            ("1", "1"), None, {ETH0: "1", sysctls.FORWARD: "0"}, {sysctls.FORWARD: "0", ETH0: "1"}, id="but for one"
        ),
        pytest.param(("1", "1"), None, {ETH1: "0"}, {}, id="a link that has gone"),
    ],
)
def test_forwarding_of_all_links_comes_before_that_of_one(observed, wanted, recorded, lines):
    seen = {sysctls.FORWARD: observed[0], ETH0: observed[1]}
    asked = {sysctls.FORWARD: wanted, ETH0: wanted} if wanted else {}
    found = sysctls.changes(seen, asked, recorded)
    assert list(found.items()) == list(lines.items())


def test_what_a_module_switches_on_was_off_before_it():
    calls = [f"net.bridge.bridge-nf-call-{kind}" for kind in ("iptables", "ip6tables", "arptables")]
    off = sysctls.switched_on_by(["bridge", "br_netfilter"])
    assert off == dict.fromkeys(calls, "0")
    assert sysctls.switched_on_by(["bridge", "veth"]) == {}
    wanted = {calls[0]: "1"}
    recorded = sysctls.originals(off, wanted, {})
    assert sysctls.changes({calls[0]: "1"}, {}, recorded) == {calls[0]: "0"}


def test_what_was_before_podlab_is_the_kernels_default_where_nobody_remembers():
    default = {"net.ipv4.conf.default.rp_filter": "1", "net.ipv4.conf.default.send_redirects": "1"}
    seen = {
        **default,
        FORWARD: "1",
        LOCALNET: "1",
        FILTER: "2",
        "net.ipv4.conf.all.rp_filter": "2",
        "net.ipv4.conf.all.send_redirects": "0",
        "net.ipv4.conf.eth0.send_redirects": "0",
        "net.ipv4.conf.eth0.forwarding": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
    }
    assert sysctls.forgotten(seen) == {
        FORWARD: "0",
        LOCALNET: "0",
        FILTER: "1",
        "net.ipv4.conf.all.send_redirects": "1",
        "net.ipv4.conf.eth0.send_redirects": "1",
        "net.ipv4.conf.eth0.forwarding": "0",
    }
    others = {FORWARD: "0", FILTER: "1", "net.bridge.bridge-nf-call-iptables": "0"}
    assert sysctls.forgotten({**default, **others}) == {}, "podlab gives none of these values"


def test_new_links_that_are_loose_tell_that_this_was_not_podlab():
    assert sysctls.forgotten({FILTER: "2", "net.ipv4.conf.default.rp_filter": "2"}) == {}
