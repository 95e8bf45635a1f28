"""Pods of a node: namespaces, wires and the processes inside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from ipaddress import IPv4Interface
from typing import Any, TypedDict

from ...configs import PodRow
from .. import MARK
from ..network.bridge import Link
from .containers import PODS as PODS
from .containers import SERVICES as SERVICES
from .sandbox import BIND_ON_ITSELF as BIND_ON_ITSELF
from .sandbox import SANDBOX_SYSCTLS as SANDBOX_SYSCTLS
from .sandbox import SHM_OPTIONS as SHM_OPTIONS
from .sandbox import alias as alias
from .sandbox import is_plain as is_plain
from .sandbox import namespace_files as namespace_files
from .sandbox import pause_argv as pause_argv
from .sandbox import pause_command as pause_command
from .sandbox import unshare_argv as unshare_argv
from .sandbox import veth_name as veth_name
from .steps import Steps as Steps


class Pod(TypedDict, total=False):
    """A pod as it is found. Inside facts are missing when there is nothing to enter."""

    sandbox: bool  # pause lives, in the namespaces that bear the pod's name
    row: PodRow | None  # as last applied
    services: list[str]  # containers under supervision
    facts: dict[str, dict[str, Any]]  # container -> how it fares, by host/pods/status.py
    initialized: bool  # one of the containers that come after the init containers was started once
    lost: list[str]  # volumes that it was given and that are not there any more
    unlogged: list[str]  # containers whose log directory is gone: what they say is written nowhere
    exposed: list[str]  # containers whose variables every user can read: an earlier podlab has started them
    kubelet: bool  # the host's kubelet is there; the same for all of its pods
    age: float | None  # seconds since the kubelet has begun with it; it counts them where there is a deadline
    eth0: Link | None
    lo_up: bool
    routes: list[str]  # "default via 10.1.1.1", as far as the kernel did not make them
    connected: list[str]  # networks on eth0, as far as it did
    neighbours: list[str]  # addresses that somebody gave a permanent ARP entry on eth0


def needs_kubelet(row: PodRow) -> bool:
    """Whether a pod needs more than a supervisor: init containers in their order, probes, a postStart hook, an end."""
    cares = ("readiness", "liveness", "startup", "post_start")
    return (
        bool(row.get("init"))
        or "deadline" in row
        or any(key in container for container in row["containers"].values() for key in cares)
    )


# --- volumes ----------------------------------------------------------------------------------------------


def _structure(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    """What cannot change under a container that has the volume mounted."""
    return {"kind": "files"} if volume["kind"] == "files" else volume


def _differing_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    paths = before["files"].keys() | now["files"].keys()
    return sorted(path for path in paths if before["files"].get(path) != now["files"].get(path))


def _provide(steps: Steps, row: PodRow, before: PodRow | None, *, keeps: bool, lost: Collection[str] = ()) -> Set[str]:
    """Volumes of a pod. Returns those that are not what they were, so that whoever has them mounted starts anew.

    :param keeps: what the pod has written stays there, as far as it is wanted.
    :param lost: volumes that are not there any more.
    """
    old, new = dict(before.get("volumes", {})) if before else {}, row.get("volumes", {})
    for name in lost:
        old.pop(name, None)
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
    steps.ended = [(netns, name) for netns in steps.gone for name in pods[netns]["services"]]
    wired = {netns: row for netns, row in wanted.items() if not row.get("host_network")}
    veths = _tidy(steps, links, wired, sound & wired.keys())
    for netns, row in wanted.items():
        if netns in sound:
            _mend(steps, row, pods[netns], veths.get(veth_name(netns)))
        else:
            _build(steps, row, pods.get(netns, Pod()))
    going = {*steps.gone, *(netns for netns, _ in steps.stop)}
    steps.before = {netns: known for netns in sorted(going) if (known := pods[netns].get("row"))}
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
    if pod.get("lost"):
        return False  # what mounts them, and what init containers have put there, begins anew
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


def _build(steps: Steps, row: PodRow, pod: Pod) -> None:
    netns, before = row["netns"], pod.get("row")
    # As on Kubernetes, an emptyDir lives as long as the pod and not only as long as its sandbox.
    keeps = before is not None and before.get("revision") == row.get("revision")
    if keeps:
        steps.kept.append(netns)
    _provide(steps, row, before if keeps else None, keeps=keeps, lost=pod.get("lost", ()))
    steps.sandboxes.append(row)
    if not row.get("host_network"):
        _connect(steps, row)
    over = _over(row, pod) if keeps else set()
    first = [name for name in row.get("init", []) if name not in over][:1]
    steps.resume += [(row, name) for name in row["containers"] if name in over]
    steps.start += [(row, name) for name in row["containers"] if name not in over]
    steps.held += [(netns, name) for name in row["containers"] if first and name not in (*first, *over)]


def _over(row: PodRow, pod: Pod) -> set[str]:
    """Containers that do not begin anew in a new sandbox, as they have ended for good. Init containers do, unless there
    is nobody left who needs them."""
    told = pod.get("row")
    before = told["containers"] if told else {}
    ended = {name for name, it in row["containers"].items() if before.get(name) == it and _has_ended(row, name, pod)}
    regular = row["containers"].keys() - set(row.get("init", []))
    return set(row["containers"]) if regular <= ended else ended & regular


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
    if veth["mtu"] > row["mtu"]:
        steps.narrowed.append(f"link set {veth_name(netns)} mtu {row['mtu']}")
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
    if name in pod.get("exposed", ()) or name in pod.get("unlogged", ()):
        return False
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
    if facts.get("failed"):
        return True  # with its pod, for good
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
    if veth["mtu"] < row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if veth["master"] != row["bridge"]:
        wrong.append(f"master {row['bridge']}")
    if not veth["up"]:
        wrong.append("up")
    wrong += veth.get("amiss", [])
    lines = [f"link set {name} {' '.join(wrong)}"] if wrong else []
    lines += [f"addr del {address} dev {name}" for address in veth["addresses"]]
    port = veth.get("port", [] if veth["hairpin"] else ["hairpin on"])
    if veth["master"] != row["bridge"]:
        port = ["hairpin on"]  # all else is as it shall be on a port that is new
    return lines + ([f"link set {name} type bridge_slave {' '.join(port)}"] if port else [])


def _inside_lines(row: PodRow, pod: Pod, eth0: Link) -> list[str]:
    lines = [f"neigh del {address} dev eth0" for address in pod.get("neighbours", [])]
    lines += [] if pod["lo_up"] else ["link set lo up"]
    if eth0["mac"] != row["mac"]:
        lines.append(f"link set eth0 address {row['mac']}")
    if eth0["mtu"] != row["mtu"]:
        lines.append(f"link set eth0 mtu {row['mtu']}")
    lines += [f"link set eth0 {words}" for words in eth0.get("amiss", [])]
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
    return lines


def _quoted(text: str) -> str:
    return f'"{text}"'
