"""What ``./lab`` runs, as far as it needs no lab: ways into hosts and containers, logs, and the command itself."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import hosts
from cli.develop import test as test_verb
from cli.enter import follow, logs, target
from cli.errors import CommandError
from cli.look import objects
from cli.run import suggestions as after_up
from podlab.changes.pods import pods, sandbox
from podlab.host import record
from podlab.host.pods import status
from tests.answers import ENDED, RUNS, answer, last, live, workload

ROOT = Path(__file__).resolve().parents[2]


def one_pod(policy: str = "Always", **settings: Any) -> objects.Object:
    (pod,) = objects.cluster_state({"node1": answer(live("p", policy, **settings))}, ["node1"]).pods
    return pod


# --- entering ---------------------------------------------------------------------------------------


def test_only_ssh_quotes_and_it_quotes_every_word() -> None:
    known = {"ansible_host": "192.0.2.1", "ansible_port": "2222", "ansible_user": "me", "ansible_become": "True"}
    known["ansible_ssh_common_args"] = "-o 'ProxyCommand=nc %h %p'"
    host = hosts.Ssh("far", "node", known)
    command = ["sh", "-c", "echo \"$1\"; rm -rf '/'", "sh", "a; b"]
    *ssh, line = host.call(command).argv
    assert shlex.split(line) == ["sudo", "-n", "--", *command]
    assert ssh[:2] == ["ssh", "-T"]
    assert ssh[3:6] == ["LogLevel=ERROR", "-o", "ProxyCommand=nc %h %p"]
    assert ssh[6:] == ["-o", "ConnectTimeout=10", "-p", "2222", "-l", "me", "--", "192.0.2.1"]
    assert host.call(command, tty=True).argv[1] == "-t"
    assert host.login(tty=True).argv[-1] == "sudo -n -i"
    assert hosts.Ssh("far", "node", {}).login(tty=True).argv[-2:] == ["--", "far"]
    assert hosts.Local("here", "node", {}).call(command).argv == command


def test_verbs_wait_as_long_as_the_inventory_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "plain": ({}, 7),
        "far": ({"ansible_timeout": "90"}, 90),
        "slow": ({"ansible_ssh_timeout": "8"}, 8),
        "args": ({"ansible_ssh_common_args": "-o ConnectTimeout=3 -C", "ansible_timeout": "90"}, 3),
        "short": ({"ansible_ssh_args": "-oConnectTimeout=4"}, 4),
    }
    found = read_inventory(tmp_path, {name: of for name, (of, _) in known.items()}, ANSIBLE_TIMEOUT="7")
    monkeypatch.delenv("PODLAB_TIMEOUT", raising=False)
    assert {host.name: host.patience for host in found} == {name: seconds for name, (_, seconds) in known.items()}
    for host in found:
        assert "ConnectTimeout" in " ".join(host.call(["true"]).argv), "what replaces this process waits as long"
    monkeypatch.setenv("PODLAB_TIMEOUT", "2")
    assert {host.patience for host in found} == {2}


def test_passwords_are_known_from_wherever_ansible_has_them(tmp_path: Path) -> None:
    """And they are told nobody: a host does not show its own, whoever prints it."""
    (tmp_path / "vault").write_text("open\n")
    (tmp_path / "become").write_text("from-a-file\n")
    argv = [
        Path(sys.executable).with_name("ansible-vault"),
        "encrypt_string",
        "--vault-password-file",
        "vault",
        "sealed",
    ]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    become = {"ansible_become": True}
    known = {
        "none": become,
        "own": {**become, "ansible_become_password": "mine"},
        "old": {**become, "ansible_become_pass": "{{ 'tem' ~ 'plate' }}"},
        "vaulted": {**become, "ansible_become_password": {"__ansible_vault": done.stdout.partition("|")[2].strip()}},
    }
    words = "\n".join(
        line.strip() for line in known["vaulted"]["ansible_become_password"]["__ansible_vault"].splitlines()
    )
    known["vaulted"]["ansible_become_password"]["__ansible_vault"] = words
    environment = {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "vault")}
    found = read_inventory(tmp_path, known, **environment, ANSIBLE_BECOME_PASSWORD_FILE=str(tmp_path / "become"))
    assert {host.name: host.password for host in found} == {
        "none": "from-a-file",
        "own": "mine",
        "old": "template",
        "vaulted": "sealed",
    }
    for host in found:
        assert str(host.password) not in f"{host} {host.question(['true']).argv} {host.question(['true'])}"
    assert [host.password for host in read_inventory(tmp_path, {"none": become})] == [None]


SUDO = """#!/bin/sh
# As sudo with -A: asks a program of the user's up to three times, and closes what the command shall not have.
[ "$1" = -A ] && [ "$2" = -- ] || exit 9
shift 2
for turn in 1 2 3; do
    word=$("$SUDO_ASKPASS" 'Password: ') || break
    echo asked >>"$LOG"
    if [ "$word" = 'o pen' ]; then unset SUDO_ASKPASS; exec "$@"; fi
