"""Calls of Services, on this machine's own loopback, and what connection tracking is understood to say."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from podlab.host import service_probe
from podlab.host.service_probe import call, flows_of


def ask(port: int, number: int = 0, **more: Any) -> dict[str, Any]:
    own = {"id": number, "netns": None, "address": "127.0.0.1", "port": port, "protocol": "tcp", "tries": 1}
    return {**own, "lane": "", "until": "", **more}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def closed() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def heard(*asks: dict[str, Any], deadline: float = 20) -> dict[int, list[str]]:
    found, flows = call(asks, [], deadline)
    assert flows == []
    return {number: [words for words, _ in tries] for number, tries in found.items()}


def test_every_try_is_a_call_from_a_port_of_its_own(listener):
    number = listener.getsockname()[1]
    found, _ = call([ask(number, 7, tries=3)], [], 20)
    assert [words for words, _ in found[7]] == ["answer"] * 3
    callers = {listener.accept()[1][1] for _ in range(3)}
    assert callers == {port for _, port in found[7]}
    assert len(callers) == 3


def test_who_is_refused_hears_so_by_tcp_and_by_udp(closed):
    assert heard(ask(closed, 1), ask(closed, 2, protocol="udp")) == {1: ["refused"], 2: ["refused"]}


def test_an_answer_by_udp_and_silence(monkeypatch):
    monkeypatch.setattr(service_probe, "ATTEMPT", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert heard(ask(silent.getsockname()[1], protocol="udp")) == {0: ["silence"]}
        assert silent.recv(64) == b"podlab\n"


def test_no_way_at_all_is_told_in_the_kernels_words():
    found = heard(ask(1, address="255.255.255.255"))
    assert found[0][0] not in ("answer", "refused", "silence")


def test_until_something_is_heard_nothing_else_counts(listener, closed):
    number = listener.getsockname()[1]
    assert heard(ask(closed, tries=9, lane="a", until="refused")) == {0: ["refused"]}
    assert heard(ask(number, tries=3, lane="a", until="refused")) == {0: ["answer"]}


def test_calls_of_a_lane_come_one_after_the_other(listener):
    number = listener.getsockname()[1]
    asks = [ask(number, at, tries=2, lane="a") for at in range(3)]
    found, _ = call(asks, [], 20)
    order = [listener.accept()[1][1] for _ in range(6)]
    assert order == [port for at in range(3) for _, port in found[at]]


def test_more_calls_than_may_be_open(listener, monkeypatch):
    monkeypatch.setattr(service_probe, "MOST_AT_ONCE", 2)
    number = listener.getsockname()[1]
    assert heard(*(ask(number, at, tries=2) for at in range(9))) == {at: ["answer"] * 2 for at in range(9)}


def test_what_is_not_done_in_time_is_said(monkeypatch):
    monkeypatch.setattr(service_probe, "ATTEMPT", 60.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        asks = [ask(silent.getsockname()[1], protocol="udp"), ask(silent.getsockname()[1], 1, protocol="udp", lane="a")]
        assert heard(*asks, deadline=0.1) == {0: ["not tried to the end"], 1: ["not tried to the end"]}


TRACKED = """\
tcp      6 117 TIME_WAIT src=10.1.2.2 dst=10.96.54.115 sport=58124 dport=80 src=10.1.1.3 dst=10.1.2.2 sport=8080 dport=58124 [ASSURED] mark=0 use=1
tcp      6 8 CLOSE src=10.100.0.2 dst=10.96.54.115 sport=40000 dport=80 src=10.1.1.3 dst=10.1.1.1 sport=8080 dport=31007 mark=0 use=1
tcp      6 117 SYN_SENT src=10.1.2.2 dst=10.100.0.3 sport=5 dport=30080 [UNREPLIED] src=10.100.0.3 dst=10.1.2.2 sport=30080 dport=5 mark=0 use=1
udp      17 29 src=10.1.1.2 dst=10.96.0.10 sport=41000 dport=53 [UNREPLIED] src=10.1.2.9 dst=10.1.1.2 sport=5353 dport=41000 mark=0 use=1
icmp     1 29 src=10.1.1.2 dst=10.1.2.2 type=8 code=0 id=1 src=10.1.2.2 dst=10.1.1.2 type=0 code=0 id=1 mark=0 use=1
"""


def test_a_connection_tells_where_it_went_and_whom_the_endpoint_saw():
    assert list(flows_of(TRACKED)) == [
        ("tcp", "10.1.2.2", 58124, "10.96.54.115", 80, "10.1.2.2", 58124, "10.1.1.3", 8080),
        ("tcp", "10.100.0.2", 40000, "10.96.54.115", 80, "10.1.1.1", 31007, "10.1.1.3", 8080),
        ("tcp", "10.1.2.2", 5, "10.100.0.3", 30080, "10.1.2.2", 5, "10.100.0.3", 30080),
        ("udp", "10.1.1.2", 41000, "10.96.0.10", 53, "10.1.1.2", 41000, "10.1.2.9", 5353),
    ]


def test_only_what_is_watched_is_told(monkeypatch):
    monkeypatch.setattr(service_probe, "run", lambda argv: TRACKED if argv[-1] == "tcp" else "")
    found = service_probe.tracked([["10.96.54.115", 80]])
    assert [flow[1] for flow in found] == ["10.1.2.2", "10.100.0.2"]
    assert service_probe.tracked([]) == []
