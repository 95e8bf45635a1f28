"""Volumes in which somebody else puts links in the place of directories all the time: nothing outside is touched."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlab.changes.pods import nested_mounts
from podlab.changes.pods.actions import StartContainer
from podlab.host import mounts
from podlab.host.pods import containers, fs_group, mount_table, sub_paths

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "module_utils/podlab/host/mounts.py"
NAMESPACE = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else [])]
ROUNDS = 100
# Exchange two names again and again (renameat2, RENAME_EXCHANGE), as a container of the pod would.
EXCHANGE = """
import ctypes, sys
one, two = (name.encode() for name in sys.argv[1:3])
libc = ctypes.CDLL(None)
print(flush=True)
while True:
    libc.renameat2(-100, one, -100, two, 2)
    if sys.argv[3:]:
        libc.usleep(int(sys.argv[3]))
"""
# Put a link in the place of a directory as soon as it is made.
REPLACE = """
import os, sys
place, link = sys.argv[1:]
print(flush=True)
while True:
    try:
        os.rename(place, f"{place}.gone")
        os.rename(link, place)
    except OSError:
        pass
"""


@contextlib.contextmanager
def meanwhile(program: str, *words: object) -> Iterator[None]:
    argv = [sys.executable, "-IS", "-c", program, *map(str, words)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    directory.mkdir(mode=0o700)
    (directory / "file").touch(0o600)
    return directory


@pytest.fixture
def volume(tmp_path: Path, outside: Path) -> Path:
    """It has a directory and a link to the outside."""
    directory = tmp_path / "volume"
    (directory / "sub").mkdir(parents=True)
    (directory / "sub" / "file").touch()
    (directory / "link").symlink_to(outside)
    return directory


def told(outside: Path) -> list[tuple[str, str, int]]:
    return [(path.name, oct(path.stat().st_mode), path.stat().st_gid) for path in (outside, *outside.iterdir())]


def in_namespace(program: str, *words: object) -> str:
    """What a program prints in a mount namespace of its own."""
    argv = [*NAMESPACE, sys.executable, "-c", program, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "module_utils")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


BIND = """
import os, subprocess, sys
from podlab.host import mounts
started = refused = 0
rounds = int(sys.argv[2])
for turn in range(50 * rounds):
    if turn >= rounds and started and refused:  # with little luck it is one of the two each time
        break
    pid = os.fork()
    if not pid:
        mounts.libc.unshare(0x20000)
        try:
            mounts.bind_all(sys.argv[1])
        except OSError as error:
            os._exit(0 if "leads out" in error.strerror else 2)
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code < 2
    started, refused = started + (code == 1), refused + (code == 0)
print(started, refused)
"""


def test_mount_points_are_made_nowhere_else(tmp_path: Path, volume: Path, outside: Path) -> None:
    service, source = tmp_path / "service", tmp_path / "source"
    service.mkdir()
    source.mkdir()
    found = [nested_mounts.Bound("/a", str(volume)), nested_mounts.Bound("/a/sub/made", str(source))]
    (service / "mounts").write_text(
        json.dumps([tree.row() for tree in nested_mounts.trees(found, "/a/sub/too", str(service / "t"))])
    )
    before = told(outside)
    with meanwhile(EXCHANGE, volume / "sub", volume / "link"):
        started, refused = map(int, in_namespace(BIND, service, ROUNDS).split())
    assert started > 0 and refused > 0 and started + refused >= ROUNDS
    assert told(outside) == before


SUB_PATHS = """
import os, sys
from podlab.host.pods import sub_paths
from podlab.host.run import HostError
volume, sub_paths.SUBPATHS, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
mount = {"volume": "v", "path": "/v", "sub_path": "sub", "read_only": False}
row = {"netns": "n", "containers": {"c": {"mounts": [mount]}}, "volumes": {"v": {"kind": "hostPath", "path": volume}}}
sub_paths.mount_source = lambda row, name, index: f"{sub_paths.SUBPATHS}/n/c/0"
bound = set()
for turn in range(50 * rounds):
    if turn >= rounds and bound:  # with little luck it is a link each time
        break
    try:
        sub_paths.bind_all(row, "c")
        bound.add(os.stat(f"{sub_paths.SUBPATHS}/n/c/0").st_ino)
    except HostError:
        pass
print(*bound)
sub_paths.release("n", "c")
"""


def test_what_is_bound_for_a_sub_path_is_what_was_found_in_the_volume(
    tmp_path: Path, volume: Path, outside: Path
) -> None:
    inode = (volume / "sub").stat().st_ino
    with meanwhile(EXCHANGE, volume / "sub", volume / "link", 300):  # microseconds, so that it is found at times
        bound = in_namespace(SUB_PATHS, volume, tmp_path / "subpaths", ROUNDS // 2).split()
    assert bound == [str(inode)]


def test_a_sub_path_that_is_missing_changes_the_rights_of_nothing_else(
    tmp_path: Path, volume: Path, outside: Path
) -> None:
    volume.chmod(0o777)
    before = told(outside)
    with meanwhile(REPLACE, volume / "new", volume / "link"):
        for _ in range(ROUNDS * 2):
            with contextlib.suppress(OSError):
                os.close(sub_paths._open_beneath(str(volume), "new"))
            for name in ("new", "new.gone", "link"):
                with contextlib.suppress(OSError):
                    os.rmdir(volume / name)
                with contextlib.suppress(OSError):
                    os.unlink(volume / name)
            (volume / "link").symlink_to(outside)
    assert told(outside) == before


def test_a_group_is_given_nothing_else(volume: Path, outside: Path) -> None:
    before = told(outside)
    with meanwhile(EXCHANGE, volume / "sub", volume / "link"):
        for _ in range(ROUNDS * 5):
            with contextlib.suppress(fs_group.HostError):
                fs_group.give(str(volume), os.getgid(), 0o660)
    assert told(outside) == before
    assert stat.S_IMODE(volume.stat().st_mode) & 0o2770 == 0o2770


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory in which others are nested, as deep as a container likes."""
    top = tmp_path / "deep"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=at)
        deeper = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(at)
    yield top
    subprocess.run(["rm", "-rf", str(top)], check=True)


