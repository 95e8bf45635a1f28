"""How the actions of services are run."""

from __future__ import annotations

from collections.abc import Sequence

from ...changes.kube_proxy import actions
from ...changes.kube_proxy import diff as kube_proxy_diff
from ...changes.kube_proxy import record as kube_record
from ...configs import ServicesConfig
from ..actions import runs
from ..network import network, nft_generation
from ..run import run
from . import health_checks, iptables, state

MOST_TRUSTED = 1000  # lines
KNOWN = ("iptables v1.8.9 (legacy)", "iptables v1.8.9 (nf_tables)")
"""Those that print what they read, as the tests hold: to read a hundred thousand rules again takes a second."""


@runs(actions.OwnChains)
def _own_chains(found: Sequence[actions.OwnChains]) -> None:
    for it in found:
        if it.known:
            state.remember({**it.known, "kernel": ""})
            continue
        nothing: ServicesConfig = {**it.row, "ports": []}  # which is what was there before
        packed = kube_record.pack(nothing)
        state.remember(kube_record.state(packed, *kube_record.unpack(packed)))


@runs(actions.MakeSets)
def _make_sets(found: Sequence[actions.MakeSets]) -> None:
    for it in found:
        run(["ipset", "-exist", "restore"], "".join(f"{line}\n" for line in it.lines))


@runs(actions.DestroySet)
def _destroy_sets(found: Sequence[actions.DestroySet]) -> None:
    for it in found:
        run(["ipset", "destroy", it.name])


@runs(actions.RestoreChains)
def _restore_chains(found: Sequence[actions.RestoreChains]) -> None:
    for it in found:
        iptables.restore(it)


@runs(actions.ReloadHealthChecks)
def _reload_health_checks(found: Sequence[actions.ReloadHealthChecks]) -> None:
    for it in found:
        it.warnings.extend(health_checks.reload(it.state))


@runs(actions.StartHealthChecks)
def _start_health_checks(found: Sequence[actions.StartHealthChecks]) -> None:
    for it in found:
        it.warnings.extend(health_checks.start(it.state))


@runs(actions.RecordServices)
def _record_services(found: Sequence[actions.RecordServices]) -> None:
    for it in found:
        _record(it)


def _record(it: actions.RecordServices) -> None:
    transactions = it.restored.transactions if it.restored else ()
    written = sum(len(lines) for _, lines in transactions)
    spelled, kernel, tables = it.known["spelled"] if it.known else {}, it.kernel, it.tables
    at = it.generation and (it.generation[0], it.generation[1] + len(transactions))
    is_new = not it.known or it.known["iptables"] != it.iptables or written > MOST_TRUSTED
    if spelled or (is_new and it.iptables not in KNOWN):
        # What this iptables has once printed as it was written, it will print so again.
        at = nft_generation.now() if iptables.is_nft(it.iptables) else None
        tables = network.saved()
        if kube_record.fingerprint(tables) != kernel:
            spelled = kube_record.printed_forms(tables, it.wanted)
            # Where it is not as it was written all the same, the next run shall see that.
            differing = kube_proxy_diff.changes(tables, it.wanted, spelled=spelled)
            kernel = "" if differing else kube_record.fingerprint(tables)
    kept = kube_record.state(
        it.packed, it.row, it.digest, kernel=kernel, iptables=it.iptables, spelled=spelled, health=it.health
    )
    state.remember(kept)
    # Every COMMIT counts one; if there is another one, it was somebody else's, and may have been about anything.
    if kernel and at and at == nft_generation.now():
        nft_generation.remember({"at": at, "kernel": kernel, "others": kube_record.others(tables)})
    else:
        nft_generation.forget()
