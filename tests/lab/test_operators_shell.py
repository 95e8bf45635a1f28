"""What the shell of a run has set leaves no trace in what is made; Secrets are root's alone; a run that is killed takes
its workers along."""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podlab.embedded import ENVIRONMENT, Lab, enter

from .conftest import ROOT, TestLab, pod

CANARY = "c4nary-of-the-secret"
WORD = "a-w0rd-of-a-command-line"  # which others see in the list of processes, as on Kubernetes
STRANGER = 12345
EXPECTED = {"PLAIN": "for everybody", "PASSWORD": f'{CANARY} "of\\ two\nlines', "user.name-1": CANARY, "HOME": "/"}

# Everything that another user of the machine, or of a host, can read: command lines and podlab's files.
SEARCH = f"""
import os, sys
os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})
paths = [f"/proc/{{pid}}/{{name}}" for pid in os.listdir("/proc") if pid.isdigit() for name in ("cmdline", "environ")]
for top in sys.argv[1:]:
    found = [f"{{directory}}/{{name}}" for directory, _, names in os.walk(top) for name in names]
    paths += [path for path in found if os.path.isfile(path)]
seen = 0
for path in paths:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        continue
    seen += 1
    if {CANARY[::-1].encode()!r}[::-1] in data:  # this text is a command line, too
        print(path, data[:300])
print("read", seen > 20)
"""


def lab_command(lab: TestLab, *words: str, prefix: tuple[str, ...] = (), **options: object) -> subprocess.Popen[str]:
    environment = lab.environment() | {"ANSIBLE_INVENTORY": str(lab.inventory), "LC_ALL": "xx_YY.UTF-8"}
    settings = {"stdin": subprocess.DEVNULL, "text": True, "env": environment, **options}
    return subprocess.Popen([*prefix, str(ROOT / "lab"), *words], **settings)  # type: ignore[call-overload,no-any-return]


