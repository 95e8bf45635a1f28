"""A host of the plan as a shell script that a person can read and run, and the script that takes it away again.

The lines are those that a run shows and its modules run (``changes/``), asked for a host that has nothing. Pure, but
for the names of site.yml's plays, which it borrows for its headings.
"""

from __future__ import annotations

import itertools
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..changes import ROUTE_PROTOCOL, script_text
from ..changes.actions import Action
from ..changes.kube_proxy import diff as kube_proxy_diff
from ..changes.kube_proxy import record as kube_record
from ..changes.kube_proxy import restore as kube_restore
from ..changes.kube_proxy import services
from ..changes.kube_proxy.actions import STATE
from ..changes.netfilter import rules
from ..changes.network import bridge, link_state, routes, vxlan
from ..changes.pods import pod_commands, pods, s6_commands
from ..changes.pods.actions import StartContainer
from ..changes.pods.paths import ALL_BUT_CLAIMS, CLAIMS, HOME, LOGS, RUN, RUN_MADE, SCAN_DIR
from ..changes.script_text import Section, Snippet, Typed
from ..changes.system import sysctls, systemd
from ..configs import HostConfigs, PodConfig, ServicesConfig, SystemConfig
from ..host import record
from ..host.kube_proxy import health_checks
from ..host.system import kernel
from ..planner.inputs.request import COMPONENTS
from ..programs import BY_ROLE
from ..records.observation import Observation, ObservedPod, ObservedSystem, Route

WIDTH = 118


@dataclass(frozen=True)
class HostPlan:
    """A node or a gateway. ``rows`` are its own of the plan, ``seen`` is what was observed of it, ``unfinished`` what
    the plan leaves for later."""

    name: str
    role: str
    rows: HostConfigs
    seen: Observation
    unfinished: tuple[str, ...] = ()

    @property
    def originals(self) -> dict[str, str]:
        """The settings before podlab. One that is not there yet comes with its kernel module, as podlab wants it."""
        wanted = self.rows["node"]["sysctls"]
        recorded = (self.seen["record"] or {}).get("sysctls", {})
        return {**wanted, **sysctls.originals(self.seen["sysctls"], wanted, recorded)}

    @property
    def pods(self) -> list[PodConfig]:
        return self.rows["pods"]["pods"] if "pods" in self.rows else []


def play_names(root: str) -> dict[str, str]:
    """Component -> what site.yml says it does."""
    plays = yaml.safe_load(Path(root, "site.yml").read_text("utf-8"))
    parted = [(play.get("hosts", "").partition(":")[0].partition("pending_")[2], play["name"]) for play in plays]
    return {component: name for component, name in parted if component in COMPONENTS}


def script(host: HostPlan, headings: Mapping[str, str]) -> str:
    """What makes of an empty host what the plan has for it."""
    private = (
        "# What lies in these two is root's alone: values of Secrets are among it.",
        f"mkdir -p -m 700 {RUN} {HOME}",
    )
    lines = [*_preface(host), "set -eu", *_ENVIRONMENT, *private]
    for component in COMPONENTS:
        if component in host.rows and (parts := [*_DO[component](host)]):
            lines += _component(headings[component], parts)
    remembered = {**host.rows["node"]["record"], "sysctls": host.originals}
    written = script_text.files(record.HOME, {"record.json": json.dumps(remembered, sort_keys=True) + "\n"})
    why = "podlab's own memory: what the settings were, and where everything in the cluster is."
    lines += _component("Remember it", [Section(why, [written, f"chmod 600 {record.PATH}"])])
    return "".join(f"{line}\n" for line in lines)


