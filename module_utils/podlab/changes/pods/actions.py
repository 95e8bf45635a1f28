"""The kinds of actions that pods are made, repaired and removed by, each with the commands that a person would type.

``host/pods/runners.py`` runs them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ...configs import PodConfig
from .. import script_text
from ..actions import Action
from ..script_text import Snippet, Typed
from . import pod_file, s6_commands, volume_commands
from .paths import CLAIMS, LOGS, NETNS, PODS, SCAN_DIR, SHM, VOLUMES, service_name
from .sandbox import BIND_ON_ITSELF, SHM_OPTIONS, namespace_files, pause_argv, pause_command, unshare_argv, veth_name

ContainerKey = tuple[str, str]
"""Network namespace of the pod, name of the container."""


# --- what goes --------------------------------------------------------------------------------------------


class EndContainers(Action):
    """All at once, since each of them may take its grace period."""

    supervised: Sequence[ContainerKey]
    pods: Sequence[str] = ()
    """Pods of which no container stays, whoever supervises it."""
    started_anew: Sequence[ContainerKey] = ()
    """Nobody supervises these. What a killed supervisor may have left of them, which is not observed, goes first."""
    resumed: Sequence[ContainerKey] = ()
    """The same, and how they have ended is needed once more."""
    before: Mapping[str, PodConfig] = MappingProxyType({})
    """Pods as they were applied last: they know hooks, grace periods and sub paths."""

    def commands(self) -> list[Typed]:
        return [line for key in self.supervised for line in s6_commands.end_of(*key, self.before.get(key[0]))]


class RemovePod(Action):
    netns: str
    before: PodConfig | None
    """As it was applied last, if that is known."""
    comes_back: bool
    """Its volumes and logs stay."""

    def commands(self) -> list[Typed]:
        netns, files = self.netns, namespace_files(self.before, self.netns)
        bound = " ".join(path for kind, path in files.items() if kind != "net")
        name = f" && ip netns del {netns}" if "net" in files else ""
        volumes = self.before.get("volumes", {}) if self.before is not None else None
        # A dot is any letter to pkill, and the pause of another pod might have it there.
        pause = " ".join(pause_command(netns)).replace(".", r"\.")
        return [
            *([f"ip link del {veth_name(netns)}"] if "net" in files else []),
            f"pkill -KILL --ns $$ --nslist mnt -f '^{pause}$'",
            f"{'umount ' * bool(bound)}{bound}{name}{' && ' * bool(bound)}rm -r {PODS}/{netns}",
            f"umount {SHM}/{netns} && rmdir {SHM}/{netns}",
            *(volume_commands.end(netns, volumes) if volumes is not None and not self.comes_back else []),
            *([f"rm -r {LOGS}/{netns}"] if not self.comes_back else []),
        ]


# --- namespaces -------------------------------------------------------------------------------------------


class MakeNetnsMounts(Action):
    """Mounts of their own for the names of namespaces, unless they are there."""

    def commands(self) -> list[Typed]:
        # mountpoint(1) reads a table, in which the machine's mounts below an embedded host's own /run stand as well.
        # The kernel takes --make-shared, as "ip netns" says it first, for nothing but a mount that is seen there.
        return [
            f"for dir in {NETNS} {PODS}; do mkdir -p $dir; "
            f"mount --make-shared $dir 2>/dev/null || {' '.join(BIND_ON_ITSELF)} $dir $dir; done"
        ]


class MakeSandbox(Action):
    """The namespaces of a pod, their names, and pause, which holds them."""

    row: PodConfig

    def commands(self) -> list[Typed]:
        home, files = f"{PODS}/{self.row['netns']}", namespace_files(self.row, self.row["netns"])
        pause = f"setsid {shlex.join(pause_argv(self.row))}"
        # The name of a PID namespace comes from pause's parent, some time after pause itself.
        late = (f'until [ "$(stat -fc %T {files["pid"]})" = nsfs ]; do sleep 0.1; done',) if "pid" in files else ()
        return [
            f"mkdir -p {home}{' && touch ' * bool(files)}{' '.join(files.values())}",
            shlex.join(unshare_argv(self.row)),
            Snippet(f"{pause} &", (f"{pause} {s6_commands.QUIET}", *late)),
        ]


class AnnouncePod(Action):
    """Gratuitous ARP for a pod's address (RFC 5227, section 3)."""

    row: PodConfig

    def commands(self) -> list[Typed]:
        address = self.row["address"].split("/")[0]
        return [f"ip netns exec {self.row['netns']} busybox arping -q -c 1 -A -I eth0 {address}"]


