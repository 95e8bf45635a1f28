"""A container: a supervised process in its pod's namespaces, with a root of its own."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping

from ...configs import ContainerRow, Mount, PodRow
from . import nested_mounts

RUN = "/run/podlab"
HOME = "/var/lib/podlab"
"""What podlab keeps on a host. Values of Secrets are in both, so they are root's alone."""

# The size is a limit: /etc/hosts of pods lie here, and their root may write to them.
RUN_MADE = (
    ("mkdir", "-p", "-m", "700", RUN),
    ("mount", "-t", "tmpfs", "-o", "nosuid,nodev,mode=700,size=25%", "podlab", RUN),
)
# Of this mount alone: else it is told its ids again, as the machine counts them, and an embedded host has no such.
RUN_MENDED = ("mount", "-o", "remount,bind,exec", RUN)

NETNS = "/run/netns"
PODS = "/run/podlab/pods"
SUBPATHS = "/run/podlab/subpaths"
SHM = "/run/podlab/shm"
"""A file system for each pod, its /dev/shm. Not below PODS: who starts a container has dropped that by then."""
SERVICES = "/run/podlab/services"
IMAGES = "/var/lib/podlab/images"
VOLUMES = "/var/lib/podlab/volumes"
LOGS = "/var/log/pods"

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

# What programs of the distribution need of /etc, and nothing that is the machine's own business. Each of these is a
# mount a container, a third of a millisecond: what is only good to have is not here.
ETC = (
    *("alternatives", "group", "ld.so.cache", "localtime", "nsswitch.conf", "passwd", "protocols", "services"),
    *("ssl/certs", "ssl/openssl.cnf"),
)

# Debian has execline beside PATH. Its /usr/bin/execlineb is a script that puts it there: five programs more a start.
EXECLINE = "/usr/lib/execline/bin"

# The descriptor by which a container's variables come to it. None of them may be a word of a command line, which every
# user of the machine can read (proc(5)), as they could with bubblewrap's --setenv; and bubblewrap's --args takes 9000
# words at most, while Services alone may bring more variables than that.
ENVIRONMENT_FD = 5

_LINKS = ("bin", "sbin", "lib", "lib32", "lib64")  # of /, into /usr


def service_name(netns: str, container: str) -> str:
    """Directory of the supervised process. A container's name has no dot, so the last one parts the two."""
    return f"{netns}.{container}"


def log_directory(netns: str, container: str) -> str:
    return f"{LOGS}/{netns}/{container}"


def environment(hostname: str, row: ContainerRow) -> dict[str, str]:
    """What a container's process starts with. An id without a home in /etc/passwd gets / from containerd."""
    home = "/root" if not row.get("user") else "/"
    return {"HOSTNAME": hostname, "HOME": home, "TERM": "xterm", **row.get("services", {}), **row["env"]}


def environment_file(hostname: str, row: ContainerRow) -> str:
    """The same for ``envfile``, a line each (https://skarnet.org/software/execline/envfile.html)."""
    words = {name: _word(value).replace("\n", "\\n") for name, value in environment(hostname, row).items()}
    return "".join(f"{name}={word}\n" for name, word in words.items())


def _environment_argv() -> list[str]:
    """Read the variables, in the container's own file system: what they name, such as LD_PRELOAD, is none of the
    host's business."""
    fd = str(ENVIRONMENT_FD)
    return [f"{EXECLINE}/envfile", f"/proc/self/fd/{fd}", f"{EXECLINE}/fdclose", fd]


# --- the root ---------------------------------------------------------------------------------------------


