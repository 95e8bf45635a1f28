"""What lives on this host right now: podlab's record, its pods, and how each of their containers fares.

A program in one file: ``./lab`` pipes its text to ``/usr/bin/python3 -IS -`` on every host, which costs a
fraction of a module call. So it knows the standard library alone; a unit test holds its paths against those
of ``changes``. It tells facts; what they mean in Kubernetes' words is worked out by the asker. With the arguments
``events NETNS`` it tells what has happened to one pod instead: a list, the oldest first; with ``all-events``, of every
pod. With ``pause NETNS`` it tells the pid of the process that holds the pod's namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

# Every host starts this anew: a third of its time would go into importing typing, subprocess and shutil.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...records.observation import Answer, System
    from ...records.pod_config import Ended, Facts

RECORD = "/var/lib/podlab/record.json"
PODS = "/run/podlab/pods"
SCAN_DIR = "/run/podlab/services"
RUN = "/run/podlab"
REBOOTED = "/run/podlab/rebooted"
STAND_IN = "podlab-stand-in\n"
PAUSE = ("catatonit", "-P", "podlab-pod")  # and the name of the network namespace


def status() -> Answer:
    """The whole answer. Times are seconds since the epoch, pids are this host's."""
    born = _begins()
    names = sorted(os.listdir(PODS)) if os.path.isdir(PODS) else []
    rows = [(netns, row) for netns in names if (row := _json(f"{PODS}/{netns}/pod.json")) is not None]
    return {
        "record": (record := _json(RECORD)),
        "rebooted": record is not None and (not os.path.isdir(RUN) or os.path.exists(REBOOTED)),
        "system": system(),
        "pods": [
            {
                "row": row,
                "started": born.get(netns),
                "containers": {name: container(f"{SCAN_DIR}/{netns}.{name}") for name in _containers(row)},
            }
            for netns, row in rows
        ],
    }


def container(service: str) -> Facts:
    """How a supervised process fares: ``pid`` is None unless it runs, ``last`` how it ended before, if it did."""
    last = ended(service)
    pid = running(service)
    started = None
    if pid is not None:
        with contextlib.suppress(OSError):
            started = os.stat(f"{service}/started").st_mtime
    return {
        "pid": pid,
        "started": started,
        "restarts": next(iter(_numbers(f"{service}/restarts")), 0),
        "last": last,
        # The wait before the start after the next: 10 means that this one does not wait at all.
        "backoff": next(iter(_numbers(f"{service}/backoff")), 0),
        # What the kubelet has found out, if it looks after this one; its ``pid`` says about which start.
        "health": _object(f"{service}/health"),
        "stand_in": pid is not None and _text(f"/proc/{pid}/comm") == STAND_IN,
        "down": os.path.exists(f"{service}/down"),
        "failed": _object(f"{service}/failed"),  # its pod, and why
        "seen": time.time(),  # when this was looked at, on this host's clock
    }


def ended(directory: str) -> Ended | None:
    """How a container ended last, by the file of its service directory, or by the one beside its logs."""
    numbers = _numbers(f"{directory}/last")[:4]
    if len(numbers) < 4:
        return None
    exit_code, signal, began, end = numbers
    return {"exit": exit_code, "signal": signal, "started": began, "ended": end}


def events(netns: str) -> list[dict[str, Any]]:
    """What the kubelet has told of a pod. One that happened again has ``count`` and ``first``, its first time."""
    found = []
    for line in _text(f"{PODS}/{netns}/events").splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [event for event in found if isinstance(event, dict)]


def all_events() -> dict[str, list[dict[str, Any]]]:
    """The same of every pod that something has happened to."""
    names = sorted(os.listdir(PODS)) if os.path.isdir(PODS) else []
    return {netns: found for netns in names if (found := events(netns))}


