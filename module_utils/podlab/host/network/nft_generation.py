"""What iptables-save told last, as long as it would tell the same again.

The kernel counts every change of its nf_tables, whoever makes it. To ask for that number takes no time; to print the
rules of 10,000 Services takes iptables-save a second or two. iptables-legacy has no such number: it is always asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import Any, TypedDict

from ...shapes import misfit
from ..record import make_directory, text_of, write_file

PATH = "/run/podlab/iptables.json"

# linux/netlink.h, linux/netfilter/nf_tables.h, asm-generic/socket.h
NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN, NFTA_GEN_ID = 12, 10, 16, 1
NLM_F_REQUEST, SO_NETNS_COOKIE = 1, 71


class Known(TypedDict):
    """``kernel`` is the fingerprint of what is ours, ``others`` all the rest (``changes/kube_proxy/record.py``)."""

    at: tuple[str, int]
    kernel: str
    others: dict[str, dict[str, list[str]]]


def now() -> tuple[str, int] | None:
    """This network namespace, as no other one since the machine was started, and the number of changes in it.

    None: the kernel does not tell.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as wire:
            cookie = wire.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8).hex()
            kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN
            wire.send(struct.pack("=IHHIIBBH", 20, kind, NLM_F_REQUEST, 0, 0, 0, 0, 0))
            answer = wire.recv(4096)
    except OSError:
        return None
    boot = (text_of("/proc/sys/kernel/random/boot_id") or "").strip()
    length, found = struct.unpack_from("=IH", answer)
    at = 20  # behind two headers
    while found == kind - 1 and at + 8 <= length:  # NFT_MSG_NEWGEN
        size, attribute = struct.unpack_from("=HH", answer, at)
        if attribute == NFTA_GEN_ID:
            return f"{boot} {cookie}", struct.unpack_from(">I", answer, at + 4)[0]
        at += (size + 3) & ~3
    return None


def known() -> Known | None:
    """What was told last, if nothing has changed since."""
    try:
        found: Any = json.loads(text_of(PATH) or "null")
    except (ValueError, RecursionError):
        return None
    if misfit(found, Known):
        return None  # it is asked anew
    told = Known(at=(found["at"][0], found["at"][1]), kernel=found["kernel"], others=found["others"])
    return told if now() == told["at"] else None


def remember(told: Known) -> None:
    make_directory(os.path.dirname(PATH))
    write_file(PATH, json.dumps(told) + "\n")


def forget() -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(PATH)
