"""What load balancers are told, and what the server of health checks is told before; errors of iptables-restore."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlab.changes.kube_proxy import record as kube_record
from podlab.host.kube_proxy import health_checks, healthz, iptables, services, state
from podlab.host.module_runner import InMemoryImporter
from tests.unit.test_kube_proxy_rules import endpoint, port, row

NOON = 1717243200.25  # 2024-06-01 12:00:00.25


def test_kube_proxy_is_well():
    assert healthz.answer("/healthz", None, NOON) == (
        "200 OK",
        {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"},
        '{"lastUpdated": "2024-06-01 12:00:00.25 +0000 UTC","currentTime": "2024-06-01 12:00:00.25 +0000 UTC", '
        '"nodeEligible": true}',
    )
    assert "nodeEligible" not in healthz.answer("/livez", None, NOON)[2]
    assert healthz.answer("/", None, NOON)[::2] == ("404 Not Found", "404 page not found\n")


@pytest.mark.parametrize(("count", "status"), [(0, "503 Service Unavailable"), (2, "200 OK")])
def test_a_service_has_endpoints_here_or_not(count, status):
    found, headers, body = healthz.answer("/", {"namespace": "default", "name": "web", "endpoints": count}, NOON)
    assert found == status
    assert headers["X-Load-Balancing-Endpoint-Weight"] == str(count)
    told = {"service": {"namespace": "default", "name": "web"}, "localEndpoints": count, "serviceProxyHealthy": True}
    assert json.loads(body) == told


def test_what_goes_over_the_wire():
    said = healthz.response(b"GET /healthz?verbose HTTP/1.1\r\nHost: x\r\n\r\n", None, NOON).decode()
    head, _, body = said.partition("\r\n\r\n")
    assert head.splitlines()[0] == "HTTP/1.1 200 OK"
    assert f"Content-Length: {len(body)}" in head and "Date: Sat, 01 Jun 2024 12:00:00 GMT" in head
    assert healthz.response(b"HEAD /healthz HTTP/1.0\r\n\r\n", None, NOON).endswith(b"\r\n\r\n")
    for nonsense in (b"\r\n\r\n", b"x\r\n\r\n", b"GET / SPDY/3\r\n\r\n", b"\xff\xfe\r\n\r\n"):
        assert healthz.response(nonsense, None, NOON).startswith(b"HTTP/1.1 400 ")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def told(ports: dict[int, int], version: str) -> str:
    return json.dumps(
        {
            "version": version,
            "services": {
                str(number): {"namespace": "default", "name": "web", "endpoints": count}
                for number, count in ports.items()
            },
        }
    )


def call(number: int, request: bytes = b"GET / HTTP/1.1\r\n\r\n") -> bytes:
    with socket.create_connection(("127.0.0.1", number), timeout=10) as wire:
        wire.sendall(request)
        found = b""
        while more := wire.recv(4096):
            found += more
    return found


class Program:
    """The very program, with another port in the place of 10256, which somebody may have here."""

    def __init__(self, home: Path) -> None:
        self.home, self.main = home, free_port()
        text = Path(str(healthz.__file__)).read_text().replace("PORT = 10256", f"PORT = {self.main}")
        (home / "program").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def tell(self, ports: dict[int, int], version: str) -> dict[str, str]:
        """Which ports it did not get, once it has read this."""
        (self.home / "state.json").write_text(told(ports, version))
        if self.process is None:
            self.process = subprocess.Popen([sys.executable, "-IS", "program"], cwd=self.home)
        else:
            self.process.send_signal(signal.SIGHUP)
        for _ in range(500):
            if (self.home / "listening.json").exists():
                answer = json.loads((self.home / "listening.json").read_text())
                if answer["version"] == version:
                    return dict(answer["failed"])
            time.sleep(0.02)
        raise AssertionError("it does not read its state")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    found = Program(tmp_path)
    yield found
    if found.process:
        found.process.kill()
        found.process.wait()


def test_the_server_serves_what_it_is_told_and_no_longer_what_it_was_told_before(program):
    one, two = free_port(), free_port()
    assert program.tell({one: 1}, "a") == {}
    assert call(one).startswith(b"HTTP/1.1 200 OK")
    assert call(program.main, b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    assert program.tell({one: 0, two: 3}, "b") == {}
    assert call(one).startswith(b"HTTP/1.1 503 ") and call(two).startswith(b"HTTP/1.1 200 ")
    program.tell({two: 3}, "c")
    with pytest.raises(ConnectionRefusedError):
        call(one)


def test_who_is_slow_makes_only_himself_wait_and_a_broken_state_is_passed_over(program):
    one = free_port()
    program.tell({one: 1}, "a")
    with socket.create_connection(("127.0.0.1", one)) as slow:
        slow.sendall(b"GET / HT")
        assert call(one).startswith(b"HTTP/1.1 200 ")
        (program.home / "state.json").write_text("{")
        program.process.send_signal(signal.SIGHUP)
        assert call(one).startswith(b"HTTP/1.1 200 ")
        slow.sendall(b"TP/1.1\r\n\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert call(one, b"x" * healthz.MOST_BYTES).startswith(b"HTTP/1.1 400 ")
    assert program.process.poll() is None


def test_a_port_that_somebody_has_is_told_and_the_others_are_served(program):
    with socket.create_server(("0.0.0.0", 0)) as holder:
        one, taken = free_port(), holder.getsockname()[1]
        assert program.tell({one: 1, taken: 1}, "a") == {str(taken): "Address already in use"}
        assert call(one).startswith(b"HTTP/1.1 200 ")


# --- what the server is told -------------------------------------------------------------------------------


def test_ready_endpoints_of_this_node_count_once_for_all_ports():
    def one(*endpoints, **fields):
        return port(*endpoints, external_local=True, health_check_node_port=31000, **fields)

    here, there = endpoint("10.1.1.2"), endpoint("10.1.2.2")
    draining = endpoint("10.1.1.9", ready=False, serving=True, terminating=True)
    both = row(one(here, there, draining), one(here, endpoint("10.1.1.3"), port_name="b"), port(here, service="a/b"))
    state = json.loads(health_checks.state_of(both))
    assert state["services"] == {"31000": {"namespace": "default", "name": "web", "endpoints": 2}}
    assert json.loads(health_checks.state_of(row(one(draining))))["services"]["31000"]["endpoints"] == 0
    assert json.loads(health_checks.state_of(row()))["services"] == {}
    assert state["version"] != json.loads(health_checks.state_of(row()))["version"]


def test_the_text_of_the_program_comes_along_in_whatever_way_modules_travel():
    text = Path(str(healthz.__file__)).read_text()
    assert health_checks.program() == text
    assert InMemoryImporter({"a.healthz": [False, text]}).get_source("a.healthz") == text


# --- what the host remembers -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"row": "x"}'])
def test_what_is_not_whole_is_nothing(tmp_path, monkeypatch, text):
    monkeypatch.setattr(state, "STATE", str(tmp_path / "services.json"))
    (tmp_path / "services.json").write_text(text)
    assert state.remembered() is None


def test_rules_of_an_older_podlab_are_looked_at_again(tmp_path, monkeypatch):
    known = {
        **{"form": kube_record.FORM, "row": "x", "packed": "", "udp": False, "kernel": kube_record.fingerprint({})},
        **{"iptables": "", "spelled": {}, "health": ""},
    }
    monkeypatch.setattr(state, "STATE", str(tmp_path / "services.json"))
    monkeypatch.setattr(iptables, "rules_elsewhere", lambda version: [])
    monkeypatch.setattr(services.health_checks, "is_sound", lambda wanted: True)
    monkeypatch.setattr(iptables, "version", lambda: "iptables v1.8.9 (legacy)")
    monkeypatch.setattr(services.network, "missing_programs", lambda names: [])
    monkeypatch.setattr(services.network, "saved", dict)
    (tmp_path / "services.json").write_text(json.dumps(known))
    assert services.observe()[1] == {"row": "x", "sound": True, "others": [], "warnings": []}
    (tmp_path / "services.json").write_text(json.dumps({**known, "form": 0}))
    assert services.observe()[1]["row"] == ""
    (tmp_path / "services.json").write_text(json.dumps({**known, "kernel": ""}))
    assert not services.observe()[1]["sound"]


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (
            "iptables-restore: line 3 failed",
            "\nLine 3 is: -A KUBE-SVC-CDGGSHYLG3RE2FKL -j X\nwhich is of Service default/web",
        ),
        ("Error occurred at line: 2", "\nLine 2 is: :KUBE-SERVICES - [0:0]"),
        ("line 99 failed", ""),
        ("Another app is currently holding the xtables lock", ""),
    ],
)
def test_an_error_of_iptables_restore_names_the_line_and_whose_it_is(words, more):
    text = "*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SVC-CDGGSHYLG3RE2FKL -j X\nCOMMIT\n"
    assert iptables._whose(words, text, row(port(endpoint()))) == words + more


def test_only_who_may_not_ask_for_more_is_short_of_room(monkeypatch):
    assert iptables.batch_limit("iptables v1.8.9 (legacy)") is None
    room = iptables.batch_limit("iptables v1.8.9 (nf_tables)")
    assert room is not None
    assert (room.size is None) == (
        os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split()[2] == "4294967295"
    )
