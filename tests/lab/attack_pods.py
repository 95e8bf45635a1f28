"""What somebody would try in a container to get at its node, and at other pods.

``test_pod_attacks.py`` runs this there. It prints, as JSON, what each attempt has achieved: nothing, where all is well.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator

OWN = {kind: os.stat(f"/proc/self/ns/{kind}").st_ino for kind in os.listdir("/proc/self/ns")}
AT_START = sorted(int(number) for number in os.listdir("/proc/self/fd"))[:-1]  # the last one is that of the listing
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438
SHM_RDONLY = 0o10000
NEWNS, NEWUSER = 0x20000, 0x10000000
NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE, DETACH = 2, 4, 0x20, 0x1000, 0x4000, 0x40000, 2
CAPABILITY_VERSION = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p


def can(way: Callable[[], object]) -> bool:
    """Whether it can be done. What a C function returns is below zero where it cannot."""
    try:
        result = way()
    except OSError:
        return False
    return not (isinstance(result, int) and not isinstance(result, bool) and result < 0)


def processes(order: dict[str, str]) -> list[str]:
    """Those of the node and of a neighbour, which have a word of their own: see, signal, trace, read them."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read()
            whose = next((name for name in ("node", "neighbour") if f"{order['mark']}-{name}" in words), "")
            if whose and "AT_START" not in words:
                found += [f"{whose}: {name}" for name, way in ways_to(int(pid)).items() if can(way)]
    return sorted(set(found))


def ways_to(pid: int) -> dict[str, Callable[[], object]]:
    return {
        "seen": lambda: True,
        "signalled": lambda: os.kill(pid, 0),
        "environment": lambda: read(f"/proc/{pid}/environ"),
        "memory": lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
        "root": lambda: os.listdir(f"/proc/{pid}/root/"),
        "directory": lambda: os.listdir(f"/proc/{pid}/cwd/"),
        "streams": lambda: os.readlink(f"/proc/{pid}/fd/0"),
        "descriptors": lambda: libc.syscall(PIDFD_GETFD, libc.syscall(PIDFD_OPEN, pid, 0), 0, 0),
        "traced": lambda: libc.ptrace(PTRACE_SEIZE, pid, 0, 0),
        "order of who is killed": lambda: open(f"/proc/{pid}/oom_score_adj", "a").close(),
    }


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def tops() -> Iterator[str]:
    """Wherever the node's root, or a neighbour's, might be."""
    yield from ("", "/oldroot", "/newroot", "/..", "/host/..", "/data/..", "/proc/self/root/..", "/proc/1/root")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        yield from (f"/proc/{pid}/root", f"/proc/{pid}/cwd", f"/proc/{pid}/cwd/../../../../..")
        with contextlib.suppress(OSError):
            yield from (f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd"))


def files(order: dict[str, str]) -> list[str]:
    """The node's: a file of its root's, what podlab keeps there, and the pipes that its supervisor listens to."""
    control = f"/run/podlab/services/default_{order['neighbour']}.main/supervise/control"
    names = {"file": f"{order['node']}/file", "record": "/var/lib/podlab/record.json", "control": control}
    names["volume"] = f"/var/lib/podlab/volumes/default_{order['neighbour']}/data/secret"
    found = []
    for top in dict.fromkeys([*tops(), "/host"]):
        for what, name in names.items():
            path = f"{top}{name.removeprefix(order['node']) if top == '/host' else name}"
            found += [f"{top}: {what} is seen"] if os.path.lexists(path) else []
            found += [f"{top}: {what} is read"] if what != "control" and can(lambda: read(path)) else []  # noqa: B023
            found += [f"{top}: {what} is written"] if opens_for_writing(path) else []
    return found


def opens_for_writing(path: str) -> bool:
    return can(lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))


