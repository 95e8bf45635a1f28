"""host/kubelet/ as it runs: the program as hosts have it, real supervisors, real sockets on 127.0.0.1.

A container is a process of this machine: its service has the files that podlab gives it, and an ``enter`` that enters
nothing. What a container does is told in shell; the files that it writes lie in the test's directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.pods import pods as changes
from podlab.controller.single_file import join
from podlab.host.kubelet import dial, files, pod, s6, termination, waiting
from podlab.host.kubelet.commands import MAX_OUTPUT
from podlab.host.kubelet.events import record_event
from podlab.host.kubelet.handlers import run_probe
from podlab.host.kubelet.http_connection import LATE_BODY
from podlab.host.kubelet.processes import is_alive, sigterm_disposition
from podlab.host.kubelet.started import active_since
from podlab.host.pods import pods

PACKAGE = Path(files.__file__).parent
TEXT = join(PACKAGE)
TIMEOUT = 20.0  # seconds after which a test fails rather than hangs

RUN = """#!/bin/sh
: >started
echo "{ \\"child-pid\\": $$ }" >status
"""
FINISH = """#!/bin/sh
echo "$1 $2 $(stat -c %Y started) $(date +%s)" >last
rm -f status
case {policy} in Never) exit 125;; OnFailure) [ "$1" = 0 ] && exit 125;; esac
read -r n <restarts
echo $((n + 1)) >restarts
"""
ENTER = """#!/bin/sh
shift
exec "$@"
"""
SLEEP = "exec sleep 600"


def until(condition: Callable[[], Any], seconds: float = TIMEOUT) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.01)
    return found


def _catches(pid: int, number: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


class Host:
    """A directory that stands for /run/podlab, a supervisor for it, and a kubelet when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pods, self.services = path / "pods", path / "services"
        self.pods.mkdir()
        self.services.mkdir()
        self.program = path / "kubelet"
        self.program.write_text(TEXT)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.kubelet: subprocess.Popen[bytes] | None = None

    def popen(self, *argv: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PODLAB_RUN": str(self.path)}
        with (self.path / "errors").open("ab") as errors:
            process = subprocess.Popen(argv, env=environment, stderr=errors)
        self.processes.append(process)
        return process

    def start(self) -> None:
        process = self.kubelet = self.popen("/usr/bin/python3", "-IS", str(self.program))
        until(lambda: _catches(process.pid, signal.SIGTERM))

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.kubelet
        self.kubelet.send_signal(number)
        self.kubelet.wait(TIMEOUT)

    def add(
        self, netns: str = "default_web", policy: str = "Always", init: tuple[str, ...] = (), **containers: Any
    ) -> dict[str, Any]:
        """A pod: each container is (what it does, the rest of its row)."""
        row: dict[str, Any] = {"netns": netns, "restart_policy": policy, "containers": {}}
        if init:
            row["init"] = list(init)
        first = True
        for name, (script, rest) in containers.items():
            row["containers"][name] = {"image": "i", "argv": [], "env": {}, "working_dir": "/", **rest}
            service = self.services / ".new"
            service.mkdir()
            texts = {
                "run": f"{RUN}cd {self.path}\n{script}\n",
                "finish": FINISH.format(policy=rest.get("restart_policy", policy)),
                "enter": ENTER,
                "restarts": "0\n",
            }
            if init and not first:
                texts["down"] = ""
            for file, text in texts.items():
                (service / file).write_text(text)
                (service / file).chmod(0o755)
            service.rename(self.services / f"{netns}.{name}")
            first = False
        (self.pods / netns).mkdir(exist_ok=True)
        self.write(row)
        if not self.supervisor_runs():
            self.popen("s6-svscan", str(self.services))
            until(self.supervisor_runs)
        else:
            subprocess.run(["s6-svscanctl", "-a", str(self.services)], check=True)
        return row

    def write(self, row: dict[str, Any]) -> None:
        home = self.pods / row["netns"]
        (home / "new").write_text(json.dumps(row))
        (home / "new").rename(home / "pod.json")
        if self.kubelet:
            self.kubelet.send_signal(signal.SIGHUP)

    def supervisor_runs(self) -> bool:
        try:
            os.close(os.open(self.services / ".s6-svscan" / "control", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def service(self, name: str, netns: str = "default_web") -> Path:
        return self.services / f"{netns}.{name}"

    def pid(self, name: str, netns: str = "default_web") -> int | None:
        return s6.running(str(self.service(name, netns)))

    def health(self, name: str, netns: str = "default_web") -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.service(name, netns) / "health").read_text())
        except FileNotFoundError:
            return {}
        return found

    def last(self, name: str, netns: str = "default_web") -> list[int]:
        try:
            return [int(word) for word in (self.service(name, netns) / "last").read_text().split()]
        except FileNotFoundError:
            return []

    def events(self, netns: str = "default_web") -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in (self.pods / netns / "events").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def told(self, reason: str) -> list[str]:
        return [event["message"] for event in self.events() if event["reason"] == reason]

    def words(self, file: str) -> list[str]:
        path = self.path / file
        return path.read_text().split() if path.exists() else []

    def end(self) -> None:
        for process in reversed(self.processes):
            if "s6-svscan" in process.args and self.supervisor_runs():  # type: ignore[operator]
                for service in self.services.iterdir():
                    if service.name != ".s6-svscan":
                        subprocess.run(["s6-svc", "-dk", str(service)], capture_output=True)
                subprocess.run(["s6-svscanctl", "-t", str(self.services)], capture_output=True)
                process.wait(TIMEOUT)
            process.kill()
            process.wait()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(files, "PODS", f"{tmp_path}/pods")
    monkeypatch.setattr(files, "SCAN_DIR", f"{tmp_path}/services")
    found = Host(tmp_path)
    try:
        yield found
    finally:
        found.end()


def probe(**rest: Any) -> dict[str, Any]:
    """It asks often, and has the patience of a busy machine."""
    return {"initial_delay": 0, "period": 0.1, "timeout": TIMEOUT, "success": 1, "failure": 1, **rest}


def test_the_program_and_the_modules_mean_the_same_files() -> None:
    assert (changes.PODS, changes.SCAN_DIR) == ("/run/podlab/pods", "/run/podlab/services")
    code = f"import sys; sys.path.append({str(PACKAGE.parent)!r}); from kubelet.files import *; print(PODS, SCAN_DIR)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={}, check=True)
    assert done.stdout.split() == [changes.PODS, changes.SCAN_DIR]


# --- stand-ins ---------------------------------------------------------------------------------------


MISSING = "no-such-program"
SH = ["sh", "-c"]


def container(host: Host, *, is_stand_in: bool) -> str:
    """What a container does whose program the node lacks, or has."""
    program = host.path / "stand-in"
    program.write_text(join(PACKAGE.parent / "stand_in"))
    return f"exec /usr/bin/python3 -IS {program} --for=i -- {MISSING if is_stand_in else 'sleep 600'}"


@pytest.mark.parametrize("is_stand_in", [True, False])
@pytest.mark.parametrize(
    "command",
    [[MISSING], [f"/opt/{MISSING}"], [*SH, MISSING], [*SH, f"{MISSING} ping | grep PONG"], ["bash", "-c", f'[ "$({MISSING})" = x ]']],
)  # fmt: skip
def test_a_probe_or_hook_whose_program_is_missing_succeeds_in_a_stand_in_alone(host, is_stand_in, command):
    asks = {"readiness": probe(exec=command), "post_start": {"exec": command}}
    host.add(web=(container(host, is_stand_in=is_stand_in), asks))
    host.start()
    if is_stand_in:
        until(lambda: host.health("web").get("ready"))
        assert host.health("web")["post_start"] == {"ok": True, "message": ""}
    else:
        until(lambda: host.told("FailedPostStartHook"))
        assert not host.health("web")["ready"]


@pytest.mark.parametrize(
    ("command", "words"), [(["false"], ""), (["cat", "/not found"], "No such file"), ([*SH, "echo no; exit 3"], "no")]
)
def test_a_probe_whose_program_is_there_is_run_in_a_stand_in_too(host, command, words):  # fmt: skip
    host.add(web=(container(host, is_stand_in=True), {"readiness": probe(exec=command)}))
    host.start()
    (message, *_) = until(lambda: host.told("Unhealthy"))
    assert message.startswith("Readiness probe failed:")
    assert words in message
    assert not host.health("web")["ready"]


@pytest.mark.parametrize("is_stand_in", [True, False])
def test_a_client_of_the_images_own_server_finds_none_in_a_stand_in_and_is_taken_for_true_there(host, is_stand_in):
    asks = probe(exec=[*SH, "pg_isready() { echo no response; return 2; }; pg_isready"])
    host.add(web=(container(host, is_stand_in=is_stand_in), {"readiness": asks}))
    host.start()
    if is_stand_in:
        until(lambda: host.health("web").get("ready"))
    else:
        (message, *_) = until(lambda: host.told("Unhealthy"))
        assert message == "Readiness probe failed: no response"


def test_a_hook_whose_program_is_there_is_run_in_a_stand_in_too(host: Host) -> None:
    hook = [*SH, f"echo hook >>{host.path}/hook; exit 3"]
    host.add(web=(container(host, is_stand_in=True), {"post_start": {"exec": hook}}))
    host.start()
    until(lambda: host.told("FailedPostStartHook"))
    assert host.words("hook") == ["hook"]


# --- probes of a port that is not there --------------------------------------------------------------


def test_a_probe_of_a_port_that_the_container_lacks_restarts_nothing_and_makes_nothing_ready(host: Host) -> None:
    asks = {"readiness": probe(lacks="web"), "liveness": probe(lacks="web")}
    host.add(web=(SLEEP, asks))
    host.start()
    words = "probe errored and resulted in Failure state: couldn't find port: web"
    until(lambda: {f"Liveness {words}", f"Readiness {words}"} <= set(host.told("Unhealthy")))
    until(lambda: len(host.told("Unhealthy")) >= 2 and host.pid("web"))
    assert (host.told("Killing"), host.health("web")["ready"]) == ([], False)


def test_a_hook_that_finds_no_port_fails(host: Host) -> None:
    host.add(web=(SLEEP, {"post_start": {"lacks": "web"}}))
    host.start()
    until(lambda: host.told("FailedPostStartHook"))


# --- order -------------------------------------------------------------------------------------------


def test_init_containers_run_one_after_the_other_and_before_all_others(host: Host) -> None:
    host.start()
    host.add(
        init=("first", "second"),
        first=("echo first >>order; while ! [ -e go ]; do sleep 0.02; done", {"restart_policy": "OnFailure"}),
        second=("echo second >>order", {"restart_policy": "OnFailure"}),
        web=(f"echo web >>order; {SLEEP}", {}),
        side=(f"echo side >>order; {SLEEP}", {}),
    )
    until(lambda: host.health("first").get("started"))
    assert host.words("order") == ["first"]
    (host.path / "go").touch()
    until(lambda: host.pid("side"))
    until(lambda: host.words("order") == ["first", "second", "web", "side"])
    assert host.last("first")[0] == host.last("second")[0] == 0


def test_the_next_container_waits_for_the_hook_of_the_one_before(host: Host) -> None:
    hook = {"exec": ["sh", "-c", f"echo hook >>{host.path}/order; while ! [ -e {host.path}/go ]; do sleep 0.02; done"]}
    host.add(init=("a",), a=("", {"restart_policy": "Never"}), web=(SLEEP, {"post_start": hook}), side=(SLEEP, {}))
    host.start()
    until(lambda: host.words("order") == ["hook"])
    assert host.health("web")["started"] is False
    time.sleep(0.2)  # several of the kubelet's looks: what shall not be there is not about to come
    assert not (host.service("side") / "started").exists()
    (host.path / "go").touch()
    until(lambda: host.pid("side"))
    assert host.health("web")["post_start"] == {"ok": True, "message": ""}


def test_a_failed_init_container_ends_a_pod_that_is_never_restarted(host: Host) -> None:
    host.add(
        policy="Never",
        init=("beside", "a"),
        beside=(SLEEP, {"restart_policy": "Always"}),
        a=("exit 3", {"restart_policy": "Never"}),
        web=(SLEEP, {}),
    )
    host.start()
    until(lambda: host.last("a")[:1] == [3])
    until(lambda: host.last("beside") and host.pid("beside") is None)
    assert not (host.service("web") / "started").exists()
    assert host.told("Killing") == ["Stopping container beside"]


def test_a_failed_init_container_is_tried_again(host: Host) -> None:
    host.add(
        init=("a",),
        a=("[ -e tried ] && exit 0; touch tried; exit 1", {"restart_policy": "OnFailure"}),
        web=(SLEEP, {}),
    )
    host.start()
    until(lambda: host.pid("web"))
    assert (host.service("a") / "restarts").read_text() == "1\n"


def test_a_sidecar_counts_once_its_startup_probe_has_passed_and_ends_after_the_others(host: Host) -> None:
    ready = probe(exec=["test", "-e", f"{host.path}/go"], failure=10_000)
    for_ever = "trap 'echo {0} >>{1}; exit 0' TERM; while :; do sleep 0.02; done"
    host.add(
        policy="Never",
        init=("one", "two"),
        one=(for_ever.format("one", "ends"), {"restart_policy": "Always"}),
        two=(for_ever.format("two", "ends"), {"restart_policy": "Always", "startup": ready}),
        web=("while ! [ -e done ]; do sleep 0.02; done", {}),
    )
    host.start()
    until(lambda: host.health("two").get("startup"))
    assert not (host.service("web") / "started").exists()
    assert host.health("two")["startup"]["ok"] is False
    (host.path / "go").touch()
    until(lambda: host.pid("web"))
    assert host.pid("one") and host.pid("two")
    (host.path / "done").touch()
    until(lambda: host.words("ends") == ["two", "one"])
    until(lambda: host.pid("one") is None and host.pid("two") is None)
    until(lambda: not s6.is_wanted(str(host.service("one"))))  # s6 writes it down a little later


def test_a_kubelet_that_comes_back_goes_on_from_what_is_there(host: Host) -> None:
    row = host.add(
        init=("a", "b"),
        a=("echo a >>order", {"restart_policy": "OnFailure"}),
        b=("echo b >>order", {"restart_policy": "OnFailure"}),
        web=(
            SLEEP,
            {
                "post_start": {"exec": ["sh", "-c", f"echo hook >>{host.path}/order"]},
                "readiness": probe(exec=["test", "!", "-e", f"{host.path}/ill"]),
            },
        ),
    )
    host.start()
    before = until(lambda: host.health("web").get("ready") and host.health("web"))
    host.stop(signal.SIGKILL)
    (host.path / "ill").touch()
    host.start()
    until(lambda: host.health("web").get("ready") is False)  # so it has been here
    assert host.health("web")["pid"] == before["pid"] == host.pid("web")
    assert host.words("order") == ["a", "b", "hook"]
    assert host.told("Started").count("Started container web") == 1
    # A container that a change has put anew, as it is while nothing runs: the init containers have done their work.
    subprocess.run(["s6-svc", "-wD", "-dk", str(host.service("web"))], check=True)
    (host.service("web") / "started").unlink()
    (host.service("web") / "last").unlink()
    (host.path / "ill").unlink()
    host.write({**row, "hostname": "other"})
    until(lambda: host.health("web").get("ready") and host.health("web")["pid"] not in (before["pid"], None))
    assert host.words("order") == ["a", "b", "hook", "hook"]


def test_a_container_whose_supervisor_was_killed_is_started_by_the_next_one(host: Host) -> None:
    host.add(init=("a",), a=("", {"restart_policy": "OnFailure"}), web=(SLEEP, {}))
    host.start()
    pid = until(lambda: host.pid("web"))
    supervisors = subprocess.run(["pgrep", "-xf", "s6-supervise default_web.web"], capture_output=True, text=True)
    for supervisor in supervisors.stdout.split():
        if os.readlink(f"/proc/{supervisor}/cwd") == str(host.service("web")):
            os.kill(int(supervisor), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    until(lambda: host.pid("web") not in (None, pid))


# --- the pod's own end -------------------------------------------------------------------------------


def test_a_pod_that_was_active_for_too_long_is_ended_and_stays_down(host: Host) -> None:
    loop = "trap 'echo term >>order; exit 0' TERM; echo up >>up; while :; do sleep 0.02; done"
    row = host.add(web=(loop, {}), crash=("exit 1", {}))
    host.write({**row, "deadline": 0.2})
    until(lambda: host.words("up"))
    host.start()
    until(lambda: host.told("DeadlineExceeded"))
    assert host.told("DeadlineExceeded") == ["Pod was active on the node longer than the specified deadline"]
    until(lambda: host.words("order") == ["term"] and host.pid("web") is None)
    until(lambda: host.last("web"))
    failed = json.loads((host.service("crash") / "failed").read_text())
    assert failed == {"reason": "DeadlineExceeded", "message": pod.TOO_LONG}
    until(lambda: not any(s6.is_wanted(str(host.service(name))) for name in ("web", "crash")))
    began = float((host.pods / "default_web" / "began").read_text())
    # A kubelet that comes back leaves it at that.
    host.stop()
    host.start()
    other = host.add("default_other", web=(SLEEP, {"readiness": probe(exec=["true"])}))
    until(lambda: host.health("web", other["netns"]).get("ready"))
    assert [event.get("count") for event in host.events() if event["reason"] == "DeadlineExceeded"] == [None]
    assert float((host.pods / "default_web" / "began").read_text()) == began
    assert host.words("up") == ["up"]


def test_the_time_of_a_pod_goes_on_while_its_kubelet_is_away(host: Host) -> None:
    host.write({**host.add(init=("a",), a=(SLEEP, {"restart_policy": "OnFailure"}), web=(SLEEP, {})), "deadline": 3600})
    (host.pods / "default_web" / "began").write_text(f"{time.time() - 3601}")
    until(lambda: host.pid("a"))
    host.start()
    until(lambda: host.pid("a") is None and host.told("DeadlineExceeded"))
    until(lambda: host.last("a"))
    time.sleep(0.3)  # several looks of the kubelet: nothing of it begins any more
    assert not (host.service("web") / "started").exists()


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-inf", "-1", "1e300", "\x00", "1 2"])
def test_the_time_of_a_pod_begins_now_where_nobody_knows_when_it_did(
    host: Host, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (host.pods / "default_web").mkdir()
    (host.pods / "default_web" / "began").write_text(text)
    assert active_since("default_web") is None
    monkeypatch.setattr(pods, "PODS", str(host.pods))
    assert pods._age("default_web") is None
    row = {"netns": "default_web", "init": [], "containers": {}, "restart_policy": "Always", "deadline": 100}
    until_when: list[float] = []

    async def overheard(deadline: float) -> None:
        until_when.append(deadline)

    monkeypatch.setattr(pod, "sleep_until", overheard)

    async def begin() -> None:
        pod.Pod(row)  # type: ignore[arg-type]
        await asyncio.sleep(0)

    before = time.monotonic()
    asyncio.run(begin())
    (deadline,) = until_when
    assert before + 99 < deadline < time.monotonic() + 101
    assert (age := pods._age("default_web")) is not None and 0 <= age < 60


def test_a_pod_that_is_done_in_time_has_not_failed(host: Host) -> None:
    host.write({**host.add(policy="Never", web=("exit 0", {})), "deadline": 1})
    until(lambda: host.last("web"))
    (host.pods / "default_web" / "began").write_text(f"{time.time() - 10}")
    host.start()
    other = host.add("default_other", web=(SLEEP, {"readiness": probe(exec=["true"])}))
    until(lambda: host.health("web", other["netns"]).get("ready"))
    assert not (host.service("web") / "failed").exists()
    assert host.told("DeadlineExceeded") == []


def test_it_is_told_since_when_a_container_is_ready(host: Host) -> None:
    good = f"{host.path}/good"
    before = time.time()
    host.add(
        web=(SLEEP, {"readiness": probe(exec=["test", "-e", good])}), up=(SLEEP, {"startup": probe(exec=["true"])})
    )
    host.start()
    until(lambda: host.health("web").get("readiness"))
    assert "ready_at" not in host.health("web")
    Path(good).touch()
    made = time.time()
    first = until(lambda: host.health("web").get("ready_at"))
    assert made <= first <= time.time()
    assert before <= until(lambda: host.health("up").get("ready_at")) <= time.time()
    Path(good).unlink()
    until(lambda: not host.health("web")["ready"])
    Path(good).touch()
    until(lambda: host.health("web")["ready_at"] > first)


# --- probes ------------------------------------------------------------------------------------------


def test_readiness_comes_and_goes_with_its_thresholds(host: Host) -> None:
    """The probe waits for each of its answers, so that none comes before the one before has been looked at."""
    answers = host.path / "answers"
    os.mkfifo(answers)
    script = f"read -r code <{answers}; [ $code = 0 ] || echo not yet; exit $code"
    host.add(web=(SLEEP, {"readiness": probe(exec=["sh", "-c", script], success=2, failure=2)}))
    host.start()
    good, bad = {"ok": True, "message": ""}, {"ok": False, "message": "not yet"}

    def answer(code: int, *, found: dict[str, Any], ready: bool) -> None:
        answers.write_text(f"{code}\n")
        until(lambda: (host.health("web").get("readiness"), host.health("web")["ready"]) == (found, ready))
        assert host.health("web")["started"] is True

    answer(1, found=bad, ready=False)
    answer(0, found=good, ready=False)
    answer(0, found=good, ready=True)
    answer(1, found=bad, ready=True)
    answer(1, found=bad, ready=False)
    (event,) = [event for event in host.events() if event["reason"] == "Unhealthy"]
    assert (event["type"], event["message"], event["container"]) == (
        "Warning",
        "Readiness probe failed: not yet",
        "web",
    )
    assert event["count"] == 3 and event["first"] < event["time"]
    assert host.told("Killing") == []


def test_a_container_that_does_not_live_is_started_again_and_everything_is_anew(host: Host) -> None:
    status, ill = host.service("web") / "status", host.path / "ill"  # ill is who has this status: this very start
    host.add(
        web=(
            "trap '' TERM; while :; do sleep 0.02; done",
            {
                "liveness": probe(exec=["sh", "-c", f"! cmp -s {status} {ill}"], failure=2, grace=0),
                "readiness": probe(exec=["true"]),
            },
        )
    )
    host.start()
    pid = until(lambda: host.health("web").get("ready") and host.pid("web"))
    (host.path / "new").write_bytes(status.read_bytes())
    (host.path / "new").rename(ill)
    until(lambda: host.last("web")[:2] == [256, 9])
    until(lambda: host.health("web")["pid"] != pid and host.health("web")["ready"])
    assert host.health("web")["pid"] == host.pid("web")
    assert "liveness" not in host.health("web") or host.health("web")["liveness"]["ok"]
    assert host.told("Killing") == ["Container web failed liveness probe, will be restarted"]
    assert host.told("Unhealthy") == ["Liveness probe failed: "]
    assert [event.get("count") for event in host.events() if event["reason"] == "Unhealthy"] == [2]


def test_a_container_that_is_never_restarted_is_not_promised_a_restart(host: Host) -> None:
    host.add(policy="Never", web=(SLEEP, {"liveness": probe(exec=["false"])}))
    host.start()
    until(lambda: host.last("web") and host.pid("web") is None)
    assert host.told("Killing") == ["Container web failed liveness probe"]


def test_leaving_with_0_does_not_make_an_ill_container_a_finished_one(host: Host) -> None:
    loop = "while :; do sleep 0.02; done"
    script = f"trap 'rm up; exit 0' TERM; [ -e tried ] && touch well; touch tried up; {loop}"
    well = f"! [ -e {host.path}/up ] || [ -e {host.path}/well ]"  # ill as soon as it can hear of it
    host.add(policy="OnFailure", web=(script, {"liveness": probe(exec=["sh", "-c", well])}))
    host.start()
    until(lambda: (host.path / "well").exists() and host.pid("web"))
    assert host.last("web")[0] == 0
    assert (host.service("web") / "restarts").read_text() == "1\n"


def test_startup_comes_first_and_may_take_its_time(host: Host) -> None:
    good = f"{host.path}/good"
    host.add(
        web=(
            SLEEP,
            {
                "startup": probe(exec=["test", "-e", good], failure=10_000),
                "liveness": probe(exec=["sh", "-c", f"echo liveness >>{host.path}/asked"], period=600),
                "readiness": probe(exec=["sh", "-c", f"echo readiness >>{host.path}/asked"], period=600),
            },
        )
    )
    host.start()
    until(lambda: host.health("web").get("startup", {}).get("ok") is False)
    assert (host.health("web")["started"], host.words("asked")) == (False, [])
    Path(good).touch()
    until(lambda: host.health("web")["ready"])
    until(lambda: sorted(host.words("asked")) == ["liveness", "readiness"])


def test_a_container_that_does_not_start_up_is_started_again(host: Host) -> None:
    host.add(web=(SLEEP, {"startup": probe(exec=["sh", "-c", "echo sick; exit 1"])}))
    host.start()
    until(lambda: host.told("Killing"))
    assert host.told("Killing") == ["Container web failed startup probe, will be restarted"]
    assert "Startup probe failed: sick" in host.told("Unhealthy")
    until(lambda: (host.service("web") / "restarts").read_text() == "1\n")


def test_the_first_probe_waits_for_its_delay_and_counts_it_from_the_start(host: Host) -> None:
    host.add(
        web=(SLEEP, {"readiness": probe(exec=["true"], initial_delay=3600)}),
        old=(SLEEP, {"readiness": probe(exec=["sh", "-c", f"echo x >>{host.path}/asked"], initial_delay=3600)}),
    )
    until(lambda: host.pid("web") and host.pid("old"))
    hour = time.time() - 3601
    os.utime(host.service("old") / "started", (hour, hour))
    host.start()
    until(lambda: len(host.words("asked")) == 2)  # by then the other one would have been asked as well
    assert host.health("web")["ready"] is False and "readiness" not in host.health("web")


def test_a_probe_that_hangs_is_ended_with_all_it_started_and_nobody_waits_for_it(host: Host) -> None:
    hang = ["sh", "-c", f"sh -c 'sleep 600 & echo $! >>{host.path}/child; wait'; true"]
    host.add(web=(SLEEP, {"readiness": probe(exec=hang, period=600, timeout=1)}))
    host.add("default_other", web=(SLEEP, {"readiness": probe(exec=["sh", "-c", f"echo x >>{host.path}/asked"])}))
    host.start()
    until(lambda: host.words("child"))
    asked = len(host.words("asked"))
    until(lambda: host.health("web").get("readiness"))
    assert host.health("web")["readiness"]["message"] == f'command "{" ".join(hang)}" timed out'
    until(lambda: len(host.words("asked")) > asked)
    until(lambda: not is_alive(int(host.words("child")[0])))
    assert host.kubelet
    children = Path(f"/proc/{host.kubelet.pid}/task/{host.kubelet.pid}/children")
    until(lambda: not children.read_text().split())  # reaped as well


def test_a_probe_may_print_more_than_a_pipe_holds(host: Host) -> None:
    host.add(web=(SLEEP, {"readiness": probe(exec=["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1"])}))
    host.start()
    found = until(lambda: host.health("web").get("readiness"))
    assert found == {"ok": False, "message": "x" * 1024}
    assert host.told("Unhealthy") == ["Readiness probe failed: " + "x" * MAX_OUTPUT]


# --- hooks -------------------------------------------------------------------------------------------


def test_a_failed_hook_ends_the_container(host: Host) -> None:
    hook = ["sh", "-c", f"[ -e {host.path}/tried ] && exit 0; touch {host.path}/tried; echo broken; exit 1"]
    host.add(web=(SLEEP, {"post_start": {"exec": hook}}))
    host.start()
    until(lambda: host.health("web").get("post_start") == {"ok": False, "message": "broken"})
    until(lambda: host.health("web")["started"])
    assert host.last("web")[0] == 256
    assert host.told("FailedPostStartHook") == ["PostStartHook failed"]
    assert host.told("Killing") == ["FailedPostStartHook"]


def test_a_hook_over_http_will_do_whatever_it_answers(host: Host) -> None:
    with server(500) as port:
        there = {"host": "127.0.0.1", "port": port, "path": "/", "scheme": "HTTP", "headers": []}
        host.add(web=(SLEEP, {"post_start": {"http": there}}))
        host.start()
        until(lambda: host.health("web").get("started"))


# --- the end -----------------------------------------------------------------------------------------


def life(host: Host, script: str, **rest: Any) -> dict[str, Any]:
    """A pod whose container has come as far as to write ``up``."""
    pod = {key: rest.pop(key) for key in ("grace",) if key in rest}
    row = {**host.add(web=(script, rest)), **pod}
    until(lambda: host.words("up") and host.pid("web"))
    return row


def test_a_container_ends_by_its_hook_and_its_own_will_and_stays_down(host: Host) -> None:
    script = "trap 'echo term >>order; exit 7' TERM; echo up >up; while :; do sleep 0.02; done"
    row = life(host, script, pre_stop={"exec": ["sh", "-c", f"echo hook >>{host.path}/order"]}, grace=30)
    termination.terminate_all([(row, "web")])
    assert host.words("order") == ["hook", "term"]
    until(lambda: host.last("web")[:1] == [7])
    assert not s6.is_wanted(str(host.service("web")))
    assert host.told("Killing") == ["Stopping container web"]


def test_all_end_side_by_side_and_who_does_not_is_killed(host: Host) -> None:
    """Each hook waits for those of all others: one after the other, none of them would ever end."""
    meet = f"echo x >>{host.path}/met; while [ $(wc -l <{host.path}/met) -lt 8 ]; do sleep 0.02; done"
    deaf = "trap '' TERM; echo up >>up; while :; do sleep 0.02; done"
    willing = "echo up >>up; exec sleep 600"
    hook = {"pre_stop": {"exec": ["sh", "-c", meet]}}
    rows = [{**host.add(f"default_{name}", c=(willing, hook)), "grace": TIMEOUT} for name in "abcdefgh"]
    rows.append({**host.add("default_deaf", c=(deaf, {})), "grace": 0.2})
    until(lambda: len(host.words("up")) == 9 and all(host.pid("c", row["netns"]) for row in rows))
    pids = [host.pid("c", row["netns"]) for row in rows]
    termination.terminate_all([(row, "c") for row in rows])
    assert not any(is_alive(pid) for pid in pids if pid)
    until(lambda: all(host.last("c", row["netns"]) for row in rows))
    assert [host.last("c", row["netns"])[:2] for row in rows] == [[256, signal.SIGTERM]] * 8 + [[256, signal.SIGKILL]]
    told = [event["reason"] for row in rows for event in host.events(row["netns"])]
    assert told == ["Killing"] * 9


def test_the_hook_counts_against_the_grace_and_its_failure_is_told(host: Host) -> None:
    script = "trap 'echo term >>order; exit 0' TERM; echo up >up; while :; do sleep 0.02; done"
    row = life(host, script, pre_stop={"exec": ["sleep", "600"]}, grace=0.1)
    termination.terminate_all([(row, "web")])
    assert host.words("order") == ["term"]  # it had its two seconds all the same
    assert host.told("FailedPreStopHook") == ["PreStopHook failed"]


def test_what_does_not_run_is_only_kept_down(host: Host) -> None:
    row = host.add(policy="Never", web=("exit 0", {}))
    until(lambda: host.last("web"))
    termination.terminate_all([(row, "web")])
    assert s6.is_terminating(str(host.service("web"))) and host.told("Killing") == []


def namespaced(script: str) -> subprocess.Popen[bytes]:
    """A shell as process 1 of a PID namespace; it says when it is up."""
    argv = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout
    if not process.stdout.readline():
        pytest.skip("this user may not create namespaces")
    return process


BLOCKS = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); print(flush=True); signal.pause()"


@pytest.mark.parametrize(
    ("script", "disposition"),
    [
        ("echo; while :; do sleep 600; done", "ignored"),
        ("trap '' TERM; echo; while :; do sleep 600; done", "ignored"),
        ("trap 'exit 0' TERM; echo; while :; do sleep 600; done", "caught"),
        (f"exec /usr/bin/python3 -ISc '{BLOCKS}'", "blocked"),
    ],
)
def test_process_1_hears_only_what_it_has_asked_for(script: str, disposition: str) -> None:
    process = namespaced(script)
    try:
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        until(lambda: sigterm_disposition(int(child)) == disposition)  # a shell blocks everything while it forks
        assert sigterm_disposition(process.pid) == "caught"  # no process 1: the kernel ends it
    finally:
        process.kill()
        process.wait()


def test_a_deaf_process_1_is_not_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    process = namespaced("echo; while :; do sleep 600; done")
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    row = {"netns": "default_web", "restart_policy": "Always", "containers": {"web": {}}}
    host.service("web").mkdir()
    (host.service("web") / "status").write_text(f'{{"child-pid": {child}}}')
    monkeypatch.setattr(termination, "DEFAULT_GRACE", 3600.0)
    waiting = threading.Thread(target=termination.terminate_all, args=([(row, "web")],), daemon=True)
    waiting.start()
    waiting.join(TIMEOUT)
    assert not waiting.is_alive()
    process.wait(TIMEOUT)


# --- waiting -----------------------------------------------------------------------------------------


def test_a_cancellation_is_not_lost_though_the_result_has_come() -> None:
    """As ``asyncio.wait_for`` loses it: a probe would go on after its container."""

    async def scene() -> bool:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def wait_for_it() -> None:
            await answer

        task = asyncio.create_task(waiting.before(waiting.NEVER, wait_for_it()))
        await asyncio.sleep(0.01)
        answer.set_result(None)
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(scene())


def test_what_can_be_read_is_not_too_late_though_the_time_is_over() -> None:
    async def scene(fds: list[int]) -> list[bool]:
        return await asyncio.gather(*(waiting.readable(fd, 0.0) for fd in fds))

    pipes = [os.pipe() for _ in range(200)]
    for _, writing in pipes:
        os.write(writing, b"x")
    try:
        assert asyncio.run(scene([reading for reading, _ in pipes])) == [True] * 200
    finally:
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)


# --- robustness --------------------------------------------------------------------------------------


def test_nobody_enters_a_root_that_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "bwrap").symlink_to("/usr/bin/sleep")
    for name, expected in (("bwrap", False), ("sleep", True)):
        program = str(tmp_path / "bwrap") if name == "bwrap" else "/usr/bin/sleep"
        process = subprocess.Popen([program, "600"])
        try:
            until(lambda process=process, name=name: Path(f"/proc/{process.pid}/comm").read_text() == f"{name}\n")
            (tmp_path / "status").write_text(f'{{"child-pid": {process.pid}}}\n')
            assert (s6.running(str(tmp_path)) == process.pid) is expected
            (tmp_path / "status").write_text(f'{{"child-pid": {process.pid}}}\n{{"exit-code": 0}}\n')
            assert s6.running(str(tmp_path)) is None
        finally:
            process.kill()
            process.wait()


