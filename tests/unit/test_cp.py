"""``./lab cp`` with a real tar; only the container is this machine itself."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cli import hosts
from cli.enter import cp, target
from cli.enter.cp import Place
from cli.errors import CommandError


class Here(target.Target):
    def entering(self, container: str, command: Sequence[str]) -> list[str]:
        return list(command)


@pytest.fixture(params=["tar", "busybox"])
def inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> cp.Inside:
    """A container with either of the two tars that there are in one."""
    if request.param == "busybox":
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "tar").symlink_to("/usr/bin/busybox")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return cp.Inside(Here(hosts.Local("here", "node", {}), {}, {}), "main")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def tree(root: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in sorted(root.rglob("*"))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files with names that a shell, or tar's own options, would stumble over."""
    root = tmp_path / "source"
    (root / "sub dir").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o750)
    (root / "plain").write_bytes(bytes(range(256)) * 5000)
    (root / "-rf").write_text("x")
    (root / "sub dir" / "$(id); 'a\nb").write_text("odd")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o751)
    os.link(root / "run", root / "again")
    return root


def test_a_directory_goes_in_under_a_new_name_and_comes_out_again(
    inside: cp.Inside, source: Path, tmp_path: Path
) -> None:
    assert inside.store(str(source), f"{tmp_path}/there") == 0
    assert tree(tmp_path / "there") == tree(source)
    assert (mode(tmp_path / "there" / "run"), mode(tmp_path / "there" / "empty")) == (0o751, 0o750)
    assert inside.fetch(f"{tmp_path}/there", f"{tmp_path}/back") == 0
    assert tree(tmp_path / "back") == tree(source)
    assert (mode(tmp_path / "back" / "run"), mode(tmp_path / "back" / "empty")) == (0o751, 0o750)