def running(service: str) -> int | None:
    """Pid of the container's process 1, from what bubblewrap reported: first its pid, in the end its exit code."""
    facts: dict[str, Any] = {}
    for line in _text(f"{service}/status").splitlines():
        with contextlib.suppress(ValueError, TypeError):
            facts.update(json.loads(line))
    pid = facts.get("child-pid")
    return pid if isinstance(pid, int) and pid and "exit-code" not in facts and os.path.isdir(f"/proc/{pid}") else None


def system() -> System:
    """What ``kubectl get nodes -o wide`` tells of the host itself."""
    release = dict(line.split("=", 1) for line in _text("/etc/os-release").splitlines() if "=" in line)
    return {
        "os": release.get("PRETTY_NAME", "").strip('"'),
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "runtime": "://".join(_output("bwrap", "--version").split()[:2]),
    }


def _output(*argv: str) -> str:
    """What a program prints, or nothing if there is no such program."""
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    except OSError:
        return ""
    finally:
        os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


def pauses() -> dict[str, int]:
    """Pause processes of this host: network namespace's name -> pid."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        argv = command_line(pid)
        if tuple(argv[:-1]) == PAUSE and _is_of_this_host(pid, argv):
            found[argv[-1]] = int(pid)
    return found


def _is_of_this_host(pid: str, argv: list[str]) -> bool:
    """Known by its place among the processes, as whoever is in a container may call itself what it likes: it is in the
    PID namespace of this host, or for a pod that shares its processes a child of the unshare(1) that has made them
    theirs, which is. A lab's pauses are seen from outside as well, and are not ours."""
    if _is_in_our_pid_namespace(pid):
        return True
    parent = next(
        (line.split()[1] for line in _text(f"/proc/{pid}/status").splitlines() if line.startswith("PPid:")), "0"
    )
    makes = ["unshare", f"--pid={PODS}/{argv[-1]}/pid", "--fork", *argv]
    return command_line(parent) == makes and _is_in_our_pid_namespace(parent)


def command_line(pid: str | int) -> list[str]:
    """The words of a process, empty if there is none. No more than the first 64 KiB: any process may say that its
    arguments lie in a mapping of terabytes (prctl(2), PR_SET_MM_MAP), which the kernel then reads out without end."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(1 << 16).decode(errors="replace").removesuffix("\0").split("\0")
    except OSError:
        return []


def _is_in_our_pid_namespace(pid: str) -> bool:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino == os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return False


def _begins() -> dict[str, float]:
    """Pods whose pause process lives: network namespace's name -> when it was started."""
    booted = next(int(line.split()[1]) for line in _text("/proc/stat").splitlines() if line.startswith("btime"))
    found = {}
    for netns, pid in pauses().items():
        if line := _text(f"/proc/{pid}/stat"):
            ticks = int(line.rpartition(")")[2].split()[19])  # proc(5): field 22, starttime
            found[netns] = booted + ticks / os.sysconf("SC_CLK_TCK")
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _containers(row: Any) -> list[str]:
    """Their names, as far as the row is one: what is wrong with it the asker says."""
    found = row.get("containers") if isinstance(row, dict) else None
    return list(found) if isinstance(found, dict) else []


def _numbers(path: str) -> list[int]:
    """What the supervisor's scripts write; nothing where somebody else has written."""
    try:
        return [int(word) for word in _text(path).split()]
    except ValueError:
        return []


def _json(path: str) -> Any:
    """What stands in a file: None without one, and an empty text where it is no JSON."""
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError):
        return "" if os.path.exists(path) else None


def _object(path: str) -> Any:
    """The same of a JSON object; None for anything else."""
    found = _json(path)
    return found if isinstance(found, dict) else None


ANSWERS: dict[str, Any] = {
    "events": events,
    "all-events": all_events,
    "pause": lambda netns: pauses().get(netns),
}

if __name__ == "__main__":
    json.dump(ANSWERS[sys.argv[1]](*sys.argv[2:]) if sys.argv[1:] else status(), sys.stdout)
