"""The root of a host: a little of the machine's, and its own of all that programs count on."""

from __future__ import annotations

import contextlib
import os

from .layers import EMPTY, LINKS, SEEN, same_directories, see
from .syscalls import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REMOUNT,
    leave_old_root,
    mount,
)

# What an initramfs gives /run on a machine of 1 GB: a tenth of the memory.
RUN_SIZE = "100m"
OWN_FILES = ("passwd", "group")  # for whoever adds users: these are rewritten in place

# Of net.ipv4.conf.*: those that the kernel does not begin with 0, and those that are no question of routing or ARP.
ONE = ("accept_redirects", "arp_evict_nocarrier", "secure_redirects", "send_redirects", "shared_media")
LEFT = ("disable_policy", "disable_xfrm")


def setup_mounts(name: str) -> None:
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
    leave_old_root()


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
