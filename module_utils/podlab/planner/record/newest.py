"""What the hosts' records tell of the cluster, put together: of each section the one that was written last.

A section is what runs write and replace as a whole: ``network`` (on every host), ``cluster``, and for each node one of
``pods`` (on that node and on a few others, ``copies``). Its ``generation`` is that of the run that has last changed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...records.host_record import ClusterRecord, NetworkRecord, PodsRecord, Section
from ..inputs.host import Host


def newest_network(hosts: Sequence[Host]) -> NetworkRecord:
    """Empty where no host has it."""
    found = [host.record.get("network", NetworkRecord()) for host in hosts]
    return max(found, key=generation_of, default=NetworkRecord())


def newest_cluster(hosts: Sequence[Host]) -> ClusterRecord:
    """Empty where no host has it."""
    found = [host.record.get("cluster", ClusterRecord()) for host in hosts]
    return max(found, key=generation_of, default=ClusterRecord())


def newest_record(hosts: Sequence[Host]) -> ClusterRecord:
    """Both of them. An older record may tell of what is gone since."""
    return {**newest_cluster(hosts), **newest_network(hosts)}


def newest_pods(hosts: Sequence[Host]) -> dict[str, PodsRecord]:
    """Node -> the section of its pods, those of an earlier run first."""
    found: dict[str, PodsRecord] = {}
    for host in hosts:
        for node, section in host.record.get("pods", {}).items():
            if node not in found or generation_of(section) > generation_of(found[node]):
                found[node] = section
    return dict(sorted(found.items(), key=lambda item: (generation_of(item[1]), item[0])))


def next_generation(hosts: Sequence[Host]) -> int:
    """Of what this run changes: above all that it sees."""
    return 1 + max((generation_of(section) for host in hosts for section in _sections(host)), default=0)


def created_of(hosts: Sequence[Host]) -> dict[str, str]:
    """``kind/namespace/name`` -> when it was made."""
    pods = newest_pods(hosts).values()
    created_at = {f"pod/{key}": time for one in pods for key, (_, time) in one.get("pods", {}).items() if time}
    return {**created_at, **newest_cluster(hosts).get("created", {})}


def out_of_reach(hosts: Sequence[Host]) -> list[str]:
    """What no host of this run can tell, because those that keep it are not seen. Going on would place pods anew that
    run elsewhere, and give them other addresses."""
    kept = [host for host in hosts if host.role in ("node", "gateway")]
    unseen = [host.name for host in kept if host.observation is None]
    network, pods = newest_network(hosts), newest_pods(hosts)
    lost = [name for name in unseen if name in network.get("podCIDRs", {}) and name not in pods]
    words = "and no host that keeps a copy of it does; bring one of them back, or take {} out of the inventory: "
    words += "its pods are placed anew then"
    problems = [f"{name}: which pods it has is not known: it does not answer, {words.format(name)}" for name in lost]
    if network and unseen and not newest_cluster(hosts):
        problems.append(
            "what the cluster has been told (its Services' addresses, its workloads) is not known: no host that keeps "
            f"it answers; bring one of these back, or take them all out of the inventory: {', '.join(unseen)}"
        )
    return problems


def _sections(host: Host) -> Iterator[Section]:
    yield host.record.get("network", {})
    yield host.record.get("cluster", {})
    yield from host.record.get("pods", {}).values()


def generation_of(section: Section) -> int:
    return int(section.get("generation", 0))
