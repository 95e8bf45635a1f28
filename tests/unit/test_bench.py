"""What ``./lab bench`` makes of what it has measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import (
    by_hand,
    figures,
    iptables,
    labs,
    memory,
    packages,
    peers,
    planning,
    report,
    service_planning,
    service_traffic,
)
from bench.bench_run import BenchRun
from bench.catalogue import ALL
from bench.figures import Limit, Row, as_much_as_peer, at_most, times_faster, times_peer
from bench.processes import Failed, NotHere, run
from cli.develop import bench as verb
from cli.errors import CommandError
from podlab.changes.kube_proxy import diff as kube_proxy_diff
from podlab.changes.kube_proxy import restore as kube_restore
from podlab.changes.kube_proxy import services
from podlab.changes.netfilter import iptables_save
from podlab.controller import transport
from tests.unit.test_kube_proxy_rules import endpoint, port
from tests.unit.test_kube_proxy_rules import row as services_row

MACHINE = {"words": "2 cores, Linux 6.18, 24 GiB, as root"}


def row(value: float, limit: Limit | None = None, peer: float | None = None, **more: object) -> Row:
    theirs = () if peer is None else (peer,)
    return Row("what", "s", (value,), limit, "peer" if peer else "", theirs, **more)  # type: ignore[arg-type]


# --- figures ------------------------------------------------------------------------------------------


def test_medians_and_their_ratio() -> None:
    found = Row("what", "s", (9.0, 1.0, 2.0), None, "peer", (4.0, 8.0))
    assert (found.value, found.peer_value, found.ratio) == (2.0, 6.0, 1 / 3)


def test_of_pairs_the_ratio_is_the_median_of_theirs() -> None:
    """The machine was three times slower in the middle: medians of both sides say 1, each pair says 1.1."""
    found = Row("what", "s", (1.1, 3.3, 1.1), None, "peer", (1.0, 3.0, 1.0), paired=True)
    assert found.ratio == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (row(12.0, at_most(12, "s")), "ok"),
        (row(12.1, at_most(12, "s")), "over"),
        (row(12.1), ""),
        (row(1.5, times_peer(1.5), 1.0), "ok"),
        (row(1.6, times_peer(1.5), 1.0), "over"),
        (row(2.0, times_faster(50), 100.0), "ok"),
        (row(2.1, times_faster(50), 100.0), "over"),
        (row(0.97, as_much_as_peer(0.03, more_is_better=True), 1.0), "ok"),
        (row(0.96, as_much_as_peer(0.03, more_is_better=True), 1.0), "over"),
        (row(2.00, as_much_as_peer(0.03, more_is_better=True), 1.0), "ok"),
        (row(1.03, as_much_as_peer(0.03, more_is_better=False), 1.0), "ok"),
        (row(1.04, as_much_as_peer(0.03, more_is_better=False), 1.0), "over"),
        (row(1.0, times_peer(1.5)), "not here"),
        (Row("what", "s", limit=at_most(1, "s")), "not here"),
        (Row("what", "s", (1.0,), peer="mininet"), "not here"),
    ],
)
def test_verdicts(measured: Row, verdict: str) -> None:
    assert measured.verdict == verdict


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.00783, "0.00783"),
        (0.2971, "0.297"),
        (1.0, "1"),
        (1.054, "1.05"),
        (12.34, "12.3"),
        (12.0, "12"),
        (99.96, "100"),
        (116.2, "116"),
        (4321.9, "4,322"),
    ],
)
def test_numbers_have_the_digits_that_matter(value: float, words: str) -> None:
    assert figures.shown(value) == words


# --- the table ----------------------------------------------------------------------------------------


def test_a_line_of_the_table() -> None:
    measured = row(1.234, times_peer(1.5), 1.0, note="a word more")
    first, second = report.line(measured).splitlines()
    assert first.split() == ["what", "1.23", "s", "peer", "1", "s", "1.23", "1.5", "x", "ok"]
    assert second.strip() == "a word more"
    heads = report.head()
    assert first.index("1.23 s") == heads.index("podlab")
    assert first.index("ok") > heads.index("limit")


def results(**benchmarks: Row) -> report.Results:
    return {name: report.result([measured], MACHINE, 3) for name, measured in benchmarks.items()}


def test_a_page_has_every_row_the_machine_once_and_the_notes() -> None:
    text = report.markdown(results(pods=row(1.0, at_most(2, "s")), links=row(1.0, times_peer(1), note="a word more")))
    assert text.splitlines() == [
        "| what | podlab | peer | ratio | limit | |",
        "|---|---|---|---|---|---|",
        "| **pods** | | | | | |",
        "| what | 1 s |  |  | 2 s | ok |",
        "| **links** | | | | | |",
        "| what | 1 s |  |  | 1 x | not here |",
        "",
        "2 cores, Linux 6.18, 24 GiB, as root; medians of 3.",
        "",
        "- links, what: a word more",
    ]


def test_a_page_tells_machines_apart() -> None:
    both = results(pods=row(1.0)) | {"links": report.result([row(1.0)], {"words": "64 cores"}, 1)}
    assert "pods: 2 cores, Linux 6.18, 24 GiB, as root; medians of 3.\nlinks: 64 cores; medians of 1.\n" in (
        report.markdown(both)
    )


def test_json_holds_all_of_it_and_gives_it_back(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    measured = Row(
        "what", "us", (1.0, 2.0), as_much_as_peer(0.03, more_is_better=False), "peer", (1.0, 2.0), True, "so"
    )
    report.write(file, results(pods=measured))
    (body,) = json.loads(file.read_text())["benchmarks"]["pods"]["rows"]
    assert (body["ratio"], body["verdict"], body["limit"]["most"]) == (1.0, "ok", 1.03)
    assert figures.from_json(body) == measured
    assert report.read(file) == results(pods=measured)
    assert report.read(tmp_path / "none") == {}


def test_what_is_measured_anew_takes_the_place_of_the_old_and_the_rest_stays() -> None:
    before, now = results(growth=row(1.0), links=row(1.0)), results(pods=row(3.0), links=row(2.0))
    both = report.merged(before, now, list(ALL))
    assert list(both) == ["pods", "links", "growth"]
    assert both["links"] == now["links"]


# --- the verb -----------------------------------------------------------------------------------------


def test_every_benchmark_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.listed() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(ALL)
    assert all(len(line.split()) > 5 for line in lines)


def test_a_benchmark_that_there_is_not_is_named() -> None:
    with pytest.raises(CommandError, match="no benchmark 'pod'; there are: pods, links"):
        verb.run(["pod"], 1, "", markdown=False)


def test_an_earlier_run_is_shown_and_ends_as_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    report.write(file, results(pods=row(1.0, at_most(2, "s")), links=row(3.0, at_most(2, "s"))))
    assert verb.show(str(file), ["pods"], markdown=False) == 0
    assert "links" not in capsys.readouterr().out
    assert verb.show(str(file), [], markdown=True) == 1
    assert "| what | 3 s |  |  | 2 s | over |" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no such file"):
        verb.show(str(tmp_path / "none"), [], markdown=False)


def test_rounds_say_what_is_going_on() -> None:
    said: list[str] = []
    assert list(BenchRun(2, said.append).rounds("pods")) == [0, 1]
    assert said == ["pods (1 of 2)", "pods (2 of 2)"]


# --- what it is measured with -------------------------------------------------------------------------


def test_what_a_program_says_when_it_fails_is_told() -> None:
    with pytest.raises(Failed, match=r"sh -c .*: exit code 3\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])
    assert run(["cat"], "text").out == "text"


def test_changes_are_counted_over_all_hosts() -> None:
    recap = "node1 : ok=3 changed=2 unreachable=0\nnode2 : ok=3 changed=1 unreachable=0\n"
    assert labs.changed(recap) == 3
    with pytest.raises(Failed, match="no recap"):
        labs.changed("ERROR! the playbook could not be found")


def test_an_inventory_has_its_nodes_beside_the_gateway(tmp_path: Path) -> None:
    made = labs.BenchLab("bench-x", tmp_path)
    made.has_nodes(2, podlab_pod_routing="vxlan")
    inventory = json.loads(made.inventory.read_text())["all"]
    groups = inventory["children"]["embedded"]["children"]
    assert inventory["vars"] == {"podlab_pod_routing": "vxlan"}
    assert {name: host["ansible_host"] for name, host in groups["nodes"]["hosts"].items()} == {
        name: labs.address(name) for name in ("node1", "node2")
    }
    assert groups["gateways"]["hosts"]["gateway"]["ansible_host"] == labs.address("gateway")


def test_all_that_has_come_from_a_process_is_below_it() -> None:
    found = memory.below(1)
    assert found[0] == 1
    assert len(found) == len(set(found))


def test_a_watch_sees_what_is_started_meanwhile_and_nothing_that_was_there() -> None:
    program = "block = bytearray(64 << 20); print(flush=True); input()"
    argv = [sys.executable, "-c", program]
    watch = memory.Watch()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        with watch:
            watch.look()
        assert watch.here == 0
        watch._before.clear()
        watch.look()
        process.communicate("\n")
    assert watch.here > 64
    assert watch.there == 0


def test_by_hand_every_way_gives_each_pod_an_address_of_its_node() -> None:
    pods = {"a": "node1", "b": "node1", "c": "node2"}
    assert by_hand.addresses(pods) == {"a": "10.1.1.2", "b": "10.1.1.3", "c": "10.1.2.4"}
    for way in ("gateway", "host-gw", "vxlan"):
        scripts = by_hand.scripts(way, pods)
        assert "ip -n c addr add 10.1.2.4/24 dev eth0" in scripts["node2"]
        assert " 10.1.2.0/24 via " in scripts["node1"]
        assert ("mtu 1450" in scripts["node1"]) == (way == "vxlan")
        assert bool(scripts["gateway"].strip()) == (way == "gateway")


def test_looped_tasks_make_what_a_pod_needs() -> None:
    (play,) = peers._looped_play({"name": "cbr0"}, [{"netns": "p", "veth": "v", "address": "a", "gateway": "g"}])
    commands = [task["ansible.builtin.command"] for task in play["tasks"]]
    assert len([task for task in play["tasks"] if "loop" in task]) == 6
    assert commands[:2] == ["ip link add cbr0 type bridge", "ip link set cbr0 up"]
    assert "ip link set {{ item.veth }} master cbr0 up" in commands


def test_a_package_that_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="the Debian package no-such-thing is neither installed"):
        packages._fetched("no-such-thing")


def test_a_cluster_that_stands_has_nothing_to_do() -> None:
    """The made-up hosts are what the plan takes for its own work; ``measure`` ends the process if they are not."""
    found = planning.measure(5, again=True)
    assert found["pods"] == planning.DEPLOYMENTS * (5 * planning.PODS // planning.DEPLOYMENTS)
    assert found["first_cpu"] > 0


# --- services -----------------------------------------------------------------------------------------

WEB, API = "default/web", "default/api"
BOTH = [
    port(endpoint("10.1.1.2"), endpoint("10.1.1.3"), service=name, port_name="", cluster_ip=ip)
    for name, ip in ((WEB, "10.96.0.10"), (API, "10.96.0.11"))
]


def saved() -> str:
    """As ``iptables-save -c`` prints it. What is counted is each rule's number."""
    row = services_row(*sorted(BOTH, key=lambda each: each["service"]))
    lines = []
    for table, content in services.tables(row).items():
        rules = [f"{chain} {rule}" for chain, rules in content["chains"].items() for rule in rules]
        lines += [f"*{table}", *(f"[{number}:60] -A {rule}" for number, rule in enumerate(rules)), "COMMIT"]
    return "\n".join(lines)