def descriptors(order: dict[str, str]) -> list[str]:
    """Beyond the three streams: of process 1, and of who enters."""
    own = [f"entered with {os.readlink(f'/proc/self/fd/{number}')}" for number in AT_START if number > 2]
    if "podlab-init" in str(read("/proc/1/cmdline")):
        return own  # the node's
    of_first = [number for number in os.listdir("/proc/1/fd") if int(number) > 2] if can_look(1) else []
    return own + [f"process 1 has {os.readlink(f'/proc/1/fd/{number}')}" for number in of_first]


def can_look(pid: int) -> bool:
    return can(lambda: os.listdir(f"/proc/{pid}/fd"))


def namespaces(order: dict[str, str]) -> list[str]:
    """Join those of others; with one's own user namespace, too, in which one has all capabilities."""
    return [*joined(""), *apart(lambda: joined(" from a user namespace") if libc.unshare(NEWUSER) == 0 else [])]


def joined(how: str) -> list[str]:
    found = []
    for pid in {*filter(str.isdigit, os.listdir("/proc"))} - {str(os.getpid())}:
        for kind in ("mnt", "net", "pid", "user", "uts", "ipc", "cgroup"):
            path = f"/proc/{pid}/ns/{kind}"
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino != OWN[kind]:
                    there = os.open(path, os.O_RDONLY)
                    found += [f"{kind} of {pid}{how}"] if libc.setns(there, 0) == 0 else []
                    os.close(there)
    return found


def apart(attack: Callable[[], list[str]]) -> list[str]:
    """In a process of its own, and in a mount namespace of its own where there can be one."""
    ours, theirs = os.pipe()
    if not (child := os.fork()):
        if libc.unshare(NEWNS) == 0:
            libc.mount(b"", b"/", None, REC | PRIVATE, None)
        try:
            words = json.dumps(attack())
        except BaseException as error:
            words = json.dumps([f"this attack is broken: {error!r}"])
        os.write(theirs, words.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        found: list[str] = json.loads(answer.read() or '["it has died"]')
    os.waitpid(child, 0)
    return found


def ipc(order: dict[str, str]) -> list[str]:
    """Shared memory, by System V and by POSIX, of the node and of a neighbour."""
    found = []
    for name in ("node", "neighbour"):
        number = libc.shmget(int(order[f"{name}_key"]), 0, 0)
        if number >= 0:
            found.append(f"{name}: segment")
            found += [f"{name}: segment is read"] if libc.shmat(number, None, SHM_RDONLY) not in (-1, 2**64 - 1) else []
        found += [f"{name}: shm"] if os.path.exists(f"/dev/shm/{order['mark']}-{name}") else []
    return found


def sockets(order: dict[str, str]) -> list[str]:
    """Abstract ones, which belong to a network namespace."""
    found = []
    for name in ("node", "neighbour"):
        with socket.socket(socket.AF_UNIX) as client:
            found += [name] if can(lambda: client.connect(f"\0{order['mark']}-{name}")) else []  # noqa: B023
    return found


def identity(order: dict[str, str]) -> list[str]:
    """Be somebody else, or have more capabilities: by calls, and by a program of root's with the set-user-id bit."""
    before, found = status(), []
    if before["NoNewPrivs"] != "1":
        found.append("new privileges")
    if os.path.exists("/data/id"):
        done = subprocess.run(["/data/id", "-u"], capture_output=True, text=True, check=False)
        found += [f"set-user-id program: {done.stdout}"] if done.stdout.strip() not in (str(os.getuid()), "") else []
    if os.getuid():
        ways = {"setuid": lambda: os.setuid(0), "setgid": lambda: os.setgid(0), "groups": lambda: os.setgroups([0])}
        found += [name for name, way in ways.items() if apart(lambda: ["yes"] if can(way) else [])]  # noqa: B023
        found += [
            f"{kind} {before[kind]}" for kind in ("CapPrm", "CapEff", "CapAmb", "CapInh") if int(before[kind], 16)
        ]
    return found + apart(more_capabilities)


def more_capabilities() -> list[str]:
    held = int(status()["CapPrm"], 16)
    for number in range(41):
        low, high = (held | 1 << number) & 0xFFFFFFFF, (held | 1 << number) >> 32
        head = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
        if not held >> number & 1 and libc.capset(head, sets) == 0:
            return [f"capability {number}"]
    return []


def status() -> dict[str, str]:
    lines = read("/proc/self/status").decode().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def devices(order: dict[str, str]) -> list[str]:
    """Open one that is none of the usual ones, and make one that works."""
    usual = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
    found = []
    for directory, below, names in os.walk("/dev"):
        below[:] = [name for name in below if name not in ("pts", "shm", "mqueue")]
        for name in set(names) - usual:
            kind = os.lstat(f"{directory}/{name}").st_mode
            if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                found.append(f"{directory}/{name}")
    for place in ("/tmp", "/data", "/dev", "/dev/shm", "/host"):
        path = f"{place}/made-{order['mark']}"
        if can(lambda: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))):  # noqa: B023
            found += [f"a device in {place}"] if can(lambda: os.close(os.open(path, os.O_RDONLY))) else []  # noqa: B023
            os.unlink(path)
    return found


