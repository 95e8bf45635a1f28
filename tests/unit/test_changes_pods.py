"""Pods of a node: every drift and the steps that mend it."""

from __future__ import annotations

import contextlib
import copy
from ipaddress import IPv4Interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.actions import Action, Ip, NetnsIp, lines
from podlab.changes.pods import pods
from podlab.changes.pods.actions import (
    AnnouncePod,
    DropVolume,
    EndContainers,
    MakeSandbox,
    MakeVolume,
    RecordPod,
    RemovePod,
    ResumeContainer,
    StartContainer,
)
from podlab.changes.pods.unchanged import all_hold, network_of
from podlab.configs import PodConfig
from tests.simulated_host import Namespace, Refused, SimulatedHost

WEB_WIRE, WEB_ALIAS = "veth7e9b3e61", "podlab default/web"


def row(name="web", address="10.1.1.2", **more) -> PodConfig:
    number = int(address.rsplit(".", 1)[1])
    container = {"image": "busybox", "argv": ["sleep", "9"], "env": {"PATH": "/bin"}, "working_dir": "/"}
    return {
        "netns": f"default_{name}",
        "address": f"{address}/24",
        "gateway": "10.1.1.1",
        "mac": f"0a:58:0a:01:01:{number:02x}",
        "mtu": 1500,
        "bridge": "cbr0",
        "hostname": name,
        "restart_policy": "Always",
        "etc": {"hostname": f"{name}\n", "hosts": f"{address}\t{name}\n", "resolv.conf": "options ndots:5\n"},
        "containers": {"main": container, "side": {**container, "argv": ["echo", "it's"]}},
        "object": {"metadata": {"name": name, "namespace": "default"}},
        **more,
    }


WEB, API = row(), row("api", "10.1.1.3")


def node(*rows: PodConfig) -> SimulatedHost:
    """A node on which these pods run."""
    host = SimulatedHost("10.100.0.2/24")
    bridge = {"name": "cbr0", "address": "10.1.1.1/24", "mac": "0a:58:0a:01:01:01", "mtu": 1500}
    host.apply({"bridge": bridge, "pods": {"programs": {}, "pods": list(rows)}}, ["bridge", "pods"])
    return host


def changes(host: SimulatedHost, *rows: PodConfig) -> list[Action]:
    """What the short way says, where it says anything, is what the long one finds."""
    seen = host.observe()
    wanted = {row["netns"]: row for row in rows}
    found = pods.differences(seen["links"], seen["pods"], wanted)
    assert not (found and all_hold(seen["links"], seen["pods"], wanted))
    return pods.changes(seen["links"], seen["pods"], rows)


def of(kind: type[Action], todo: list[Action]) -> list:
    return [action for action in todo if isinstance(action, kind)]


def links(todo: list[Action]) -> list[str]:
    return [action.words for action in of(Ip, todo)]


def netns_commands(todo: list[Action]) -> list[tuple[str, str]]:
    return [(action.netns, action.words) for action in of(NetnsIp, todo)]


def removed(todo: list[Action]) -> list[str]:
    return [action.netns for action in of(RemovePod, todo)]


def made(todo: list[Action]) -> list[PodConfig]:
    return [action.row for action in of(MakeSandbox, todo)]


def ended(todo: list[Action]) -> list[tuple[str, str]]:
    return [key for action in of(EndContainers, todo) for key in action.supervised]


def started(todo: list[Action]) -> list[tuple[str, str]]:
    return [action.key for action in of(StartContainer, todo)]


BOTH = [("default_web", "main"), ("default_web", "side")]


def inside(host: SimulatedHost, netns="default_web") -> Namespace:
    return host.pods[netns]["namespace"]


