"""Facts of containers, and the wait for them: directories as s6 and the kubelet leave them."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from podlab import records
from podlab.changes.pods import pods as changes
from podlab.controller import module_bundle, status_line
from podlab.host import record
from podlab.host.pods import ready, status

LONG = 3600.0  # seconds: a wait that should end by itself, and would not
TIMEOUT = 20.0


class Host:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.pods, self.services, self.logs = path / "pods", path / "services", path / "logs"

    def pod(self, name: str, policy: str = "Always", **containers: dict[str, Any]) -> str:
        netns = f"default_{name}"
        plain = {"image": "i", "argv": [], "env": {}, "working_dir": "/"}
        row = {
            **{"netns": netns, "hostname": name, "restart_policy": policy, "etc": {}},
            **{"address": "10.1.1.2/24", "gateway": "10.1.1.1", "mac": "", "mtu": 1500, "bridge": "cbr0"},
            "containers": {key: {**plain, **rest} for key, rest in containers.items()},
            "object": {"metadata": {"namespace": "default", "name": name}, "spec": {"containers": []}},
        }
        (self.pods / netns).mkdir(parents=True)
        (self.pods / netns / "pod.json").write_text(json.dumps(row))
        for key in containers:
            (self.services / f"{netns}.{key}").mkdir(parents=True)
        return netns

    def write(self, netns: str, container: str, **files: str) -> None:
        for file, text in files.items():
            path = self.services / f"{netns}.{container}" / file
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").rename(path)

    def run(self, netns: str, container: str, **files: str) -> None:
        self.write(netns, container, started="", status=f'{{"child-pid": {os.getpid()}}}\n', **files)

    def log(self, netns: str, container: str, start: int, text: str, file: str = "current") -> None:
        directory = self.logs / netns / container / str(start)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(text)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(records, "PODS", str(found.pods))
    monkeypatch.setattr(ready, "SCAN_DIR", str(found.services))
    monkeypatch.setattr(ready, "log_directory", lambda netns, name: str(found.logs / netns / name))
    return found


PROBE = {"exec": ["true"], "initial_delay": 0, "period": 10, "timeout": 1, "success": 1, "failure": 3}


def ended(code: int, ago: int = 0) -> str:
    return f"{code} 0 {int(time.time()) - ago - 1} {int(time.time()) - ago}\n"


def health(**rest: Any) -> str:
    return json.dumps({"pid": os.getpid(), "started": True, **rest})


def waited(pods: dict[str, str], timeout: float) -> list[dict[str, Any]]:
    """What ``wait`` finds, if it ends within a patient reader's time."""
    found: list[list[dict[str, Any]]] = []
    thread = threading.Thread(target=lambda: found.append(ready.wait(pods, timeout)), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert found, "it still waits"
    return found[0]


# --- waiting -----------------------------------------------------------------------------------------


def test_what_is_ready_or_done_is_not_waited_for(host: Host) -> None:
    web, job, failed = host.pod("web", c={}), host.pod("job", "Never", c={}), host.pod("failed", "Never", c={})
    host.run(web, "c")
    host.write(job, "c", last=ended(0))
    host.write(failed, "c", last=ended(1))
    assert waited({web: "Ready", job: "Ready", failed: "Ended"}, LONG) == []
    assert waited({job: "Ended"}, LONG) == []


def test_it_waits_for_each_until_all_are_there(host: Host) -> None:
    web, slow, job = host.pod("web", c={}), host.pod("slow", c={"readiness": PROBE}), host.pod("job", "Never", c={})
    host.run(slow, "c", health=health(ready=False))
    host.run(job, "c")
    found: list[Any] = []
    pods = {web: "Ready", slow: "Ready", job: "Ended"}
    thread = threading.Thread(target=lambda: found.append(ready.wait(pods, LONG)), daemon=True)
    thread.start()
    host.run(web, "c")
    host.run(slow, "c", health=health(ready=True))
    thread.join(0.5)
    assert not found  # the job still runs
    host.write(job, "c", last=ended(0), status="")
    thread.join(TIMEOUT)
    assert found == [[]]


def test_time_runs_out(host: Host) -> None:
    web = host.pod("web", c={"readiness": PROBE})
    bad = {"ok": False, "message": "HTTP probe failed with statuscode: 503"}
    host.run(web, "c", health=health(ready=False, readiness=bad))
    host.log(web, "c", 0, "".join(f"line {number}\n" for number in range(20)))
    for timeout in (0.0, 0.1):
        assert waited({web: "Ready"}, timeout) == [
            {
                "pod": "default/web",
                "words": [
                    "container 'c' is running and not ready; readiness probe: HTTP probe failed with statuscode: 503",
                    *(f"  line {number}" for number in range(10, 20)),
                ],
            }
        ]


@pytest.mark.parametrize(
    ("policy", "backoff", "words"),
    [
        ("Never", "", "container 'c' has ended with exit code 3 (Error)"),
        (
            "Always",
            "20000\n",
            "container 'c' waits (CrashLoopBackOff) after it ended with exit code 3 (Error); it was restarted once",
        ),
    ],
)
def test_nobody_waits_for_what_will_not_come(host: Host, policy: str, backoff: str, words: str) -> None:
    web, other = host.pod("web", policy, c={}), host.pod("other", c={})
    host.run(other, "c")
    host.write(web, "c", last=ended(3), backoff=backoff, restarts="2\n" if backoff else "0\n")
    host.log(web, "c", 0, "no such file\n")
    expected = [{"pod": "default/web", "words": [words, "  no such file"]}]
    assert waited({web: "Ready", other: "Ready"}, LONG) == expected


def test_a_start_that_comes_in_time_is_waited_for(host: Host) -> None:
    web = host.pod("web", c={})
    host.write(web, "c", last=ended(1), backoff="20\n", restarts="2\n")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ready.wait({web: "Ready"}, LONG)), daemon=True)
    thread.start()
    thread.join(0.5)
    assert not found
    host.run(web, "c")
    thread.join(TIMEOUT)
    assert found == [[]]


