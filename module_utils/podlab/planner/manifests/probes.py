"""Ports, probes and lifecycle hooks of a container.

The rules are those of ``pkg/apis/core/validation`` of Kubernetes 1.30, the defaults those of ``pkg/apis/core/v1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..model import Handler, Port, Probe
from . import names
from .environment import check_argument, expand
from .reading import Field, is_address

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")  # of which hooks have no grpc, and probes no sleep
# Fields of httpGet and tcpSocket that name the other end; without a host it is the pod itself.
_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7)"


def ports(node: Field, host_network: bool) -> tuple[Port, ...]:
    """``ports`` of a container. On the node's network every one of them is one of the node's."""
    seen: set[str] = set()
    made: list[Port] = []
    for port in node.items():
        name = port["name"].text()
        if name and port["name"].check(names.port_name(name)):
            # Unique in its container only: the API server lets two containers share a port's name.
            if name in seen:
                port["name"].duplicate()
            seen.add(name)
        number = port["containerPort"].integer(1)
        if port["containerPort"].absent or number == 0:
            port["containerPort"].required()
        elif not 1 <= number <= 65535:
            port["containerPort"].invalid("must be between 1 and 65535, inclusive")
        protocol = port["protocol"].one_of(_PROTOCOLS, "TCP")
        host_port = port["hostPort"].integer(0)
        if host_port and not 1 <= host_port <= 65535:
            port["hostPort"].invalid("must be between 1 and 65535, inclusive")
        elif host_network and host_port not in (0, number):
            port["hostPort"].invalid("must match `containerPort` when `hostNetwork` is true")
        host_ip = port["hostIP"].text()
        if host_ip and (not is_address(host_ip) or ":" in host_ip):
            port["hostIP"].invalid(_ADDRESS)
        made.append(Port(number, protocol, name, number if host_network else host_port, host_ip))
    return tuple(made)


def check_host_ports(containers: Iterable[tuple[Field, Sequence[Port]]]) -> None:
    """No two ports of these containers may be one of the node's. One that a manifest does not write is no mistake."""
    seen: set[str] = set()
    for node, made in containers:
        for index, port in enumerate(made):
            key = f"{port.protocol}/{port.host_ip}/{port.host_port}"
            if port.host_port and key in seen:
                node["ports"].items()[index]["hostPort"].duplicate(key)
            seen.add(key)


class Probes:
    """Reads what a container's probes and hooks do, with its own ports and variables.

    :param static: the container's variables as they are written, without those of ``valueFrom``.
    :param grace: terminationGracePeriodSeconds of the pod, where it is written.
    """

    def __init__(self, node: Field, made: Sequence[Port], static: Mapping[str, str], grace: int | None) -> None:
        self.node = node
        self.ports = {port.name: port.number for port in reversed(made) if port.name}
        self.static = static
        self.grace = 30 if grace is None else grace

    def probe(self, name: str) -> Probe | None:
        """``readinessProbe``, ``livenessProbe`` or ``startupProbe``. A zero stands for the default."""
        node = self.node[name]
        if not node.given:
            return None
        grace = node["terminationGracePeriodSeconds"]
        probe = Probe(
            handler=self._handler(node, is_probe=True),
            initial_delay=node["initialDelaySeconds"].at_least(0),
            period=node["periodSeconds"].at_least(0) or 10,
            timeout=node["timeoutSeconds"].at_least(0) or 1,
            success=node["successThreshold"].at_least(0) or 1,
            failure=node["failureThreshold"].at_least(0) or 3,
            grace=grace.integer(1) if grace.given else None,
        )
        if name == "readinessProbe":
            if grace.given:
                grace.invalid("must not be set for readinessProbes")
        else:
            if probe.success != 1:
                node["successThreshold"].invalid("must be 1", probe.success)
            if probe.grace is not None and probe.grace <= 0:
                grace.invalid("must be greater than 0")
        return probe

    def hook(self, name: str) -> Handler | None:
        """``postStart`` or ``preStop`` of ``lifecycle``."""
        node = self.node["lifecycle"][name]
        return self._handler(node, is_probe=False) if node.given else None

    def _handler(self, node: Field, is_probe: bool) -> Handler:
        written = [kind for kind in _HANDLERS if node[kind].given]
        if not written:
            node.required("must specify a handler type")
        for kind in written[1:]:
            node[kind].forbidden("may not specify more than 1 handler type")
        kind = written[0] if written else ""
        body = node[kind]
        if kind == "grpc":
            return Handler("grpc", port=_number(body["port"]), service=body["service"].text())
        if kind == "httpGet":
            return self._http(body)
        if kind == "tcpSocket":
            port, lacks = self._port(body["port"])
            return Handler("tcp", host=_host(body["host"]), port=port, lacks=lacks)
        if kind == "sleep":
            seconds = body["seconds"].integer(0)
            if not 0 <= seconds <= self.grace:
                body.invalid(
                    f"must be non-negative and less than terminationGracePeriodSeconds ({self.grace})", seconds
                )
            return Handler("sleep", seconds=seconds)
        return Handler("exec", self._command(body["command"], is_probe) if kind == "exec" else ())

    def _command(self, node: Field, is_probe: bool) -> tuple[str, ...]:
        """The kubelet expands ``$(VAR)`` in what a probe runs, by the variables as written, and not in a hook."""
        if node.absent:
            node.required()
        words = []
        for item in node.items():
            words.append(expand(item.text(), self.static) if is_probe else item.text())
            check_argument(item, words[-1])
        return tuple(words)

    def _http(self, node: Field) -> Handler:
        headers = []
        for header in node["httpHeaders"].items():
            name, value = header["name"].text(), header["value"].text()
            node["httpHeaders"].check(names.header_name(name), name)
            if any(letter in value for letter in "\r\n\0"):
                header["value"].invalid("must be a single line")
            headers.append((name, value))
        if node["protocol"].text() not in ("", "HTTP1", "HTTP/1.1"):
            node["protocol"].refuse("probes and hooks speak HTTP/1.1")
        port, lacks = self._port(node["port"])
        return Handler(
            "http",
            host=_host(node["host"]),
            port=port,
            path=node["path"].text() or "/",  # any words: the kubelet reads them as a URL when it asks
            scheme=node["scheme"].one_of(("HTTP", "HTTPS")),
            headers=tuple(headers),
            lacks=lacks,
        )

    def _port(self, node: Field) -> tuple[int, str]:
        """A number, or that of the container's port of this name; and the name where it has none: the API server takes
        that, and the kubelet does not find it."""
        port = node.number_or_text()
        if isinstance(port, str) and not port:
            node.check(names.port_name(port))
        elif isinstance(port, str):
            if node.check(names.port_name(port)):
                return self.ports.get(port, 0), "" if port in self.ports else port
        elif port is None:
            if node.value is None:
                node.required()
        elif not isinstance(port, int) or not 1 <= port <= 65535:
            node.invalid("must be between 1 and 65535, inclusive")
        return port if isinstance(port, int) else 0, ""


def _number(node: Field) -> int:
    port = node.integer(0)
    if node.value is None:
        node.required()
    elif not 1 <= port <= 65535:
        node.invalid("must be between 1 and 65535, inclusive")
    return port


def _host(node: Field) -> str:
    host = node.text()
    if host and not is_address(host) and names.dns1123_subdomain(host.lower().rstrip(".")):
        node.invalid("must be a host name or a valid IP address, (e.g. 10.9.8.7)")
    return host
