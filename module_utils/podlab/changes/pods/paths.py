"""Where podlab keeps on a host what pods are made of."""

from __future__ import annotations

from collections.abc import Mapping

from ...configs import PodConfig

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
SCAN_DIR = "/run/podlab/services"
IMAGES = "/var/lib/podlab/images"
STAND_IN = "/opt/podlab/stand-in"
"""As a container finds it: there IMAGES is /opt/podlab."""
VOLUMES = "/var/lib/podlab/volumes"
CLAIMS = "/var/lib/podlab/claims"
ALL_BUT_CLAIMS = f"find {HOME} -mindepth 1 -maxdepth 1 ! -path {CLAIMS} -exec rm -rf {{}} +"
"""A command: claims outlive the cluster."""
LOGS = "/var/log/pods"


def service_name(netns: str, container: str) -> str:
    """Directory of the supervised process. A container's name has no dot, so the last one parts the two."""
    return f"{netns}.{container}"


def log_directory(netns: str, container: str) -> str:
    return f"{LOGS}/{netns}/{container}"


def mount_source(pod: PodConfig, name: str, index: int) -> str:
    """What lies under a container's mount: the volume, or the place where its ``sub_path`` has been bound.

    A sub path is bound on the host before the container starts: a container may have made it a symbolic link
    to anywhere, and only who resolves it inside of the volume can tell.
    """
    mount = pod["containers"][name].get("mounts", [])[index]
    if mount["sub_path"]:
        return f"{SUBPATHS}/{pod['netns']}/{name}/{index}"
    return volume_path(pod, mount["volume"])


def shm_source(pod: PodConfig) -> str:
    """What containers of a pod have as /dev/shm."""
    return "/dev/shm" if pod.get("host_ipc") else shm_path(pod["netns"])


def shm_path(netns: str) -> str:
    return f"{SHM}/{netns}"


def volume_path(pod: PodConfig, volume: str) -> str:
    found = pod.get("volumes", {})[volume]
    if found["kind"] == "claim":
        return f"{CLAIMS}/{found['directory']}"
    return found["path"] if found["kind"] == "hostPath" else f"{VOLUMES}/{pod['netns']}/{volume}"


def is_own_volume(volume: Mapping[str, object]) -> bool:
    """Whether a volume is its pod's own, and goes with it."""
    return volume["kind"] not in ("hostPath", "claim")
