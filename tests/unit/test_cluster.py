"""Settings and inventory: what is taken, and what is said about a bad one."""

from __future__ import annotations

import pytest

from podlab.planner.inputs.cluster import check_hosts, cluster_of, image_of, taints_of
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.model import Image, Invalid
from podlab.planner.routing.egress import rows


def named(settings):
    """By the names of an inventory."""
    return {f"podlab_{name}": value for name, value in settings.items()}


def problems_of(**settings) -> list[str]:
    with pytest.raises(Invalid) as caught:
        cluster_of(named(settings))
    return caught.value.problems


def test_what_is_not_set_has_its_default():
    assert cluster_of({}) == Cluster()
    given = {
        **{"dns": "10.96.0.10", "bridge": "pod-br_0"},
        **{"ready_timeout": 0, "allow_host_path": True, "node_port_range": "1-65535"},
    }
    assert cluster_of(named({**given, "cluster_cidr": "10.50.0.0/16", "non_masquerade_cidrs": []})) == Cluster(
        "10.50.0.0/16", **given, non_masquerade_cidrs=()
    )


def test_images_are_read_as_the_catalogue_is():
    cluster = cluster_of({"podlab_images": {"mine": {"entrypoint": ["/bin/serve", 8080], "path": "/opt/mine"}}})
    assert cluster.images == {"mine": Image(("/bin/serve", "8080"), (), "/opt/mine")}
    assert image_of({"cmd": ["sh"]}) == Image((), ("sh",), "")
    assert image_of({"binds": {"/etc/nginx": "/srv/nginx"}}).binds == {"/etc/nginx": "/srv/nginx"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"cluster_cidr": "10.1.0.1/16"},
            'cluster_cidr: Invalid value: "10.1.0.1/16": network has host bits set; the network address is 10.1.0.0/16',
        ),
        (
            {"cluster_cidr": "10.1.0.0"},
            'cluster_cidr: Invalid value: "10.1.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
        ),
        (
            {"service_cidr": "fd00::/108"},
            'service_cidr: Invalid value: "fd00::/108": IPv6 is not supported, the lab is IPv4',
        ),
        ({"cluster_cidr": 10}, "cluster_cidr: Invalid value: 10: must be of type string"),
        (
            {"non_masquerade_cidrs": ["10.0.0.0/8", "10.0.0.0/255.0.0.0"]},
            'non_masquerade_cidrs[1]: Invalid value: "10.0.0.0/255.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
        ),
        (
            {"non_masquerade_cidrs": "10.0.0.0/8"},
            'non_masquerade_cidrs: Invalid value: "10.0.0.0/8": must be of type array',
        ),
        ({"service_cidr": "10.1.128.0/17"}, "cluster_cidr 10.1.0.0/16 overlaps with podlab_service_cidr 10.1.128.0/17"),
        (
            {"node_prefix": 29},
            "node_prefix: Invalid value: 29: must be between 16, the length of podlab_cluster_cidr's prefix, and 28, inclusive",
        ),
        (
            {"node_prefix": 15},
            "node_prefix: Invalid value: 15: must be between 16, the length of podlab_cluster_cidr's prefix, and 28, inclusive",
        ),
        ({"node_prefix": "24.0"}, 'node_prefix: Invalid value: "24.0": must be of type integer'),
        (
            {"pod_routing": "bgp"},
            'pod_routing: Unsupported value: "bgp": supported values: "gateway", "host-gw", "vxlan"',
        ),
        ({"verify_port": 0}, "verify_port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"verify_port": 65536}, "verify_port: Invalid value: 65536: must be between 1 and 65535, inclusive"),
        ({"verify_port": True}, "verify_port: Invalid value: true: must be of type integer"),
        ({"bridge": "a bridge"}, 'bridge: Invalid value: "a bridge": must be 1 to 15 letters, digits, "-" or "_"'),
        ({"bridge": "brücke"}, 'bridge: Invalid value: "brücke": must be 1 to 15 letters, digits, "-" or "_"'),
        (
            {"bridge": "sixteen-letters-"},
            'bridge: Invalid value: "sixteen-letters-": must be 1 to 15 letters, digits, "-" or "_"',
        ),
        (
            {"dns": "8.8.8.8\nsearch evil"},
            r'dns: Invalid value: "8.8.8.8\nsearch evil": must be a valid IP address, (e.g. 10.9.8.7)',
        ),
        ({"ready_timeout": -1}, "ready_timeout: Invalid value: -1: must be greater than or equal to 0"),
        ({"ready_timeout": "1m"}, 'ready_timeout: Invalid value: "1m": must be of type integer'),
        ({"allow_host_path": "maybe"}, 'allow_host_path: Invalid value: "maybe": must be of type boolean'),
        ({"allow_host_path": 1}, "allow_host_path: Invalid value: 1: must be of type boolean"),
        *(
            (
                {"node_port_range": text},
                f'node_port_range: Invalid value: "{text}": must be two ports, the lower one first (e.g. 30000-32767)',
            )
            for text in ("", "30000", "30000-", "2-1", "0-1", "1-65536", "1-2-3", "a-b", "+1-2")
        ),
        (
            {"images": {"mine": {"binds": ["/etc"]}}},
            'images[mine].binds: Invalid value: ["/etc"]: must be of type object',
        ),
        (
            {"images": {"mine": {"binds": {"/etc/a": "srv"}}}},
            "images[mine].binds[/etc/a]: Invalid value: \"srv\": must be an absolute path without '..'",
        ),
        (
            {"images": {"mine": {"binds": {"/etc/../a": "/srv"}}}},
            "images[mine].binds[/etc/../a]: Invalid value: \"/etc/../a\": must be an absolute path without '..'",
        ),
        ({"images": {"mine": "sh"}}, 'images[mine]: Invalid value: "sh": must be of type object'),
        ({"images": {"mine": {"cmd": "sh -c"}}}, 'images[mine].cmd: Invalid value: "sh -c": must be of type array'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_setting(settings, problem):
    assert problems_of(**settings) == [f"podlab_{problem}"]


def test_a_domain_in_the_words_of_kubernetes():
    (problem,) = problems_of(domain="Cluster_local")
    assert problem.startswith('podlab_domain: Invalid value: "Cluster_local": a lowercase RFC 1123 subdomain must')


def test_bad_settings_are_reported_together():
    problems = problems_of(
        cluster_cidr="10.1.0.0/33", verify_port="http", bridge="", service_cidr="10.96.0.1/16", node_prefix=99
    )
    assert [problem.split(":")[0] for problem in problems] == [
        *("podlab_verify_port", "podlab_cluster_cidr", "podlab_service_cidr", "podlab_bridge"),
    ]


def test_what_stands_behind_an_option_is_read_as_ansible_reads_an_argument():
    """``-e podlab_vxlan_id=7`` is a text, and so is a template's value."""
    cluster = cluster_of(
        {"podlab_vxlan_id": "7", "podlab_allow_host_path": "true", "podlab_localhost_node_ports": "No"}
    )
    assert (cluster.vxlan_id, cluster.allow_host_path, cluster.localhost_node_ports) == (7, True, False)


# --- the inventory

GATEWAY, NODE1 = Host("gateway", "gateway", "10.100.0.1"), Host("node1", "node", "10.100.0.2")
NODE2, OUTSIDE = Host("node2", "node", "10.100.0.3"), Host("outside", "outside", "198.51.100.10")


def test_the_sample_is_sound():
    assert check_hosts([NODE1, NODE2, GATEWAY, OUTSIDE], Cluster()) == []


def test_one_node_needs_no_gateway():
    assert check_hosts([NODE1], Cluster()) == []


@pytest.mark.parametrize(
    ("hosts", "problem"),
    [
        pytest.param([GATEWAY], "the group nodes is empty; a cluster has at least one node", id="no node"),
        pytest.param(
            [NODE1, GATEWAY, Host("a", "node", "10.100.0.2")],
            "a: Duplicate value: 10.100.0.2 is node1's address already",
            id="address twice",
        ),
        pytest.param(
            [NODE1, Host("node1", "gateway", "10.100.0.2")],
            "node1: a host is in one group only",
            id="host in two groups",
        ),
        pytest.param(
            [NODE1, Host("a", "outside", "10.1.7.7")],
            "a: Invalid value: 10.1.7.7 lies in podlab_cluster_cidr 10.1.0.0/16",
            id="address of a pod",
        ),
        pytest.param(
            [NODE1, Host("a", "outside", "10.96.0.1")],
            "a: Invalid value: 10.96.0.1 lies in podlab_service_cidr 10.96.0.0/16",
            id="address of a service",
        ),
        pytest.param(
            [NODE1, Host("vm", "outside", "vm.example.com")],
            'vm: Invalid value: "vm.example.com": the cluster needs the host\'s IPv4 address; '
            "set ansible_host to it, or node_ip where Ansible reaches the host in another way",
            id="name for an address",
        ),
        pytest.param(
            [Host("node1", "node", "10.100.0.2", wrong=("node_taints: Invalid value: 1: must be of type array",))],
            "node1: node_taints: Invalid value: 1: must be of type array",
            id="taints",
        ),
        pytest.param(
            [Host("node1", "node", "10.100.0.2", {"ssd": True, "zone": "a"})],
            "node1: node_labels.ssd: Invalid value: true: must be of type string",
            id="label that is no string",
        ),
    ],
)
def test_a_bad_inventory(hosts, problem):
    assert check_hosts(hosts, Cluster()) == [f"inventory: {problem}"]


def test_taints_are_written_as_kubectl_has_them():
    written = ["dedicated=batch:NoSchedule", "dedicated=batch:NoExecute", "gone:NoExecute"]
    assert taints_of(written) == (
        (("dedicated", "batch", "NoSchedule"), ("dedicated", "batch", "NoExecute"), ("gone", "", "NoExecute")),
        (),
    )
    assert taints_of([]) == ((), ())


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("a:NoSchedule", 'Invalid value: "a:NoSchedule": must be of type array'),
        (["a"], 'Invalid value: "a": must be key=value:effect or key:effect'),
        ([{"key": "a"}], 'Invalid value: {"key": "a"}: must be of type string'),
        (
            ["a=b:Never"],
            'Invalid value: "a=b:Never": invalid taint effect: Never, unsupported taint effect; '
            "there are: NoSchedule, PreferNoSchedule, NoExecute",
        ),
        (["a=b:NoSchedule", "a=c:NoSchedule"], 'Duplicate value: "a=c:NoSchedule"'),
    ],
)
def test_a_bad_taint(written, problem):
    assert taints_of(written)[1] == (f"node_taints: {problem}",)


