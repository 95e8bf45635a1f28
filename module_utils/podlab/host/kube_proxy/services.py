"""Service rules of this host, and what goes with them: ipsets, UDP connections, health checks.

Rules are the kernel's. KUBE chains bear kube-proxy's names and no mark: they are podlab's where ``services.json`` is or
anything else of podlab's (``changes.marks``), and no real kube-proxy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...changes import MARK
from ...changes.actions import Action
from ...changes.kube_proxy import conntrack, services
from ...changes.kube_proxy import diff as kube_proxy_diff
from ...changes.kube_proxy import record as kube_record
from ...changes.kube_proxy.actions import DestroySet, MakeSets, OwnChains, RecordServices, RestoreChains
from ...changes.kube_proxy.diff import Change
from ...changes.kube_proxy.record import State
from ...changes.netfilter import rules
from ...changes.netfilter.iptables_save import Tables
from ...changes.network import defaults
from ...configs import ServicesConfig
from ...records.observation import ObservedServices
from .. import record
from ..actions import Todo
from ..network import guarded_sysctls, network, nft_generation
from ..run import HostError
from ..system import foreign_kubernetes
from . import conntrack as host_conntrack
from . import health_checks, ipsets, iptables, state


def observe(role: str = "node") -> tuple[dict[str, dict[str, list[str]]], ObservedServices]:
    """What ``network.rules`` tells, and what there is of services."""
    known, version = state.remembered(), iptables.version()
    told = nft_generation.known() if known and iptables.is_nft(version) else None
    tables: Tables = told["others"] if told else network.saved()
    kernel = told["kernel"] if told else kube_record.fingerprint(tables)
    seen: ObservedServices = {
        "row": known["row"] if known and known["form"] == kube_record.FORM else "",
        "sound": known is not None and known["kernel"] == kernel and health_checks.is_sound(known["health"]),
        "others": _others(tables) if role == "node" and not os.path.exists(state.STATE) else [],
        # A gateway is told nothing of Services, so nothing would ever mend such a file there.
        "warnings": [*(state.damage(known) if role == "node" else ()), *iptables.rules_elsewhere(version)],
    }
    return network.rules(tables), seen


def _is_marked() -> bool:
    """Whether podlab has been here: the component *node* comes first, and the plan lets it come to no host where the
    rules are somebody else's."""
    return os.path.exists(state.STATE) or os.path.exists(record.PATH)


def _others(tables: Tables) -> list[str]:
    # A kubelet has KUBE-FIREWALL as well, and is in nobody's way.
    names = [(table, name) for table, chains in tables.items() for name in chains if kube_proxy_diff.is_ours(name)]
    return [f"{table} {name}" for table, name in names if name != "KUBE-FIREWALL"]


# --- what is to be done --------------------------------------------------------------------------------------


def of_this_host(told: Mapping[str, Any]) -> ServicesConfig:
    """What a node is told, with what only a plan says and a person leaves to the host.

    Addresses of podlab's own links are none of the host's here: the run that makes them finds others than the next.

    :raises HostError: with all that is wrong with the objects.
    """
    if "problems" in told:  # of the filter services_config
        raise HostError("\n".join(told["problems"]))
    if "addresses" in told:
        return told  # type: ignore[return-value]
    links, liberal = network.links(), network.read_sysctls([services.TCP_BE_LIBERAL]).get(services.TCP_BE_LIBERAL, "0")
    first = defaults.uplink(links, network.routes())
    own = {name: link["addresses"] for name, link in links.items() if not link["alias"].startswith(MARK)}
    found = [*own.get(first or "", ()), *(text for name in sorted(own) for text in own[name])]
    addresses = [address for text in dict.fromkeys(found) if not (address := text.partition("/")[0]).startswith("127.")]
    computed: Any = {"addresses": addresses, **({"is_liberal": True} if liberal != "0" else {}), **told}
    return computed  # type: ignore[no-any-return]


