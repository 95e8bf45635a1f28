"""A container: a supervised process in its pod's namespaces, with a root of its own."""

from __future__ import annotations

import json

from ...configs import ContainerConfig, PodConfig
from .container_root import layers, lower_trees, nested_trees, overlay_argv, sandbox_argv
from .execline import ENVIRONMENT_FD, EXECLINE, line, word
from .identity import identity_file
from .paths import IMAGES, NETNS, PODS, SCAN_DIR, service_name


def environment(hostname: str, row: ContainerConfig) -> dict[str, str]:
    """What a container's process starts with. An id without a home in /etc/passwd gets / from containerd."""
    home = "/root" if not row.get("user") else "/"
    return {"HOSTNAME": hostname, "HOME": home, "TERM": "xterm", **row.get("services", {}), **row["env"]}


def environment_file(hostname: str, row: ContainerConfig) -> str:
    """The same for ``envfile``, a line each (https://skarnet.org/software/execline/envfile.html)."""
    words = {name: word(value).replace("\n", "\\n") for name, value in environment(hostname, row).items()}
    return "".join(f"{name}={word}\n" for name, word in words.items())


# --- the service ------------------------------------------------------------------------------------------


def run_script(pod: PodConfig, name: str) -> str:
    """What the supervisor starts, in execline: a chain of programs without a shell or a variable in it."""
    netns, home, row = pod["netns"], f"{PODS}/{pod['netns']}", pod["containers"][name]
    on_host = pod.get("host_network", False)
    lines = [
        f"#!{EXECLINE}/execlineb -P",
        f"{EXECLINE}/redirfd -r 5 restarts",  # for the log: which start this is, whatever is counted before it looks
        f"{EXECLINE}/pipeline -w {{ ./log }}",
        f"{EXECLINE}/fdclose 5",
        f"{EXECLINE}/fdmove -c 2 1",  # after the pipe is there, or errors would go past the log
        f"{EXECLINE}/redirfd -w 3 started",  # its time stamp is the start's
        f"{EXECLINE}/redirfd -w 3 status",
        f"{EXECLINE}/redirfd -r {ENVIRONMENT_FD} env",
        f"{EXECLINE}/umask 022",  # as runtimes have it, whatever the supervisor was started with
    ]
    if pod.get("share_processes"):
        lines.append(f"{EXECLINE}/redirfd -r 4 {word(home + '/pid')}")
    if row.get("user") and not row.get("user_namespace"):
        lines.append(f'{EXECLINE}/if {{ "chown" "{row["user"]}" "/dev/fd/1" }}')  # or it could not open /dev/stdout
    # A mount namespace for what follows; that of ip has the pod's own /sys.
    lines.append(line(*(["unshare", "--mount"] if on_host else ["ip", "netns", "exec", netns])))
    uts = [] if on_host else [f"--uts={home}/uts"]
    ipc = [] if pod.get("host_ipc") else [f"--ipc={home}/ipc"]
    lines += [line("nsenter", *ipc, *uts, "--")] if ipc or uts else []
    # bubblewrap reads the whole table of mounts for each of its own. With 110 pods that took four times as long.
    lines.append(f"{EXECLINE}/foreground {{ {line('umount', '--lazy', '--quiet', NETNS, PODS)} }}")
    for tree, layer in layers(pod, name).items():
        argv = overlay_argv(lower_trees(row)[tree], layer)
        lines.append(f"{EXECLINE}/if {{ {line(*argv)} }}")
    if nested_trees(pod, name):
        lines.append(f"{EXECLINE}/if {{ {line(f'{IMAGES}/mounts', f'{SCAN_DIR}/{service_name(netns, name)}')} }}")
    lines.append(line(*sandbox_argv(pod, name)))
    return "\n".join(lines) + "\n"


def enter_script(pod: PodConfig, name: str) -> str:
    """``enter PID COMMAND ARG...`` runs a command in the container whose process 1 is PID, as a part of it: podlab's
    program of the same name does (host/enter.py)."""
    words = line(f"{IMAGES}/enter", f"{SCAN_DIR}/{service_name(pod['netns'], name)}")
    return f"#!{EXECLINE}/execlineb -S0\n{words} $@\n"