def test_the_way_to_each_service_in_the_order_of_the_rules() -> None:
    plain = saved().replace("] -A", "]\n-A")
    assert list(iptables.portals(plain).items()) == [(API, "10.96.0.11"), (WEB, "10.96.0.10")]


def test_the_chains_of_a_service_are_its_own_and_nobody_elses() -> None:
    counted = iptables.counters(saved())
    web, api = (iptables.own_chains(counted, name) for name in (WEB, API))
    assert sorted(chain[:8] for chain in web) == ["KUBE-SEP", "KUBE-SEP", "KUBE-SVC"]
    assert not web & api


def test_a_line_about_anything_but_a_services_own_chains_is_seen() -> None:
    before = services.tables(services_row(*BOTH))
    there = {table: {**content["chains"], **content["jumps"]} for table, content in before.items()}
    wanted = services.tables(services_row({**BOTH[0], "port": 81}, BOTH[1]))
    shown = kube_restore.commands(kube_proxy_diff.changes(there, wanted))
    typed = iptables.typed("\n".join(["TASK [Turn Services into rules]", *shown, "changed: [node1]"]))
    assert typed == shown
    counted = iptables.counters(saved())
    assert len(typed) > 3
    assert iptables.of_others(typed, iptables.own_chains(counted, WEB)) == []
    assert iptables.of_others(typed, iptables.own_chains(counted, API)) == typed
    for line in ("iptables -t nat -F KUBE-SERVICES", "# ... and 7 more lines for iptables-restore, table nat"):
        assert iptables.of_others([*typed, line], iptables.own_chains(counted, WEB)) == [line]


