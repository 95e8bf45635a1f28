"""The component of services on a host: whose rules are whose, and what is missing on a bare host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.actions import lines
from podlab.changes.kube_proxy import record as kube_record
from podlab.changes.kube_proxy import services as rules
from podlab.changes.kube_proxy.actions import RestoreChains
from podlab.changes.kube_proxy.diff import Change
from podlab.changes.system.sysctls import LOCALNET
from podlab.host import actions, record
from podlab.host.kube_proxy import conntrack as host_conntrack
from podlab.host.kube_proxy import health_checks, ipsets, iptables, runners, services, state
from podlab.host.network import network, nft_generation
from podlab.host.run import HostError
from podlab.host.system import foreign_kubernetes
from tests.unit.test_kube_proxy_rules import endpoint, port, row

TOLD = row(port(endpoint("10.1.1.2"), node_port=30080))
TABLES = {table: part["chains"] for table, part in rules.tables(TOLD).items()}

OPEN = f"sysctl -w {LOCALNET}=1"


class Host:
    """One whose files are in a directory, and whose programs are these functions."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.tables: Any = {}
        self.ran: list[str] = []
        self.refuses = ""
        self.sysctls = {LOCALNET: "0"}
        patch.setattr(record, "HOME", str(home))
        patch.setattr(record, "PATH", f"{home}/record.json")
        patch.setattr(state, "STATE", f"{home}/services.json")
        patch.setattr(nft_generation, "PATH", f"{home}/iptables.json")
        for module in (iptables, runners):
            patch.setattr(module, "run", self.run)
        patch.setattr(host_conntrack, "run", self.run)
        patch.setattr(ipsets, "names", set)
        patch.setattr(network, "saved", lambda: self.tables)
        patch.setattr(network, "missing_programs", lambda names: [])
        patch.setattr(network, "read_sysctls", lambda keys: {key: self.sysctls[key] for key in keys})
        patch.setattr(actions, "write_sysctl", lambda key, value: self.sysctls.update({key: value}))
        patch.setattr(network, "write_sysctl", lambda key, value: self.sysctls.update({key: value}))
        patch.setattr(foreign_kubernetes, "at_home", lambda: "")
        patch.setattr(health_checks, "actions", lambda state, warnings: [])

    def run(self, argv: list[str], text: str | None = None) -> str:
        words = " ".join(argv)
        self.ran.append(words)
        if self.refuses and words.startswith(self.refuses):
            raise HostError(f"{words}: no")
        return "iptables-restore v1.8.9 (legacy)\n" if words == "iptables-restore --version" else ""


def written(found: actions.Todo) -> dict[str, Change]:
    """Table -> what is restored in it."""
    return {
        table: it
        for action in found.actions
        if isinstance(action, RestoreChains)
        for table, it in action.changes.items()
    }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


# --- whose they are -----------------------------------------------------------------------------------------


def test_chains_without_any_record_are_somebody_elses_unless_there_are_marks(host: Host) -> None:
    host.tables = TABLES
    _, seen = services.observe()
    assert seen["others"][0] == "mangle KUBE-PROXY-CANARY"
    with pytest.raises(HostError, match="podlab has not made it"):
        services.changes(TOLD)
    left = services.removal(host.tables, is_marked=False)
    assert left.actions == []
    assert left.warnings == [
        "chain KUBE-PROXY-CANARY of table mangle and others of kube-proxy's names stay: nothing here says that they "
        "are podlab's"
    ]
    assert lines(services.removal(host.tables, is_marked=True).actions)


def test_chains_of_a_node_that_has_lost_what_it_was_told_of_services_are_mended(host: Host) -> None:
    record.write({"node": "node1", "cluster": {}})
    host.tables = TABLES
    changes = written(services.changes(TOLD))
    assert all(not change.new and not change.rewritten for change in changes.values()), "they are those of before"


def test_no_chain_of_a_host_with_a_real_kube_proxy_goes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.tables = TABLES
    monkeypatch.setattr(foreign_kubernetes, "at_home", lambda: "kube-proxy runs here (process 7)")
    left = services.removal(host.tables, is_marked=True)
    assert (left.actions, left.warnings) == (
        [],
        ["the KUBE chains stay: kube-proxy runs here (process 7), and they may be its own"],
    )


