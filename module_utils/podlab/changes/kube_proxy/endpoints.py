"""Which endpoints of a service a node sends traffic to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...configs import EndpointConfig


def by_address(endpoints: Iterable[EndpointConfig], node: str) -> dict[str, EndpointConfig]:
    """``address:port`` -> endpoint, in kube-proxy's order, which is that of the text.

    Two EndpointSlices may name the same one; then the one that says it is here counts, or the first.
    """
    found: dict[str, EndpointConfig] = {}
    for endpoint in endpoints:
        to = f"{endpoint['address']}:{endpoint['port']}"
        if to not in found or endpoint["node"] == node:
            found[to] = endpoint
    return {to: found[to] for to in sorted(found)}


def cluster_wide(endpoints: Mapping[str, EndpointConfig], zone: str) -> list[str]:
    """Those that policy Cluster leads to. None: nobody would answer, on whatever node."""
    ready = _ready(endpoints)
    hinted = [to for to in ready if zone and zone in endpoints[to]["zones"]]
    # One without a hint means that hints are just being given out, or taken back: they count all together or not.
    if hinted and all(endpoints[to]["zones"] for to in ready):
        return hinted
    return ready or _draining(endpoints)


def on_node(endpoints: Mapping[str, EndpointConfig], node: str) -> list[str]:
    """Those that policy Local leads to, whatever their zones."""
    here = {to: endpoint for to, endpoint in endpoints.items() if endpoint["node"] == node}
    return _ready(here) or _draining(here)


def _ready(endpoints: Mapping[str, EndpointConfig]) -> list[str]:
    return [to for to, endpoint in endpoints.items() if endpoint["ready"]]


def _draining(endpoints: Mapping[str, EndpointConfig]) -> list[str]:
    """Those on their way out that still serve: better than nobody."""
    return [to for to, endpoint in endpoints.items() if endpoint["serving"] and endpoint["terminating"]]
