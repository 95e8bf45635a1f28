"""A pod as a host tells of it."""

from __future__ import annotations

from typing import Any, TypedDict

from ...configs import PodRow
from ..network.bridge import Link


class Pod(TypedDict, total=False):
    """A pod as it is found. Inside facts are missing when there is nothing to enter."""

    sandbox: bool  # pause lives, in the namespaces that bear the pod's name
    row: PodRow | None  # as last applied
    services: list[str]  # containers under supervision
    facts: dict[str, dict[str, Any]]  # container -> how it fares, by host/pods/status.py
    initialized: bool  # one of the containers that come after the init containers was started once
    lost: list[str]  # volumes that it was given and that are not there any more
    unlogged: list[str]  # containers whose log directory is gone: what they say is written nowhere
    incomplete: list[
        str
    ]  # containers whose s6 directory lacks a file, such as those that an earlier podlab has started
    kubelet: bool  # the host's kubelet is there; the same for all of its pods
    age: float | None  # seconds since the kubelet has begun with it; it counts them where there is a deadline
    eth0: Link | None
    lo_up: bool
    routes: list[str]  # "default via 10.1.1.1", as far as the kernel did not make them
    connected: list[str]  # networks on eth0, as far as it did
    neighbours: list[str]  # addresses that somebody gave a permanent ARP entry on eth0