def test_a_pod_that_is_not_there_is_told(host: Host) -> None:
    (host.pods / "default_torn").mkdir(parents=True)
    (host.pods / "default_torn" / "pod.json").write_text("{")
    words = ["there is no such pod on this host"]
    expected = [{"pod": "default/gone", "words": words}, {"pod": "default/torn", "words": words}]
    assert waited({"default_gone": "Ready", "default_torn": "Ended"}, LONG) == expected


def test_who_should_have_ended_is_told_with_its_log(host: Host) -> None:
    job = host.pod("job", "Never", c={})
    host.run(job, "c")
    host.log(job, "c", 0, "working\n")
    words = ["container 'c' is still running", "  working"]
    assert waited({job: "Ended"}, 0.0) == [{"pod": "default/job", "words": words}]


def test_the_last_lines_are_those_of_the_latest_start_that_said_something(host: Host) -> None:
    logs = str(host.logs / "p" / "c")
    assert ready.last_lines(logs) == []
    host.log("p", "c", 9, "nine\n")
    host.log("p", "c", 10, "")
    assert ready.last_lines(logs) == ["nine"]
    host.log("p", "c", 10, "".join(f"{number}\n" for number in range(6)))
    host.log("p", "c", 10, "".join(f"old {number}\n" for number in range(6)), "@10")
    host.log("p", "c", 10, "older\n", "@9")
    expected = [f"old {number}" for number in range(2, 6)] + [str(number) for number in range(6)]
    assert ready.last_lines(logs) == expected
    host.log("p", "c", 10, "x" * 100_000 + "\nend\n")
    assert ready.last_lines(logs)[-1] == "end"
    # A line may begin in one part and end in the next, and no other sign than a newline ends one.
    host.log("p", "c", 11, "one\nhalf", "@1")
    host.log("p", "c", 11, " a\u2028line\rmore\nlast")
    assert ready.last_lines(logs) == ["one", "half a\u2028line\rmore", "last"]


def elsewhere(host: Host) -> str:
    """podlab's packages, as they would be on a host that has its directories there."""
    packages = json.dumps(module_bundle.packages())
    packages = packages.replace("/run/podlab", str(host.path)).replace("/var/log/pods", str(host.logs))
    return module_bundle.pack(json.loads(packages))


def program(args: dict[str, Any], check_mode: bool = False) -> str:
    """What the action plugin sends."""
    path = Path(__file__).resolve().parents[2] / "library" / "podlab_ready.py"
    return module_bundle.checked_program(path, args, check_mode)


