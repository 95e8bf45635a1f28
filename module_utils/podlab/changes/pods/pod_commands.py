"""What a person would type for pods: the lines of ``Steps``, in their order, with why each group of them is there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from ...configs import PodRow
from .. import script_text
from ..script_text import Part, Passage, Typed
from . import s6_commands, volume_commands
from .containers import LOGS, NETNS, PODS, SERVICES, SHM, VOLUMES, service_name
from .sandbox import BIND_ON_ITSELF, SHM_OPTIONS, namespace_files, pause_argv, pause_command, unshare_argv, veth_name
from .steps import Steps

# mountpoint(1) reads a table, in which the machine's mounts below an embedded host's own /run stand as well. The kernel
# takes --make-shared, as "ip netns" says it first, for nothing but a mount that is seen there.
GROUND = (
    f"for dir in {NETNS} {PODS}; do mkdir -p $dir; "
    f"mount --make-shared $dir 2>/dev/null || {' '.join(BIND_ON_ITSELF)} $dir $dir; done"
)

GROUND_UNDONE = f'umount {PODS}; [ -n "$(ls {NETNS})" ] || {{ umount {NETNS} && rmdir {NETNS}; }}'


def lines(steps: Steps) -> list[str]:
    """The commands that a person would type for the same effect, in the order in which they are run."""
    parts = [*ends(steps), *network(steps), *processes(steps)]
    return [line for part in parts for line in script_text.brief(part.typed)]


def ends(steps: Steps) -> Iterator[Part]:
    """What goes."""
    ended: list[Typed] = []
    for netns, name in [*steps.stop, *steps.ended]:
        ended += s6_commands.end_of(netns, name, steps.before.get(netns))
    yield Part("Containers end, and so do those who watch over them.", ended)
    gone = [
        line
        for netns in steps.gone
        for line in _removal_lines(netns, steps.before.get(netns), comes_back=netns in steps.kept)
    ]
    yield Part("A pod's wire, the process that holds its namespaces, their names, and its files.", [*gone])


def network(steps: Steps) -> Iterator[Part]:
    """Pods without anything that runs in them."""
    if steps.sandboxes:
        yield Part(
            "The names of pods' namespaces lie in mounts of their own, as those of `ip netns` do: a container drops "
            "these two, and so sees none of them.",
            [GROUND],
        )
    yield Part(
        "A pod is a set of namespaces. `unshare` makes them and gives each a name in the file system; pause, which "
        "does nothing else, holds them.",
        [line for row in steps.sandboxes for line in sandbox_lines(row)],
    )
    yield Part(
        "A wire for each pod, from the bridge into the pod, where its end is eth0. Hairpin: what a pod sends to itself "
        "by way of a service comes back through the port that it left by.",
        [f"ip {line}" for line in steps.wires],
    )
    yield Part(
        "Inside: an address, and the bridge as the way to everybody else.",
        [f"ip -n {netns} {line}" for netns, lines in steps.insides.items() for line in lines],
    )
    yield Part(
        "What is too long for a wire is dropped there without a word.", [f"ip {line}" for line in steps.narrowed]
    )
    yield Part(
        "Neighbours that knew the address at another place hear where it is now.",
        [announcement_line(row) for row in steps.announce],
    )


def processes(steps: Steps) -> Iterator[Part]:
    """What pods hold, and what runs in them."""
    volumes: list[Typed] = []
    for netns, name in steps.drop:
        volumes.append(f"umount -q {VOLUMES}/{netns}/{name}; rm -r {VOLUMES}/{netns}/{name}")
    for row, name in steps.volumes:
        volumes += volume_commands.lines(row, name)
    volumes += [f"# rewrite volume {volume}: {', '.join(files)}" for _, volume, files in steps.rewrite]
    yield Part("Volumes. Only their pods come in: through the mounts of their containers.", volumes)
    begun = {row["netns"]: row for row in [*steps.sandboxes, *(row for row, _ in steps.start)]}
    yield Part(
        "What the kubelet writes for each pod: its name, who it is, and where it asks for other names.",
        [etc_files(row) for row in begun.values()],
    )
    started = [s6_commands.supervisor()] if steps.start or steps.resume else []
    yield Part("One supervisor for all containers of the host: it starts again what ends.", [*started])
    services: list[Typed] = []
    for row, name in steps.start:
        services += s6_commands.service(row, name, held=(row["netns"], name) in steps.held)
    services += [
        f"touch {SERVICES}/{service_name(row['netns'], name)}/down && s6-svscanctl -a {SERVICES}"
        for row, name in steps.resume
    ]
    yield Part(
        "A container is a directory of the supervisor's. `run` is a chain of programs, each of which starts the next: "
        "into the pod's namespaces, into a root of its own (bwrap), and the container's command at the end. `finish` "
        "waits before the next start, as the kubelet does; `log` keeps what is printed; `enter` is for ./lab exec.",
        services,
    )
    known = {row["netns"]: row for row in [*steps.sandboxes, *steps.refresh]}
    yield Part(
        "What podlab remembers of a pod: `get` shows it, and the next run holds it against what is wanted.",
        [_record(f"{PODS}/{netns}", row) for netns, row in known.items()],
    )
    kubelet: dict[str, list[Typed]] = {
        "start": [s6_commands.kubelet()],
        "reload": [f"s6-svc -h {s6_commands.KUBELET}"],
        "stop": [s6_commands.end(s6_commands.KUBELET)],
    }
    yield Part(
        "The kubelet, for what is more than to start again: init containers in their order, probes, hooks.",
        kubelet.get(steps.kubelet, []),
    )


def _record(home: str, row: PodRow) -> Passage:
    written = script_text.files(home, {"pod.json": json.dumps(row) + "\n"})
    return Passage(written.brief, (*written.lines, f"chmod 600 {home}/pod.json"))


def sandbox_lines(row: PodRow) -> list[Typed]:
    home, files = f"{PODS}/{row['netns']}", namespace_files(row, row["netns"])
    pause = f"setsid {shlex.join(pause_argv(row))}"
    # The name of a PID namespace comes from pause's parent, some time after pause itself.
    late = (f'until [ "$(stat -fc %T {files["pid"]})" = nsfs ]; do sleep 0.1; done',) if "pid" in files else ()
    return [
        f"mkdir -p {home} && touch {' '.join(files.values())}",
        shlex.join(unshare_argv(row)),
        Passage(f"{pause} &", (f"{pause} {s6_commands.QUIET}", *late)),
    ]


def announcement_line(row: PodRow) -> str:
    """Gratuitous ARP for a pod's address (RFC 5227, section 3)."""
    return f"ip netns exec {row['netns']} busybox arping -q -c 1 -A -I eth0 {row['address'].split('/')[0]}"


