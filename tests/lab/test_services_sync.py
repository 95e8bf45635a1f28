"""A sync on a real kernel, with both kinds of iptables: who is not concerned notices nothing, and drift is mended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.kube_proxy import diff as kube_proxy_diff
from podlab.changes.netfilter import iptables_save
from podlab.controller import module_bundle
from podlab.embedded import ENVIRONMENT, Lab, enter
from podlab.planner.configs.services import digest_of
from tests.unit.test_kube_proxy_rules import endpoint, port, row

ROOT = Path(__file__).resolve().parents[2]
KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(not shutil.which(f"iptables-{kind}", path=ENVIRONMENT["PATH"]), reason="not here"))
    for kind in ("nft", "legacy")
]  # fmt: skip
ONE_KIND = pytest.mark.parametrize("node", KINDS[:1], indirect=True)
"""For what has nothing to do with iptables."""
HOSTS = [
    {"name": "node1", "interfaces": ["10.100.0.2/24"], "gateway": "10.100.0.1"},
    {"name": "client", "interfaces": ["10.100.0.1/24"], "gateway": "10.100.0.2"},
]
# Two pods in one namespace: 10.1.1.2 and 10.1.1.3, each of which tells its address to whoever sends a line.
PODS = """
sysctl -qw net.ipv4.ip_forward=1
ip netns add pods
ip link add cbr0 type veth peer name eth0 netns pods
ip addr add 10.1.1.1/24 dev cbr0
ip link set cbr0 up
ip -n pods addr add 10.1.1.2/24 dev eth0
ip -n pods addr add 10.1.1.3/24 dev eth0
ip -n pods link set eth0 up
ip -n pods link set lo up
ip -n pods route add default via 10.1.1.1
"""
SERVER = """
import socket, threading
def tcp(address):
    listener = socket.create_server((address, 8080), backlog=256)
    def answer(wire):
        while data := wire.recv(100):
            wire.sendall(address.encode() + b"\\n")
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
def udp(address):
    wire = socket.socket(type=socket.SOCK_DGRAM)
    wire.bind((address, 8080))
    while True:
        wire.sendto(address.encode(), wire.recvfrom(100)[1])
for address in ("10.1.1.2", "10.1.1.3"):
    threading.Thread(target=udp, args=(address,), daemon=True).start()
    threading.Thread(target=tcp, args=(address,)).start()
"""
# One connection that stays open, and new ones all the time, until somebody says that it is enough.
CLIENT = """
import json, os, socket, time
def ask(wire):
    wire.sendall(b"who\\n")
    return wire.recv(100).decode().strip()
failed, rounds = [], 0
stays = socket.create_connection(("10.96.0.10", 80), timeout=3)
first = ask(stays)
open("/run/began", "w").close()
while not os.path.exists("/run/enough"):
    time.sleep(0.004)  # or this and the server take a processor each from the sync
    rounds += 1
    try:
        if ask(stays) != first:
            failed.append("the open connection has another end")
        with socket.create_connection(("10.96.0.10", 80), timeout=3) as wire:
            ask(wire)
    except OSError as error:
        failed.append(f"round {rounds}: {error!r}")
