"""What somebody would try who is root in a host, or in a pod with SYS_ADMIN, to get at the machine.

``test_security.py`` runs this there. It prints, as JSON, what each attempt has achieved: nothing, where all is well.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator

NEWNS, NEWCGROUP, NEWUSER, NEWPID, NEWNET = 0x20000, 0x02000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, REMOUNT, BIND, REC, DETACH = 1, 0x20, 0x1000, 0x4000, 2
VSOCK = 40
CALLS = {  # by machine: add_key, request_key, keyctl, io_uring_setup, bpf, perf_event_open, open_by_handle_at
    "x86_64": (248, 249, 250, 425, 321, 298, 304),
    "aarch64": (217, 218, 219, 425, 280, 241, 265),
}
AT_START = {int(number) for number in os.listdir("/proc/self/fd")} - {0, 1, 2}
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> bool:
    words = [word.encode() if word is not None else None for word in (source, target, kind)]
    return libc.mount(*words, flags, options.encode()) == 0


def mount_points() -> list[str]:
    """The deepest first."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file][::-1]


def bared(order: dict[str, str]) -> str:
    """Take every mount away that can be taken away, make writable what can be, and look for the machine under it."""
    for point in mount_points():
        if point != "/proc":
            libc.umount2(point.encode(), DETACH)
    for point in mount_points():
        mount("", point, None, REMOUNT | BIND)
        mount("", point, None, REMOUNT)
    return order["canaries"]


def files(order: dict[str, str]) -> list[str]:
    """Write, make, remove, change the mode of files; also below a descriptor that was left open."""
    found = []
    for place in {bared(order), *descriptors_beyond_streams(), order["clone"]}:
        ways: dict[str, Callable[[], object]] = {
            "seen": lambda: os.stat(f"{place}/file"),  # noqa: B023 (called before the next round)
            "read": lambda: open(f"{place}/file").close(),  # noqa: B023
            "written": lambda: open(f"{place}/file", "a").close(),  # noqa: B023
            "mode": lambda: os.chmod(f"{place}/file", 0o666),  # noqa: B023
            "made": lambda: os.mkdir(f"{place}/made"),  # noqa: B023
        }
        found += [f"{name} {place}" for name, way in ways.items() if succeeds(way)]
    found += ["stream"] if succeeds(lambda: open("/proc/self/fd/0", "a").close()) and is_file(0) else []
    for point in ("/usr", "/etc", "/opt", "/var", "/"):
        succeeds(lambda: open(f"{point}/{order['mark']}", "w").close())  # noqa: B023
    return found


def is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def descriptors_beyond_streams() -> list[str]:
    """Those that were there when this program started."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            if int(number) in AT_START and not os.readlink(f"/proc/self/fd/{number}").startswith("/proc"):
                found.append(f"/proc/self/fd/{number}")
        except OSError:
            pass  # it was that of the listing
    return found


def descriptors(order: dict[str, str]) -> list[str]:
    return [os.readlink(path) for path in descriptors_beyond_streams()]


def settings(order: dict[str, str]) -> list[str]:
    """Whatever lets itself be opened for writing and is the whole machine's; in every proc that can be had."""
    bared(order)
    places = ["/proc"]
    for target in ("/proc/sys", "/proc"):
        while libc.umount2(target.encode(), DETACH) == 0:
            pass
    os.makedirs("/tmp/proc", exist_ok=True)
    if mount("proc", "/tmp/proc", "proc"):
        places.append("/tmp/proc")
    found = [path for place in places for path in writable(place) if not is_own(path)]
    os.makedirs("/tmp/sys", exist_ok=True)
    libc.unshare(NEWNET)
    if mount("sysfs", "/tmp/sys", "sysfs"):
        found.append("a sysfs that can be written to")
    return found


def writable(place: str) -> Iterator[str]:
    for directory, below, names in os.walk(place):
        if directory == place:
            below[:] = [name for name in below if not name.isdigit() and "self" not in name]
        for path in (f"{directory}/{name}" for name in names):
            if not os.path.islink(path) and opens_for_writing(path):
                yield path


def opens_for_writing(path: str) -> bool:
    """Nothing is written: what is the machine's stays as it is where this succeeds."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def is_own(path: str) -> bool:
    """Settings of namespaces. Who opens one of pressure/ wants to be told of something, which is everybody's right."""
    name = path.partition("/proc/")[2].removeprefix("sys/")
    ipc = (
        "kernel/msg",
        "kernel/sem",
        "kernel/shm",
        "kernel/auto_msgmni",
        "fs/mqueue/",
        "kernel/ns_last_pid",
        "kernel/pid_max",
    )
    return path.startswith(("/proc/net", "/tmp/proc/net")) or name.startswith(("net/", "user/", "pressure/", *ipc))


