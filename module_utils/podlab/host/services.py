"""Service rules of this host, and what goes with them: ipsets, UDP connections, health checks.

Rules are the kernel's. ``services.json`` remembers which row was applied last, and what iptables-save told right after:
where both are as they were, nothing has to be worked out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ..changes import kube, kube_flows, kube_record, kube_restore, services
from ..changes.containers import SERVICES
from ..changes.kube import Change
from ..changes.services import ServicesRow
from ..changes.trace import Tables, parsed
from . import containers, healthz, network, record
from .kubelet import is_wanted, tell_supervisor
from .record import text_of, write_file
from .run import HostError, run, run_all, wait_until

STATE = f"{record.HOME}/services.json"
HEALTH = f"{SERVICES}/kube-proxy"  # a name without a dot is no container
SETS = "PODLAB-STICKY-"  # first letters of the ipsets, as services.sets() has them
MOST_TRUSTED = 1000  # lines

HEALTH_SCRIPT = """\
#!/usr/bin/execlineb -P
pipeline -w {{ s6-log -b n2 s1000000 ./logs }}
fdmove -c 2 1
setpriv --pdeathsig TERM -- "{python}" -IS program
"""
"""Its ports are free when its supervisor was killed: the next one needs them."""

NETLINK_NETFILTER, SO_SNDBUFFORCE = 12, 32  # linux/netlink.h, asm-generic/socket.h


def observe(tables: Tables) -> dict[str, Any]:
    """:param tables: what ``network.saved`` has told.
    :return: ``row``, the digest of what was applied last, and whether all of that is still there: ``sound``. ``others``
        are chains that bear kube-proxy's names on a host that podlab has never been to; ``warnings`` are sentences.
    """
    known = remembered()
    sound = bool(known) and known["kernel"] == kube_record.fingerprint(tables) and _health_is_sound(known)
    warnings = [] if network.missing_programs(["iptables-restore"]) else _rules_elsewhere(_version())
    row = known["row"] if known and known["form"] == kube_record.FORM else ""
    return {"row": row, "sound": sound, "others": _others(tables), "warnings": warnings}


def remembered() -> dict[str, Any]:
    """What is known of the last run; nothing, if that is not whole."""
    try:
        known = json.loads(text_of(STATE) or "{}")
    except ValueError:
        return {}
    keys = ("form", "row", "packed", "udp", "kernel", "iptables", "spelled", "health")
    return known if isinstance(known, dict) and all(key in known for key in keys) else {}


def _others(tables: Tables) -> list[str]:
    if record.read() or os.path.exists(STATE):
        return []
    # A kubelet has KUBE-FIREWALL as well, and is in nobody's way.
    names = [(table, name) for table, chains in tables.items() for name in chains if kube.is_ours(name)]
    return [f"{table} {name}" for table, name in names if name != "KUBE-FIREWALL"]


# --- what is to be done --------------------------------------------------------------------------------------


@dataclass
class Steps:
    """What separates this host from a row."""

    row: ServicesRow
    digest: str
    packed: str
    tables: Tables
    wanted: kube.Wanted
    known: dict[str, Any]
    iptables: str
    rules: dict[str, Change]
    new_sets: list[str]
    health: str
    kernel: str = ""
    """The fingerprint that the rules will have, if they are printed as they are written."""
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def changes(told: ServicesRow | str) -> Steps:
    """:param told: a row, as it is or packed.
    :raises HostError: somebody else's kube-proxy has its rules here.
    """
    packed = told if isinstance(told, str) else kube_record.pack(told)
    row, digest = kube_record.unpack(packed)
    known, tables, iptables = remembered(), network.saved(), _version()
    if others := _others(tables):
        table, _, chain = others[0].partition(" ")
        raise HostError(
            f"chain {chain} of table {table} is there, and podlab has not made it: is this a node of a Kubernetes "
            "cluster? (If that has gone, kube-proxy --cleanup removes what it left behind.)"
        )
    wanted, room = services.tables(row), _room(iptables)
    spelled = known.get("spelled", {})
    steps = Steps(
        row,
        digest,
        packed,
        tables,
        wanted,
        known,
        iptables,
        kube.changes(tables, wanted, spelled=spelled, whole=not (room and room.size)),
        _missing_sets(row),
        _health_text(row),
        kernel=kube_record.fingerprint(kube_record.after(tables, wanted, spelled)),
        warnings=_rules_elsewhere(iptables),
    )
    steps.lines = _lines(steps)
    return steps


def _lines(steps: Steps) -> list[str]:
    """What a person would type."""
    lines = [f"ipset {line}" for line in steps.new_sets]
    lines += kube_restore.commands(steps.rules)
    lines += [f"ipset destroy {name}" for name in _stale_sets(steps.row)]
    lines += [" ".join(kube_flows.deletion(flow)) for flow in _stale_flows(steps)]
    known = steps.known
    if not _health_is_sound({"health": _short(steps.health)}):
        there = _health_lives() and _health_program_is_new()
        lines.append(f"s6-svc -h {HEALTH}" if there else f"s6-svscanctl -a {SERVICES}")
    differs = not known or (known["form"], known["row"]) != (kube_record.FORM, steps.digest)
    differs = differs or known["kernel"] != steps.kernel
    return [*lines, f"# {STATE}: what this node was told about services"] if lines or differs else []


def apply(steps: Steps) -> None:
    """Do it, in an order in which nothing is missed that was there before.

    :raises HostError: with the line that iptables does not take, and whose it is. No packet notices anything then.
    """
    if steps.new_sets:
        run(["ipset", "-exist", "restore"], "".join(f"{line}\n" for line in steps.new_sets))
    written = _restore(steps.rules, _room(steps.iptables), steps.row)
    for name in _stale_sets(steps.row):
        run(["ipset", "destroy", name])
    # Only now: the kernel would make new entries by the old rules.
    _end_flows(steps)
    steps.warnings += _serve_health(steps.health)
    spelled, kernel = steps.known.get("spelled", {}), steps.kernel
    if steps.known.get("iptables") != steps.iptables or spelled or written > MOST_TRUSTED:
        # What this iptables has once printed as it was written, it will print so again.
        tables = network.saved()
        if kube_record.fingerprint(tables) != kernel:
            spelled = kube_record.spellings(tables, steps.wanted)
            # Where it is not as it was written all the same, the next run shall see that.
            kernel = "" if kube.changes(tables, steps.wanted, spelled=spelled) else kube_record.fingerprint(tables)
    state = {
        "form": kube_record.FORM,
        "row": steps.digest,
        "packed": steps.packed,
        "udp": kube_flows.has_udp(steps.row),
        "kernel": kernel,
    }
    more = {"iptables": steps.iptables, "spelled": spelled, "health": _short(steps.health)}
    os.makedirs(record.HOME, mode=0o755, exist_ok=True)
    write_file(STATE, json.dumps({**state, **more}) + "\n")


# --- iptables ---------------------------------------------------------------------------------------------


def _version() -> str:
    """Of the iptables in use here, with its kind: ``iptables v1.8.9 (nf_tables)``."""
    return run(["iptables-restore", "--version"]).strip().replace("iptables-restore", "iptables")


def _room(version: str) -> kube_restore.Room | None:
    """How large a transaction may be. iptables-nft asks for a buffer of the size that it needs, which takes a right
    over the whole machine; without that, a transaction has to fit into an ordinary one."""
    if "nf_tables" not in version:
        return None
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as probe:
        size = probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, size)
        except PermissionError:
            return kube_restore.Room(size=size * 9 // 10)  # an estimate of messages may be wrong by a little
    return kube_restore.Room()


def _restore(rules: Mapping[str, Change], room: kube_restore.Room | None, row: ServicesRow | None) -> int:
    """Write it; the number of lines that were written."""
    if not rules:
        return 0
    text = kube_restore.restore_text(kube_restore.transactions(rules, room))
    try:
        run(["iptables-restore", "--wait", "5", "--noflush"], text)
    except HostError as error:
        raise HostError(_whose(str(error), text, row)) from error
    return text.count("\n")


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
    other = "legacy" if "nf_tables" in version else "nft"
    if network.missing_programs([f"iptables-{other}-save"]):
        return []
    if other == "legacy" and not text_of("/proc/net/ip_tables_names"):
        return []  # or it would make the tables that it looks for
    tables = parsed(run([f"iptables-{other}-save"]))
    count = sum(kube.is_ours(name) for chains in tables.values() for name in chains)
    if not count:
        return []
    mend = f"iptables-{other}-save -c | grep -v KUBE- | iptables-{other}-restore -c"
    return [
        f"iptables-{other} holds {count} KUBE chains as well, though this host uses {version}. Packets pass them too; "
        f"remove them with: {mend}"
    ]


# --- ipsets -------------------------------------------------------------------------------------------------


def _sets() -> set[str]:
    """Those of ours that are there. Where the kernel has none at all, asking would load its module."""
    if network.missing_programs(["ipset"]) or not os.path.isdir("/sys/module/ip_set"):
        return set()
    return {name for name in run(["ipset", "list", "-n"]).split() if name.startswith(SETS)}


def _missing_sets(row: ServicesRow) -> list[str]:
    wanted = services.sets(row)
    there = _sets() if wanted else set()
    return [
        f"create {name} hash:ip timeout {seconds} maxelem 65536"
        for name, seconds in wanted.items()
        if name not in there
    ]


def _stale_sets(row: ServicesRow | None) -> list[str]:
    return sorted(_sets() - set(services.sets(row) if row else ()))


# --- UDP connections ----------------------------------------------------------------------------------------


def _stale_flows(steps: Steps) -> list[kube_flows.Flow]:
    if not (kube_flows.has_udp(steps.row) or steps.known.get("udp")):
        return []
    old = kube_record.unpack(steps.known["packed"])[0] if steps.known else None
    found = kube_flows.flows(run(["conntrack", "-L", "-p", "udp"]))
    own = {address.split("/")[0] for link in network.links().values() for address in link["addresses"]}
    return kube_flows.stale(found, own, old, steps.row)


def _end_flows(steps: Steps) -> None:
    """By one command each, as kube-proxy does it. An entry may have ended by itself, so finding none is no error."""
    ends = run_all([(kube_flows.deletion(flow), None) for flow in _stale_flows(steps)])
    failed = [err.strip() for code, _, err in ends if code and "0 flow entries" not in err]
    if failed:
        raise HostError("\n".join(failed))


# --- health checks ------------------------------------------------------------------------------------------


def _health_text(row: ServicesRow) -> str:
    """What the server of health checks is told: the ready endpoints of this node, for each port that asks for them."""
    local: dict[str, set[str]] = {}
    ports: dict[str, str] = {}
    for port in row["ports"]:
        if port["health_check_node_port"]:
            service = port["service"]
            ports[str(port["health_check_node_port"])] = service
            here = [end for end in port["endpoints"] if end["node"] == row["node"]]
            local.setdefault(service, set()).update(end["address"] for end in here if end["ready"])
    told = {}
    for number, service in ports.items():
        namespace, _, name = service.partition("/")
        told[number] = {"namespace": namespace, "name": name, "endpoints": len(local[service])}
    text = json.dumps(told, sort_keys=True)
    return json.dumps({"version": _short(text), "services": told}, sort_keys=True) + "\n"


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _health_lives() -> bool:
    return containers.is_supervised(HEALTH) and is_wanted(HEALTH)


def _health_program() -> str:
    source: str | None = healthz.__loader__.get_source(healthz.__name__)  # type: ignore[union-attr]
    if source is None:
        raise HostError("the text of healthz.py did not come along")
    return source


def _health_program_is_new() -> bool:
    return text_of(f"{HEALTH}/program") == _health_program()


def _health_is_sound(known: Mapping[str, Any]) -> bool:
    state = text_of(f"{HEALTH}/{healthz.STATE}")
    return state is not None and _short(state) == known["health"] and _health_lives() and _health_program_is_new()


def _serve_health(state: str) -> list[str]:
    """Let it run, with this state; complaints about ports that it did not get."""
    if _health_is_sound({"health": _short(state)}):
        return []
    if _health_lives() and _health_program_is_new():
        write_file(f"{HEALTH}/{healthz.STATE}", state)
        tell_supervisor(HEALTH, b"h")
    else:
        stop_health()
        building = f"{SERVICES}/.new/kube-proxy"
        shutil.rmtree(building, ignore_errors=True)
        os.makedirs(f"{building}/logs")
        write_file(f"{building}/program", _health_program())
        write_file(f"{building}/{healthz.STATE}", state)
        write_file(f"{building}/run", HEALTH_SCRIPT.format(python=sys.executable or "/usr/bin/python3"), 0o755)
        os.rename(building, HEALTH)
        containers.ensure_supervisor()
        run(["s6-svscanctl", "-a", SERVICES])
    version = json.loads(state)["version"]
    wait_until(lambda: _listening().get("version") == version, seconds=10.0)
    failed: dict[str, str] = _listening().get("failed", {"10256": "its server does not start"})
    return [f"health checks at port {port} are not served: {words}" for port, words in failed.items()]


def _listening() -> dict[str, Any]:
    try:
        found = json.loads(text_of(f"{HEALTH}/{healthz.LISTENING}") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def stop_health() -> None:
    if containers.is_supervised(HEALTH):
        tell_supervisor(HEALTH, b"dx")
        wait_until(lambda: not containers.is_supervised(HEALTH), seconds=10.0)
        if containers.supervisor_runs():
            run(["s6-svscanctl", "-an", SERVICES])
    shutil.rmtree(HEALTH, ignore_errors=True)


# --- the end ------------------------------------------------------------------------------------------------


@dataclass
class Removal:
    """All of podlab's that is here; empty on a host that podlab has never been to, whoever's chains there are."""

    rules: dict[str, Change]
    sets: Sequence[str]
    iptables: str = ""

    def lines(self) -> list[str]:
        return [*kube_restore.commands(self.rules), *(f"ipset destroy {name}" for name in self.sets)]


def removal(tables: Tables) -> Removal:
    if _others(tables) or not tables:
        return Removal({}, [])
    rules = kube.removal(tables)
    return Removal(rules, _stale_sets(None), _version() if rules else "")


def remove(found: Removal) -> None:
    _restore(found.rules, _room(found.iptables), None)
    for name in found.sets:
        run(["ipset", "destroy", name])