def undo(host: HostPlan, headings: Mapping[str, str]) -> str:
    """The inverse of ``script``: its components from the last to the first."""
    lines = [*_preface_of_undo(host), "set -u  # and on after an error: what is not there need not go", *_ENVIRONMENT]
    for component in reversed(COMPONENTS):
        if component in host.rows and (parts := [*_UNDO[component](host)]):
            lines += _component(f"Undo: {headings[component]}", parts)
    test = "if grep -E ' (/run|/var/lib)/podlab/' /proc/self/mountinfo"
    mounted = [f"umount -q {RUN}"] if host.role == "node" else []
    rest = [
        f"{test}; then echo 'this is mounted still, so nothing is deleted' >&2; exit 1; fi",
        *mounted,
        f"rm -rf {RUN}; if [ -d {CLAIMS} ]; then {ALL_BUT_CLAIMS}; else rm -rf {HOME}; fi",
    ]
    lines += _component("Forget it", [Section("Behind a mount may be files of somebody's.", [*rest])])
    return "".join(f"{line}\n" for line in lines)


# --- the frame --------------------------------------------------------------------------------------------

_ENVIRONMENT = ("umask 022", "cd /", "export PATH=$PATH:/usr/sbin:/sbin")


def _component(heading: str, parts: list[Section]) -> list[str]:
    rule = "-" * max(3, WIDTH - len(heading) - 7)
    lines = ["", "", f"# --- {heading} {rule}"]
    for part in parts:
        if part.typed:
            lines += ["", *_comment(part.why), *script_text.full(part.typed)]
    return lines


def _comment(text: str) -> list[str]:
    """Each line of the text is a paragraph."""
    indent: Any = {"initial_indent": "# ", "subsequent_indent": "# ", "break_on_hyphens": False}
    return [line for words in text.splitlines() for line in textwrap.wrap(words, WIDTH, **indent)]


def _preface(host: HostPlan) -> list[str]:
    packages = " ".join(sorted(set(BY_ROLE[host.role].values())))
    lines = [
        "#!/bin/sh",
        *_comment(
            f"What podlab makes of the host {host.name}, by hand. For a host that has nothing of it yet: an embedded "
            "one that has only been powered on, or a machine with these Debian packages, run by root there:"
        ),
        *(f"#   {line}" for line in textwrap.wrap(packages, WIDTH - 4)),
        *_comment(f"`./lab script --undo {host.name}` prints what takes it away again."),
    ]
    if missing := [*_missing(host)]:
        lines += ["#", "# What a script cannot bring:", *(line for words in missing for line in _item(words))]
    return [*lines, ""]


def _missing(host: HostPlan) -> Iterator[str]:
    if host.pods:
        yield "what containers have written and printed, and how often they were started: all begin anew"
    for row in host.pods:
        if row["restart_policy"] != "Always":
            yield f"the end of {_title(row)}, if it has come to it: it runs once more"
    for words in host.unfinished:
        yield f"what is yet to come once these pods are ready: {words}"


def _preface_of_undo(host: HostPlan) -> list[str]:
    lines = [
        "#!/bin/sh",
        *_comment(f"Takes away what `./lab script {host.name}` makes, or podlab itself on that host."),
    ]
    hooked = [_title(row) for row in host.pods if any("pre_stop" in item for item in row["containers"].values())]
    if host.pods:
        lines += _comment("Containers are ended at once: nobody waits for their terminationGracePeriodSeconds.")
    if hooked:
        lines += _comment(f"preStop hooks are not run; who has one: {', '.join(hooked)}.")
    return [*lines, ""]


def _item(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="# - ", subsequent_indent="#   ", break_on_hyphens=False)


def _title(row: PodConfig) -> str:
    return "pod " + row["netns"].replace("_", "/")


def _typed(found: Iterable[Action]) -> list[Typed]:
    return [line for action in found for line in action.commands()]


# --- components ---------------------------------------------------------------------------------------------

