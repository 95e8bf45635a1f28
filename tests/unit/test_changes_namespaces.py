"""Single namespaces: what a bare host gets, every drift with the lines that repair it, and all that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.changes import actions
from podlab.changes.namespaces import configs, links, namespaces, problems

ALONE = {"name": "alone", "mode": "isolated", "address": "192.168.222.10/24"}
NEAR = {"name": "near", "mode": "host-only", "address": "192.168.202.11/24", "host_address": "192.168.202.1"}
OUT = {"name": "out", "mode": "bridged", "address": "192.168.212.11/24", "host_address": "192.168.212.1"}
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "namespaces.sh"
MARK = "podlab-namespace"


def link(kind="veth", **facts):
    sound = {"kind": kind, "alias": MARK, "mac": "", "mtu": 1500, "up": True, "master": None, "hairpin": False}
    return {**sound, "addresses": [], **facts}


def inside(eth0, default=None, **facts):
    within = [str(configs.network(address)) for address in eth0["addresses"]]
    sound = {"is_marked": True, "lo_up": True, "eth0": eth0, "defaults": [default] if default else []}
    return {**sound, "connected": within, **facts}


def connected(name, to):
    return {"to": to, "via": None, "dev": name, "protocol": "kernel"}


FORWARD = [
    "-i br-out -m comment --comment podlab-namespace -j ACCEPT",
    "-o br-out -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment podlab-namespace -j ACCEPT",
]
MASQUERADE = "-s 192.168.212.0/24 ! -o br-out -m comment --comment podlab-namespace -j MASQUERADE"


def bare(**facts):
    links_of_host = {"lo": link(None, alias=""), "eth0": link(None, alias="", addresses=["10.100.0.2/24"])}
    seen = {"links": links_of_host, "routes": [connected("eth0", "10.100.0.0/24")], "namespaces": {}}
    return {**seen, "tables": {}, "ip_forward": "0", "has_dummy": True, **facts}


def sound(**facts):
    """A host that has all three."""
    seen = bare(ip_forward="1", tables={"filter": {"FORWARD": FORWARD}, "nat": {"POSTROUTING": [MASQUERADE]}})
    seen["links"] |= {
        "br-out": link("bridge", mac="0a:58:c0:a8:d4:01", addresses=["192.168.212.1/24"]),
        "veth-near": link(addresses=["192.168.202.1/24"]),
        "veth-out": link(master="br-out"),
    }
    seen["routes"] += [connected("br-out", "192.168.212.0/24"), connected("veth-near", "192.168.202.0/24")]
    seen["namespaces"] = {
        "alone": inside(link("dummy", addresses=["192.168.222.10/24"])),
        "near": inside(link(mac="0a:58:c0:a8:ca:0b", addresses=["192.168.202.11/24"])),
        "out": inside(
            link(mac="0a:58:c0:a8:d4:0b", addresses=["192.168.212.11/24"]), "default via 192.168.212.1 dev eth0"
        ),
    }
    return {**seen, **facts}


def wanted(*items):
    return [configs.config(configs.item(item)) for item in items]


def lines(seen, *items):
    return actions.lines(namespaces.changes(seen, wanted(*items), {}))


def test_a_bare_host_gets_all_three(request):
    typed = "".join(f"{line}\n" for line in lines(bare(), ALONE, NEAR, OUT))
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(typed)
    assert typed == GOLDEN.read_text()


def test_a_sound_host_gets_nothing():
    assert lines(sound(), ALONE, NEAR, OUT) == []


def test_none_wanted_takes_all_away_and_leaves_the_hosts_own():
    assert lines(sound()) == [
        "ip link del veth-near",
        "ip link del veth-out",
        "ip link del br-out",
        "ip netns del alone",
        "ip netns del near",
        "ip netns del out",
        *(f"iptables -t filter -D FORWARD {rule}" for rule in FORWARD),
        f"iptables -t nat -D POSTROUTING {MASQUERADE}",
    ]


def test_a_namespace_that_is_wanted_no_more_goes_alone():
    assert lines(sound(), ALONE, OUT) == ["ip link del veth-near", "ip netns del near"]


def test_without_dummy_links_a_bridge_without_ports_stands_in():
    found = lines(bare(has_dummy=False), ALONE)
    assert "ip -n alone link add eth0 type bridge" in found
    seen = sound(has_dummy=False)
    seen["namespaces"]["alone"]["eth0"]["kind"] = "bridge"
    assert lines(seen, ALONE, NEAR, OUT) == []


def _drop(seen, *names):
    for name in names:
        del seen["links"][name]
        seen["routes"] = [route for route in seen["routes"] if route["dev"] != name]


def _lose_veth(name):
    def drift(seen):
        _drop(seen, f"veth-{name}")
        seen["namespaces"][name] |= {"eth0": None, "defaults": [], "connected": []}

    return drift


def _flush(seen):
    seen["namespaces"]["out"]["eth0"]["addresses"] = []
    seen["namespaces"]["out"] |= {"defaults": [], "connected": []}


def _flush_host(seen):
    seen["links"]["veth-near"]["addresses"] = []
    seen["routes"] = [route for route in seen["routes"] if route["dev"] != "veth-near"]


def _remove(seen):
    _drop(seen, "veth-out")
    del seen["namespaces"]["out"]


def _lose_bridge(seen):
    _drop(seen, "br-out")
    seen["links"]["veth-out"]["master"] = None


def _unroute(seen):
    seen["namespaces"]["out"] |= {"defaults": [], "connected": []}


def _readdress(seen):
    seen["namespaces"]["near"]["eth0"]["addresses"] = ["192.168.202.99/24"]


def _add_way_out(seen):
    seen["namespaces"]["near"]["defaults"] = ["default via 192.168.202.1 dev eth0"]


def _put(*path, **facts):
    def drift(seen):
        for key in path:
            seen = seen[key]
        seen.update(facts)

    return drift


WIRE = [
    "ip link add veth-out type veth peer name eth0 address 0a:58:c0:a8:d4:0b netns out",
    "ip link set veth-out alias podlab-namespace master br-out up",
]
INSIDE = [
    "ip -n out addr add 192.168.212.11/24 brd + dev eth0",
    "ip -n out link set eth0 up",
    "ip -n out route add default via 192.168.212.1 dev eth0",
]
DRIFTS = {
    "veth deleted": (_lose_veth("out"), [*WIRE, *INSIDE]),
    "host-only veth deleted": (
        _lose_veth("near"),
        [
            "ip link add veth-near type veth peer name eth0 address 0a:58:c0:a8:ca:0b netns near",
            "ip link set veth-near alias podlab-namespace up",
            "ip addr add 192.168.202.1/24 brd + dev veth-near",
            "ip -n near addr add 192.168.202.11/24 brd + dev eth0",
            "ip -n near link set eth0 up",
        ],
    ),
    "namespace removed": (
        _remove,
        ["ip netns add out", "ip -n out link set lo alias podlab-namespace up", *WIRE, *INSIDE],
    ),
    "namespace removed while a process holds its veth": (
        lambda seen: seen["namespaces"].pop("out"),
        [
            "ip netns add out",
            "ip -n out link set lo alias podlab-namespace up",
            "ip link del veth-out",
            *WIRE,
            *INSIDE,
        ],
    ),
    "address flushed": (
        _flush,
        [
            "ip -n out addr replace 192.168.212.11/24 brd + dev eth0",
            "ip -n out route replace default via 192.168.212.1 dev eth0",
        ],
    ),
    "host address flushed": (_flush_host, ["ip addr replace 192.168.202.1/24 brd + dev veth-near"]),
    "another address": (
        _readdress,
        [
            "ip -n near addr del 192.168.202.99/24 dev eth0",
            "ip -n near addr replace 192.168.202.11/24 brd + dev eth0",
        ],
    ),
    "all routes deleted": (
        _unroute,
        [
            "ip -n out route replace 192.168.212.0/24 dev eth0 proto kernel scope link src 192.168.212.11",
            "ip -n out route replace default via 192.168.212.1 dev eth0",
        ],
    ),
    "a way out of a host-only one": (_add_way_out, ["ip -n near route del default via 192.168.202.1 dev eth0"]),
    "bridge deleted": (
        _lose_bridge,
        [
            "ip link add br-out address 0a:58:c0:a8:d4:01 type bridge",
            "ip link set br-out alias podlab-namespace up",
            "ip addr add 192.168.212.1/24 brd + dev br-out",
            "ip link set veth-out master br-out",
        ],
    ),
    "bridge with another MAC": (
        _put("links", "br-out", mac="02:00:00:00:00:01"),
        ["ip link set br-out address 0a:58:c0:a8:d4:01"],
    ),
    "port left the bridge, and down": (
        _put("links", "veth-out", master=None, up=False),
        ["ip link set veth-out master br-out up"],
    ),
    "lo down": (_put("namespaces", "alone", lo_up=False), ["ip -n alone link set lo up"]),
    "eth0 down": (
        _put("namespaces", "out", "eth0", up=False),
        [
            "ip -n out link set eth0 up",
            "ip -n out route replace default via 192.168.212.1 dev eth0",
        ],
    ),
    "forwarding off": (lambda seen: seen.update(ip_forward="0"), ["sysctl -w net.ipv4.ip_forward=1"]),
    "masquerade gone": (
        _put("tables", nat={}),
        [f"iptables -t nat -A POSTROUTING {MASQUERADE}"],
    ),
    "a firewall's end before the rules": (
        _put("tables", filter={"FORWARD": ["-j REJECT --reject-with icmp-port-unreachable"]}),
        [f"iptables -t filter -I FORWARD {n} {rule}" for n, rule in enumerate(FORWARD, 1)],
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_repaired_by_just_these_lines(name):
    drift, expected = DRIFTS[name]
    seen = sound()
    drift(seen)
    assert lines(seen, ALONE, NEAR, OUT) == expected


def test_another_mode_under_the_same_name():
    now = {**NEAR, "mode": "isolated"}
    del now["host_address"]
    assert lines(sound(), ALONE, now, OUT) == [
        "ip link del veth-near",
        "ip -n near link add eth0 type dummy",
        "ip -n near addr add 192.168.202.11/24 brd + dev eth0",
        "ip -n near link set eth0 up",
    ]
    bridged = lines(sound(), ALONE, {**NEAR, "mode": "bridged"}, OUT)
    assert bridged[:5] == [
        "ip link add br-near address 0a:58:c0:a8:ca:01 type bridge",
        "ip link set br-near alias podlab-namespace up",
        "ip addr add 192.168.202.1/24 brd + dev br-near",
        "ip link set veth-near master br-near",
        "ip addr del 192.168.202.1/24 dev veth-near",
    ]


def test_two_on_one_bridge():
    other = {**OUT, "name": "two", "address": "192.168.212.12/24", "bridge": "br-out"}
    assert problems.problems([configs.item(item) for item in (OUT, other)]) == []
    found = lines(sound(), ALONE, NEAR, OUT, other)
    assert [line for line in found if "br-out" in line] == [
        "ip link set veth-two alias podlab-namespace master br-out up"
    ]


WRONG = {
    "mode": ([{**OUT, "mode": "nat"}], "namespace out: mode: 'nat' is none of isolated, host-only, bridged"),
    "name twice": (
        [ALONE, {**ALONE, "address": "192.168.223.10/24"}],
        "name alone is given to 2 namespaces; give each its own",
    ),
    "name too long": (
        [{**NEAR, "name": "classroom-1"}],
        "namespace classroom-1: name: classroom-1 has more than 10 characters; link veth-classroom-1 could not be made",
    ),
    "name that is a path": (
        [{**ALONE, "name": "../etc"}],
        "namespace ../etc: name: '../etc' is no name; take letters, digits, '.', '_' and '-', "
        "and begin with a letter or digit",
    ),
    "no name": (
        [{**ALONE, "name": None}],
        "namespaces_list[0]: name: '' is no name; take letters, digits, '.', '_' and '-', "
        "and begin with a letter or digit",
    ),
    "overlap": (
        [NEAR, {**OUT, "address": "192.168.203.9/22", "host_address": "192.168.203.1"}],
        "namespaces near and out: 192.168.202.0/24 and 192.168.200.0/22 overlap; give each a network of its own",
    ),
    "overlap of two bridges": (
        [OUT, {**OUT, "name": "two", "address": "192.168.212.12/24"}],
        "namespaces out and two: 192.168.212.0/24 and 192.168.212.0/24 overlap; "
        "give each a network of its own (or the same bridge)",
    ),
    "one address twice on a bridge": (
        [OUT, {**OUT, "name": "two", "bridge": "br-out"}],
        "namespaces out and two: both have address 192.168.212.11/24; give each its own",
    ),
    "one bridge with two addresses": (
        [
            OUT,
            {**OUT, "name": "two", "address": "192.168.213.2/24", "host_address": "192.168.213.1", "bridge": "br-out"},
        ],
        "namespaces out and two: bridge br-out has one host_address, not 192.168.212.1/24 and 192.168.213.1/24",
    ),
    "a bridge with the name of a veth": (
        [NEAR, {**OUT, "bridge": "veth-near"}],
        "bridge: veth-near is the name of a namespace's veth; take another one",
    ),
    "a bridge whose name is too long": (
        [{**OUT, "bridge": "br-of-the-classroom"}],
        "namespace out: bridge: 'br-of-the-classroom' is no name of a link; "
        "those have up to 15 letters, digits, '.', '_', '-'",
    ),
    "a bridge without use": (
        [{**NEAR, "bridge": "br0"}],
        "namespace near: bridge: mode host-only has none; leave it out",
    ),
    "network address": (
        [{**NEAR, "address": "192.168.202.0/24"}],
        "namespace near: address: 192.168.202.0 is the network's own address of 192.168.202.0/24; take one in between",
    ),
    "broadcast address": (
        [{**ALONE, "address": "192.168.222.255/24"}],
        "namespace alone: address: 192.168.222.255 is the broadcast address of 192.168.222.0/24; take one in between",
    ),
    "the host's own": (
        [{**NEAR, "address": "192.168.202.1/24"}],
        "namespace near: address: 192.168.202.1 is host_address too; the host and the namespace need one each",
    ),
    "no prefix length": (
        [{**NEAR, "address": "192.168.202.11"}],
        "namespace near: address: '192.168.202.11' is none; "
        "write an IPv4 address with prefix length, as 192.168.222.10/24",
    ),
    "no room for the host": (
        [{**NEAR, "address": "192.168.202.11/32"}],
        "namespace near: address: 192.168.202.11/32 leaves no address for the host; take a prefix length of at most 30",
    ),
    "no host address": (
        [{**NEAR, "host_address": None}],
        "namespace near: host_address: it is missing; write the host's IPv4 address in the network of the namespace",
    ),
    "host address elsewhere": (
        [{**NEAR, "host_address": "10.0.0.1/24"}],
        "namespace near: host_address: 10.0.0.1/24 is not in 192.168.202.0/24, the network of address 192.168.202.11/24",
    ),
    "host address of an isolated one": (
        [{**ALONE, "host_address": "192.168.222.1"}],
        "namespace alone: host_address: mode isolated has none, as the host has no way there; leave it out",
    ),
    "multicast": (
        [{**ALONE, "address": "224.0.0.5/24"}],
        "namespace alone: address: 224.0.0.5 is no address for a link; take one of a private network, "
        "as 192.168.222.10/24",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(name):
    items, words = WRONG[name]
    assert words in problems.problems([configs.item(item) for item in items])


def test_all_that_is_wrong_is_said_at_once():
    items = [items[0] for items, _ in WRONG.values()]
    found = problems.problems([configs.item(item) for item in items])
    assert len(found) > 10
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"namespaces": {"near": {**inside(link()), "is_marked": False}}},
            "network namespace near is in the way: podlab has not made it; remove it, or take another name",
        ),
        (
            {"links": {"veth-near": link(alias="")}},
            "link veth-near is in the way: podlab has not made it; remove it, or take another name",
        ),
        (
            {"links": {"br-out": link("bridge", alias="podlab")}},
            "link br-out is in the way: podlab has not made it; remove it, or take another name",
        ),
        (
            {"links": {"eth1": link(alias="", addresses=["192.168.202.7/25"])}},
            "network 192.168.202.0/24 is in use: link eth1 has 192.168.202.7/25; take another one",
        ),
        (
            {
                "links": {"eth0": link(alias="")},
                "routes": [{"to": "192.168.212.0/25", "via": "10.100.0.1", "dev": "eth0", "protocol": "3"}],
            },
            "network 192.168.212.0/24 is in use: a route leads 192.168.212.0/25 to 10.100.0.1; take another one",
        ),
    ],
)
def test_what_is_in_the_way_is_named(facts, words):
    assert problems.in_the_way(bare(**facts), wanted(ALONE, NEAR, OUT)) == [words]


def test_a_sound_host_has_nothing_in_the_way():
    assert problems.in_the_way(sound(), wanted(ALONE, NEAR, OUT)) == []


def test_marks_are_all_of_it():
    assert namespaces.marks(sound()) == [
        *(f"network namespace {name}" for name in ("alone", "near", "out")),
        *(f"link {name}" for name in ("br-out", "veth-near", "veth-out")),
        *(f"rule -A FORWARD {rule} of table filter" for rule in FORWARD),
        f"rule -A POSTROUTING {MASQUERADE} of table nat",
    ]
    assert namespaces.marks(bare()) == []


def test_numbers_and_nothing_from_yaml_are_strings():
    assert configs.item({"name": 7, "mode": "isolated", "bridge": None})["name"] == "7"
    assert links.isolated_kind(bare()) == "dummy"