done
echo 'sudo: no password was provided' >&2
exit 1
"""


@pytest.mark.parametrize("password", ["o pen", "wrong"], ids=["right", "wrong"])
def test_sudo_is_told_a_password_and_the_command_reads_all_of_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(log))
    host = hosts.Local(f"here-{tmp_path}", "node", {"ansible_become": "yes"}, password=password)
    # It prints its own command line and environment, which other users may read.
    seen = ["sh", "-c", "cat; cat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline /proc/$PPID/environ; exit 3"]
    for call in (host.question(seen), host.call(seen)):
        log.write_text("")
        if call.password:
            said = call.ask("one\ntwo\n", patience=60)
        else:
            done = subprocess.run(call.argv, input="one\ntwo\n", capture_output=True, text=True, check=False)
            said = hosts.CommandResult(done.returncode, done.stdout, done.stderr.strip())
        if password == "wrong":
            assert said == (1, "", "sudo: no password was provided")
        else:
            assert (said.code, said.out[:8]) == (3, "one\ntwo\n")
            assert password not in said.out and "LOG=" in said.out
        assert log.read_text() == "asked\n", "once, or the account may be locked"


def read_inventory(directory: Path, known: dict[str, dict[str, Any]], **environment: str) -> list[hosts.Host]:
    """What an inventory has in a process of its own: Ansible reads its configuration once."""
    source = directory / "hosts.json"
    source.write_text(json.dumps({"nodes": {"hosts": known}}))
    reader = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "import pickle\n"
        "from cli import inventory\n"
        "sys.stdout.buffer.write(pickle.dumps(inventory.read(sys.argv[1:2])))"
    )
    argv = [sys.executable, "-c", reader, str(source), str(ROOT), str(ROOT / "module_utils")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C.UTF-8", **environment}
    environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[hosts.Host] = pickle.loads(done.stdout)
    return found


def test_an_embedded_host_that_is_off_is_silent() -> None:
    with pytest.raises(hosts.HostUnreachable, match="off"):
        hosts.Embedded("node1", "node", {}, "default", None).call(["true"])


def test_status_and_the_modules_mean_the_same_files() -> None:
    assert (status.PODS, status.SCAN_DIR, status.RECORD) == (pods.PODS, pods.SCAN_DIR, record.PATH)
    assert [*status.PAUSE, "x"] == sandbox.pause_command("x")
    assert len(Path(str(follow.__file__)).read_bytes()) < 65536  # it has to fit into a pipe


def test_container_facts_of_a_service_directory(tmp_path: Path) -> None:
    def facts() -> dict[str, Any]:
        found = status.container(str(tmp_path))
        return {key: found[key] for key in ("pid", "started", "restarts", "last", "backoff")}

    (tmp_path / "restarts").write_text("2\n")
    assert facts() == {"pid": None, "started": None, "restarts": 2, "last": None, "backoff": 0}
    (tmp_path / "last").write_text("256 9 100 200\n")
    (tmp_path / "backoff").write_text("20\n")
    (tmp_path / "started").write_text("")
    os.utime(tmp_path / "started", (300, 300))
    (tmp_path / "status").write_text(f'{{ "child-pid": {os.getpid()}, "mnt-namespace": 1 }}\n')
    ended = {"exit": 256, "signal": 9, "started": 100, "ended": 200}
    assert facts() == {"pid": os.getpid(), "started": 300.0, "restarts": 2, "last": ended, "backoff": 20}
    with (tmp_path / "status").open("a") as file:
        file.write('{ "exit-code": 0 }\n')
    assert facts()["pid"] is None


# --- which pod, which container ---------------------------------------------------------------------


def state(*lives: dict[str, Any], **settings: Any) -> objects.State:
    return objects.cluster_state({"node1": answer(*lives, **settings)}, ["node1"])


def one_target(policy: str = "Always", **settings: Any) -> target.Target:
    found = live("p", policy, **settings)
    (pod,) = state(found).pods
    return target.Target(hosts.Local("node1", "node", {}), found, pod)


def test_a_workload_means_one_of_its_pods_that_is_ready() -> None:
    web, job = workload("Deployment", "web"), workload("Job", "pi")
    lives = [live("web-new-1", a=ENDED), live("web-new-2", a=RUNS), live("pi-x", owner="Job/pi", a=ENDED)]
    found = state(*lives, workloads=[web, job, workload("StatefulSet", "db")])
    for word, name in (
        ("web-new-1", "web-new-1"),
        ("pod/x", "x"),
        ("deploy/web", "web-new-2"),
        ("deployment.apps/web", "web-new-2"),
        ("rs/web-new", "web-new-2"),
        ("job/pi", "pi-x"),
    ):
        assert target.pod_name(found, word, "default") == name
    for word, why in (
        ("svc/web", 'Error from server (NotFound): services "web" not found'),
        ("deploy/x", 'Error from server (NotFound): deployments.apps "x" not found'),
        ("nope/x", 'error: the server doesn\'t have a resource type "nope"'),
        ("node/x", "error: cannot attach to node/x: it is neither a pod nor does it make any"),
        ("sts/db", "error: there is no pod of sts/db yet"),
    ):
        with pytest.raises(CommandError) as caught:
            target.pod_name(found, word, "default")
        assert str(caught.value) == why
    with pytest.raises(CommandError, match="not found"):
        target.pod_name(found, "deploy/web", "other")


def test_a_service_means_one_of_its_pods_that_is_ready() -> None:
    """Ready by now, whatever the last run has seen; a Service of another namespace has other pods."""
    lives = [
        live("a", labels={"app": "web"}, c={**ENDED, "last": last(1)}),
        live("b", labels={"app": "web", "more": "x"}, c=RUNS),
        live("c", labels={"app": "web"}, namespace="other", c=RUNS),
        live("d", labels={"app": "late"}, c={**ENDED, "last": last(1)}),
    ]
    selectors = {"web": {"app": "web"}, "late": {"app": "late"}, "none": {"app": "x"}, "mine": None}
    written = {
        f"default/{name}": {
            "created": "2026-01-02T11:50:00Z",
            "clusterIP": "10.96.0.10",
            "body": {"spec": {"selector": selector, "ports": [{"port": 80}]}},
        }
        for name, selector in selectors.items()
    }
    found = state(*lives, services=written)
    for word, name in (("svc/web", "b"), ("service/web", "b"), ("services/late", "d")):
        assert target.pod_name(found, word, "default") == name
        service = target.service_of(found, word, "default")
        assert service and service["metadata"]["name"] == word.partition("/")[2]
    assert target.service_of(found, "deploy/web", "default") is None
    for word, why in (
        ("svc/none", "error: there is no pod of svc/none yet"),
        (
            "svc/mine",
            "error: cannot attach to *v1.Service: invalid service 'mine': Service is defined without a selector",
        ),
    ):
        with pytest.raises(CommandError) as caught:
            target.pod_name(found, word, "default")
        assert str(caught.value) == why
    with pytest.raises(CommandError, match="not found"):
        target.pod_name(found, "svc/web", "other")


def test_the_container_that_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    pod = one_target(init={"i": "OnFailure"}, i=RUNS, a=RUNS, b=RUNS)
    assert pod.container("") == "a"
    assert capsys.readouterr().err == 'Defaulted container "a" out of: a, b, i (init)\n'
    assert (pod.container("i"), one_target(a=RUNS).container("")) == ("i", "a")
    pod.pod["metadata"]["annotations"] = {target.DEFAULT: "b"}
    assert (pod.container(""), capsys.readouterr().err) == ("b", "")
    with pytest.raises(CommandError, match=r"^error: container x is not valid for pod p$"):
        pod.container("x")


def test_a_container_is_entered_by_the_script_that_was_written_with_it() -> None:
    *filtered, filter_, script, pid, ls, name = one_target(a=RUNS).entering("a", ["ls", "a b"])
    assert [script, pid, ls, name] == [f"{pods.SCAN_DIR}/default_p.a/enter", "7", "ls", "a b"]
    # Who enters a real host's container brings the filter that the container has; a lab has it for all that enters.
    assert filtered == ["/usr/bin/python3", "-IS", "-c"]
    assert "seccomp" in filter_
    assert hosts.Embedded("node1", "node", {}, "default", 7).filtered(["ls"]) == ["ls"]
    with pytest.raises(CommandError, match=r'unable to upgrade connection: container not found \("a"\)$'):
        one_target(a={**ENDED, "restarts": 1, "last": last(1)}).entering("a", ["ls"])
    with pytest.raises(
        CommandError, match="cannot exec into a container in a completed pod; current phase is Succeeded"
    ):
        one_target("Never", a={**ENDED, "last": last(0)}).entering("a", ["ls"])


# --- logs -------------------------------------------------------------------------------------------


def test_log_goes_on_where_it_was_when_its_file_is_put_aside(tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.write_bytes(b"one\n")
    log = follow.Log(str(tmp_path))
    assert list(log.news()) == [b"one\n"]
    with current.open("ab") as file:
        file.write(b"two\n")
    current.rename(tmp_path / "@1")
    current.write_bytes(b"three\n")
    assert b"".join(log.news()) == b"two\nthree\n"
    assert list(log.news()) == []
    assert b"".join(follow.Log(str(tmp_path)).news()) == b"one\ntwo\nthree\n"


def test_who_is_too_slow_goes_on_with_the_first_whole_line_that_is_left(tmp_path: Path) -> None:
    (tmp_path / "current").write_bytes(b"one\ntw")
    log = follow.Log(str(tmp_path))
    assert list(log.news()) == [b"one\ntw"]
    for number, text in ((1, b""), (9, b"lf\nnine\nt"), (10, b"en\n")):
        (tmp_path / "current").rename(tmp_path / f"@{number}")
        (tmp_path / "current").write_bytes(text)
    (tmp_path / "@1").unlink()
    (tmp_path / "@9").write_bytes(b"lf\nnine\nt")
    (tmp_path / "@10").write_bytes(b"en\n")
    (tmp_path / "current").write_bytes(b"eleven")
    assert b"".join(log.news()) == b"nine\nten\neleven"


@pytest.mark.parametrize(("back", "text"), [("0", "new\n"), ("1", "old\n"), ("2", "")])
def test_log_of_the_start_that_is_asked_for_is_printed(tmp_path: Path, back: str, text: str) -> None:
    for start, words in (("2", "old"), ("10", "new")):
        (tmp_path / start).mkdir()
        (tmp_path / start / "current").write_text(f"{words}\n")
    program = Path(str(follow.__file__)).read_text()
    argv = [sys.executable, "-IS", "-", str(tmp_path), "-1", back]
    done = subprocess.run(argv, input=program, capture_output=True, text=True, check=True)
    assert done.stdout == text


@pytest.mark.parametrize(
    ("policy", "facts", "present", "previous"),
    [
        ("Always", RUNS, 0, None),
        ("Always", {**RUNS, "restarts": 1, "last": last(1)}, 0, 1),
        # While it waits for its next start, its last one is both.
        ("Always", {**ENDED, "restarts": 2, "last": last(1), "backoff": 20}, 0, 0),
        ("Never", {**ENDED, "last": last(0)}, 0, None),
        ("Always", ENDED, None, None),
    ],
)
def test_which_start_a_log_is_of(policy: str, facts: dict[str, Any], present: int | None, previous: int | None) -> None:
    pod = one_target(policy, a=facts)
    words = {
        False: 'container "a" in pod "p" is waiting to start: ContainerCreating',
        True: 'previous terminated container "a" in pod "p" not found',
    }
    for before, back in ((False, present), (True, previous)):
        if back is None:
            with pytest.raises(CommandError) as caught:
                logs._starts_back(pod, "a", before)
            assert str(caught.value) == f"Error from server (BadRequest): {words[before]}"
        else:
            assert logs._starts_back(pod, "a", before) == back


# --- the command itself -----------------------------------------------------------------------------


def test_suggestions_work_with_what_stands() -> None:
    toolbox, web, plain = one_pod(netshoot=RUNS), one_pod(agnhost=RUNS), one_pod(a=RUNS)
    toolbox["metadata"] = {"name": "toolbox", "namespace": "tools"}
    toolbox["spec"] = {"nodeName": "node2", "containers": [{"name": "n", "image": "nicolaka/netshoot"}]}
    web["metadata"] = {"name": "web-1", "namespace": "default", "ownerReferences": [{}]}
    web["metadata"]["labels"] = {"app": "web", "pod-template-hash": "x"}
    http = {"name": "http", "containerPort": 8080}
    agnhost = {"name": "a", "image": "agnhost:2", "args": ["netexec"], "ports": [http]}
    web["spec"] = {"nodeName": "node1", "containers": [agnhost]}
    assert after_up.suggestions([plain, toolbox, web], [], ["node1"]) == [
        "exec -n tools toolbox -- curl -s http://10.1.1.2:8080/clientip",
        "node node2 -- ip route get 10.1.1.2",
        "logs -f web-1",
    ]
    assert after_up.suggestions([plain], [], ["node1"])[0] == "exec p -- ping -c 3 10.1.1.2"
    assert len(after_up.suggestions([], [], ["node1"])) == 3

    def call(*services: dict[str, Any]) -> str:
        return after_up.suggestions([plain, toolbox, web], services, ["node1"])[0].partition(" -- ")[2]

    assert after_up.suggestions([plain, toolbox, web], [service()], ["node1"]) == [
        "exec -n tools toolbox -- curl -s http://10.96.0.9/clientip",
        "rules node2 web",
        "node node2 -- ip route get 10.1.1.2",
    ]
    assert call(service(targetPort=8080, port=81)) == "curl -s http://10.96.0.9:81/clientip"
    # Where none leads to the pod, the pod itself is called.
    for other in (
        service(targetPort="https"),
        service(protocol="UDP"),
        service(selector={"app": "other"}),
        service(selector={}),
        service(namespace="tools"),
        service(clusterIP="None"),
        service(labels={"service.kubernetes.io/service-proxy-name": "x"}),
    ):
        assert call(other) == "curl -s http://10.1.1.2:8080/clientip"
        assert call(other, service()) == "curl -s http://10.96.0.9/clientip"


def service(
    *,
    selector: dict[str, str] | None = None,
    namespace: str = "default",
    labels: dict[str, str] | None = None,
    clusterIP: str = "10.96.0.9",
    **port: Any,
) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": "http", **port}]
    spec = {"clusterIP": clusterIP, "selector": {"app": "web"} if selector is None else selector, "ports": ports}
    return {"metadata": {"name": "web", "namespace": namespace, "labels": labels or {}}, "spec": spec}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("29 passed in 3.1s\nok=7 missing=1 failed=0", "missing=1"),
        ("29 passed in 3.1s\nok=7 missing=0 failed=0", ""),
        ("collected 0 items", "collected 0 items"),
        ("WARNING no tests found in molecule/x/tests", "no tests found"),
        ("no tests ran in 0.01s", "no tests ran"),
        ("ok=7 missing=0 failed=0", "no test has passed"),
    ],
)
def test_a_scenario_that_proves_nothing_is_told_from_one_that_does(words: str, why: str) -> None:
    assert test_verb.is_vacuous(words) == why


def lab(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "lab"), *words], env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 0, "./lab up"),
        (("--help",), 0, "./lab up"),
        (("help",), 0, "./lab up"),
        (("up", "--help"), 0, "--manifests"),
        (("get", "--help"), 0, "deployments"),
        (("get", "--help"), 0, "statefulsets  sts"),
        (("describe", "--help"), 0, "which kernel objects"),
        (("port-forward", "--help"), 0, "[LOCAL:]REMOTE"),
        (("cp", "--help"), 0, "[NS/]POD:PATH"),
        (("logs", "--help"), 0, "--previous"),
        (("port-forward", "web"), 2, "usage: ./lab port-forward"),
        (("cp", "web:/x"), 2, "usage: ./lab cp"),
        (("cp", "a", "b"), 1, "error: one of src or dest must be a remote file specification"),
        (("describe",), 2, "usage: ./lab describe"),
        (("get", "nope"), 1, 'error: the server doesn\'t have a resource type "nope"'),
        (("logs", "-fp", "web"), 1, "error: only one of follow (-f) or previous (-p) is allowed"),
        (("exec", "-h"), 0, "[-it]"),
        (("fly",), 2, "no verb 'fly'"),
        (("get",), 2, "usage: ./lab get"),
        (("get", "pods", "-o", "xml"), 1, 'error: unable to match a printer suitable for the output format "xml"'),
        (("get", "gizmos"), 1, 'error: the server doesn\'t have a resource type "gizmos"'),
        (("exec", "pod", "ls", "--", "ls"), 2, "exec POD -- COMMAND"),
        (("exec", "pod", "ls", "-l"), 2, "unrecognized arguments: -l"),
        (
            ("scale", "deploy/web", "--replicas=3"),
            2,
            "no verb 'scale' here: change spec.replicas in manifests/, then: ./lab up",
        ),
        (("apply", "--help"), 2, "no verb 'apply' here: put the YAML into manifests/"),
        (("..",), 2, "no verb '..'"),
        (("exec", "pod"), 1, "error: you must specify at least one command for the container"),
        (("logs",), 1, "POD or TYPE/NAME is a required argument for the logs command"),
        (("down", "--fast"), 2, "usage: ./lab down"),
    ],
)
def test_help_and_wrong_words(words: tuple[str, ...], code: int, text: str) -> None:
    done = lab(*words)
    assert done.returncode == code, done.stderr
    assert text in (done.stderr if code else done.stdout)
    assert "\033" not in done.stdout
    assert "Traceback" not in done.stderr


def test_missing_programs_are_named_before_anything_is_done(tmp_path: Path) -> None:
    """With a PATH of little more than a shell. There is no apt-get in it, so nothing is installed."""
    for program in ("sh", "readlink", "dirname", "cat", "sort", "tr", "id", "uname", "grep", "echo"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "lab"), "up"],
        env={"PATH": str(tmp_path), "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "programs are missing" in done.stderr
    for package in ("bubblewrap", "busybox", "catatonit", "execline", "s6"):
        assert f" {package}" in done.stderr


PYTHON = """#!/bin/sh
case "$*" in *'-m pip '*) cat {clone}/pages; exit $(cat {clone}/code) ;; esac
echo ran
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Another clone, whose .venv is whole for runs, not yet for tests, and with few programs beside it."""
    (tmp_path / "cli").mkdir()
    for name in ("lab", "cli/help.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "requirements.txt").write_text("ansible-core==2\n")
    (tmp_path / "requirements-dev.txt").write_text("".join(f"package{number}==1 \\\n" for number in range(12)))
    for kind in ("embedded", "remote"):
        (tmp_path / f"{kind}.yml").write_text({"embedded": "all: {children: {embedded: {}}}", "remote": "nodes:"}[kind])
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(clone=tmp_path))
    python.chmod(0o755)
    whole = f"{tmp_path} {python}\n" + "ansible-core==2\n" * 2
    (tmp_path / ".venv" / "requirements.txt").write_text(whole)
    programs = ("sh", "readlink", "dirname", "cat", "sort", "tr", "id", "uname", "grep", "echo", "flock", "mktemp")
    (tmp_path / "bin").mkdir()
    for program in (*programs, "rm", "tail", "mkdir"):
        (tmp_path / "bin" / program).symlink_to(f"/usr/bin/{program}")
    return tmp_path


def run_in(clone: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # What this machine has installed is not on PATH, so that it is missing.
    text = (clone / "lab").read_text().replace(':/usr/sbin:/sbin"', '"')
    (clone / "lab").write_text(text)
    environment = {"PATH": str(clone / "bin"), "HOME": "/", "TMPDIR": str(clone), **environment}
    argv = ["/bin/sh", "lab", *words]
    return subprocess.run(argv, cwd=clone, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "are_embedded"),
    [
        ("", True),
        ("-i remote.yml", False),
        ("-iremote.yml", False),
        ("-i=remote.yml", False),
        ("-vvi remote.yml --check", False),
        ("-CKiremote.yml", False),
        ("--inventory=remote.yml", False),
        ("--inv remote.yml", False),
        ("-e x=1 -l node1 -t services -K -i remote.yml", False),
        # All of them count, whichever comes last.
        ("-i embedded.yml -i remote.yml", True),
        ("-i remote.yml --inventory embedded.yml", True),
        # Values of others, and words that only look alike.
        ("-e -i -iremote.yml", False),
        ("-liremote.yml", True),
        ("--check --diff -D", True),
    ],
)
def test_whose_hosts_they_are_is_read_as_ansible_reads_it(clone: Path, words: str, are_embedded: bool) -> None:
    done = run_in(clone, "up", *words.split())
    assert ("programs are missing" in done.stderr, done.stdout) == (are_embedded, "" if are_embedded else "ran\n")


@pytest.mark.parametrize("source", ["remote.yml,embedded.yml", "embedded.yml"])
def test_the_environment_may_name_several_inventories(clone: Path, source: str) -> None:
    assert "programs are missing" in run_in(clone, "up", ANSIBLE_INVENTORY=source).stderr
    assert run_in(clone, "up", "-i", "remote.yml", ANSIBLE_INVENTORY=source).stdout == "ran\n"


@pytest.mark.parametrize("words", ["exec -i web -- cat", "get pods -i remote.yml", "node web -i embedded.yml"])
def test_nothing_is_installed_for_a_verb_that_only_looks(clone: Path, words: str) -> None:
    done = run_in(clone, *words.split())
    assert (done.stdout, done.stderr) == ("ran\n", "")


@pytest.mark.parametrize("code", [0, 1])
def test_pip_is_followed_in_a_line_and_read_where_it_has_failed(clone: Path, code: int) -> None:
    for program in ("ip", "iptables-save", "conntrack", "ipset", "bwrap", "catatonit", "s6-svscan", "execlineb"):
        (clone / "bin" / program).symlink_to("/bin/true")
    for program in (
        "busybox",
        "nsenter",
        "unshare",
        "setpriv",
        "sysctl",
        "hostname",
        "curl",
        "dig",
        "ping",
        "nginx",
        "openssl",
    ):
        (clone / "bin" / program).symlink_to("/bin/true")
    pages = "".join(f"Collecting package{number}==1\n  Downloading package{number}-1.whl\n" for number in range(12))
    (clone / "pages").write_text(pages + "Installing collected packages: x\n" + "ERROR: no space\n" * code)
    (clone / "code").write_text(str(code))
    done = run_in(clone, "test", "--fast")
    lines = [line.rstrip() for line in done.stderr.splitlines()]
    assert lines[:2] == [
        "lab: installing into .venv: 10 of 12 packages fetched",
        "lab: installing into .venv: 12 of 12 packages fetched, unpacking them",
    ]
    logs = [*clone.glob("podlab-install.*")]
    if code:
        assert (done.returncode, len(lines), lines[11]) == (1, 14, "ERROR: no space")
        assert lines[12] == f"lab: these are its last lines; all of them are in {logs[0]}"
        assert logs[0].read_text().startswith(pages)
    else:
        assert (done.stdout, lines[2:], logs) == ("ran\n", [], [])


FAKE = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = {version}; sys.argv.pop(0); exec(sys.argv.pop(1))' "$@"
"""


