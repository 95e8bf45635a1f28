"""Stand-ins: what listens in place of programs that no host has, and where.

Whether a node has a container's program its planner cannot know: a volume or an init container may bring it. So the
container itself looks for it when it starts, and what is planned is where something listens if it is not there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...programs import NODE
from ..model import Container, Desired, Handler, Image, PodTemplate, Port, Probe, StandIn
from ..services.model import Service, ServicePort

NON_ROOT = 65532
"""Who it is where a pod may not be root and does not say who it is then: the ``nonroot`` of distroless images."""

EVERYWHERE = frozenset(
    (
        *("bash", "cat", "chmod", "chown", "cp", "dash", "date", "dd", "echo", "env", "false", "find", "grep", "head"),
        *("ls", "mkdir", "mv", "printenv", "printf", "rm", "sed", "seq", "sh", "sleep", "sort", "stat", "tail", "tee"),
        *("test", "timeout", "touch", "true", "wc", "xargs", "yes", "python3", *NODE),
    )
)
"""Programs that a node has for certain, so that nobody has to look: podlab's own needs, and of what Debian calls
essential the usual ones."""
_PROGRAM_DIRECTORIES = ("", "/bin", "/sbin", "/usr/bin", "/usr/sbin")

_OF_ONE_POD = ("statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
"""Labels that a StatefulSet's pods get: what one of them is asked for the others of the template may be as well."""


def stand_in(
    image: str,
    argv: Sequence[str],
    ports: Sequence[Port],
    handlers: Iterable[Probe | Handler | None],
    known: Image | None,
    *,
    ends: bool,
) -> StandIn | None:
    """What takes the place of a container's program where there is none; None where its node has it for certain.

    :param handlers: its probes and hooks. :param known: the entry of the catalogue. :param ends: whether it does some
        work and ends.
    """
    if argv and posixpath.dirname(argv[0]) in _PROGRAM_DIRECTORIES and posixpath.basename(argv[0]) in EVERYWHERE:
        return None
    if ends:
        return StandIn(image, ends=True)
    is_tls = {port.number: "https" in port.name for port in ports if port.protocol == "TCP"}
    for each in handlers:
        handler = each.handler if isinstance(each, Probe) else each
        if handler is None or not handler.port or handler.host:
            continue
        if handler.kind == "http":
            is_tls[handler.port] = handler.scheme == "HTTPS"
        is_tls.setdefault(handler.port, False)
    for number in known.ports if known else ():
        is_tls.setdefault(number, False)
    return StandIn(
        image,
        tcp=tuple(sorted(number for number, tls in is_tls.items() if not tls)),
        tls=tuple(sorted(number for number, tls in is_tls.items() if tls)),
        udp=tuple(sorted({port.number for port in ports if port.protocol == "UDP"})),
    )


# --- ports that Services lead to ------------------------------------------------------------------------


def with_ports_of_services(wanted: Desired) -> Desired:
    """The same, with stand-ins that listen where a Service leads to and no container has a port declared."""
    services: dict[str, list[Service]] = {}
    for service in wanted.services:
        if service.selector:
            services.setdefault(service.namespace, []).append(service)

    def complete(namespace: str, template: PodTemplate) -> PodTemplate:
        return _completed(template, services.get(namespace, ()))

    return replace(
        wanted,
        pods=tuple(_with_template(pod, complete) for pod in wanted.pods),
        workloads=tuple(_with_template(item, complete) for item in wanted.workloads),
    )


def _with_template(item: Any, complete: Callable[[str, PodTemplate], PodTemplate]) -> Any:
    template = complete(item.namespace, item.template)
    return item if template is item.template else replace(item, template=template)


def _completed(template: PodTemplate, services: Sequence[Service]) -> PodTemplate:
    """Ports that nobody declares belong to the first container, as does everything else that names none."""
    if not any(container.stand_in for container in template.containers):
        return template
    declared = {(port.number, port.protocol) for container in template.containers for port in container.ports}
    declared |= {(number, "TCP") for one in template.containers if one.stand_in for number in _of_tcp(one.stand_in)}
    led_to = [port for one in services if _selects(one.selector, template.labels) for port in one.ports]
    containers = [_by_tls(container, led_to) for container in template.containers]
    first = containers[0].stand_in
    if first is not None and not first.ends:
        missing = [port for port in led_to if _number(port) and (_number(port), port.protocol) not in declared]
        containers[0] = replace(containers[0], stand_in=_listening_at(first, missing))
    return template if tuple(containers) == template.containers else replace(template, containers=tuple(containers))