def test_rubbish_harms_nobody_else(host: Host) -> None:
    for name, text in (
        ("a", ""),
        ("b", "[]"),
        ("c", '{"containers": 1}'),
        ("d", '{"netns": "default_web"}'),
        ("e", "\xff{"),
    ):
        (host.pods / name).mkdir()
        (host.pods / name / "pod.json").write_text(text)
    (host.pods / "empty").mkdir()
    (host.pods / "file").touch()
    host.start()
    until(lambda: b"b/pod.json" in (host.path / "errors").read_bytes())
    row = host.add(web=(SLEEP, {"readiness": probe(exec=["test", "-e", f"{host.path}/good"])}))
    (host.service("web") / "health").write_text("[1")
    (host.pods / "default_web" / "events").write_text('nonsense\n{"time": 1}\n[]\n')
    until(lambda: b"[1" not in (host.service("web") / "health").read_bytes())
    half = {**row, "netns": "default_half", "containers": {"c": {"readiness": {"exec": ["true"]}}}}
    (host.pods / "default_half").mkdir()
    host.service("c", "default_half").mkdir()
    (host.service("c", "default_half") / "status").write_text(f'{{"child-pid": {os.getpid()}}}')
    host.write(half)
    until(lambda: b"initial_delay" in (host.path / "errors").read_bytes())
    (host.path / "good").touch()
    until(lambda: host.health("web")["ready"])


