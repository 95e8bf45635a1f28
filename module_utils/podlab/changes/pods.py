"""Pods of a node: namespaces, wires and the processes inside."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Any, TypedDict

from . import MARK
from .bridge import Link
from .containers import IMAGES, VOLUMES, ContainerRow, service_name
from .containers import PODS as PODS
from .containers import SERVICES as SERVICES


class _Plain(TypedDict):
    netns: str
    address: str  # with prefix length
    gateway: str
    mac: str
    mtu: int
    bridge: str
    hostname: str
    restart_policy: str
    etc: dict[str, str]  # resolv.conf, hosts, hostname
    containers: dict[str, ContainerRow]
    object: dict[str, Any]


class PodRow(_Plain, total=False):
    """One pod on one node. ``object`` is the Kubernetes object for ``get``; nothing here reads it.

    The rest is there only where a pod differs from a plain one, so that rows stay small, and those that an older
    podlab applied stay equal.
    """

    revision: str  # another one under the same name is another pod
    init: list[str]  # names of the init containers, in their order; they are among ``containers``
    host_network: bool  # no network and no host name of its own; ``address`` is the node's, with /32
    share_processes: bool  # one PID namespace for all containers, with pause as its process 1
    sysctls: dict[str, str]  # set when the namespaces are made
    volumes: dict[str, dict[str, Any]]
    fs_group: int
    grace: int  # seconds; the manifest's terminationGracePeriodSeconds


class Pod(TypedDict, total=False):
    """A pod as it is found. Inside facts are missing when there is nothing to enter."""

    sandbox: bool  # pause lives, in the namespaces that bear the pod's name
    row: PodRow | None  # as last applied
    services: list[str]  # containers under supervision
    facts: dict[str, dict[str, Any]]  # container -> how it fares, by host/status.py
    initialized: bool  # one of the containers that come after the init containers was started once
    kubelet: bool  # the host's kubelet is there; the same for all of its pods
    eth0: Link | None
    lo_up: bool
    routes: list[str]  # "default via 10.1.1.1", as far as the kernel did not make them
    connected: list[str]  # networks on eth0, as far as it did
    neighbours: list[str]  # addresses that somebody gave a permanent ARP entry on eth0


@dataclass
class Steps:
    """What has to be done, in this order. Empty is false."""

    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # of them: pods that come back with the same volumes
    sandboxes: list[PodRow] = field(default_factory=list)
    wires: list[str] = field(default_factory=list)
    insides: dict[str, list[str]] = field(default_factory=dict)
    announce: list[PodRow] = field(default_factory=list)
    stop: list[tuple[str, str]] = field(default_factory=list)  # netns, container
    drop: list[tuple[str, str]] = field(default_factory=list)  # netns, volume
    volumes: list[tuple[PodRow, str]] = field(default_factory=list)  # to be made
    rewrite: list[tuple[PodRow, str, list[str]]] = field(default_factory=list)  # volume, files that differ
    start: list[tuple[PodRow, str]] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)  # of them: their turn comes when the kubelet says so
    resume: list[tuple[PodRow, str]] = field(default_factory=list)  # have ended; only their supervisor is missing
    refresh: list[PodRow] = field(default_factory=list)  # only the record of the pod differs
    kubelet: str = ""  # start, reload or stop
    before: dict[str, PodRow] = field(default_factory=dict)  # what is known of those that are gone

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def lines(self) -> list[str]:
        """The commands that a person would type for the same effect."""
        typed = [
            line
            for netns in self.gone
            for line in _removal_lines(netns, self.before.get(netns), keep_volumes=netns in self.kept)
        ]
        typed += [line for row in self.sandboxes for line in sandbox_lines(row)]
        typed += [f"ip {line}" for line in self.wires]
        typed += [f"ip -n {netns} {line}" for netns, lines in self.insides.items() for line in lines]
        typed += [announcement_line(row) for row in self.announce]
        typed += [f"s6-svc -wD -d {SERVICES}/{service_name(netns, name)}" for netns, name in self.stop]
        typed += [f"rm -r {VOLUMES}/{netns}/{volume}" for netns, volume in self.drop]
        typed += [line for row, volume in self.volumes for line in volume_lines(row, volume)]
        typed += [f"# rewrite volume {volume}: {', '.join(files)}" for _, volume, files in self.rewrite]
        for row, name in self.start:
            service = service_name(row["netns"], name)
            if (row["netns"], name) in self.held:
                typed.append(f"touch {SERVICES}/{service}/down")
            words = shlex.join(row["containers"][name]["argv"]).replace("\n", "\\n")
            typed.append(f"s6-svscanctl -a {SERVICES}  # {service}: {words}")
        typed += [
            f"touch {SERVICES}/{service_name(row['netns'], name)}/down && s6-svscanctl -a {SERVICES}"
            for row, name in self.resume
        ]
        built = {row["netns"] for row in self.sandboxes}
        typed += [f"# {PODS}/{row['netns']}/pod.json" for row in self.refresh if row["netns"] not in built]
        return [*typed, *([KUBELET_LINES[self.kubelet]] if self.kubelet else [])]


SANDBOX_SYSCTLS = {
    # What containerd gives to every pod: low ports without privileges. (It gives ping_group_range too,
    # which an ordinary user's namespace refuses: it maps a single group.)
    "net.ipv4.ip_unprivileged_port_start": "0",
}
KUBELET_LINES = {
    "start": f"s6-svscanctl -a {SERVICES}  # kubelet: python3 -IS {IMAGES}/kubelet",
    "reload": f"s6-svc -h {SERVICES}/kubelet",
    "stop": f"s6-svc -wD -dx {SERVICES}/kubelet",
}


def veth_name(netns: str) -> str:
    """The node's end of a pod's wire: ``veth`` and eight digits, as the CNI plugins name it, but stable."""
    return "veth" + hashlib.sha256(netns.encode()).hexdigest()[:8]


def alias(netns: str) -> str:
    return f"{MARK} {netns.replace('_', '/')}"


def needs_kubelet(row: PodRow) -> bool:
    """Whether a pod needs more than a supervisor: init containers in their order, probes, a postStart hook."""
    cares = ("readiness", "liveness", "startup", "post_start")
    return bool(row.get("init")) or any(key in container for container in row["containers"].values() for key in cares)


# --- namespaces -------------------------------------------------------------------------------------------


def namespace_files(row: PodRow | None, netns: str) -> dict[str, str]:
    """Kind of namespace -> the file that gives it a name. ``row`` None is a plain pod."""
    home = f"{PODS}/{netns}"
    files = {"net": f"/run/netns/{netns}", "ipc": f"{home}/ipc", "uts": f"{home}/uts"}
    if row and row.get("host_network"):
        files = {"ipc": files["ipc"]}
    if row and row.get("share_processes"):
        files["pid"] = f"{home}/pid"
    return files


def unshare_argv(row: PodRow) -> list[str]:
    """The command that makes a pod's namespaces and gives each a name in the file system."""
    files = namespace_files(row, row["netns"])
    argv = ["unshare", *(f"--{kind}={path}" for kind, path in files.items() if kind != "pid")]
    given = row.get("sysctls", {})
    settings = dict(given) if row.get("host_network") else {**SANDBOX_SYSCTLS, **given}
    if any(not key.replace("/", ".").startswith("net.") for key in given):
        # All of /proc/sys but net is read-only on an embedded host; these files belong to the new namespace.
        argv.append("--mount-proc")
    words = [f"{key}={value}" for key, value in settings.items()]
    if row.get("host_network"):
        return [*argv, *(["sysctl", "-qw", *words] if words else ["true"])]
    # hostname(1), not kernel.hostname: that file belongs to the machine's root in every user namespace.
    return [*argv, "sh", "-c", 'hostname "$0" && exec sysctl -qw "$@"', row["hostname"], *words]


