"""Everything of a machine that podlab could leave something in, as JSON: section -> lines.

It runs on the machine, by its own Python. What packages own is left out, and what changes by itself.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
from collections.abc import Iterator

PASSING = re.compile(
    "random|boot_id|tcp_fastopen_key|file-nr|inode-|dentry-state|fs.quota|pty.nr|ns_last_pid|sched_domain|"
    "_reserve_kbytes|min_free_kbytes|_mem =|file-max|threads-max|max_user_watches|max_orphans|"
    "netdev_rss|neigh|net.netfilter|net.nf_|user.max_|perf_|bridge-nf-(filter|pass)|bridge-nf-call-.* = 0$"
)
"""Kernel settings that tell how the machine fares, are drawn anew or computed from the free memory with each boot, or
come with a kernel module."""

ELSEWHERE = (
    "/proc",
    "/sys",
    "/tmp",
    "/dev",
    "/var/tmp",
    "/var/log/journal",
    "/var/log/apt",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dpkg",
)
OF_SYSTEMD = re.compile(
    r"/run/(user|systemd|udev|log|sudo|lock|initramfs|blkid|dbus|mount/utab|utmp)|/var/lib/(systemd|private)"
)
OF_LOGINS = re.compile(
    "sshd|sudo|python3 -$|systemd --user|sd-pam|systemd-(journal|timedate|hostname)|kworker|agetty|packagekit"
)


def out(*argv: str) -> list[str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return done.stdout.splitlines()


def rules() -> list[str]:
    lines = []
    for program in ("iptables-save", "ip6tables-save"):
        # A table that is empty and lets everything pass is none.
        lines += [
            re.sub(r" \[\d+:\d+\]", "", line)
            for line in out(program)
            if not re.match(r"[#*]|COMMIT|:\S+ ACCEPT ", line)
        ]
    return lines


def files() -> Iterator[str]:
    """What no package owns, and no service of the machine's own makes meanwhile."""
    owned = set()
    for path in glob.glob("/var/lib/dpkg/info/*.list"):
        with open(path, encoding="utf-8", errors="replace") as file:
            owned |= {
                os.path.realpath(os.path.dirname(line)) + "/" + os.path.basename(line)
                for line in file.read().splitlines()
            }
    for top in ("/", "/run", "/dev/shm"):
        device = os.stat(top).st_dev
        for directory, names, others in os.walk(top):
            names[:] = [
                name for name in names if name != "__pycache__" and _is_looked_at(f"{directory}/{name}", device)
            ]
            yield from (
                path
                for path in (os.path.normpath(f"{directory}/{name}").replace("//", "/") for name in [*names, *others])
                if path not in owned and not OF_SYSTEMD.match(path) and path not in ELSEWHERE
            )


def _is_looked_at(path: str, device: int) -> bool:
    path = path.replace("//", "/")
    try:
        return path not in ELSEWHERE and not OF_SYSTEMD.match(path) and os.lstat(path).st_dev == device
    except OSError:
        return False


def state() -> dict[str, list[str]]:
    links = [line.split()[0].split("@")[0] for line in out("ip", "-br", "link")]
    words = [line.split() for line in out("findmnt", "-rno", "TARGET,FSTYPE")]
    processes = out("ps", "-eo", "user,args", "--no-headers")
    return {
        "links": links,
        "addresses": out("ip", "-br", "-4", "addr"),
        "routes": out("ip", "-4", "route", "show", "table", "all"),
        "policy rules": out("ip", "-4", "rule"),
        "forwarding": [line for line in out("bridge", "fdb") if "permanent" not in line or " dst " in line],
        "rules": rules(),
        "settings": [line for line in out("sysctl", "-a") if not PASSING.search(line)],
        "processes": [
            line for line in processes if not OF_LOGINS.search(line) and "[" not in line and "ps -eo" not in line
        ],
        "units": [
            line.split()[0] + " " + line.split()[1]
            for line in out("systemctl", "list-unit-files", "--no-legend", "--no-pager")
            if not line.startswith(("session-", "user@", "run-"))  # logins, and what they have started
        ],
        "accounts": [
            line for path in ("/etc/passwd", "/etc/group") for line in open(path, encoding="utf-8").read().splitlines()
        ],
        "mounts": [
            " ".join(line)
            for line in words
            if not line[0].startswith(("/run/user", "/run/credentials", "/proc/sys/fs/binfmt"))
        ],
        "network namespaces": out("ip", "netns", "list"),
        "files": list(files()),
    }


if __name__ == "__main__":
    print(json.dumps({name: sorted(lines) for name, lines in state().items()}))
