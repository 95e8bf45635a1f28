"""The ways between nodes that there are: the only place that names them."""

from __future__ import annotations

from ..inputs.settings import Cluster
from .gateway import Gateway
from .host_gw import HostGw
from .pod_routing import PodRouting
from .vxlan import Vxlan

POD_ROUTING: dict[str, PodRouting] = {
    way.name: way
    for way in (
        Gateway(),
        HostGw(),
        Vxlan(),
    )
}


def pod_routing(cluster: Cluster) -> PodRouting:
    """The one that the setting asks for."""
    return POD_ROUTING[cluster.pod_routing]


def overlay_devices(cluster: Cluster) -> set[str]:
    """Names that any of them gives its device: where another one was chosen, that of the former is still there."""
    return {name for way in POD_ROUTING.values() if (name := way.overlay_device(cluster))}