_SETTINGS = {
    "ip_forward": "A host that does not forward throws away what is not addressed to itself.",
    "bridge-nf-call-iptables": "What stays on the bridge passes iptables as well: answers of services have to.",
    "send_redirects": "It sends packets out where they came in, and must not tell anybody of a shorter way.",
    "rp_filter": "Packets of the outside come by the gateway, whatever way this host would send them itself.",
    "route_localnet": "A port of the host at 127.0.0.1 may lead to a pod (hostPort, nodePort).",
}
_CHAINS = {
    "PODLAB-EGRESS": "who leaves with the host's address, because nobody out there knows the way to a pod",
    "PODLAB-FORWARD": "pods' packets pass, also where Docker has made dropping the rule, or a firewall ends with it",
    "PODLAB-INPUT": "and the node hears answers to its calls, verify, and the overlay, where its firewall hears nobody",
    "PODLAB-HOSTPORTS": "ports of the host that lead to a pod",
    "PODLAB-MARK-MASQ": "who has to come back by the host, is marked",
    "PODLAB-MASQ": "and leaves with its address",
    "PODLAB-LOCALHOST": "nobody else reaches 127.0.0.1 of the host",
}


def _system(host: HostPlan) -> Iterator[Section]:
    """Without the unit: what it replays a script has not been told."""
    if found := _drop_ins(host):
        why = "Who looks after the host's network leaves alone podlab's links, and all routes that are not its own."
        yield Section(why, _typed(systemd.steps({**_seen_system(host), "files": {}}, found, "").actions()))


def _system_undone(host: HostPlan) -> Iterator[Section]:
    if found := _drop_ins(host):
        it = _seen_system(host)
        yield Section("", _typed(systemd.removal({**it, "files": systemd.files(it, found), "keeps": False}).actions()))


def _drop_ins(host: HostPlan) -> SystemConfig | None:
    row: SystemConfig = {"boot": False, "links": host.rows["system"]["links"]}
    return row if systemd.files(_seen_system(host), row) else None


def _seen_system(host: HostPlan) -> ObservedSystem:
    seen: ObservedSystem = host.seen.get("system", {})
    return {"daemons": seen.get("daemons", [])}


def _node(host: HostPlan) -> Iterator[Section]:
    if host.role == "node":
        why = (
            "A file system of podlab's own, for what is run when a container starts: where systemd is, no program may "
            "be started from /run."
        )
        yield Section(why, [" ".join(argv) for argv in RUN_MADE])
        test = "[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]"
        load = f"{test} || modprobe -a {' '.join(kernel.MODULES)}"
        yield Section("The kernel loads the other modules by itself when they are used.", [load])
    yield from _settings(sysctls.changes({}, host.rows["node"]["sysctls"], {}))


def _settings(wanted: Mapping[str, str]) -> Iterator[Section]:
    for why, keys in itertools.groupby(wanted, lambda key: _SETTINGS.get(key.rpartition(".")[2], "")):
        yield Section(why, [sysctls.line(key, wanted[key]) for key in keys])


def _node_undone(host: HostPlan) -> Iterator[Section]:
    values = sysctls.changes(host.rows["node"]["sysctls"], {}, host.originals)
    own = {key: value for key, value in values.items() if key not in sysctls.GUARDED}
    yield Section("Settings as they were.", [sysctls.line(key, value) for key, value in own.items()])


def _bridge(host: HostPlan) -> Iterator[Section]:
    why = (
        "Its address is the pods' gateway. Its MAC address is pinned: else it would be that of a port, and go with it."
    )
    yield Section(why, _typed(bridge.actions({}, host.rows["bridge"])))


def _bridge_undone(host: HostPlan) -> Iterator[Section]:
    row, name = host.rows["bridge"], host.rows["bridge"]["name"]
    yield Section("", [f"ip {line}" for line in bridge.removal({name: link_state.made("bridge", row)}, name)])


def _pods(host: HostPlan) -> Iterator[Section]:
    found, programs = pods.changes({}, {}, host.pods), s6_commands.programs(host.rows["pods"]["programs"])
    yield from pod_commands.network(found)
    yield Section(
        "Programs that podlab brings for containers: from its directory images/, and "
        f"{s6_commands.program_source('enter')} and kubelet/. They are long; the pods go on after them.",
        [*programs, s6_commands.BUSYBOX],
    )
    yield from pod_commands.processes(found)
    if _starts_containers(found):
        loop = f"for service in {SCAN_DIR}/*; do until s6-svok $service; do sleep 0.1; done; done"
        yield Section("The supervisor takes a moment.", [loop])


