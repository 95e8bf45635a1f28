"""Calls of Services, on this machine's own loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podlab.host.verify import listeners, service_probe
from podlab.host.verify.service_probe import call


def ask(port: int, number: int = 0, **more: Any) -> dict[str, Any]:
    own = {"id": number, "netns": None, "address": "127.0.0.1", "port": port, "protocol": "tcp", "tries": 1}
    return {**own, "serial_key": "", "until": "", "service": "default/web", "together": 0, "patience": 1.0, **more}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def closed() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def outcomes(*asks: dict[str, Any], deadline: float = 20) -> dict[int, list[str]]:
    found = call(asks, [], deadline)
    assert found.flows == []
    return {number: [words for words, _ in tries] for number, tries in found.outcomes.items()}


def test_every_try_is_a_call_from_a_port_of_its_own(listener):
    number = listener.getsockname()[1]
    found = call([ask(number, 7, tries=3)], [], 20).outcomes
    assert [words for words, _ in found[7]] == ["answer"] * 3
    callers = {listener.accept()[1][1] for _ in range(3)}
    assert callers == {port for _, port in found[7]}
    assert len(callers) == 3


def test_no_call_is_left_to_the_port_that_the_kernel_would_take(listener, monkeypatch):
    """That may be the one of a call that was lost a moment ago. One that is taken already is passed over."""
    first, count = service_probe.FIRST_PORT, service_probe.PORTS
    with socket.socket() as other:
        for at in range(count):
            with contextlib.suppress(OSError):
                other.bind(("", first + at))
                break
        chosen = iter([at, at, at + 1, *range(at + 2, count)])
        monkeypatch.setattr(service_probe.os, "urandom", lambda _: next(chosen).to_bytes(4, "big"))
        ((outcome, port),) = call([ask(listener.getsockname()[1])], [], 20).outcomes[0]
    assert outcome == "answer" and first + at < port < first + at + 8


def test_who_is_refused_hears_so_by_tcp_and_by_udp(closed):
    assert outcomes(ask(closed, 1), ask(closed, 2, protocol="udp")) == {1: ["refused"], 2: ["refused"]}


def test_an_answer_by_udp_and_silence():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert outcomes(ask(silent.getsockname()[1], protocol="udp", patience=0.2)) == {0: ["silence"]}
        assert silent.recv(64) == b"podlab\n"


def test_no_way_at_all_is_told_in_the_kernels_words():
    found = outcomes(ask(1, address="255.255.255.255"))
    assert found[0][0] not in ("answer", "refused", "silence")


def test_until_something_is_heard_nothing_else_counts(listener, closed):
    number = listener.getsockname()[1]
    assert outcomes(ask(closed, tries=9, serial_key="a", until="refused")) == {0: ["refused"]}
    assert outcomes(ask(number, tries=3, serial_key="a", until="refused")) == {0: ["answer"]}


def test_calls_of_a_queue_come_one_after_the_other(listener):
    number = listener.getsockname()[1]
    asks = [ask(number, at, tries=2, serial_key="a") for at in range(3)]
    found = call(asks, [], 20).outcomes
    order = [listener.accept()[1][1] for _ in range(6)]
    assert order == [port for at in range(3) for _, port in found[at]]


def test_more_calls_than_may_be_open(listener, monkeypatch):
    monkeypatch.setattr(service_probe, "MOST_AT_ONCE", 2)
    number = listener.getsockname()[1]
    assert outcomes(*(ask(number, at, tries=2) for at in range(9))) == {at: ["answer"] * 2 for at in range(9)}


def test_what_is_not_done_in_time_is_said():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        number = silent.getsockname()[1]
        asks = [ask(number, at, protocol="udp", serial_key=queue, patience=60) for at, queue in enumerate(("", "a"))]
        assert outcomes(*asks, deadline=0.1) == {0: ["not tried to the end"], 1: ["not tried to the end"]}


# --- what listens with a short queue ----------------------------------------------------------------------


@pytest.fixture
def reluctant() -> Iterator[socket.socket]:
    """A listener with room for one connection that nobody has accepted, and no more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        yield server


def serve(server: socket.socket, times: int, most: list[int]) -> None:
    """Accept one connection after the other, each when the one before has ended; how many waited meanwhile."""
    for _ in range(times):
        with server.accept()[0] as one:
            while one.recv(64):
                pass
            waiting = [found for found in listeners.listeners(None) if found.port == server.getsockname()[1]]
            most.append(sum(found.is_full for found in waiting))


def test_few_calls_of_a_service_are_under_way_at_once(reluctant):
    number, full = reluctant.getsockname()[1], list[int]()
    server = threading.Thread(target=serve, args=(reluctant, 40, full), daemon=True)
    server.start()
    asks = [ask(number, at, tries=10, together=1, patience=7.5) for at in range(4)]
    assert outcomes(*asks) == {at: ["answer"] * 10 for at in range(4)}
    server.join(20)
    assert full == [0] * 40


def test_a_call_that_a_full_queue_has_lost_is_asked_again(reluctant):
    number = reluctant.getsockname()[1]
    with socket.create_connection(("127.0.0.1", number)), contextlib.ExitStack() as accepted:

        def accept_when_one_was_lost() -> None:
            before = overflows()
            while overflows() == before:
                time.sleep(0.01)
            for _ in range(2):
                accepted.enter_context(reluctant.accept()[0])

        server = threading.Thread(target=accept_when_one_was_lost)
        server.start()
        assert outcomes(ask(number, together=1, patience=7.5)) == {0: ["late answer"]}
        server.join()


def overflows() -> int:
    """How many connections this network namespace has dropped because a listener's queue was full."""
    names, values = (line.split() for line in Path("/proc/net/netstat").read_text().splitlines()[:2])
    return int(values[names.index("ListenOverflows")])


def test_when_one_was_silent_to_the_end_the_others_need_not_wait_in_turn(reluctant, monkeypatch):
    monkeypatch.setattr(service_probe, "ATTEMPT", 0.1)
    number = reluctant.getsockname()[1]
    with socket.create_connection(("127.0.0.1", number)):
        asks = [ask(number, at, tries=20, together=1, patience=0.3) for at in range(5)]
        assert outcomes(*asks, deadline=5) == {at: ["silence"] * 20 for at in range(5)}


def test_what_is_refused_at_once_leaves_its_place_to_the_next(closed, listener):
    asks = [ask(closed, 0, tries=3, together=1), ask(1, 1, address="255.255.255.255", tries=3, together=1)]
    found = outcomes(*asks, ask(listener.getsockname()[1], 2, tries=3, together=1))
    assert [len(tries) for tries in found.values()] == [3, 3, 3]
    assert found[0] + found[2] == ["refused"] * 3 + ["answer"] * 3


def test_what_listens_is_looked_at_after_the_calls(listener, closed):
    endpoints = [
        {"netns": None, "address": "127.0.0.1", "port": port, "protocol": "tcp"}
        for port in (listener.getsockname()[1], closed)
    ]
    found = call([], [], 20, endpoints).listening
    assert list(found.values()) == [["listens"], ["nothing"]]
