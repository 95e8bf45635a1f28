"""Containers: what the supervisor runs, tried with the programs that will read it."""

from __future__ import annotations

import os
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from podlab.changes.pods import container_root, containers, execline, identity, paths, sandbox
from podlab.configs import ContainerConfig, PodConfig
from podlab.host import enter
from podlab.planner.manifests import security

NETNS, POD = "default_web", "/run/podlab/pods/default_web"
SLEEP: ContainerConfig = {
    "image": "busybox",
    "argv": ["sleep", "9"],
    "env": {"PATH": "/usr/bin:/bin"},
    "working_dir": "/",
}


def pod_of(row: ContainerConfig, hostname: str = "web", policy: str = "Always", **extras) -> PodConfig:
    """The pod of one container, ``main``."""
    return {"netns": NETNS, "hostname": hostname, "restart_policy": policy, "containers": {"main": row}, **extras}


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_container_at_a_glance(golden):
    golden("container.run", containers.run_script(pod_of(SLEEP), "main"))


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Path:
    """A service directory, and an ``ip`` that prints its arguments instead of going anywhere."""
    directory = tmp_path_factory.mktemp("service")
    (directory / "bin").mkdir()
    program(directory / "bin" / "ip", "printf '%s\\0' \"$@\"; echo warning >&2")
    program(directory / "log", "cat >logged")
    (directory / "restarts").write_text("0\n", encoding="utf-8")
    return directory


HIDE = ("umount", "--lazy", "--quiet", paths.NETNS, paths.PODS)


def arguments(service: Path, row: ContainerConfig, hostname: str = "web") -> list[str]:
    """What the first program of the run script is started with."""
    (service / "env").touch()
    run = service / "run"
    run.write_text(containers.run_script(pod_of(row, hostname), "main"), encoding="utf-8")
    run.chmod(0o755)
    path = f"{service}/bin:{os.environ['PATH']}"
    # The log ends after the container; it holds these pipes open until then.
    done = subprocess.run([str(run)], cwd=service, env={"PATH": path}, capture_output=True, check=True)
    assert done.stdout + done.stderr == b"", "all that a container says belongs in its log"
    words = (service / "logged").read_bytes().decode().split("\0")
    assert words.pop() == "warning\n"
    return words


any_word = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.text(st.sampled_from("\\\"'${}# \n\t;n0x1@"), max_size=12),
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_word, min_size=1, max_size=4), any_word, any_word)
@example(["sh", "-c", "echo \"$0\" '${n}' \\\n{ }", "", " ", "{", "}", "\\", '"', "#", "é\u2028🐚"], "$1", "/a b")
def test_every_word_arrives_as_it_was_written(service, argv, value, directory):
    row: ContainerConfig = {**SLEEP, "argv": argv, "env": {"WORD": value}, "working_dir": f"/{directory}"}
    assert arguments(service, row, hostname=value) == [
        *("netns", "exec", NETNS, "nsenter", f"--ipc={POD}/ipc", f"--uts={POD}/uts", "--"),
        *(f"{execline.EXECLINE}/foreground", *(f" {word}" for word in HIDE), ""),  # a block, as execline passes it on
        *container_root.sandbox_argv(pod_of(row, value), "main"),
    ]


names = st.from_regex("[-._a-zA-Z][-._a-zA-Z0-9]{0,9}", fullmatch=True)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, any_word))
@example({"my.env-name": "\n", "A": 'b"\\\n\\n#', "-x": " = ", ".e": "\x01\x1b\x7f\x85é\u2028🐚", "B": "\\"})
def test_a_container_gets_its_variables_as_they_were_written(tmp_path, variables):
    row: ContainerConfig = {**SLEEP, "env": variables}
    file = tmp_path / "env"
    file.write_text(containers.environment_file("web", row), encoding="utf-8", newline="")
    read = enter.variables(file.read_bytes())  # by who enters later
    assert {name.decode(): value.decode() for name, value in read.items()} == containers.environment("web", row)
    argv = [VARIABLES[0], str(file), "/usr/bin/env", "-0"]
    words = subprocess.run(argv, env={}, capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    assert dict(word.split("=", 1) for word in words) == {
        "HOSTNAME": "web",
        "HOME": "/root",
        "TERM": "xterm",
        **variables,
    }


def test_no_variable_is_a_word_of_a_command_line_nor_of_a_script_that_others_read():
    pod = pod_of({**SLEEP, "env": {"A": "c4nary"}, "user": 7})
    files = containers.service_files(pod, "main")
    assert [name for name, text in files.items() if "c4nary" in text] == ["env"]


def test_the_start_is_dated_and_the_status_of_the_last_one_is_gone(service):
    (service / "status").write_text('{"exit-code": 1}', encoding="utf-8")
    (service / "started").unlink(missing_ok=True)
    arguments(service, SLEEP)
    assert (service / "status").read_text(encoding="utf-8") == ""
    assert (service / "started").exists()


@pytest.mark.parametrize(
    ("more", "mask", "ids"),
    [
        ({}, 0xA80425FB, (0, 0, None)),  # containerd's, and root's own ids
        ({"capabilities": []}, 0, (0, 0, None)),
        ({"capabilities": ["DAC_OVERRIDE", "CHECKPOINT_RESTORE"]}, 1 << 1 | 1 << 40, (0, 0, None)),
        ({"user": 7, "group": 8, "groups": [10, 9]}, 0xA80425FB, (7, 8, [9, 10])),
        ({"user": 7, "working_dir": "/a b\nuser 0\nworking_dir /"}, 0xA80425FB, (7, 0, [])),
    ],
)
def test_who_enters_becomes_what_the_container_is(tmp_path, more, mask, ids):
    row: ContainerConfig = {**SLEEP, **more}
    for name, text in containers.service_files(pod_of(row), "main").items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    wanted = enter.Wanted(str(tmp_path))
    assert wanted.capabilities == mask
    assert (wanted.user, wanted.group, wanted.groups) == ids
    assert wanted.working_dir.decode() == row["working_dir"]


def test_every_capability_of_a_manifest_has_a_number():
    assert set(security._ALL) == set(identity.NUMBERS)
    assert identity.NUMBERS.index("SYS_ADMIN") == 21


VARIABLES = (f"{execline.EXECLINE}/envfile", "/proc/self/fd/5", f"{execline.EXECLINE}/fdclose", "5")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(SLEEP, ["--clearenv", "--chdir", "/", "--", *VARIABLES, "sleep", "9"], id="root is there"),
        pytest.param(
            {**SLEEP, "working_dir": "/srv/app"},
            ["--clearenv", "--chdir", "/srv/app", "--", *VARIABLES, "sleep", "9"],
            id="another",
        ),
    ],
)
def test_the_end_of_the_sandbox(row, words):
    assert container_root.sandbox_argv(pod_of(row), "main")[-len(words) :] == words