def test_a_rule_that_has_gone_or_counts_anew_is_seen() -> None:
    before = iptables.counters(saved())
    own = iptables.own_chains(before, WEB)
    assert iptables.touched(before, before, own) == []
    for rule in before:
        is_own = WEB in rule or bool(set(own) & set(rule.split()))
        without = {other: count for other, count in before.items() if other != rule}
        assert iptables.touched(before, without, own) == ([] if is_own else [rule])
        anew = {**before, rule: 0}
        assert iptables.touched(before, anew, own) == ([] if is_own or not before[rule] else [rule])


def test_a_kind_of_iptables_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.iptables.ENVIRONMENT", {"PATH": str(tmp_path)})
    with pytest.raises(NotHere, match="iptables-legacy cannot be chosen here"):
        iptables.use(labs.BenchLab("bench-x", tmp_path), "node1", "legacy")


def test_an_ordinary_user_has_no_room_for_all_of_it_in_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    with pytest.raises(NotHere, match="takes root"):
        iptables.restore(labs.BenchLab("bench-x", tmp_path), "node1", "nft", "")


def planned_services(tmp_path: Path, *objects: object) -> dict[str, object]:
    """Of a bare node."""
    made = labs.BenchLab("bench-x", tmp_path)
    made.wants(*objects)  # type: ignore[arg-type]
    bare = planning.bare("node1", "node", labs.address("node1"))
    answers = {"node1": {"role": "node", "address": bare.address, "observation": json.dumps(bare.observation)}}
    return service_planning.measure(str(made.manifests), "node1", answers)