def test_what_is_on_a_gateway_is_in_nobodys_way(host: Host) -> None:
    host.tables = TABLES
    assert services.observe("gateway")[1]["others"] == []
    assert services.removal(host.tables, is_marked=False).actions == []


def test_a_run_that_is_killed_still_owns_what_it_has_written(host: Host) -> None:
    found = services.changes(TOLD)
    host.refuses = "iptables-restore --wait"
    with pytest.raises(HostError):
        actions.apply(found.actions)
    host.tables = TABLES
    _, seen = services.observe()
    assert (seen["others"], seen["sound"]) == ([], False)
    assert lines(services.removal(host.tables, is_marked=False).actions)
    assert "nat" in written(services.changes(TOLD)), "and goes on from there"


def test_a_run_that_is_killed_leaves_known_what_was_there_before(host: Host) -> None:
    before = row(port(endpoint("10.1.1.9"), protocol="udp"))
    known = dict(kube_record.state(before, *kube_record.unpack(before), kernel="sound", iptables="legacy"))
    (host.home / "services.json").write_text(json.dumps(known))
    found = services.changes(TOLD)
    host.refuses = "iptables-restore --wait"
    with pytest.raises(HostError):
        actions.apply(found.actions)
    assert state.remembered() == {**known, "kernel": ""}


# --- a bare host --------------------------------------------------------------------------------------------


def test_a_rehearsal_on_a_bare_host_needs_no_program(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check mode installs nothing."""
    monkeypatch.setattr(network, "missing_programs", list)
    host.refuses = " "
    udp = port(endpoint("10.1.1.2"), service="kube-system/dns", protocol="udp", cluster_ip="10.96.0.53")
    found = services.changes(row(udp, port(endpoint("10.1.1.2"))))
    assert any("-A KUBE-SERVICES" in line for line in lines(found.actions))
    assert (host.ran, found.warnings) == ([], [])


# --- what a rule has to guard -------------------------------------------------------------------------------


def test_node_ports_at_localhost_are_opened_when_their_guard_stands(host: Host) -> None:
    found = services.changes(TOLD)
    typed = lines(found.actions)
    assert "iptables -t filter -I INPUT 1 -j KUBE-FIREWALL" in typed[: typed.index(OPEN)]
    host.refuses = "iptables-restore --wait"
    with pytest.raises(HostError):
        actions.apply(found.actions)
    assert host.sysctls == {LOCALNET: "0"}, "no guard, no door"
    host.refuses = ""
    actions.apply(found.actions)
    assert host.sysctls == {LOCALNET: "1"}
    assert record.known()["sysctls"] == {LOCALNET: "0"}, "teardown has to know, even where nobody else has told it"


def test_and_closed_before_it_goes(host: Host) -> None:
    record.write({"sysctls": {LOCALNET: "0"}})
    (host.home / "services.json").write_text(json.dumps(kube_record.state(TOLD, *kube_record.unpack(TOLD))))
    host.sysctls, host.tables = {LOCALNET: "1"}, TABLES
    closed: Any = {**TOLD, "localhost_node_ports": False}
    assert lines(services.changes(closed).actions)[0] == f"sysctl -w {LOCALNET}=0"
    guarded = {**TABLES, "filter": {**TABLES["filter"], "PODLAB-LOCALHOST": []}}
    host.tables = guarded
    assert not any("sysctl" in line for line in lines(services.changes(closed).actions)), (
        "host ports need it, and guard it"
    )


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1/32"], ["0.0.0.0/0"], ["10.100.0.0/24"]])
@pytest.mark.parametrize("localhost", [True, False])
def test_what_is_opened_is_guarded(addresses: list[str], localhost: bool) -> None:
    told = row(port(node_port=30080), localhost_node_ports=localhost, node_port_addresses=addresses)
    guard = rules.tables(told)["filter"]["chains"]["KUBE-FIREWALL"]
    assert bool(rules.sysctls_of(told)) is bool(guard) is (localhost and addresses != ["10.100.0.0/24"])
