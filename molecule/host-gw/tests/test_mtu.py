"""How much fits through between two nodes: all that a pod's MTU promises, and not a byte more."""

from __future__ import annotations

import json

import pytest

from tests.conversation import end, inside

# Answers every datagram, and every stream once it has ended, with length and digest of what has come.
RECEIVER = """
import hashlib, selectors, socket, sys
def answer(text):
    return f"{len(text)} {hashlib.sha256(text).hexdigest()}".encode()
stream = socket.create_server((sys.argv[1], 7008))
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind((sys.argv[1], 7008))
poll = selectors.DefaultSelector()
poll.register(stream, selectors.EVENT_READ)
poll.register(datagrams, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in poll.select():
        if key.fileobj is datagrams:
            text, caller = datagrams.recvfrom(65536)
            datagrams.sendto(answer(text), caller)
        else:
            there, _ = stream.accept()
            there.sendall(answer(b"".join(iter(lambda: there.recv(65536), b""))))
            there.close()
"""
# Asks, and says what was sent and what came back. The numbers are IP_MTU_DISCOVER and its DONT and DO.
SENDER = """
import errno, hashlib, json, os, socket, sys
there, mtu = (sys.argv[1], 7008), int(sys.argv[2])
def sent(text):
    return f"{len(text)} {hashlib.sha256(text).hexdigest()}"
def datagram(size, discover):
    text = os.urandom(size)
    asked = socket.socket(type=socket.SOCK_DGRAM)
    asked.settimeout(10)
    asked.setsockopt(socket.IPPROTO_IP, 10, discover)
    try:
        asked.sendto(text, there)
        return sent(text), asked.recv(1000).decode()
    except OSError as error:
        return sent(text), errno.errorcode.get(error.errno, str(error))
def stream(size):
    text = os.urandom(size)
    with socket.create_connection(there, 10) as asked:
        asked.settimeout(60)
        asked.sendall(text)
        asked.shutdown(socket.SHUT_WR)
        return sent(text), asked.recv(1000).decode()
headers = 20 + 8
print(json.dumps({
    "fits": datagram(mtu - headers, 2),
    "one byte more": datagram(mtu - headers + 1, 2),
    "fragments": datagram(2000, 0),
    "stream": stream(10_000_000),
}))
"""


@pytest.fixture(scope="session", params=[("node1", "node2"), ("node2", "node3")], ids=" to ".join)
def passed(request, lab):
    """What was sent from a pod of one node to one of another, and what is said to have come."""
    sender, receiver = (lab.pod(host, "calm") for host in request.param)
    address = receiver["address"].split("/")[0]
    mtu = lab.sh(request.param[0], f"ip netns exec {sender['netns']} cat /sys/class/net/eth0/mtu")
    listening = inside(lab.name, request.param[1], receiver["netns"], RECEIVER, address)
    assert listening.stdout.readline() == "ready\n"
    asking = inside(lab.name, request.param[0], sender["netns"], SENDER, address, mtu)
    try:
        out, err = asking.communicate(timeout=120)
        assert out, err
        return json.loads(out)
    finally:
        end(asking)
        end(listening)


def test_a_datagram_of_just_the_mtu_passes_in_one_piece(passed):
    sent, came = passed["fits"]
    assert came == sent


def test_one_byte_more_is_reported_to_the_sender(passed):
    assert passed["one byte more"][1] == "EMSGSIZE"


def test_a_larger_datagram_passes_in_fragments(passed):
    sent, came = passed["fragments"]
    assert sent.startswith("2000 ")
    assert came == sent


def test_ten_megabytes_arrive_whole(passed):
    sent, came = passed["stream"]
    assert sent.startswith("10000000 ")
    assert came == sent
