"""``./lab cp``: files and directories into a container and out of it, through tar(1) in the container.

As kubectl does it, with two differences: what is copied out keeps its permissions, and what is a directory already gets
a copy under its own name, as with cp(1); ``POD:DIR/.`` stands for what is in DIR. With kubectl a container in which
a directory has taken the place of the file that was asked for would write over whatever lies beside the copy.
No shell takes part, so a name may hold anything.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from .. import arguments
from ..errors import CommandError
from ..hosts import Call
from ..output import print_error
from .target import Target, find

# Types of what is about the entry that comes next.
WORDS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
MOST_WORDS = 1 << 20
MOST_ENTRIES = 1 << 20
FILESPEC_FORMAT = "error: filespec must match the canonical format: [[namespace/]pod:]file/path"


@dataclass(frozen=True)
class Place:
    """A path; without a pod it is on this machine."""

    path: str
    pod: str = ""
    namespace: str = ""


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "cp",
        "[-n NS] SRC DST [-c CONTAINER]",
        "Copy a file or a directory into a container, or out of it. One of both is [NS/]POD:PATH.\n"
        "What is a directory already gets the copy under its own name; POD:DIR/. is what DIR holds.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST")
    arguments.container(parser)
    arguments.namespace(parser)
    known = parser.parse_intermixed_args([*words, *command])
    return copy(
        known.source,
        known.destination,
        container=known.container,
        namespace=known.namespace,
        sources=known.sources,
    )


def copy(source: str, destination: str, *, container: str, namespace: str, sources: Sequence[str]) -> int:
    """Copy a file or a directory.

    :param source: ``POD:PATH``, ``NAMESPACE/POD:PATH`` or a path of this machine; so is ``destination``.
    :raises CommandError: in kubectl's words.
    """
    here, there = parse(source), parse(destination)
    if here.pod and there.pod:
        raise CommandError("error: one of src or dest must be a local file specification")
    if not here.pod and not there.pod:
        raise CommandError("error: one of src or dest must be a remote file specification")
    if not here.path or not there.path:
        raise CommandError("error: filepath can not be empty")
    if not here.pod and not os.path.lexists(here.path):
        raise CommandError(f"error: {here.path} doesn't exist in local filesystem")
    far = here if here.pod else there
    target = find(far.pod, far.namespace or namespace, sources)
    inside = Inside(target, target.container(container))
    return inside.fetch(here.path, there.path) if here.pod else inside.store(here.path, there.path)


def parse(word: str) -> Place:
    """A word of the command line. What begins like a path is one, colon or not.

    :raises CommandError: it is neither.
    """
    pod, colon, path = word.partition(":")
    if not colon or pod.startswith(("/", ".")):
        return Place(word)
    parts = pod.split("/")
    if len(parts) > 2 or not all(parts):
        raise CommandError(FILESPEC_FORMAT)
    return Place(path, parts[-1], parts[0] if len(parts) == 2 else "")


@dataclass(frozen=True)
class Inside:
    """A container, and how to run tar in it."""

    target: Target
    container: str

    def call(self, *command: str) -> Call:
        return self.target.host.call(self.target.entering(self.container, command))

    def store(self, source: str, destination: str) -> int:
        """Copy into the container; what exists there and is a directory gets it under its own name."""
        path = destination.rstrip("/") or "/"
        if self.call("test", "-d", path).succeeds():
            path = posixpath.join(path, os.path.basename(os.path.abspath(source)))
        directory, name = posixpath.split(path)
        # -m: times are now, as kubectl has it. -p: the modes as they are. -o: the user who unpacks owns it, for the
        # owner here may not exist there.
        call = self.call("tar", "-xmpof", "-", *(["-C", directory] if directory else []))
        process = call.start(stdin=subprocess.PIPE)
        assert process.stdin
        try:
            with process.stdin:
                pack(source, name, process.stdin)
        except BrokenPipeError:  # it has said why
            pass
        except OSError as error:
            process.wait()
            raise CommandError(f"error: {error.filename or source}: {error.strerror}") from error
        return _ended(process)

    def fetch(self, source: str, destination: str) -> int:
        """Copy out of the container."""
        if posixpath.basename(posixpath.normpath(source)) == "..":
            raise CommandError(f"error: {source} leads upwards; give the name of what is to be copied")
        absolute = source.startswith("/")
        # Below ./ whatever it is: no name shall look like an option.
        member = "./" + posixpath.normpath(source).lstrip("/")
        call = self.call("tar", "-cf", "-", *(["-C", "/"] if absolute else []), member)
        prefix = _asked(member)
        if os.path.isdir(destination) and prefix != "." and not source.endswith("/."):
            destination = _below_its_name(destination, prefix)
        process = call.start(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert process.stdout
        with process.stdout:
            try:
                refused = unpack(process.stdout, prefix, destination)
            except (tarfile.TarError, ValueError, RecursionError) as error:
                process.stdout.close()
                if process.wait() not in (-signal.SIGPIPE, 128 + signal.SIGPIPE):
                    _ended(process)  # mostly tar had nothing for its output, and has said why on the other one
                raise CommandError("error: tar contents corrupted") from error
        return _ended(process) or min(refused, 1)


def _asked(member: str) -> str:
    """What every name in the archive begins with: tar leaves out steps upwards."""
    prefix = posixpath.normpath(member)
    while prefix.startswith("../"):
        prefix = prefix[3:]
    return prefix


def _below_its_name(directory: str, prefix: str) -> str:
    """:raises CommandError: it is a link there that was not named."""
    path = os.path.join(directory, posixpath.basename(prefix))
    if os.path.islink(path):
        raise CommandError(f"error: {path} is a symbolic link; name as the destination what it leads to")
    return path


def _ended(process: subprocess.Popen[bytes]) -> int:
    """:raises CommandError: in kubectl's words, if a command has not ended well."""
    if code := process.wait():
        raise CommandError(f"command terminated with exit code {code}", code)
    return 0