def sandbox_argv(pod: PodRow, name: str) -> list[str]:
    """bubblewrap's arguments: the host's programs to read, everything else private and in memory.

    ``--as-pid-1`` makes the program process 1 as on Kubernetes: ``kill 1`` ends the container, and a
    program without a handler does not hear SIGTERM. Where the pod shares its processes, pause is process 1.
    """
    row, home = pod["containers"][name], f"{PODS}/{pod['netns']}"
    shared, read_only = pod.get("share_processes", False), row.get("read_only", False)
    layered, trees = layers(pod, name), nested_trees(pod, name)
    argv = ["bwrap", *(["--pidns", "4"] if shared else ["--unshare-pid", "--as-pid-1"])]
    argv += ["--die-with-parent", "--json-status-fd", "3"]
    for directory in ("/tmp", "/var/tmp"):
        argv += ["--perms", "1777", "--dir", directory]
    for directory in ("/run", "/var/log", "/var/lib", "/var/cache", "/root", "/home", "/srv", "/mnt"):
        argv += ["--dir", directory]
    for directory in ("/etc/ssl", "/opt"):
        argv += ["--dir", directory]  # what bubblewrap makes by itself only root can enter
    argv += ["--symlink", "../run", "/var/run"]
    argv += ["--ro-bind", layered.get("/usr", "/usr"), "/usr"]
    for link in _LINKS:
        argv += ["--symlink", f"usr/{link}", f"/{link}"]
    for file in ETC:
        argv += ["--ro-bind-try", layered.get(f"/etc/{file}", f"/etc/{file}"), f"/etc/{file}"]
    for file in ("hosts", "hostname", "resolv.conf"):
        argv += ["--ro-bind" if read_only else "--bind", f"{home}/{file}", f"/etc/{file}"]
    argv += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    argv += ["--dev", "/dev", "--bind", shm_path(pod["netns"]), "/dev/shm", "--ro-bind", "/sys", "/sys"]
    # Manifests name the program of the agnhost image by its path there.
    argv += ["--ro-bind", layered.get("/opt/podlab", IMAGES), "/opt/podlab", "--symlink", "/opt/podlab/agnhost"]
    argv += ["/agnhost"]
    for path, source in sorted(row.get("binds", {}).items()):
        argv += [*_parent(_real(path)), "--ro-bind", layered.get(path, source), _real(path)]
    in_trees = {mount.index for tree in trees for mount in (tree.outermost, *tree.nested)}
    for index, mount in _parents_first(row):
        if index not in in_trees:
            path = _real(mount["path"])
            argv += [*_parent(path), _bind_word(pod, mount), mount_source(pod, name, index), path]
    for tree in trees:  # with devices, which have been taken from all else
        argv += [*_parent(tree.outermost.path), "--dev-bind", tree.stage, tree.outermost.path]
    if row["working_dir"] != "/" and not any(tree.working_dir for tree in trees):
        argv += ["--dir", _real(row["working_dir"])]
    if read_only:
        argv += ["--remount-ro", "/"]  # this one mount: volumes, /dev and /proc stay as they are
    argv += ["--cap-drop", "ALL"]
    for capability in _capabilities_at_the_door(pod, row):
        argv += ["--cap-add", f"CAP_{capability}"]
    argv += ["--clearenv", "--chdir", row["working_dir"], "--"]
    argv += [f"{EXECLINE}/fdclose", "4"] if shared else []
    argv += _environment_argv()
    return [*argv, *_identity_argv(pod, row), *row["argv"]]


def _parents_first(row: ContainerRow) -> list[tuple[int, Mount]]:
    """Mounts with their place in the row: /data before /data/cache, however the manifest has them."""
    return sorted(enumerate(row.get("mounts", [])), key=lambda item: _real(item[1]["path"]).split("/"))


def _parent(path: str) -> list[str]:
    directory = posixpath.dirname(path.rstrip("/"))
    return ["--dir", directory] if directory.strip("/") else []


def _bind_word(pod: PodRow, mount: Mount) -> str:
    if _is_read_only(pod, mount):
        return "--ro-bind"
    return "--dev-bind" if _is_device(pod, mount) else "--bind"


def _is_read_only(pod: PodRow, mount: Mount) -> bool:
    volume = pod.get("volumes", {})[mount["volume"]]
    return mount["read_only"] or volume["kind"] == "files"  # the kubelet alone writes those


def _is_device(pod: PodRow, mount: Mount) -> bool:
    return pod.get("volumes", {})[mount["volume"]].get("type") in ("CharDevice", "BlockDevice")


def mount_source(pod: PodRow, name: str, index: int) -> str:
    """What lies under a container's mount: the volume, or the place where its ``sub_path`` has been bound.

    A sub path is bound on the host before the container starts: a container may have made it a symbolic link
    to anywhere, and only who resolves it inside of the volume can tell.
    """
    mount = pod["containers"][name].get("mounts", [])[index]
    if mount["sub_path"]:
        return f"{SUBPATHS}/{pod['netns']}/{name}/{index}"
    return volume_path(pod, mount["volume"])


def shm_path(netns: str) -> str:
    return f"{SHM}/{netns}"


