"""Service rules of this host, and what goes with them: ipsets, UDP connections, health checks.

Rules are the kernel's. ``services.json`` remembers which row was applied last, and what iptables-save told right after:
where both are as they were, nothing has to be worked out. KUBE chains bear kube-proxy's names and no mark: they are
podlab's where that file is or anything else of podlab's (``changes.marks``), and no real kube-proxy.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...changes import CHAIN_PREFIX, MARK
from ...changes.kube_proxy import conntrack, services
from ...changes.kube_proxy import diff as kube_proxy_diff
from ...changes.kube_proxy import record as kube_record
from ...changes.kube_proxy import restore as kube_restore
from ...changes.kube_proxy.diff import Change
from ...changes.kube_proxy.record import State
from ...changes.netfilter import rules
from ...changes.netfilter.iptables_save import Tables, parsed, target
from ...changes.network import defaults
from ...configs import ServicesRow
from .. import record
from ..network import guarded_sysctls, network, nft_generation
from ..record import text_of, write_file
from ..run import HostError, run
from ..system import foreign_kubernetes
from . import conntrack as host_conntrack
from . import health_checks

STATE = f"{record.HOME}/services.json"
SETS = "PODLAB-STICKY-"  # first letters of the ipsets, as services.sets() has them
MOST_TRUSTED = 1000  # lines
KNOWN = ("iptables v1.8.9 (legacy)", "iptables v1.8.9 (nf_tables)")
"""Those that print what they read, as the tests hold: to read a hundred thousand rules again takes a second."""

NETLINK_NETFILTER, SO_SNDBUFFORCE = 12, 32  # linux/netlink.h, asm-generic/socket.h


def observe(role: str = "node") -> tuple[dict[str, dict[str, list[str]]], dict[str, Any]]:
    """What ``network.rules`` tells, and of services: ``row``, the digest of what was applied last; ``sound``, whether
    all of that is still there; ``others``, chains that bear kube-proxy's names on a node without a record of
    services (on a gateway they are in nobody's way); ``warnings``, sentences."""
    known, version = remembered(), _version()
    told = nft_generation.known() if known and _is_nft(version) else None
    tables: Tables = told["others"] if told else network.saved()
    kernel = told["kernel"] if told else kube_record.fingerprint(tables)
    seen = {
        "row": known["row"] if known and known["form"] == kube_record.FORM else "",
        "sound": known is not None and known["kernel"] == kernel and health_checks.is_sound(known["health"]),
        "others": _others(tables) if role == "node" and not os.path.exists(STATE) else [],
        # A gateway is told nothing of Services, so nothing would ever mend such a file there.
        "warnings": [*(_damage(known) if role == "node" else ()), *_rules_elsewhere(version)],
    }
    return network.rules(tables), seen


def remembered() -> State | None:
    """What is known of the last run; None, if that is not whole."""
    try:
        return kube_record.sound_state(json.loads(text_of(STATE) or "null"))
    except (ValueError, RecursionError):
        return None


def _damage(known: State | None) -> list[str]:
    """A sentence about a file that is there and cannot be used."""
    is_damaged = os.path.exists(STATE) and not known
    return [f"the record ({STATE}) is damaged; all rules are looked at anew"] if is_damaged else []


def _is_marked() -> bool:
    """Whether podlab has been here: the chapter *node* comes first, and the plan lets it come to no host where the
    rules are somebody else's."""
    return os.path.exists(STATE) or os.path.exists(record.PATH)


def _others(tables: Tables) -> list[str]:
    # A kubelet has KUBE-FIREWALL as well, and is in nobody's way.
    names = [(table, name) for table, chains in tables.items() for name in chains if kube_proxy_diff.is_ours(name)]
    return [f"{table} {name}" for table, name in names if name != "KUBE-FIREWALL"]


# --- what is to be done --------------------------------------------------------------------------------------


@dataclass
class Steps:
    """What separates this host from a row."""

    row: ServicesRow
    digest: str
    packed: str
    tables: Tables
    wanted: kube_proxy_diff.Wanted
    known: State | None
    iptables: str
    rules: dict[str, Change]
    new_sets: list[str]
    stale_sets: list[str]
    doors: guarded_sysctls.Doors
    health: str
    generation: tuple[str, int] | None
    """Of the kernel's tables when they were read; None where it is not known for sure."""
    kernel: str = ""
    """The fingerprint that the rules will have, if they are printed as they are written."""
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def of_this_host(told: Mapping[str, Any]) -> ServicesRow:
    """What a node is told, with what only a plan says and a person leaves to the host.

    Addresses of podlab's own links are none of the host's here: the run that makes them finds others than the next.

    :raises HostError: with all that is wrong with the objects.
    """
    if "problems" in told:  # of the filter services_config
        raise HostError("\n".join(told["problems"]))
    if "addresses" in told:
        return told  # type: ignore[return-value]
    links, liberal = network.links(), network.read_sysctls([services.LIBERAL]).get(services.LIBERAL, "0")
    first = defaults.uplink(links, network.routes())
    own = {name: link["addresses"] for name, link in links.items() if not link["alias"].startswith(MARK)}
    found = [*own.get(first or "", ()), *(text for name in sorted(own) for text in own[name])]
    addresses = [address for text in dict.fromkeys(found) if not (address := text.partition("/")[0]).startswith("127.")]
    computed: Any = {"addresses": addresses, **({"is_liberal": True} if liberal != "0" else {}), **told}
    return computed  # type: ignore[no-any-return]


def changes(told: ServicesRow | str) -> Steps:
    """:param told: a row, as it is or packed.
    :raises HostError: somebody else's kube-proxy has its rules here.
    """
    packed = told if isinstance(told, str) else kube_record.pack(told)
    row, digest = kube_record.unpack(packed)
    known, iptables = remembered(), _version()
    tables, at = _read(known, iptables)
    if not _is_marked() and (others := _others(tables)):
        table, _, chain = others[0].partition(" ")
        raise HostError(
            f"chain {chain} of table {table} is there, and podlab has not made it: is this a node of a Kubernetes "
            "cluster? (If that has gone, kube-proxy --cleanup removes what it left behind.)"
        )
    wanted, room = services.tables(row), _room(iptables)
    spelled = known["spelled"] if known else {}
    found = kube_proxy_diff.changes(tables, wanted, spelled=spelled, whole=not (room and room.size))
    stale, held = _stale_sets(row, tables, found)
    steps = Steps(
        row,
        digest,
        packed,
        tables,
        wanted,
        known,
        iptables,
        found,
        _missing_sets(row),
        stale,
        guarded_sysctls.doors(services.sysctls_of(row), guarded_by_others=rules.GUARD in tables.get("filter", {})),
        health_checks.state_of(row),
        at,
        kernel=kube_record.fingerprint(kube_record.after(tables, wanted, spelled)),
        warnings=[*_rules_elsewhere(iptables), *held],
    )
    steps.lines = _lines(steps)
    return steps


def _lines(steps: Steps) -> list[str]:
    """What a person would type."""
    lines = [*steps.doors.lines_before(), *(f"ipset {line}" for line in steps.new_sets)]
    lines += [*kube_restore.commands(steps.rules), *steps.doors.lines_after()]
    lines += [f"ipset destroy {name}" for name in steps.stale_sets]
    lines += [" ".join(conntrack.deletion(flow)) for flow in _stale_flows(steps)]
    known = steps.known
    lines += health_checks.commands(steps.health)
    differs = not known or (known["form"], known["row"], known["kernel"]) != (
        kube_record.FORM,
        steps.digest,
        steps.kernel,
    )
    return [*lines, f"# {STATE}: what this node was told about services"] if lines or differs else []


def apply(steps: Steps) -> None:
    """Do it, in an order in which nothing is missed that was there before.

    :raises HostError: with the line that iptables does not take, and whose it is. What stands in the same transaction
        is not written then, nor what comes after it; what came before stays. So one table may be as it shall be and
        the other one as it was, until a run gets to the end.
    """
    if steps.new_sets or steps.rules:
        _mark(steps)
    if steps.new_sets:
        run(["ipset", "-exist", "restore"], "".join(f"{line}\n" for line in steps.new_sets))
    steps.doors.close()
    written, commits = _restore(steps.rules, _room(steps.iptables), steps.row)
    steps.doors.open()
    for name in steps.stale_sets:
        run(["ipset", "destroy", name])
    # Only now: the kernel would make new entries by the old rules.
    host_conntrack.end(_stale_flows(steps))
    steps.warnings += health_checks.serve(steps.health)
    spelled, kernel = steps.known["spelled"] if steps.known else {}, steps.kernel
    at = steps.generation and (steps.generation[0], steps.generation[1] + commits)
    tables = steps.tables
    is_new = not steps.known or steps.known["iptables"] != steps.iptables or written > MOST_TRUSTED
    if spelled or (is_new and steps.iptables not in KNOWN):
        # What this iptables has once printed as it was written, it will print so again.
        at = nft_generation.now() if _is_nft(steps.iptables) else None
        tables = network.saved()
        if kube_record.fingerprint(tables) != kernel:
            spelled = kube_record.spellings(tables, steps.wanted)
            # Where it is not as it was written all the same, the next run shall see that.
            kernel = (
                ""
                if kube_proxy_diff.changes(tables, steps.wanted, spelled=spelled)
                else kube_record.fingerprint(tables)
            )
    state = kube_record.state(
        steps.packed,
        steps.row,
        steps.digest,
        kernel=kernel,
        iptables=steps.iptables,
        spelled=spelled,
        health=health_checks.digest(steps.health),
    )
    _remember(state)
    # Every COMMIT counts one; if there is another one, it was somebody else's, and may have been about anything.
    if kernel and at and at == nft_generation.now():
        nft_generation.remember({"at": at, "kernel": kernel, "others": kube_record.others(tables)})
    else:
        nft_generation.forget()


def _mark(steps: Steps) -> None:
    """Before the first rule: who is killed in between has to be known for the owner of what is there."""
    if steps.known:
        _remember({**steps.known, "kernel": ""})
        return
    nothing: ServicesRow = {**steps.row, "ports": []}  # which is what was there before
    packed = kube_record.pack(nothing)
    _remember(kube_record.state(packed, *kube_record.unpack(packed)))


def _remember(state: State) -> None:
    record.make_directory(record.HOME)
    write_file(STATE, json.dumps(state) + "\n")


# --- iptables ---------------------------------------------------------------------------------------------


def _version() -> str:
    """Of the iptables in use here, with its kind: ``iptables v1.8.9 (nf_tables)``; nothing where there is none, as on a
    bare host that is only looked at: check mode installs nothing."""
    if network.missing_programs(["iptables-restore"]):
        return ""
    return run(["iptables-restore", "--version"]).strip().replace("iptables-restore", "iptables")


def _read(known: State | None, version: str) -> tuple[Tables, tuple[str, int] | None]:
    """All of iptables, and the number of changes that there were by then, where that is known for sure.

    Where nothing has changed, to write down again what was written last takes half the time of iptables-save.
    """
    if not _is_nft(version):
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


def _is_nft(version: str) -> bool:
    return "nf_tables" in version


def _room(version: str) -> kube_restore.Room | None:
    """How large a transaction may be. iptables-nft asks for a buffer of the size that it needs, which takes a right
    over the whole machine; without that, a transaction has to fit into an ordinary one."""
    if not _is_nft(version):
        return None
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as probe:
        size = probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, size)
        except PermissionError:
            return kube_restore.Room(size=size * 9 // 10)  # an estimate of messages may be wrong by a little
    return kube_restore.Room()


def _restore(rules: Mapping[str, Change], room: kube_restore.Room | None, row: ServicesRow | None) -> tuple[int, int]:
    """Write it; the number of lines that were written, and of transactions."""
    steps = kube_restore.transactions(rules, room)
    if not steps:
        return 0, 0
    text = kube_restore.restore_text(steps)
    try:
        run(["iptables-restore", "--wait", "5", "--noflush"], text)
    except HostError as error:
        raise HostError(_whose(str(error), text, row)) from error
    return sum(len(lines) for _, lines in steps), len(steps)


def _whose(words: str, text: str, row: ServicesRow | None) -> str:
    """The words of iptables-restore, with the line that it means."""
    number = re.search(r"line:? (\d+)", words)
    lines = text.splitlines()
    if not number or not 0 < int(number[1]) <= len(lines):
        return words
    line = lines[int(number[1]) - 1]
    service = kube_restore.service_of(line, row) if row else ""
    return f"{words}\nLine {number[1]} is: {line}" + (f"\nwhich is of Service {service}" if service else "")


def _rules_elsewhere(version: str) -> list[str]:
    """The kernel runs through the rules of both kinds of iptables; each shows its own."""
    if not version:
        return []
    other = "legacy" if _is_nft(version) else "nft"
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


# --- ipsets -------------------------------------------------------------------------------------------------


def _sets() -> set[str]:
    """Those of ours that are there. Where the kernel has none at all, asking would load its module."""
    if network.missing_programs(["ipset"]) or not os.path.isdir("/sys/module/ip_set"):
        return set()
    return {name for name in run(["ipset", "list", "-n"]).split() if name.startswith(SETS)}


def _missing_sets(row: ServicesRow) -> list[str]:
    wanted = services.sets(row)
    there = _sets() if wanted else set()
    return [f"create {name} {kube_restore.set_words(seconds)}" for name, seconds in wanted.items() if name not in there]


def _stale_sets(row: ServicesRow | None, tables: Tables, found: Mapping[str, Change]) -> tuple[list[str], list[str]]:
    """Sets that go, and sentences about those that cannot: a chain that stays for somebody else names them."""
    stale = _sets() - set(services.sets(row) if row else ())
    named = _named_by_what_stays(tables, found) if stale else {}
    held = [
        f"ipset {name} stays: chain {chain} of table {table} names it, and a rule that is not podlab's leads there"
        for name, (table, chain) in sorted(named.items())
        if name in stale
    ]
    return sorted(stale - named.keys()), held


def _named_by_what_stays(tables: Tables, found: Mapping[str, Change]) -> dict[str, tuple[str, str]]:
    """Set -> table and chain, of all chains that are neither removed nor written anew."""
    named: dict[str, tuple[str, str]] = {}
    for table, chains in tables.items():
        change = found.get(table, Change())
        for chain in chains.keys() - {*change.stale, *change.new, *change.rewritten}:
            for name in re.findall(rf"{SETS}\w+", " ".join(chains[chain])):
                named[name] = min(named.get(name, (table, chain)), (table, chain))
    return named


# --- UDP connections ----------------------------------------------------------------------------------------


def _stale_flows(steps: Steps) -> list[conntrack.Flow]:
    if not (conntrack.has_udp(steps.row) or (steps.known and steps.known["udp"])):
        return []
    old = kube_record.told_row(steps.known) if steps.known else None
    return conntrack.stale(host_conntrack.known(), host_conntrack.own_addresses(), old, steps.row)


# --- the end ------------------------------------------------------------------------------------------------


@dataclass
class Removal:
    """All of podlab's that is here; no rules on a host that podlab has not been to, whoever's chains there are."""

    rules: dict[str, Change]
    sets: Sequence[str]
    iptables: str = ""
    warnings: Sequence[str] = ()

    def lines(self) -> list[str]:
        return [*kube_restore.commands(self.rules), *(f"ipset destroy {name}" for name in self.sets)]


def removal(tables: Tables, *, is_marked: bool) -> Removal:
    """:param is_marked: whether anything else here bears the mark of a node of podlab's: records may be lost."""
    if not (is_marked or os.path.exists(STATE)):
        left = [f"chain {chain} of table {table}" for table, chain in map(str.split, _others(tables))]
        words = f"{left[0]} and others of kube-proxy's names stay" if left else ""
        return Removal({}, [], warnings=[f"{words}: nothing here says that they are podlab's"] if left else [])
    if running := foreign_kubernetes.at_home():
        stays = [f"the KUBE chains stay: {running}, and they may be its own"] if _others(tables) else []
        return Removal({}, [], warnings=stays)
    rules = kube_proxy_diff.removal(tables)
    sets, held = _stale_sets(None, tables, rules)
    return Removal(rules, sets, _version() if rules else "", held)


def remove(found: Removal) -> None:
    _restore(found.rules, _room(found.iptables), None)
    for name in found.sets:
        run(["ipset", "destroy", name])
