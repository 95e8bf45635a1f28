"""What every Service is given: a cluster IP, node ports, a port for health checks, an address of the load balancer.

What a Service has, it keeps while it exists. What is new begins to look for a free number at one that is a hash of
its name, so a Service gets the same one whatever stands beside it, and also where nobody remembers anything.
Kubernetes draws lots instead (``ipallocator``, ``portallocator``); its ranges have a lower band, which is given out
last so that who writes an address down finds it free, and so they have here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..inputs.host import Host
from ..inputs.service_settings import POOL
from ..inputs.settings import Cluster
from ..model import Invalid
from .clashes import clashes
from .cluster_ips import cluster_ips
from .load_balancers import load_balancer_ips, pool_problems
from .model import LOAD_BALANCER, OWN_CLASS, Service, ServiceAllocation
from .node_ports import NodePorts
from .past import past_services
from .ranges import some


def allocate(cluster: Cluster, hosts: Sequence[Host], services: Sequence[Service]) -> dict[str, ServiceAllocation]:
    """Service -> what it has.

    :raises Invalid: with every problem that only the cluster as a whole can have.
    """
    past = past_services(hosts)
    problems = pool_problems(cluster, hosts)
    ips = cluster_ips(cluster, services, past, problems)
    ports = NodePorts(cluster, services, past, problems)
    balancers = load_balancer_ips(cluster, services, past, problems)
    allocations = {
        service.key: ServiceAllocation(
            cluster_ip=ips.get(service.key, ""),
            node_ports=tuple(ports.numbers[service.key]),
            health_check_node_port=ports.health_checks.get(service.key, 0),
            ingress=balancers.get(service.key, ()),
        )
        for service in services
    }
    problems += clashes(cluster, hosts, services, allocations)
    if problems:
        raise Invalid(problems)
    return allocations


def waiting(services: Iterable[Service], allocations: Mapping[str, ServiceAllocation]) -> list[str]:
    """Words for Services that wait for a load balancer's address, because there is nobody to give them one."""
    waiting = [item for item in services if item.type == LOAD_BALANCER and not allocations[item.key].ingress]
    own = [item.key for item in waiting if item.is_balanced_here]
    words = [f"no load balancer gives an address to Service {some(own)}: {POOL} is not set"] if own else []
    others = [f"{item.key} ({item.load_balancer_class})" for item in waiting if not item.is_balanced_here]
    if others:
        words.append(
            f"no load balancer gives an address to Service {some(others)}: podlab's own has the loadBalancerClass "
            f"{OWN_CLASS}, or none"
        )
    return words
