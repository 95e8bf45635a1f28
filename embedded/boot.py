"""Inside the lab's holder: boot the embedded hosts that are missing, wire them, halt the surplus.

Reads an order on standard input and prints what it did, as JSON. It runs as the root of the lab's
user namespace, on the standard library alone, and can be killed at any moment: a host that is not
completely wired has no init yet and dies with this program.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NoReturn

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
# What the root of a host rules. Its pid namespace is the lab's, as who mounts /proc has to rule that, and its cgroup
# namespace is the lab's, as nobody in a host shall mount cgroups.
HOST_NAMESPACES = {"user": CLONE_NEWUSER, "net": CLONE_NEWNET, "ipc": CLONE_NEWIPC, "uts": CLONE_NEWUTS}

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000
MS_SHARED, MNT_DETACH = 0x100000, 2
AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR, MOUNT_ATTR_RDONLY = -100, 0x8000, 442, 0x1
PR_SET_PDEATHSIG = 1  # linux/prctl.h
SYS_PIVOT_ROOT = {"x86_64": 155}.get(os.uname().machine, 41)  # the others have the generic table

# What a host has of the machine: through an overlay, so that what is written stays in the host, and what is a socket
# or a pipe there leads nowhere. Folders named here are made in the upper layer, where they belong to the host's root;
# in the lower one they belong to the machine's, whom no lab maps. With those of update-alternatives a host chooses
# its iptables.
SEEN = {
    "usr": ("bin", "sbin", "local", "local/bin"),
    "opt": (),
    "etc": ("alternatives",),
    "var/lib/dpkg": ("alternatives",),
}
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # into /usr, or directories of their own
# Containers lay more over these, and Linux stacks no three overlays. Where the machine's own root is one, as in a
# container, a host sees them through a read-only mount.
DEEP = ("usr", "opt", *LINKS)
OVERLAYFS = 0x794C7630
# Directories that are there with all that they hold of directories, and these are empty: programs count on theirs,
# and what is in them is the machine's own business.
EMPTY = ("var", "var/lib", "var/cache", "var/log", "var/spool")
# What an initramfs gives /run on a machine of 1 GB: a tenth of the memory.
RUN_SIZE = "100m"
OWN_FILES = ("passwd", "group")  # for whoever adds users: these are rewritten in place

# Of net.ipv4.conf.*: those that the kernel does not begin with 0, and those that are no question of routing or ARP.
ONE = ("accept_redirects", "arp_evict_nocarrier", "secure_redirects", "send_redirects", "shared_media")
LEFT = ("disable_policy", "disable_xfrm")

libc = ctypes.CDLL(None, use_errno=True)


def words_of(error: Exception) -> str:
    """What went wrong, with the path that it went wrong at; without the number, which says it once more."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _checked(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def unshare(flags: int) -> None:
    _checked(libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: str) -> None:
    _checked(libc.setns(descriptor, HOST_NAMESPACES[kind]), f"enter the {kind} namespace")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    result = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _checked(result, f"mount -t {kind} {source} {target}")


# --- what a host is made of -------------------------------------------------------------------------------


def own_namespaces() -> dict[str, int]:
    """A user namespace below the lab's, and those that its root shall rule: kind -> descriptor.

    The host's root must not be the lab's, which makes the mounts of the host: what a mount namespace inherits from one
    of another user namespace is locked as it is (mount_namespaces(7)). Only so does read-only stay read-only.
    """
    with keeper(lambda: unshare(CLONE_NEWUSER)) as pid:
        for file in ("uid_map", "gid_map"):
            with open(f"/proc/self/{file}", encoding="ascii") as mine:
                ids = sum(int(line.split()[2]) for line in mine)
            with open(f"/proc/{pid}/{file}", "w", encoding="ascii") as theirs:
                theirs.write(f"0 0 {ids}")
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)

    def others() -> None:
        # Once there are ids: files of /proc/net belong to whoever is root then.
        setns(user, "user")
        unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

    with keeper(others) as pid:
        return {
            "user": user,
            **{kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("net", "ipc", "uts")},
        }