def test_what_is_a_directory_there_gets_it_under_its_own_name(inside: cp.Inside, source: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    inside.store(f"{source}/", f"{tmp_path}/there")
    inside.store(str(source / "-rf"), f"{tmp_path}/there/")
    assert tree(tmp_path / "there" / "source") == tree(source)
    assert (tmp_path / "there" / "-rf").read_text() == "x"


def test_a_single_file(inside: cp.Inside, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside.store(str(source / "run"), f"{tmp_path}/renamed") == 0
    assert mode(tmp_path / "renamed") == 0o751
    assert inside.fetch(f"{source}/-rf", f"{tmp_path}/new/deep/-x") == 0
    assert (tmp_path / "new" / "deep" / "-x").read_text() == "x"
    assert inside.fetch(f"{source}/../source/plain", f"{tmp_path}/new") == 0
    assert (tmp_path / "new" / "plain").read_bytes() == (source / "plain").read_bytes()
    # Below the container's working directory.
    monkeypatch.chdir(source)
    assert inside.fetch("-rf", f"{tmp_path}/relative") == 0
    assert (tmp_path / "relative").read_text() == "x"
    assert inside.fetch(".", f"{tmp_path}/whole") == 0
    assert tree(tmp_path / "whole") == tree(source)


def test_what_is_a_directory_here_gets_it_under_its_own_name(inside: cp.Inside, source: Path, tmp_path: Path) -> None:
    """Also where a file was asked for, and a directory of that name comes: nothing beside it is written over."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "plain").write_text("mine")
    assert inside.fetch(str(source), str(home)) == 0
    assert tree(home) == {"plain": b"mine", "source": None} | {f"source/{k}": v for k, v in tree(source).items()}
    assert inside.fetch(f"{source}/.", f"{home}/source") == 0
    assert tree(home / "source") == tree(source)


def test_a_link_that_stands_under_its_name_is_not_written_through(
    inside: cp.Inside, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run").symlink_to(tmp_path / "other")
    with pytest.raises(CommandError, match=r"home/run is a symbolic link; name"):
        inside.fetch(f"{source}/run", f"{tmp_path}/home")
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="nobody else can give a file away")
def test_what_goes_in_belongs_to_whoever_unpacks_it(inside: cp.Inside, source: Path, tmp_path: Path) -> None:
    """An ordinary user's lab has no place for the owner of here."""
    os.chown(source / "run", 1234, 1234)
    inside.store(str(source / "run"), f"{tmp_path}/there")
    assert (tmp_path / "there").stat().st_uid == 0


def test_what_is_not_there(inside: cp.Inside, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=r"^command terminated with exit code [12]$"):
        inside.fetch(f"{tmp_path}/nope", f"{tmp_path}/x")
    assert "nope" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"^command terminated with exit code [12]$"):
        inside.store(f"{tmp_path}/file", f"{tmp_path}/nowhere/x")


def test_what_cannot_be_read_here_is_said(inside: cp.Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(cp, "pack", refuse)
    with pytest.raises(CommandError, match=r"^error: /secret: Permission denied$"):
        inside.store(str(tmp_path), f"{tmp_path}/x")


def test_symbolic_links_stay_links_inwards_and_are_left_out_outwards(
    inside: cp.Inside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to("/etc/passwd")
    inside.store(f"{tmp_path}/source", f"{tmp_path}/there")
    assert os.readlink(tmp_path / "there" / "link") == "/etc/passwd"
    assert inside.fetch(f"{tmp_path}/there", f"{tmp_path}/back") == 0
    assert tree(tmp_path / "back") == {}
    assert capsys.readouterr().err == f'warning: skipping symlink: "{tmp_path}/back/link" -> "/etc/passwd"\n'


def archive(*entries: tuple[str, str | None], mode: int = 0o644) -> io.BytesIO:
    """An archive as a container may make it: names with text, and links to where."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w|") as out:
        for name, text in entries:
            name, arrow, to = name.partition(" -> ")
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            if arrow:
                entry.type, entry.linkname = tarfile.SYMTYPE, to
            elif text is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(text)
            out.addfile(entry, io.BytesIO((text or "").encode()))
    file.seek(0)
    return file


def test_nothing_is_written_outside_of_the_destination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    entries = [("src", None), ("src/../../evil", "x"), ("src/a/../../../evil", "x"), ("src/good", "x")]
    assert cp.unpack(archive(*entries), "src", str(home / "dst")) == 2
    assert tree(tmp_path) == {"home": None, "home/dst": None, "home/dst/good": b"x"}
    assert capsys.readouterr().err.count("is outside target destination, skipping") == 2


@pytest.mark.parametrize("name", ["/etc/evil", "other/evil", "srcevil", "../evil", "src-evil/x"])
def test_an_archive_of_something_else_is_corrupted(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match=r"^error: tar contents corrupted$"):
        cp.unpack(archive(("src", None), (name, "x")), "src", str(tmp_path / "dst"))
    assert tree(tmp_path) == {"dst": None}


def test_a_link_in_the_archive_leads_nowhere(tmp_path: Path) -> None:
    entries = [("src", None), (f"src/way -> {tmp_path}/out", None), ("src/way/evil", "x")]
    cp.unpack(archive(*entries), "src", str(tmp_path / "dst"))
    assert not (tmp_path / "out").exists()
    assert tree(tmp_path / "dst") == {"way": None, "way/evil": b"x"}


def test_links_that_were_there_before_are_not_followed_out(tmp_path: Path) -> None:
    (tmp_path / "dst").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "dst" / "way").symlink_to(tmp_path / "out")
    (tmp_path / "dst" / "file").symlink_to(tmp_path / "out" / "evil")
    entries = [("src", None), ("src/way/evil", "x"), ("src/file", "x")]
    assert cp.unpack(archive(*entries), "src", str(tmp_path / "dst")) == 2
    assert tree(tmp_path / "out") == {}
    # The destination itself may well be behind a link: that one was named by whoever asked.
    (tmp_path / "door").symlink_to(tmp_path / "out")
    assert cp.unpack(archive(("src", None), ("src/a", "x")), "src", str(tmp_path / "door")) == 0
    assert tree(tmp_path / "out") == {"a": b"x"}


def test_nobody_becomes_somebody_else_by_what_comes_out(tmp_path: Path) -> None:
    cp.unpack(archive(("src", "x"), mode=0o6755), "src", str(tmp_path / "x"))
    assert mode(tmp_path / "x") == 0o755


def hostile(*entries: tuple[str, bytes, str, int]) -> bytes:
    """An archive of headers as nobody would write them: name, type, link, size."""
    found = b""
    for name, kind, link, size in entries:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size, entry.mode = kind, link, size, 0o7777
        found += entry.tobuf(tarfile.GNU_FORMAT)
    return found + bytes(1024)


def endless_holes() -> Iterator[bytes]:
    header = bytearray(hostile(("src", tarfile.GNUTYPE_SPARSE, "", 0))[:512])
    header[482] = 1  # isextended
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    yield bytes(header)
    while True:
        yield (b"%011o\0" % 512 + b"%011o\0" % 512) * 21 + b"\1" + bytes(7)


def endless_holes_of_pax() -> Iterator[bytes]:
    words = b"".join(b"26 GNU.sparse.%s=%s\n" % pair for pair in ((b"major", b"0000001"), (b"minor", b"0000000")))
    words += b"22 GNU.sparse.name=ab\n"
    yield hostile(("src", tarfile.XHDTYPE, "", len(words)))[:512] + words.ljust(512, b"\0")
    yield hostile(("src", tarfile.REGTYPE, "", 1 << 40))[:512] + b"9999999999\n".ljust(512, b"1")
    while True:
        yield b"1\n" * 256


def endless_pipes() -> Iterator[bytes]:
    block = hostile(("src/pipe", tarfile.FIFOTYPE, "", 0))[:512]
    yield from itertools.repeat(block)


def endless_words() -> Iterator[bytes]:
    for number in itertools.count():
        words = b"60000 x%07d=" % number
        yield hostile(("src", tarfile.XGLTYPE, "", 60000))[:512] + words.ljust(118 * 512, b"x")


class Stream(io.RawIOBase):
    """As much of it as there is, up to 8 MiB."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks, self.rest, self.given = blocks, b"", 0

    def read(self, size: int = -1) -> bytes:
        while len(self.rest) < size and self.given < 1 << 23:
            self.rest += b"".join(itertools.islice(self.blocks, 16))
        found, self.rest = self.rest[:size], self.rest[size:]
        self.given += len(found)
        return found


@pytest.mark.parametrize("make", [endless_holes, endless_holes_of_pax, endless_pipes, endless_words])
def test_an_archive_without_end_fills_no_memory(tmp_path: Path, make: Callable[[], Iterator[bytes]]) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(CommandError, tarfile.TarError, ValueError):
            cp.unpack(Stream(make()), "src", str(tmp_path / "dst"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_what_is_no_file_is_not_made(tmp_path: Path) -> None:
    """Devices, pipes, and hard links to what the archive has not brought itself."""
    (tmp_path / "secret").write_text("x")
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    entries = [("src", tarfile.DIRTYPE, "", 0), *((f"src/{at}", kind, "", 0) for at, kind in enumerate(kinds))]
    entries += [("src/a", tarfile.LNKTYPE, f"{tmp_path}/secret", 0), ("src/b", tarfile.LNKTYPE, "src/../../secret", 0)]
    cp.unpack(io.BytesIO(hostile(*entries)), "src", str(tmp_path / "dst"))
    assert tree(tmp_path) == {"dst": None, "secret": b"x"}


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_any_length_is_not_read(tmp_path: Path, kind: bytes) -> None:
    class Endless(io.RawIOBase):
        """More than there is memory for."""

        read_so_far = 0

        def read(self, size: int = -1) -> bytes:
            self.read_so_far += size
            assert self.read_so_far < 1 << 24
            return header.read(size) or b"x" * size

    header = io.BytesIO(hostile(("src", kind, "", 1 << 40))[:512])
    with pytest.raises(CommandError, match="tar contents corrupted"):
        cp.unpack(Endless(), "src", str(tmp_path / "dst"))  # type: ignore[arg-type]


DAMAGED = {
    "an early end": archive(("src", None), ("src/a", "x" * 5000)).getvalue()[:3000],
    "what is no archive": b"x" * 20480,
    "words without an end": hostile(*[("src", tarfile.XHDTYPE, "", 0)] * 3000),
    "an odd size": hostile(("src", tarfile.REGTYPE, "", 1))[:512].replace(b"00000000001", b"-0000000001"),
}


@pytest.mark.parametrize("words", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: bytes) -> None:
    (tmp_path / "archive").write_bytes(words)
    (tmp_path / "tar").write_text(f"#!/bin/sh\ncat {tmp_path}/archive\n")
    (tmp_path / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CommandError, match=r"^error: tar contents corrupted$"):
        cp.Inside(Here(hosts.Local("here", "node", {}), {}, {}), "main").fetch("src", str(tmp_path / "dst"))


def test_what_was_there_keeps_its_mode(inside: cp.Inside, source: Path, tmp_path: Path) -> None:
    source.chmod(0o777)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "run").write_text("mine")
    (home / "run").chmod(0o600)
    assert inside.fetch(f"{source}/.", str(home)) == 0
    assert (mode(home), mode(home / "run"), mode(home / "empty")) == (0o700, 0o600, 0o750)
    assert (home / "run").read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize("path", ["..", "/srv/../../..", "../..", "data/../.."])
def test_nothing_is_asked_for_by_the_way_up_to_it(inside: cp.Inside, tmp_path: Path, path: str) -> None:
    if path.startswith("/"):
        path = "../" + path.lstrip("/")
    with pytest.raises(CommandError, match="leads upwards"):
        inside.fetch(path, str(tmp_path))


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("web:/tmp/a", Place("/tmp/a", "web")),
        ("ns/web:a:b", Place("a:b", "web", "ns")),
        ("/tmp/a:b", Place("/tmp/a:b")),
        ("./a:b", Place("./a:b")),
        ("a", Place("a")),
        ("web:", Place("", "web")),
    ],
)
def test_places(word: str, place: Place) -> None:
    assert cp.parse(word) == place


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("a:b", "c:d"), "one of src or dest must be a local file specification"),
        (("a", "b"), "one of src or dest must be a remote file specification"),
        (("a:", "b"), "filepath can not be empty"),
        ((":a", "b"), r"filespec must match the canonical format: \[\[namespace/\]pod:\]file/path"),
        (("a/b/c:d", "b"), "filespec must match the canonical format"),
        (("/nope/here", "a:b"), "/nope/here doesn't exist in local filesystem"),
    ],
)
def test_places_that_are_none(words: tuple[str, str], why: str) -> None:
    with pytest.raises(CommandError, match=f"^error: {why}"):
        cp.copy(*words, container="", namespace="default", sources=[])