def test_a_node_without_pods_gets_the_whole_pod():
    todo = pods.changes({}, {}, [WEB])
    assert links(todo) == [
        f"link add {WEB_WIRE} mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:02 mtu 1500 netns default_web",
        f'link set {WEB_WIRE} alias "{WEB_ALIAS}" master cbr0 up',
        f"link set {WEB_WIRE} type bridge_slave hairpin on",
    ]
    assert netns_commands(todo) == [
        ("default_web", "link set lo up"),
        ("default_web", "addr add 10.1.1.2/24 brd + dev eth0"),
        ("default_web", "link set eth0 up"),
        ("default_web", "route add default via 10.1.1.1 dev eth0"),
    ]
    assert (removed(todo), ended(todo)) == ([], [])
    assert made(todo) == [WEB]
    assert of(StartContainer, todo) == [StartContainer(WEB, "main"), StartContainer(WEB, "side")]
    assert todo[-1] == RecordPod(WEB)


def test_the_lines_that_a_person_would_type(golden):
    host = node(WEB, API)
    gone_and_new = changes(host, API | {"containers": {"main": WEB["containers"]["main"]}}, row("new", "10.1.1.4"))
    golden("pods.sh", "\n".join(lines(gone_and_new)) + "\n")


def test_sound_pods_are_not_named():
    todo = changes(node(WEB, API), WEB, API)
    assert not todo
    assert lines(todo) == []


def test_sound_pods_take_the_short_way():
    seen = node(WEB, API).observe()
    assert all_hold(seen["links"], seen["pods"], {row["netns"]: row for row in (WEB, API)})


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_the_network_of_an_address(number, length):
    interface = IPv4Interface((number, length))
    assert network_of(str(interface)) == str(interface.network)
    assert network_of(f"{interface.ip}/{interface.netmask}") == str(interface.network)


def drift_wire(**facts):
    return lambda host: host.root.links[WEB_WIRE].update(facts)


def drift_eth0(**facts):
    return lambda host: inside(host).links["eth0"].update(facts)


def rename_wire(host):
    host.root._switch(WEB_WIRE, False)
    host.root._rename(WEB_WIRE, "lost0")
    host.root._switch("lost0", True)


ANEW = [
    f"ip link add {WEB_WIRE} mtu 1500 type veth peer name eth0 address 0a:58:0a:01:01:02 mtu 1500 netns default_web",
    f'ip link set {WEB_WIRE} alias "{WEB_ALIAS}" master cbr0 up',
    f"ip link set {WEB_WIRE} type bridge_slave hairpin on",
]
DEFAULT = "ip -n default_web route replace default via 10.1.1.1 dev eth0"
READDRESS = ["ip -n default_web addr replace 10.1.1.2/24 brd + dev eth0", DEFAULT]
INSIDE = [
    "ip -n default_web link set lo up",
    "ip -n default_web addr add 10.1.1.2/24 brd + dev eth0",
    "ip -n default_web link set eth0 up",
    "ip -n default_web route add default via 10.1.1.1 dev eth0",
]


