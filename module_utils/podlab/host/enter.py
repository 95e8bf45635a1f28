#!/usr/bin/python3 -IS
"""Run a command in a container, as a part of it: ``enter SERVICE PID COMMAND ARG...``, where PID is its process 1.

Nothing of the container's is run before all privileges are gone, not even a dynamic loader: a container may have an
/etc/ld.so.preload, or a /lib64, of its own. So one process joins the namespaces, gives up what the container does not
have, and becomes the command, in that order and without another program in between; a chain of nsenter(1) and
setpriv(1) starts the second one inside, with all privileges of the first. What is needed of files is read, and of
modules imported, before.

The command gets what the container got: namespaces, root, environment, working directory, ids, capabilities. The
environment is that of the service, not of /proc/PID/environ: there servers write their titles.

A program in one file. The kubelet runs its text in a child of its own: a start of Python for each probe is too much.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the large one imports enum
import contextlib
import ctypes
import errno
import os
import struct
import sys

NEW_USER, NEW_PID = 0x10000000, 0x20000000  # sched.h
NEW_OTHERS = {"mnt": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "net": 0x40000000}
PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 23, 24, 38  # linux/prctl.h
CAPABILITY_VERSION = 0x20080522  # linux/capability.h: two words for each set
DEFAULT_PATH = b"/bin:/usr/bin"
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # exit codes, as env(1) has them

libc = ctypes.CDLL(None, use_errno=True)


class Wanted:
    """What a process of a container is to be: the files ``identity`` and ``env`` of its service.

    :raises OSError: there is no such service.
    """

    def __init__(self, service: str) -> None:
        head, _, rest = _read(f"{service}/identity").partition(b"working_dir ")
        facts = {key: value for key, _, value in (line.partition(b" ") for line in head.split(b"\n"))}
        self.working_dir = rest[:-1]
        self.capabilities = int(facts[b"capabilities"], 16)  # a mask, as in /proc/PID/status
        self.user = self.group = 0
        self.groups: list[int] | None = None  # None: whose ids are those that it has from the first moment on
        self.has_user_namespace = b"user_namespace" in facts
        if self.has_user_namespace:
            self.user = int(facts[b"user"])
        elif b"user" in facts:
            self.user, self.group = int(facts[b"user"]), int(facts[b"group"])
            self.groups = [int(word) for word in facts[b"groups"].split()]
        self.environment = variables(_read(f"{service}/env"))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def variables(text: bytes) -> dict[bytes, bytes]:
    """What envfile(1) reads in a file that podlab has written: quoted words, in which three things are escaped."""
    found = {}
    for line in text.split(b"\n")[:-1]:
        name, _, word = line.partition(b"=")
        word = word[1:-1].replace(b"\\\\", b"\0")  # which no variable has
        found[name] = word.replace(b'\\"', b'"').replace(b"\\n", b"\n").replace(b"\0", b"\\")
    return found


def enter(wanted: Wanted, pid: int, command: list[str]) -> None:
    """Run a command and end as it does. For a process that has nothing else to do: this does not return."""
    code = FAILED
    try:
        code = _enter(wanted, pid, [os.fsencode(word) for word in command])
    except BaseException as error:  # a traceback would be printed by modules that are imported for it
        _say(f"enter: {error}")
    finally:
        os._exit(code)


def _enter(wanted: Wanted, pid: int, command: list[bytes]) -> int:
    sys.path.clear()
    sys.meta_path.clear()  # whatever would be imported from now on could be the container's
    for number in signal.valid_signals():
        if number == signal.SIGPIPE or callable(signal.getsignal(number)):  # Python's own, the kubelet's
            signal.signal(number, signal.SIG_DFL)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # Between here and the command nobody in the container may trace this process, or read its memory, which may be
    # the kubelet's: that knows of other pods.
    _call("prctl", PR_SET_DUMPABLE, *_longs(0, 0, 0, 0))
    container = os.pidfd_open(pid)
    others = sum(flag for kind, flag in NEW_OTHERS.items() if not _is_own(kind, pid))
    if not _is_own("pid", pid):
        _call("setns", container, NEW_PID)  # only children are inside then
    child = os.fork()
    if not child:
        _call("setns", container, others)
        if wanted.has_user_namespace:
            # The last one: whoever is in there has no rights in the namespaces of the pod.
            _call("setns", container, NEW_USER)
        os.close(container)
        _drop_privileges(wanted)
        return _become(wanted, command)
    os.close(container)
    return _end_of(child)


def _is_own(kind: str, pid: int) -> bool:
    """Whether a namespace of the container is the host's (hostPID, hostIPC): one that a host was given and has not made
    cannot be joined, not even by who is in it."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino


