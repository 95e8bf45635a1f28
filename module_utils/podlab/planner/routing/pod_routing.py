"""A way between nodes: how the packets of pods get from one node to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ...configs import RouteConfig, VxlanConfig
from ..inputs.host import Host
from ..inputs.host_links import uplink, uplink_mtu
from ..inputs.settings import Cluster


class PodRouting(ABC):
    """A value of the setting ``pod_routing``. A new one is a class in a file of its own and a line in ``registry.py``.

    Nothing else knows which ways there are. What a class does not say is as without an overlay: packets of pods go
    through the node network as they are.
    """

    name: ClassVar[str]

    def invalid(self, words: str) -> str:
        return f'podlab_pod_routing: Invalid value: "{self.name}": {words}'

    def lacking(self, roles: Mapping[str, int]) -> list[str]:
        """What the inventory lacks for it. :param roles: role -> number of hosts."""
        return []

    def validate(self, cluster: Cluster, hosts: Sequence[Host]) -> list[str]:
        """Why nodes cannot reach each other by it, as far as the hosts were seen."""
        return []

    @abstractmethod
    def routes(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteConfig]]:
        """Host -> its routes to the pods of other nodes. Each host is there."""

    def mtu(self, host: Host) -> int:
        """Bytes of a pod's packet that fit into one packet of the node network."""
        return uplink_mtu(host)

    def source_address(self, node: Host, cidr: str) -> str:
        """The address by which a node calls pods of other nodes. :param cidr: the node's pod CIDR."""
        return node.address

    # --- an overlay, where there is one

    def overlay(
        self, cluster: Cluster, host: Host, nodes: Sequence[Host], cidrs: Mapping[str, str]
    ) -> VxlanConfig | None:
        """The overlay's end on a host."""
        return None

    def overlay_device(self, cluster: Cluster) -> str | None:
        """The link of a node that packets of pods leave by, if that is not the uplink."""
        return None

    def overlay_address(self, cidr: str) -> str | None:
        """The node's own address in the overlay. :param cidr: the node's pod CIDR."""
        return None

    def overlay_port(self, cluster: Cluster) -> int | None:
        """The UDP port at which a node gets packets of pods from other nodes."""
        return None

    def links_in_the_way(self, cluster: Cluster, host: Host) -> dict[str, str]:
        """Links of others that keep the overlay from being made on a node -> the setting that goes around them."""
        return {}

    def carriers(self, cluster: Cluster, host: Host) -> list[str]:
        """The links of a node that packets of pods come and go by."""
        return [cluster.bridge, str(uplink(host)), *filter(None, [self.overlay_device(cluster)])]
