"""The commands of pods with why each group of them is there, for who reads a host as a script."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from ..actions import Action, Ip, NetnsIp
from ..script_text import Section
from . import actions
from .paths import NETNS, PODS

_VOLUMES = "Volumes. Only their pods come in: through the mounts of their containers."
_CONTAINERS = (
    "A container is a directory of the supervisor's. `run` is a chain of programs, each of which starts the next: "
    "into the pod's namespaces, into a root of its own (bwrap), and the container's command at the end. `finish` "
    "waits before the next start, as the kubelet does; `log` keeps what is printed; `enter` is for ./lab exec."
)
_KUBELET = "The kubelet, for what is more than to start again: init containers in their order, probes, hooks."

WHY: dict[type[Action], str] = {
    actions.EndContainers: "Containers end, and so do those who watch over them.",
    actions.RemovePod: "A pod's wire, the process that holds its namespaces, their names, and its files.",
    actions.MakeNetnsMounts: "The names of pods' namespaces lie in mounts of their own, as those of `ip netns` do: a "
    "container drops these two, and so sees none of them.",
    actions.MakeSandbox: "A pod is a set of namespaces. `unshare` makes them and gives each a name in the file system; "
    "pause, which does nothing else, holds them.",
    Ip: "A wire for each pod, from the bridge into the pod, where its end is eth0. Hairpin: what a pod sends to itself "
    "by way of a service comes back through the port that it left by.",
    NetnsIp: "Inside: an address, and the bridge as the way to everybody else.",
    actions.AnnouncePod: "Neighbours that knew the address at another place hear where it is now.",
    actions.DropVolume: _VOLUMES,
    actions.MakeVolume: _VOLUMES,
    actions.RewriteVolume: _VOLUMES,
    actions.PreparePod: "What the kubelet writes for each pod: its name, who it is, and where it asks for other names.",
    actions.StartSupervisor: "One supervisor for all containers of the host: it starts again what ends.",
    actions.StartContainer: _CONTAINERS,
    actions.ResumeContainer: _CONTAINERS,
    actions.RecordPod: "What podlab remembers of a pod: `get` shows it, and the next run holds it against what is "
    "wanted.",
    actions.StartKubelet: _KUBELET,
    actions.ReloadKubelet: _KUBELET,
    actions.StopKubelet: _KUBELET,
}

ENDS = (actions.EndContainers, actions.RemovePod)
NETWORK = (actions.MakeNetnsMounts, actions.MakeSandbox, Ip, NetnsIp, actions.AnnouncePod)

NETNS_MOUNTS_UNDONE = f'umount {PODS}; [ -n "$(ls {NETNS})" ] || {{ umount {NETNS} && rmdir {NETNS}; }}'


def ends(found: Iterable[Action]) -> Iterator[Section]:
    """What goes."""
    return _parts(action for action in found if isinstance(action, ENDS))


def network(found: Iterable[Action]) -> Iterator[Section]:
    """Pods without anything that runs in them."""
    return _parts(action for action in found if isinstance(action, NETWORK))


def processes(found: Iterable[Action]) -> Iterator[Section]:
    """What pods hold, and what runs in them."""
    return _parts(action for action in found if not isinstance(action, (*ENDS, *NETWORK)))


def _parts(found: Iterable[Action]) -> Iterator[Section]:
    for why, several in itertools.groupby(found, lambda action: WHY[type(action)]):
        yield Section(why, [line for action in several for line in action.commands()])
