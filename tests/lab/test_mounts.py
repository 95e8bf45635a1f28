"""What containers leave in volumes, before others of their pod have something mounted there."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import pod
from .test_security import Attacked

OUT, UP = "/oldroot/tmp", "../../oldroot/tmp"  # where the host is while bubblewrap builds a root, from / and from /a
A, B = {"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/a/sub/made"}
TOP = {"name": "a", "emptyDir": {}}
# What a container has planted -> what it did, the mounts of the next one, more of its volumes and of its fields
PLANTED: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "link": (f"ln -s {OUT} /a/sub", [A, B], TOP, {}),
    "up": (f"ln -s {UP} /a/sub", [A, B], TOP, {}),
    "last": (f"mkdir /a/sub; ln -s {OUT}/made /a/sub/made", [A, B], TOP, {}),
    "file": (f"ln -s {OUT} /a/sub", [A, {**B, "name": "c", "subPath": "key"}], TOP, {}),
    "memory": (f"ln -s {OUT} /a/sub", [A, B], {"name": "a", "emptyDir": {"medium": "Memory"}}, {}),
    "sub-path": (f"mkdir /a/s; ln -s {OUT} /a/s/sub", [{**A, "subPath": "s"}, B], TOP, {}),
    "host-path": (f"ln -sfn {OUT} /a/sub", [A, B], {"name": "a", "hostPath": {"path": "/srv/planted"}}, {}),
    "in-another": (
        f"ln -s {UP} /b/sub",
        [A, {**B, "mountPath": "/a/b"}, {"name": "c", "mountPath": "/a/b/sub/made"}],
        TOP,
        {},
    ),
    "shm": (f"ln -s {OUT} /dev/shm/sub", [{**B, "mountPath": "/dev/shm/sub/made"}], TOP, {}),
    "etc": (f"ln -s {OUT} /a/sub", [{**A, "mountPath": "/lib/a"}, {**B, "mountPath": "/usr/lib/a/sub/made"}], TOP, {}),
    "directory": (f"ln -s {OUT} /a/sub", [A], TOP, {"workingDir": "/a/sub/made"}),
}
SOUND = {
    "name": "main",
    "image": "busybox",
    "command": ["sh", "-c", "pwd >>/a/starts; exec sleep infinity"],
    "workingDir": "/a/current/new",
    "volumeMounts": [
        {"name": "c", "mountPath": "/a/etc/key", "subPath": "key"},
        {"name": "b", "mountPath": "/a/deep/er/"},
        {"name": "d", "mountPath": "/a/deep/er/still", "readOnly": True},
        {"name": "e", "mountPath": "/dev/shm/e"},
        {"name": "a", "mountPath": "/a"},
    ],
}
LOGGED = "head -qn 1 /var/log/pods/default_%s/main/0/current 2>/dev/null"


class Mounted(Attacked):
    def start(self) -> None:
        (self.home / "hosts.yml").write_text(
            "all: {vars: {ansible_connection: embedded, ansible_python_interpreter: /usr/bin/python3, "
            "podlab_allow_host_path: true}, children: {embedded: {children: {nodes: {hosts: {node1: {ansible_host: 10.100.0.2}}}}}}}\n"
        )
        (self.home / "manifests").mkdir()
        objects = [planted(name, *words) for name, words in PLANTED.items()]
        sound = pod(
            "sound",
            SOUND,
            volumes=volumes(TOP),
            initContainers=[planter("mkdir -p /a/now/new; ln -s /a/now /a/current")],
        )
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"key": "value"}}
        (self.home / "manifests" / "all.yml").write_text(yaml.safe_dump_all([*objects, sound, config]))
        up = self.run("up", "--manifests", str(self.home / "manifests"), "--skip-tags", "verify")
        assert "pod default/sound" not in up.stdout, up.stdout + up.stderr

    def sh(self, script: str) -> str:
        done = self.run("node", "node1", "--", "sh", "-c", script)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def inside(self, script: str) -> str:
        done = self.run("exec", "sound", "-c", "main", "--", "sh", "-c", script)
        return done.stdout + done.stderr


def planter(script: str) -> dict[str, Any]:
    mounts = [A, {"name": "b", "mountPath": "/b"}]
    return {"name": "planter", "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": mounts}


def planted(
    name: str, script: str, mounts: list[dict[str, Any]], top: dict[str, Any], more: dict[str, Any]
) -> dict[str, Any]:
    main = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"], "volumeMounts": mounts, **more}
    return pod(name, main, initContainers=[planter(script)], volumes=volumes(top), restartPolicy="Never")


def volumes(top: dict[str, Any]) -> list[dict[str, Any]]:
    empty = [{"name": name, "emptyDir": {}} for name in ("b", "d", "e")]
    return [top, *empty, {"name": "c", "configMap": {"name": "c"}}]


@pytest.fixture(scope="module")
def mounted() -> Iterator[Mounted]:
    """Of whoever runs the tests: what an ordinary user's containers leave meets the same code, with fewer rights."""
    with tempfile.TemporaryDirectory(prefix="podlab-mounted-") as directory, contextlib.ExitStack() as undone:
        home = Path(directory)
        home.chmod(0o755)
        found = Mounted(f"mounted-{uuid.uuid4().hex[:8]}", home, [], {})
        undone.callback(found.run, "down")
        found.start()
        yield found


