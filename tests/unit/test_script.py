"""A host as a shell script: what it says, and that a shell does with it what a run does."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.errors import CommandError
from cli.look import script as command
from podlab.changes import actions, script_text
from podlab.changes.pods import container_root, containers, paths, pod_commands, pods, s6_commands, volume_commands
from podlab.configs import PodConfig
from podlab.controller import inputs, script
from podlab.host.pods import volumes
from podlab.planner.configs.services import digest_of
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.request import COMPONENTS
from podlab.planner.inputs.settings import Cluster
from podlab.planner.plan import plan
from tests.simulated_host import SimulatedHost
from tests.unit.test_changes_pods import row

ROOT = Path(__file__).parents[2]
NOW = "2030-01-01T00:00:00Z"
PROGRAMS = {"agnhost": "#!/usr/bin/python3\n", "nginx/nginx.conf": "events {}\n", "kubelet": "#!/usr/bin/python3 -IS\n"}
HEADINGS = script.play_names(str(ROOT))


SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
}


def subjects(
    manifests: Path = ROOT / "manifests", *, assume_ready: bool = False, **setting: Any
) -> dict[str, script.HostPlan]:
    """The hosts of the sample, bare."""
    bare = {
        "node1": ("node", "10.100.0.2", SimulatedHost("10.100.0.2/24", gateway="10.100.0.1")),
        "node2": ("node", "10.100.0.3", SimulatedHost("10.100.0.3/24", gateway="10.100.0.1")),
        "gateway": ("gateway", "10.100.0.1", SimulatedHost("10.100.0.1/24", eth1="198.51.100.1/24")),
    }
    labels = {"disktype": "ssd"}
    hosts = [Host(name, role, at, labels, it.observe(), in_run=True) for name, (role, at, it) in bare.items()]
    desired = inputs.read(str(ROOT), str(manifests), {}).desired
    made = plan(Cluster(**setting), hosts, desired, PROGRAMS, NOW, assume_ready=assume_ready)
    return {
        host.name: script.HostPlan(host.name, host.role, made["hosts"][host.name], host.observation or {})
        for host in hosts
    }


@pytest.fixture(scope="module")
def node1() -> script.HostPlan:
    return subjects(assume_ready=True)["node1"]


@pytest.fixture(scope="module")
def thirty() -> list[script.HostPlan]:
    return [*subjects(ROOT / "tests" / "manifests", pod_routing="vxlan").values()]


def test_the_sample(
    node1: script.HostPlan, golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.health_checks, "program", lambda: "#!/usr/bin/python3 -IS\n")
    golden("script-node1.sh", script.script(node1, HEADINGS))
    golden("script-node1-undo.sh", script.undo(node1, HEADINGS))


def test_every_component_has_the_sentence_of_its_play() -> None:
    assert list(HEADINGS) != []
    assert HEADINGS.keys() == set(COMPONENTS)
    assert HEADINGS["pods"] == "Pods: namespaces, veth pairs, containers"


def test_a_script_has_every_command_that_a_run_shows_in_the_same_order(thirty: list[script.HostPlan]) -> None:
    for host in thirty:
        found = pods.changes({}, {}, host.pods)
        commands = {line for line in _typed(found) if isinstance(line, str)}  # a passage says more than its brief
        shown = [line for line in actions.lines(found) if line in commands]
        assert len(shown) > (20 if host.pods else -1)
        rest = iter(script.script(host, HEADINGS).splitlines())
        assert [line for line in shown if line not in rest] == []  # each after the one before


def _typed(found: list[actions.Action]) -> list[script_text.Typed]:
    return [line for part in (*pod_commands.network(found), *pod_commands.processes(found)) for line in part.typed]


def test_a_shell_can_read_them(thirty: list[script.HostPlan]) -> None:
    for host in thirty:
        for text in (script.script(host, HEADINGS), script.undo(host, HEADINGS)):
            for shell in ("sh", "bash"):
                done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
                assert (done.returncode, done.stderr) == (0, "")


def test_what_a_script_cannot_bring_is_said_at_the_top() -> None:
    both = subjects(ROOT / "tests" / "manifests")
    host = both["node2"]
    unfinished = script.HostPlan(host.name, host.role, host.rows, host.seen, ("StatefulSet ordered: 1 of 2 created",))
    head = script.script(unfinished, HEADINGS).partition("set -eu")[0]
    ends = [name for name, known in _by_name(host).items() if known["restart_policy"] != "Always"]
    assert ends
    assert all(f"# - the end of pod default/{name}, if it has come to it" in head for name in ends)
    assert "# - what is yet to come once these pods are ready: StatefulSet ordered: 1 of 2 created" in head
    hooked = [(it, name) for it in both.values() for name, known in _by_name(it).items() if "pre_stop" in str(known)]
    assert hooked
    heads = [(script.undo(it, HEADINGS).partition("set -u")[0], f"pod default/{name}") for it, name in hooked]
    assert [name for undone, name in heads if name not in undone] == []


def _by_name(host: script.HostPlan) -> dict[str, PodConfig]:
    return {known["object"]["metadata"]["name"]: known for known in host.pods}


# --- Services


def test_services_lead_to_pods_that_the_script_makes(tmp_path: Path) -> None:
    for file in (ROOT / "manifests").glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (tmp_path / "service.yml").write_text(json.dumps(SERVICE), "utf-8")
    host = subjects(tmp_path, assume_ready=True)["node1"]
    text = script.script(host, HEADINGS)
    assert text.count("iptables-restore") == 3
    to_pods = re.findall(r"^-A KUBE-SEP-.* -j DNAT --to-destination (\S+)$", text, re.MULTILINE)
    assert to_pods == ["10.1.1.3:80", "10.1.2.3:80"]
    assert f'"row": "{digest_of(host.rows["services"])}"' in text
    chains = re.findall(r"^:(KUBE-\S+) ", text, re.MULTILINE)
    assert sorted(re.findall(r"^-X (KUBE-\S+)$", script.undo(host, HEADINGS), re.MULTILINE)) == sorted(chains)
    assert "-A KUBE-SEP-" not in script.script(subjects(tmp_path)["node1"], HEADINGS), "nobody is ready before that"


@pytest.mark.parametrize("ports", [["service"], ["host"], ["service", "host"]], ids=" and ".join)
def test_127_0_0_1_is_open_as_long_as_it_is_guarded(tmp_path: Path, ports: list[str]) -> None:
    key = "net.ipv4.conf.all.route_localnet"
    container = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80, "hostPort": 8080}]}
    spec = {"nodeName": "node1", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
    by_node_port = {**SERVICE, "spec": {**SERVICE["spec"], "type": "NodePort"}}
    for name, document in (("service", by_node_port), ("host", pod)):
        if name in ports:
            (tmp_path / f"{name}.yml").write_text(json.dumps(document), "utf-8")
    host = subjects(tmp_path, assume_ready=True)["node1"]
    lines = script.script(host, HEADINGS).splitlines()
    guard = "-A PODLAB-LOCALHOST ! -s 127" if "host" in ports else "-A KUBE-FIREWALL ! -s 127"
    (guarded,) = [number for number, line in enumerate(lines) if guard in line]
    assert [line for line in lines[:guarded] if key in line] == []
    assert lines.count(f"sysctl -w {key}=1") == 1
    undone = [line for line in script.undo(host, HEADINGS).splitlines() if line.startswith(("sysctl", "iptables"))]
    assert undone[0] == f"sysctl -w {key}=0"
    assert sum(key in line for line in undone) == 1


def test_sticky_clients_are_remembered_where_the_rules_look_for_them(tmp_path: Path) -> None:
    sticky = {**SERVICE, "spec": {**SERVICE["spec"], "sessionAffinity": "ClientIP"}}
    for file in (ROOT / "manifests").glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (tmp_path / "service.yml").write_text(json.dumps(sticky), "utf-8")
    host = subjects(tmp_path, assume_ready=True, affinity_by_ipset=True)["node1"]
    text = script.script(host, HEADINGS)
    made = re.findall(r"^ipset create (\S+) hash:ip timeout 10800 maxelem 65536$", text, re.MULTILINE)
    assert len(made) == 2
    assert text.index("ipset create") < text.index("--match-set")
    assert re.findall(r"^ipset destroy (\S+)$", script.undo(host, HEADINGS), re.MULTILINE) == made


# --- settings


def sysctl_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("sysctl ")]


def test_settings_go_back_to_what_the_record_has() -> None:
    host = subjects()["gateway"]
    assert sysctl_lines(script.undo(host, HEADINGS)) == [
        "sysctl -w net.ipv4.ip_forward=0",
        "sysctl -w net.ipv4.conf.all.send_redirects=1",
        "sysctl -w net.ipv4.conf.eth0.send_redirects=1",
    ]
    forwarding = {key: "1" for key in host.originals if key.endswith("forward") or key.endswith(".forwarding")}
    record = {"sysctls": {**host.originals, **forwarding}}
    seen = {**host.seen, "record": record, "sysctls": {**host.seen["sysctls"], **host.rows["node"]["sysctls"]}}
    lit = script.HostPlan(host.name, host.role, host.rows, seen)
    assert sysctl_lines(script.undo(lit, HEADINGS)) == sysctl_lines(script.undo(host, HEADINGS))[1:]
    assert sysctl_lines(script.script(lit, HEADINGS)) == sysctl_lines(script.script(host, HEADINGS))


def test_a_setting_that_its_module_brings_is_as_podlab_wants_it(node1: script.HostPlan) -> None:
    name = "net.bridge.bridge-nf-call-iptables"
    seen = {**node1.seen, "sysctls": {key: value for key, value in node1.seen["sysctls"].items() if key != name}}
    assert script.HostPlan("node1", "node", node1.rows, seen).originals[name] == "1"


# --- with a shell


def sh(lines: list[str], path: str = os.environ["PATH"]) -> None:
    done = subprocess.run(
        ["sh", "-eu"], input="\n".join(lines) + "\n", env={"PATH": path}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


TEXTS = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from(["END", "END_", "", "a", "$x", "`b`", "\\", "'"])).map("\n".join)
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(TEXTS.filter(lambda text: text.isprintable() or "\r" not in text), st.binary(max_size=99)))
@example("END\nEND_\n")
@example("no newline at the end, 'quoted'")
@example("\0")
@example("")
@example(bytes(range(256)))
def test_a_file_arrives_byte_for_byte(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "it's a file"
    script = "\n".join(script_text.file_lines(str(path), content)) + "\n"
    subprocess.run(["sh", "-eu"], input=script.encode("utf-8", "surrogatepass"), check=True)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())


NASTY = row(
    containers={
        "main": {
            "image": "busybox",
            "argv": ["sh", "-c", "echo '$(touch /tmp/x)'\n`b`; END\nEND\n", "é"],
            "env": {"PATH": "/bin", "A": "$(b) '\"\n"},
            "working_dir": "/usr/it's here",
            "mounts": [{"volume": "files", "path": "/usr/a b", "sub_path": "dir/$x", "read_only": True}],
        }
    },
    volumes={"files": {"kind": "files", "files": {"dir/$x": {"mode": 0o400, "text": "`c`\n"}}}},
    etc={"hostname": "web\n", "hosts": "10.1.1.2\tweb\n", "resolv.conf": ""},
)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that podlab writes lies below another directory; mounts and the supervisor are left out."""
    for name in ("PODS", "SCAN_DIR", "VOLUMES", "LOGS", "SUBPATHS", "SHM"):
        for module in (paths, container_root, containers, s6_commands, volume_commands, volumes):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, f"{tmp_path}/{name.lower()}")
    monkeypatch.setattr(s6_commands, "BUILDING", f"{tmp_path}/scan_dir/.new")
    (tmp_path / "bin").mkdir()
    for program in ("mount", "s6-svscanctl"):
        (tmp_path / "bin" / program).symlink_to("/bin/true")
    return tmp_path