def _listening_at(one: StandIn, missing: Sequence[ServicePort]) -> StandIn:
    """The same, that listens at these as well."""
    tcp = {_number(port) for port in missing if port.protocol == "TCP"}
    tls = {number for number in tcp if _is_tls(port for port in missing if _number(port) == number)}
    return replace(
        one,
        tcp=tuple(sorted({*one.tcp, *tcp} - tls)),
        tls=tuple(sorted({*one.tls, *tls})),
        udp=tuple(sorted({*one.udp, *(_number(port) for port in missing if port.protocol == "UDP")})),
    )


def _by_tls(container: Container, led_to: Sequence[ServicePort]) -> Container:
    """The same, with TLS at declared ports that all Services call https, unless its own words say otherwise: a probe by
    HTTP, or a name with http in it, as where TLS ends before the pod."""
    one = container.stand_in
    if one is None or not one.tcp:
        return container
    probed = (probe.handler for probe in (container.readiness, container.liveness, container.startup) if probe)
    asked = {handler.port for handler in probed if handler.kind == "http"}
    found = set()
    for port in container.ports:
        if port.number in one.tcp and port.number not in asked and "http" not in port.name:
            targets = (port.number, *((port.name,) if port.name else ()))
            if _is_tls(each for each in led_to if each.protocol == "TCP" and (each.target or each.port) in targets):
                found.add(port.number)
    if not found:
        return container
    more = replace(one, tcp=tuple(sorted({*one.tcp} - found)), tls=tuple(sorted({*one.tls, *found})))
    return replace(container, stand_in=more)


def _is_tls(ports: Iterable[ServicePort]) -> bool:
    """Whether all of those that lead to one port say so."""
    words = [_says_https(port) for port in ports]
    return bool(words) and all(words)


def _of_tcp(one: StandIn) -> Iterator[int]:
    yield from one.tcp
    yield from one.tls


def _selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items() if key not in _OF_ONE_POD)


def _number(port: ServicePort) -> int:
    """Of the pod's port; 0 where it has a name, and so is declared."""
    return port.target or port.port if isinstance(port.target, int) else 0


def _says_https(port: ServicePort) -> bool:
    return "https" in port.name or port.app_protocol in ("https", "kubernetes.io/wss")


# --- what is to be told of them -------------------------------------------------------------------------


@dataclass(frozen=True)
class StoodInFor:
    """A container of a workload or pod that something stands in for.

    ``owner``: ``Deployment/default/web``. ``ports``: ``80/TCP``, ``443/TLS``, ``53/UDP``. ``unless``: the program that
    runs where a node has it; empty where nothing is looked for. ``ends``: it ends at once.
    """

    owner: str
    container: str
    image: str
    ports: tuple[str, ...]
    unless: str
    ends: bool


def stand_ins(wanted: Desired) -> list[StoodInFor]:
    """Every container that something stands in for, or may, in the order of the manifests."""
    owners = [(f"Pod/{pod.key}", pod.template) for pod in wanted.pods]
    owners += [(item.key, item.template) for item in wanted.workloads]
    return [
        _stood_in_for(owner, container, container.stand_in)
        for owner, template in owners
        for container in (*template.init_containers, *template.containers)
        if container.stand_in
    ]


def _stood_in_for(owner: str, container: Container, one: StandIn) -> StoodInFor:
    kinds = (("TCP", one.tcp), ("TLS", one.tls), ("UDP", one.udp))
    ports = tuple(f"{number}/{kind}" for kind, numbers in kinds for number in numbers)
    unless = container.argv[0] if container.argv else ""
    return StoodInFor(owner, container.name, container.image, ports, unless, one.ends)


def notes(wanted: Desired) -> list[str]:
    """A line for each image, however many pods there are of it."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for one in stand_ins(wanted):
        found.setdefault((one.image, one.unless), {})[one.owner] = None
    lines = []
    for (image, unless), owners in found.items():
        where = f", where a node has no {unless}" if unless else ""
        lines.append(f"a stand-in runs for image {image} in {', '.join(owners)}{where}")
    return lines