def test_a_pod_that_goes_takes_its_probes_along(host: Host) -> None:
    def asking(name: str) -> dict[str, Any]:
        return {"readiness": probe(exec=["sh", "-c", f"echo x >>{host.path}/{name}"])}

    host.add(web=(SLEEP, asking("gone")))
    host.start()
    until(lambda: host.words("gone"))
    (host.pods / "default_web" / "pod.json").unlink()
    host.add("default_other", web=(SLEEP, asking("other")))
    until(lambda: host.words("other"))  # so it has looked since
    gone, other = len(host.words("gone")), len(host.words("other"))
    until(lambda: len(host.words("other")) > other + 5)
    assert len(host.words("gone")) == gone


def test_sighup_does_no_harm_and_sigterm_ends_it_with_its_children(host: Host) -> None:
    hang = ["sh", "-c", f"echo $$ >>{host.path}/child; exec sleep 600"]
    host.start()
    assert host.kubelet
    host.add(web=(SLEEP, {"readiness": probe(exec=hang, timeout=600)}))
    host.kubelet.send_signal(signal.SIGHUP)
    until(lambda: host.words("child"))
    host.stop()
    assert host.kubelet.returncode == 0
    until(lambda: not is_alive(int(host.words("child")[0])))
    assert host.pid("web")  # and nothing has happened to the containers