def tree(directory: Path) -> dict[str, tuple[str, str]]:
    """Path -> rights, and what is in it or where it leads."""
    found = {}
    for path in sorted(directory.rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
        found[str(path.relative_to(directory))] = (oct(path.lstat().st_mode), content)
    return found


def test_a_service_is_the_one_that_a_run_makes_whatever_a_manifest_says(elsewhere: Path) -> None:
    lines = script_text.full([*volume_commands.lines(NASTY, "files"), *s6_commands.service(NASTY, "main", held=True)])
    sh(lines, f"{elsewhere}/bin:{os.environ['PATH']}")
    home = elsewhere / "scan_dir" / "default_web.main"
    for name, text in containers.service_files(NASTY, "main").items():
        assert (home / name).read_text("utf-8") == text
        assert os.access(home / name, os.X_OK) == text.startswith("#!")
    assert (home / "down").read_text() == ""
    assert (home / "logs").is_dir()
    assert (home / "layers/0/a b").is_file()
    assert (home / "layers/0/it's here").is_dir()
    assert (elsewhere / "subpaths/default_web/main/0").is_file()


VOLUMES = {
    "files": {
        "kind": "files",
        "files": {
            "a": {"mode": 0o644, "text": "no newline"},
            "deep/er/b": {"mode": 0o400, "text": "one\ntwo\n"},
            "it's": {"mode": 0o440, "base64": "AAECgP8="},
        },
    },
    "empty": {"kind": "emptyDir", "medium": "", "size": None},
    "none": {"kind": "files", "files": {}},
}


@pytest.mark.parametrize("group", [{}, {"fs_group": os.getgid()}], ids=["plain", "fsGroup"])
def test_volumes_are_those_that_a_run_makes(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, group: dict[str, int]
) -> None:
    pod = row(volumes=VOLUMES, **group)
    sh([line for name in VOLUMES for line in script_text.full(volume_commands.lines(pod, name))])
    by_hand = tree(elsewhere / "volumes")
    (elsewhere / "volumes").rename(elsewhere / "by hand")
    monkeypatch.setattr(volumes.time, "strftime", lambda *_: "..2000_01_01_00_00_00.")
    monkeypatch.setattr(volumes.secrets, "randbelow", lambda _: 0)
    for name in VOLUMES:
        volumes.make(pod, name)
    assert by_hand == tree(elsewhere / "volumes")
    assert len(by_hand) > 10


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("", ["[ -e '/a b' ] || mkdir -p '/a b'"]),
        ("Directory", ["[ -d '/a b' ]"]),
        ("FileOrCreate", ["[ -e '/a b' ] || : >'/a b'"]),
        ("Socket", ["[ -S '/a b' ]"]),
    ],
)
def test_a_directory_of_the_host_is_asked_for(kind: str, lines: list[str]) -> None:
    pod = row(volumes={"host": {"kind": "hostPath", "path": "/a b", "type": kind}})
    assert volume_commands.lines(pod, "host") == lines