def pause_argv(row: PodRow) -> list[str]:
    """The process that holds the namespaces; its last words tell ``ps`` whose it is."""
    files = namespace_files(row, row["netns"])
    argv = ["nsenter", *(f"--{kind}={path}" for kind, path in files.items() if kind != "pid")]
    if "pid" in files:
        # Only a child is inside of a new PID namespace. Its parent stays, to see it off.
        argv += ["unshare", f"--pid={files['pid']}", "--fork"]
    return [*argv, *pause_command(row["netns"])]


def pause_command(netns: str) -> list[str]:
    return ["catatonit", "-P", "podlab-pod", netns]


def sandbox_lines(row: PodRow) -> list[str]:
    home = f"{PODS}/{row['netns']}"
    return [
        f"mkdir -p {home} && touch {' '.join(namespace_files(row, row['netns']).values())}",
        shlex.join(unshare_argv(row)),
        "setsid " + " ".join(pause_argv(row)) + " &",
    ]


def announcement_line(row: PodRow) -> str:
    """Gratuitous ARP for a pod's address (RFC 5227, section 3)."""
    return f"ip netns exec {row['netns']} arping -c 1 -A -I eth0 {row['address'].split('/')[0]}"


def _removal_lines(netns: str, row: PodRow | None, *, keep_volumes: bool) -> list[str]:
    files = namespace_files(row, netns)
    bound = " ".join(path for kind, path in files.items() if kind != "net")
    name = f" && ip netns del {netns}" if "net" in files else ""
    has_volumes = row is not None and any(volume["kind"] != "hostPath" for volume in row.get("volumes", {}).values())
    return [
        f"pkill -KILL -f '^{' '.join(pause_command(netns))}$'",
        *([f"ip link del {veth_name(netns)}"] if "net" in files else []),
        f"umount {bound}{name} && rm -r {PODS}/{netns}",
        *([f"rm -r {VOLUMES}/{netns}"] if has_volumes and not keep_volumes else []),
    ]


