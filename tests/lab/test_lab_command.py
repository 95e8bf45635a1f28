"""``./lab`` as a person uses it, on a lab of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import preforked

from .conftest import ROOT, TestLab, pod

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(lab: TestLab) -> Run:
    """``run("get", "pods")``: the command over this lab's inventory."""

    def call(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = lab.environment() | {"ANSIBLE_INVENTORY": str(lab.inventory)}
        if words[0] in ("get", "describe") and not options:
            return preforked.look(words, environment)
        settings = {"capture_output": True, "text": True, "check": False, "env": environment, **options}
        return subprocess.run([str(ROOT / "lab"), *words], **settings)  # type: ignore[call-overload,no-any-return]

    return call


@pytest.fixture(scope="module", autouse=True)
def lit(lab: TestLab, run: Run) -> subprocess.CompletedProcess[str]:
    """What ``./lab up`` says. The sample, and pods that fare badly."""
    busybox = {"name": "main", "image": "busybox"}
    env = [{"name": "A", "value": "b  'c"}]
    lab.write(
        **{file.stem: file.read_text() for file in (ROOT / "manifests").glob("*.yml")},
        once=pod("once", {**busybox, "command": ["sh", "-c", "echo done"]}, restartPolicy="Never"),
        crash=pod("crash", {**busybox, "command": ["sh", "-c", "echo born; sleep 1; exit 3"]}),
        odd=pod(
            "odd",
            {**busybox, "command": ["sleep", "1000"], "workingDir": "/srv/x", "env": env},
        ),
        steps=pod(
            "steps",
            {
                **busybox,
                "command": ["sleep", "1000"],
                "readinessProbe": {"exec": {"command": ["test", "-e", "/data/made"]}, "periodSeconds": 1},
                "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "key", "key": "p"}}}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            },
            initContainers=[
                {
                    **busybox,
                    "name": "setup",
                    "command": ["sh", "-c", "echo set up; touch /data/made"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            volumes=[{"name": "data", "emptyDir": {}}],
        ),
        door={
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "door"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000, "targetPort": "http"}]},
        },
        key={"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"p": "hunter2"}},
        agent={
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "agent"},
            "spec": {
                "selector": {"matchLabels": {"app": "agent"}},
                "template": {
                    "metadata": {"labels": {"app": "agent"}},
                    "spec": {"containers": [{**busybox, "command": ["sleep", "1000"]}]},
                },
            },
        },
    )
    off = run("get", "pods", cwd=ROOT)
    assert (off.returncode, off.stderr) == (1, "the lab is off; ./lab up starts it\n")
    done = run("up", "--manifests", str(lab.manifests), "--skip-tags", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_up_ends_with_nodes_pods_and_three_things_that_work(lit: subprocess.CompletedProcess[str], run: Run) -> None:
    page = lit.stdout[lit.stdout.index("\nNAME") :]
    assert re.search(r"^node1 +Ready .*10\.100\.0\.2 ", page, re.MULTILINE)
    assert re.search(r"^default +toolbox +1/1 +Running .* node2 ", page, re.MULTILINE)
    lines = page[page.index("Try next") :].splitlines()[1:]
    assert len(lines) == 3
    for line in lines[:2]:  # the third waits for more
        done = run(*line.split()[1:])
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_get(run: Run) -> None:
    found = json.loads(run("get", "pods", "-o", "json").stdout)
    pods = {item["metadata"]["name"]: item for item in found["items"]}
    pair = pods["pair"]
    assert (pair["status"]["phase"], pair["spec"]["nodeName"], pair["status"]["hostIP"]) == (
        "Running",
        "node1",
        "10.100.0.2",
    )
    assert run("exec", "pair", "-c", "client", "--", "hostname", "-i").stdout.split() == [pair["status"]["podIP"]]
    assert pods["once"]["status"]["phase"] == "Succeeded"
    assert [line.split()[:3] for line in run("get", "po", "once", "toolbox", "--no-headers").stdout.splitlines()] == [
        ["once", "0/1", "Completed"],
        ["toolbox", "1/1", "Running"],
    ]
    assert run("get", "deploy", "web", "--no-headers").stdout.split()[:4] == ["web", "2/2", "2", "2"]
    assert len(run("get", "pods", "-l", "app=web", "-o", "name").stdout.split()) == 2
    assert "nodeName: node2" in run("get", "pod", "toolbox", "-o", "yaml").stdout
    empty = run("get", "pods", "-n", "kube-system")
    assert (empty.returncode, empty.stderr) == (0, "No resources found in kube-system namespace.\n")
    missing = run("get", "pods", "nope")
    assert (missing.returncode, missing.stderr) == (1, 'Error from server (NotFound): pods "nope" not found\n')


def test_get_of_every_kind(run: Run) -> None:
    def rows(*words: str) -> list[list[str]]:
        return [line.split() for line in run("get", *words, "--no-headers").stdout.splitlines()]

    ((name, *counts),) = rows("rs")
    assert name.startswith("web-") and counts[:3] == ["2", "2", "2"]
    assert rows("ds")[0][:7] == ["agent", "2", "2", "2", "2", "2", "<none>"]
    assert rows("secret", "key")[0][:3] == ["key", "Opaque", "1"]
    every = run("get", "all", "-o", "name").stdout.split()
    assert {"pod/toolbox", "daemonset.apps/agent", "deployment.apps/web", f"replicaset.apps/{name}"} <= set(every)
    owner = json.loads(run("get", "pods", "-l", "app=web", "-o", "json").stdout)["items"][0]["metadata"]
    assert owner["ownerReferences"][0]["name"] == name


def test_describe(lab: TestLab, run: Run) -> None:
    page = run("describe", "pod", "steps").stdout
    assert re.search(r"^    State:          Terminated\n      Reason:       Completed$", page, re.MULTILINE)
    assert "<set to the key 'p' in secret 'key'>" in page
    assert "hunter2" not in page
    # What it says one may look at is there.
    commands = re.findall(r"^    \./lab (node .*)$", page, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        done = run(*shlex.split(command))
        assert done.returncode == 0 and done.stdout, (command, done.stderr)
    assert run("describe", "pods").stdout.count("\nPodlab:\n") >= 7
    assert "Non-terminated Pods:" in run("describe", "node", "node1").stdout
    assert "2 desired | 2 updated | 2 total | 2 available" in run("describe", "deploy/web").stdout
    missing = run("describe", "pod", "nope")
    assert (missing.returncode, missing.stderr) == (1, 'Error from server (NotFound): pods "nope" not found\n')


def test_exec_passes_input_output_environment_and_exit_code_through(run: Run) -> None:
    block = bytes(range(256)) * 1000
    assert run("exec", "-i", "toolbox", "--", "cat", input=block, text=False).stdout == block
    assert run("exec", "toolbox", "--", "cat", input="not for you").stdout == ""
    assert run("exec", "toolbox", "--", "sh", "-c", "echo to >&2; exit 7").returncode == 7
    inside = run(
        "exec", "odd", "--", "sh", "-c", 'pwd; echo "$A"; readlink /proc/$$/exe; grep CapBnd /proc/self/status'
    )
    assert inside.stdout.splitlines()[:3] == ["/srv/x", "b  'c", "/usr/bin/busybox"]
    assert inside.stdout.splitlines()[3].split()[1] == "00000000a80425fb"  # containerd's default, no more
    chosen = run("exec", "pair", "--", "true")
    assert chosen.stderr == 'Defaulted container "server" out of: server, client\n'
    assert run("exec", "deploy/web", "--", "hostname").stdout.startswith("web-")


def test_exec_speaks_kubectls_words(run: Run) -> None:
    assert run("exec", "nope", "--", "ls").stderr == 'Error from server (NotFound): pods "nope" not found\n'
    ended = run("exec", "once", "--", "ls")
    assert (ended.returncode, ended.stderr) == (
        1,
        "error: cannot exec into a container in a completed pod; current phase is Succeeded\n",
    )
    assert run("exec", "steps", "-c", "nope", "--", "ls").stderr == (
        "error: container nope is not valid for pod steps\n"
    )
    assert 'container not found ("setup")' in run("exec", "steps", "-c", "setup", "--", "ls").stderr


def on_terminal(lab: TestLab, *words: str, keys: bytes) -> tuple[str, int]:
    """What appears on a terminal, and the exit code. The keys are pressed when a prompt is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(str(ROOT / "lab"), ["lab", *words], lab.environment() | {"ANSIBLE_INVENTORY": str(lab.inventory)})
    seen = b""
    try:
        while block := os.read(terminal, 4096):
            seen += block
            if keys and b"# " in seen:
                os.write(terminal, keys)
                keys = b""
    except OSError:  # how Linux says that nobody has the terminal open any more
        pass
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_is_passed_on_if_one_was_asked_for(lab: TestLab) -> None:
    seen, code = on_terminal(lab, "exec", "-it", "toolbox", "--", "bash", "--norc", keys=b"tty; exit 5\r")
    assert code == 5
    assert "/dev/pts/" in seen
    seen, code = on_terminal(
        lab, "exec", "toolbox", "--", "sh", "-c", "test -t 1 && echo terminal || echo plain", keys=b""
    )
    assert (seen.split(), code) == (["plain"], 0)
    seen, code = on_terminal(lab, "node", "node1", keys=b"pwd; hostname; exit 6\r")
    assert code == 6
    assert "/root" in seen
    assert "node1\r\n" in seen


def test_node(run: Run) -> None:
    assert run("node", "outside", "--", "hostname").stdout == "outside\n"
    assert run("node", "node2", "--", "cat", input="a\0b").stdout == "a\0b"
    assert run("node", "node2", "--", "sh", "-c", "exit 9").returncode == 9
    assert run("node", "nope", "--", "ls").stderr == 'Error from server (NotFound): nodes "nope" not found\n'


def test_logs_follow_a_container_across_its_restarts(lab: TestLab, run: Run) -> None:
    assert run("logs", "once").stdout == "done\n"
    argv = [str(ROOT / "lab"), "logs", "-f", "deploy/web", "--tail", "1"]
    environment = lab.environment() | {"ANSIBLE_INVENTORY": str(lab.inventory)}
    follower = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert follower.stdout is not None
    assert follower.stdout.readline()
    # It ends, and its first restart comes at once: what the new start logs is the next to be read.
    run("exec", "deploy/web", "--", "curl", "-s", "http://localhost/exit?code=0")
    lines = iter(follower.stdout.readline, "")
    assert any("Started" in line for line in lines)
    os.killpg(follower.pid, signal.SIGINT)
    assert follower.wait() in (-signal.SIGINT, 128 + signal.SIGINT, 0)
    assert "Traceback" not in follower.stdout.read()


def test_logs_of_before_and_of_init_containers(lab: TestLab, run: Run) -> None:
    assert run("logs", "steps", "-c", "setup").stdout == "set up\n"
    assert run("logs", "steps", "--all-containers").stdout == "set up\n"
    none = run("logs", "steps", "-p")
    assert none.stderr.endswith(
        'Error from server (BadRequest): previous terminated container "main" in pod "steps" not found\n'
    )
    # Whether it runs just now or waits for its next start: there was one before.
    wait_for(lambda: run("logs", "crash", "-p").stdout == "born\n")


def test_exec_takes_a_command_without_dashes(run: Run) -> None:
    said = run("exec", "odd", "pwd")
    assert (said.returncode, said.stdout) == (0, "/srv/x\n")
    assert said.stderr == (
        "./lab exec [POD] [COMMAND] is DEPRECATED and will be removed in a future version. "
        "Use ./lab exec [POD] -- [COMMAND] instead.\n"
    )


def test_events_of_pods_that_the_kubelet_looks_after(run: Run) -> None:
    lines = run("get", "events").stdout.splitlines()
    assert lines[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert any(re.match(r"\S+ +Normal +Started +pod/steps +Started container main$", line) for line in lines), lines


def test_completion_has_the_names_of_the_lab(lab: TestLab, run: Run) -> None:
    assert run("completion", "words", "--", "logs", "o").stdout == "odd\nonce\n"
    assert run("completion", "words", "--", "get", "svc", "").stdout == "door\nweb\n"
    assert run("completion", "words", "--", "node", "no").stdout == "node1\nnode2\n"
    assert run("completion", "words", "--", "exec", "steps", "-c", "").stdout == "main\nsetup\n"


def test_logs_of_several_pods_by_their_labels(run: Run) -> None:
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    said = run("logs", "-l", "app=web", "--prefix", "--timestamps", "--tail", "1")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert len(lines) == len(run("get", "pods", "-l", "app=web", "-o", "name").stdout.splitlines()) > 1
    assert all(re.match(rf"\[pod/web-\w+-\w+/[\w-]+\] {stamp} ", line) for line in lines), lines
    assert run("logs", "steps", "--all-containers", "--prefix").stdout == "[pod/steps/setup] set up\n"
    assert run("logs", "once", "--since", "100h").stdout == "done\n"
    assert run("logs", "once", "--since", "1ns").stdout == ""
    none = run("logs", "-l", "app=nothing")
    assert (none.returncode, none.stderr) == (0, "No resources found in default namespace.\n")
    many = run("logs", "-f", "-l", "app=web", "--max-log-requests", "1")
    assert many.returncode == 1
    assert many.stderr.endswith("maximum allowed concurrency is 1, use --max-log-requests to increase the limit\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'."),
        (("-l", "app=web", "once"), "error: only a selector (-l) or a POD name is allowed"),
        (
            ("once", "--since", "abc"),
            'error: invalid argument "abc" for "--since" flag: time: invalid duration "abc"',
        ),
        (
            ("once", "--since", "5"),
            'error: invalid argument "5" for "--since" flag: time: missing unit in duration "5"',
        ),
        (("once", "--since=-1s"), "error: --since must be greater than 0"),
        (("once", "--tail=-2"), "error: --tail must be greater than or equal to -1"),
    ],
)
def test_logs_refuse_in_the_words_of_kubectl(run: Run, words: tuple[str, ...], error: str) -> None:
    said = run("logs", *words)
    assert (said.returncode, said.stderr.splitlines()[0]) == (1, error)


def wait_for(is_true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Poll what nothing can be waited on for."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.2)


@pytest.fixture
def forward(lab: TestLab) -> Iterator[Callable[..., tuple[subprocess.Popen[str], list[int]]]]:
    """A running ``./lab port-forward``, and the ports it listens on."""
    processes = []

    def start(*words: str) -> tuple[subprocess.Popen[str], list[int]]:
        environment = lab.environment() | {"ANSIBLE_INVENTORY": str(lab.inventory)}
        process = subprocess.Popen(
            [str(ROOT / "lab"), "port-forward", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout
        lines = [process.stdout.readline() for _ in words[1:]]
        return process, [int(line.split()[2].rpartition(":")[2]) for line in lines]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_port_forward_leads_a_browser_into_the_sealed_lab(
    run: Run, forward: Callable[..., tuple[subprocess.Popen[str], list[int]]]
) -> None:
    process, (port, nobody) = forward("deploy/web", ":80", ":9")
    _, (by_service,) = forward("svc/door", ":8000")
    with urllib.request.urlopen(f"http://127.0.0.1:{by_service}/hostname", timeout=30) as page:
        assert page.read().decode().startswith("web-")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/hostname", timeout=30) as page:
        assert page.read().decode().startswith("web-")
    with socket.create_connection(("127.0.0.1", nobody), timeout=30) as refused:
        assert refused.recv(1) == b""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "error forwarding port 9 to pod web-" in err and "connection refused" in err
    assert run("port-forward", "svc/none", "80").stderr == 'Error from server (NotFound): services "none" not found\n'
    assert run("port-forward", "once", "80").stderr == (
        "error: unable to forward port because pod is not running. Current status=Succeeded\n"
    )


def test_ten_megabytes_go_through_a_forwarded_port_both_ways(
    run: Run, forward: Callable[..., tuple[subprocess.Popen[str], list[int]]]
) -> None:
    much = os.urandom(10 << 20)
    run("exec", "toolbox", "--", "sh", "-c", "busybox nc -ll -p 7777 -e cat >/dev/null 2>&1 &")
    wait_for(lambda: ":7777 " in run("exec", "toolbox", "--", "busybox", "netstat", "-ltn").stdout)
    _, (port,) = forward("toolbox", ":7777")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:

        def speak() -> None:
            connection.sendall(much)
            connection.shutdown(socket.SHUT_WR)

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert b"".join(iter(lambda: connection.recv(65536), b"")) == much
        speaker.join()


def test_cp_takes_files_in_and_out(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub dir").mkdir(parents=True)
    (source / "sub dir" / "$(id)").write_bytes(bytes(range(256)) * 1000)
    (source / "run").write_text("#!/bin/sh\necho ran\n")
    (source / "run").chmod(0o755)
    assert run("cp", str(source), "toolbox:/tmp/there").returncode == 0
    assert run("exec", "toolbox", "--", "/tmp/there/run").stdout == "ran\n"
    assert run("cp", "default/toolbox:/tmp/there", str(tmp_path / "back"), "-c", "netshoot").returncode == 0
    assert (tmp_path / "back" / "sub dir" / "$(id)").read_bytes() == bytes(range(256)) * 1000
    assert (tmp_path / "back" / "run").stat().st_mode & 0o777 == 0o755
    # Into a directory that is there, under its own name.
    assert run("cp", str(source / "run"), "toolbox:/tmp").returncode == 0
    assert run("exec", "toolbox", "--", "cat", "/tmp/run").stdout == (source / "run").read_text()
    lost = run("cp", "toolbox:/nope", str(tmp_path / "x"))
    assert lost.returncode == 2
    assert "/nope" in lost.stderr and lost.stderr.endswith("command terminated with exit code 2\n")


def test_a_reader_that_has_enough_is_no_error(lab: TestLab) -> None:
    environment = lab.environment() | {"ANSIBLE_INVENTORY": str(lab.inventory)}
    line = f"'{ROOT}/lab' get pods -A -o json | head -c 1"
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


def test_a_host_that_does_not_answer_holds_up_nobody(lab: TestLab, run: Run) -> None:
    # TEST-NET-1 (RFC 5737): there is nobody.
    far = "node2: {ansible_connection: ssh, ansible_host: 192.0.2.1, ansible_ssh_timeout: 1}"
    text = lab.inventory.read_text().replace("node2: {ansible_host: 10.100.0.3}", far)
    assert far in text
    mixed = lab.inventory.parent / "mixed.yml"
    mixed.write_text(text)
    done = run("get", "nodes", "-i", str(mixed), "--no-headers")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["node1", "Ready"], ["node2", "NotReady"]]
    assert done.stderr.startswith("warning: node2 does not answer: ")
    pods = {line.split()[0]: line.split()[2] for line in run("get", "po", "-i", str(mixed)).stdout.splitlines()}
    assert (pods["toolbox"], pods["pair"]) == ("Unknown", "Running")
    nothing = run("get", "po", "-n", "other", "-i", str(mixed))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.splitlines()[1:] == ["error: what there is cannot be told: no answer from node2"]
    there = run("logs", "toolbox", "-i", str(mixed))
    assert there.stderr.splitlines()[1:] == ["error: pod toolbox is on node2, which does not answer"]


def test_down_needs_neither_manifests_nor_an_inventory_that_can_be_read(lab: TestLab, run: Run) -> None:
    name = lab.name
    lab.write(broken="{")
    whole = lab.inventory.read_text()
    lab.inventory.write_text("all: [")
    done = run("down")
    assert (done.returncode, done.stdout) == (0, f"the lab is off ({name})\n")
    lab.inventory.write_text(whole)
    assert run("down").stdout == f"the lab was off already ({name})\n"