def volume_path(pod: PodRow, volume: str) -> str:
    found = pod.get("volumes", {})[volume]
    return found["path"] if found["kind"] == "hostPath" else f"{VOLUMES}/{pod['netns']}/{volume}"


def nested_trees(pod: PodRow, name: str) -> list[nested_mounts.Tree]:
    """Volumes of a container that hold other mounts of it, or its working directory."""
    row, home = pod["containers"][name], f"{SERVICES}/{service_name(pod['netns'], name)}"
    mounts = [nested_mounts.Bound(nested_mounts.SHM, shm_path(pod["netns"]))]
    for index, mount in _parents_first(row):
        path, source = _real(mount["path"]), mount_source(pod, name, index)
        mounts.append(nested_mounts.Bound(path, source, _is_read_only(pod, mount), _is_device(pod, mount), index))
    return nested_mounts.trees(mounts, _real(row["working_dir"]), f"{home}/trees")


# --- mount points that the host does not have -------------------------------------------------------------


def layers(pod: PodRow, name: str) -> dict[str, str]:
    """Read-only trees that need mount points which nobody can make in them: tree in the container -> a directory of
    the service, where its layer with the mount points is laid over the tree."""
    trees = _trees(pod["containers"][name])
    needed = sorted({tree for path in _places(pod["containers"][name]) if (tree := _tree_of(path, trees))})
    home = f"{SERVICES}/{service_name(pod['netns'], name)}/layers"
    return {tree: f"{home}/{number}" for number, tree in enumerate(needed)}


def mount_points(pod: PodRow, name: str) -> Iterator[tuple[str, str | None]]:
    """What the layers have to hold: path on the host, and what is to be mounted there (None: a directory)."""
    row, layered = pod["containers"][name], layers(pod, name)
    sources: dict[str, str | None] = {row["working_dir"]: None, **row.get("binds", {})}
    sources |= {mount["path"]: mount_source(pod, name, index) for index, mount in _parents_first(row)}
    for path, source in sources.items():
        tree = _tree_of(path, layered)
        if tree:
            yield layered[tree] + _real(path)[len(tree) :], source


def _trees(row: ContainerRow) -> dict[str, str]:
    return {
        "/usr": "/usr",
        "/opt/podlab": IMAGES,
        **{f"/etc/{name}": f"/etc/{name}" for name in ETC},
        **row.get("binds", {}),
    }


def _places(row: ContainerRow) -> list[str]:
    return [row["working_dir"], *row.get("binds", {}), *(mount["path"] for mount in row.get("mounts", []))]


def _tree_of(path: str, trees: Mapping[str, str]) -> str | None:
    """The innermost tree that a path lies in."""
    around = [tree for tree in trees if _real(path).startswith(f"{tree}/")]
    return max(around, key=len, default=None)


def _real(path: str) -> str:
    """/lib/x is /usr/lib/x. bubblewrap mounts nothing on a link, from 0.11 on."""
    return nested_mounts.resolved(path, _LINKS)


# --- who it is --------------------------------------------------------------------------------------------


def groups_of(pod: PodRow, row: ContainerRow) -> list[int]:
    """Supplementary groups: the container's and the pod's ``fsGroup``, without its first one."""
    wanted = {*row.get("groups", []), *([pod["fs_group"]] if "fs_group" in pod else [])}
    return sorted(wanted - {row.get("group", 0)})


def _has_other_ids(pod: PodRow, row: ContainerRow) -> bool:
    """Whether anything but root's own ids is asked for. An ordinary user's lab has no other (and no setgroups)."""
    return bool(row.get("user") or row.get("group") or groups_of(pod, row))


def _capabilities_at_the_door(pod: PodRow, row: ContainerRow) -> list[str]:
    """bubblewrap's, which are the container's, and what setpriv needs to change ids; it gives that back."""
    wanted = list(row.get("capabilities", CAPABILITIES))
    needed = ("SETUID", "SETGID", "SETPCAP") if _has_other_ids(pod, row) else ()
    return [*wanted, *(name for name in needed if name not in wanted)]


def _identity_argv(pod: PodRow, row: ContainerRow) -> list[str]:
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


# --- the service ------------------------------------------------------------------------------------------


