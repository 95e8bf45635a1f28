"""Another way between nodes on a cluster that stands: who calls meanwhile notices nothing."""

from __future__ import annotations

import json

import pytest

from tests.conversation import Conversation, end, inside

PODS = (("node1", "pair"), ("node1", "web"), ("node2", "toolbox"), ("node2", "web"))
SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7009), backlog=128)
print("ready", flush=True)
while True:
    there, _ = server.accept()
    there.settimeout(10)
    try:
        there.sendall(b"".join(iter(lambda: there.recv(65536), b"")))
    except OSError:
        pass
    there.close()
"""
# A new connection for each request, which is larger than a packet; TCP_INFO tells whether its SYN was sent twice.
CLIENT = """
import json, select, socket, struct, sys
asked, wrong = 0, []
def request(to):
    with socket.create_connection((to, 7009), 10) as there:
        again = struct.unpack_from("I", there.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]
        there.sendall(b"." * 4000)
        there.shutdown(socket.SHUT_WR)
        came = sum(map(len, iter(lambda: there.recv(65536), b"")))
    if again or came != 4000:
        raise OSError(f"a SYN was lost: {again}, of 4000 bytes came {came}")
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.03)[0]:  # or four of them take the processors from the runs
    for to in sys.argv[1:]:
        asked += 1
        try:
            request(to)
        except OSError as error:
            wrong.append(f"{to}: {error}")
print(json.dumps([asked, wrong]), flush=True)
"""


@pytest.fixture
def rows(sample):
    return {where: sample.pod(*where) for where in PODS}


@pytest.fixture
def callers(sample, rows):
    """From each pod to each pod of the other node, all the time; ask them with ``told``."""
    addresses = {where: row["address"].split("/")[0] for where, row in rows.items()}
    started = [inside(sample.name, where[0], rows[where]["netns"], SERVER, addresses[where]) for where in PODS]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    calling = {}
    for where in PODS:
        others = [address for there, address in addresses.items() if there[0] != where[0]]
        calling[where] = inside(sample.name, where[0], rows[where]["netns"], CLIENT, *others)
        assert calling[where].stdout.readline() == "ready\n"
    yield calling
    for process in [*started, *calling.values()]:
        end(process)


def told(callers):
    for process in callers.values():
        process.stdin.write("\n")
        process.stdin.flush()
    return {" ".join(where): json.loads(process.stdout.readline()) for where, process in callers.items()}


def test_no_request_is_lost_from_one_way_to_another(sample, rows, callers):
    ends = [(where[0], rows[where]) for where in (PODS[2], PODS[0])]
    conversation = Conversation(sample.name, *ends)
    try:
        for way in ("vxlan", "gateway", "host-gw", "vxlan"):
            setting = json.dumps({"podlab_pod_routing": way})
            sample.converge("-e", setting, "--tags", "node,bridge,pods,routes,egress")
            assert conversation.goes_on(), f"a connection that was there before the way by {way}"
    finally:
        conversation.close()
    for who, (asked, wrong) in told(callers).items():
        assert not wrong, f"{who}: {len(wrong)} of {asked} requests: {wrong[:3]}"
        assert asked
