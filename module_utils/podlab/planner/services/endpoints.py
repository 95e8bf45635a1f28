"""Endpoints: which addresses stand behind a Service, and which of them are ready.

Three sources become one thing, EndpointSlices: pods that a Service selects, manifests of kind EndpointSlice, and
manifests of kind Endpoints of a Service without selector (``written_endpoints``). The rules are those of Kubernetes'
endpointslice controller (release 1.30).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from .backends import Backend
from .model import BY_SELECTOR, EXTERNAL_NAME, Endpoint, Endpoints, Service, Slice, SlicePort
from .slices import parts, slice_name
from .written_endpoints import SERVICE_NAME


def slices_of_pods(services: Iterable[Service], pods: Sequence[Backend]) -> list[Slice]:
    """The slices of every Service with a selector. One that selects nobody has a slice that is empty."""
    index = LabelIndex(pods)
    taken: set[str] = set()
    found = []
    for service in services:
        if not service.selector or service.type == EXTERNAL_NAME:
            continue
        groups = index.groups(service) or {(): ((),)}
        found += [
            Slice(
                service.namespace,
                slice_name(service.namespace, service.name, ports, number, taken),
                service.name,
                ports,
                part,
                BY_SELECTOR,
            )
            for ports, pieces in groups.items()
            for number, part in enumerate(pieces)
        ]
    return found


Groups = Mapping[tuple[SlicePort, ...], Sequence[tuple[Endpoint, ...]]]
"""Ports -> endpoints that have exactly these, in parts of the size of a slice."""


class LabelIndex:
    """Pods, found by their labels. Services that ask for the same share what is found: there may be thousands."""

    def __init__(self, pods: Sequence[Backend]) -> None:
        self.pods = pods
        self.by_label: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self.subdomains = {(pod.namespace, pod.subdomain) for pod in pods if pod.hostname and pod.subdomain}
        self.known: dict[object, Groups] = {}
        for index, pod in enumerate(pods):
            for key, value in pod.labels.items():
                self.by_label[pod.namespace, key, value].append(index)

    def groups(self, service: Service) -> Groups:
        subdomain = service.name if (service.namespace, service.name) in self.subdomains else ""
        question = (
            service.namespace,
            tuple(sorted(service.selector.items())),
            service.ports,
            service.publishes_not_ready,
            service.prefers_close,
            subdomain,
        )
        if question not in self.known:
            self.known[question] = self._groups(service)
        return self.known[question]

    def _groups(self, service: Service) -> Groups:
        grouped: dict[tuple[SlicePort, ...], list[Endpoint]] = defaultdict(list)
        for pod in self._selected(service):
            # One that has none of the ports stands in a slice without any, which leads nowhere.
            grouped[_ports_of(service, pod)].append(_endpoint_of(service, pod))
        return {ports: list(parts(found)) for ports, found in grouped.items()}

    def _selected(self, service: Service) -> list[Backend]:
        """Those with all of the labels, beginning with the rarest of them."""
        wanted = [self.by_label.get((service.namespace, *label), []) for label in service.selector.items()]
        fewest = min(wanted, key=len)
        labels = service.selector.items()
        return [self.pods[index] for index in fewest if labels <= self.pods[index].labels.items()]


def _ports_of(service: Service, pod: Backend) -> tuple[SlicePort, ...]:
    """The Service's ports as this pod has them. One that it has not is left out."""
    found = []
    for port in service.ports:
        number = pod.ports.get((port.target, port.protocol)) if isinstance(port.target, str) else port.target
        if number:
            found.append(SlicePort(number, port.protocol, port.name, port.app_protocol))
    return tuple(found)


def _endpoint_of(service: Service, pod: Backend) -> Endpoint:
    ready = service.publishes_not_ready or (pod.is_ready and not pod.is_terminating)
    return Endpoint(
        address=pod.address,
        node=pod.node,
        ready=ready,
        serving=pod.is_ready,
        terminating=pod.is_terminating,
        target=pod.key,
        hostname=pod.hostname if pod.subdomain == service.name else "",
        zone=pod.zone,
        zones=(pod.zone,) if service.prefers_close and ready and pod.zone else (),
    )


def slices_in_force(
    services: Sequence[Service],
    made: Iterable[Slice],
    slices: Iterable[Slice],
    endpoints: Iterable[Endpoints],
) -> tuple[dict[str, list[Slice]], list[str]]:
    """Service -> its slices, by name; and what is written of endpoints and has no meaning, in words."""
    by_key = {service.key: service for service in services}
    found: dict[str, list[Slice]] = defaultdict(list)
    notes = []
    for slice_ in made:
        found[f"{slice_.namespace}/{slice_.service}"].append(slice_)
    for slice_ in slices:
        if not slice_.service:
            notes.append(f"EndpointSlice {slice_.key} is nobody's: it has no label {SERVICE_NAME}")
        elif f"{slice_.namespace}/{slice_.service}" not in by_key:
            notes.append(f"EndpointSlice {slice_.key} is nobody's: there is no Service {slice_.service}")
        found[f"{slice_.namespace}/{slice_.service}"].append(slice_)
    for written in endpoints:
        service = by_key.get(written.key)
        if service is None:
            notes.append(f"Endpoints {written.key} are nobody's: there is no Service of this name")
        elif service.selector:
            notes.append(f"Endpoints {written.key} are not taken: the Service has a selector, which finds its own")
        else:
            found[written.key] += written.mirrors
    for some in found.values():
        some.sort(key=lambda slice_: slice_.name)
    return dict(found), notes
