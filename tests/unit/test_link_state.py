"""What podlab's own links have to be: what of it is amiss, and the words that mend it."""

from __future__ import annotations

import pytest

from podlab.changes.network import bridge, link_state
from podlab.changes.network.link_state import BRIDGE, PORT, Amiss, amiss
from podlab.changes.pods import pods, veths
from tests.unit.test_changes_bridge import PORT as SOUND
from tests.unit.test_changes_bridge import ROW, cbr0

PORT_FACTS = {it.key: it.values[0] for it in PORT}
BRIDGE_FACTS = {it.key: it.values[0] for it in BRIDGE}


def port(**drift):
    return {"linkinfo": {"info_slave_kind": "bridge", "info_slave_data": {**PORT_FACTS, **drift}}}


def test_nothing_is_amiss_with_a_sound_link_nor_with_one_of_which_a_kernel_tells_less():
    sound = Amiss([], [], [])
    assert amiss(port()) == sound
    assert amiss({"flags": ["UP"], "linkinfo": {"info_kind": "bridge", "info_data": BRIDGE_FACTS}}) == sound
    assert amiss({"linkinfo": {"info_slave_kind": "bridge", "info_slave_data": {}}}) == sound
    assert amiss({}) == sound


@pytest.mark.parametrize("wanted", PORT, ids=lambda it: it.key)
def test_every_flag_of_a_port_is_mended_by_its_words(wanted):
    wrong = "blocking" if wanted.key == "state" else not wanted.values[0]
    assert amiss(port(**{wanted.key: wrong})).port == [wanted.words]


@pytest.mark.parametrize("wanted", BRIDGE, ids=lambda it: it.key)
def test_every_attribute_of_a_bridge_is_mended_by_its_words(wanted):
    link = {"linkinfo": {"info_kind": "bridge", "info_data": {**BRIDGE_FACTS, wanted.key: 1}}}
    assert amiss(link).bridge == [wanted.words]


def test_what_any_link_may_have():
    link = {"flags": ["UP", "NOARP"], "proto_down": True, "xdp": {"mode": 2}}
    assert amiss(link) == Amiss(["arp on", "protodown off", "xdp off"], [], [])


def test_all_of_a_link_is_mended_by_one_line_for_each_kind():
    wrong = cbr0(amiss=["arp on"], bridge=["stp_state 0", "ageing_time 30000"])
    assert bridge.changes({"cbr0": wrong}, ROW) == [
        "link set cbr0 arp on",
        "link set cbr0 type bridge stp_state 0 ageing_time 30000",
    ]
    row = {"netns": "default_web", "bridge": "cbr0", "mtu": 1500}
    veth = {**SOUND, "hairpin": True, "amiss": ["xdp off"], "port": ["isolated off", "learning on"]}
    name = pods.veth_name("default_web")
    assert [action.words for action in veths.repair_outside(row, veth)] == [
        f"link set {name} xdp off",
        f"link set {name} type bridge_slave isolated off learning on",
    ]
    assert [action.words for action in veths.repair_outside(row, {**veth, "amiss": [], "master": None})] == [
        f"link set {name} master cbr0",
        f"link set {name} type bridge_slave hairpin on",  # a new port has no flags of the one before
    ]


def test_settings_of_the_bridge_are_looked_at_where_it_is_and_else_where_it_will_have_them_from():
    seen = {"net.ipv4.conf.cbr0.arp_ignore": "8", "net.ipv4.conf.default.arp_filter": "1"}
    assert bridge.settings({"cbr0": cbr0()}, ROW, seen) == {"net.ipv4.conf.cbr0.arp_ignore": "0"}
    assert bridge.settings({}, ROW, seen) == {"net.ipv4.conf.cbr0.arp_filter": "0"}


def test_a_new_bridge_has_forwarding_by_what_the_component_before_makes_of_default():
    seen = {"net.ipv4.conf.default.forwarding": "0"}
    assert bridge.settings({}, ROW, seen) == {}
    seen = {**seen, "net.ipv4.conf.cbr0.forwarding": "0"}
    assert bridge.settings({"cbr0": cbr0()}, ROW, seen) == {"net.ipv4.conf.cbr0.forwarding": "1"}


def test_what_delays_or_drops_packets_is_taken_away():
    seen = [{"kind": "tbf", "root": True}, {"kind": "clsact"}, {"kind": "noqueue", "root": True}, {"kind": "sfq"}]
    assert link_state.queues("veth1", seen) == ["qdisc del dev veth1 root", "qdisc del dev veth1 clsact"]


def test_a_host_whose_lo_is_down_does_not_reach_itself():
    assert bridge.changes({"cbr0": cbr0(), "lo": {**SOUND, "up": False, "master": None}}, ROW) == ["link set lo up"]
