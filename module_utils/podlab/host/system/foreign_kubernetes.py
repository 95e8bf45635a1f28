"""Whether a kubelet or kube-proxy of a real cluster is at home on this host: its rules are no more podlab's then."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...changes.pods.paths import SCAN_DIR
from ..pods import lost_supervisors
from ..pods.status import command_line

PROGRAMS = ("kubelet", "kube-proxy")
UNITS = "/sys/fs/cgroup/system.slice"
HOME = "/var/lib/kubelet"
JOINED = ("config.yaml", "kubeconfig", "kubeadm-flags.env")
"""What a kubelet that belongs to a cluster has in its home. Its package makes the directory alone."""


def at_home() -> str:
    """In words, which of them and how it shows; empty where there is none."""
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
        with contextlib.suppress(OSError):
            if (name := _program(pid)) and _is_on_this_network(pid) and not _is_podlabs(pid):
                return f"{name} runs here (process {pid})"
    for name in PROGRAMS:
        if os.path.isdir(f"{UNITS}/{name}.service"):
            return f"{name} runs here (unit {name}.service)"
    joined = next((f"{HOME}/{name}" for name in JOINED if os.path.exists(f"{HOME}/{name}")), "")
    return f"this host is a node of a Kubernetes cluster ({joined} is there)" if joined else ""


def _program(pid: int) -> str:
    """Which of them a process is, by any of the names that it goes by."""
    names = {Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()}
    if names.isdisjoint(PROGRAMS):  # a name is cheap to ask for; of a few hundred processes this is most of the time
        names.update(os.path.basename(word) for word in command_line(pid)[:1])
    return next((name for name in PROGRAMS if name in names), "")


def _is_on_this_network(pid: int) -> bool:
    """A pod may run anything under any name; rules of this host are written from its own network alone."""
    return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino


def _is_podlabs(pid: int) -> bool:
    """podlab's kubelet and health checks go by these names as well, and so may containers on the host's network: all
    of them have s6 among their ancestors, or a supervisor or a program of podlab's that has lost it. Those are told by
    where they were started; their words are what they choose."""
    while pid > 1:
        if SCAN_DIR in command_line(pid) or lost_supervisors.is_from_services(pid):
            return True
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        pid = int(fields[1])
    return False
