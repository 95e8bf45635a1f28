"""What listens in a network namespace: this one's own sockets, as the kernel tells of them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from podlab.host.verify.listeners import Listener, listeners, look, state

V4, V6, TCP, UDP = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM


@contextlib.contextmanager
def bound(family: int, kind: int, address: str, *, only_v6: bool = False) -> Iterator[int]:
    """A socket that listens there; its port."""
    with socket.socket(family, kind) as one:
        if family == V6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        one.bind((address, 0))
        if kind == TCP:
            one.listen(0)
        yield int(one.getsockname()[1])


def at(port: int) -> list[Listener]:
    return [one for one in listeners(None) if one.port == port]


@pytest.mark.parametrize("kind", [TCP, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize(
    ("family", "address", "only_v6", "there"),
    [
        pytest.param(V4, "0.0.0.0", False, "listens", id="every address"),
        pytest.param(V4, "127.0.0.2", False, "listens", id="this address"),
        pytest.param(V4, "127.0.0.1", False, "only at 127.0.0.1", id="another address"),
        pytest.param(V6, "::", False, "listens", id="both families"),
        pytest.param(V6, "::", True, "only at [::]", id="IPv6 alone"),
        pytest.param(V6, "::ffff:127.0.0.2", False, "listens", id="this address, as IPv6"),
        pytest.param(V6, "::1", False, "only at [::1]", id="the loopback of IPv6"),
    ],
)
def test_a_socket_listens_at_an_address_or_not(kind, family, address, only_v6, there):
    protocol, other = ("tcp", "udp") if kind == TCP else ("udp", "tcp")
    with bound(family, kind, address, only_v6=only_v6) as port:
        assert state(at(port), protocol, "127.0.0.2", port) == there
        assert state(at(port), other, "127.0.0.2", port) == "nothing"
        endpoint = {"netns": None, "address": "127.0.0.2", "port": port, "protocol": protocol}
        assert look([endpoint]) == {f"127.0.0.2:{port}/{protocol}": there}


def test_a_socket_that_is_bound_and_does_not_listen_is_nothing():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        assert at(one.getsockname()[1]) == []


def test_a_datagram_socket_that_is_connected_listens_to_one_alone():
    with socket.socket(V4, UDP) as one:
        one.connect(("127.0.0.1", 9))
        assert at(one.getsockname()[1]) == []


def test_a_queue_without_room_is_told():
    with bound(V4, TCP, "127.0.0.1") as port, contextlib.ExitStack() as callers:
        assert state(at(port), "tcp", "127.0.0.1", port) == "listens"
        callers.enter_context(socket.create_connection(("127.0.0.1", port)))
        deadline = time.monotonic() + 10
        while state(at(port), "tcp", "127.0.0.1", port) != "full":
            assert time.monotonic() < deadline


def test_what_cannot_be_looked_into_is_left_out():
    assert look([{"netns": "no-such-namespace", "address": "10.1.1.2", "port": 80, "protocol": "tcp"}]) == {}