@pytest.mark.parametrize(("check_mode", "timeout"), [(True, LONG), (False, 0.1)])
def test_the_module_tells_who_is_left_and_waits_for_nobody_in_check_mode(
    host: Host, monkeypatch: pytest.MonkeyPatch, check_mode: bool, timeout: float
) -> None:
    """As the action plugin runs it, on other directories."""
    web = host.pod("web", c={})
    monkeypatch.setattr(module_bundle, "packed", lambda: elsewhere(host))
    text = program({"pods": {web: "Ready"}, "timeout": timeout}, check_mode)
    argv = [sys.executable, "-IS", "-"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    words = ["container 'c' waits (ContainerCreating); its log is empty"]
    told = json.loads(done.stdout)
    assert told.pop("state")["arrived"] == []
    assert told == {"changed": False, "arrived": 0, "unready": [{"pod": "default/web", "words": words}]}


def delayed(seconds: int, **more: Any) -> dict[str, Any]:
    return {"readiness": {**PROBE, "initial_delay": seconds, **more}}


def begun(host: Host, netns: str, container: str, ago: float, **files: str) -> None:
    host.run(netns, container, **files)
    moment = time.time() - ago
    os.utime(host.services / f"{netns}.{container}" / "started", (moment, moment))


def left(pods: dict[str, str], timeout: float, **more: Any) -> dict[str, int]:
    """For how long each pod is waited for."""
    waiting = ready.Wait(pods, timeout, **more)
    assert not waiting.run(0.0)
    return {item["pod"]: item["left"] for item in waiting.progress()}


def test_time_counts_from_when_the_slowest_probe_could_succeed_first(host: Host) -> None:
    plain, slow = host.pod("plain", c={}), host.pod("slow", c=delayed(180), d=delayed(5))
    several = host.pod("several", c={**delayed(20, success=3), "startup": {**PROBE, "initial_delay": 30}})
    old, later = host.pod("old", c=delayed(180)), host.pod("later", c=delayed(180))
    for name in ("c", "d"):
        begun(host, slow, name, 10)
    begun(host, several, "c", 0)
    begun(host, old, "c", 3600)
    expected = {
        "default/slow": 230,
        "default/several": 110,
        "default/plain": 60,
        "default/old": 60,
        "default/later": 60,
    }
    found = left(dict.fromkeys((plain, slow, several, old, later), "Ready"), 60)
    assert found.keys() == expected.keys()
    assert all(abs(found[pod] - expected[pod]) <= 3 for pod in expected), found


def test_a_pod_gets_no_new_time_when_it_is_started_again(host: Host) -> None:
    web = host.pod("web", c=delayed(100))
    begun(host, web, "c", 50)
    waiting = ready.Wait({web: "Ready"}, 60)
    assert not waiting.run(0.0)
    begun(host, web, "c", 0, restarts="1\n", last=ended(1))
    again = ready.Wait({web: "Ready"}, 60, state=json.loads(json.dumps(waiting.state)))
    assert not again.run(0.0)
    assert again.deadline(web) == waiting.deadline(web)
    assert abs(again.progress()[0]["left"] - 110) <= 3


def test_without_any_patience_nobody_waits_for_a_delay(host: Host) -> None:
    web = host.pod("web", c=delayed(180))
    host.run(web, "c")
    (found,) = waited({web: "Ready"}, 0.0)
    assert found["words"][0].startswith(
        "container 'c' is running and not ready; its readiness probe is asked first in 1"
    )


def test_who_never_gets_ready_holds_up_no_longer_than_that(host: Host) -> None:
    web = host.pod("web", c=delayed(180))
    begun(host, web, "c", 179.5)
    began = time.monotonic()
    assert [found["pod"] for found in waited({web: "Ready"}, 1.0)] == ["default/web"]
    assert time.monotonic() - began >= 1.4


def test_a_pod_counts_once_it_has_been_ready_for_so_long(host: Host) -> None:
    web, other = host.pod("web", c={}), host.pod("other", c={"readiness": PROBE})
    begun(host, web, "c", 9)
    begun(host, other, "c", 3600, health=health(ready=True, ready_at=time.time() - 2))
    found = left(dict.fromkeys((web, other), "Ready"), 60, available={web: 5, other: 100})
    assert found.keys() == {"default/other"}
    waiting = ready.Wait({other: "Ready"}, 60, {other: 100})
    waiting.run(0.0)
    words = "it is ready, and counts once it has been for 100 s"
    assert waiting.progress()[0]["words"] == waiting.unready()[0]["words"][0] == words
    waiting = ready.Wait({other: "Ready"}, 60, {other: 3})
    assert waiting.run() and waiting.unready() == []


def test_it_can_tell_how_far_it_is_and_go_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the action plugin asks it, again and again."""
    monkeypatch.setattr(module_bundle, "packed", lambda: elsewhere(host))
    web, done = host.pod("web", c={"readiness": PROBE}), host.pod("done", c={})
    bad = {"ok": False, "message": "HTTP probe failed with statuscode: 503"}
    host.run(web, "c", health=health(ready=False, readiness=bad))
    host.run(done, "c")
    given = {"pods": {web: "Ready", done: "Ready"}, "timeout": 60, "report_after": 0.1}

    def call(**more: Any) -> dict[str, Any]:
        text = program({**given, **more})
        argv = [sys.executable, "-IS", "-"]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=True, timeout=TIMEOUT)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first = call()
    words = "container 'c' is running and not ready; readiness probe: HTTP probe failed with statuscode: 503"
    assert [(item["pod"], item["words"]) for item in first["waiting"]] == [("default/web", words)]
    assert (first["arrived"], first["state"]["arrived"]) == (1, [done])
    host.write(done, "c", status="")  # what was there once is not waited for again
    host.run(web, "c", health=health(ready=True))
    last = call(state=first["state"])
    assert (last["unready"], last["arrived"], "waiting" in last) == ([], 1, False)


def test_a_wait_goes_on_with_other_pods_and_a_namesake_is_another_one(host: Host) -> None:
    web, other = host.pod("web", c={"readiness": PROBE}), host.pod("other", c=delayed(100))
    for netns in (web, other):
        begun(host, netns, "c", 50, health=health(ready=netns == web))
    first = ready.Wait({web: "Ready"}, 60)
    assert first.run(0.0) and first.arrived == 1
    state = json.loads(json.dumps(first.state))
    both = ready.Wait({web: "Ready", other: "Ready"}, 60, state=state)
    assert not both.run(0.0)
    assert (both.arrived, [*both.missing]) == (0, [other])
    row = json.loads((host.pods / web / "pod.json").read_text())
    row["object"]["metadata"]["uid"] = "of the next one"
    (host.pods / web / "pod.json").write_text(json.dumps(row))
    next_one = ready.Wait({web: "Ready"}, 60, state=json.loads(json.dumps(both.state)))
    assert next_one.run(0.0) and next_one.arrived == 1


# --- who is waited for, on a terminal ------------------------------------------------------------------


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    path = Path(__file__).resolve().parents[2] / "action_plugins" / "podlab_ready.py"
    spec = importlib.util.spec_from_file_location("podlab_ready_plugin", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WAITING = [
    {"pod": "default/web", "left": 50, "words": "readiness probe: \x1b[2Jno\r\n\x9b31m\u202egood"},
    {"pod": "x/y"},
]


def test_a_line_says_on_whom_it_waits_and_commands_no_terminal(plugin: Any) -> None:
    assert plugin.line("node1", WAITING, 12.4) == (
        "waiting for default/web on node1 and 1 more, 12 s, at most 50 s more: "
        "readiness probe: \\x1b[2Jno \\x9b31m\\u202egood"
    )


def test_nothing_is_said_when_nobody_is_waited_for_any_more(plugin: Any) -> None:
    said: list[str] = []
    with contextlib.ExitStack() as held:
        plugin.Teller(held, None, said.append).tell("node1", [], 10.0)
    assert said == []


def test_what_can_be_read_is_shown_as_it_is(plugin: Any) -> None:
    waiting = [{"pod": "x/y", "left": 5, "words": "\u00a0caf\u00e9\tna\u00efve\u3000"}]
    assert plugin.line("node1", waiting, 1.0).endswith(": \u00a0caf\u00e9\tna\u00efve\u3000")


def _read(terminal: int, returns: int) -> str:
    """What was written, up to so many carriage returns: one read has as much as has come through by then."""
    data = b""
    while data.count(b"\r") < returns:
        data += os.read(terminal, 4096)
    return data.decode()


def test_a_terminal_has_one_line_and_it_is_gone_in_the_end(plugin: Any) -> None:
    ours, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    said: list[str] = []
    with contextlib.ExitStack() as held:
        one, other = plugin.Teller(held, terminal, said.append), plugin.Teller(held, terminal, said.append)
        one.tell("node1", WAITING, 2.0)
        other.tell("node2", WAITING, 2.0)
        one.tell("node1", [{"pod": "default/" + "\u4e16" * 40, "left": 1, "words": ""}], 4.0)
        text = _read(ours, 4)
        first, second = text.split("\r")[1:4:2]
        assert first == "waiting for default/web on node1 and 1 "
        assert second.startswith("waiting for default/\u4e16")
        assert sum(map(status_line.width, second)) == 39, "a line that is too long would go on in the next"
        assert "node2" not in text and "\x1b" not in text
    assert _read(ours, 2) == "\r" + " " * 39 + "\r"
    assert said == []
    os.close(ours)
    os.close(terminal)


def test_elsewhere_it_is_a_plain_line_now_and_then(plugin: Any) -> None:
    said: list[str] = []
    with contextlib.ExitStack() as held:
        plugin.Teller(held, None, said.append).tell("node1", WAITING, 10.0)
    assert len(said) == 1 and said[0].startswith("waiting for default/web on node1 and 1 more, 10 s, at most 50 s more")


@pytest.fixture
def task(plugin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """The plugin's part of a task for one host, with what the module there answers, call by call."""
    monkeypatch.setattr(plugin.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))

    def run(answers: list[dict[str, Any]], **given: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        action = object.__new__(plugin.ActionModule)
        action._task = SimpleNamespace(args=given, _uuid="of the task")
        action._display = SimpleNamespace(display=lambda words: None)
        calls: list[dict[str, Any]] = []

        def answer(*_: Any) -> dict[str, Any]:
            calls.append(action._task.args)
            return answers.pop(0)

        monkeypatch.setattr(plugin.ModuleAction, "run", answer)
        return action.run(None, {"inventory_hostname": "node1"}), calls

    return run


def waits(**more: Any) -> dict[str, Any]:
    return {"unready": [], "arrived": 0, "state": {}, "waiting": WAITING, **more}


OVER = {"unready": [], "arrived": 0, "state": {}}


def test_a_partial_wait_ends_on_all_hosts_when_a_pod_of_one_is_ready(task: Callable[..., Any]) -> None:
    there, calls = task([waits(arrived=1)], partial=True)
    assert "waiting" in there and calls[0]["report_after"] == 1.0
    here, calls = task([waits()], partial=True)
    assert "waiting" in here and len(calls) == 1, "its own pods have not come"


def test_a_partial_wait_goes_on_while_no_pod_comes(task: Callable[..., Any]) -> None:
    found, calls = task([waits(state={"at": 1}), waits(), waits(arrived=1)], partial=True)
    assert "waiting" in found and [call.get("state") for call in calls] == [None, {"at": 1}, {}]
    found, calls = task([dict(OVER)], partial=True)
    assert "waiting" not in found


def test_a_whole_wait_takes_no_note_of_other_hosts(task: Callable[..., Any]) -> None:
    task([{**OVER, "arrived": 1}])
    found, calls = task([waits(arrived=1), dict(OVER)])
    assert "waiting" not in found and len(calls) == 2


# --- facts -------------------------------------------------------------------------------------------


def test_status_and_the_modules_mean_the_same_files() -> None:
    assert (status.PODS, status.SCAN_DIR, status.RECORD) == (changes.PODS, changes.SCAN_DIR, record.PATH)


def test_facts_tell_what_the_kubelet_knows(host: Host) -> None:
    web = host.pod("web", c={})
    service = host.services / f"{web}.c"
    found = status.container(str(service))
    assert (found["health"], found["down"]) == (None, False)
    host.run(web, "c", health=health(ready=True), down="")
    found = status.container(str(service))
    assert found["health"] == {"pid": os.getpid(), "started": True, "ready": True}
    assert found["down"] is True
    for rubbish in ("", "{", "[]", "3"):
        host.write(web, "c", health=rubbish)
        assert status.container(str(service))["health"] is None


def test_events_are_told_on_demand(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    web = host.pod("web", c={})
    event = {"time": 1.5, "type": "Warning", "reason": "Unhealthy", "message": "x", "container": "c"}
    (host.pods / web / "events").write_text(f"{json.dumps(event)}\n{{\n[]\n")
    monkeypatch.setattr(status, "PODS", str(host.pods))
    assert status.events(web) == [event]
    assert status.events("gone") == []
    program = Path(status.__file__).read_text().replace(changes.PODS, str(host.pods))
    argv = [sys.executable, "-IS", "-", "events", web]
    done = subprocess.run(argv, input=program, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [event]
    host.pod("quiet", c={})
    done = subprocess.run([*argv[:3], "all-events"], input=program, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {web: [event]}
