"""What all EndpointSlices have in common that are made here, out of pods or of Endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from ..manifests.names import short_hash
from .model import Endpoint, SlicePort

MOST = 100
"""Endpoints in one slice that is made here, as the controllers have it."""


def parts(endpoints: Iterable[Endpoint]) -> list[tuple[Endpoint, ...]]:
    whole = sorted(endpoints, key=lambda endpoint: int(IPv4Address(endpoint.address)))
    return [tuple(whole[start : start + MOST]) for start in range(0, len(whole), MOST)]


def slice_name(namespace: str, name: str, ports: tuple[SlicePort, ...], index: int, taken: set[str]) -> str:
    """``web-x7k2p``. Kubernetes draws lots; here the same slice has the same name in every run."""
    told = ",".join(f"{port.name}/{port.protocol}/{port.port}" for port in ports)
    attempt = 0
    while (made := f"{name[:57]}-{short_hash(f'{namespace}/{name}/{told}/{index}/{attempt}', 5)}") in taken:
        attempt += 1
    taken.add(made)
    return made