@pytest.mark.parametrize(
    ("drift", "typed"),
    [
        pytest.param(drift_wire(alias=""), [f'ip link set {WEB_WIRE} alias "{WEB_ALIAS}"'], id="mark gone"),
        pytest.param(drift_wire(mtu=1400), [f"ip link set {WEB_WIRE} mtu 1500"], id="mtu outside"),
        pytest.param(
            # The wire drops what is too long for it, so the pod has to send less first.
            lambda host: (drift_wire(mtu=9000)(host), drift_eth0(mtu=9000)(host)),
            [
                "ip -n default_web link set eth0 mtu 1500",
                f"ip link set {WEB_WIRE} mtu 1500",
            ],
            id="mtu larger on both ends",
        ),
        pytest.param(drift_wire(up=False), [f"ip link set {WEB_WIRE} up"], id="down outside"),
        pytest.param(
            drift_wire(hairpin=False), [f"ip link set {WEB_WIRE} type bridge_slave hairpin on"], id="no hairpin"
        ),
        pytest.param(
            drift_wire(master=None, hairpin=False),
            [f"ip link set {WEB_WIRE} master cbr0", f"ip link set {WEB_WIRE} type bridge_slave hairpin on"],
            id="off the bridge",
        ),
        pytest.param(
            drift_wire(master="br-lan"),
            [f"ip link set {WEB_WIRE} master cbr0", f"ip link set {WEB_WIRE} type bridge_slave hairpin on"],
            id="on another bridge",
        ),
        pytest.param(
            drift_wire(addresses=["10.7.0.1/24"]), [f"ip addr del 10.7.0.1/24 dev {WEB_WIRE}"], id="address outside"
        ),
        pytest.param(lambda host: host.root.delete(WEB_WIRE), [*ANEW, *INSIDE], id="wire gone"),
        pytest.param(
            rename_wire,
            ["ip link set lost0 down", f"ip link set lost0 name {WEB_WIRE}", f"ip link set {WEB_WIRE} up"],
            id="wire renamed",
        ),
        pytest.param(
            lambda host: host.root.move(WEB_WIRE, Namespace()),
            [
                ANEW[0].replace("peer name eth0", "peer name podlab0"),
                *ANEW[1:],
                "ip -n default_web link del eth0",
                "ip -n default_web link set podlab0 name eth0",
                *INSIDE,
            ],
            id="wire moved to another namespace",
        ),
        pytest.param(
            lambda host: inside(host).move("eth0", Namespace()),
            [f"ip link del {WEB_WIRE}", *ANEW, *INSIDE],
            id="eth0 moved to another namespace",
        ),
        pytest.param(
            drift_eth0(mac="02:00:00:00:00:01"), [INSIDE[2].replace("up", "address 0a:58:0a:01:01:02")], id="mac"
        ),
        pytest.param(drift_eth0(mtu=1400), ["ip -n default_web link set eth0 mtu 1500"], id="mtu inside"),
        pytest.param(lambda host: inside(host).ip(["link set lo down"]), INSIDE[:1], id="lo down"),
        pytest.param(lambda host: inside(host).ip(["link set eth0 down"]), [INSIDE[2], DEFAULT], id="eth0 down"),
        pytest.param(lambda host: inside(host).ip(["addr del 10.1.1.2/24 dev eth0"]), READDRESS, id="address removed"),
        pytest.param(
            lambda host: inside(host).ip(["addr add 10.9.9.9/24 dev eth0"]),
            ["ip -n default_web addr del 10.9.9.9/24 dev eth0", *READDRESS],
            id="address added",
        ),
        pytest.param(
            lambda host: inside(host).ip(
                [
                    *("addr del 10.1.1.2/24 dev eth0", "addr add 10.1.1.77/24 dev eth0"),
                    "route add 10.5.0.0/16 via 10.1.1.1",
                ]
            ),
            [
                "ip -n default_web route del 10.5.0.0/16 via 10.1.1.1 dev eth0",
                "ip -n default_web addr del 10.1.1.77/24 dev eth0",
                *READDRESS,
            ],
            id="another address, with a route that goes with it",
        ),
        pytest.param(lambda host: inside(host).ip(["route del default"]), [DEFAULT], id="default route gone"),
        pytest.param(
            lambda host: inside(host).routes.clear(),
            ["ip -n default_web route replace 10.1.1.0/24 dev eth0 proto kernel scope link src 10.1.1.2", DEFAULT],
            id="all routes gone",
        ),
        pytest.param(
            lambda host: inside(host).ip(["route replace default via 10.1.1.9"]),
            ["ip -n default_web route del default via 10.1.1.9 dev eth0", DEFAULT],
            id="default route elsewhere",
        ),
        pytest.param(
            lambda host: inside(host).ip(["route add 10.5.0.0/16 via 10.1.1.9"]),
            ["ip -n default_web route del 10.5.0.0/16 via 10.1.1.9 dev eth0"],
            id="route too many",
        ),
        pytest.param(
            lambda host: host.root.add("lost0", kind="veth", alias="podlab default/nobody"),
            ["ip link del lost0"],
            id="a wire of nobody's",
        ),
        pytest.param(
            lambda host: host.root.add("lost0", kind="veth", alias=WEB_ALIAS), ["ip link del lost0"], id="a second wire"
        ),
        pytest.param(lambda host: host.root.add("veth1", kind="veth", alias="docker"), [], id="a wire of somebody's"),
    ],
)
def test_drift_is_mended_by_just_these_lines(drift, typed):
    host = node(WEB, API)
    drift(host)
    todo = changes(host, WEB, API)
    assert [line for line in lines(todo) if " arping " not in line] == typed
    assert of(AnnouncePod, todo) == ([AnnouncePod(WEB)] if netns_commands(todo) else [])
    assert {type(action) for action in todo} <= {Ip, NetnsIp, AnnouncePod}
    host.take(todo)
    assert not changes(host, WEB, API)