def test_two_nodes_need_a_gateway():
    assert check_hosts([NODE1, NODE2], Cluster()) == [
        'podlab_pod_routing: Invalid value: "gateway": the inventory has no host in the group gateways'
    ]


def test_a_name_that_is_no_dns_name():
    (problem,) = check_hosts([Host("../etc", "node", "10.100.0.2")], Cluster())
    assert problem.startswith('inventory: Invalid value: "../etc": a lowercase RFC 1123 subdomain must consist of')


def test_who_is_managed_and_who_is_probed():
    read = {"links": {}}
    hosts = {
        "read": Host("a", "node", "10.100.0.2", observation=read),
        "off": Host("a", "node", "10.100.0.2"),
        "limited": Host("a", "node", "10.100.0.2", observation=read, in_run=False),
        "outside": OUTSIDE,
        "outside, limited": Host("outside", "outside", "198.51.100.10", in_run=False),
    }
    assert [name for name, host in hosts.items() if host.is_managed] == ["read"]
    assert [name for name, host in hosts.items() if host.is_probed] == ["read", "outside"]


# --- egress


def nat(**settings) -> list[str]:
    return rows(cluster_of(named(settings)), [])["nat"]["chains"]["PODLAB-EGRESS"]


def test_pods_keep_their_address_inside_and_lose_it_outside():
    assert nat() == [
        "-m mark --mark 0x4000/0x4000 -j RETURN",
        "-d 10.1.0.0/16 -j RETURN",
        "-d 10.0.0.0/8 -j RETURN",
        "-d 224.0.0.0/4 -j RETURN",
        "-j MASQUERADE --random-fully",
    ]
    assert rows(Cluster(), [])["nat"]["jumps"] == {"POSTROUTING": ["-s 10.1.0.0/16 -j PODLAB-EGRESS"]}


