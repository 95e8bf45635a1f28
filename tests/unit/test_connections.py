"""What connection tracking is understood to say."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from podlab.host.verify import connection_events, connections

ROOT = Path(__file__).resolve().parents[2]

TRACKED = """\
tcp      6 117 TIME_WAIT src=10.1.2.2 dst=10.96.54.115 sport=58124 dport=80 src=10.1.1.3 dst=10.1.2.2 sport=8080 dport=58124 [ASSURED] mark=0 use=1
tcp      6 8 CLOSE src=10.100.0.2 dst=10.96.54.115 sport=40000 dport=80 src=10.1.1.3 dst=10.1.1.1 sport=8080 dport=31007 mark=0 use=1
tcp      6 117 SYN_SENT src=10.1.2.2 dst=10.100.0.3 sport=5 dport=30080 [UNREPLIED] src=10.100.0.3 dst=10.1.2.2 sport=30080 dport=5 mark=0 use=1
udp      17 29 src=10.1.1.2 dst=10.96.0.10 sport=41000 dport=53 [UNREPLIED] src=10.1.2.9 dst=10.1.1.2 sport=5353 dport=41000 mark=0 use=1
icmp     1 29 src=10.1.1.2 dst=10.1.2.2 type=8 code=0 id=1 src=10.1.2.2 dst=10.1.1.2 type=0 code=0 id=1 mark=0 use=1
"""

REFUSED_WHILE_NOBODY_READS = """
import json, os, signal, socket, subprocess, sys
from podlab.host.verify import connection_events

def call(port, kind, times):
    used = []
    for _ in range(times):
        with socket.socket(socket.AF_INET, kind) as one:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            if kind == socket.SOCK_DGRAM:
                one.send(b"x")
            used.append(one.getsockname()[1])
    return used

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for protocol in ("tcp", "udp"):
    rule = ["-t", "nat", "-A", "OUTPUT", "-p", protocol, "--dport", "9", "-j", "REDIRECT", "--to-ports", "10"]
    subprocess.run(["iptables", "-w", *rule], check=True)
connection_events.BUFFER = int(sys.argv[1])
connection_events.MOST = int(sys.argv[3])
with open(connection_events.SWITCH, "w") as switch:
    switch.write(sys.argv[2])
process = connection_events.watch(60)
os.kill(process, signal.SIGSTOP)
used = call(9, socket.SOCK_STREAM, 280) + call(9, socket.SOCK_DGRAM, 1)
os.kill(process, signal.SIGCONT)
flows, is_whole = connection_events.collect(process)
again = connection_events.collect(process)
print(json.dumps([used, flows, is_whole, again]))
"""


def told_of_refusals(
    buffer: int, switch: str = "2", most: int = connection_events.MOST
) -> tuple[list[int], list[Any], bool, list[Any]]:
    """Ports that calls came from, and what is known of them, where the process that writes them down was not run
    meanwhile. In namespaces of its own, whose root may not have a larger buffer than every user."""
    argv = ["unshare", "-r", "-n", sys.executable, "-c", REFUSED_WHILE_NOBODY_READS, str(buffer), switch, str(most)]
    environment = {"PYTHONPATH": str(ROOT / "module_utils"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    environment["XTABLES_LOCKFILE"] = "/dev/null"
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    used, flows, is_whole, again = json.loads(done.stdout)
    return used, flows, is_whole, again


def test_the_table_tells_where_a_connection_went_and_whom_the_endpoint_saw():
    assert list(connections.flows_of(TRACKED)) == [
        ("tcp", "10.1.2.2", 58124, "10.96.54.115", 80, "10.1.2.2", 58124, "10.1.1.3", 8080),
        ("tcp", "10.100.0.2", 40000, "10.96.54.115", 80, "10.1.1.1", 31007, "10.1.1.3", 8080),
        ("tcp", "10.1.2.2", 5, "10.100.0.3", 30080, "10.1.2.2", 5, "10.100.0.3", 30080),
        ("udp", "10.1.1.2", 41000, "10.96.0.10", 53, "10.1.1.2", 41000, "10.1.2.9", 5353),
    ]


def test_only_what_is_watched_counts():
    (_, _, _, dns) = flows = list(connections.flows_of(TRACKED))
    assert connections.among([["10.96.0.10", 53]], flows) == [dns]


def test_every_call_of_a_burst_is_told_of_though_it_is_refused_at_once():
    used, flows, is_whole, again = told_of_refusals(connection_events.BUFFER)
    tcp = [["tcp", "127.0.0.1", port, "127.0.0.1", 9, "127.0.0.1", port, "127.0.0.1", 10] for port in used[:-1]]
    udp = ["udp", "127.0.0.1", used[-1], "127.0.0.1", 9, "127.0.0.1", used[-1], "127.0.0.1", 10]
    assert flows == [*tcp, udp]
    assert is_whole
    assert again == [[], False], "it has ended"


def test_that_events_got_lost_is_told():
    used, flows, is_whole, _ = told_of_refusals(4096)
    assert 0 < len(flows) < len(used)
    assert not is_whole


def test_of_more_than_can_be_kept_the_rest_is_lost_and_that_is_told():
    _, flows, is_whole, _ = told_of_refusals(8 << 20, most=10_000)
    assert 10 < len(flows) < 100
    assert not is_whole


def test_that_events_are_switched_off_is_told():
    _, flows, is_whole, _ = told_of_refusals(connection_events.BUFFER, switch="0")
    assert (flows, is_whole) == ([], False)


def test_what_is_no_connection_of_ipv4_with_ports_is_left_out():
    def attribute(kind: int, data: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)

    icmp = attribute(1, b"".join(attribute(kind, bytes([10, 0, 0, kind])) for kind in (1, 2)))
    icmp += attribute(2, attribute(1, b"\x01"))
    body = bytes(4) + attribute(1, icmp) + attribute(2, icmp)
    assert connection_events.parse(struct.pack("=IHHII", 16 + len(body), 0x100, 0, 0, 0) + body) == ([], True)


def test_where_nothing_is_watched_nobody_is_asked():
    assert connections.tracked([]) == []
    assert connection_events.collect(0) == ([], False)