ENDED_WHILE_IT_STARTS_A_COMMAND = f"""
import os, signal, sys
sys.path.append({str(PACKAGE.parent)!r})
from kubelet.node import main

spawn, child = os.posix_spawn, os.environ["PODLAB_RUN"] + "/child"

def spawn_and_be_told_to_end(*args, **rest):
    pid = spawn(*args, **rest)
    while not (os.path.exists(child) and os.path.getsize(child)):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    return pid

os.posix_spawn = spawn_and_be_told_to_end
main()
"""


def test_sigterm_ends_the_command_that_is_being_started_as_well(host: Host) -> None:
    """The signal comes when there is a process, and the kubelet has not yet heard its pid."""
    host.add(web=(SLEEP, {"readiness": probe(exec=["sleep", "600"], timeout=600)}))
    (host.service("web") / "enter").write_text(f"#!/bin/sh\necho $$ >>{host.path}/child\n{SLEEP}\n")
    process = host.popen("/usr/bin/python3", "-ISc", ENDED_WHILE_IT_STARTS_A_COMMAND)
    assert process.wait(TIMEOUT) == 0
    until(lambda: not is_alive(int(host.words("child")[0])))


def test_a_hundred_and_ten_probed_containers_fit_into_15_mib(host: Host) -> None:
    """Of its own: what it has of the interpreter's file is everybody's, and more of it with each newer Python."""
    # Whom nobody hangs up on stays in the listener's queue; if that were full, liveness would fail and end the sleep.
    with listener() as silent, listener(b"") as polite, subprocess.Popen(["sleep", "600"]) as sleep:
        try:
            for number in range(110):
                netns = f"default_web-{number}"
                row = {
                    "netns": netns,
                    "restart_policy": "Always",
                    "object": {"spec": ["x" * 1000]},
                    "containers": {
                        "web": {
                            "liveness": probe(tcp={"host": "127.0.0.1", "port": polite}, period=1),
                            "readiness": probe(http={"host": "127.0.0.1", "port": silent}, period=1, timeout=3),
                        }
                    },
                }
                (host.pods / netns).mkdir()
                service = host.service("web", netns)
                service.mkdir()
                (service / "status").write_text(f'{{"child-pid": {sleep.pid}}}')
                host.write(row)
            host.start()
            assert host.kubelet
            names = [f"default_web-{number}" for number in range(110)]
            until(lambda: all(host.health("web", netns).get("liveness") for netns in names))
            until(lambda: all(host.health("web", netns).get("readiness") for netns in names))
            text = Path(f"/proc/{host.kubelet.pid}/status").read_text()
            own = int(next(line for line in text.splitlines() if line.startswith("RssAnon")).split()[1])
            assert own < 15 * 1024
        finally:
            sleep.kill()


