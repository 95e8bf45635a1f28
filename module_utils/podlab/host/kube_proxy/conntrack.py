"""UDP connections that this host's kernel knows, and how to end some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ...changes.actions import Action
from ...changes.kube_proxy import conntrack
from ...changes.kube_proxy.actions import EndFlows
from ...changes.kube_proxy.conntrack import ConntrackFlow, Frontends
from ..actions import runs
from ..network import network
from ..run import HostError, run, run_all


def known() -> list[ConntrackFlow]:
    if network.missing_programs(["conntrack"]):
        return []  # on a bare host that is only looked at
    return conntrack.flows(run(["conntrack", "-L", "-p", "udp"]))


def own_addresses() -> Collection[str]:
    return {address.split("/")[0] for link in network.links().values() for address in link["addresses"]}


def astray(before: Frontends, there: Frontends) -> list[ConntrackFlow]:
    """Those that go past what is ``there``; nobody is asked where there is and was nothing."""
    return conntrack.astray(known(), own_addresses(), before, there) if before or there else []


def actions(before: Frontends, there: Frontends, *, is_changed: bool) -> list[Action]:
    """What ends them, where there are any, or may be by the time that what is ``there`` has been written."""
    flows = astray(before, there)
    return [EndFlows(flows, before, there)] if flows or (is_changed and (before or there)) else []


@runs(EndFlows)
def _end_flows(found: Sequence[EndFlows]) -> None:
    for it in found:
        end(astray(it.before, it.there))


def past_host_ports(rules: Iterable[str]) -> list[list[str]]:
    """Commands that end those which go past the host ports that stand. A run may have been cut off before it did."""
    ports = conntrack.host_ports(rules)
    return [conntrack.deletion(flow) for flow in astray(ports, ports)]


def end(flows: Sequence[ConntrackFlow]) -> None:
    """By one command each, as kube-proxy does it. An entry may have ended by itself, so finding none is no error."""
    ends = run_all([(conntrack.deletion(flow), None) for flow in flows])
    failed = [err.strip() for code, _, err in ends if code and "0 flow entries" not in err]
    if failed:
        raise HostError("\n".join(failed))