@contextlib.contextmanager
def keeper(make: Callable[[], None]) -> Iterator[int]:
    """A process that has made namespaces and keeps them for the length of the block: its pid."""
    (said, say), (hear, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        try:
            make()
            os.write(say, b".")
            os.read(hear, 1)
        except OSError as error:
            os.write(say, words_of(error).encode())
        os._exit(0)
    os.close(say)
    try:
        words = os.read(said, 1000)
        if words != b".":
            raise OSError(words.decode() or "the keeper of a host's namespaces has died")
        yield child
    finally:
        os.close(end)
        os.waitpid(child, 0)
        os.close(said)
        os.close(hear)


def furnish(name: str) -> None:
    """Give a host a root of its own with a little of the machine's in it, and let go of the rest.

    In the end nothing of the machine is below any mount: who takes one away finds an empty directory.
    """
    layers, root = "/tmp", "/tmp/root"  # any directory that is everywhere
    mount("tmpfs", layers, "tmpfs", options="mode=755")
    os.mkdir(root)
    mount("tmpfs", root, "tmpfs", options="mode=755")
    for directory, mode in (("home", 0o755), ("mnt", 0o755), ("srv", 0o755), ("root", 0o700), ("tmp", 0o1777)):
        os.mkdir(f"{root}/{directory}")
        os.chmod(f"{root}/{directory}", mode)
    for directory in EMPTY:
        same_directories(directory, root)
    for directory, folders in SEEN.items():
        see(directory, folders, root, layers)
    for link in LINKS:
        if os.path.islink(f"/{link}"):
            os.symlink(os.readlink(f"/{link}"), f"{root}/{link}")
        elif os.path.isdir(f"/{link}"):
            see(link, (), root, layers)
    strict = MS_NOSUID | MS_NODEV | MS_NOEXEC
    mounts = [
        ("proc", "proc", strict, ""),
        ("sys", "sysfs", strict | MS_RDONLY, ""),
        ("run", "tmpfs", strict, f"mode=755,size={RUN_SIZE}"),
        ("dev", "tmpfs", MS_NOSUID, "mode=755"),
    ]
    for directory, kind, flags, options in mounts:
        os.makedirs(f"{root}/{directory}", exist_ok=True)
        mount(kind, f"{root}/{directory}", kind, flags, options)
    devices(f"{root}/dev")
    os.mkdir(f"{root}/run/lock")
    os.chmod(f"{root}/run/lock", 0o1777)
    files_of_its_own(root, name)
    fresh_network_settings()
    os.chdir(root)
    _checked(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    _checked(libc.umount2(b".", MNT_DETACH), "umount the machine's root")
    os.chdir("/")


def same_directories(directory: str, root: str) -> None:
    os.makedirs(f"{root}/{directory}", exist_ok=True)
    for entry in entries(f"/{directory}"):
        path = f"{root}/{directory}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry), path)
        elif entry.is_dir() and not os.path.exists(path):
            os.mkdir(path)
            os.chmod(path, entry.stat().st_mode & 0o1777)


def entries(directory: str) -> list[os.DirEntry[str]]:
    """What is in a directory of the machine, whose root no lab is: of one that is not for everybody, nothing."""
    if not os.path.isdir(directory) or not os.access(directory, os.R_OK | os.X_OK):
        return []
    with os.scandir(directory) as found:
        return list(found)


def see(directory: str, folders: tuple[str, ...], root: str, layers: str) -> None:
    """Lay an empty layer over a directory of the machine, if there is such a one."""
    below, above = f"/{directory}", f"{layers}/{directory}"
    os.makedirs(f"{root}/{directory}", exist_ok=True)
    if not os.path.isdir(below):
        return
    if is_overlay(below) and directory in DEEP:
        mount(below, f"{root}/{directory}", "", MS_BIND | MS_REC)
        return read_only(f"{root}/{directory}")
    lay_over(below, f"{root}/{directory}", above, folders, [f"{root}{point}" for point in mount_points()])


def lay_over(source: str, target: str, layer: str, folders: tuple[str, ...], mounts: list[str]) -> None:
    """Let a host write to a directory of the machine's, which stays as it is below.

    overlayfs takes no directory with mounts in it here: they hide what a user namespace may not see. One with such
    (/var/log on a disk of its own, a container's /etc/hosts) is made of layers over what it holds.

    :param source: where the directory is seen when ``target`` is covered; ``mounts`` are those of ``target``.
    :param layer: a directory for what the host writes.
    :param folders: what of it exists, and is the host's own, from the beginning.
    """
    if not any(point.startswith(f"{target}/") for point in mounts):
        for folder in ("", *folders):
            if not os.path.islink(f"{source}/{folder}"):
                os.makedirs(f"{layer}/{folder}", exist_ok=True)
        os.chmod(layer, os.stat(source).st_mode & 0o1777)
        os.makedirs(f"{layer}-work")
        options = f"lowerdir={source},upperdir={layer},workdir={layer}-work,userxattr"
        mount("overlay", target, "overlay", options=options)
        return
    below = f"{layer}-below"
    os.makedirs(below)
    mount(source, below, "", MS_BIND | MS_REC)
    mount("tmpfs", target, "tmpfs", options="mode=755")
    for entry in entries(below):
        place = f"{target}/{entry.name}"
        inner = tuple(path.partition("/")[2] for path in folders if path.startswith(f"{entry.name}/"))
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir():
            os.mkdir(place)
            with contextlib.suppress(OSError):  # a file system that no layer can be laid over: the host does without
                lay_over(entry.path, place, f"{layer}/{entry.name}", inner, mounts)
        elif entry.is_file():
            with contextlib.suppress(OSError):  # not for everybody to read
                shutil.copy(entry.path, place)
    for folder in folders:
        os.makedirs(f"{target}/{folder}", exist_ok=True)


def mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        paths = [line.split(" ")[4] for line in file]
    return [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path) for path in paths]


def fresh_network_settings() -> None:
    """The kernel's own defaults: a network namespace begins with copies of the machine's settings of its links, and a
    machine that is hardened, or a router, or a real server behind IPVS, has others."""
    network = "/proc/sys/net/ipv4"
    _set(f"{network}/ip_forward", "0")  # first: it writes others
    for group in ("all", "default", "lo"):
        for name in os.listdir(f"{network}/conf/{group}"):
            if name not in LEFT and "igmp" not in name:
                with contextlib.suppress(PermissionError):  # mc_forwarding, which only tells
                    _set(f"{network}/conf/{group}/{name}", "1" if name in ONE else "0")


def _set(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def is_overlay(path: str) -> bool:
    answer = ctypes.create_string_buffer(256)  # struct statfs; its first word is the type
    _checked(libc.statfs(path.encode(), answer), f"statfs {path}")
    return ctypes.c_long.from_buffer(answer).value == OVERLAYFS


def read_only(path: str) -> None:
    """mount_setattr(2): unlike ``mount -o remount`` it reaches what is mounted below, and keeps other flags."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes)
    )
    _checked(result, f"make {path} read-only")


def devices(dev: str) -> None:
    """The few devices that programs need."""
    for name in ("null", "zero", "full", "random", "urandom", "tty", "net/tun"):
        if os.path.exists(f"/dev/{name}"):
            os.makedirs(os.path.dirname(f"{dev}/{name}"), exist_ok=True)
            open(f"{dev}/{name}", "w").close()
            mount(f"/dev/{name}", f"{dev}/{name}", "", MS_BIND)
            # Read-only: its mode and times are the machine's. What is written goes to the driver all the same.
            mount("", f"{dev}/{name}", "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC)
    for name, kind, options in (("pts", "devpts", "newinstance,ptmxmode=666,mode=620"), ("shm", "tmpfs", "mode=1777")):
        os.makedirs(f"{dev}/{name}")
        mount(kind, f"{dev}/{name}", kind, options=options)
    for name, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{dev}/{name}")


def files_of_its_own(root: str, name: str) -> None:
    etc, resolved = f"{root}/etc", f"{root}/run/systemd/resolve"
    replace(f"{etc}/hostname", f"{name}\n")
    replace(f"{etc}/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n")
    os.makedirs(resolved)
    replace(f"{resolved}/resolv.conf", "# an embedded host has no name server\n")
    replace(f"{resolved}/stub-resolv.conf", "nameserver 127.0.0.53\n")
    if os.path.lexists(f"{etc}/resolv.conf"):
        os.unlink(f"{etc}/resolv.conf")
    os.symlink("../run/systemd/resolve/stub-resolv.conf", f"{etc}/resolv.conf")
    for file in OWN_FILES:
        with open(f"{etc}/{file}", encoding="utf-8", errors="surrogateescape") as machines:
            text = machines.read()
        replace(f"{etc}/{file}", text)


def replace(path: str, text: str) -> None:
    """A new file in place of the machine's: copying theirs up needs rights over its owner."""
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


class Host:
    """An embedded host that is being booted: its init waits at the door until its wires are in.

    Beside it there is a keeper, whose child it is: a process of the lab that tells by its words which host this is. No
    host sees it; what the init of a host calls itself is for that host's root to write.
    """

    def __init__(self, name: str, argv: list[str]) -> None:
        go_read, self.go = os.pipe()
        keep_read, self.keep = os.pipe()
        self.kept, kept_write = os.pipe()
        self.failed, failed_write = os.pipe()
        pid_read, pid_write = os.pipe()
        if os.fork() == 0:
            try:
                own = own_namespaces()
                unshare(CLONE_NEWPID)
                pid = os.fork()  # only a child is inside of a new pid namespace
            except OSError as error:
                os.write(failed_write, words_of(error).encode())
                os._exit(1)
            for descriptor in (self.go, self.keep, self.kept):
                os.close(descriptor)
            if pid:
                os.write(pid_write, str(pid).encode())
                self._keep(argv, keep_read, (pid_write, failed_write, *own.values()))
            os.close(kept_write)
            self._init(name, own, go_read, failed_write)
        for descriptor in (go_read, keep_read, kept_write, failed_write, pid_write):
            os.close(descriptor)
        self.pid = int(os.read(pid_read, 20) or 0)
        os.close(pid_read)

    @staticmethod
    def _keep(argv: list[str], keep: int, others: Iterable[int]) -> NoReturn:
        for descriptor in others:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.setsid()
            if os.read(keep, 2) == b"go":
                take_null()
                os.execvp(argv[0], argv)
        os._exit(1)  # and the init with it

    @staticmethod
    def _init(name: str, own: dict[str, int], go: int, failed: int) -> NoReturn:
        try:
            os.setsid()
            unshare(CLONE_NEWNS)
            setns(own["net"], "net")  # whose /sys is going to be mounted
            furnish(name)
            for kind in ("user", "ipc", "uts"):
                setns(own[kind], kind)
            unshare(CLONE_NEWNS)  # of the host's root from here on, and what is in it is locked
            mount("", "/", "", MS_SHARED | MS_REC)  # as systemd does it first of all
            _checked(libc.sethostname(name.encode(), len(name.encode())), "sethostname")
            os.write(failed, b"furnished")
            _checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
            if os.read(go, 2) == b"go":
                take_null()
                os.execvp("catatonit", ["catatonit", "-P", "podlab-init", name])
        except OSError as error:
            os.write(failed, words_of(error).encode())
        os._exit(1)

    def wait_until_furnished(self) -> None:
        """Before anybody lays wires into it: why a host could not be furnished is told here or nowhere."""
        words = os.read(self.failed, 1000)
        if words != b"furnished":
            raise OSError(words.decode() or "the init of a host has died")

    def start(self) -> None:
        """Let both go on; nothing to read means that they have become catatonit."""
        os.write(self.go, b"go")
        words = os.read(self.failed, 1000)
        if words:
            raise OSError(words.decode())
        os.write(self.keep, b"go")
        os.read(self.kept, 1)


def take_null() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def keepers(identity: list[str]) -> Iterator[tuple[int, int | None, str, list[str]]]:
    """Of each host the keeper, the init if it lives, the name and the legs that it was booted with.

    Only words make anything else look like a keeper, which is a child of the lab's init and in its pid namespace.
    """
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                # No more than that: a process may say that its words lie in a mapping of terabytes (PR_SET_MM_MAP).
                argv = file.read(1 << 16).decode().split("\0")[:-1]
            if argv[: len(identity)] != identity:
                continue
            with open(f"/proc/{pid}/status", "rb") as file:  # a process names itself, with any bytes
                status = {key: value for key, _, value in (line.partition(b":") for line in file)}
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                init = next(map(int, file.read().split()), None)
        except (OSError, UnicodeDecodeError):
            continue
        if status[b"PPid"].strip() == b"1" and len(status[b"NSpid"].split()) == 1:
            name, *legs = argv[len(identity) :]
            yield int(pid), init, name, legs


def running(identity: list[str]) -> dict[str, tuple[int, list[str]]]:
    """Hosts that are on: name -> (pid of init, legs)."""
    return {name: (init, legs) for _, init, name, legs in keepers(identity) if init}


def halt(identity: list[str], surplus: Container[str]) -> None:
    """End hosts, by their keepers, and keepers whose host has ended by itself."""
    for keeper, init, name, _ in keepers(identity):
        if name in surplus or init is None:
            os.kill(keeper, signal.SIGKILL)


def ip(lines: list[str], pid: int | None = None) -> None:
    """One ``ip -batch``, here or in the network namespace of a host."""
    if not lines:
        return
    enter = ["nsenter", "-t", str(pid), "-n"] if pid else []
    done = subprocess.run([*enter, "ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


def segment(leg: str) -> str:
    """The bridge that stands for a network is named by the network's address: it fits in 15 characters."""
    return str(ipaddress.ip_interface(leg).network.network_address)


def port(name: str, leg: str) -> str:
    """The bridge's end of a wire. Its alias tells what a host's name may be too long for."""
    return "p" + hashlib.sha256(f"{name} {leg}".encode()).hexdigest()[:12]


def links() -> dict[str, str]:
    """Links of the holder: name -> operational state."""
    listing = subprocess.run(["ip", "-j", "link", "show"], capture_output=True, text=True, check=True)
    return {link["ifname"]: link["operstate"] for link in json.loads(listing.stdout)}


def outer_lines(name: str, pid: int, legs: list[str], present: dict[str, str]) -> list[str]:
    lines = []
    for index, leg in enumerate(legs):
        end = port(name, leg)
        if end in present:
            lines.append(f"link del {end}")
        lines += [
            f"link add {end} type veth peer name eth{index} netns {pid}",
            f"link set {end} alias {name}:eth{index} master {segment(leg)} up",
        ]
    return lines


def inner_lines(host: dict, legs: list[str]) -> list[str]:
    lines = ["link set lo up"]
    for index, leg in enumerate(legs):
        lines += [f"addr add {leg} brd + dev eth{index}", f"link set eth{index} up"]
    if host["gateway"]:
        lines.append(f"route add default via {host['gateway']}")
    return lines


def prepare_holder() -> None:
    """Wires, not filters: the segments are layer 2 and carry IPv4 only."""
    ip(["link set lo up"])
    with open("/proc/sys/user/max_cgroup_namespaces", "w", encoding="ascii") as file:
        file.write("0")  # of the lab's user namespace, and so for all below it: who has one may mount cgroups
    for path, value in (("bridge/bridge-nf-call-iptables", "0"), ("ipv6/conf/default/disable_ipv6", "1")):
        try:
            with open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
                file.write(value)
        except FileNotFoundError:  # the kernel has no br_netfilter or no IPv6: nothing to switch off
            pass


def boot(order: dict) -> list[str]:
    identity, wanted = order["identity"], {host["name"]: host for host in order["hosts"]}
    present, on = links(), running(identity)
    surplus = [name for name, (_, legs) in on.items() if name not in wanted or legs != wanted[name]["legs"]]
    missing = [name for name in wanted if name not in on or name in surplus]
    unplugged = [
        name
        for name in wanted
        if name not in missing and any(present.get(port(name, leg)) != "UP" for leg in wanted[name]["legs"])
    ]
    done = [f"halt {name}" for name in surplus]
    done += [f"power on {name} {' '.join(wanted[name]['legs'])}" for name in missing]
    done += [f"plug {name} in again" for name in unplugged]
    if order["check"] or not done:
        return done

    prepare_holder()
    for name in surplus:
        ip([f"link del {port(name, leg)}" for leg in on[name][1] if port(name, leg) in present])
    halt(identity, surplus)
    present = links()
    bridges = {segment(leg) for host in wanted.values() for leg in host["legs"]} - present.keys()
    ip([f"link add {bridge} up type bridge mcast_snooping 0" for bridge in sorted(bridges)])

    booting = {name: Host(name, [*identity, name, *wanted[name]["legs"]]) for name in missing}
    pids = {name: host.pid for name, host in booting.items()} | {name: on[name][0] for name in unplugged}
    for host in booting.values():
        host.wait_until_furnished()
    ip([line for name, pid in pids.items() for line in outer_lines(name, pid, wanted[name]["legs"], present)])
    for name, pid in pids.items():
        ip(inner_lines(wanted[name], wanted[name]["legs"]), pid)
    for host in booting.values():
        host.start()
    return done


def main() -> int:
    os.umask(0o022)  # a host's directories are open to its users, whatever its caller's are
    try:
        json.dump(boot(json.load(sys.stdin)), sys.stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        print(words_of(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
