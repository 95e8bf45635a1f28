"""The root of a container: bubblewrap's arguments, and what has to be there before it starts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from ...configs import ContainerConfig, Mount, PodConfig
from . import nested_mounts
from .execline import EXECLINE, environment_argv
from .identity import initial_capabilities, setpriv_argv, user_namespace_argv
from .paths import IMAGES, PODS, SCAN_DIR, mount_source, service_name, shm_source

# What programs of the distribution need of /etc, and nothing that is the machine's own business. Each of these is a
# mount a container, a third of a millisecond: what is only good to have is not here.
ETC = (
    *("alternatives", "group", "ld.so.cache", "localtime", "nsswitch.conf", "passwd", "protocols", "services"),
    *("ssl/certs", "ssl/openssl.cnf"),
)

_LINKS = ("bin", "sbin", "lib", "lib32", "lib64")  # of /, into /usr


def sandbox_argv(pod: PodConfig, name: str) -> list[str]:
    """bubblewrap's arguments: the host's programs to read, everything else private and in memory.

    ``--as-pid-1`` makes the program process 1 as on Kubernetes: ``kill 1`` ends the container, and a
    program without a handler does not hear SIGTERM. Where the pod shares its processes, pause is process 1.
    """
    row, home = pod["containers"][name], f"{PODS}/{pod['netns']}"
    shared, read_only = pod.get("share_processes", False), row.get("read_only", False)
    layered, trees = layers(pod, name), nested_trees(pod, name)
    argv = ["bwrap", *_pid_argv(pod)]
    argv += [*user_namespace_argv(row), "--die-with-parent", "--json-status-fd", "3"]
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
    argv += _kernel_argv(pod, row)
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
    for capability in initial_capabilities(pod, row):
        argv += ["--cap-add", f"CAP_{capability}"]
    argv += ["--clearenv", "--chdir", row["working_dir"], "--"]
    argv += [f"{EXECLINE}/fdclose", "4"] if shared else []
    argv += environment_argv()
    return [*argv, *setpriv_argv(pod, row), *row["argv"]]


def _pid_argv(pod: PodConfig) -> list[str]:
    if pod.get("host_pid"):
        return []
    return ["--pidns", "4"] if pod.get("share_processes") else ["--unshare-pid", "--as-pid-1"]


def _kernel_argv(pod: PodConfig, row: ContainerConfig) -> list[str]:
    """/proc, /dev and /sys: of a privileged container they are the node's, to write as well.

    With the node's processes ``--proc`` is the node's /proc, whose files for all of the machine (``sysrq-trigger``,
    ``irq``, ``bus``) it makes read-only, which ``--bind`` does not.
    """
    argv = ["--proc", "/proc"]
    if row.get("privileged"):
        argv = ["--bind", "/proc", "/proc"] if pod.get("host_pid") else argv
        return [*argv, "--dev-bind", "/dev", "/dev", "--bind", shm_source(pod), "/dev/shm", "--bind", "/sys", "/sys"]
    argv += ["--ro-bind", "/proc/sys", "/proc/sys"]
    return [*argv, "--dev", "/dev", "--bind", shm_source(pod), "/dev/shm", "--ro-bind", "/sys", "/sys"]


def _parents_first(row: ContainerConfig) -> list[tuple[int, Mount]]:
    """Mounts with their place in the row: /data before /data/cache, however the manifest has them."""
    return sorted(enumerate(row.get("mounts", [])), key=lambda item: _real(item[1]["path"]).split("/"))


def _parent(path: str) -> list[str]:
    directory = posixpath.dirname(path.rstrip("/"))
    return ["--dir", directory] if directory.strip("/") else []


def _bind_word(pod: PodConfig, mount: Mount) -> str:
    if _is_read_only(pod, mount):
        return "--ro-bind"
    return "--dev-bind" if _is_device(pod, mount) else "--bind"


def _is_read_only(pod: PodConfig, mount: Mount) -> bool:
    volume = pod.get("volumes", {})[mount["volume"]]
    return mount["read_only"] or volume["kind"] == "files"  # the kubelet alone writes those


def _is_device(pod: PodConfig, mount: Mount) -> bool:
    return pod.get("volumes", {})[mount["volume"]].get("type") in ("CharDevice", "BlockDevice")


def nested_trees(pod: PodConfig, name: str) -> list[nested_mounts.Tree]:
    """Volumes of a container that hold other mounts of it, or its working directory."""
    row, home = pod["containers"][name], f"{SCAN_DIR}/{service_name(pod['netns'], name)}"
    mounts = [nested_mounts.Bound(nested_mounts.SHM, shm_source(pod))]
    for index, mount in _parents_first(row):
        path, source = _real(mount["path"]), mount_source(pod, name, index)
        mounts.append(nested_mounts.Bound(path, source, _is_read_only(pod, mount), _is_device(pod, mount), index))
    return nested_mounts.trees(mounts, _real(row["working_dir"]), f"{home}/trees")


# --- mount points that the host does not have -------------------------------------------------------------


def layers(pod: PodConfig, name: str) -> dict[str, str]:
    """Read-only trees that need mount points which nobody can make in them: tree in the container -> a directory of
    the service, where its layer with the mount points is laid over the tree."""
    trees = lower_trees(pod["containers"][name])
    needed = sorted({tree for path in _places(pod["containers"][name]) if (tree := _tree_of(path, trees))})
    home = f"{SCAN_DIR}/{service_name(pod['netns'], name)}/layers"
    return {tree: f"{home}/{number}" for number, tree in enumerate(needed)}


def mount_points(pod: PodConfig, name: str) -> Iterator[tuple[str, str | None]]:
    """What the layers have to hold: path on the host, and what is to be mounted there (None: a directory)."""
    row, layered = pod["containers"][name], layers(pod, name)
    sources: dict[str, str | None] = {row["working_dir"]: None, **row.get("binds", {})}
    sources |= {mount["path"]: mount_source(pod, name, index) for index, mount in _parents_first(row)}
    for path, source in sources.items():
        tree = _tree_of(path, layered)
        if tree:
            yield layered[tree] + _real(path)[len(tree) :], source


def lower_trees(row: ContainerConfig) -> dict[str, str]:
    return {
        "/usr": "/usr",
        "/opt/podlab": IMAGES,
        **{f"/etc/{name}": f"/etc/{name}" for name in ETC},
        **row.get("binds", {}),
    }


def _places(row: ContainerConfig) -> list[str]:
    return [row["working_dir"], *row.get("binds", {}), *(mount["path"] for mount in row.get("mounts", []))]


def _tree_of(path: str, trees: Mapping[str, str]) -> str | None:
    """The innermost tree that a path lies in."""
    around = [tree for tree in trees if _real(path).startswith(f"{tree}/")]
    return max(around, key=len, default=None)


def _real(path: str) -> str:
    """/lib/x is /usr/lib/x. bubblewrap mounts nothing on a link, from 0.11 on."""
    return nested_mounts.resolved(path, _LINKS)


def overlay_argv(tree: str, layer: str) -> list[str]:
    """Lay a directory with mount points over a tree of the host, for one container's eyes only.

    bubblewrap can make mount points in memory, but not in what it binds read-only.
    """
    below, above = (re.sub(r"([\\:,])", r"\\\1", path) for path in (tree, layer))
    return ["mount", "-t", "overlay", "podlab", "-o", f"ro,lowerdir={above}:{below}", layer]
