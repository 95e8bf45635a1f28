"""What a student does to a host as root, drawn by chance: scripts for ``sh``, none of which may fail a campaign by
finding nothing to damage.

One more kind is one more function with ``@kind``: it returns the host and what to type there. ``@passing`` is for what
a run meets while it is at work; it returns what to type before, and what takes it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

NODES = ("node1", "node2")
HOSTS = (*NODES, "gateway")
WIRES = "ip -o link | sed -n 's/^[0-9]*: \\(veth[0-9a-f]*\\).*/\\1/p'"
PODS = "ls /run/podlab/pods"


@dataclass(frozen=True)
class Damage:
    """``undo``: what has to be taken back before a host can be mended; empty for what podlab itself has to mend."""

    kind: str
    host: str
    do: str
    undo: str = ""


Kind = Callable[[Random], Damage]
KINDS: dict[str, Kind] = {}
PASSING: dict[str, Kind] = {}


def kind(make: Callable[[Random], tuple[str, str]]) -> None:
    name = make.__name__.replace("_", " ")
    KINDS[name] = lambda random: Damage(name, *make(random))


def passing(make: Callable[[Random], tuple[str, str, str]]) -> None:
    name = make.__name__.replace("_", " ")
    PASSING[name] = lambda random: Damage(name, *make(random))


def _any_of(listing: str, random: Random, script: str) -> str:
    """A script with ``$it`` for one line of a listing, which one by chance."""
    return f"it=$({listing} | awk '{{ a[NR] = $0 }} END {{ if (NR) print a[1 + {random.randrange(1000)} % NR] }}'); {script}"


# --- links ----------------------------------------------------------------------------------------------------


@kind
def wire(random):
    action = random.choice(
        [
            *("link del $it", "link set $it down", "link set $it down name lost", "link set $it nomaster"),
            *("link set $it mtu 1300", "link set $it alias else", "link set $it address 02:00:00:00:00:07"),
            *("link set $it type bridge_slave hairpin off", "link set $it type bridge_slave isolated on"),
            *("link set $it type bridge_slave learning off flood off", "addr add 192.0.2.1/24 dev $it"),
        ]
    )
    return random.choice(NODES), _any_of(WIRES, random, f"ip {action}")


@kind
def wire_moved_away(random):
    return random.choice(NODES), _any_of(WIRES, random, "ip netns add away; ip link set $it netns away")


@kind
def bridge(random):
    action = random.choice(
        [
            *("link del cbr0", "link set cbr0 down", "link set cbr0 down name lost", "link set cbr0 mtu 1280"),
            *("link set cbr0 alias else", "link set cbr0 address 02:00:00:00:00:08", "addr flush dev cbr0"),
            *("addr add 10.1.77.1/24 dev cbr0", "link set cbr0 type bridge stp_state 1 ageing_time 0"),
            *("link set cbr0 type bridge vlan_filtering 1", "link set cbr0 arp off", "link set lo down"),
        ]
    )
    return random.choice(NODES), f"ip {action}"


@kind
def end_in_a_pod(random):
    action = random.choice(
        [
            *("link del eth0", "link set eth0 down", "addr flush dev eth0", "route flush table main"),
            *("link set eth0 down name lost", "link set lo down", "addr add 10.1.1.250/24 dev eth0"),
            *("route replace default via 10.1.1.200 onlink dev eth0", "link set eth0 mtu 1300"),
            "neigh replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
        ]
    )
    return random.choice(NODES), _any_of("ls /run/netns", random, f"ip -n $it {action}")


@kind
def queue(random):
    return random.choice(NODES), _any_of(WIRES, random, "tc qdisc add dev $it root netem loss 100%")


@kind
def neighbour(random):
    entry = f"10.1.{random.randint(1, 2)}.{random.randint(2, 4)} lladdr 02:00:00:00:00:01 dev cbr0 nud permanent"
    return random.choice(NODES), f"ip neigh replace {entry}"


# --- routes and rules -----------------------------------------------------------------------------------------


@kind
def route(random):
    action = random.choice(
        [
            *("del $it", "replace blackhole ${it%% *}", "replace ${it%% *} via 10.100.0.77 onlink dev eth0"),
            *("add blackhole 10.1.1.2", "add 10.1.2.0/25 via 10.100.0.77 onlink dev eth0", "add prohibit 10.1.2.3"),
            "add 10.1.66.0/24 via 10.100.0.77 onlink dev eth0 metric 7",
        ]
    )
    return random.choice(HOSTS), _any_of("ip route show proto 117", random, f"ip route {action}")


@kind
def connected_route(random):
    return random.choice(NODES), "ip route del $(ip route show dev cbr0 proto kernel | head -n 1)"


@kind
def rule(random):
    table = random.choice(("nat", "nat", "filter"))
    listing = f"iptables-save -t {table} | grep -E '^-A (KUBE|PODLAB)|-j (KUBE|PODLAB)-'"
    return random.choice(NODES), _any_of(listing, random, f"eval iptables -w -t {table} -D ${{it#-A }}")


@kind
def chain(random):
    table = random.choice(("nat", "nat", "filter"))
    # The canary has no rules, and none leads to it: nothing tells whose it is once it has another name.
    listing = f"iptables-save -t {table} | sed -n 's/^:\\(\\(KUBE\\|PODLAB\\)[^ ]*\\).*/\\1/p' | grep -v CANARY"
    action = random.choice(
        ("-F $it", "-E $it LOST", "-I $it 1 -j RETURN", "-I $it 1 -p tcp -j DROP", "-A $it -j RETURN")
    )
    if table == "nat":
        action = action.replace("DROP", "ACCEPT")
    return random.choice(NODES), _any_of(listing, random, f"iptables -w -t {table} {action}")


@kind
def table(random):
    name = random.choice(("nat", "filter", "mangle"))
    action = random.choice((f"iptables -w -t {name} -F", f"iptables -w -t {name} -F; iptables -w -t {name} -X"))
    return random.choice(HOSTS), random.choice((action, "nft flush ruleset 2>/dev/null || iptables -w -F"))


@kind
def setting(random):
    keys = [
        *("net.ipv4.ip_forward=0", "net.ipv4.conf.all.route_localnet=0", "net.ipv4.conf.cbr0.forwarding=0"),
        *("net.ipv4.conf.eth0.forwarding=0", "net.bridge.bridge-nf-call-iptables=0"),
        *("net.ipv4.conf.cbr0.arp_ignore=8", "net.ipv4.conf.cbr0.proxy_arp=1", "net.ipv4.conf.default.forwarding=0"),
    ]
    host, key = random.choice(HOSTS), random.choice(keys)
    if host not in NODES and "bridge" in key:
        key = keys[0]  # a gateway has no bridge, and podlab does not set this there
    return host, f"sysctl -qw {key}"


# --- processes ------------------------------------------------------------------------------------------------


@kind
def process(random):
    what = random.choice(
        ["^catatonit -P podlab-pod", "s6-svscan", "s6-supervise", "^bwrap", "-IS /proc/self/fd/3", "-IS program"]
    )
    which = random.choice(("pkill -KILL -f -- '{}'", "pkill -KILL -n -f -- '{}'", "pkill -TERM -o -f -- '{}'"))
    return random.choice(NODES), which.format(f"[{what[0]}]{what[1:]}" if what[0] != "^" else what)


@kind
def every_process(random):
    return random.choice(HOSTS), "kill -KILL -1"


@kind
def name_of_a_namespace(random):
    action = random.choice(("ip netns del $it", "umount -l /run/netns/$it", "rm -f /run/podlab/pods/$it/pod.json"))
    return random.choice(NODES), _any_of("ls /run/netns", random, action)


# --- files ----------------------------------------------------------------------------------------------------

TREES = ("/run/podlab", "/var/lib/podlab", "/var/log/pods")


@kind
def files_of_a_tree(random):
    tree = random.choice(TREES)
    return random.choice(HOSTS), random.choice((f"rm -rf {tree}", f"rm -rf {tree}/*"))


@kind
def every_file(random):
    return random.choice(HOSTS), f"rm -rf {' '.join(TREES)}"


@kind
def every_record_of_every_host(random):
    return "every", "rm -rf /var/lib/podlab"


@kind
def one_file(random):
    spoil = random.choice(
        [
            *(
                "rm -rf $it",
                "truncate -s 0 $it",
                "truncate -s 20 $it",
                "echo '{' >$it",
                "chmod 000 $it",
                "chmod 777 $it",
            ),
            *("head -c 300 /dev/urandom >$it", "mv $it $(mktemp -u)", "rm -rf $it; mkdir $it", "echo '[]' >$it"),
        ]
    )
    listing = "find /run/podlab /var/lib/podlab -type f 2>/dev/null | grep -Ev '/(supervise|s6-svscan|logs|event)/|/volumes/[^/]*/(pages|shared)/' | sort"
    if random.random() < 0.4:
        listing = "ls -d /var/lib/podlab/*.json /run/podlab/*.json /run/podlab/pods/*/pod.json 2>/dev/null"
    return random.choice(NODES), _any_of(listing, random, spoil)


@kind
def one_directory(random):
    listing = "find /run/podlab /var/lib/podlab -mindepth 1 -type d 2>/dev/null | sort"
    # The mode of a volume is its containers' to choose.
    close = "case $it in */shm/*|*/volumes/*/*) rm -rf $it ;; *) chmod 0 $it ;; esac"
    spoil = random.choice(("rm -rf $it", "mv $it $(mktemp -u)", close))
    return random.choice(NODES), _any_of(listing, random, spoil)


@kind
def mount(random):
    what = random.choice(
        ("/run/podlab", "/run/podlab/pods", "/run/netns", "$(ls -d /run/podlab/pods/*/uts | head -n 1)")
    )
    return random.choice(NODES), f"umount -l {what}"


@kind
def record_of_nonsense(random):
    words = random.choice(
        ("", "{", "[]", "null", '{"version": "x"}', '{"cluster": 7, "sysctls": {"a": 1}}', "\\377\\376")
    )
    name = random.choice(("record.json", "services.json"))
    # A gateway is told nothing of Services, and looks at no such file.
    return random.choice(HOSTS), f"[ -e /var/lib/podlab/{name} ] && printf '{words}' >/var/lib/podlab/{name}"


# --- what a run meets -----------------------------------------------------------------------------------------


@passing
def disk_is_full(random):
    place = random.choice(("/run/podlab", "/var/lib/podlab"))
    fill = f"mkdir -p {place}; [ {place} = /run/podlab ] || mount -t tmpfs -o size=16k full {place}; "
    undo = f"rm -f {place}/full; [ {place} = /run/podlab ] || umount -l {place}"
    return random.choice(NODES), f"{fill} cat /dev/zero >{place}/full 2>/dev/null; true", undo


@passing
def is_read_only(random):
    place = random.choice(("/etc", "/var/lib/podlab", "/run/podlab", "/var/log/pods"))
    do = f"mkdir -p {place}; mount --bind {place} {place} && mount -o remount,ro,bind {place}"
    return random.choice(NODES), do, f"umount -l {place}"


def _in_place_of(program: str, when: str, then: str) -> tuple[str, str]:
    """What puts a shell script in the place of a program, and what takes it away. One file may bear many names, and
    look at the one that it is called by.

    :param when: a pattern of the name and the arguments; everything else is the program's own.
    :param then: what is done instead; ``$real`` is the program.
    """
    path = f"$(readlink -f $(command -v {program}))"
    script = [
        "#!/bin/sh",
        "name=${0##*/}; real=/var/tmp/real/$name",
        "[ -e $real ] || ln -s program $real",
        f'case "$name $*" in {when}) {then} ;; esac',
        'exec $real "$@"',
    ]
    do = ["mkdir -p /var/tmp/real; rm -f /var/tmp/real/*", f"cp {path} /var/tmp/real/program"]
    do += ["cat >/var/tmp/script <<'EOF'", *script, "EOF", "chmod 755 /var/tmp/script"]
    return "\n".join([*do, f"mount --bind /var/tmp/script {path}"]), f"umount -l {path}"


@passing
def iptables_restore_fails(random):
    """The first time, or the second."""
    count = f"echo >>/var/tmp/real/count; [ $(wc -l </var/tmp/real/count) -gt {random.randint(0, 1)} ]"
    fail = f"if {count}; then cat >/dev/null; echo it fails >&2; exit 1; fi"
    return random.choice(NODES), *_in_place_of("iptables-restore", "iptables-restore*noflush*", fail)


@passing
def batch_of_ip_fails_half_way(random):
    half = f'head -n {random.randint(1, 6)} | $real "$@"; cat >/dev/null; echo it fails >&2; exit 1'
    return random.choice(NODES), *_in_place_of("ip", "ip?-batch*", half)


@passing
def module_is_killed(random):
    """It is waited for, and killed after a while: as late as a whole run may take."""
    pattern = "[/]python3 -IS -$"
    wait = (
        f"until pgrep -f '{pattern}'; do sleep 0.01; done; sleep {random.random() * random.choice((0.1, 0.4, 1.5)):.3f}"
    )
    skip = random.randint(0, 3)  # calls
    script = f"for call in $(seq {skip + 1}); do {wait}; done; pkill -KILL -f '{pattern}'"
    return random.choice(HOSTS), f'(timeout 60 sh -c "{script}") </dev/null >/dev/null 2>&1 & true', ""