@pytest.fixture(scope="module")
def logged(mounted: Mounted) -> dict[str, str]:
    """What the first line of each container's log is."""
    wait = f"for i in $(seq 100); do {LOGGED} | grep . && break; [ $i = 100 ] && echo; sleep 0.05; done"
    first = "; ".join(wait.replace("%s", name) for name in PLANTED)
    return dict(zip(PLANTED, mounted.sh(first).splitlines(), strict=True))


def test_nothing_is_made_outside_of_a_container_where_its_volumes_hold_links(
    mounted: Mounted, logged: dict[str, str]
) -> None:
    assert mounted.sh("ls /tmp") == ""


@pytest.mark.parametrize("name", PLANTED)
def test_a_container_that_is_not_started_for_it_says_why(logged: dict[str, str], name: str) -> None:
    if name == "directory":
        assert logged[name] == "bwrap: Can't chdir to /a/sub/made: No such file or directory"
        return
    *_, last = sorted(mount["mountPath"] for mount in PLANTED[name][1])
    step = {"sub-path": "sub", "shm": "sub", "in-another": "b/sub", "last": "sub/made"}.get(name, "sub")
    assert logged[name].startswith('mounts: error mounting "/')
    assert logged[name].endswith(f'" to rootfs at "{last}": {step} leads out of the volume')


LOOK = """
cat /a/deep/er/file /a/etc/key 2>/dev/null; echo
for file in /a/etc/key /a/deep/er/still/file /a/deep/er/file /dev/shm/e/file; do (echo x >$file) 2>/dev/null; echo $?; done
awk '$5 ~ "^/a" { print $6 }' /proc/self/mountinfo
"""


def test_mounts_in_volumes_are_where_the_manifest_has_them_and_are_so_again_after_a_restart(mounted: Mounted) -> None:
    home, status = "/var/lib/podlab/volumes/default_sound", "/run/podlab/services/default_sound.main/status"
    pid = f"$(sed -n 's/.*\"child-pid\": \\([0-9]*\\).*/\\1/p' {status})"
    mounted.sh(f"until [ -e {home}/a/starts ]; do sleep 0.05; done")
    for before in ("", "x\n"):
        seen, refused, also, *written, flags = mounted.inside(LOOK).removeprefix(before).split("\n", 5)
        assert (seen, refused, also, written) == ("value", "1", "1", ["0", "0"])
        flags = [line.split(",") for line in flags.split()]
        assert sorted(words[0] for words in flags) == ["ro", "ro", "rw", "rw"]
        assert all({"nosuid", "nodev"} <= set(words) for words in flags)
        again = f"kill -9 {pid}; until [ $(wc -l <{home}/a/starts) = 2 ]; do sleep 0.05; done"
        mounted.sh(again if not before else "true")
    assert mounted.sh(f"cd {home}; cat a/starts b/file e/file; ls a/deep/er") == "/a/current/new\n" * 2 + "x\nx\n"
