"""iptables of this host: of which kind it is, what it holds, and how much of it is written at once."""

from __future__ import annotations

import re
import socket

from ...changes import CHAIN_PREFIX
from ...changes.kube_proxy import diff as kube_proxy_diff
from ...changes.kube_proxy import record as kube_record
from ...changes.kube_proxy import restore as kube_restore
from ...changes.kube_proxy import services
from ...changes.kube_proxy.actions import RestoreChains
from ...changes.kube_proxy.record import State
from ...changes.netfilter.iptables_save import Tables, parsed, target
from ...configs import ServicesConfig
from ..network import network, nft_generation
from ..record import text_of
from ..run import HostError, run

NETLINK_NETFILTER, SO_SNDBUFFORCE = 12, 32  # linux/netlink.h, asm-generic/socket.h


def version() -> str:
    """Of the iptables in use here, with its kind: ``iptables v1.8.9 (nf_tables)``; nothing where there is none, as on a
    bare host that is only looked at: check mode installs nothing."""
    if network.missing_programs(["iptables-restore"]):
        return ""
    return run(["iptables-restore", "--version"]).strip().replace("iptables-restore", "iptables")


def read(known: State | None, version: str) -> tuple[Tables, tuple[str, int] | None]:
    """All of iptables, and the number of changes that there were by then, where that is known for sure.

    Where nothing has changed, to write down again what was written last takes half the time of iptables-save.
    """
    if not is_nft(version):
        return network.saved(), None
    told = nft_generation.known() if known and not known["spelled"] else None
    row = kube_record.told_row(known) if known and told and told["kernel"] == known["kernel"] else None
    if known and told and row:
        tables = kube_record.whole(told["others"], services.tables(row))
        if kube_record.fingerprint(tables) == known["kernel"]:  # or another podlab has written it
            return tables, told["at"]
    at = nft_generation.now()
    saved = network.saved()
    return saved, at if at == nft_generation.now() else None


def is_nft(version: str) -> bool:
    return "nf_tables" in version


def batch_limit(version: str) -> kube_restore.BatchLimit | None:
    """How large a transaction may be. iptables-nft asks for a buffer of the size that it needs, which takes a right
    over the whole machine; without that, a transaction has to fit into an ordinary one."""
    if not is_nft(version):
        return None
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as probe:
        size = probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, size)
        except PermissionError:
            return kube_restore.BatchLimit(size=size * 9 // 10)  # an estimate of messages may be wrong by a little
    return kube_restore.BatchLimit()


def restore(chains: RestoreChains) -> None:
    """:raises HostError: with the line that iptables does not take, and whose it is."""
    if chains.transactions:
        text = kube_restore.restore_text(chains.transactions)
        try:
            run(["iptables-restore", "--wait", "5", "--noflush"], text)
        except HostError as error:
            raise HostError(_whose(str(error), text, chains.row)) from error


def _whose(words: str, text: str, row: ServicesConfig | None) -> str:
    """The words of iptables-restore, with the line that it means."""
    number = re.search(r"line:? (\d+)", words)
    lines = text.splitlines()
    if not number or not 0 < int(number[1]) <= len(lines):
        return words
    line = lines[int(number[1]) - 1]
    service = kube_restore.service_of(line, row) if row else ""
    return f"{words}\nLine {number[1]} is: {line}" + (f"\nwhich is of Service {service}" if service else "")


def rules_elsewhere(version: str) -> list[str]:
    """The kernel runs through the rules of both kinds of iptables; each shows its own."""
    if not version:
        return []
    other = "legacy" if is_nft(version) else "nft"
    if network.missing_programs([f"iptables-{other}-save"]):
        return []
    if other == "legacy" and not text_of("/proc/net/ip_tables_names"):
        return []  # or it would make the tables that it looks for
    told = run([f"iptables-{other}-save"])
    chains = [(name, rules) for found in parsed(told).values() for name, rules in found.items()]
    ours = [name for name, _ in chains if _is_known(name)]
    others = sum(not _is_known(target(rule)) for name, rules in chains if not _is_known(name) for rule in rules)
    others += len(re.findall(r"^:\S+ DROP ", told, re.MULTILINE))  # policies
    words = f"though this host uses {version}. Packets pass them too"
    mend = f"iptables-{other}-save -c | grep -vE 'KUBE-|{CHAIN_PREFIX}' | iptables-{other}-restore -c"
    warnings = []
    if ours:
        counted = f"{len(ours)} {'chain' if len(ours) == 1 else 'chains'}"
        warnings.append(
            f"iptables-{other} holds {counted} of kube-proxy's and podlab's names as well, {words}; "
            f"remove them with: {mend}"
        )
    if others:
        counted = f"{others} {'rule' if others == 1 else 'rules'}"
        warnings.append(f"iptables-{other} holds {counted} of others, {words}; see them with: iptables-{other}-save")
    return warnings


def _is_known(chain: str) -> bool:
    """By its name kube-proxy's or podlab's."""
    return kube_proxy_diff.is_ours(chain) or chain.startswith(CHAIN_PREFIX)