def test_a_working_directory_is_made():
    argv = container_root.sandbox_argv(pod_of({**SLEEP, "working_dir": "/srv/app"}), "main")
    assert "/srv/app" in [path for word, path in pairwise(argv) if word == "--dir"]


def test_nothing_is_mounted_on_a_link_or_below_one():
    """bubblewrap refuses it from 0.11 on."""
    mounts = [{"path": path, "volume": "v", "sub_path": "", "read_only": False} for path in ("/var/run", "/lib/x/")]
    row = {**SLEEP, "mounts": mounts, "binds": {"/bin/tool": "/usr/bin/tool"}, "working_dir": "/var/run2"}
    argv = container_root.sandbox_argv(pod_of(row, volumes={"v": {"kind": "emptyDir", "medium": ""}}), "main")
    bound = [argv[at + 2] for at, word in enumerate(argv) if word in ("--bind", "--ro-bind", "--dev-bind")]
    assert {"/run", "/usr/bin/tool", "/usr/lib/x"} <= set(bound)
    assert not {path for path in bound if path.startswith(("/var/run", "/bin", "/lib"))}
    made = [path for word, path in pairwise(argv) if word == "--dir"]
    assert [path for path in made if path.startswith("/var/run")] == ["/var/run2"]


def test_a_container_gets_no_more_capabilities_than_containerd_gives():
    argv = container_root.sandbox_argv(pod_of(SLEEP), "main")
    at = argv.index("--cap-drop")
    assert argv[at + 1] == "ALL"
    given_ = {argv[index + 1] for index, word in enumerate(argv) if word == "--cap-add"}
    assert given_ == {f"CAP_{name}" for name in identity.CAPABILITIES}
    assert not given_ & {"CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}


@pytest.mark.parametrize("user", [0, 1000])
def test_ids_that_the_node_lacks_are_those_of_a_user_namespace(tmp_path, user):
    row: ContainerConfig = {**SLEEP, "user": user, "group": 7, "user_namespace": True}
    pod = pod_of(row, fs_group=5)
    argv = container_root.sandbox_argv(pod, "main")
    first = argv.index("--unshare-user")
    assert argv[first : first + 5] == ["--unshare-user", "--uid", str(user), "--gid", "7"]
    assert "/usr/bin/setpriv" not in argv
    assert ("--cap-add" in argv) == (user == 0)  # who is not root has none under runc
    assert '"chown"' not in containers.run_script(pod, "main")
    for name in ("identity", "env"):
        (tmp_path / name).write_text(containers.service_files(pod, "main")[name])
    wanted = enter.Wanted(str(tmp_path))
    assert (wanted.has_user_namespace, wanted.user, wanted.groups) == (True, user, None)


def binds(argv: list[str]) -> dict[str, tuple[str, str]]:
    """Where something of the host's is mounted -> how, and what."""
    return {
        argv[n + 2]: (word, argv[n + 1]) for n, word in enumerate(argv) if word.endswith("-bind") or word == "--bind"
    }


def test_a_privileged_container_has_the_nodes_devices_and_settings():
    plain, privileged = (
        binds(container_root.sandbox_argv(pod_of(row), "main")) for row in (SLEEP, {**SLEEP, "privileged": True})
    )
    assert plain["/proc/sys"][0] == plain["/sys"][0] == "--ro-bind"
    assert "/dev" not in plain
    assert "/proc/sys" not in privileged
    assert (privileged["/dev"], privileged["/sys"]) == (("--dev-bind", "/dev"), ("--bind", "/sys"))
    assert privileged["/dev/shm"] == plain["/dev/shm"]


def test_a_pod_in_namespaces_of_its_node():
    pod = pod_of(SLEEP, host_pid=True, host_ipc=True)
    argv = container_root.sandbox_argv(pod, "main")
    assert not {"--unshare-pid", "--as-pid-1", "--pidns"} & set(argv)
    assert argv[argv.index("--proc") + 1] == "/proc", "its files for all of the machine are covered so"
    assert "/proc" not in binds(argv)
    privileged = container_root.sandbox_argv(pod_of({**SLEEP, "privileged": True}, host_pid=True), "main")
    assert binds(privileged)["/proc"] == ("--bind", "/proc")
    assert binds(argv)["/proc/sys"] == ("--ro-bind", "/proc/sys")
    assert binds(argv)["/dev/shm"] == ("--bind", "/dev/shm")
    assert '"--ipc=' not in containers.run_script(pod, "main")
    on_node = {**pod, "host_network": True}
    assert '"nsenter"' not in containers.run_script(on_node, "main")
    assert sandbox.namespace_files(on_node, NETNS) == {}
    assert "mnt-namespace" in containers.service_files(pod, "main")["finish"], "nothing else ends its other processes"


def test_every_container_has_these_files():
    files = containers.service_files(pod_of(SLEEP), "main")
    assert set(containers.unit_files(pod_of(SLEEP), "main")) == files.keys() - {"restarts"}
    assert {name for name, text in files.items() if text.startswith("#!")} == set(containers.SCRIPTS)


# --- the end of a container


@pytest.fixture
def ended(tmp_path):
    """A service whose container has ended: run its finish script, and see what it did."""
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin" / "sleep", 'echo "$1" >slept')
    files = containers.service_files(pod_of(SLEEP), "main")
    (tmp_path / "restarts").write_text(files["restarts"], encoding="utf-8")
    (tmp_path / "started").touch()

    def finish(policy: str, code: int, signal: int = 0, *, ran: int = 1) -> tuple[int, str | None]:
        now = time.time()
        os.utime(tmp_path / "started", (now - ran, now - ran))
        (tmp_path / "status").write_text("{}", encoding="utf-8")
        (tmp_path / "slept").unlink(missing_ok=True)
        (tmp_path / "finish").write_text(containers.finish_script(policy), encoding="utf-8")
        done = subprocess.run(
            ["/bin/sh", "finish", str(code), str(signal), "web", "1"],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.stdout + done.stderr == ""
        return done.returncode, text(tmp_path / "slept")

    finish.directory = tmp_path
    return finish


def text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


STAYS_DOWN = (125, None)
AT_ONCE = (0, "0")


@pytest.mark.parametrize(
    ("policy", "code", "outcome"),
    [
        ("Always", 0, AT_ONCE),
        ("Always", 1, AT_ONCE),
        ("Always", 256, AT_ONCE),
        ("OnFailure", 0, STAYS_DOWN),
        ("OnFailure", 1, AT_ONCE),
        ("OnFailure", 256, AT_ONCE),
        ("Never", 0, STAYS_DOWN),
        ("Never", 1, STAYS_DOWN),
        ("Never", 256, STAYS_DOWN),
    ],
)
def test_the_restart_policy_decides(ended, policy, code, outcome):
    assert ended(policy, code) == outcome
    restarted = outcome == AT_ONCE
    assert text(ended.directory / "restarts") == ("1" if restarted else "0")
    assert not (ended.directory / "status").exists()  # its pid may soon be somebody else's


def test_how_it_ended_is_written_down(ended):
    ended("Never", 256, 9, ran=30)
    code, signal, started, now = map(int, text(ended.directory / "last").split())
    assert (code, signal) == (256, 9)
    assert now - started in (30, 31)


def test_the_wait_grows_as_the_kubelets_does_and_is_forgiven_after_ten_minutes(ended):
    waits = [ended("Always", 1)[1] for _ in range(8)]
    assert waits == ["0", "10", "20", "40", "80", "160", "300", "300"]
    assert ended("Always", 1, ran=580)[1] == "300"
    assert [ended("Always", 1, ran=600)[1], ended("Always", 1)[1]] == ["0", "10"]
    assert text(ended.directory / "restarts") == "11"


def test_a_service_and_its_log_are_named_after_pod_and_container():
    assert paths.service_name("default_web.v2", "main") == "default_web.v2.main"
    assert paths.log_directory(NETNS, "main") == "/var/log/pods/default_web/main"


def test_the_files_of_a_service():
    files = containers.service_files(pod_of(SLEEP, policy="Never"), "main")
    assert set(files) == {"run", "log", "finish", "enter", "identity", "env", "timeout-finish", "restarts"}
    assert files["finish"] == containers.finish_script("Never")
    assert files["timeout-finish"] == "0\n"
