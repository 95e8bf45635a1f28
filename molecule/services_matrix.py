"""Tables of who calls whom at a service's address, who answers, and which address he sees.

A line of a table is a Row: clients, what they call, who answers, and as whom he sees them. It is the expectation of
kube-proxy's masquerade matrix; what it says in words is made into addresses here, and held against what a client tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ITSELF = "itself"
"""The source is the client's own address."""
NODE = "the node"
"""The source is an address of the node where the service's address was turned into an endpoint's."""

REFUSED, TIMEOUT, UNREACHABLE = "refused", "timeout", "unreachable"
FAILURES = (REFUSED, TIMEOUT, UNREACHABLE)

OUTSIDE = "198.51.100.10"
ENTRANCE = "node1"
"""The node to which the gateway sends what is for a service's address."""


Question = dict[str, Any]
Answer = dict[str, Any]
"""As ``services_client`` has them."""


class Row(NamedTuple):
    clients: str
    """``client1 node2``: pods, nodes, and ``outside``."""
    target: str
    """``PLACE:PORT`` or ``PLACE:PORT/udp``. A place is a service, which means its cluster IP; ``SERVICE.lb`` and
    ``SERVICE.external``; a node; ``cbr0@NODE``; ``localhost``. A port that is no number is the Service whose node port
    it is."""
    answers: str
    """``one:8080 two:9080``: all who answer, and nobody else; or a word for what happens instead."""
    source: str | Mapping[str, str] = ""
    """ITSELF or NODE, for all who answer or for each by name."""


@dataclass(frozen=True)
class Cell:
    """A Row for one of its clients."""

    client: str
    target: str
    answers: str = field(compare=False)
    source: str | Mapping[str, str] = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.client} -> {self.target}"


def cells(table: Sequence[Row]) -> list[Cell]:
    return [Cell(client, *row[1:]) for row in table for client in row.clients.split()]


Answers = Mapping[Cell, Answer]


@dataclass(frozen=True)
class World:
    """Where everybody is. ``pods`` and ``nodes`` are the names of fixtures; ``services`` are objects by name."""

    pods: Mapping[str, Mapping[str, Any]]
    services: Mapping[str, Mapping[str, Any]]
    nodes: Mapping[str, str] = field(default_factory=lambda: {"node1": "10.100.0.2", "node2": "10.100.0.3"})
    bridges: Mapping[str, str] = field(default_factory=lambda: {"node1": "10.1.1.1", "node2": "10.1.2.1"})

    def home(self, name: str) -> str:
        """The node that a client or an endpoint is on; nothing for ``outside``."""
        if name in self.pods:
            return str(self.pods[name]["node"])
        return name if name in self.nodes else ""

    def address(self, client: str) -> str:
        if client in self.pods:
            return str(self.pods[client]["ip"])
        return self.nodes.get(client, OUTSIDE)

    def place(self, words: str) -> str:
        """The address that a place stands for."""
        kind, _, node = words.partition("@")
        if kind == "cbr0":
            return self.bridges[node]
        if words == "localhost":
            return "127.0.0.1"
        if words in self.nodes:
            return self.nodes[words]
        name, _, what = words.partition(".")
        service = self.services[name]
        if what == "lb":
            return str(service["status"]["loadBalancer"]["ingress"][0]["ip"])
        return str(service["spec"]["externalIPs"][0] if what == "external" else service["spec"]["clusterIP"])

    def question(self, cell: Cell) -> Question:
        """The words for ``services_client``. Where there is to be no answer, one call tells, and sooner."""
        target, _, protocol = cell.target.partition("/")
        place, _, port = target.partition(":")
        number = int(port) if port.isdigit() else self.services[port]["spec"]["ports"][0]["nodePort"]
        silent = cell.answers in FAILURES
        return {
            "protocol": protocol or "tcp",
            "address": self.place(place),
            "port": number,
            "patience": 2.5 if silent else 8.0,
            "until": [] if silent else cell.answers.split(),
            # Enough to meet somebody who should not be there, if he answers every third call: (2/3)**12 is 0.8 %.
            "least": 1 if silent else 12,
            "most": 80,
            "pause": 0.0,
        }

    def expected(self, cell: Cell) -> str | dict[str, str]:
        """A word, or who answers -> the address that he sees."""
        if cell.answers in FAILURES:
            return cell.answers
        return {server: self._source(cell, server.partition(":")[0]) for server in cell.answers.split()}

    def _source(self, cell: Cell, server: str) -> str:
        who = cell.source if isinstance(cell.source, str) else cell.source[server]
        if who == ITSELF:
            return self.address(cell.client)
        via = self._translator(cell)
        # MASQUERADE takes the address of the link by which a packet leaves.
        is_behind_bridge = server in self.pods and self.home(server) == via
        return self.bridges[via] if is_behind_bridge else self.nodes[via]

    def _translator(self, cell: Cell) -> str:
        """The node where the service's address becomes an endpoint's: the first one on the way that knows it."""
        place = cell.target.partition(":")[0].rpartition("@")[2]
        return place if place in self.nodes else self.home(cell.client) or ENTRANCE


def told(answer: Answer) -> str | dict[str, str]:
    """What a client has met, as ``expected`` has it. Several sources at one server stand side by side."""
    if answer["outcome"] != "answered":
        met = sorted({server for server, _ in answer["calls"]})
        return f"{answer['outcome']}, after {' '.join(met)}" if met else str(answer["outcome"])
    sources: dict[str, dict[str, None]] = {}
    for server, source in answer["calls"]:
        sources.setdefault(server, {})[source] = None
    return {server: " ".join(seen) for server, seen in sorted(sources.items())}