def _starts_containers(found: Iterable[Action]) -> bool:
    return any(isinstance(action, StartContainer) for action in found)


def _pods_undone(host: HostPlan) -> Iterator[Section]:
    """``ends`` is asked for a host on which all of these pods run."""
    there: dict[str, ObservedPod] = {
        row["netns"]: {**pods.ABSENT, "sandbox": True, "row": row, "services": list(row["containers"])}
        for row in host.pods
    }
    if there:
        why = "A container ends with its process 1. Without their finish scripts none of them waits for a next start."
        yield Section(why, [*s6_commands.END])
    if any(map(pods.needs_kubelet, host.pods)):
        yield Section("The kubelet goes first, or it would care.", [s6_commands.end(s6_commands.KUBELET)])
    yield from pod_commands.ends(pods.changes({}, there, []))
    if there:
        yield Section("The supervisor has nobody left to watch over.", [s6_commands.SUPERVISOR_END])
        mounts = [pod_commands.NETNS_MOUNTS_UNDONE, f"rmdir --ignore-fail-on-non-empty {LOGS}"]
        yield Section(
            "What all pods had together. Others may have named namespaces, and logs, in the same place.", [*mounts]
        )


def _routes(host: HostPlan) -> Iterator[Section]:
    steps = routes.steps({}, {}, [], host.rows["routes"])
    yield Section(
        "The overlay's end on this host: a device that packs what goes out by it into UDP packets. Each other node has "
        "an address in the overlay, with a MAC address (neigh);",
        _typed(steps.device),
    )
    yield Section(
        "A node answers a pod by the overlay, where the pod asked it by the uplink.",
        _typed(steps.settings),
    )
    yield Section(
        "and each MAC address is at a node, where the packets are sent to (fdb).",
        _typed(steps.entries),
    )
    yield Section(f"{ROUTE_PROTOCOL} is podlab's mark on a route.", _typed([*steps.relayed, *steps.routes]))


def _routes_undone(host: HostPlan) -> Iterator[Section]:
    row = host.rows["routes"]
    there: list[Route] = [
        {"to": way["to"], "via": way["via"], "dev": way.get("dev"), "protocol": str(ROUTE_PROTOCOL)}
        for way in row["routes"]
    ]
    links = {overlay["name"]: link_state.made("vxlan", overlay)} if (overlay := row["vxlan"]) else {}
    yield Section("", [f"ip {line}" for line in [*routes.removal(there), *vxlan.removal(links)]])


def _egress(host: HostPlan) -> Iterator[Section]:
    tables = host.rows["egress"]
    for table, row in tables.items():
        known = [f"{name}: {_CHAINS[name]}." for name in row["chains"] if name in _CHAINS]
        yield Section("\n".join(known), [*rules.commands(table, rules.changes({}, row))])
    yield from _settings(rules.sysctls(tables))


def _egress_undone(host: HostPlan) -> Iterator[Section]:
    tables = host.rows["egress"]
    for table, row in tables.items():
        yield Section("", [*rules.commands(table, rules.removal({**row["chains"], **row["jumps"]}))])


_KUBE = {
    "mangle": "kube-proxy's canary, here and below: nobody comes to it. If it is gone, somebody has emptied the table.",
    "filter": "KUBE-SERVICES, KUBE-EXTERNAL-SERVICES: who calls a Service that has nobody behind it is refused, or "
    "hears nothing where there are only endpoints elsewhere.\n"
    "KUBE-PROXY-FIREWALL: who is in none of a load balancer's source ranges.\n"
    "KUBE-FORWARD: what belongs to a Service passes. KUBE-NODEPORTS: and so do health checks.\n"
    "KUBE-FIREWALL: nobody else reaches 127.0.0.1 of the host.",
    "nat": "KUBE-SERVICES: from each address of a Service to its chain; KUBE-NODEPORTS: from its node port.\n"
    "KUBE-EXT-: who came from outside. KUBE-FW-: by a load balancer that lets in only some.\n"
    "KUBE-SVC- picks an endpoint, KUBE-SVL- one on this node; KUBE-SEP- sends there (DNAT).\n"
    "KUBE-MARK-MASQ, KUBE-POSTROUTING: who has to come back by the host, is marked, and leaves with its address.",
}