# --- events ------------------------------------------------------------------------------------------


def test_equal_events_are_counted_and_the_oldest_are_forgotten(host: Host) -> None:
    (host.pods / "p").mkdir()
    for message in ("a", "b", "a", "a"):
        record_event("p", "c", "Warning", "Unhealthy", message)
    record_event("p", "other", "Warning", "Unhealthy", "a")
    found = host.events("p")
    assert [(event["message"], event["container"], event.get("count")) for event in found] == [
        ("b", "c", None),
        ("a", "c", 3),
        ("a", "other", None),
    ]
    assert found[1]["first"] <= found[0]["time"] <= found[1]["time"]
    for number in range(200):
        record_event("p", "c", "Normal", "Started", str(number))
    assert [event["message"] for event in host.events("p")] == [str(number) for number in range(100, 200)]
    record_event("gone", "c", "Normal", "Started", "x")  # and nobody minds


# --- what is asked -----------------------------------------------------------------------------------


def asked(handler: dict[str, Any], timeout: float = TIMEOUT) -> tuple[bool, str]:
    result = asyncio.run(run_probe("/nowhere", 1, handler, time.monotonic() + timeout))  # type: ignore[arg-type]
    return result.ok, result.message


def get(port: int, **rest: Any) -> dict[str, Any]:
    return {"http": {"host": "127.0.0.1", "port": port, "path": "/healthz", "scheme": "HTTP", "headers": [], **rest}}