def test_an_arp_entry_that_somebody_wrote_inside_goes():
    seen = node(WEB).observe()
    seen["pods"]["default_web"]["neighbours"] = ["10.1.1.1"]
    todo = pods.changes(seen["links"], seen["pods"], [WEB])
    assert netns_commands(todo) == [("default_web", "neigh del 10.1.1.1 dev eth0")]


def kill_pause(host):
    host.pods["default_web"]["sandbox"] = False


def kill_pause_and_rename(host):
    rename_wire(host)
    kill_pause(host)


def kill_pause_and_take_mark(host):
    host.root.links[WEB_WIRE]["alias"] = ""
    kill_pause(host)


@pytest.mark.parametrize("drift", [kill_pause, kill_pause_and_rename, kill_pause_and_take_mark])
def test_a_pod_without_its_pause_is_made_anew_and_the_others_are_left_alone(drift):
    host = node(WEB, API)
    drift(host)
    todo = changes(host, WEB, API)
    assert (removed(todo), made(todo)) == (["default_web"], [WEB])
    assert [f"ip {line}" for line in links(todo)] == ANEW
    assert started(todo) == BOTH
    host.take(todo)
    assert not changes(host, WEB, API)


@pytest.mark.parametrize(
    ("ends", "start", "resume"),
    [
        ({}, ["first", "main", "side"], []),
        ({"first": 0, "main": 1}, ["first", "main", "side"], []),
        ({"first": 0, "main": 0}, ["first", "side"], ["main"]),
        ({"first": 0, "main": 0, "side": 0}, [], ["first", "main", "side"]),
    ],
)
def test_what_has_ended_for_good_stays_so_in_a_new_sandbox(ends, start, resume):
    """A Job that is complete does not run again because its node was rebooted."""
    job = row(restart_policy="OnFailure", init=["first"])
    job["containers"]["first"] = job["containers"]["main"]
    host = node(job)
    seen = host.observe()
    last = {"signal": 0, "started": 1, "ended": 2}
    for name, code in ends.items():
        facts = seen["pods"]["default_web"]["facts"]
        facts[name] = {**facts[name], "pid": None, "last": {"exit": code, **last}}
    seen["pods"]["default_web"] |= {"sandbox": False, "services": []}
    todo = pods.changes(seen["links"], seen["pods"], [job])
    assert [(action.netns, action.comes_back) for action in of(RemovePod, todo)] == [("default_web", True)]
    assert sorted(name for _, name in started(todo)) == start
    assert sorted(action.name for action in of(ResumeContainer, todo)) == resume
    deferred = [action.name for action in of(StartContainer, todo) if action.deferred]
    assert sorted(deferred) == [name for name in start if name != "first"]
    (end,) = of(EndContainers, todo)
    assert (sorted(end.started_anew), sorted(name for _, name in end.resumed)) == (sorted(started(todo)), resume)
    assert not any("/var/log/pods" in line for line in lines(todo) if line.startswith("rm "))


