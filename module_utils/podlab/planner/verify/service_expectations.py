"""Who has to reach which endpoints of a Service from where, and with which source address: the masquerade matrix.

A client sees one address, and cannot tell who has answered. The node that turned the address does: its connection
tracking says to which endpoint a call went and which source address that one saw, whatever is served there, or nothing.
So the clients call, several times where there is a choice, and the nodes are asked afterwards.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...configs import EndpointConfig, ServicePortConfig
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..services.endpoint_pods import PodPlace
from .expectations import End
from .expected_paths import REFUSED, ExpectedPaths, Probe, service_port

MOST = 2000
"""Questions beyond this number are sampled, by the ports of Services that they are about."""

CERTAINTY = 18.0
"""So often is each endpoint called that one of them stays unseen by chance once in e to this power."""

HAIRPIN_CERTAINTY, FEW = 8.0, 8
"""As above, for a pod that calls a Service of its own, where there are no more endpoints than a few."""

MOST_TRIES = 100

MOST_REFUSALS = 12
"""A node refuses by ICMP, of which the kernel sends a client one a second, and six more at once (icmp(7))."""


def service_matrix(
    cluster: Cluster,
    hosts: Sequence[Host],
    cidrs: Mapping[str, str],
    ends: Sequence[End],
    ports: Sequence[ServicePortConfig],
    pod_at: Callable[[str, EndpointConfig], PodPlace | None],
) -> dict[str, Any]:
    """``asks``; ``unprobed``, in words; ``ports`` that could be asked for, and how many are: ``sampled``;
    ``endpoints`` of these: ``10.1.1.2:80/tcp`` -> ``host``, ``netns``, ``pod``.

    :param ends: those of ``expectations.matrix``.
    :param pod_at: Service, endpoint -> the plan's pod that has it; what is no pod of the plan is nobody to call.
    """
    paths = ExpectedPaths(cluster, hosts, cidrs, ends)
    unprobed = []
    open_to_all = []
    for port in ports:
        words = _unprobed(port, pod_at)
        if words:
            unprobed.append(f"{service_port(port)}: {words}")
        else:
            open_to_all.append(port)
    chosen = _sample(open_to_all, paths.count)
    asks = _with_few_refusals([ask for port in chosen for ask in paths.asks(port)])
    _share_out_tries(asks)
    endpoints = {
        f"{end['address']}:{end['port']}/{port['protocol']}": place._asdict()
        for port in chosen
        for end in port["endpoints"]
        if (place := pod_at(port["service"], end))
    }
    facts = {"unprobed": unprobed, "ports": len(open_to_all), "sampled": len(chosen)}
    return {"asks": asks, "endpoints": endpoints, **facts}


def _unprobed(port: ServicePortConfig, pod_at: Callable[[str, EndpointConfig], PodPlace | None]) -> str:
    if port["protocol"] == "sctp":
        return "not probed: not every kernel has sockets of SCTP"
    stranger = next((end["address"] for end in port["endpoints"] if not pod_at(port["service"], end)), None)
    return f"not probed: its endpoint {stranger} is no pod of the plan" if stranger else ""


def _sample(ports: Sequence[ServicePortConfig], count: Callable[[ServicePortConfig], int]) -> list[ServicePortConfig]:
    """As many as there is time to ask for, the same ones in every run on the same ports."""
    order = list(range(len(ports)))
    if sum(map(count, ports)) > MOST:
        random.Random(len(ports)).shuffle(order)
    chosen: list[int] = []
    room = MOST
    for index in order:
        room -= count(ports[index])
        if room < 0 and chosen:
            break
        chosen.append(index)
    return [ports[index] for index in sorted(chosen)]


def _with_few_refusals(asks: Sequence[Probe]) -> list[Probe]:
    """Each client hears some of them; others are for other clients."""
    refusals: dict[str, list[int]] = defaultdict(list)
    for at, ask in enumerate(asks):
        if ask["outcome"] == REFUSED:
            refusals[ask["source"]].append(at)
    left_out: set[int] = set()
    for source, found in refusals.items():
        if len(found) > MOST_REFUSALS:
            left_out |= set(found) - set(random.Random(source).sample(found, MOST_REFUSALS))
    return [ask for at, ask in enumerate(asks) if at not in left_out]


def _share_out_tries(asks: Sequence[Probe]) -> None:
    """Clients of one node draw lots by the same rules, so they call in turn until everybody must have been met."""
    groups: dict[tuple[str, str, frozenset[str]], list[Probe]] = defaultdict(list)
    for ask in asks:
        if ask["outcome"] == REFUSED:
            ask["tries"] = MOST_REFUSALS + 3
        elif ask["sticky"]:
            ask["tries"] = 2
        else:
            groups[ask["service"], ask["path"][-1], frozenset(ask["backends"])].append(ask)
    for (_, _, backends), group in groups.items():
        choices = len(backends)
        wanted = choices * (math.log(choices) + CERTAINTY) if choices > 1 else 1
        for ask in group:
            ask["tries"] = min(MOST_TRIES, math.ceil(wanted / len(group)))
    # Nobody but the pod itself can find out whether it reaches itself; one of its ways tells.
    for ask in {(ask["service"], ask["source"]): ask for ask in reversed(asks)}.values():
        choices = len(ask["backends"])
        is_one = any(to.rpartition(":")[0] == ask["caller"] for to in ask["backends"])
        if is_one and 1 < choices <= FEW and not ask["sticky"]:
            ask["tries"] = max(ask["tries"], math.ceil(HAIRPIN_CERTAINTY * choices))
