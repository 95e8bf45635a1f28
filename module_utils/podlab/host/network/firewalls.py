"""Base chains of this host's packet filters that are not podlab's.

The kernel is asked for its base chains by a socket, in a millisecond and without a program. Only where there is one of
others, ``nft`` is run to read its rules; ``nft -j list ruleset`` for all would print the rules of 10,000 Services.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
from collections.abc import Iterator

from ...changes.netfilter.firewalls import HOOKS, IPTABLES, base_chain, from_iptables, is_foreign
from ...records.observation import BaseChain
from ..record import text_of
from ..run import HostError, run
from ..system import kernel
from . import network
from .nft_generation import NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, NLM_F_REQUEST

# linux/netlink.h, linux/netfilter/nf_tables.h
NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR, NFT_MSG_GETCHAIN = 0x300, 3, 2, 4
CHAIN_TABLE, CHAIN_NAME, CHAIN_HOOK, CHAIN_POLICY, HOOK_NUMBER = 1, 3, 4, 5, 1
FAMILY = {1: "inet", 2: "ip", 7: "bridge"}  # linux/netfilter.h
HOOK = {0: "prerouting", 1: "input", 2: "forward", 4: "postrouting"}
LEGACY = "/proc/net/ip_tables_names"


def observe() -> list[BaseChain]:
    uses_nft = _uses_nft()
    found = [
        _with_rules(chain)
        for chain in base_chains()
        if is_foreign(chain["family"], chain["table"], chain["chain"], uses_nft=uses_nft) and chain["hook"] in HOOKS
    ]
    if uses_nft and text_of(LEGACY) and not network.missing_programs(["iptables-legacy-save"]):
        found += from_iptables(run(["iptables-legacy-save"]), "iptables-legacy")
    return found


def _uses_nft() -> bool:
    """Whether this host's iptables keeps its rules in nftables: its program's own name tells, without running it."""
    program = shutil.which("iptables-save", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return program is not None and "nft" in os.path.basename(os.path.realpath(program))


def _with_rules(chain: BaseChain) -> BaseChain:
    """As far as they can be read: without ``nft`` the policy alone is known."""
    if network.missing_programs(["nft"]):
        return chain
    where = [chain["family"], chain["table"]]
    # A chain of others may stand in a table of iptables, beside the rules of all Services.
    what = ["chain", *where, chain["chain"]] if where[0] == "ip" and where[1] in IPTABLES else ["table", *where]
    try:
        return base_chain(chain, json.loads(run(["nft", "-j", "-t", "list", *what])))
    except (HostError, ValueError, KeyError, TypeError, AttributeError):
        return chain  # it went in between, or this nft prints it in another way


def base_chains() -> list[BaseChain]:
    """All that hang on a hook, without their rules. Nothing is loaded by asking."""
    if not kernel.is_asked_without_loading("nf_tables"):
        return []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as wire:
            kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN
            wire.send(struct.pack("=IHHIIBBH", 20, kind, NLM_F_REQUEST | NLM_F_DUMP, 0, 0, 0, 0, 0))
            return list(_dumped(wire))
    except OSError:
        return []


def _dumped(wire: socket.socket) -> Iterator[BaseChain]:
    while data := wire.recv(1 << 16):
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind in (NLMSG_DONE, NLMSG_ERROR) or length < 16:
                return
            if chain := _chain(data[at + 16 : at + length]):
                yield chain
            at += (length + 3) & ~3


def _chain(message: bytes) -> BaseChain | None:
    """One that hangs on a hook, of a family that pods' packets pass."""
    fields = dict(_attributes(message[4:]))
    if CHAIN_HOOK not in fields or message[0] not in FAMILY:
        return None
    hook = dict(_attributes(fields[CHAIN_HOOK]))
    number = int.from_bytes(hook.get(HOOK_NUMBER, b"\xff"), "big")
    policy = int.from_bytes(fields.get(CHAIN_POLICY, b"\x01"), "big")
    return {
        "tool": "nft",
        "family": FAMILY[message[0]],
        "table": fields[CHAIN_TABLE].rstrip(b"\0").decode("utf-8", "replace"),
        "chain": fields[CHAIN_NAME].rstrip(b"\0").decode("utf-8", "replace"),
        "hook": HOOK.get(number, ""),
        "policy": "accept" if policy else "drop",
        "rules": [],
    }


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += (size + 3) & ~3