def _services(host: HostPlan) -> Iterator[Section]:
    row: ServicesConfig = host.rows["services"]
    wanted, health = services.tables(row), health_checks.state_of(row)
    sets = [f"ipset create {name} {kube_restore.set_words(seconds)}" for name, seconds in services.sets(row).items()]
    yield Section("Clients of each endpoint that want to meet the same one again (sessionAffinity).", [*sets])
    yield from _restored(kube_proxy_diff.changes({}, wanted), _KUBE)
    open_already = rules.sysctls(host.rows["egress"])
    yield from _settings({key: it for key, it in services.sysctls_of(row).items() if key not in open_already})
    if not _starts_containers(pods.changes({}, {}, host.pods)):
        yield Section("The supervisor, here of one service alone.", [s6_commands.supervisor()])
    files = health_checks.files(health, "/usr/bin/python3")
    why = "What load balancers ask a node: whether kube-proxy is well, and whether a Service has endpoints here."
    yield Section(why, [s6_commands.health_checks(files)])
    kernel = kube_record.fingerprint(kube_record.after({}, wanted, {}))
    told = kube_record.state(row, *kube_record.unpack(row), kernel=kernel, health=health_checks.digest(health))
    home, name = STATE.rsplit("/", 1)
    written = script_text.files(home, {name: json.dumps(told, sort_keys=True) + "\n"})
    yield Section("What the rules were made of, so that a run need not ask.", [f"mkdir -p {home}", written])


def _services_undone(host: HostPlan) -> Iterator[Section]:
    row: ServicesConfig = host.rows["services"]
    there: Mapping[str, str] = host.rows["node"]["sysctls"]
    values = sysctls.closing(there, {}, host.originals)
    why = "What a chain guards, here or in a section below, is as it was before the chain goes."
    yield Section(why, [sysctls.line(key, value) for key, value in values.items()])
    yield Section("The health checks.", [s6_commands.end(s6_commands.KUBE_PROXY).summary])
    if not host.pods:
        yield Section("The supervisor has nobody left to watch over.", [s6_commands.SUPERVISOR_END])
    yield from _restored(kube_proxy_diff.removal(kube_record.after({}, services.tables(row), {})), {})
    yield Section("", [f"ipset destroy {name}" for name in services.sets(row)])


def _restored(rules: Mapping[str, kube_proxy_diff.Change], why: Mapping[str, str]) -> Iterator[Section]:
    """Each table is written at once, where it is not too long for that."""
    for table, steps in itertools.groupby(kube_restore.transactions(rules, kube_restore.ANYWHERE), lambda it: it[0]):
        text = kube_restore.restore_text(steps)
        lines = ("iptables-restore --wait 5 --noflush <<'END'", *text.splitlines(), "END")
        yield Section(why.get(table, ""), [Snippet(f"# iptables-restore, table {table}", lines)])


_DO: dict[str, Callable[[HostPlan], Iterator[Section]]] = {
    **{"node": _node, "bridge": _bridge, "pods": _pods, "routes": _routes, "egress": _egress},
    **{"services": _services, "system": _system},
}
_UNDO: dict[str, Callable[[HostPlan], Iterator[Section]]] = {
    **{"node": _node_undone, "bridge": _bridge_undone, "pods": _pods_undone, "routes": _routes_undone},
    **{"egress": _egress_undone, "services": _services_undone, "system": _system_undone},
}
