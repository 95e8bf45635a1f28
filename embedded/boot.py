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
import stat
import subprocess
import sys

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x20000000, 0x40000000
HOST_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC = 0x1, 0x2, 0x20, 0x1000, 0x2000, 0x4000
AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR, MOUNT_ATTR_RDONLY = -100, 0x8000, 442, 0x1

# Folders that exist in the upper layer belong to this namespace's root; in the lower one they belong to the
# machine's, whom an ordinary user's lab does not map. With those of update-alternatives a host chooses its iptables.
OWN_FOLDERS = {
    "etc": ("alternatives",),
    "var": ("lib", "log", "cache", "spool", "lib/dpkg/alternatives"),
}

# What the machine keeps as a host of some cluster itself. To its embedded hosts it would be their own past.
UNSEEN = ("/var/lib/podlab", "/var/log/pods")

# Of net.ipv4.conf.*: those that the kernel does not begin with 0, and those that are no question of routing or ARP.
ONE = ("accept_redirects", "arp_evict_nocarrier", "secure_redirects", "send_redirects", "shared_media")
LEFT = ("disable_policy", "disable_xfrm")

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    result = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _checked(result, f"mount -t {kind} {source} {target}")


def read_only_from_the_root_down() -> None:
    """mount_setattr(2): unlike ``mount -o remount`` it reaches every mount and keeps their other flags."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, ctypes.sizeof(attributes))
    _checked(result, "make / read-only")


def furnish(name: str) -> None:
    """Give a host file systems of its own. The machine's are seen, and cannot be written to."""
    read_only_from_the_root_down()
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs", MS_RDONLY)
    settings_of_its_own()
    fresh_network_settings()
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    for directory, folders in OWN_FOLDERS.items():
        lay_over(f"/{directory}", f"/{directory}", f"/run/.layers/{directory}", folders, mount_points())
    mount("tmpfs", "/tmp", "tmpfs", options="mode=1777")
    mount("tmpfs", "/var/tmp", "tmpfs", options="mode=1777")
    mount("tmpfs", "/root", "tmpfs", options="mode=700")
    devices()
    os.makedirs("/run/netns")
    os.makedirs("/run/lock")
    replace("/etc/hostname", f"{name}\n")
    replace("/etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n")
    replace("/etc/resolv.conf", "# an embedded host has no name server\n")
    _checked(libc.sethostname(name.encode(), len(name.encode())), "sethostname")


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
            os.makedirs(f"{layer}/{folder}", exist_ok=True)
        for path in UNSEEN:
            if path.startswith(f"{target}/") and os.path.lexists(source + path.removeprefix(target)):
                upper = layer + path.removeprefix(target)
                os.makedirs(os.path.dirname(upper), exist_ok=True)
                os.mknod(upper, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs: there is nothing of this name
        os.chmod(layer, os.stat(source).st_mode & 0o7777)
        os.makedirs(f"{layer}-work")
        options = f"lowerdir={source},upperdir={layer},workdir={layer}-work,userxattr"
        mount("overlay", target, "overlay", options=options)
        return
    below = f"{layer}-below"
    os.makedirs(below)
    mount(source, below, "", MS_BIND | MS_REC)
    mount("tmpfs", target, "tmpfs", options="mode=755")
    for entry in os.scandir(below):
        place = f"{target}/{entry.name}"
        inner = tuple(path.partition("/")[2] for path in folders if path.startswith(f"{entry.name}/"))
        if place in UNSEEN:
            continue
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


def settings_of_its_own() -> None:
    """Leave only the network's settings writable: the kernel lets root's uid write the others, whatever its
    user namespace, and they are the machine's."""
    mount("/proc/sys/net", "/proc/sys/net", "", MS_BIND)
    mount("/proc/sys", "/proc/sys", "", MS_BIND | MS_REC)
    mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND | MS_RDONLY)
    if os.path.exists("/proc/sysrq-trigger"):
        mount("/dev/null", "/proc/sysrq-trigger", "", MS_BIND)


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


def devices() -> None:
    """The few devices that programs need. Root's lab could write to the machine's disks through the others."""
    dev = "/run/.dev"
    os.makedirs(dev)
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "net/tun"):
        if os.path.exists(f"/dev/{name}"):
            os.makedirs(os.path.dirname(f"{dev}/{name}"), exist_ok=True)
            open(f"{dev}/{name}", "w").close()
            mount(f"/dev/{name}", f"{dev}/{name}", "", MS_BIND)
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
    mount(dev, "/dev", "", MS_MOVE)


def replace(path: str, text: str) -> None:
    """A new file in place of the machine's: copying theirs up needs rights over its owner."""
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Host:
    """An embedded host that is being booted: its init waits at the door until its wires are in."""

    def __init__(self, name: str, argv: list[str]) -> None:
        go_read, self.go = os.pipe()
        self.failed, failed_write = os.pipe()
        pid_read, pid_write = os.pipe()
        if os.fork() == 0:
            if libc.unshare(HOST_NAMESPACES):
                os.write(failed_write, f"unshare: {os.strerror(ctypes.get_errno())}".encode())
                os._exit(1)
            pid = os.fork()  # only a child is inside of a new pid namespace
            if pid:
                os.write(pid_write, str(pid).encode())
                os._exit(0)
            os.close(self.go)
            self._init(name, argv, go_read, failed_write)
        for descriptor in (go_read, failed_write, pid_write):
            os.close(descriptor)
        os.wait()
        self.pid = int(os.read(pid_read, 20) or 0)
        os.close(pid_read)

    @staticmethod
    def _init(name: str, argv: list[str], go: int, failed: int) -> None:
        try:
            os.setsid()
            furnish(name)
            os.write(failed, b"furnished")
            if os.read(go, 2) == b"go":
                null = os.open("/dev/null", os.O_RDWR)
                for descriptor in (0, 1, 2):
                    os.dup2(null, descriptor)
                os.chdir("/")
                os.execvp(argv[0], argv)
        except OSError as error:
            os.write(failed, str(error).encode())
        os._exit(1)

    def wait_until_furnished(self) -> None:
        """Before anybody lays wires into it: why a host could not be furnished is told here or nowhere."""
        words = os.read(self.failed, 1000)
        if words != b"furnished":
            raise OSError(words.decode() or "the init of a host has died")

    def start(self) -> None:
        """Let the init go on; an empty answer means that it has become catatonit."""
        os.write(self.go, b"go")
        words = os.read(self.failed, 1000)
        if words:
            raise OSError(words.decode())


def running(identity: list[str]) -> dict[str, tuple[int, list[str]]]:
    """Hosts that are on: name -> (pid of init, legs it was booted with)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                argv = file.read().decode().split("\0")[:-1]
        except (OSError, UnicodeDecodeError):
            continue
        if argv[: len(identity)] == identity:
            name, *legs = argv[len(identity) :]
            found[name] = (int(pid), legs)
    return found


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
        pid, legs = on[name]
        ip([f"link del {port(name, leg)}" for leg in legs if port(name, leg) in present])
        os.kill(pid, signal.SIGKILL)
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
    try:
        json.dump(boot(json.load(sys.stdin)), sys.stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