def cgroups(order: dict[str, str]) -> list[str]:
    """Mount what there is of cgroups, as it is and out of a namespace of one's own, and make a directory in it."""
    found = []
    os.makedirs("/tmp/cgroup", exist_ok=True)
    for _ in range(2):
        for kind, options in (("cgroup2", ""), *(("cgroup", name) for name in ("cpu", "memory", "pids", "freezer"))):
            if mount("cgroup", "/tmp/cgroup", kind, 0, options):
                made = succeeds(lambda: os.mkdir(f"/tmp/cgroup/{order['mark']}"))
                found.append(f"mounted {kind} {options}" + ", and made a directory in it" * made)
                libc.umount2(b"/tmp/cgroup", DETACH)
        if libc.unshare(NEWCGROUP) == 0:
            found.append("a cgroup namespace")
    return found


def keys(order: dict[str, str]) -> list[str]:
    """Read the caller's key, and leave one there."""
    add, request, keyctl, *_ = CALLS[platform.machine()]
    mark, found = order["mark"].encode(), []
    for name, call in (
        ("searched", (keyctl, 10, -3, b"user", mark, 0)),
        ("requested", (request, b"user", mark, None, -3)),
        ("added", (add, b"user", mark + b"-made", b"x", 1, -3)),
        ("read", (keyctl, 11, -3, None, 0)),
    ):
        if libc.syscall(*call) >= 0:
            found.append(name)
    return found


def processes(order: dict[str, str]) -> list[str]:
    """See, and so signal or trace, a process of the caller's."""
    libc.umount2(b"/proc", DETACH)
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and order["mark"] in words_of(pid)]


def words_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            words = file.read()
    except OSError:
        return ""
    return "" if "order" in words else words  # this program's own has the mark as well


def sockets(order: dict[str, str]) -> list[str]:
    """Reach somebody who listens on the machine, where files can be read and where they cannot."""
    found = []
    for place in ("/opt", *descriptors_beyond_streams(), bared):
        directory = place if isinstance(place, str) else place(order)
        for address in (f"{directory}/socket", f"\0{order['mark']}"):
            with socket.socket(socket.AF_UNIX) as client:
                if succeeds(lambda: client.connect(address)):  # noqa: B023
                    found.append(address)
        if opens_for_writing(f"{directory}/pipe"):
            found.append(f"{directory}/pipe")
    return found


def calls(order: dict[str, str]) -> list[str]:
    """System calls that namespaces do not part."""
    found = []
    try:
        socket.socket(VSOCK, socket.SOCK_STREAM).close()
        found.append("vsock")
    except OSError as error:
        found += [f"vsock: {error}"] if error.errno != errno.EPERM else []
    for number in CALLS[platform.machine()]:
        # With nothing in its arguments a call fails in another way, if it is let in.
        if libc.syscall(number, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() != errno.EPERM:
            found.append(f"system call {number}: {errno.errorcode.get(ctypes.get_errno())}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] not in (0, 1):
        found.append("cores")
    return found


def succeeds(way: Callable[[], object]) -> bool:
    try:
        way()
    except OSError:
        return False
    return True


def apart(attack: Callable[[dict[str, str]], list[str]], order: dict[str, str]) -> list[str]:
    """In a process and a mount namespace of its own, for the next one shall find what this one found."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        libc.unshare(NEWNS)
        mount("", "/", None, REC | (1 << 18))
        try:
            words = json.dumps(attack(order))
        except BaseException as error:
            words = json.dumps([f"this attack is broken: {error!r}"])
        os.write(theirs, words.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        words = answer.read()
    os.waitpid(child, 0)
    found: list[str] = json.loads(words or '["it has died"]')
    return found


def surroundings(order: dict[str, str]) -> list[str]:
    """Find the caller's environment and working directory, in this process and in all that are seen."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
                found += [f"environment of {pid}"] if order["mark"] in file.read() else []
            found += [f"directory of {pid}"] if os.path.exists(f"/proc/{pid}/cwd/{order['mark']}-here") else []
        except OSError:
            pass  # it has ended, or is not this one's to look into
    return found


def nested(order: dict[str, str]) -> list[str]:
    """The same from a user namespace of one's own, whose root rules new mounts and pids."""
    return [words for attack in (files, settings, cgroups, processes) for words in apart(below(attack), order)]


def below(attack: Callable[[dict[str, str]], list[str]]) -> Callable[[dict[str, str]], list[str]]:
    def attacked(order: dict[str, str]) -> list[str]:
        maps = (("uid_map", f"0 {os.getuid()} 1"), ("gid_map", f"0 {os.getgid()} 1"))
        if libc.unshare(NEWUSER | NEWPID):
            return [f"no user namespace to attack from: {os.strerror(ctypes.get_errno())}"]
        for file, words in (("setgroups", "deny"), *maps):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as ids:
                ids.write(words)
        return apart(attack, order)

    return attacked


def main() -> None:
    order = json.loads(sys.argv[-1])
    attacks = (files, descriptors, settings, cgroups, keys, processes, sockets, calls, surroundings, nested)
    found = {attack.__name__: apart(attack, order) for attack in attacks}
    if "impostor" in order:
        subprocess.Popen(
            order["impostor"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