print(json.dumps({"rounds": rounds, "failed": failed}))
"""


def typed(answer: dict[str, Any]) -> list[str]:
    """The lines that a module shows."""
    return str(answer["diff"].get("prepared", "")).splitlines()


@dataclass
class Node:
    """An embedded host with two pods, another host that calls, and podlab's own way to run a module there."""

    lab: Lab
    kind: str

    def argv(self, host: str, *argv: str) -> list[str]:
        return [*enter(self.lab.find(host)), *argv]

    def run(self, host: str, *argv: str, text: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            self.argv(host, *argv),
            input=text,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def sh(self, script: str, host: str = "node1", check: bool = True) -> str:
        return self.run(host, "sh", "-euc", script, check=check)

    def module(self, name: str, params: dict[str, Any], check: bool = False) -> dict[str, Any]:
        """The very text that the action plugin sends, and its answer."""
        text = module_bundle.checked_program(ROOT / "library" / f"{name}.py", params, check)
        said = self.run("node1", "/usr/bin/python3", "-IS", "-", text=text, check=False)
        answer: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
        return answer

    def tell(self, *ports: Any, check: bool = False, **fields: Any) -> list[str]:
        """Tell the node about services; the lines that it typed. Where modules keep what is compiled of them is mounted
        as on a node of a cluster: else each call compiles them."""
        if not check:
            self.sh("[ -e /run/podlab ] || { mkdir /run/podlab; mount -t tmpfs -o mode=700 podlab /run/podlab; }")
        answer = self.module("podlab_services", {"config": row(*ports, **fields)}, check)
        assert "msg" not in answer, answer["msg"]
        lines = typed(answer)
        assert answer["changed"] is bool(lines)
        return lines

    def observe(self) -> dict[str, Any]:
        answer = self.module("podlab_observe", {})
        seen: dict[str, Any] = json.loads(answer["observation"])["services"]
        return seen

    def tables(self) -> dict[str, dict[str, list[str]]]:
        return iptables_save.parsed(self.sh("iptables-save"))

    def others(self) -> dict[tuple[str, str], list[str]]:
        """Everything that is not ours, in its order."""
        found = {
            (table, name): [rule for rule in rules if not kube_proxy_diff.is_entry_jump(rule)]
            for table, chains in self.tables().items()
            for name, rules in chains.items()
            if not kube_proxy_diff.is_ours(name)
        }
        return {place: rules for place, rules in found.items() if rules or place[1] not in kube_proxy_diff.BUILT_IN}

    def packets(self, table: str, chain: str) -> dict[str, int]:
        """Rule -> packets that it has counted."""
        lines = re.findall(rf"^\[(\d+):\d+\] -A {chain} (.*)$", self.sh(f"iptables-save -c -t {table}"), re.MULTILINE)
        return {rule: int(count) for count, rule in lines}

    @contextlib.contextmanager
    def called(self) -> Iterator[None]:
        """While this lasts, somebody calls the service web all the time; no call may fail."""
        self.sh("rm -f /run/began /run/enough", "client")
        command = self.argv("client", "python3", "-c", CLIENT)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as client:
            self.sh("for i in $(seq 500); do [ -e /run/began ] && exit; sleep 0.02; done; exit 1", "client")
            try:
                yield
            finally:
                self.sh("touch /run/enough", "client")
            said = json.loads(client.communicate(timeout=30)[0])
        assert said["failed"] == []
        assert said["rounds"] > 20


@pytest.fixture(scope="module", params=KINDS)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    lab = Lab(str(ROOT), f"test-{uuid.uuid4().hex[:8]}")
    lab.power_on(HOSTS, check=False, until_exit_of=os.getpid())
    found = Node(lab, request.param)
    try:
        found.sh(f"update-alternatives --quiet --set iptables /usr/sbin/iptables-{found.kind}")
        found.sh(PODS)
        command = found.argv("node1", "ip", "netns", "exec", "pods", "python3", "-c", SERVER)
        with subprocess.Popen(command, env=ENVIRONMENT) as server:
            found.sh(
                "for i in $(seq 500); do ip netns exec pods ss -Hltn | grep -q 10.1.1.3 && exit; sleep 0.02; done; exit 1"
            )
            yield found
            server.kill()
    finally:
        lab.power_off()


LEFT, RIGHT = endpoint("10.1.1.2"), endpoint("10.1.1.3")
WEB = port(LEFT, RIGHT)
SVC_WEB, SEP_LEFT = "KUBE-SVC-CDGGSHYLG3RE2FKL", "KUBE-SEP-TSE3RZV7VLXKIBUO"


def api(*endpoints: Any, **fields: Any) -> Any:
    return port(*endpoints, **{"service": "default/api", "cluster_ip": "10.96.0.11", **fields})


def ask(node: Node, address: str, host: str = "client") -> str:
    """Who answers there; nothing where nobody does."""
    place = address.replace(":", "/")
    call = f"exec 3<>/dev/tcp/{place} && echo who >&3 && read -r line <&3 && echo $line"
    return node.sh(f"timeout 2 bash -c '{call}' 2>/dev/null || true", host).strip()


@pytest.fixture
def synced(node: Node) -> Node:
    node.tell(WEB)
    return node


# --- one run, and the next one ------------------------------------------------------------------------------


def test_one_run_writes_it_and_the_next_one_has_nothing_to_do(node):
    node.module("podlab_teardown", {})
    lines = node.tell(WEB, check=True)
    assert lines and not node.observe()["sound"], "a rehearsal writes nothing"
    assert "KUBE" not in node.sh("iptables-save")
    assert node.tell(WEB) == lines
    assert ask(node, "10.96.0.10:80") in ("10.1.1.2", "10.1.1.3")
    assert node.observe() == {"row": digest_of(row(WEB)), "sound": True, "others": [], "warnings": []}
    before = node.sh("iptables-save")
    assert node.tell(WEB) == []
    assert drop_comments(node.sh("iptables-save")) == drop_comments(before)


def drop_comments(text: str) -> list[str]:
    """Without times of day, and counters of built-in chains."""
    return [re.sub(r" \[.*", "", line) for line in text.splitlines() if not line.startswith("#")]


def test_rules_that_stay_keep_their_counters(synced):
    """Those of the chains where all services stand side by side, too."""

    def counted() -> dict[str, int]:
        chains = (SVC_WEB, SEP_LEFT, "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-MARK-MASQ", "KUBE-POSTROUTING")
        found = {f"{chain} {rule}": count for chain in chains for rule, count in synced.packets("nat", chain).items()}
        return {rule: count for rule, count in found.items() if "default/api" not in rule}

    web = port(LEFT, node_port=30090)
    synced.tell(web)
    for _ in range(5):
        assert ask(synced, "10.96.0.10:80") and ask(synced, "10.100.0.2:30090")
    before = counted()
    assert sum(count >= 5 for count in before.values()) >= 6
    for others in ([api(LEFT, node_port=30080)], [api(RIGHT, node_port=30081)], []):
        assert synced.tell(web, *others)
        assert counted() == before
    synced.sh("iptables -t nat -I KUBE-SERVICES -j RETURN; iptables -t nat -D PREROUTING 1")
    assert synced.tell(web)
    assert counted() == before


def test_who_calls_a_service_does_not_notice_that_others_change(synced):
    with synced.called():
        for _ in range(3):
            for others in ([], [api(LEFT)], [api(RIGHT)], [api(LEFT, RIGHT, node_port=30080)], [api()]):
                synced.tell(WEB, *others)
        for damage in ("-t filter -F KUBE-FORWARD", "-t nat -F KUBE-NODEPORTS", "-t nat -X KUBE-PROXY-CANARY"):
            synced.sh(f"iptables {damage}")
            assert synced.observe()["sound"] is (damage == "-t nat -F KUBE-NODEPORTS")
            synced.tell(WEB, api())


def many(count: int, *endpoints: Any) -> list[Any]:
    return [port(*endpoints, service=f"default/z{i:03}", cluster_ip=f"10.96.1.{i}") for i in range(count)]


def test_what_is_too_large_for_one_transaction_is_not_noticed_either(synced):
    """In a user namespace, as here, iptables-nft may write some 300 rules at once."""
    with synced.called():
        assert synced.tell(WEB, *many(200, LEFT, RIGHT))
        assert synced.observe()["sound"]
        assert ask(synced, "10.96.1.199:80")
        # Every chain of every service is another one then.
        assert synced.tell(WEB, *many(200, LEFT, RIGHT), masquerade_all=True)
        assert synced.tell(WEB, *many(200, LEFT))
        assert synced.tell(WEB)
    assert synced.observe()["sound"]
    assert not re.search("default/z", synced.sh("iptables-save"))


# --- others -------------------------------------------------------------------------------------------------

OTHERS = """
iptables -N DOCKER-USER
iptables -I FORWARD -j DOCKER-USER
iptables -A DOCKER-USER -j RETURN
iptables -A INPUT -s 192.0.2.1 -m comment --comment 'see -j KUBE-SERVICES' -j DROP
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t mangle -N KUBE-KUBELET-CANARY
iptables -t mangle -N KUBE-IPTABLES-HINT
iptables -t raw -A PREROUTING -s 192.0.2.2 -j DROP
"""
FEWER_OTHERS = """
iptables -D FORWARD -j DOCKER-USER
iptables -F DOCKER-USER
iptables -X DOCKER-USER
iptables -D INPUT -s 192.0.2.1 -m comment --comment 'see -j KUBE-SERVICES' -j DROP
iptables -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t mangle -X KUBE-KUBELET-CANARY
iptables -t mangle -X KUBE-IPTABLES-HINT
iptables -t raw -D PREROUTING -s 192.0.2.2 -j DROP
"""


def test_rules_of_others_stay_whether_they_were_there_before_or_came_after(node):
    node.module("podlab_teardown", {})
    node.sh(OTHERS)
    others = node.others()
    assert len(others) == 7
    node.tell(WEB)
    assert node.others() == others
    node.sh("iptables -A FORWARD -s 192.0.2.3 -j ACCEPT; iptables -t nat -A PREROUTING -s 192.0.2.4 -j ACCEPT")
    more = node.others()
    assert node.observe()["sound"], "what stands behind ours is nobody's business"
    node.tell(WEB, api(LEFT))
    assert node.others() == more
    # Before ours they would take packets away; it is our place.
    node.sh("iptables -t nat -I PREROUTING -s 192.0.2.5 -j ACCEPT")
    assert not node.observe()["sound"]
    lines = node.tell(WEB, api(LEFT))
    portals = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    assert lines[:2] == [f"iptables -t nat -D PREROUTING {portals}", f"iptables -t nat -I PREROUTING 1 {portals}"]
    assert [rule for rule in node.tables()["nat"]["PREROUTING"] if "192.0.2" in rule] == [
        "-s 192.0.2.5/32 -j ACCEPT",
        "-s 192.0.2.4/32 -j ACCEPT",
    ]
    node.sh(
        "iptables -D FORWARD -s 192.0.2.3 -j ACCEPT; iptables -t nat -D PREROUTING -s 192.0.2.4 -j ACCEPT;"
        "iptables -t nat -D PREROUTING -s 192.0.2.5 -j ACCEPT"
    )
    assert node.module("podlab_teardown", {})["changed"]
    assert node.others() == others
    assert "KUBE-SERVICES -" not in node.sh("iptables-save") and "-j KUBE-" not in drop_quoted(node.sh("iptables-save"))
    assert not node.module("podlab_teardown", {})["changed"]
    node.sh(FEWER_OTHERS)


def drop_quoted(text: str) -> str:
    return re.sub('".*?"', "", text)


OTHER = {"nft": "legacy", "legacy": "nft"}


def elsewhere(node: Node) -> list[str]:
    """What a run says of the other kind of iptables; observing says the same."""
    found = node.module("podlab_services", {"config": row(WEB)}).get("warnings", [])
    assert node.observe()["warnings"] == found
    return list(found)


@pytest.fixture
def other(synced: Node) -> Iterator[str]:
    """The kind that this host does not use."""
    kind = OTHER[synced.kind]
    if not shutil.which(f"iptables-{kind}", path=ENVIRONMENT["PATH"]):
        pytest.skip("there is one kind only")
    yield kind
    for table in ("filter", "nat"):
        synced.sh(f"iptables-{kind} -t {table} -F; iptables-{kind} -t {table} -X")
    synced.sh(f"iptables-{kind} -P FORWARD ACCEPT")


@pytest.mark.parametrize("chain", ["KUBE-SERVICES", "PODLAB-EGRESS"])
def test_chains_of_the_other_kind_are_a_warning_with_what_removes_them(synced, other, chain):
    synced.sh(f"iptables-{other} -t nat -N {chain}; iptables-{other} -t nat -A PREROUTING -j {chain}")
    (warning,) = elsewhere(synced)
    words = (
        f"iptables-{other} holds 1 chain of kube-proxy's and podlab's names as well, though this host uses iptables v"
    )
    assert warning.startswith(words)
    synced.sh(warning.rpartition(": ")[2])
    assert elsewhere(synced) == []


@pytest.mark.parametrize("rule", ["-A FORWARD -d 10.1.1.2 -j DROP", "-P FORWARD DROP"])
def test_what_others_do_by_the_other_kind_is_a_warning_too(synced, other, rule):
    """Packets to pods end there, and iptables-save shows nothing of it."""
    synced.sh(f"iptables-{other} {rule}")
    (warning,) = elsewhere(synced)
    assert warning.startswith(f"iptables-{other} holds 1 rule of others, though this host uses iptables v")
    assert warning.endswith(f"see them with: iptables-{other}-save")


def test_somebody_else_s_kube_proxy_is_left_alone(node):
    """Where nothing says that podlab has been."""
    node.module("podlab_teardown", {})
    node.sh("iptables -t nat -N KUBE-SERVICES; iptables -t nat -A KUBE-SERVICES -j RETURN")
    before = node.tables()
    assert node.observe()["others"] == ["nat KUBE-SERVICES"]
    answer = node.module("podlab_services", {"config": row(WEB)})
    assert answer["failed"] and answer["msg"].startswith(
        "chain KUBE-SERVICES of table nat is there, and podlab has not"
    )
    gone = node.module("podlab_teardown", {})
    assert gone["changed"] is False
    assert "KUBE-SERVICES of table nat and others of kube-proxy's names stay" in gone["warnings"][0]
    assert node.tables() == before
    node.sh("iptables -t nat -F KUBE-SERVICES; iptables -t nat -X KUBE-SERVICES")


# --- drift --------------------------------------------------------------------------------------------------

DRIFT = {
    "a chain is flushed": (f"iptables -t nat -F {SVC_WEB}", f"iptables -t nat -A {SVC_WEB} "),
    "a jump is deleted": (
        "iptables -t nat -D PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES",
        "iptables -t nat -I PREROUTING 1 -m comment",
    ),
    "the rule of an endpoint is deleted": (f"iptables -t nat -D {SEP_LEFT} 2", f"iptables -t nat -A {SEP_LEFT} -p tcp"),
    "the rule of a service is deleted": (
        "iptables -t nat -D KUBE-SERVICES 1",
        "iptables -t nat -I KUBE-SERVICES 1 -d 10.96.0.10/32",
    ),
    "a rule too many": ("iptables -t nat -I KUBE-SERVICES 1 -j RETURN", "iptables -t nat -D KUBE-SERVICES -j RETURN"),
    "a rule stands there twice": (
        "iptables-save -t nat | sed -n '/^-A KUBE-SERVICES .*web/{s/^/*nat\\n/;s/$/\\nCOMMIT/;p}' | iptables-restore -n",
        "iptables -t nat -D KUBE-SERVICES -d 10.96.0.10/32",
    ),
    "rules are swapped": (
        "iptables-save -t nat | sed -n '/^-A KUBE-SERVICES .*web/{s/^/*nat\\n/;s/$/\\nCOMMIT/;p}' | iptables-restore -n;"
        "iptables -t nat -D KUBE-SERVICES 1",
        "iptables -t nat -D KUBE-SERVICES -",
    ),
    "iptables -F": ("iptables -F", "iptables -t filter -A KUBE-FORWARD "),
    "iptables -t nat -F": ("iptables -t nat -F", "iptables -t nat -I POSTROUTING 1 -m comment"),
    "iptables -t nat -F and -X": ("iptables -t nat -F; iptables -t nat -X", "iptables -t nat -N KUBE-SERVICES"),
    "a chain of a service that was": ("iptables -t nat -N KUBE-SVC-AAAAAAAAAAAAAAAA", "-X KUBE-SVC-AAAAAAAAAAAAAAAA"),
    "the canary is dead": ("iptables -t mangle -X KUBE-PROXY-CANARY", "iptables -t mangle -N KUBE-PROXY-CANARY"),
}
BESIDE = {
    "services.json is torn": ("echo '{' >/var/lib/podlab/services.json", "# /var/lib/podlab/services.json"),
    "nobody serves health checks": ("s6-svc -d /run/podlab/services/kube-proxy", "s6-svscanctl -a"),
    "s6 is killed": ("pkill -KILL s6-svscan; pkill -KILL s6-supervise", "s6-svscanctl -a"),
    "their program is an old one": ("echo '# old' >>/run/podlab/services/kube-proxy/program", "s6-svscanctl -a"),
    "they say something else": ("echo >>/run/podlab/services/kube-proxy/state.json", "s6-svc -h"),
}


@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_seen_and_mended_and_named(synced, what):
    mended(synced, *DRIFT[what])


@ONE_KIND
@pytest.mark.parametrize("what", BESIDE)
def test_drift_beside_the_rules_is_seen_and_mended_and_named(synced, what):
    mended(synced, *BESIDE[what])


def mended(synced: Node, damage: str, line: str) -> None:
    synced.sh(
        'mkdir -p /var/lib/podlab; [ -e /var/lib/podlab/record.json ] || echo \'{"node": "node"}\' >/var/lib/podlab/record.json'
    )
    before = synced.tables()
    synced.sh(damage)
    assert not synced.observe()["sound"]
    lines = synced.tell(WEB)
    assert any(line in typed for typed in lines), lines
    assert synced.tables() == before
    assert synced.observe()["sound"]
    assert synced.tell(WEB) == []
    assert ask(synced, "10.96.0.10:80")
    assert '"nodeEligible": true' in synced.sh("curl -s 10.100.0.2:10256/healthz", "client")


# --- what packets meet where rules alone do not tell -----------------------------------------------------------

# TCP packets as they stand on the command line, "ADDRESS FLAGS": SYN 2, SYN and ACK 18.
SENDER = """
import socket, struct, sys
wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
wire.bind(("10.1.1.2", 0))
for word in sys.argv[1:]:
    to, flags = word.split()
    ends = socket.inet_aton("10.1.1.2") + socket.inet_aton(to)
    def segment(check):
        return struct.pack("!HHIIBBHHH", 999, 9, 1, 1, 0x50, int(flags), 1024, check, 0)
    total = sum(struct.unpack("!16H", ends + struct.pack("!HH", 6, 20) + segment(0)))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    wire.sendto(segment(~total & 0xffff), (to, 0))
"""
# What comes from there, up to the first SYN.
SNIFFER = """
import socket
wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
wire.settimeout(10)
print("listening", flush=True)
flags = 0
while flags != 2:
    packet = wire.recv(100)
    if packet[12:16] == socket.inet_aton("10.1.1.2") and packet[20:22] == (999).to_bytes(2, "big"):
        flags = packet[33]
        print(flags, flush=True)
"""


def heard_by_client(node: Node) -> list[str]:
    """Flags of what gets to the client of a SYN and ACK that answers nobody, and of a SYN behind it."""
    command = node.argv("client", "python3", "-c", SNIFFER)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as client:
        assert client.stdout
        assert client.stdout.readline() == "listening\n"
        pods = ["ip", "netns", "exec", "pods", "python3", "-c", SENDER]
        node.run("node1", *pods, "10.100.0.1 18", "10.100.0.1 2")
        return client.communicate(timeout=30)[0].split()


def test_what_belongs_to_no_connection_does_not_get_past_a_node_untranslated(synced):
    synced.sh("conntrack -F 2>&1")
    synced.sh("iptables -D KUBE-FORWARD 1")
    assert heard_by_client(synced) == ["18", "2"], "without the rule"
    synced.tell(WEB)
    synced.sh("conntrack -F 2>&1")
    assert heard_by_client(synced) == ["2"]


# UDP to 127.0.0.1 of the neighbour with that MAC address, and to 10.100.0.2 behind it.
NEIGHBOUR = """
import socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
frame = bytes.fromhex(sys.argv[1].replace(":", "")) + wire.getsockname()[4] + b"\\x08\\x00"
for to in ("127.0.0.1", "10.100.0.2"):
    words = to.encode()
    def header(check):
        own, other = socket.inet_aton("10.100.0.1"), socket.inet_aton(to)
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(words), 0, 0, 64, 17, check, own, other)
    total = sum(struct.unpack("!10H", header(0)))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    wire.send(frame + header(~total & 0xffff) + struct.pack("!HHHH", 9, 9999, 8 + len(words), 0) + words)
"""
LISTENER = """
import socket
wire = socket.socket(type=socket.SOCK_DGRAM)
wire.settimeout(10)
wire.bind(("", 9999))
print("listening", flush=True)
words = b""
while words != b"10.100.0.2":
    words = wire.recv(100)
    print(words.decode(), flush=True)
"""


def heard_from_neighbour(node: Node) -> list[str]:
    with subprocess.Popen(
        node.argv("node1", "python3", "-c", LISTENER), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as listener:
        assert listener.stdout
        assert listener.stdout.readline() == "listening\n"
        node.run("client", "python3", "-c", NEIGHBOUR, node.sh("cat /sys/class/net/eth0/address").strip())
        return listener.communicate(timeout=30)[0].split()


def test_a_neighbour_does_not_get_to_localhost_though_node_ports_open_it(synced):
    web = port(LEFT, RIGHT, node_port=30080)
    synced.tell(web, localhost_node_ports=False)
    synced.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1")
    assert heard_from_neighbour(synced) == ["127.0.0.1", "10.100.0.2"], "without the guard"
    synced.tell(web)
    assert synced.sh("sysctl -n net.ipv4.conf.all.route_localnet").strip() == "1"
    assert heard_from_neighbour(synced) == ["10.100.0.2"]


@pytest.mark.parametrize(
    ("fields", "answering"),
    [
        ({}, {"10.100.0.2", "10.1.1.1", "127.0.0.1"}),
        ({"localhost_node_ports": False}, {"10.100.0.2", "10.1.1.1"}),
        ({"node_port_addresses": ["10.100.0.0/16"]}, {"10.100.0.2"}),
        ({"node_port_addresses": ["127.0.0.0/8"]}, {"127.0.0.1"}),
    ],
)
def test_node_ports_answer_where_they_shall(synced, fields, answering):
    synced.tell(port(LEFT, RIGHT, node_port=30080), **fields)
    found = {address for address in ("10.100.0.2", "10.1.1.1") if ask(synced, f"{address}:30080")}
    found |= {address for address in ("127.0.0.1",) if ask(synced, f"{address}:30080", "node1")}
    assert found == answering


# --- what does not go ---------------------------------------------------------------------------------------


def test_what_iptables_refuses_is_named_with_its_service_and_nothing_is_changed(synced):
    before = synced.tables()
    answer = synced.module("podlab_services", {"config": row(WEB, api(LEFT, cluster_ip="10.96.0.999"))})
    assert answer["failed"]
    assert re.search(r"\nLine \d+ is: -[AI] KUBE-S.* -d 10\.96\.0\.999/32 ", answer["msg"])
    assert answer["msg"].endswith("which is of Service default/api")
    changed = {name: rules for name, rules in synced.tables()["nat"].items() if name in before["nat"]}
    assert changed == before["nat"], "what no packet gets to may stay"
    assert not synced.observe()["sound"] or synced.observe()["row"] == digest_of(row(WEB))
    assert ask(synced, "10.96.0.10:80")
    synced.tell(WEB)
    assert synced.tables() == before


# --- what goes with the rules -------------------------------------------------------------------------------

UDP_CLIENT = """
import socket, sys
wire = socket.socket(type=socket.SOCK_DGRAM)
wire.bind(("", 5000))
wire.settimeout(2)
for line in sys.stdin:
    ip, _, port = line.strip().partition(":")
    wire.sendto(b"who", (ip, int(port)))
    try:
        print(wire.recv(100).decode(), flush=True)
    except TimeoutError:
        print("nobody", flush=True)
"""


@pytest.mark.parametrize("address", ["10.96.0.53:53", "10.100.0.2:30053"])
def test_a_udp_client_with_one_port_gets_to_the_pod_that_is_there_now(synced, address):
    def dns(*endpoints: Any) -> Any:
        fields = {"protocol": "udp", "cluster_ip": "10.96.0.53", "port": 53, "node_port": 30053}
        return port(*endpoints, service="kube-system/dns", **fields)

    command = synced.argv("client", "python3", "-c", UDP_CLIENT)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as client:

        def who() -> str:
            assert client.stdin and client.stdout
            print(address, file=client.stdin, flush=True)
            return client.stdout.readline().strip()

        synced.tell(WEB, dns())
        assert who() == "nobody"
        synced.tell(WEB, dns(LEFT))
        assert who() == "10.1.1.2"
        synced.tell(WEB, dns(LEFT, RIGHT))
        assert who() == "10.1.1.2", "a connection that is sound stays"
        lines = synced.tell(WEB, dns(RIGHT))
        (end,) = [line for line in lines if line.startswith("conntrack -D -p udp --orig-dst ")]
        assert end.endswith("--reply-src 10.1.1.2 --reply-port-src 8080")
        assert who() == "10.1.1.3"
        synced.tell(WEB)
        assert synced.sh("conntrack -L -p udp 2>/dev/null | grep -c 10.1.1.3 || true").strip() == "0"
        client.stdin.close()


def balancer(*endpoints: Any) -> Any:
    return api(*endpoints, node_port=30080, external_local=True, health_check_node_port=31000)


@ONE_KIND
def test_health_checks_tell_how_many_endpoints_are_here(synced):
    def check() -> str:
        return synced.sh("curl -si --max-time 3 http://10.100.0.2:31000/ || true", "client")

    synced.tell(WEB, balancer(LEFT, endpoint("10.1.2.2")))
    said = check()
    assert said.startswith("HTTP/1.1 200 OK\n")
    assert "X-Load-Balancing-Endpoint-Weight: 1\n" in said
    assert json.loads(said.partition("\n\n")[2]) == {
        "service": {"namespace": "default", "name": "api"},
        "localEndpoints": 1,
        "serviceProxyHealthy": True,
    }
    pid = synced.sh("pgrep -x kube-proxy")
    draining = endpoint("10.1.1.2", ready=False, serving=True, terminating=True)
    assert "s6-svc -h /run/podlab/services/kube-proxy" in synced.tell(WEB, balancer(draining))
    assert check().startswith("HTTP/1.1 503 Service Unavailable\n")
    assert ask(synced, "10.100.0.2:30080") == "10.1.1.2", "it drains, and serves on"
    assert synced.sh("pgrep -x kube-proxy") == pid
    synced.tell(WEB)
    assert check() == ""


@ONE_KIND
def test_a_health_check_port_that_somebody_else_has_is_a_warning(synced):
    held = "import socket, sys; s = socket.create_server(('', 31000)); print(1, flush=True); sys.stdin.read()"
    command = synced.argv("node1", "python3", "-c", held)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline()
        answer = synced.module("podlab_services", {"config": row(WEB, balancer(LEFT))})
        assert answer["warnings"] == ["health checks at port 31000 are not served: Address already in use"]
        holder.stdin.close()


def test_sets_of_sticky_clients_come_before_the_rules_and_go_after_them(synced):
    sticky = api(LEFT, RIGHT, affinity_seconds=60)
    lines = synced.tell(WEB, sticky, affinity_by_ipset=True)
    assert [line.split()[1] for line in lines[:2]] == ["create", "create"]
    assert len({ask(synced, "10.96.0.11:80") for _ in range(8)}) == 1
    names = synced.sh("ipset list -n").split()
    assert len(names) == 2 and synced.observe()["sound"]
    assert synced.tell(WEB, sticky, affinity_by_ipset=True) == []
    assert [line for line in synced.tell(WEB) if line.startswith("ipset")] == [
        f"ipset destroy {name}" for name in sorted(names)
    ]
    assert synced.sh("ipset list -n") == ""


def test_a_set_that_a_chain_names_which_stays_is_left_and_told(synced):
    sticky = api(LEFT, affinity_seconds=60)
    synced.tell(WEB, sticky, affinity_by_ipset=True)
    (name,) = synced.sh("ipset list -n").split()
    (chain,) = [chain for chain, rules in synced.tables()["nat"].items() if name in str(rules) and "-SEP-" in chain]
    synced.sh(f"iptables -t nat -N MINE; iptables -t nat -A MINE -j {chain}")
    words = f"ipset {name} stays: chain {chain} of table nat names it, and a rule that is not podlab's leads there"
    answer = synced.module("podlab_services", {"config": row(WEB)})
    assert (answer.get("msg"), answer["warnings"]) == (None, [words])
    assert not any(line.startswith("ipset") for line in typed(answer))
    answer = synced.module("podlab_teardown", {})
    assert answer["failed"]
    assert answer["msg"].startswith("this is left of podlab's; mend what keeps it, and run it again:\n")
    assert f"chain {chain} of table nat" in answer["msg"]
    assert [found for found in synced.tables()["nat"] if found.startswith("KUBE-SEP")] == [chain]
    synced.sh("iptables -t nat -F MINE; iptables -t nat -X MINE")
    answer = synced.module("podlab_teardown", {})
    assert (answer.get("msg"), answer.get("warnings")) == (None, None)
    assert [found for found in synced.tables()["nat"] if found.startswith("KUBE")] == []
    assert synced.sh("ipset list -n") == ""
    assert synced.sh("ls -d /var/lib/podlab /run/podlab 2>/dev/null", check=False) == ""


def test_127_0_0_1_is_open_as_long_as_it_is_guarded(synced):
    """However the other components go, or do not."""
    key = "net.ipv4.conf.all.route_localnet"
    guard, opened = "iptables -t filter -A KUBE-FIREWALL ! -s 127.0.0.0/8", f"sysctl -w {key}=1"
    web = port(LEFT, node_port=30090)
    synced.module("podlab_teardown", {})
    synced.sh(f"sysctl -qw {key}=0")
    lines = synced.tell(web)
    assert any(line.startswith(guard) for line in lines[: lines.index(opened)])
    assert (synced.sh(f"sysctl -n {key}").strip(), ask(synced, "127.0.0.1:30090", "node1")) == ("1", "10.1.1.2")
    assert synced.tell(web) == []
    assert synced.tell(web, localhost_node_ports=False)[0] == f"sysctl -w {key}=0"
    assert synced.sh(f"sysctl -n {key}").strip() == "0"
    assert opened in synced.tell(web)
    host_ports = {
        "chains": {"PODLAB-LOCALHOST": ["! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"]},
        "jumps": {"INPUT": ["-j PODLAB-LOCALHOST"]},
    }  # fmt: skip
    synced.module("podlab_iptables", {"tables": {"filter": host_ports}})
    assert not any("sysctl" in line for line in synced.tell(web, localhost_node_ports=False))
    nothing = {"tables": {"filter": {"chains": {}, "jumps": {}}}}
    lines = typed(synced.module("podlab_iptables", nothing))
    assert (lines[0], lines[-1]) == (f"sysctl -w {key}=0", "iptables -t filter -X PODLAB-LOCALHOST")
    assert typed(synced.module("podlab_iptables", {"tables": {"filter": host_ports}}))[-1] == opened
    lines = typed(synced.module("podlab_teardown", {}))
    closed = lines.index(f"sysctl -w {key}=0")
    assert not any(line.startswith("iptables") for line in lines[:closed])
    assert synced.sh(f"sysctl -n {key}").strip() == "0"


def test_teardown_leaves_nothing(synced):
    synced.tell(
        WEB, balancer(LEFT), api(LEFT, RIGHT, affinity_seconds=60, port=81, port_name="b"), affinity_by_ipset=True
    )
    assert synced.module("podlab_teardown", {}, check=True)["changed"]
    lines = typed(synced.module("podlab_teardown", {}))
    assert any(line.startswith("iptables -t nat -D PREROUTING ") for line in lines)
    assert "KUBE" not in synced.sh("iptables-save")
    assert (
        synced.sh("ipset list -n; pgrep -x kube-proxy; ls -d /run/podlab /var/lib/podlab 2>/dev/null", check=False)
        == ""
    )
    assert typed(synced.module("podlab_teardown", {})) == []