def _drop_privileges(wanted: Wanted) -> None:
    for number in range(64):
        if libc.prctl(PR_CAPBSET_READ, *_longs(number, 0, 0, 0)) == 1 and not wanted.capabilities >> number & 1:
            _call("prctl", PR_CAPBSET_DROP, *_longs(number, 0, 0, 0))
    if wanted.groups is not None:
        os.setgroups(wanted.groups)
        os.setresgid(wanted.group, wanted.group, wanted.group)
        os.setresuid(wanted.user, wanted.user, wanted.user)
    head, sets = struct.pack("=Ii", CAPABILITY_VERSION, 0), ctypes.create_string_buffer(24)
    _call("capget", head, sets)
    _, low, _, _, high, _ = struct.unpack("=6I", sets.raw)  # of effective, permitted, inheritable: the second
    # Who is not root has none, though they stay in the bounding set: so it is under runc.
    kept = wanted.capabilities if not wanted.user else 0
    low, high = low & kept, high & kept >> 32
    _call("capset", head, struct.pack("=6I", low, low, 0, high, high, 0))
    _call("prctl", PR_SET_NO_NEW_PRIVS, *_longs(1, 0, 0, 0))
    _call("prctl", PR_SET_DUMPABLE, *_longs(0, 0, 0, 0))  # a change of ids may have set it (fs.suid_dumpable)


def _become(wanted: Wanted, command: list[bytes]) -> int:
    """Become the command, or tell why not."""
    os.umask(0o022)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)  # what the caller's shell ignores (nohup) stays outside
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.chdir(wanted.working_dir)
    except OSError as error:
        _say(f"cannot change directory to '{os.fsdecode(wanted.working_dir)}': {error.strerror}")
        return FAILED
    name, failure = os.fsdecode(command[0]), _execute(command, wanted.environment)
    is_lost = failure == errno.ENOENT and "/" not in name
    _say(f'exec: "{name}": {"executable file not found in $PATH" if is_lost else os.strerror(failure).lower()}')
    return NOT_FOUND if failure == errno.ENOENT else NOT_EXECUTABLE


def _execute(command: list[bytes], environment: dict[bytes, bytes]) -> int:
    """execvp(3), with the PATH of the environment that the command gets. Returns what is wrong."""
    name, failure = command[0], int(errno.ENOENT)
    places = [name] if b"/" in name else [os.path.join(place, name) for place in _path(environment) if name]
    for place in places:
        try:
            os.execve(place, command, environment)
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # a script that names no interpreter
                os.execve(b"/bin/sh", [b"/bin/sh", place, *command[1:]], environment)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES) or len(places) == 1:
                return error.errno or failure
            if error.errno == errno.EACCES:
                failure = errno.EACCES  # the next place may have it
    return failure


def _path(environment: dict[bytes, bytes]) -> list[bytes]:
    return environment.get(b"PATH", DEFAULT_PATH).split(b":")


def _end_of(child: int) -> int:
    """Wait, and die of the same signal as the child. A stop of it is not handed on: whoever stops processes of a
    container would stop those who wait here for the command's end."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return 128 + number
    return os.WEXITSTATUS(status)


def _call(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _longs(*numbers: int) -> list[ctypes.c_ulong]:
    """Of prctl(2), which reads whole registers."""
    return [ctypes.c_ulong(number) for number in numbers]


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="surrogateescape"))


def main() -> None:
    _, service, pid, *command = sys.argv
    try:
        wanted = Wanted(service)
    except OSError as error:
        sys.exit(f"enter: {error}")
    enter(wanted, int(pid), command)


if __name__ == "__main__":
    main()