def run_script(pod: PodRow, name: str) -> str:
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
        lines.append(f"{EXECLINE}/redirfd -r 4 {_word(home + '/pid')}")
    if row.get("user"):
        lines.append(f'{EXECLINE}/if {{ "chown" "{row["user"]}" "/dev/fd/1" }}')  # or it could not open /dev/stdout
    # A mount namespace for what follows; that of ip has the pod's own /sys.
    lines.append(_line(*(["unshare", "--mount"] if on_host else ["ip", "netns", "exec", netns])))
    uts = [] if on_host else [f"--uts={home}/uts"]
    lines.append(_line("nsenter", f"--ipc={home}/ipc", *uts, "--"))
    # bubblewrap reads the whole table of mounts for each of its own. With 110 pods that took four times as long.
    lines.append(f"{EXECLINE}/foreground {{ {_line('umount', '--lazy', '--quiet', NETNS, PODS)} }}")
    for tree, layer in layers(pod, name).items():
        argv = overlay_argv(_trees(row)[tree], layer)
        lines.append(f"{EXECLINE}/if {{ {_line(*argv)} }}")
    if nested_trees(pod, name):
        lines.append(f"{EXECLINE}/if {{ {_line(f'{IMAGES}/mounts', f'{SERVICES}/{service_name(netns, name)}')} }}")
    lines.append(_line(*sandbox_argv(pod, name)))
    return "\n".join(lines) + "\n"


def overlay_argv(tree: str, layer: str) -> list[str]:
    """Lay a directory with mount points over a tree of the host, for one container's eyes only.

    bubblewrap can make mount points in memory, but not in what it binds read-only.
    """
    below, above = (re.sub(r"([\\:,])", r"\\\1", path) for path in (tree, layer))
    return ["mount", "-t", "overlay", "podlab", "-o", f"ro,lowerdir={above}:{below}", layer]


def enter_script(pod: PodRow, name: str) -> str:
    """``enter PID COMMAND ARG...`` runs a command in the container whose process 1 is PID, as a part of it: podlab's
    program of the same name does (host/enter.py)."""
    words = _line(f"{IMAGES}/enter", f"{SERVICES}/{service_name(pod['netns'], name)}")
    return f"#!{EXECLINE}/execlineb -S0\n{words} $@\n"


def identity_file(pod: PodRow, name: str) -> str:
    """What that program makes of itself. ``working_dir`` comes last, since it may be any text."""
    row = pod["containers"][name]
    mask = sum(1 << NUMBERS.index(capability) for capability in row.get("capabilities", CAPABILITIES))
    lines = [f"capabilities {mask:016x}"]
    if _has_other_ids(pod, row):
        groups = " ".join(map(str, groups_of(pod, row)))
        lines += [f"user {row.get('user', 0)}", f"group {row.get('group', 0)}", f"groups {groups}"]
    return "".join(f"{line}\n" for line in [*lines, f"working_dir {row['working_dir']}"])


LOG_SCRIPT = """#!/bin/sh
# Each start logs into a directory of its own, as the kubelet does it: what is printed is in "current" as soon as it
# is printed, byte for byte. A full part becomes @1, @2, ..., and the last two of those are kept.
trap '' TERM INT HUP
umask 022
read -r n <&5
exec 5<&-
[ -d "logs/$n" ] || mkdir -p "logs/$n"
cd "logs/$n" || exec cat >/dev/null
part=0 before=-1
for name in @*; do [ "${name#@}" -gt "$part" ] 2>/dev/null && part=${name#@}; done
while :; do
    # At most 1 MiB a round, and less where little is printed at a time.
    if dd bs=8k count=128 status=none >>current 2>/dev/null; then
        size=$(stat -c %s current)
        [ "$size" = "$before" ] && exit 0  # nothing has come: whoever wrote has gone
        before=$size
        if [ "${size:-0}" -ge 1000000 ]; then
            part=$((part + 1)) before=0
            mv current "@$part"
            rm -f "@$((part - 2))"
        fi
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


def service_files(pod: PodRow, name: str) -> dict[str, str]:
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
        "finish": finish_script(policy, shared=pod.get("share_processes", False)),
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
        _line("setpriv", "--pdeathsig", "TERM", "--", python, "-IS", program),
    ]
    return "".join(f"{line}\n" for line in lines)


def _line(*words: str) -> str:
    return " ".join(map(_word, words))


def _word(text: str) -> str:
    """A word of execline: quoted, so that it stands for itself whatever it holds.

    Inside quotes only the backslash and the quote are special
    (https://skarnet.org/software/execline/execlineb.html).
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
