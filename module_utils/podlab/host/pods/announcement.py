"""Tell the neighbours of pods where their addresses are now."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from ...changes.pods.sandbox import veth_name
from ...configs import PodConfig
from ..network.namespaces import socket_in
from ..record import text_of
from ..run import wait_until


def announce(rows: Sequence[PodConfig]) -> None:
    """Tell the neighbours each pod's MAC, once the bridge lets its frames pass.

    Not arp_notify, which the CNI plugins use: the kernel sends its announcement while it brings the link
    up, and the port of the bridge begins to forward only after that.
    """
    wires = []
    for row in rows:
        state = f"/sys/class/net/{veth_name(row['netns'])}/brport/state"
        wait_until(lambda state=state: text_of(state) == "3\n", seconds=2.0)  # type: ignore[misc]
        wire = socket_in(row["netns"], socket.AF_PACKET, socket.SOCK_RAW)
        wires.append(wire)
        wire.sendto(_gratuitous_arp(row), ("eth0", 0))
    # To close a packet socket the kernel waits until no processor uses it: for all of them at once.
    closing = [threading.Thread(target=wire.close) for wire in wires]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()


def _gratuitous_arp(row: PodConfig) -> bytes:
    """A reply that nobody has asked for (RFC 5227, section 3), as a frame."""
    mac = bytes.fromhex(row["mac"].replace(":", ""))
    address = socket.inet_aton(row["address"].split("/")[0])
    ethernet = b"\xff" * 6 + mac + b"\x08\x06"
    return ethernet + b"\x00\x01\x08\x00\x06\x04\x00\x02" + mac + address + mac + address