def test_a_wire_that_was_laid_before_its_pod_could_be_found_is_laid_again():
    host = node()
    host.root.add(WEB_WIRE, kind="veth")
    todo = changes(host, WEB)
    assert links(todo)[0] == f"link del {WEB_WIRE}"
    host.take(todo)
    assert not changes(host, WEB)


def test_a_pod_that_is_wanted_no_more_takes_its_wire_along():
    host = node(WEB, API)
    todo = changes(host, API)
    assert removed(todo) == ["default_web"]
    assert (links(todo), netns_commands(todo), ended(todo)) == ([], [], BOTH)
    host.take(todo)
    assert WEB_WIRE not in host.root.links
    assert not changes(host, API)


def changed_container(**facts):
    return WEB | {"containers": WEB["containers"] | {"main": WEB["containers"]["main"] | facts}}


def test_a_container_whose_log_is_written_nowhere_starts_again():
    seen = node(WEB).observe()
    seen["pods"]["default_web"]["unlogged"] = ["side"]
    todo = pods.changes(seen["links"], seen["pods"], [WEB])
    assert (ended(todo), started(todo), made(todo)) == (BOTH[1:], BOTH[1:], [])


def test_a_pod_whose_volume_was_taken_away_begins_anew_with_the_others_as_they_are():
    empty = {"kind": "emptyDir", "medium": ""}
    web = row(volumes={"lost": empty, "there": empty})
    seen = node(web, API).observe()
    seen["pods"]["default_web"]["lost"] = ["lost"]
    todo = pods.changes(seen["links"], seen["pods"], [web, API])
    assert of(RemovePod, todo) == [RemovePod("default_web", web, comes_back=True)]
    assert made(todo) == [web]
    assert (of(MakeVolume, todo), of(DropVolume, todo)) == ([MakeVolume(web, "lost")], [])


@pytest.mark.parametrize(
    ("now", "stop", "start"),
    [
        pytest.param(changed_container(argv=["sleep", "8"]), ["main"], ["main"], id="argv"),
        pytest.param(changed_container(env={"PATH": "/bin", "A": "1"}), ["main"], ["main"], id="env"),
        pytest.param(changed_container(working_dir="/tmp"), ["main"], ["main"], id="working directory"),
        pytest.param(
            WEB | {"containers": {"main": WEB["containers"]["main"]}}, ["side"], [], id="container wanted no more"
        ),
        pytest.param(
            WEB | {"containers": WEB["containers"] | {"new": WEB["containers"]["main"]}},
            [],
            ["new"],
            id="new container",
        ),
        pytest.param(WEB | {"restart_policy": "Never"}, ["main", "side"], ["main", "side"], id="restart policy"),
        pytest.param(
            WEB | {"etc": WEB["etc"] | {"resolv.conf": "nameserver 10.96.0.10\n"}},
            ["main", "side"],
            ["main", "side"],
            id="resolv.conf",
        ),
        pytest.param(WEB | {"object": {"metadata": {"labels": {"a": "b"}}}}, [], [], id="only metadata"),
    ],
)
def test_a_changed_pod_keeps_its_sandbox(now, stop, start):
    host = node(WEB)
    todo = changes(host, now)
    assert [name for _, name in ended(todo)] == stop
    assert [name for _, name in started(todo)] == start
    assert of(RecordPod, todo) == [RecordPod(now)]
    assert (removed(todo), made(todo), links(todo), netns_commands(todo)) == ([], [], [], [])
    host.take(todo)
    assert not changes(host, now)


def test_a_pod_with_another_hostname_is_another_pod():
    todo = changes(node(WEB), WEB | {"hostname": "other"})
    assert removed(todo) == ["default_web"]
    assert [row["hostname"] for row in made(todo)] == ["other"]


