"""Which claims there shall be, and where those are that there are.

A claim's directory is on the node of the first pod that used it, and ties all of its pods to that node, as the
local-path provisioner does. A manifest's claim goes with its manifest. What a StatefulSet's template has made stays
when the StatefulSet shrinks or goes, unless its ``persistentVolumeClaimRetentionPolicy`` says otherwise
(pkg/controller/statefulset/stateful_set_utils.go). A directory that no record tells of, as after ``./lab down``, is
never removed: nobody has asked for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...records.host_record import ClaimEntry
from ..inputs.host import Host
from ..model import Desired, Pod, Workload
from ..record.newest import newest_cluster, newest_pods
from .model import STATEFUL_SET, Claim, directory_of, key_of

Homes = Mapping[str, str]
"""Claim key -> node."""


@dataclass(frozen=True)
class Claims:
    """``wanted``: key -> claim. ``homes``: of those and of others that there are, as far as they have a node.

    ``dropped``: node -> directories that go.
    """

    wanted: Mapping[str, Claim]
    homes: Homes
    dropped: Mapping[str, Sequence[str]]
    notes: tuple[str, ...] = ()

    def of_node(self, name: str, homes: Homes) -> list[str]:
        """Those that a node keeps. :param homes: with those that this run has placed."""
        return sorted(key for key, home in homes.items() if home == name and key in self.wanted)


def claims_stage(hosts: Sequence[Host], desired: Desired, pods: Iterable[Pod]) -> Claims:
    """:param pods: all that there shall be now, those among them that stay as they run."""
    nodes = {host.name: host for host in hosts if host.role == "node"}
    told = newest_cluster(hosts).get("claims", {})
    homes, lost = _homes(hosts, nodes)
    known = {**dict.fromkeys(homes), **told}
    in_use = {key for pod in pods for key in claims_of(pod)}
    wanted = {claim.key: claim for claim in _asked_for(desired, in_use)}
    sets = {item.key: item for item in desired.workloads if item.kind == STATEFUL_SET}
    for key, entry in known.items():
        if key in wanted:
            continue
        claim = _claim(key, entry)
        home = nodes.get(homes.get(key, ""))
        # One that cannot be removed now is remembered until it can.
        if key in in_use or _stays(claim, sets) or (home is not None and not home.is_managed):
            wanted[key] = claim
    dropped: dict[str, list[str]] = {}
    for key, home_name in sorted(homes.items()):
        if key not in wanted and nodes[home_name].is_managed:
            dropped.setdefault(home_name, []).append(directory_of(key))
    notes = tuple(
        f"claim {key} begins empty: it was on {node}, which is not in the inventory any more"
        for key, node in sorted(lost.items())
        if key in wanted
    )
    return Claims(wanted, homes, dropped, notes)


def claims_of(pod: Pod) -> list[str]:
    """Keys of the claims that a pod mounts."""
    if pod.pinned is not None:
        volumes = pod.pinned.get("volumes", {}).values()
        return [str(volume["claim"]) for volume in volumes if volume["kind"] == "claim"]
    found = (volume.claim for volume in pod.template.volumes.values() if volume.kind == "claim")
    return [f"{pod.namespace}/{name}" for name in found]


def _asked_for(desired: Desired, in_use: Iterable[str]) -> Iterator[Claim]:
    """Those of the manifests, and those of templates whose pods are there."""
    yield from desired.claims.values()
    used = set(in_use)
    for item in desired.workloads:
        for template in item.claims:
            prefix = f"{item.namespace}/{template.name}-{item.name}-"
            for key in sorted(key for key in used if key.startswith(prefix) and key[len(prefix) :].isdecimal()):
                if key not in desired.claims:
                    name = key.partition("/")[2]
                    yield Claim(item.namespace, name, template.spec, item.key, template.outlives_set)


def _stays(claim: Claim, sets: Mapping[str, Workload]) -> bool:
    """Whether a claim that no pod uses stays."""
    owner = sets.get(claim.owner)
    if owner is None:
        return claim.is_retained
    templates = (one for one in owner.claims if claim.name.startswith(f"{one.name}-{owner.name}-"))
    template = next(templates, None)
    if template is None:
        return True
    ordinal = claim.name.rpartition("-")[2]
    is_due = ordinal.isdecimal() and owner.first_ordinal <= int(ordinal) < owner.first_ordinal + owner.replicas
    return is_due or template.outlives_pod


def _claim(key: str, entry: ClaimEntry | None) -> Claim:
    namespace, _, name = key.partition("/")
    if entry is None:
        return Claim(namespace, name, is_retained=True)
    return Claim(namespace, name, entry["spec"], entry.get("owner", ""), entry.get("retained", False))


def _homes(hosts: Sequence[Host], nodes: Mapping[str, Host]) -> tuple[dict[str, str], dict[str, str]]:
    """Where claims are: what records tell, and directories of which none does. The second are those whose node is not
    in the inventory."""
    homes: dict[str, str] = {}
    lost: dict[str, str] = {}
    for node, section in newest_pods(hosts).items():
        for key in section.get("claims", ()):
            (homes if node in nodes else lost)[key] = node
    for name, host in nodes.items():
        for directory in host.seen.get("claims", ()):
            key = key_of(directory)
            if key:
                homes.setdefault(key, name)
    return homes, {key: node for key, node in lost.items() if key not in homes}
