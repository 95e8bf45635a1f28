"""The namespaces of a pod, and the commands that make and hold them."""

from __future__ import annotations

import hashlib

from ...configs import PodConfig
from .. import MARK
from .paths import NETNS, PODS

SANDBOX_SYSCTLS = {
    # What containerd gives to every pod: low ports without privileges. (It gives ping_group_range too,
    # which an ordinary user's namespace refuses: it maps a single group.)
    "net.ipv4.ip_unprivileged_port_start": "0",
}

SHM_OPTIONS = "nosuid,nodev,noexec,size=64m,mode=1777"
"""Of a pod's /dev/shm, as containerd mounts it. It is shared by the pod's containers, and ends with its sandbox."""

# Bound on itself below a shared directory (/run under systemd) a directory would be that one's peer, and whatever is
# mounted in it would lie there twice. Private and shared again it has peers of its own.
BIND_ON_ITSELF = ("mount", "--bind", "--make-private", "--make-shared")


def veth_name(netns: str) -> str:
    """The node's end of a pod's wire: ``veth`` and eight digits, as the CNI plugins name it, but stable."""
    return "veth" + hashlib.sha256(netns.encode()).hexdigest()[:8]


def alias(netns: str) -> str:
    return f"{MARK} {netns.replace('_', '/')}"


def namespace_files(row: PodConfig | None, netns: str) -> dict[str, str]:
    """Kind of namespace -> the file that gives it a name. ``row`` None is a plain pod."""
    home = f"{PODS}/{netns}"
    files = {"net": f"{NETNS}/{netns}", "ipc": f"{home}/ipc", "uts": f"{home}/uts"}
    if row and row.get("host_network"):
        files = {"ipc": files["ipc"]}
    if row and row.get("host_ipc"):
        del files["ipc"]
    if row and row.get("share_processes"):
        files["pid"] = f"{home}/pid"
    return files


def is_plain(row: PodConfig) -> bool:
    """Whether a pod's namespaces are those of most pods: no settings of its own, nothing shared but the usual."""
    others = ("host_network", "share_processes", "host_ipc")
    return not (row.get("sysctls") or any(row.get(name) for name in others))


def unshare_argv(row: PodConfig) -> list[str]:
    """The command that makes a pod's namespaces and gives each a name in the file system."""
    files = namespace_files(row, row["netns"])
    argv = ["unshare", *(f"--{kind}={path}" for kind, path in files.items() if kind != "pid")]
    given = row.get("sysctls", {})
    settings = dict(given) if row.get("host_network") else {**SANDBOX_SYSCTLS, **given}
    words = [f"{key}={value}" for key, value in settings.items()]
    if row.get("host_network"):
        return [*argv, *(["sysctl", "-qw", *words] if words else ["true"])]
    # hostname(1), not kernel.hostname: that file belongs to the machine's root in every user namespace.
    return [*argv, "sh", "-c", 'hostname "$0" && exec sysctl -qw "$@"', row["hostname"], *words]


def pause_argv(row: PodConfig) -> list[str]:
    """The process that holds the namespaces; its last words tell ``ps`` whose it is."""
    files = namespace_files(row, row["netns"])
    argv = ["nsenter", *(f"--{kind}={path}" for kind, path in files.items() if kind != "pid")]
    if "pid" in files:
        # Only a child is inside of a new PID namespace. Its parent stays, to see it off.
        argv += ["unshare", f"--pid={files['pid']}", "--fork"]
    return [*argv, *pause_command(row["netns"])]


def pause_command(netns: str) -> list[str]:
    return ["catatonit", "-P", "podlab-pod", netns]