def etc_files(row: PodRow) -> Passage:
    home = f"{PODS}/{row['netns']}"
    written = script_text.files(home, row["etc"])
    shm = f"{SHM}/{row['netns']}"
    # With a container that starts anew it is there already.
    mounted = f"[ -d {shm} ] || {{ mkdir -p {shm} && mount -t tmpfs -o {SHM_OPTIONS} podlab {shm}; }}"
    return Passage(written.brief, (*written.lines, mounted))


def _removal_lines(netns: str, row: PodRow | None, *, comes_back: bool) -> list[str]:
    files = namespace_files(row, netns)
    bound = " ".join(path for kind, path in files.items() if kind != "net")
    name = f" && ip netns del {netns}" if "net" in files else ""
    # A dot is any letter to pkill, and the pause of another pod might have it there.
    pause = " ".join(pause_command(netns)).replace(".", r"\.")
    return [
        *([f"ip link del {veth_name(netns)}"] if "net" in files else []),
        f"pkill -KILL --ns $$ --nslist mnt -f '^{pause}$'",
        f"umount {bound}{name} && rm -r {PODS}/{netns}",
        f"umount {SHM}/{netns} && rmdir {SHM}/{netns}",
        *(volume_commands.end(netns, row.get("volumes", {})) if row is not None and not comes_back else []),
        *([f"rm -r {LOGS}/{netns}"] if not comes_back else []),
    ]