@pytest.mark.parametrize(
    ("cidrs", "untouched"),
    [
        ([], ["-d 10.1.0.0/16 -j RETURN"]),
        (["10.1.0.0/16", "192.168.0.0/16"], ["-d 10.1.0.0/16 -j RETURN", "-d 192.168.0.0/16 -j RETURN"]),
        (["0.0.0.0/0"], ["-d 10.1.0.0/16 -j RETURN", "-j RETURN"]),
    ],
)
def test_networks_that_see_a_pods_own_address(cidrs, untouched):
    assert nat(non_masquerade_cidrs=cidrs)[1:-2] == untouched


def test_packets_of_pods_are_let_through_and_what_is_for_podlab_itself_is_heard_whatever_a_firewall_ends_with():
    table = rows(
        cluster_of(named({"cluster_cidr": "10.50.0.0/16", "pod_routing": "vxlan", "vxlan_port": 4789})),
        ["cbr0", "eth0"],
        ["10.100.0.3"],
    )["filter"]
    assert table == {
        "chains": {
            "PODLAB-FORWARD": ["-s 10.50.0.0/16 -j ACCEPT", "-d 10.50.0.0/16 -j ACCEPT"],
            "PODLAB-INPUT": [
                "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "-p tcp -m tcp --dport 20256 -j ACCEPT",
                "-s 10.100.0.3/32 -p udp -m udp --dport 4789 -j ACCEPT",
            ],
        },
        "jumps": {"FORWARD": ["-j PODLAB-FORWARD"], "INPUT": ["-j PODLAB-INPUT"]},
        "links": ["cbr0", "eth0"],
    }
