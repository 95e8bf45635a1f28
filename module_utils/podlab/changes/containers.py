"""A container: a supervised process in its pod's namespaces, with a root of its own."""

from __future__ import annotations

from typing import TypedDict


class ContainerRow(TypedDict):
    image: str
    argv: list[str]
    env: dict[str, str]
    working_dir: str


IMAGES = "/var/lib/podlab/images"
LOGS = "/var/log/pods"

# What containerd leaves to a container that asks for nothing
# (https://github.com/containerd/containerd: oci.WithDefaultUnixCaps).
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "SETFCAP"),
    *("NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE"),
)

# What programs of the distribution need of /etc, and nothing that is the machine's own business.
ETC = (
    *("alternatives", "bash.bashrc", "ca-certificates", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "nsswitch.conf", "passwd", "protocols", "rpc", "services", "shells", "ssl/certs"),
    *("ssl/openssl.cnf", "terminfo", "python3", "python3.10", "python3.11", "python3.12", "python3.13"),
)


def service_name(netns: str, container: str) -> str:
    """Directory of the supervised process. A container's name has no dot, so the last one parts the two."""
    return f"{netns}.{container}"


def log_directory(netns: str, container: str) -> str:
    return f"{LOGS}/{netns}/{container}"


def sandbox_argv(pod: str, hostname: str, row: ContainerRow) -> list[str]:
    """bubblewrap's arguments: the host's programs to read, everything else private and in memory.

    ``--as-pid-1`` makes the program process 1 as on Kubernetes: ``kill 1`` ends the container, and a
    program without a handler does not hear SIGTERM.
    """
    argv = ["bwrap", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--json-status-fd", "3"]
    for directory in ("/tmp", "/var/tmp"):
        argv += ["--perms", "1777", "--dir", directory]
    for directory in ("/run", "/var/log", "/var/lib", "/var/cache", "/root", "/home", "/srv", "/mnt"):
        argv += ["--dir", directory]
    argv += ["--ro-bind", "/usr", "/usr"]
    for link in ("bin", "sbin", "lib", "lib32", "lib64"):
        argv += ["--symlink", f"usr/{link}", f"/{link}"]
    for name in ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in ("hosts", "hostname", "resolv.conf"):
        argv += ["--bind", f"{pod}/{name}", f"/etc/{name}"]
    argv += [
        "--proc",
        "/proc",
        "--ro-bind",
        "/proc/sys",
        "/proc/sys",
        "--dev",
        "/dev",
        "--bind",
        f"{pod}/shm",
        "/dev/shm",
        "--ro-bind",
        "/sys",
        "/sys",
    ]
    # Manifests name the program of the agnhost image by its path there.
    argv += ["--ro-bind", IMAGES, "/opt/podlab", "--symlink", "/opt/podlab/agnhost", "/agnhost"]
    argv += ["--cap-drop", "ALL"]
    for capability in CAPABILITIES:
        argv += ["--cap-add", f"CAP_{capability}"]
    argv += ["--clearenv"]
    for name, value in {"HOSTNAME": hostname, "HOME": "/root", "TERM": "xterm", **row["env"]}.items():
        argv += ["--setenv", name, value]
    if row["working_dir"] != "/":
        argv += ["--dir", row["working_dir"]]
    return [*argv, "--chdir", row["working_dir"], "--", *row["argv"]]


def run_script(netns: str, pod: str, hostname: str, row: ContainerRow) -> str:
    """What the supervisor starts, in execline: a chain of programs without a shell or a variable in it."""
    join = [
        *("ip", "netns", "exec", netns),
        *("nsenter", f"--ipc={pod}/ipc", f"--uts={pod}/uts", "--"),
        *sandbox_argv(pod, hostname, row),
    ]
    lines = [
        "#!/usr/bin/execlineb -P",
        "pipeline -w { ./log }",
        "fdmove -c 2 1",  # after the pipe is there, or errors would go past the log
        "redirfd -w 3 started",  # its time stamp is the start's
        "redirfd -w 3 status",
        " ".join(_word(word) for word in join),
    ]
    return "\n".join(lines) + "\n"


LOG_SCRIPT = """#!/bin/sh
# Each start logs into a directory of its own, as the kubelet does it; s6-log keeps it small.
read -r n <restarts
exec s6-log -b n2 s1000000 "./logs/$n"
"""


def finish_script(restart_policy: str) -> str:
    """What the supervisor runs when a container has ended: write down how, and wait before the next start.

    Arguments: exit code (256 after a signal) and signal. Exit 125 means: do not start again.
    The waiting times are the kubelet's: none, then 10 s, doubled up to 300 s; ten quiet minutes forgive all
    (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy).
    """
    never = {"Always": "false", "OnFailure": '[ "$1" = 0 ]', "Never": "true"}[restart_policy]
    return f"""#!/bin/sh
now=$(date +%s) started=$(stat -c %Y started)
read -r n <restarts
echo "$1 $2 $started $now" >last
rm -f status
if {never}; then exit 125; fi
echo $((n + 1)) >restarts
read -r wait 2>/dev/null <backoff || wait=0
if [ $((now - started)) -ge 600 ]; then wait=0; fi
next=$((wait ? wait * 2 : 10))
echo $((next < 300 ? next : 300)) >backoff
echo $$ >waiting
exec sleep "$wait"
"""


def service_files(netns: str, pod: str, hostname: str, row: ContainerRow, policy: str) -> dict[str, str]:
    """The service directory of a container: file -> text."""
    return {
        "run": run_script(netns, pod, hostname, row),
        "log": LOG_SCRIPT,
        "finish": finish_script(policy),
        "timeout-finish": "0\n",  # the wait between two starts is the finish script's, however long
        "restarts": "0\n",
    }


def _word(text: str) -> str:
    """A word of execline: quoted, so that it stands for itself whatever it holds.

    Inside quotes only the backslash and the quote are special
    (https://skarnet.org/software/execline/execlineb.html).
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