def pack(source: str, name: str, file: IO[bytes]) -> None:
    """Write a file or directory as a tar archive, under another name."""
    with tarfile.open(fileobj=file, mode="w|") as archive:
        archive.add(source, arcname=name)


class Entry(tarfile.TarInfo):
    """What stands in front of a file. The module reads names of any length, and other words, into memory; so it does
    lists of holes, and words for all entries to come, which no tar makes that is not asked for them."""

    # Every version of the module comes by here with what it has read of an entry, and does what that asks for. This
    # is not frombuf, which Python 3.13.5 no longer calls.
    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        is_unasked = self.type in (tarfile.GNUTYPE_SPARSE, tarfile.XGLTYPE)
        if is_unasked or (self.size > MOST_WORDS and self.type in WORDS):
            raise CommandError("error: tar contents corrupted")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found

    def _proc_gnusparse_10(self, *_: object) -> None:  # the one list of holes that lies in a file's own content
        raise CommandError("error: tar contents corrupted")


def unpack(file: IO[bytes], prefix: str, destination: str) -> int:
    """Write what an archive holds; the container has made it, so nothing it says of paths is believed.

    Symbolic links are left out, as kubectl does it: a later entry would be written wherever they lead.

    :param prefix: what was asked for, and every name begins with.
    :return: how many entries lie outside of ``destination`` and were refused.
    :raises CommandError: the archive is not what was asked for, or it cannot be written.
    """
    refused = 0
    written: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="r|", tarinfo=Entry) as archive:
        while entry := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # the module keeps all that it has met
            if len(written) == MOST_ENTRIES:
                raise CommandError(f"error: more than {MOST_ENTRIES} files")
            name = entry.name.removeprefix("./")
            if "\0" in name:
                raise CommandError("error: tar contents corrupted")
            if name != prefix and prefix != "." and not name.startswith(prefix + "/"):
                raise CommandError("error: tar contents corrupted")
            path = os.path.join(destination, *(part for part in _below(name, prefix).split("/") if part))
            try:
                if not _is_inside(path, destination):
                    print_error(f'warning: file "{path}" is outside target destination, skipping')
                    refused += 1
                elif entry.issym():
                    print_error(f'warning: skipping symlink: "{path}" -> "{entry.linkname}"')
                else:
                    _write(archive, entry, path, written)
                    written[entry.name] = path
            except OSError as error:
                raise CommandError(f"error: {error.filename or path}: {error.strerror}") from error
    return refused


def _below(name: str, prefix: str) -> str:
    return name if prefix == "." else name[len(prefix) :]


def _is_inside(path: str, destination: str) -> bool:
    """Where it really leads: over the steps in its name, and over links that are there already."""
    root, wanted = os.path.abspath(destination), os.path.abspath(path)
    if wanted == root:
        return True
    if os.path.islink(wanted):
        return False
    real = os.path.realpath(root)
    return os.path.commonpath([os.path.realpath(os.path.dirname(wanted)), real]) == real


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str, written: dict[str, str]) -> None:
    """What is neither a file nor a directory has nothing to be copied."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    is_new = not os.path.lexists(path)
    if entry.isdir():
        os.makedirs(path, exist_ok=True)
    elif entry.islnk() and entry.linkname in written:
        shutil.copyfile(written[entry.linkname], path)
    elif entry.isfile():
        content = archive.extractfile(entry)
        assert content
        with open(path, "wb") as out:
            shutil.copyfileobj(content, out)
    else:
        return
    # What was there keeps its mode: a container opens no directory of this machine to others. No set-user-id bits, or
    # a file that a container has made would lend rights. A directory is open to its owner, for what comes into it.
    if is_new:
        os.chmod(path, entry.mode & 0o777 | (0o700 if entry.isdir() else 0))
