"""The user namespace of a lab: whose ids its own are, and what to do where there can be none."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path

# The range above all that systemd and shadow hand out (https://systemd.io/UIDS-GIDS/).
UNUSED_IDS = 1879048192


def is_own(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    except OSError:
        return False


def map_ids(pid: int) -> None:
    """Root maps an unused range, so that root of the lab owns nothing of the machine: no file, no setting, no key.
    Anybody else has only himself to map."""
    uid, gid = os.getuid(), os.getgid()
    if uid:
        Path(f"/proc/{pid}/setgroups").write_text("deny")  # user_namespaces(7): before an ordinary user's gid_map
    Path(f"/proc/{pid}/uid_map").write_text(f"0 {uid} 1" if uid else f"0 {UNUSED_IDS} 65536")
    Path(f"/proc/{pid}/gid_map").write_text(f"0 {gid} 1" if uid else f"0 {UNUSED_IDS} 65536")


def why_none(process: subprocess.Popen[str], error: Exception | None) -> str:
    """Name the setting that stands in the way, with the line that mends it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    words = (process.stderr.read().strip() if process.stderr else "") or str(error or "the holder did not start")
    for path, forbidding, mend in (
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "AppArmor forbids user namespaces to ordinary users. Either run ./lab as root, or allow them with: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "This system forbids user namespaces to ordinary users. Either run ./lab as root, or allow them with: "
            "sudo sysctl kernel.unprivileged_userns_clone=1",
        ),
    ):
        with contextlib.suppress(OSError):
            if Path(path).read_text().strip() == forbidding and os.getuid():
                return f"{mend} ({words})"
    return f"The lab's user namespace could not be made: {words}{more_namespaces(words)}"


def more_namespaces(words: str) -> str:
    """What to do where the kernel's words are those of a limit of namespaces (namespaces(7)), or nothing."""
    if os.strerror(errno.ENOSPC) not in words:
        return ""
    found = {}
    for path in sorted(Path("/proc/sys/user").glob("max_*_namespaces")):
        with contextlib.suppress(OSError, ValueError):
            found[path.name] = int(path.read_text())
    # A host takes one of most kinds, and so do a pod and a container. The kernel does not tell which it is that lacks.
    low = {name: value for name, value in found.items() if value < 1000} or found
    told = ", ".join(f"user.{name} is {value}" for name, value in low.items())
    return f"; {told}. Allow more: sudo sysctl {' '.join(f'user.{name}=10000' for name in low)}"
