"""Facts of containers, and the wait for them: directories as s6 and the kubelet leave them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from podlab import records
from podlab.changes import pods as changes
from podlab.controller import luggage
from podlab.host import ready, record, status

LONG = 3600.0  # seconds: a wait that should end by itself, and would not
PATIENCE = 20.0


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
    monkeypatch.setattr(ready, "SERVICES", str(found.services))
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
    thread.join(PATIENCE)
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
    thread.join(PATIENCE)
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
    thread.join(PATIENCE)
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
    host.log("p", "c", 10, "".join(f"old {number}\n" for number in range(6)), "@40000000b.s")
    host.log("p", "c", 10, "older\n", "@40000000a.s")
    expected = [f"old {number}" for number in range(2, 6)] + [str(number) for number in range(6)]
    assert ready.last_lines(logs) == expected
    host.log("p", "c", 10, "x" * 100_000 + "\nend\n")
    assert ready.last_lines(logs)[-1] == "end"


@pytest.mark.parametrize(("check_mode", "timeout"), [(True, LONG), (False, 0.1)])
def test_the_module_tells_who_is_left_and_waits_for_nobody_in_check_mode(
    host: Host, check_mode: bool, timeout: float
) -> None:
    """As the fast lane runs it, on other directories."""
    web = host.pod("web", c={})
    library = Path(__file__).resolve().parents[2] / "library"
    text = luggage.program(library, "podlab_ready", {"pods": {web: "Ready"}, "timeout": timeout}, check_mode)
    text = text.replace("/run/podlab", str(host.path)).replace("/var/log/pods", str(host.logs))
    argv = [sys.executable, "-IS", "-"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=True, timeout=PATIENCE)
    words = ["container 'c' waits (ContainerCreating); its log is empty"]
    assert json.loads(done.stdout) == {"changed": False, "unready": [{"pod": "default/web", "words": words}]}


def test_every_fast_module_has_its_door() -> None:
    doors = Path(__file__).resolve().parents[2] / "action_plugins"
    assert os.readlink(doors / "podlab_ready.py") == "fast_lane.py"


# --- facts -------------------------------------------------------------------------------------------


def test_status_and_the_modules_mean_the_same_files() -> None:
    assert (status.PODS, status.SERVICES, status.RECORD) == (changes.PODS, changes.SERVICES, record.PATH)


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