def test_directories_that_are_nested_without_end_are_no_hindrance(deep: Path) -> None:
    fs_group.give(str(deep), os.getgid(), 0o660)
    assert (deep / "d" / "d").stat().st_mode & stat.S_ISGID
    mount_table.delete(str(deep))
    assert not deep.exists()


def test_which_volumes_are_put_together() -> None:
    found = [
        nested_mounts.Bound(path, f"/source{number}", index=number)
        for number, path in enumerate(("/a/b", "/a", "/a/b/c", "/ab", "/dev/shm/x", "/dev/shm", "/w", "/dev/shm"))
    ]
    trees = nested_mounts.trees(found, "/w/dir", "/stages")
    assert [
        (tree.outermost.index, [mount.index for mount in tree.nested], tree.working_dir, tree.stage) for tree in trees
    ] == [
        (1, [0, 2], "", "/stages/0"),
        (7, [4], "", "/stages/1"),
        (6, [], "dir", "/stages/2"),
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lib/a", "/usr/lib/a"),
        ("/library", "/library"),
        ("/var/run/a/", "/run/a"),
        ("/var/run", "/run"),
        ("/var/runs", "/var/runs"),
    ],
)
def test_links_of_every_root_are_followed_beforehand(path: str, expected: str) -> None:
    assert nested_mounts.resolved(path, ("lib",)) == expected


@pytest.mark.parametrize(
    ("link", "found"), [("b/c", "volume/b/c"), ("../volume/b", ""), ("/usr", ""), ("b/../b", "volume/b")]
)
def test_a_link_is_followed_within_the_volume(tmp_path: Path, link: str, found: str) -> None:
    volume = tmp_path / "volume"
    (volume / "b" / "c").mkdir(parents=True)
    (volume / "a").symlink_to(link)
    at = os.open(volume, os.O_PATH)
    with contextlib.nullcontext() if found else pytest.raises(mounts.LeadsOutError, match="a leads out of the volume"):
        made = mounts.descend(at, "a/new", lambda name, above: os.mkdir(name, dir_fd=above))
        assert os.path.samestat(os.fstat(made), (tmp_path / found / "new").stat())
        os.close(made)
    os.close(at)


def test_a_link_in_the_volume_of_one_pod_hinders_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = []
    for name in ("run", "wait_until"):
        monkeypatch.setattr(containers, name, lambda *_, **__: None)
    monkeypatch.setattr(containers, "SCAN_DIR", str(tmp_path / "services"))
    monkeypatch.setattr(sub_paths, "SUBPATHS", str(tmp_path / "subpaths"))
    monkeypatch.setattr(containers, "_build_service", lambda row, *_, **__: built.append(row["netns"]))
    (tmp_path / "out").symlink_to("/etc")
    mount = {"volume": "v", "path": "/v", "sub_path": "out", "read_only": False}
    volume = {"v": {"kind": "hostPath", "path": str(tmp_path)}}
    one = {"netns": "one", "volumes": volume, "containers": {"c": {"mounts": [mount]}}}
    two = {"netns": "two", "volumes": volume, "containers": {"c": {}}}
    failed = containers.start([StartContainer(one, "c"), StartContainer(two, "c")])
    assert built == ["two"]
    assert failed == ['pod one, container c: failed to prepare subPath "out" of volume "v": it leads out of the volume']


SHARED_MEMORY = """
import os, sys
from podlab.changes.pods import paths
from podlab.host.pods import runners
runners.PODS, paths.SHM, runners.SHM = (f"{sys.argv[1]}/{name}" for name in ("pods", "shm", "shm"))
os.makedirs(f"{runners.PODS}/earlier/shm")
for names in (["new", "earlier"], ["earlier", "new", "other"]):
    runners._mount_shm(names)
open(f"{runners.SHM}/earlier/note", "w").close()
print(*os.listdir(f"{runners.PODS}/earlier/shm"))
table = [line.split() for line in open("/proc/self/mountinfo") if sys.argv[1] in line]
print(*sorted(os.path.basename(fields[4]) for fields in table))
print(*sorted({f"{words[-1].split(',')[1]} {words[5]}" for words in table if "tmpfs podlab" in " ".join(words)}))
"""


def test_each_pod_has_shared_memory_of_its_own_once(tmp_path: Path) -> None:
    """But for a pod of an earlier podlab, whose containers have shared a directory: they go on with that."""
    note, mounted, options = in_namespace(SHARED_MEMORY, tmp_path).splitlines()
    assert note == "note"
    assert mounted == "earlier new other"
    assert options == "size=65536k rw,nosuid,nodev,noexec,relatime"
