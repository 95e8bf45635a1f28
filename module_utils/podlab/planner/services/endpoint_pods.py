"""Which pod an endpoint of a Service is, and where its sockets are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ...configs import EndpointConfig
from ..model import Pod
from .model import Slice


class PodPlace(NamedTuple):
    """``netns`` is None for a pod on its node's own network."""

    host: str
    netns: str | None
    pod: str


class PodPlaces:
    """Pods by address. Those on a node's own network share one, and EndpointSlices tell them apart."""

    def __init__(
        self,
        pods: Sequence[Pod],
        placed: Mapping[str, str],
        addresses: Mapping[str, str | None],
        on_nodes: Collection[str],
        slices: Mapping[str, Sequence[Slice]],
    ) -> None:
        """:param on_nodes: pods on their node's own network. :param slices: Service -> those behind it."""
        self._slices = slices
        self._at: dict[str, list[PodPlace]] = defaultdict(list)
        for pod in pods:
            address = addresses.get(pod.key)
            if address and pod.key in placed:
                netns = None if pod.key in on_nodes else pod.netns
                self._at[address].append(PodPlace(placed[pod.key], netns, pod.key))

    def of(self, service: str, endpoint: EndpointConfig) -> PodPlace | None:
        """None: it is no pod of the plan."""
        places = self._at.get(endpoint["address"], [])
        if len(places) < 2:
            return places[0] if places else None
        targets = {
            one.target
            for slice_ in self._slices.get(service, ())
            for one in slice_.endpoints
            if (one.address, one.node) == (endpoint["address"], endpoint["node"])
        }
        return next((place for place in places if place.pod in targets), places[0])