def test_services_with_endpoints_of_their_own_become_rules(tmp_path: Path) -> None:
    found = planned_services(
        tmp_path, *labs.own_endpoints("web", "198.18.0.1", "198.18.0.2"), *labs.own_endpoints("api", "198.18.0.3")
    )
    assert list(found["phases"]) == ["read", "plan", "pack"]  # type: ignore[call-overload]
    ports = transport.unpack(found["row"])["ports"]
    assert [(each["service"], len(each["endpoints"])) for each in ports] == [("default/api", 1), ("default/web", 2)]
    tables = iptables_save.parsed(str(found["text"]))
    assert len([chain for chain in tables["nat"] if chain.startswith("KUBE-SEP-")]) == 3
    assert "*filter" in str(found["text"]), "jumps are in it"


def test_which_services_traffic_goes_through() -> None:
    portals = {"default/a": "10.96.0.1", "default/b": "10.96.0.2", "default/c": "10.96.0.3"}
    behind = {"a": "b", "b": "c", "c": "b"}
    assert service_traffic.places(portals, behind) == {
        "first": "10.96.0.1",
        "near": "10.96.0.3",
        "last": "10.96.0.3",
        "far": "10.96.0.2",
    }
    with pytest.raises(Failed, match="2 services in the rules, and not 3"):
        service_traffic.places({name: ip for name, ip in portals.items() if name != "default/b"}, behind)