# --- volumes and files ------------------------------------------------------------------------------------


class DropVolume(Action):
    netns: str
    name: str

    def commands(self) -> list[Typed]:
        path = f"{VOLUMES}/{self.netns}/{self.name}"
        return [f"umount -q {path}; rm -r {path}"]


class DropClaim(Action):
    """The directory of a claim that there is no more."""

    name: str

    def commands(self) -> list[Typed]:
        return [f"rm -r {CLAIMS}/{self.name}"]


class MakeVolume(Action):
    row: PodConfig
    name: str

    def commands(self) -> list[Typed]:
        return volume_commands.lines(self.row, self.name)


class RewriteVolume(Action):
    """Put a volume's present files in place of the old ones."""

    row: PodConfig
    name: str
    files: Sequence[str]
    """Those that differ."""

    def commands(self) -> list[Typed]:
        return [f"# rewrite volume {self.name}: {', '.join(self.files)}"]


class PreparePod(Action):
    """The files of /etc that the kubelet writes for a pod, and its /dev/shm."""

    row: PodConfig

    def commands(self) -> list[Typed]:
        written = script_text.files(f"{PODS}/{self.row['netns']}", self.row["etc"])
        shm = f"{SHM}/{self.row['netns']}"
        # With a container that starts anew it is there already.
        mounted = f"[ -d {shm} ] || {{ mkdir -p {shm} && mount -t tmpfs -o {SHM_OPTIONS} podlab {shm}; }}"
        return [Snippet(written.summary, (*written.lines, mounted))]


class RecordPod(Action):
    """Write down what was applied."""

    row: PodConfig

    def commands(self) -> list[Typed]:
        home = f"{PODS}/{self.row['netns']}"
        written = script_text.files(home, {"pod.json": pod_file.typed(self.row)})
        return [Snippet(written.summary, (*written.lines, f"chmod 600 {home}/pod.json"))]


# --- processes --------------------------------------------------------------------------------------------


class StartSupervisor(Action):
    """Unless it runs."""

    def commands(self) -> list[Typed]:
        return [s6_commands.supervisor()]


class StartContainer(Action):
    row: PodConfig
    name: str
    deferred: bool = False
    """Its turn comes when the kubelet says so."""
    again: bool = False
    """The pod was there before, in another sandbox: the container keeps its logs, and is restarted."""

    @property
    def key(self) -> ContainerKey:
        return self.row["netns"], self.name

    def commands(self) -> list[Typed]:
        return s6_commands.service(self.row, self.name, held=self.deferred)


class ResumeContainer(Action):
    """Put a container under supervision that has ended for good. It stays ended; only its supervisor is missing."""

    row: PodConfig
    name: str

    @property
    def key(self) -> ContainerKey:
        return self.row["netns"], self.name

    def commands(self) -> list[Typed]:
        return [f"touch {SCAN_DIR}/{service_name(*self.key)}/down && s6-svscanctl -a {SCAN_DIR}"]


class StartKubelet(Action):
    def commands(self) -> list[Typed]:
        return [s6_commands.kubelet()]


class ReloadKubelet(Action):
    """Tell it that pods have changed."""

    def commands(self) -> list[Typed]:
        return [f"s6-svc -h {s6_commands.KUBELET}"]


class RestartKubelet(Action):
    """Let it run the program that is there now."""

    def commands(self) -> list[Typed]:
        return [f"s6-svc -t {s6_commands.KUBELET}"]


class StopKubelet(Action):
    def commands(self) -> list[Typed]:
        return [s6_commands.end(s6_commands.KUBELET)]


class StopSupervisor(Action):
    def commands(self) -> list[Typed]:
        return [f"s6-svscanctl -t {SCAN_DIR}"]


class EndLostSupervisors(Action):
    """Supervisors that no message reaches, since their files are gone."""

    pids: Sequence[int]

    def commands(self) -> list[Typed]:
        return [f"kill -KILL {' '.join(map(str, self.pids))}  # their directory in {SCAN_DIR} is gone"]


# --- programs ---------------------------------------------------------------------------------------------


class InstallProgram(Action):
    """Put a program of podlab's own where containers find it."""

    name: str
    text: str

    def commands(self) -> list[Typed]:
        return [*s6_commands.programs({self.name: self.text})]


class InstallBusybox(Action):
    """Put the names of its applets where containers find them."""

    def commands(self) -> list[Typed]:
        return [s6_commands.BUSYBOX]