def a_hostile_shell() -> None:
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGQUIT, signal.SIGUSR2])
    os.setpriority(os.PRIO_PROCESS, 0, max(5, os.getpriority(os.PRIO_PROCESS, 0)))  # an ordinary user may not lower it
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def up(lab: TestLab, *words: str, **options: object) -> str:
    """``./lab up``, into a pipe that another program has left non-blocking; what it says."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, encoding="utf-8") as said:
        words = ("up", "--manifests", str(lab.manifests), "--skip-tags", "verify", *words)
        with lab_command(lab, *words, stdout=writing, stderr=writing, **options) as process:
            os.close(writing)
            text = said.read()
    assert process.returncode == 0, text
    return text


@pytest.fixture(scope="module")
def said(lab: TestLab) -> str:
    secret = {"password": EXPECTED["PASSWORD"], "user.name-1": CANARY}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
    shell = {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo 'Grüße'; exec sleep infinity"]}
    check = {"exec": {"command": ["sh", "-c", 'printf %s "$PASSWORD" | cmp - /keys/password']}}
    lab.write(
        keys={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keys"},
            "data": encoded,
            "stringData": {"word": WORD},
        },
        motto={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "motto"}, "data": {"line": "be brief"}},
        modest=pod(
            "modest",
            {
                **shell,
                "env": [
                    {"name": "PLAIN", "value": EXPECTED["PLAIN"]},
                    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
                ],
                "envFrom": [{"secretRef": {"name": "keys"}}],
                "readinessProbe": {**check, "periodSeconds": 1},
                "lifecycle": {"postStart": check},
                "volumeMounts": [
                    {"name": "keys", "mountPath": "/keys"},
                    {"name": "motto", "mountPath": "/etc/motto/deep", "readOnly": True},
                    {"name": "scratch", "mountPath": "/scratch"},
                ],
            },
            nodeName="node1",
            securityContext={} if os.getuid() else {"runAsUser": 4242, "runAsGroup": 4242},
            volumes=[
                {"name": "keys", "secret": {"secretName": "keys"}},
                {"name": "motto", "configMap": {"name": "motto", "items": [{"key": "line", "path": "a/b/line"}]}},
                {"name": "scratch", "emptyDir": {}},
            ],
        ),
        telltale=pod(
            "telltale",
            {
                **shell,
                "command": ["sh", "-c", "sleep infinity # $(KEY)"],
                "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "word"}}}],
            },
            nodeName="node2",
        ),
    )
    return up(lab, "-v", preexec_fn=a_hostile_shell)


def run(lab: TestLab, *words: str) -> str:
    with lab_command(lab, *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        text = process.stdout.read()
    assert process.returncode == 0, text
    return text


def facts_of(text: str) -> dict[str, str]:
    return dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)


# --- what is made -----------------------------------------------------------------------------------------


def test_neither_umask_nor_signals_nor_priority_reach_a_container(said: str, lab: TestLab) -> None:
    first = run(lab, "exec", "modest", "--", "sh", "-c", "cat /proc/1/status; nice")
    assert {key: int(facts_of(first)[key], 16) for key in ("SigIgn", "SigBlk", "Umask")} == {
        "SigIgn": 0,
        "SigBlk": 0,
        "Umask": 0x22,
    }
    assert lab.sh("node1", "ps -o ni= -C s6-svscan").strip() == "0" or os.getuid()
    limit = lab.sh("node1", "grep 'open files' /proc/$(pgrep -x s6-svscan)/limits").split()
    assert limit[3] == limit[4] != "512"
    with lab_command(
        lab, "exec", "modest", "--", "cat", "/proc/self/status", stdout=subprocess.PIPE, preexec_fn=a_hostile_shell
    ) as second:
        facts = facts_of(second.communicate()[0])
    assert {key: int(facts[key], 16) for key in ("SigIgn", "SigBlk", "Umask")} == {
        "SigIgn": 0,
        "SigBlk": 0,
        "Umask": 0x22,
    }


def test_the_umask_of_a_run_hides_nothing_from_a_pods_user(said: str, lab: TestLab) -> None:
    files = "/etc/hosts /etc/resolv.conf /etc/hostname /etc/passwd /etc/motto/deep/a/b/line /keys/password"
    script = (
        f"cat {files} >/dev/null && echo x >/tmp/x && echo x >/scratch/x && echo x >/dev/shm/x && stat -c %a /tmp/x"
    )
    assert run(lab, "exec", "modest", "--", "sh", "-c", script) == "644\n"


def test_a_locale_that_the_machine_lacks_is_none_of_our_business(said: str, lab: TestLab) -> None:
    assert run(lab, "logs", "modest") == "Grüße\n"


def test_closed_streams_are_no_obstacle(said: str, lab: TestLab) -> None:
    with lab_command(lab, "get", "pods", prefix=("sh", "-c", 'exec "$@" <&- 2>&-', "sh")) as process:
        assert process.wait() == 0


def test_a_container_its_probes_and_exec_have_the_environment_of_the_manifest(said: str, lab: TestLab) -> None:
    """It is ready, so hook and probe have seen the same."""
    words = run(lab, "exec", "modest", "--", "env", "-0").split("\0")
    found = dict(word.split("=", 1) for word in words if word)
    wanted = EXPECTED | {"HOSTNAME": "modest", "TERM": "xterm", **({"HOME": "/root"} if os.getuid() else {})}
    assert {key: found.get(key) for key in wanted} == wanted
    assert set(found) - set(wanted) == {"PATH", "password", "word"}
    assert "modest 1/1 Running" in " ".join(run(lab, "get", "pods").split())


# --- Secrets ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.getuid() != 0, reason="who is nobody else cannot become somebody else")
def test_nobody_else_reads_a_secret(said: str, lab: TestLab) -> None:
    search = ["/usr/bin/python3", "-c", SEARCH]
    for host in ("node1", "node2"):
        words = lab.on(host, *search, "/run", "/var/lib/podlab", "/var/log", "/tmp", "/etc")
        assert words.splitlines()[-1] == "read True"
        assert words.splitlines()[:-1] == []
    machine = subprocess.run(search, capture_output=True, text=True, check=True).stdout
    assert machine.splitlines()[:-1] == []


def test_a_run_does_not_show_a_secret_either(said: str, lab: TestLab) -> None:
    assert "sleep infinity # $(KEY)" in said
    assert CANARY not in said
    assert WORD not in said
    assert CANARY not in run(lab, "describe", "pod", "modest")


# --- the end of a run -------------------------------------------------------------------------------------


def descendants(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [found for child in map(int, children) for found in (child, *descendants(child))]
    return []


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


@contextlib.contextmanager
def held(lab: TestLab, host: str) -> Iterator[None]:
    """While this lasts, a module that changes anything waits on the host, as it does for another run."""
    lock = [*enter(Lab(str(ROOT), lab.name).hosts()[host]), "flock", "/run", "sh", "-c", "echo held; exec cat"]
    pipe = subprocess.PIPE
    with subprocess.Popen(lock, stdin=pipe, stdout=pipe, env=ENVIRONMENT, text=True) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield
        holder.stdin.close()


@pytest.mark.parametrize(("plain", "ending"), [(False, signal.SIGHUP), (True, signal.SIGKILL)])
def test_a_run_that_is_killed_takes_its_workers_along(
    said: str, lab: TestLab, ending: signal.Signals, plain: bool
) -> None:
    lab.sh("node1", "ip link set cbr0 mtu 1400")  # so that there is something to do
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with held(lab, "node1"):
        if plain:
            argv = ["ansible-playbook", "-i", str(lab.inventory), "-e", f"podlab_manifests={lab.manifests}", "site.yml"]
            process = subprocess.Popen(argv, cwd=ROOT, env=lab.environment(), stdin=subprocess.DEVNULL, **quiet)
        else:
            process = lab_command(lab, "up", "--manifests", str(lab.manifests), **quiet)
        pids: list[int] = []

        def waits_for_the_lock() -> bool:
            pids[:] = descendants(process.pid)
            return _blocked(pids)

        wait_for(waits_for_the_lock)
        process.send_signal(ending)
        process.wait()
        wait_for(lambda: not [pid for pid in pids if _alive(pid)], 20.0)


def test_the_next_run_does_what_they_have_left(said: str, lab: TestLab) -> None:
    assert "ip link set cbr0 mtu 1500" in lab.converge("--skip-tags", "verify")
    assert run(lab, "exec", "modest", "--", "true") == ""


def _blocked(pids: list[int]) -> bool:
    """/proc/locks has a line with an arrow for whoever waits."""
    waiting = [line.split() for line in _text(Path("/proc/locks")).splitlines() if "->" in line]
    return any(words[5] in map(str, pids) for words in waiting)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    return _text(Path(f"/proc/{pid}/stat")).rpartition(") ")[2][:1] not in ("", "Z", "X")