@pytest.mark.parametrize(("version", "is_taken"), [((3, 10, 12), False), ((3, 12, 1), True), ((3, 14, 0), False)])
def test_a_python_that_the_pinned_versions_are_not_for_is_named_at_once(
    tmp_path: Path, version: tuple[int, ...], is_taken: bool
) -> None:
    """In a clone without .venv, on a machine that has this Python alone."""
    clone, programs = tmp_path / "clone", tmp_path / "bin"
    programs.mkdir()
    (clone / "cli").mkdir(parents=True)
    (clone / "cli" / "help.txt").write_bytes((ROOT / "cli" / "help.txt").read_bytes())
    for program in ("sh", "readlink", "dirname", "cat", "sort", "tr", "id", "uname", "grep", "echo"):
        (programs / program).symlink_to(f"/usr/bin/{program}")
    fake = programs / "python3"
    fake.write_text(FAKE.format(python=os.path.realpath(sys.executable), version=version))
    fake.chmod(0o755)
    (clone / "lab").write_text((ROOT / "lab").read_text().replace("/usr/bin/python3", str(fake)))
    (clone / "requirements.txt").write_text("")
    argv = ["/bin/sh", str(clone / "lab"), "up"]
    done = subprocess.run(argv, env={"PATH": str(programs), "HOME": "/"}, capture_output=True, text=True, check=False)
    told = f"lab: Python 3.11, 3.12 or 3.13 is needed, with its module venv; python3 is {version[0]}.{version[1]}. "
    assert done.returncode == 1
    assert done.stderr.startswith("lab: programs are missing" if is_taken else told)