# --- volumes ----------------------------------------------------------------------------------------------


def tmpfs_argv(volume: Mapping[str, Any], path: str) -> list[str]:
    """An emptyDir of medium Memory. Without a size it is the kernel's default, half of the memory."""
    size = f"size={volume['size']}," if volume.get("size") is not None else ""
    return ["mount", "-t", "tmpfs", "-o", f"{size}mode=0777", "podlab", path]


def volume_lines(row: PodRow, name: str) -> list[str]:
    volume, path = row.get("volumes", {})[name], f"{VOLUMES}/{row['netns']}/{name}"
    if volume["kind"] == "hostPath":
        made = {"": "mkdir -p", "DirectoryOrCreate": "mkdir -p", "FileOrCreate": "touch"}.get(volume["type"])
        return [shlex.join([*made.split(), volume["path"]])] if made else []
    lines = [f"mkdir -p {path} && chmod 777 {path}"]
    if volume["kind"] == "files":
        lines.append(f"# write volume {name}: {', '.join(sorted(volume['files']))}")
    elif volume["medium"] == "Memory":
        lines.append(shlex.join(tmpfs_argv(volume, path)))
    return lines


def _structure(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    """What cannot change under a container that has the volume mounted."""
    return {"kind": "files"} if volume["kind"] == "files" else volume


def _differing_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    paths = before["files"].keys() | now["files"].keys()
    return sorted(path for path in paths if before["files"].get(path) != now["files"].get(path))


def _provide(steps: Steps, row: PodRow, before: PodRow | None, *, keeps: bool) -> Set[str]:
    """Volumes of a pod. Returns those that are not what they were, so that whoever has them mounted starts anew.

    :param keeps: what the pod has written stays there, as far as it is wanted.
    """
    old, new = before.get("volumes", {}) if before else {}, row.get("volumes", {})
    same = {name for name in new if keeps and name in old and _structure(old[name]) == _structure(new[name])}
    if keeps:
        gone = [name for name, volume in old.items() if name not in same and volume["kind"] != "hostPath"]
        steps.drop += [(row["netns"], name) for name in gone]
    owner_differs = before is None or before.get("fs_group") != row.get("fs_group")
    for name, volume in new.items():
        if name not in same or owner_differs:
            steps.volumes.append((row, name))
        elif volume["kind"] == "files" and (files := _differing_files(old[name], volume)):
            steps.rewrite.append((row, name, files))
    return (old.keys() | new.keys()) - same


# --- what differs -----------------------------------------------------------------------------------------


def changes(links: Mapping[str, Link], pods: Mapping[str, Pod], rows: Sequence[PodRow]) -> Steps:
    """What separates the node from its rows. What is sound is not named."""
    wanted = {row["netns"]: row for row in rows}
    sound = {netns for netns, row in wanted.items() if netns in pods and _can_stay(pods[netns], row)}
    steps = Steps(gone=sorted(pods.keys() - sound))
    steps.before = {netns: row for netns in steps.gone if (row := pods[netns].get("row"))}
    wired = {netns: row for netns, row in wanted.items() if not row.get("host_network")}
    veths = _tidy(steps, links, wired, sound & wired.keys())
    for netns, row in wanted.items():
        if netns in sound:
            _mend(steps, row, pods[netns], veths.get(veth_name(netns)))
        else:
            _build(steps, row, pods[netns].get("row") if netns in pods else None)
    needed, lives = any(map(needs_kubelet, rows)), any(pod.get("kubelet") for pod in pods.values())
    if needed != lives:
        steps.kubelet = "start" if needed else "stop"
    elif needed and steps:
        steps.kubelet = "reload"
    return steps


def _can_stay(pod: Pod, row: PodRow) -> bool:
    """Whether a pod's namespaces will do. What is set when they are made its processes have read since, and
    init containers are done once in a sandbox."""
    before = pod.get("row")
    if before is None:  # cut off on the way: nobody knows what its namespaces are, unless they are a plain pod's
        return pod["sandbox"] and not any(_of_sandbox(row)[1:])
    return pod["sandbox"] and _of_sandbox(before) == _of_sandbox(row)


def _of_sandbox(row: PodRow) -> tuple[object, ...]:
    init = {name: row["containers"][name] for name in row.get("init", [])}
    return (
        row["hostname"],
        row.get("revision", ""),
        list(init.items()),
        row.get("host_network", False),
        row.get("share_processes", False),
        row.get("sysctls", {}),
    )


def _tidy(steps: Steps, links: Mapping[str, Link], wanted: Mapping[str, PodRow], sound: Set[str]) -> dict[str, Link]:
    """Wires that are nobody's go, and one that was renamed gets its name back. Returns the wires that stay."""
    names = {veth_name(netns) for netns in wanted}
    wires = {name: link for name, link in links.items() if name in names or link["alias"].startswith(MARK + " ")}
    homes = {alias(netns): veth_name(netns) for netns in sound}
    # A pod that goes takes its wire along.
    going = {word for netns in steps.gone for word in (veth_name(netns), alias(netns))}
    stay = {name: wires[name] for name in homes.values() if name in wires}
    for name, link in sorted(wires.items()):
        home = homes.get(link["alias"])
        if name in stay or going & {name, link["alias"]}:
            continue
        if home and home not in stay:
            steps.wires += [f"link set {name} down", f"link set {name} name {home}"]
            stay[home] = {**link, "up": False}
        else:
            steps.wires.append(f"link del {name}")
    return stay


def _build(steps: Steps, row: PodRow, before: PodRow | None) -> None:
    netns = row["netns"]
    # As on Kubernetes, an emptyDir lives as long as the pod and not only as long as its sandbox.
    keeps = before is not None and before.get("revision") == row.get("revision")
    if keeps:
        steps.kept.append(netns)
    _provide(steps, row, before if keeps else None, keeps=keeps)
    steps.sandboxes.append(row)
    if not row.get("host_network"):
        _connect(steps, row)
    first = row.get("init", [])[:1]
    steps.start += [(row, name) for name in row["containers"]]
    steps.held += [(netns, name) for name in row["containers"] if first and name not in first]


def _connect(steps: Steps, row: PodRow, *, beside_old_eth0: bool = False) -> None:
    """Lay a wire. An eth0 whose other end was moved to where nobody finds it goes when the new one is there:
    from outside of the pod it cannot be deleted, and the new wire cannot have its name before."""
    netns, veth = row["netns"], veth_name(row["netns"])
    end = "podlab0" if beside_old_eth0 else "eth0"
    steps.wires += [
        f"link add {veth} mtu {row['mtu']} type veth "
        f"peer name {end} address {row['mac']} mtu {row['mtu']} netns {netns}",
        f"link set {veth} alias {_quoted(alias(netns))} master {row['bridge']} up",
        f"link set {veth} type bridge_slave hairpin on",
    ]
    steps.insides[netns] = [
        *(["link del eth0", f"link set {end} name eth0"] if beside_old_eth0 else []),
        "link set lo up",
        f"addr add {row['address']} brd + dev eth0",
        "link set eth0 up",
        f"route add default via {row['gateway']} dev eth0",
    ]
    steps.announce.append(row)


def _mend(steps: Steps, row: PodRow, pod: Pod, veth: Link | None) -> None:
    if not row.get("host_network"):
        _mend_wire(steps, row, pod, veth)
    netns, before = row["netns"], pod.get("row")
    changed = _provide(steps, row, before, keeps=True)
    for name in sorted({*(before["containers"] if before else {}), *pod["services"]} - row["containers"].keys()):
        steps.stop.append((netns, name))
    for name in row["containers"]:
        if not _runs_as_it_should(row, name, pod, changed):
            _start_again(steps, row, name, pod)
    if before != row:
        steps.refresh.append(row)


def _mend_wire(steps: Steps, row: PodRow, pod: Pod, veth: Link | None) -> None:
    netns, eth0 = row["netns"], pod.get("eth0")
    if veth is None or eth0 is None:
        if veth:
            steps.wires.append(f"link del {veth_name(netns)}")
        _connect(steps, row, beside_old_eth0=eth0 is not None)
        return
    steps.wires += _veth_lines(row, veth)
    inside = _inside_lines(row, pod, eth0)
    if inside:
        steps.insides[netns] = inside
        steps.announce.append(row)


def _runs_as_it_should(row: PodRow, name: str, pod: Pod, changed_volumes: Collection[str]) -> bool:
    before = pod.get("row")
    if before is None or name not in pod["services"] or before["containers"].get(name) != row["containers"][name]:
        return False
    if _has_ended(row, name, pod):
        return True  # and what has changed around it is nothing to it any more
    mounted = {mount["volume"] for mount in row["containers"][name].get("mounts", [])}
    return _around(before) == _around(row) and not mounted & set(changed_volumes)


def _start_again(steps: Steps, row: PodRow, name: str, pod: Pod) -> None:
    netns, init, before = row["netns"], row.get("init", []), pod.get("row")
    same = before is not None and before["containers"].get(name) == row["containers"][name]
    is_init = name in init and policy_of(row, name) != "Always"
    if name in pod["services"]:
        steps.stop.append((netns, name))
    elif same and (_has_ended(row, name, pod) or (is_init and pod.get("initialized"))):
        steps.resume.append((row, name))
        return
    steps.start.append((row, name))
    if init and not pod.get("initialized"):
        steps.held.append((netns, name))


def policy_of(row: PodRow, name: str) -> str:
    """A container's restart policy: its own, or its pod's."""
    return row["containers"][name].get("restart_policy", row["restart_policy"])


def _has_ended(row: PodRow, name: str, pod: Pod) -> bool:
    """Whether a container has ended and its restart policy, as it is now, leaves it at that."""
    facts = pod.get("facts", {}).get(name) or {}
    last, policy = facts.get("last"), policy_of(row, name)
    if facts.get("pid") or not last:
        return False
    return policy == "Never" or (policy == "OnFailure" and last["exit"] == 0)


def _around(row: PodRow) -> tuple[object, ...]:
    """What a container reads of its pod when it starts."""
    return row["restart_policy"], row["etc"], row.get("fs_group")


def _veth_lines(row: PodRow, veth: Link) -> list[str]:
    name, wrong = veth_name(row["netns"]), []
    if veth["alias"] != alias(row["netns"]):
        wrong.append(f"alias {_quoted(alias(row['netns']))}")
    if veth["mtu"] != row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if veth["master"] != row["bridge"]:
        wrong.append(f"master {row['bridge']}")
    if not veth["up"]:
        wrong.append("up")
    lines = [f"link set {name} {' '.join(wrong)}"] if wrong else []
    lines += [f"addr del {address} dev {name}" for address in veth["addresses"]]
    if veth["master"] != row["bridge"] or not veth["hairpin"]:
        lines.append(f"link set {name} type bridge_slave hairpin on")
    return lines


def _inside_lines(row: PodRow, pod: Pod, eth0: Link) -> list[str]:
    lines = [] if pod["lo_up"] else ["link set lo up"]
    if eth0["mac"] != row["mac"]:
        lines.append(f"link set eth0 address {row['mac']}")
    if eth0["mtu"] != row["mtu"]:
        lines.append(f"link set eth0 mtu {row['mtu']}")
    # Routes before addresses: the last address of a link takes its routes along, and what is gone cannot be deleted.
    default = f"default via {row['gateway']} dev eth0"
    lines += [f"route del {route}" for route in pod["routes"] if route != default]
    surplus = [address for address in eth0["addresses"] if address != row["address"]]
    lines += [f"addr del {address} dev eth0" for address in surplus]
    readdressed = bool(surplus) or row["address"] not in eth0["addresses"]
    if readdressed:
        lines.append(f"addr replace {row['address']} brd + dev eth0")
    if not eth0["up"]:
        lines.append("link set eth0 up")
    own = IPv4Interface(row["address"])
    is_connected = str(own.network) in pod.get("connected", [str(own.network)])
    # The kernel makes the route to the pod's own network when the address comes or the link goes up, and never again.
    if eth0["up"] and row["address"] in eth0["addresses"] and not is_connected:
        lines.append(f"route replace {own.network} dev eth0 proto kernel scope link src {own.ip}")
    if readdressed or default not in pod["routes"]:
        lines.append(f"route replace {default}")
    return lines + [f"neigh del {address} dev eth0" for address in pod.get("neighbours", [])]


def _quoted(text: str) -> str:
    return f'"{text}"'
