"""Verify's callers and listeners, on this machine's own loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from podlab.host.verify import pod_probe


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def listening(callers: int) -> Iterator[tuple[str, int]]:
    """A host that asks nobody and waits for so many callers."""
    port = free_port()
    end = {"name": "a", "netns": None}
    host = threading.Thread(target=pod_probe.probe, args=(port, [end], {}, {"a": callers}, 20.0))
    host.start()
    yield "127.0.0.1", port
    host.join()


def call(there: tuple[str, int]) -> socket.socket:
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(there, timeout=10)


def test_everybody_is_told_how_he_is_seen():
    port = free_port()
    ends = [{"name": name, "netns": None} for name in ("a",)]
    answers = pod_probe.probe(port, ends, {"a": {"a": "127.0.0.1"}}, {"a": 1}, 20.0)
    assert answers == ({"a": {"a": {"seen": "127.0.0.1"}}}, {})


def test_an_end_that_has_given_its_port_away_hinders_no_other():
    port = free_port()
    ends = [{"name": name, "netns": None} for name in ("first", "second")]  # of one namespace: only one can have it
    asks = {"second": {"first": "127.0.0.1"}}
    answers, deaf = pod_probe.probe(port, ends, asks, {"first": 1, "second": 7}, 20.0)
    assert answers == {"second": {"first": {"seen": "127.0.0.1"}}}
    assert deaf == {"second": "address already in use"}
    with socket.create_server(("0.0.0.0", port)):
        assert pod_probe.probe(port, ends, {}, {"first": 1}, 20.0) == (
            {},
            dict.fromkeys(("first", "second"), deaf["second"]),
        )


def test_a_caller_who_went_before_he_was_answered_is_waited_for():
    with listening(callers=1) as there:
        call(there).close()
        with call(there) as patient:
            assert patient.recv(64) == b"127.0.0.1\n"
            patient.sendall(pod_probe.THANKS)