def test_the_pause_of_another_pod_is_left_alone() -> None:
    """To pkill a dot is any letter."""
    known: dict[str, pods.Pod] = {"default_a.b": {"sandbox": True, "row": row("a.b"), "services": []}}
    line = next(line for line in actions.lines(pods.changes({}, known, [])) if line.startswith("pkill"))
    pattern = shlex.split(line)[-1]
    names = ["catatonit -P podlab-pod default_a.b", "catatonit -P podlab-pod default_a-b"]
    found = subprocess.run(["grep", "-E", pattern], input="\n".join(names), capture_output=True, text=True)
    assert found.stdout.splitlines() == names[:1]


# --- ./lab script


def test_the_command_prints_the_one_that_is_asked_for_and_names_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def play(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(argv)
        directory = Path(json.loads(argv[-1])["podlab_scripts"])
        for name in ("node1", "node1-undo", "gateway", "gateway-undo"):
            (directory / f"{name}.sh").write_text(name, "utf-8")
        return subprocess.CompletedProcess(argv, 0, "a quiet page", "")

    monkeypatch.setattr(command.subprocess, "run", play)
    assert command.script("node1", ["-i", "x"], None, undo=False) == "node1"
    assert command.script("node1", [], "dir", undo=True) == "node1-undo"
    assert "--check" in asked[0] and asked[0][-4:-2] == ["-i", "x"]
    settings = [json.loads(argv[-1]) for argv in asked]
    assert [item.get("podlab_manifests") for item in settings] == [None, "dir"]
    assert settings[0]["plan_time"].endswith("T00:00:00Z")
    with pytest.raises(CommandError, match=r"no script for outside; there is one for each of: gateway, node1$"):
        command.script("outside", [], None, undo=False)


def test_the_command_hands_on_why_there_is_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 2, "fatal: [node1]: FAILED!", "")
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(CommandError, match="fatal: "):
        command.script("node1", [], None, undo=False)