@contextlib.contextmanager
def server(status: int = 200, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answers every request with a status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"x" * 100000)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        if tls:
            found.socket = tls.wrap_socket(found.socket, server_side=True)
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found.server_address[1]
        found.shutdown()


@contextlib.contextmanager
def listener(answer: bytes | None = None) -> Iterator[int]:
    """Takes every connection; says nothing, or these bytes and good-bye."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        if answer is not None:

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        peer = sock.accept()[0]
                        peer.recv(4096)
                        peer.sendall(answer)
                        peer.close()

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
        yield sock.getsockname()[1]
        if answer is not None:
            sock.shutdown(socket.SHUT_RDWR)  # or it would go on to accept, at worst for the next socket of this number
            thread.join()


@contextlib.contextmanager
def talker(*answers: bytes, host: str = "127.0.0.1", hold: bool = False) -> Iterator[int]:
    """Gives these answers, one a connection, the last one again and again; requests are kept in ``heard``.

    :param hold: it leaves its connections open.
    """
    heard.clear()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=64) as sock, contextlib.ExitStack() as kept:

        def serve() -> None:
            left = list(answers)
            with contextlib.suppress(OSError):
                while True:
                    peer = sock.accept()[0]
                    request = b""
                    while not request.endswith(b"\r\n\r\n") and (more := peer.recv(65536)):
                        request += more
                    heard.append(request.decode(errors="surrogateescape"))
                    port = str(sock.getsockname()[1]).encode()
                    peer.sendall((left.pop(0) if len(left) > 1 else left[0]).replace(b"PORT", port))
                    kept.enter_context(peer) if hold else peer.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield sock.getsockname()[1]
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()


heard: list[str] = []
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def to(location: str, code: int = 302, body: str = "") -> bytes:
    return f"HTTP/1.1 {code} X\r\nLocation: {location}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def targets() -> list[str]:
    return [request.split("\r\n")[0].removeprefix("GET ").removesuffix(" HTTP/1.1") for request in heard]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, (True, "")),
        (204, (True, "")),
        (302, (True, "Probe terminated redirects, Response body: ")),
        (304, (True, "Probe terminated redirects, Response body: ")),
        (399, (True, "Probe terminated redirects, Response body: ")),
        (101, (False, "HTTP probe failed with statuscode: 101")),
        (400, (False, "HTTP probe failed with statuscode: 400")),
        (500, (False, "HTTP probe failed with statuscode: 500")),
        (999, (False, "HTTP probe failed with statuscode: 999")),
    ],
)
def test_the_status_of_an_http_answer_decides(status: int, answer: tuple[bool, str]) -> None:
    with talker(f"HTTP/1.0 {status} So\r\n\r\n".encode()) as port:
        assert asked(get(port)) == answer


# What Go's url.Parse, URL.String and Request.write make of them.
TARGETS = {
    "/app?deep=1&q=%7Bx%7D": "/app?deep=1&q=%7Bx%7D",
    "/app#/status": "/app",
    "/50%": "/50%25",
    "/two words": "/two%20words",
    "//x": "/",
    "//x/y": "/y",
    "///x": "///x",
    "//x:y/z": "//x:y/z",
    "a b?c d": "/a%20b?c d",  # a query goes as it stands, and most servers refuse this one
    "%zz": "/%25zz",
    "/%zz?q": "/%25zz%3Fq",
    "/\u00fc": "/%C3%BC",
    "/a%c3%bc(b)": "/a%c3%bc(b)",
    "/a(b) %7e": "/a%28b%29%20~",
    "": "/",
    "ready": "/ready",
    "?q=1": "/?q=1",
    "/x?": "/x?",
    "*": "/*",
    "/a;b,c:d@e$f&g=h+i": "/a;b,c:d@e$f&g=h+i",
    "/a|b^c`d": "/a%7Cb%5Ec%60d",
    "/tab\there": "/tab%09here",
    "http://other:90/path?q": "/path?q",
    "/a:b": "/a:b",
    ":80/x": "/:80/x",
    "0a:b/c": "/0a:b/c",
}


@pytest.mark.parametrize("path", TARGETS)
def test_a_path_is_read_as_a_url(path: str) -> None:
    with talker(OK) as port:
        assert asked(get(port, path=path)) == (True, "")
        assert targets() == [TARGETS[path]]
        assert f"Host: 127.0.0.1:{port}\r\n" in heard[0]


def test_a_path_with_another_scheme_has_no_host() -> None:
    assert asked(get(80, path="web:8080/x")) == (False, 'Get "http:8080/x": http: no Host in request URL')


def test_a_path_may_have_a_user() -> None:
    with talker(b"HTTP/1.1 500 X\r\n\r\n") as port:
        asked(get(port, path="http://me:secret@x/y"))
        assert "\r\nAuthorization: Basic bWU6c2VjcmV0\r\n" in heard[0]
    assert asked(get(1, path="http://me:secret@x/y"))[1].startswith('Get "http://me:***@127.0.0.1:1/y": dial tcp')


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/next?a=b", "/next?a=b"),
        ("next", "/deep/next"),
        ("../x/./y", "/x/y"),
        ("?q", "/deep/path?q"),
        ("http://127.0.0.1:PORT", "/"),
        ("//127.0.0.1:PORT/a b", "/a%20b"),
    ],
)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_followed(location: str, target: str, code: int) -> None:
    with talker(to(location, code), b"HTTP/1.1 503 X\r\n\r\n") as port:
        assert asked(get(port, path="/deep/path?x")) == (False, "HTTP probe failed with statuscode: 503")
        assert targets() == ["/deep/path?x", target]
        assert f"\r\nReferer: http://127.0.0.1:{port}/deep/path?x\r\n" in heard[1]


def test_a_redirect_to_another_host_is_a_success_with_a_warning(host: Host) -> None:
    with talker(to("http://192.0.2.1/login", body="Found")) as port:
        words = "Probe terminated redirects, Response body: Found"
        assert asked(get(port)) == (True, words)
        host.add(web=(SLEEP, {"readiness": probe(**get(port)), "liveness": probe(**get(port))}))
        host.start()
        until(lambda: len(host.told("ProbeWarning")) == 2)
        assert sorted(host.told("ProbeWarning")) == [
            f"Liveness probe warning: {words}",
            f"Readiness probe warning: {words}",
        ]
        assert host.told("Unhealthy") == []
        until(lambda: host.health("web")["ready"])
        assert host.health("web")["readiness"] == {"ok": True, "message": ""}


def test_redirects_end() -> None:
    with talker(to("/again")) as port:
        assert asked(get(port)) == (False, 'Get "/again": stopped after 10 redirects')
        assert len(heard) == 10
    with talker(to("http://[x/")) as port:
        message = f"""Get "http://127.0.0.1:{port}/healthz": failed to parse Location header "http://[x/": missing ']' in host"""
        assert asked(get(port)) == (False, message)
    with talker(to("ftp://127.0.0.1/x")) as port:
        assert asked(get(port)) == (False, 'Get "ftp://127.0.0.1/x": unsupported protocol scheme "ftp"')


def test_a_redirect_to_a_port_that_is_none_is_a_failed_try() -> None:
    for port in ("65536", "99999", "9" * 30, "9" * 6000):
        with talker(to(f"http://127.0.0.1:{port}/")) as own:
            fine, message = asked(get(own))
        assert not fine
        assert message.endswith(": invalid port") and "dial tcp: address " in message
    with talker(to("http://127.0.0.1:99999/")) as own:
        words = 'Get "http://127.0.0.1:99999/": dial tcp: address 99999: invalid port'
        assert asked(get(own)) == (False, words)


def test_whatever_goes_wrong_with_a_probe_is_a_failed_try(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise OverflowError("too large")

    monkeypatch.setattr(dial, "connect", broken)
    assert asked(get(1)) == asked({"tcp": {"host": "127.0.0.1", "port": 1}}) == (False, "OverflowError: too large")
    assert "OverflowError: too large" in capfd.readouterr().err


def test_a_host_of_the_manifest_goes_along_with_a_relative_redirect_alone() -> None:
    there = {"headers": [["Host", "web.local"]]}
    with talker(to("/next"), to("http://127.0.0.1:PORT/last"), OK) as port:
        assert asked(get(port, **there)) == (True, "")
        hosts = [line for request in heard for line in request.split("\r\n") if line.startswith("Host")]
        assert hosts == ["Host: web.local", "Host: web.local", f"Host: 127.0.0.1:{port}"]


def test_an_http_probe_says_who_it_is() -> None:
    more = [["x-one", "1"], ["B", "2"], ["X-One", "3"], ["content-length", "5"]]
    with talker(OK) as port:
        assert asked(get(port, headers=more)) == (True, "")
        assert heard[0].split("\r\n")[1:-2] == [
            f"Host: 127.0.0.1:{port}",
            "User-Agent: kube-probe/1.30",
            "Accept: */*",
            "B: 2",
            "X-One: 1",
            "X-One: 3",
            "Connection: close",
        ]
        given = [
            ["host", "web.local"],
            ["Accept", ""],
            ["User-Agent", "me"],
            ["user-agent", "you"],
            ["connection", "close"],
        ]
        asked(get(port, headers=given))
        assert heard[1].split("\r\n")[1:-2] == ["Host: web.local", "User-Agent: me", "Connection: close"]
        asked(get(port, headers=[["User-Agent", ""], ["Host", ""]]))
        assert heard[2].split("\r\n")[1:-2] == [f"Host: 127.0.0.1:{port}", "Accept: */*", "Connection: close"]


CHUNKED = b"HTTP/1.1 302 X\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 302 X\r\nContent-Length: 3\r\n\r\nabcd", (True, "abc")),
        (b"HTTP/1.1 302 X\r\n\r\n" + b"x" * 30_000, (True, "x" * 10_240)),
        (CHUNKED + b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", (True, "abcde")),
        (CHUNKED + b"8000\r\n" + b"x" * 0x4000, (True, "x" * 10_240)),
        (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 302 X\r\n\r\nab", (True, "ab")),
        (b"HTTP/1.1 302\n\nab", (True, "ab")),
        (b"HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\n", (True, None)),
        (b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nab", (False, "unexpected EOF")),
        (CHUNKED + b"3\r\nab", (False, "unexpected EOF")),
        (CHUNKED + b"x\r\nab", (False, "invalid byte in chunk length")),
        (CHUNKED + b"1\r\nabc\r\n", (False, "malformed chunked encoding")),
        (b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n", (False, 'GET BROKEN bad Content-Length "x"')),
        (b"HTTP/1.1 200 X\r\nno header\r\n\r\n", (False, "GET BROKEN malformed MIME header line: no header")),
        (b"HTTP/1.1 200 X\r\nServer: x\r\n", (False, "GET BROKEN unexpected EOF")),
        (b"hello\r\n", (False, 'GET BROKEN malformed HTTP response "hello"')),
        (b"\0\x1b[31m", (False, 'GET BROKEN malformed HTTP response "\0\x1b[31m"')),
        (b"HTTP/1.1 20 OK\r\n", (False, 'GET BROKEN malformed HTTP status code "20"')),
        (b"HTTP/1.1 2000 OK\r\n", (False, 'GET BROKEN malformed HTTP status code "2000"')),
        (b"HTTP/x.y 200 OK\r\n", (False, 'GET BROKEN malformed HTTP version "HTTP/x.y"')),
        (b"", (False, "GET EOF")),
    ],
)
def test_an_answer_is_read_to_its_end(answer: bytes, result: tuple[bool, str | None]) -> None:
    with talker(answer) as port:
        fine, words = result
        get_error, broken = (
            f'Get "http://127.0.0.1:{port}/healthz": ',
            "net/http: HTTP/1.x transport connection broken: ",
        )
        if fine:
            expected = "" if words is None else f"Probe terminated redirects, Response body: {words}"
        else:
            assert words
            expected = words.replace("GET BROKEN ", get_error + broken).replace("GET ", get_error)
        assert asked(get(port)) == (fine, expected)


def _cost(answer: bytes) -> tuple[int, tuple[bool, str]]:
    """How many lines of the program are run for an answer, and the result."""
    lines = 0

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count if frame.f_code.co_filename.startswith(str(PACKAGE)) else None

    with talker(answer) as port:
        sys.settrace(count)
        try:
            result = asked(get(port))
        finally:
            sys.settrace(None)
    return lines, result


def test_the_answer_of_one_pod_keeps_no_other_waiting() -> None:
    """Whose every chunk is a byte may send them; whose chunks hold hardly any data is told so, as by Go."""
    plain, _ = _cost(b"HTTP/1.1 302 X\r\nContent-Length: 3\r\n\r\nabc")
    lines, answer = _cost(CHUNKED + b"1\r\nx\r\n" * 11_000)
    assert answer == (True, f"Probe terminated redirects, Response body: {'x' * 10_240}")
    assert lines < 40 * 10_240 + 10 * plain, "each chunk is decoded once"
    lines, answer = _cost(CHUNKED + (b"1;" + b"a" * 100 + b"\r\nx\r\n") * 9_500)
    assert answer == (False, "chunked encoding contains too much non-data")
    assert lines < 40 * 200 + 10 * plain, "there are 200 chunks until then"
    assert _cost(CHUNKED + b"1;" + b"a" * 1_000_000)[1] == (False, "header line too long")


def test_an_answer_that_is_always_yet_to_come_is_none() -> None:
    with talker(b"HTTP/1.1 100 Go on\r\n\r\n" * 50_000) as port:
        fine, words = asked(get(port))
        assert not fine
        assert words.endswith(": net/http: too many 1xx informational responses")
    with talker(b"HTTP/1.1 100 Go on\r\n\r\n" * 5 + OK) as port:
        assert asked(get(port)) == (True, "")


@pytest.mark.parametrize("answer", [OK, CHUNKED + b"0\r\n\r\n", b"HTTP/1.1 204 X\r\n\r\n"])
def test_nobody_waits_for_a_connection_that_stays_open(answer: bytes) -> None:
    with talker(answer, hold=True) as port:
        assert asked(get(port))[0]


def test_a_body_that_does_not_end_is_an_error(host: Host) -> None:
    words = f"context deadline exceeded {LATE_BODY}"
    with talker(b"HTTP/1.1 200 OK\r\n\r\nand", hold=True) as port:
        host.add(web=(SLEEP, {"readiness": probe(**get(port), timeout=0.3)}))
        host.start()
        until(lambda: host.told("Unhealthy"))
        assert host.told("Unhealthy") == [f"Readiness probe errored and resulted in Failure state: {words}"]
        assert not host.health("web")["ready"]
        assert asked(get(port), timeout=0.1) == (False, words)


def test_a_connection_that_is_reset_is_told_with_its_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def serve() -> None:
            peer = sock.accept()[0]
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.recv(1)
            peer.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = sock.getsockname()[1]
        fine, message = asked(get(port))
        thread.join()
    assert not fine
    assert message.startswith(f'Get "http://127.0.0.1:{port}/healthz": read tcp')
    assert message.endswith(": read: connection reset by peer")


def test_an_address_may_be_one_of_ipv6() -> None:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        port = sock.getsockname()[1]
        assert asked({"tcp": {"host": "::1", "port": port}}) == (True, "")
        sock.close()
        assert asked({"tcp": {"host": "::1", "port": port}}) == (
            False,
            f"dial tcp [::1]:{port}: connect: connection refused",
        )
        with talker(OK, host="::1") as port:
            assert asked(get(port, host="::1")) == (True, "")
            assert f"\r\nHost: [::1]:{port}\r\n" in heard[0]


def test_an_https_probe_believes_any_certificate(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = ["-subj", "/CN=nobody", "-days", "1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with server(503, context) as port:
        assert asked(get(port, scheme="HTTPS")) == (False, "HTTP probe failed with statuscode: 503")
    with server() as port:
        url = f"https://127.0.0.1:{port}/healthz"
        expected = f'Get "{url}": http: server gave HTTP response to HTTPS client'
        assert asked(get(port, scheme="HTTPS")) == (False, expected)


def test_who_does_not_answer_is_told_in_gos_words() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        there, url = f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/healthz"
        refused = f"dial tcp {there}: connect: connection refused"
        assert asked(get(port)) == (False, f'Get "{url}": {refused}')
        assert asked({"tcp": {"host": "127.0.0.1", "port": port}}) == (False, refused)
    with listener() as port:
        url = f"http://127.0.0.1:{port}/healthz"
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        assert asked(get(port), timeout=0.2) == (False, f'Get "{url}": {late}')
        assert asked({"tcp": {"host": "127.0.0.1", "port": port}}) == (True, "")
    with listener(b"") as port:
        assert asked(get(port)) == (False, f'Get "http://127.0.0.1:{port}/healthz": EOF')
    with listener(b"hello\r\n") as port:
        assert asked(get(port))[1].endswith('malformed HTTP response "hello"')
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        port = full.getsockname()[1]
        for _ in range(3):  # until its queue is full: the next one's SYN is dropped
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        late = f"dial tcp 127.0.0.1:{port}: i/o timeout"
        assert asked({"tcp": {"host": "127.0.0.1", "port": port}}, timeout=0.2) == (False, late)
        expected = f'Get "http://127.0.0.1:{port}/healthz": {late} (Client.Timeout exceeded while awaiting headers)'
        assert asked(get(port), timeout=0.2) == (False, expected)


def test_names_are_looked_up_beside_the_rest() -> None:
    with server() as port:
        assert asked(get(port, host="localhost")) == (True, "")
    missing = asked({"tcp": {"host": "no.such.host.invalid", "port": 1}}, timeout=TIMEOUT)
    assert missing == (False, "dial tcp: lookup no.such.host.invalid: no such host")


def test_a_command_that_cannot_be_started_is_a_failure() -> None:
    fine, message = asked({"exec": ["true"]})
    assert not fine and "No such file" in message


def test_sleep_sleeps_no_longer_than_it_may() -> None:
    assert asked({"sleep": 600}, timeout=0.05) == (True, "")
