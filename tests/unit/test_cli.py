"""What ``./lab`` prints and runs, as far as it needs no lab."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import check, follow, get, hosts, objects, power, table
from cli.failure import Failure
from podlab.changes import containers, pods
from podlab.host import record, status

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.datetime(2026, 1, 2, 12, 0, 0, tzinfo=datetime.timezone.utc)
EPOCH = int(NOW.timestamp())
RUNS = {"pid": 7, "started": EPOCH - 60, "restarts": 0, "last": None, "backoff": 0}
ENDED = {"pid": None, "started": None, "restarts": 0, "last": None, "backoff": 0}


def last(code: int, ago: int = 12, signal: int = 0) -> dict[str, int]:
    return {"exit": code, "signal": signal, "started": EPOCH - ago - 5, "ended": EPOCH - ago}


def live(name: str, policy: str = "Always", namespace: str = "default", **facts: Any) -> dict[str, Any]:
    """A pod as ``host/status.py`` tells of it: a container for each keyword."""
    meta = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-02T11:58:30Z", "labels": {"app": name}}
    if "-" in name:
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name.split("-")[0], "controller": True}
        meta |= {"ownerReferences": [owner], "labels": {"app": "web", "pod-template-hash": name.split("-")[1]}}
    written = [{"name": container, "image": "busybox"} for container in facts]
    return {
        "row": {
            "netns": f"{namespace}_{name}",
            "address": "10.1.1.2/24",
            "hostname": name,
            "restart_policy": policy,
            "containers": {c: {"image": "busybox", "argv": [], "env": {}, "working_dir": "/"} for c in facts},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": meta,
                "spec": {"nodeName": "node1", "containers": written},
            },
        },
        "started": EPOCH - 80,
        "containers": facts,
    }


def cluster(**settings: Any) -> dict[str, Any]:
    return {
        "generation": 3,
        "podCIDRs": {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"},
        "pods": {},
        "nodes": {name: {"address": ip, "labels": {}} for name, ip in (("node1", "10.0.0.2"), ("node2", "10.0.0.3"))},
        "namespaces": ["default", "kube-system"],
        "deployments": [],
        "created": {"node/node1": "2026-01-02T10:00:00Z", "node/node2": "2026-01-02T10:00:00Z"},
        "waiting": [],
        **settings,
    }


def answer(*lives: dict[str, Any], **settings: Any) -> dict[str, Any]:
    system = {
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0",
        "machine": "x86_64",
        "runtime": "bubblewrap://0.8.0",
    }
    return {"record": {"cluster": cluster(**settings)}, "system": system, "pods": list(lives)}


def one_pod(policy: str = "Always", **facts: Any) -> objects.Object:
    (pod,) = objects.pods(objects.state_of({"node1": answer(live("p", policy, **facts))}, ["node1"]))
    return pod


def row(pod: objects.Object) -> str:
    return " ".join(table.table(table.KINDS["pods"], [pod], NOW, headers=False).split())


# --- pods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "facts", "phase", "columns"),
    [
        ("Always", {"a": RUNS}, "Running", "p 1/1 Running 0 90s"),
        ("Always", {"a": RUNS, "b": RUNS}, "Running", "p 2/2 Running 0 90s"),
        ("Always", {"a": ENDED}, "Pending", "p 0/1 ContainerCreating 0 90s"),
        ("Always", {"a": {**RUNS, "restarts": 3, "last": last(1)}}, "Running", "p 1/1 Running 3 (12s ago) 90s"),
        # The first restart comes at once, so the end itself is what there is to be seen until then.
        ("Always", {"a": {**ENDED, "restarts": 1, "last": last(1), "backoff": 10}}, "Running", "p 0/1 Error 0 90s"),
        (
            "Always",
            {"a": {**ENDED, "restarts": 2, "last": last(1, 4), "backoff": 20}},
            "Running",
            "p 0/1 CrashLoopBackOff 1 (4s ago) 90s",
        ),
        (
            "Always",
            {"a": RUNS, "b": {**ENDED, "restarts": 2, "last": last(0, 4), "backoff": 20}},
            "Running",
            "p 1/2 CrashLoopBackOff 1 (4s ago) 90s",
        ),
        ("Never", {"a": {**ENDED, "last": last(0)}}, "Succeeded", "p 0/1 Completed 0 90s"),
        ("Never", {"a": {**ENDED, "last": last(2)}, "b": {**ENDED, "last": last(0)}}, "Failed", "p 0/2 Error 0 90s"),
        ("OnFailure", {"a": {**ENDED, "last": last(0)}}, "Succeeded", "p 0/1 Completed 0 90s"),
        ("OnFailure", {"a": RUNS, "b": {**ENDED, "last": last(0)}}, "Running", "p 1/2 NotReady 0 90s"),
        (
            "OnFailure",
            {"a": {**ENDED, "restarts": 3, "last": last(1, 20), "backoff": 40}},
            "Running",
            "p 0/1 CrashLoopBackOff 2 (20s ago) 90s",
        ),
    ],
)
def test_phase_and_columns_of_a_pod(policy: str, facts: dict[str, Any], phase: str, columns: str) -> None:
    pod = one_pod(policy, **facts)
    assert pod["status"]["phase"] == phase
    assert row(pod) == columns


def test_status_of_a_running_pod() -> None:
    found = one_pod(a={**RUNS, "restarts": 1, "last": last(3)})["status"]
    assert (found["podIP"], found["podIPs"]) == ("10.1.1.2", [{"ip": "10.1.1.2"}])
    assert (found["hostIP"], found["startTime"]) == ("10.0.0.2", "2026-01-02T11:58:40Z")
    assert {condition["type"]: condition["status"] for condition in found["conditions"]} == dict.fromkeys(
        ("Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
    )
    (container,) = found["containerStatuses"]
    assert (container["name"], container["image"], container["ready"], container["restartCount"]) == (
        "a",
        "busybox",
        True,
        1,
    )
    assert container["state"] == {"running": {"startedAt": "2026-01-02T11:59:00Z"}}
    assert container["lastState"]["terminated"] | {"containerID": ""} == {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": "2026-01-02T11:59:43Z",
        "finishedAt": "2026-01-02T11:59:48Z",
        "containerID": "",
    }


def test_an_end_by_signal_counts_as_a_shell_counts_it() -> None:
    pod = one_pod("Never", a={**ENDED, "last": last(256, signal=9)})
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"], ended["reason"]) == (137, 9, "Error")
    assert pod["status"]["containerStatuses"][0]["lastState"] == {}


def test_pods_of_a_silent_node_and_pods_without_a_node_are_known_from_the_record() -> None:
    known = {
        "pods": {
            "default/a": ["node1", "10.1.1.2"],
            "default/b": ["node2", "10.1.2.2"],
            "default/lost": ["node1", "10.1.1.9"],
        },
        "waiting": ["default/late"],
        "created": {"pod/default/b": "2026-01-02T11:00:00Z"},
    }
    state = objects.state_of({"node1": answer(live("a", a=RUNS), **known), "node2": None}, ["node1", "node2"])
    found = {pod["metadata"]["name"]: pod for pod in objects.pods(state)}
    wide = {
        name: table.table(table.KINDS["pods"], [pod], NOW, headers=False, wide=True).split()
        for name, pod in found.items()
    }
    assert wide["b"] == ["b", "0/0", "Unknown", "0", "60m", "10.1.2.2", "node2", "<none>", "<none>"]
    assert wide["late"][1:] == ["0/0", "Pending", "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"]
    assert wide["lost"][2] == "Pending"
    assert wide["a"][2] == "Running"
    assert list(found) == ["a", "b", "late", "lost"]


def test_what_moved_away_from_a_node_that_missed_the_last_run_is_shown_where_it_belongs() -> None:
    record_now = {"pods": {"default/a": ["node2", "10.1.2.2"]}}
    old, new = live("a", a=RUNS), live("a", a=RUNS)
    new["row"]["object"]["spec"]["nodeName"] = "node2"
    for order in (("node1", "node2"), ("node2", "node1")):
        state = objects.state_of({"node1": answer(old, **record_now), "node2": answer(new, **record_now)}, order)
        assert [pod["spec"]["nodeName"] for pod in objects.pods(state)] == ["node2"]


def test_the_newest_record_is_believed() -> None:
    answers = {"node1": answer(generation=4, namespaces=["old"]), "node2": answer(generation=12, namespaces=["new"])}
    assert [item["metadata"]["name"] for item in objects.namespaces(objects.state_of(answers, []))] == ["new"]


# --- all others -------------------------------------------------------------------------------------


def test_nodes_in_kubectls_columns() -> None:
    bare = {**answer(), "record": None}
    answers = {"node1": answer(), "node2": None, "gateway": answer(), "fresh": bare}
    state = objects.state_of(answers, ["node1", "node2", "fresh"])
    text = table.table(table.KINDS["nodes"], objects.nodes(state), NOW, wide=True)
    version = objects.VERSION
    assert [line.split("   ")[0].strip() for line in text.splitlines()] == ["NAME", "fresh", "node1", "node2"]
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == (
        "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME"
    )
    assert lines[1].startswith(f"fresh NotReady <none> <unknown> {version} <none> <none>")
    assert lines[2] == (
        f"node1 Ready <none> 120m {version} 10.0.0.2 <none> Debian GNU/Linux 12 (bookworm) 6.1.0 bubblewrap://0.8.0"
    )
    assert lines[3] == "node2 NotReady <none> 120m 10.0.0.3 <none> <unknown> <unknown> <unknown>"


def test_deployments_count_their_own_pods() -> None:
    item = {
        "namespace": "default",
        "name": "web",
        "replicas": 3,
        "templateHash": "new",
        "labels": {"app": "web"},
        "selector": {"tier": "front", "app": "web"},
        "containers": ["a", "b"],
        "images": ["busybox", "agnhost:2"],
    }
    created = {"deployment/default/web": "2026-01-02T11:50:00Z"}
    lives = [live("web-new-1", a=RUNS), live("web-old-2", a=RUNS), live("web-new-3", a=ENDED), live("web", a=RUNS)]
    state = objects.state_of({"node1": answer(*lives, deployments=[item], created=created)}, ["node1"])
    text = table.table(table.KINDS["deployments"], objects.deployments(state), NOW, wide=True)
    assert [line.split() for line in text.splitlines()] == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"],
        ["web", "2/3", "2", "2", "10m", "a,b", "busybox,agnhost:2", "app=web,tier=front"],
    ]


def test_table_has_kubectls_spacing() -> None:
    pods_ = [one_pod(a=RUNS)]
    assert table.table(table.KINDS["pods"], pods_, NOW) == (
        "NAME   READY   STATUS    RESTARTS   AGE\np      1/1     Running   0          90s\n"
    )
    assert table.table(table.KINDS["pods"], pods_, NOW, headers=False, all_namespaces=True) == (
        "default   p     1/1   Running   0     90s\n"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (599, "9m59s"),
        (600, "10m"), (10799, "179m"), (10800, "3h"), (11100, "3h5m"), (8 * 3600, "8h"), (47 * 3600 + 59, "47h"),
        (48 * 3600, "2d"), (51 * 3600, "2d3h"), (8 * 86400, "8d"), (729 * 86400, "729d"),
        (730 * 86400, "2y"), (740 * 86400, "2y10d"), (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_ages_are_told_as_kubectl_tells_them(seconds: int, words: str) -> None:
    assert table.human_duration(seconds) == words


def test_json_is_a_list_unless_one_object_was_named(capsys: pytest.CaptureFixture[str]) -> None:
    pod = one_pod(a=RUNS)
    get.show(table.KINDS["pods"], [pod], "json")
    assert json.loads(capsys.readouterr().out) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [pod],
        "metadata": {"resourceVersion": ""},
    }
    get.show(table.KINDS["pods"], [pod], "json", single=True)
    assert json.loads(capsys.readouterr().out) == pod
    get.show(table.KINDS["pods"], [pod], "name")
    assert capsys.readouterr().out == "pod/p\n"


def test_selectors_are_equality_based() -> None:
    labels = {"app": "web", "tier": "front"}
    for text, wanted in (
        ("", True),
        ("app=web", True),
        ("app==web,tier!=back", True),
        ("app!=web", False),
        ("x=y", False),
    ):
        assert get.selected(labels, get.parse_selector(text)) is wanted, text
    assert get.selected({}, get.parse_selector("app!=web"))
    with pytest.raises(Failure, match="unable to parse requirement"):
        get.parse_selector("app")


# --- entering ---------------------------------------------------------------------------------------


def test_exec_gets_what_the_container_got() -> None:
    container: containers.ContainerRow = {
        "image": "i",
        "argv": ["true"],
        "env": {"PATH": "/bin", "A": "b c"},
        "working_dir": "/srv",
    }
    argv = containers.sandbox_argv("/pod", "web", container)
    given = {argv[at + 1]: argv[at + 2] for at, word in enumerate(argv) if word == "--setenv"}
    assert hosts.environment("web", container) == given
    entered = hosts.in_container({"hostname": "web", "containers": {"c": container}}, "c", 42, ["ls", "a b"], tty=False)
    assert entered[:3] == ["nsenter", "-t", "42"]
    assert entered[-2:] == ["ls", "a b"]
    assert entered[entered.index("-C") + 1] == argv[argv.index("--chdir") + 1]
    kept = [word.removeprefix("CAP_").lower() for before, word in itertools.pairwise(argv) if before == "--cap-add"]
    assert f"--bounding-set=-all,{','.join(f'+{name}' for name in kept)}" in entered


def test_only_ssh_quotes_and_it_quotes_every_word() -> None:
    known = {"ansible_host": "192.0.2.1", "ansible_port": "2222", "ansible_user": "me", "ansible_become": "True"}
    known["ansible_ssh_common_args"] = "-o 'ProxyCommand=nc %h %p'"
    host = hosts.Ssh("far", "node", known)
    command = ["sh", "-c", "echo \"$1\"; rm -rf '/'", "sh", "a; b"]
    *ssh, line = host.argv(command)
    assert shlex.split(line) == ["sudo", "-n", "--", *command]
    assert ssh[:2] == ["ssh", "-T"]
    assert ssh[-9:] == ["LogLevel=ERROR", "-o", "ProxyCommand=nc %h %p", "-p", "2222", "-l", "me", "--", "192.0.2.1"]
    assert host.argv(command, tty=True)[1] == "-t"
    assert host.login(tty=True)[-1] == "sudo -n -i"
    assert hosts.Ssh("far", "node", {}).login(tty=True)[-2:] == ["--", "far"]
    assert hosts.Local("here", "node", {}).argv(command) == command


def test_an_embedded_host_that_is_off_is_silent() -> None:
    with pytest.raises(hosts.Silent, match="off"):
        hosts.Embedded("node1", "node", {}, "default", None).argv(["true"])


def test_status_and_the_modules_mean_the_same_files() -> None:
    assert (status.PODS, status.SERVICES, status.RECORD) == (pods.PODS, pods.SERVICES, record.PATH)
    assert [*status.PAUSE, "x"] == pods.pause_command("x")
    assert len(Path(str(follow.__file__)).read_bytes()) < 65536  # it has to fit into a pipe


def test_container_facts_of_a_service_directory(tmp_path: Path) -> None:
    (tmp_path / "restarts").write_text("2\n")
    assert status.container(str(tmp_path)) == {**ENDED, "restarts": 2}
    (tmp_path / "last").write_text("256 9 100 200\n")
    (tmp_path / "backoff").write_text("20\n")
    (tmp_path / "started").write_text("")
    os.utime(tmp_path / "started", (300, 300))
    (tmp_path / "status").write_text(f'{{ "child-pid": {os.getpid()}, "mnt-namespace": 1 }}\n')
    ended = {"exit": 256, "signal": 9, "started": 100, "ended": 200}
    expected = {"pid": os.getpid(), "started": 300.0, "restarts": 2, "last": ended, "backoff": 20}
    assert status.container(str(tmp_path)) == expected
    with (tmp_path / "status").open("a") as file:
        file.write('{ "exit-code": 0 }\n')
    assert status.container(str(tmp_path))["pid"] is None


# --- logs -------------------------------------------------------------------------------------------


def test_log_goes_on_where_it_was_when_its_file_is_put_aside(tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.write_bytes(b"one\n")
    log = follow.Log(str(tmp_path))
    assert log.news() == b"one\n"
    with current.open("ab") as file:
        file.write(b"two\n")
    current.rename(tmp_path / "@400000005.s")
    current.write_bytes(b"three\n")
    assert log.news() == b"two\nthree\n"
    assert log.news() == b""
    assert follow.Log(str(tmp_path)).news() == b"one\ntwo\nthree\n"


def test_last_lines() -> None:
    text = b"a\nb\nc"
    assert [follow.last_lines(text, count) for count in (-1, 0, 1, 2, 9)] == [text, b"", b"c", b"b\nc", text]


def test_log_of_the_latest_start_is_printed(tmp_path: Path) -> None:
    for start, text in (("2", "old"), ("10", "new")):
        (tmp_path / start).mkdir()
        (tmp_path / start / "current").write_text(f"{text}\n")
    program = Path(str(follow.__file__)).read_text()
    done = subprocess.run(
        [sys.executable, "-IS", "-", str(tmp_path), "-1"], input=program, capture_output=True, text=True, check=True
    )
    assert done.stdout == "new\n"


# --- the command itself -----------------------------------------------------------------------------


def test_suggestions_work_with_what_stands() -> None:
    toolbox, web, plain = one_pod(netshoot=RUNS), one_pod(agnhost=RUNS), one_pod(a=RUNS)
    toolbox["metadata"] = {"name": "toolbox", "namespace": "tools"}
    toolbox["spec"] = {"nodeName": "node2", "containers": [{"name": "n", "image": "nicolaka/netshoot"}]}
    web["metadata"] = {"name": "web-1", "namespace": "default", "ownerReferences": [{}]}
    agnhost = {"name": "a", "image": "agnhost:2", "args": ["netexec"], "ports": [{"containerPort": 8080}]}
    web["spec"] = {"nodeName": "node1", "containers": [agnhost]}
    assert power.suggestions([plain, toolbox, web], ["node1"]) == [
        "exec -n tools toolbox -- curl -s http://10.1.1.2:8080/clientip",
        "node node2 -- ip route get 10.1.1.2",
        "logs -f web-1",
    ]
    assert power.suggestions([plain], ["node1"])[0] == "exec p -- ping -c 3 10.1.1.2"
    assert len(power.suggestions([], ["node1"])) == 3


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
    assert check.is_hollow(words) == why


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
        (("exec", "-h"), 0, "[-it]"),
        (("fly",), 2, "no verb 'fly'"),
        (("get",), 2, "usage: ./lab get"),
        (("get", "pods", "-o", "xml"), 2, "usage: ./lab get"),
        (("get", "gizmos"), 1, 'error: the server doesn\'t have a resource type "gizmos"'),
        (("exec", "pod", "ls"), 2, "exec POD -- COMMAND"),
        (("exec", "pod"), 1, "error: you must specify at least one command for the container"),
        (("logs",), 2, "usage: ./lab logs"),
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