def changes(told: ServicesConfig | str) -> Todo:
    """What separates this host from a row, in an order in which nothing is missed that was there before. What stands in
    a transaction that iptables refuses is not written, nor what comes after it; what came before stays. So one table
    may be as it shall be and the other one as it was, until a run gets to the end.

    :param told: a row, as it is or packed.
    :raises HostError: somebody else's kube-proxy has its rules here.
    """
    packed = told if isinstance(told, str) else kube_record.pack(told)
    row, digest = kube_record.unpack(packed)
    known, version = state.remembered(), iptables.version()
    tables, at = iptables.read(known, version)
    _refuse_others(tables)
    wanted, limit = services.tables(row), iptables.batch_limit(version)
    spelled = known["spelled"] if known else {}
    found = kube_proxy_diff.changes(tables, wanted, spelled=spelled, whole=not (limit and limit.size))
    restored = RestoreChains(found, limit, row) if found else None
    health = health_checks.state_of(row)
    kernel = kube_record.fingerprint(kube_record.after(tables, wanted, spelled))
    stale, held = ipsets.stale(row, tables, found)
    warnings = [*iptables.rules_elsewhere(version), *held]
    todo = [
        *_rules(row, known, tables, restored, stale),
        *_stale_flows(row, known, is_changed=bool(found)),
        *health_checks.actions(health, warnings),
    ]
    if todo or not known or (known["form"], known["row"], known["kernel"]) != (kube_record.FORM, digest, kernel):
        recorded = RecordServices(
            row, digest, packed, known, tables, wanted, kernel, version, at, health_checks.digest(health), restored
        )
        todo.append(recorded)
    return Todo(todo, warnings)


def _refuse_others(tables: Tables) -> None:
    if not _is_marked() and (others := _others(tables)):
        table, _, chain = others[0].partition(" ")
        raise HostError(
            f"chain {chain} of table {table} is there, and podlab has not made it: is this a node of a Kubernetes "
            "cluster? (If that has gone, kube-proxy --cleanup removes what it left behind.)"
        )


def _rules(
    row: ServicesConfig, known: State | None, tables: Tables, restored: RestoreChains | None, stale: Sequence[str]
) -> list[Action]:
    """Chains, with the sets that they name there before and gone after, and the settings that they guard likewise."""
    missing = ipsets.missing(row)
    guarded_by_others = rules.GUARD in tables.get("filter", {})
    before, after = guarded_sysctls.changes(services.sysctls_of(row), guarded_by_others=guarded_by_others)
    return [
        *([OwnChains(row, known)] if missing or restored else []),
        *before,
        *([MakeSets(missing)] if missing else []),
        *([restored] if restored else []),
        *after,
        *map(DestroySet, stale),
    ]


def _stale_flows(row: ServicesConfig, known: State | None, *, is_changed: bool) -> list[Action]:
    if not (conntrack.has_udp(row) or (known and known["udp"])):
        return []
    old = kube_record.told_row(known) if known else None
    before = conntrack.frontends(old) if old else {}
    return host_conntrack.actions(before, conntrack.frontends(row), is_changed=is_changed)


# --- the end ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Removal:
    """All of podlab's that is here; no rules on a host that podlab has not been to, whoever's chains there are."""

    actions: Sequence[Action]
    warnings: Sequence[str] = ()
    rules: dict[str, Change] = field(default_factory=dict)


def removal(tables: Tables, *, is_marked: bool) -> Removal:
    """:param is_marked: whether anything else here bears the mark of a node of podlab's: records may be lost."""
    if not (is_marked or os.path.exists(state.STATE)):
        left = [f"chain {chain} of table {table}" for table, chain in map(str.split, _others(tables))]
        words = f"{left[0]} and others of kube-proxy's names stay" if left else ""
        return Removal([], warnings=[f"{words}: nothing here says that they are podlab's"] if left else [])
    if running := foreign_kubernetes.at_home():
        stays = [f"the KUBE chains stay: {running}, and they may be its own"] if _others(tables) else []
        return Removal([], warnings=stays)
    found = kube_proxy_diff.removal(tables)
    sets, held = ipsets.stale(None, tables, found)
    chains = [RestoreChains(found, iptables.batch_limit(iptables.version()))] if found else []
    return Removal([*chains, *map(DestroySet, sets)], held, found)