LOG_SCRIPT = """#!/bin/sh
# Each start logs into a directory of its own, as the kubelet does it: what is printed is in "current" as soon as it
# is printed, byte for byte. A full part becomes @1, @2, ..., and the last two of those are kept. "current.times" says
# up to which byte there was something at what time, a line for each read.
trap '' TERM INT HUP
umask 022
read -r n <&5
exec 5<&-
[ -d "logs/$n" ] || mkdir -p "logs/$n"
cd "logs/$n" || exec cat >/dev/null
part=0 before=-1 reads=0 last=
for name in @*; do [ "${name#@}" -gt "$part" ] 2>/dev/null && part=${name#@}; done
while :; do
    if dd bs=64k count=1 status=none >>current 2>/dev/null; then
        entry=$(LC_ALL=C stat -c '%s %.9Y' current)
        size=${entry%% *}
        [ "$size" = "$before" ] && exit 0  # nothing has come: whoever wrote has gone
        echo "$entry" >>current.times
        got=$((size - before)) before=$size reads=$((reads + 1))
        if [ "$size" -ge 1000000 ] || [ "$reads" -ge 50000 ]; then
            part=$((part + 1)) before=0 reads=0
            mv current "@$part"
            mv current.times "@$part.times"
            rm -f "@$((part - 2))" "@$((part - 2)).times"
        fi
        # Of what is printed in small pieces one after the other, several are a read: each read costs two processes.
        read -r now _ </proc/uptime
        [ "${now%?}" = "$last" ] && [ "$got" -lt 32768 ] && sleep 0.02
        last=${now%?}
    else
        # There is no room: what is printed is lost, rather than the container held up.
        timeout -s KILL 1 cat >/dev/null && exit 0
    fi
done
"""


def finish_script(restart_policy: str, *, shared: bool = False) -> str:
    """What the supervisor runs when a container has ended: write down how, and wait before the next start.

    Arguments: exit code (256 after a signal) and signal. Exit 125 means: do not start again.
    The waiting times are the kubelet's: none, then 10 s, doubled up to 300 s; ten quiet minutes forgive all
    (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy).

    :param shared: the pod's containers share their processes, so the kernel does not end them with the first one.
    """
    never = {"Always": "false", "OnFailure": '[ "$1" = 0 ]', "Never": "true"}[restart_policy]
    return f"""#!/bin/sh
now=$(date +%s) started=$(stat -c %Y started)
read -r n <restarts
echo "$1 $2 $started $now" >last
cp last logs/last 2>/dev/null  # where a reboot leaves it
{_END_OF_OTHERS if shared else ""}rm -f status
if {never}; then exit 125; fi
echo $((n + 1)) >restarts.new
mv restarts.new restarts
read -r wait 2>/dev/null <backoff || wait=0
if [ $((now - started)) -ge 600 ]; then wait=0; fi
next=$((wait ? wait * 2 : 10))
echo $((next < 300 ? next : 300)) >backoff
echo $$ >waiting
exec sleep "$wait"
"""


# Whose mount namespace is the container's is the container's. A round that finds nobody is the last one.
_END_OF_OTHERS = """\
mnt=$(sed -n 's/.*"mnt-namespace": \\([0-9]*\\).*/\\1/p' status)
while [ "$mnt" ]; do
    others=$(stat -L -c '%i %n' /proc/[0-9]*/ns/mnt 2>/dev/null | sed -n "s,^$mnt /proc/\\([0-9]*\\)/.*,\\1,p")
    [ "$others" ] || break
    kill -9 $others 2>/dev/null
done
"""


UNIT_FILES = ("enter", "env", "finish", "identity", "log", "run", "timeout-finish")
"""What the s6 directory of every container has to have, whatever comes and goes beside it."""

SCRIPTS = ("enter", "finish", "log", "run")


def unit_files(pod: PodConfig, name: str) -> tuple[str, ...]:
    """What this container's has to have."""
    return (*UNIT_FILES, "mounts") if nested_trees(pod, name) else UNIT_FILES


def service_files(pod: PodConfig, name: str) -> dict[str, str]:
    """The service directory of a container: file -> text."""
    policy = pod["containers"][name].get("restart_policy", pod["restart_policy"])
    trees = [tree.row() for tree in nested_trees(pod, name)]
    return {
        **({"mounts": f"{json.dumps(trees)}\n"} if trees else {}),
        "run": run_script(pod, name),
        "enter": enter_script(pod, name),
        "identity": identity_file(pod, name),
        "env": environment_file(pod["hostname"], pod["containers"][name]),
        "log": LOG_SCRIPT,
        "finish": finish_script(policy, shared=pod.get("share_processes", pod.get("host_pid", False))),
        "timeout-finish": "0\n",  # the wait between two starts is the finish script's, however long
        "restarts": "0\n",
    }


def kubelet_script(python: str, program: str) -> str:
    """What the supervisor starts for the kubelet. Its log goes with the cluster, as it is nobody's pod."""
    lines = [
        f"#!{EXECLINE}/execlineb -P",
        f"{EXECLINE}/pipeline -w {{ s6-log -b n2 s1000000 ./logs }}",
        f"{EXECLINE}/fdmove -c 2 1",
        # Or one whose supervisor was killed would go on beside the next.
        line("setpriv", "--pdeathsig", "TERM", "--", python, "-IS", program),
    ]
    return "".join(f"{line}\n" for line in lines)
