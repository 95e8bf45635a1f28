"""UDP connections that this host's kernel knows, and how to end some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..changes import kube_flows
from ..changes.kube_flows import Flow, Frontends
from . import network
from .run import HostError, run, run_all


def known() -> list[Flow]:
    if network.missing_programs(["conntrack"]):
        return []  # on a bare host that is only looked at
    return kube_flows.flows(run(["conntrack", "-L", "-p", "udp"]))


def own_addresses() -> Collection[str]:
    return {address.split("/")[0] for link in network.links().values() for address in link["addresses"]}


def astray(before: Frontends, there: Frontends) -> list[Flow]:
    """Those that go past what is ``there``; nobody is asked where there is and was nothing."""
    return kube_flows.astray(known(), own_addresses(), before, there) if before or there else []


def past_host_ports(rules: Iterable[str]) -> list[list[str]]:
    """Commands that end those which go past the host ports that stand. A run may have been cut off before it did."""
    ports = kube_flows.host_ports(rules)
    return [kube_flows.deletion(flow) for flow in astray(ports, ports)]


def end(flows: Sequence[Flow]) -> None:
    """By one command each, as kube-proxy does it. An entry may have ended by itself, so finding none is no error."""
    ends = run_all([(kube_flows.deletion(flow), None) for flow in flows])
    failed = [err.strip() for code, _, err in ends if code and "0 flow entries" not in err]
    if failed:
        raise HostError("\n".join(failed))