def test_a_pod_that_moves_to_another_address_keeps_its_sandbox():
    host, now = node(WEB), row(address="10.1.1.9")
    todo = changes(host, now)
    assert netns_commands(todo) == [
        ("default_web", "link set eth0 address 0a:58:0a:01:01:09"),
        ("default_web", "addr del 10.1.1.2/24 dev eth0"),
        ("default_web", "addr replace 10.1.1.9/24 brd + dev eth0"),
        ("default_web", "route replace default via 10.1.1.1 dev eth0"),
    ]
    host.take(todo)
    assert not changes(host, now)


def test_only_the_service_that_died_with_its_supervisor_is_started():
    host = node(WEB, API)
    host.pods["default_web"]["services"].discard("side")
    todo = changes(host, WEB, API)
    assert (ended(todo), started(todo), of(RecordPod, todo)) == ([], BOTH[1:], [])


def test_a_service_that_no_row_knows_is_stopped():
    host = node(WEB)
    host.pods["default_web"]["services"].add("stray")
    assert ended(changes(host, WEB)) == [("default_web", "stray")]


def test_a_pod_that_was_cut_off_before_its_row_was_written_starts_again():
    host = node(WEB)
    host.pods["default_web"]["row"] = None
    todo = changes(host, WEB)
    assert (ended(todo), started(todo)) == (BOTH, BOTH)
    assert (made(todo), of(RecordPod, todo)) == ([], [RecordPod(WEB)])


def test_the_wires_name_is_the_same_on_every_run_and_fits_the_kernel():
    assert pods.veth_name("default_web") == WEB_WIRE
    assert len(pods.veth_name("a" * 255)) < 16


mishaps = st.lists(
    st.sampled_from(
        [
            drift_wire(alias=""),
            drift_wire(mtu=1400),
            drift_eth0(mtu=1400, mac="02:00:00:00:00:01"),
            rename_wire,
            lambda host: host.root.delete(WEB_WIRE),
            lambda host: host.root.move(WEB_WIRE, Namespace()),
            lambda host: inside(host).move("eth0", Namespace()),
            lambda host: inside(host).ip(["link set eth0 down"]),
            lambda host: inside(host).ip(["addr add 10.1.1.77/24 dev eth0"]),
            lambda host: inside(host).ip(["addr del 10.1.1.2/24 dev eth0"]),
            lambda host: inside(host).ip(["addr add 10.9.9.9/16 dev eth0", "route add 10.5.0.0/16 via 10.9.1.1"]),
            lambda host: inside(host).ip(["route replace default via 10.1.1.9"]),
            lambda host: inside(host).ip(["route del default"]),
            lambda host: host.root.ip(["link set cbr0 down", "link del cbr0"]),
            lambda host: host.pods["default_web"]["services"].clear(),
            lambda host: host.pods["default_web"].update(row=None),
            lambda host: host.pods["default_web"].update(sandbox=False),
            lambda host: host.link("tap0", "10.8.0.1/24", alias="somebody's"),
        ]
    ),
    max_size=5,
    unique=True,
)


@settings(deadline=None, max_examples=150)
@given(mishaps, st.booleans())
def test_one_run_mends_any_mishap_and_touches_nobody_else(todo, wanted):
    host = node(WEB, API)
    for mishap in todo:
        with contextlib.suppress(Refused, KeyError):  # what an earlier mishap has made impossible
            mishap(host)
    rows = [WEB, API] if wanted else [API]
    bridge = {"name": "cbr0", "address": "10.1.1.1/24", "mac": "0a:58:0a:01:01:01", "mtu": 1500}
    host.apply({"bridge": bridge}, ["bridge"])
    neighbour, uplink = copy.deepcopy(inside(host, "default_api").facts()), host.root.facts()["eth0"]
    found = changes(host, *rows)
    inside_of = {netns for netns, _ in netns_commands(found)}
    assert "default_api" not in {*removed(found), *inside_of, *(row["netns"] for row in made(found))}
    host.take(found)
    assert not changes(host, *rows)
    assert inside(host, "default_api").facts() == neighbour
    assert host.root.facts()["eth0"] == uplink
    assert "tap0" in host.root.links or all("tap0" not in line for line in links(found))