def mounts(order: dict[str, str]) -> list[str]:
    """Mount, take away, make writable; and what may be written and yet obeys devices or set-user-id bits."""
    found = [f"{point} {flags}" for point, flags in lax_mounts()]
    return found + apart(remounted) + apart(lambda: below(remounted))


def lax_mounts() -> Iterator[tuple[str, str]]:
    for line in read("/proc/self/mountinfo").decode().splitlines():
        point, flags = line.split()[4:6]
        if "rw" in flags.split(",") and point != "/proc" and not point.startswith("/dev/"):
            missing = {"nosuid", "nodev"} - set(flags.split(","))
            if missing and os.access(point, os.W_OK):
                yield point, f"without {' and '.join(sorted(missing))}"


def below(attack: Callable[[], list[str]]) -> list[str]:
    """From a user and a mount namespace of one's own, in which one may mount. What came in with it is to stay as it is."""
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEWUSER | NEWNS):
        return []
    for name, words in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="utf-8") as ids:
            ids.write(words)
    return [f"{words} from a user namespace" for words in attack() if not words.startswith("mounted")]


def remounted() -> list[str]:
    found = []
    for kind in ("tmpfs", "proc", "sysfs", "mqueue", "cgroup2"):
        if libc.mount(b"x", b"/mnt", kind.encode(), 0, b"") == 0:
            found.append(f"mounted {kind}")
    points = [line.split()[4] for line in read("/proc/self/mountinfo").decode().splitlines()]
    read_only = [point for point in points if os.statvfs(point).f_flag & os.ST_RDONLY]
    for point in (*read_only, "/proc"):
        for flags in (REMOUNT | BIND, REMOUNT | BIND | NOSUID | NODEV, REMOUNT):
            libc.mount(None, point.encode(), None, flags, None)
        if point != "/proc" and not os.statvfs(point).f_flag & os.ST_RDONLY:
            found.append(f"writable: {point}")
    for point in points[::-1]:
        if (
            point.startswith(("/proc/", "/sys", "/usr", "/etc", "/dev/shm"))
            and libc.umount2(point.encode(), DETACH) == 0
        ):
            found.append(f"taken away: {point}")
    return found


def links(order: dict[str, str]) -> list[str]:
    """Hard links in a volume to what is not the container's."""
    found = []
    for path in ("/usr/bin/id", "/etc/passwd", "/etc/hosts", "/proc/1/environ"):
        name = f"/data/link-{order['mark']}"
        if can(lambda: os.link(path, name)):  # noqa: B023
            found.append(path)
            os.unlink(name)
    return found


def main() -> None:
    order = json.loads(sys.argv[-1])
    attacks = (descriptors, processes, files, namespaces, ipc, sockets, identity, devices, mounts, links)
    print(json.dumps({attack.__name__: apart(lambda: attack(order)) for attack in attacks}))  # noqa: B023


if __name__ == "__main__":
    main()
