"""Who a container's process is: user, groups, capabilities."""

from __future__ import annotations

from ...configs import ContainerConfig, PodConfig

# What containerd leaves to a container that asks for nothing
# (https://github.com/containerd/containerd: oci.WithDefaultUnixCaps).
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "SETFCAP"),
    *("NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE"),
)

# All of them, each at its number (linux/capability.h).
NUMBERS = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)


def groups_of(pod: PodConfig, row: ContainerConfig) -> list[int]:
    """Supplementary groups: the container's and the pod's ``fsGroup``, without its first one."""
    wanted = {*row.get("groups", []), *([pod["fs_group"]] if "fs_group" in pod else [])}
    return sorted(wanted - {row.get("group", 0)})


def _has_other_ids(pod: PodConfig, row: ContainerConfig) -> bool:
    """Whether anything but root's own ids is asked for. An ordinary user's lab has no other (and no setgroups)."""
    return bool(row.get("user") or row.get("group") or groups_of(pod, row))


def initial_capabilities(pod: PodConfig, row: ContainerConfig) -> list[str]:
    """bubblewrap's, which are the container's, and what setpriv needs to change ids; it gives that back."""
    wanted = list(row.get("capabilities", CAPABILITIES))
    needed = ("SETUID", "SETGID", "SETPCAP") if _has_other_ids(pod, row) else ()
    return [*wanted, *(name for name in needed if name not in wanted)]


def setpriv_argv(pod: PodConfig, row: ContainerConfig) -> list[str]:
    """setpriv, as far as the process is to be anybody else than root.

    A process that is not root has no capabilities, though they stay in its bounding set: so it is under runc,
    which knows ambient ones but is not told to set any.
    """
    if not _has_other_ids(pod, row):
        return []
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in row.get("capabilities", CAPABILITIES))])
    groups = ",".join(map(str, groups_of(pod, row)))
    return [
        *("/usr/bin/setpriv", "--pdeathsig", "KILL", "--inh-caps=-all", f"--bounding-set={kept}"),
        *(f"--reuid={row.get('user', 0)}", f"--regid={row.get('group', 0)}"),
        *(f"--groups={groups}" if groups else "--clear-groups", "--"),
    ]


def identity_file(pod: PodConfig, name: str) -> str:
    """What that program makes of itself. ``working_dir`` comes last, since it may be any text."""
    row = pod["containers"][name]
    mask = sum(1 << NUMBERS.index(capability) for capability in row.get("capabilities", CAPABILITIES))
    lines = [f"capabilities {mask:016x}"]
    if _has_other_ids(pod, row):
        groups = " ".join(map(str, groups_of(pod, row)))
        lines += [f"user {row.get('user', 0)}", f"group {row.get('group', 0)}", f"groups {groups}"]
    return "".join(f"{line}\n" for line in [*lines, f"working_dir {row['working_dir']}"])
