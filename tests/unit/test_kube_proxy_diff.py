"""What is written when services change: no more than that, and never half of it."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.kube_proxy import conntrack, services
from podlab.changes.kube_proxy import diff as kube_proxy_diff
from podlab.changes.kube_proxy import record as kube_record
from podlab.changes.kube_proxy import restore as kube_restore
from podlab.changes.kube_proxy.conntrack import ConntrackFlow
from podlab.changes.netfilter import iptables_save
from podlab.planner.configs.services import digest_of
from tests.simulated_host import Refused
from tests.simulated_packet import Packet, outcomes
from tests.unit.test_kube_proxy_rules import BRIDGE, GOLDEN, NODE, NODE_PORT, OUTSIDE, POD, endpoint, port, row

WEB = port(endpoint("10.1.1.2"), endpoint("10.1.2.2"))
API = port(endpoint("10.1.1.3"), service="default/api", cluster_ip="10.96.0.11")
PLAIN = row(API, WEB)

DOCKER = {
    "filter": {
        "INPUT": ["-s 192.0.2.1/32 -j DROP"],
        "FORWARD": ["-j DOCKER-USER", "-d 192.0.2.2/32 -j ACCEPT"],
        "OUTPUT": [],
        "DOCKER-USER": ["-j RETURN"],
    },
    "nat": {"PREROUTING": [], "INPUT": [], "OUTPUT": [], "POSTROUTING": ["-s 10.1.0.0/16 -j PODLAB-EGRESS"]},
    "mangle": {"POSTROUTING": ["-s 192.0.2.3/32 -j ACCEPT"], "KUBE-KUBELET-CANARY": [], "KUBE-IPTABLES-HINT": []},
}
DOCKER["nat"]["PODLAB-EGRESS"] = ["-j MASQUERADE --random-fully"]


def restore(tables, steps):
    """``iptables-restore --noflush``: one COMMIT after the other, each all or nothing. What is there after each."""
    for table, lines in steps:
        new = copy.deepcopy(tables)
        chains = new.setdefault(table, {})
        for line in lines:
            verb, _, rest = line.partition(" ")
            name, _, rule = rest.partition(" ")
            if verb.startswith(":"):
                chains[verb[1:]] = []
                continue
            if verb == "-X":
                if chains[name] or any(
                    iptables_save.target(rule) == name for rules in chains.values() for rule in rules
                ):
                    raise Refused(f"{name} is in use, or not empty")
                del chains[name]
                continue
            rules = chains.setdefault(name, []) if name in kube_proxy_diff.BUILT_IN else chains[name]
            if verb == "-D":
                rules.remove(rule)
                continue
            place = len(rules)
            if verb == "-I":
                number, _, rule = rule.partition(" ")
                place = int(number) - 1
                assert place <= len(rules)
            into = iptables_save.target(rule)
            if into.startswith(("KUBE-", "PODLAB-", "DOCKER-")) and into not in chains:
                raise Refused(f"{into} is not there")
            rules.insert(place, rule)
        tables.clear()
        tables.update(new)
        yield new


def apply(tables, wanted, room=None, **options):
    found = kube_proxy_diff.changes(tables, wanted, **options)
    list(restore(tables, kube_restore.transactions(found, room)))
    return found


def synced(told=PLAIN, others=DOCKER):
    tables = copy.deepcopy(others)
    apply(tables, services.tables(told))
    return tables


def lines_of(tables, wanted, **options):
    return {table: change.lines() for table, change in kube_proxy_diff.changes(tables, wanted, **options).items()}


def of_others(tables):
    """Everything that is not ours, in its order."""
    found = {
        (table, name): [rule for rule in rules if not kube_proxy_diff.is_entry_jump(rule)]
        for table, chains in tables.items()
        for name, rules in chains.items()
        if not kube_proxy_diff.is_ours(name)
    }
    return {place: rules for place, rules in found.items() if rules or place[1] not in kube_proxy_diff.BUILT_IN}


def assert_in_place(tables, wanted):
    for table, part in wanted.items():
        own = {name: rules for name, rules in tables[table].items() if kube_proxy_diff.is_ours(name)}
        assert own == part["chains"]
        for builtin in kube_proxy_diff.BUILT_IN:
            rules, jumps = tables[table].get(builtin, []), part["jumps"].get(builtin, [])
            assert rules[: len(jumps)] == jumps
            assert not any(map(kube_proxy_diff.is_entry_jump, rules[len(jumps) :]))


# --- what there is, what there shall be --------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_one_run_writes_all_and_the_next_one_nothing(name):
    tables, wanted = copy.deepcopy(DOCKER), services.tables(GOLDEN[name])
    before = of_others(tables)
    apply(tables, wanted)
    assert_in_place(tables, wanted)
    assert of_others(tables) == before
    assert kube_proxy_diff.changes(tables, wanted) == {}


def test_a_new_service_costs_its_own_chains_and_a_line_in_each_chain_of_all():
    more = port(endpoint("10.1.1.4"), service="default/db", cluster_ip="10.96.0.12", node_port=30081)
    found = lines_of(synced(), services.tables(row(API, more, WEB)))
    assert list(found) == ["nat"]
    own = [line for line in found["nat"] if line.startswith(("-A KUBE-SVC", "-A KUBE-SEP", "-A KUBE-EXT"))]
    assert len(own) == 6 and all("default/db" in line for line in own if "--comment" in line)
    assert [line for line in found["nat"] if line not in own and not line.startswith(":")] == [
        '-A KUBE-NODEPORTS -p tcp -m comment --comment "default/db:http" -m tcp --dport 30081 '
        "-j KUBE-EXT-HZL2SQQAPJAF4FQH",
        '-I KUBE-SERVICES 2 -d 10.96.0.12/32 -p tcp -m comment --comment "default/db:http cluster IP" '
        "-m tcp --dport 80 -j KUBE-SVC-HZL2SQQAPJAF4FQH",
    ]


def test_an_endpoint_that_goes_costs_its_chain_and_its_service_s():
    fewer = row(API, port(endpoint("10.1.1.2")))
    svc, sep = "KUBE-SVC-CDGGSHYLG3RE2FKL", "KUBE-SEP-OXMUKF3NB3EHK6OQ"
    assert lines_of(synced(), services.tables(fewer)) == {
        "nat": [
            f":{svc} - [0:0]",
            f":{sep} - [0:0]",
            f'-A {svc} ! -s 10.1.0.0/16 -d 10.96.0.10/32 -p tcp -m comment --comment "default/web:http cluster IP" '
            "-m tcp --dport 80 -j KUBE-MARK-MASQ",
            f'-A {svc} -m comment --comment "default/web:http -> 10.1.1.2:8080" -j KUBE-SEP-TSE3RZV7VLXKIBUO',
            f"-X {sep}",
        ]
    }


def test_a_service_that_goes_takes_its_line_along_and_no_other_line_is_named():
    found = lines_of(synced(), services.tables(row(WEB)))["nat"]
    assert [line for line in found if not line.startswith(":")] == [
        '-D KUBE-SERVICES -d 10.96.0.11/32 -p tcp -m comment --comment "default/api:http cluster IP" '
        "-m tcp --dport 80 -j KUBE-SVC-KKDGWRPDK6Z5NCHS",
        "-X KUBE-SVC-KKDGWRPDK6Z5NCHS",
        "-X KUBE-SEP-XF35NYMM53U6BIYM",
    ]


def test_a_service_without_endpoints_any_more_is_refused_before_it_is_led_nowhere():
    """Tables are written one after the other; as with kube-proxy, filter comes first."""
    found = kube_proxy_diff.changes(synced(), services.tables(row(API, port())))
    assert [table for table, _ in kube_restore.transactions(found, None)] == ["filter", "nat"]


def test_a_service_with_a_first_endpoint_is_led_there_before_it_is_refused_no_more():
    lonely, checked = {**WEB, "endpoints": []}, {**API, "health_check_node_port": 30099}
    tables = synced(row(API, lonely))
    found = kube_proxy_diff.changes(tables, services.tables(row(checked, WEB)))
    assert list(found) == ["nat", "filter"], "whatever else is let in"
    mixed = kube_proxy_diff.changes(tables, services.tables(row({**API, "endpoints": []}, WEB)))
    assert list(mixed) == ["filter", "nat"], "somebody else loses his last one"


PORTALS = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'


def broken(table, chain, rules):
    def damage(tables):
        tables[table][chain] = rules(tables[table][chain])

    return damage


DRIFT = {
    "a chain of a service is flushed": (
        broken("nat", "KUBE-SVC-CDGGSHYLG3RE2FKL", lambda rules: []),
        "-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment",
    ),
    "the rule of an endpoint is deleted": (
        broken("nat", "KUBE-SEP-TSE3RZV7VLXKIBUO", lambda rules: rules[:1]),
        "-A KUBE-SEP-TSE3RZV7VLXKIBUO -p tcp",
    ),
    "a rule of a service is deleted": (
        broken("nat", "KUBE-SERVICES", lambda rules: rules[1:]),
        "-I KUBE-SERVICES 1 -d 10.96.0.11/32",
    ),
    "the last rule of all services is deleted": (
        broken("nat", "KUBE-SERVICES", lambda rules: rules[:-1]),
        "-A KUBE-SERVICES -m comment",
    ),
    "somebody has added a rule": (
        broken("nat", "KUBE-SERVICES", lambda rules: ["-j RETURN", *rules]),
        "-D KUBE-SERVICES -j RETURN",
    ),
    "somebody has added one twice": (
        broken("nat", "KUBE-SERVICES", lambda rules: ["-j RETURN", *rules, "-j RETURN"]),
        "-D KUBE-SERVICES -j RETURN",
    ),
    "a rule stands there twice": (
        broken("nat", "KUBE-SERVICES", lambda rules: [*rules, rules[0]]),
        "-D KUBE-SERVICES -d 10.96.0.11/32",
    ),
    "rules have changed places": (
        broken("nat", "KUBE-SERVICES", lambda rules: [rules[1], rules[0], *rules[2:]]),
        "-D KUBE-SERVICES -d 10.96.0.1",
    ),
    "a jump is deleted": (
        broken("nat", "OUTPUT", lambda rules: rules[1:]),
        f"-I OUTPUT 1 {PORTALS}",
    ),
    "a jump in the middle is deleted": (
        broken("filter", "FORWARD", lambda rules: [*rules[:2], *rules[3:]]),
        f"-I FORWARD 3 -m conntrack --ctstate NEW {PORTALS}",
    ),
    "a jump stands there twice": (
        broken("nat", "OUTPUT", lambda rules: [*rules, *rules]),
        f"-D OUTPUT {PORTALS}",
    ),
    "somebody stands before a jump": (
        broken("nat", "PREROUTING", lambda rules: ["-s 192.0.2.9/32 -j ACCEPT", *rules]),
        f"-D PREROUTING {PORTALS}",
    ),
    "a jump with another match": (
        broken("nat", "PREROUTING", lambda rules: [*rules, "-s 192.0.2.9/32 -j KUBE-SERVICES"]),
        "-D PREROUTING -s 192.0.2.9/32 -j KUBE-SERVICES",
    ),
    "the canary is dead": (lambda tables: tables["mangle"].pop("KUBE-PROXY-CANARY"), ":KUBE-PROXY-CANARY"),
    "a chain of a service that was": (
        lambda tables: tables["nat"].update({"KUBE-SVC-AAAAAAAAAAAAAAAA": ["-j RETURN"]}),
        "-X KUBE-SVC-AAAAAAAAAAAAAAAA",
    ),
    "iptables -F": (
        lambda tables: tables["nat"].update({name: [] for name in tables["nat"]}),
        f"-I PREROUTING 1 {PORTALS}",
    ),
    "iptables -F and -X": (
        lambda tables: tables.update(nat={"PREROUTING": [], "OUTPUT": [], "POSTROUTING": []}),
        f"-I PREROUTING 1 {PORTALS}",
    ),
}


@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_mended_and_named(what):
    damage, line = DRIFT[what]
    tables, wanted = synced(), services.tables(PLAIN)
    damage(tables)
    others = of_others(tables)
    found = apply(tables, wanted)
    assert any(line in typed for change in found.values() for typed in change.lines()), found
    assert_in_place(tables, wanted)
    assert of_others(tables) == others


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (table, name)
        for table, part in services.tables(PLAIN).items()
        for name in part["chains"]
        if name != "KUBE-PROXY-CANARY"  # empty, and nothing leads to it
    ],
)
def test_a_chain_that_was_renamed_is_taken_away_and_one_of_somebody_else_that_says_the_same_stays(table, name):
    wanted = services.tables(PLAIN)
    tables = synced()
    before = copy.deepcopy(tables)
    before[table]["MINE"] = list(tables[table][name])
    chains = tables[table]
    tables[table] = {
        "LOST" if chain == name else chain: [re.sub(f"-j {name}$", "-j LOST", rule) for rule in rules]
        for chain, rules in chains.items()
    }
    tables[table]["MINE"] = list(before[table]["MINE"])
    apply(tables, wanted)
    assert tables == before


def test_a_rule_of_a_chain_of_all_is_mended_without_the_others_being_named():
    tables = synced()
    tables["nat"]["KUBE-SERVICES"].pop(0)
    (line,) = lines_of(tables, services.tables(PLAIN))["nat"]
    assert line.startswith("-I KUBE-SERVICES 1 ")


def test_many_rules_that_go_are_not_looked_for_one_by_one_where_the_chain_can_be_written_at_once():
    ports = [
        port(endpoint(), service=f"default/s{i}", cluster_ip=f"10.96.1.{i}")
        for i in range(kube_proxy_diff.MOST_DELETIONS + 2)
    ]
    tables, wanted = synced(row(*ports)), services.tables(row(*ports[:1]))
    assert ":KUBE-SERVICES - [0:0]" in lines_of(tables, wanted)["nat"]
    assert ":KUBE-SERVICES - [0:0]" not in lines_of(tables, wanted, whole=False)["nat"]


# --- never half of it --------------------------------------------------------------------------------------

ENDPOINTS = [endpoint(f"10.1.{node}.{number}") for node in (1, 2) for number in (2, 3)]
endpoint_lists = st.lists(
    st.sampled_from(ENDPOINTS), min_size=1, max_size=3, unique_by=lambda item: str(item["address"])
)
variants = st.fixed_dictionaries(
    {
        "endpoints": st.one_of(endpoint_lists, st.just([])),
        "node_port": st.booleans(),
        "external_local": st.booleans(),
        "internal_local": st.booleans(),
        "affinity_seconds": st.sampled_from([0, 60]),
    }
)
clusters = st.dictionaries(st.integers(0, 5), variants, max_size=6)


def cluster(wanted):
    ports = []
    for number, fields in sorted(wanted.items()):
        more = {**fields, "endpoints": copy.deepcopy(fields["endpoints"])}
        more["node_port"] = NODE_PORT + number if more["node_port"] else 0
        ports.append(port(service=f"default/s{number}", cluster_ip=f"10.96.0.{number + 1}", **more))
    return row(*ports)


def seen(tables, number, fields):
    """What becomes of a pod, of the node and of somebody outside who call a service."""
    calls = [Packet(source, f"10.96.0.{number + 1}", 80, own=(NODE, BRIDGE)) for source in (POD, NODE, OUTSIDE)]
    if fields["node_port"]:
        calls += [Packet(source, NODE, NODE_PORT + number, own=(NODE, BRIDGE)) for source in (POD, NODE, OUTSIDE)]
    whole = {
        table: {"chains": {name: rules for name, rules in chains.items() if name != "PODLAB-EGRESS"}, "jumps": {}}
        for table, chains in tables.items()
    }
    return [outcomes(whole, call) for call in calls]


rooms = st.one_of(
    st.none(),
    st.builds(kube_restore.BatchLimit, lines=st.integers(1, 40), size=st.one_of(st.none(), st.integers(400, 8000))),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(endpoint_lists, min_size=2, max_size=5), st.randoms(), rooms)
def test_who_gets_other_endpoints_has_either_those_before_or_those_after(lists, random, room):
    policy = {"node_port": False, "external_local": False, "internal_local": False, "affinity_seconds": 0}
    old = {number: {**policy, "endpoints": some} for number, some in enumerate(lists)}
    new = {number: {**policy, "endpoints": random.choice(lists)} for number in old}
    tables = synced(cluster(old))
    before = {number: seen(tables, number, fields) for number, fields in old.items()}
    there = synced(cluster(new))
    then = {number: seen(there, number, fields) for number, fields in new.items()}
    for state in restore(
        tables, kube_restore.transactions(kube_proxy_diff.changes(tables, services.tables(cluster(new))), room)
    ):
        for number, fields in new.items():
            assert seen(state, number, fields) in (before[number], then[number])


@settings(deadline=None, max_examples=150)
@given(clusters, clusters, rooms)
def test_who_is_not_concerned_notices_nothing_and_in_the_end_all_is_as_wanted(old, new, room):
    tables = synced(cluster(old))
    before, others, wanted = copy.deepcopy(tables), of_others(tables), services.tables(cluster(new))
    same = {number: fields for number, fields in new.items() if old.get(number) == fields}
    expected = {number: seen(tables, number, fields) for number, fields in same.items()}
    found = kube_proxy_diff.changes(tables, wanted, whole=not (room and room.size))
    for state in restore(tables, kube_restore.transactions(found, room)):
        assert {number: seen(state, number, fields) for number, fields in same.items()} == expected
        assert of_others(state) == others
    assert_in_place(tables, wanted)
    assert kube_proxy_diff.changes(tables, wanted) == {}
    for table, change in found.items():
        untouched = {name for name, rules in before[table].items() if wanted[table]["chains"].get(name) == rules}
        assert not {re.split("[: ]", line)[1] for line in change.lines()} & untouched


orders = st.permutations(list(range(8))).flatmap(lambda some: st.lists(st.sampled_from(some), max_size=10))


@settings(deadline=None, max_examples=300)
@given(orders, st.permutations(list(range(10))), st.integers(0, 10))
def test_a_chain_of_all_becomes_any_other_one_piece_by_piece(rules, wanted, length):
    there = [f"-p tcp -j R{number}" for number in rules]
    shall = [f"-p tcp -j R{number}" for number in wanted[:length]]
    pieces = kube_proxy_diff._edits("KUBE-SERVICES", there, shall)
    tables = {"nat": {"KUBE-SERVICES": list(there)}}
    for state in restore(tables, [("nat", piece) for piece in pieces]):
        assert set(shall) & set(there) <= set(state["nat"]["KUBE-SERVICES"]), "after each piece everybody is served"
    assert tables["nat"]["KUBE-SERVICES"] == shall


def test_what_comes_in_somebody_s_place_is_there_before_that_one_goes():
    assert kube_proxy_diff._edits("X", ["-j A", "-j B", "-j C"], ["-j A", "-j D", "-j C"]) == [
        ["-I X 2 -j D"],
        ["-D X -j B"],
    ]


def test_who_moves_is_not_gone_in_between():
    assert kube_proxy_diff._edits("X", ["-j B", "-j A", "-j C"], ["-j A", "-j B", "-j C"]) in (
        [["-D X -j B", "-I X 2 -j B"]],
        [["-D X -j A", "-I X 1 -j A"]],
    )
    tables = synced()
    tables["nat"]["KUBE-SERVICES"][:2] = tables["nat"]["KUBE-SERVICES"][1::-1]
    found = kube_proxy_diff.changes(tables, services.tables(PLAIN), whole=False)
    for _, lines in kube_restore.transactions(found, kube_restore.BatchLimit(lines=1)):
        assert [line.split()[0] for line in lines] == ["-D", "-I"]


def test_a_large_change_is_cut_and_packets_are_led_there_in_the_last_part_of_it():
    ports = [port(endpoint(), service=f"default/s{i}", cluster_ip=f"10.96.1.{i}") for i in range(20)]
    found = kube_proxy_diff.changes({}, services.tables(row(*ports)))
    steps = kube_restore.transactions(found, kube_restore.BatchLimit(lines=30))
    assert len(steps) > 5
    assert [table for table, lines in steps if any("-I PREROUTING" in line for line in lines)] == ["nat"]
    assert steps[-1] == ("nat", found["nat"].jumps)
    with_few = kube_restore.transactions(found, kube_restore.BatchLimit(size=8000))
    assert all(kube_restore.size_of(lines) <= 8000 for _, lines in with_few)


def test_a_chain_that_no_packet_gets_to_is_written_before_the_others_even_if_it_is_there():
    """What a run left behind that was cut off."""
    tables, wanted = {"nat": {"KUBE-SVC-CDGGSHYLG3RE2FKL": ["-j RETURN"]}}, services.tables(PLAIN)
    assert "KUBE-SVC-CDGGSHYLG3RE2FKL" in kube_proxy_diff.changes(tables, wanted)["nat"].new


# --- the end -----------------------------------------------------------------------------------------------


def test_removal_takes_all_of_it_and_leaves_all_of_the_others():
    tables = synced(GOLDEN["undefined-ports"])
    before = of_others(tables)
    for room in (None, kube_restore.BatchLimit(lines=5)):
        there = copy.deepcopy(tables)
        list(restore(there, kube_restore.transactions(kube_proxy_diff.removal(there), room)))
        assert of_others(there) == before
        assert not any(kube_proxy_diff.is_ours(name) for chains in there.values() for name in chains)
        assert kube_proxy_diff.removal(there) == {}


def test_removal_leaves_what_a_chain_of_somebody_else_leads_to():
    tables = synced()
    tables["nat"]["CNI-HOSTPORT-SETMARK"] = ["-j KUBE-MARK-MASQ"]
    list(restore(tables, kube_restore.transactions(kube_proxy_diff.removal(tables), None)))
    assert [name for name in tables["nat"] if kube_proxy_diff.is_ours(name)] == ["KUBE-MARK-MASQ"]
    assert tables["nat"]["KUBE-MARK-MASQ"] == ["-j MARK --set-xmark 0x4000/0x4000"]


def test_removal_leaves_the_chain_that_a_kubelet_has_as_well():
    tables = synced()
    tables["filter"]["KUBE-KUBELET-CANARY"] = []
    list(restore(tables, kube_restore.transactions(kube_proxy_diff.removal(tables), None)))
    assert "KUBE-FIREWALL" in tables["filter"]
    assert tables["filter"]["INPUT"] == ["-j KUBE-FIREWALL", "-s 192.0.2.1/32 -j DROP"]


OF_USER = "-s 192.0.2.7/32 -j KUBE-MARK-MASQ"


def test_a_rule_of_somebody_else_that_uses_a_chain_of_ours_is_left_alone():
    tables, wanted = synced(), services.tables(PLAIN)
    sound = kube_record.fingerprint(tables)
    tables["nat"]["PREROUTING"].append(OF_USER)
    assert kube_proxy_diff.changes(tables, wanted) == {}
    assert kube_record.fingerprint(tables) == sound
    assert OF_USER in kube_record.others(tables)["nat"]["PREROUTING"]
    tables["nat"]["PREROUTING"].insert(0, tables["nat"]["PREROUTING"].pop())
    apply(tables, wanted)
    assert_in_place(tables, wanted)
    assert tables["nat"]["PREROUTING"][1:] == [OF_USER]


def test_what_is_known_of_others_is_enough_to_leave_them_alone():
    """Where nothing has changed since, nobody asks iptables-save again."""
    tables, wanted = synced(), services.tables(PLAIN)
    tables["nat"]["PREROUTING"].append(OF_USER)
    tables["nat"]["MINE"] = ["-j KUBE-SERVICES"]
    assert kube_record.whole(kube_record.others(tables), wanted) == tables


def test_and_at_the_end_the_chain_stays_for_it():
    tables = synced()
    tables["nat"]["PREROUTING"].append(OF_USER)
    list(restore(tables, kube_restore.transactions(kube_proxy_diff.removal(tables), None)))
    assert tables["nat"]["PREROUTING"] == [OF_USER]
    assert [name for name in tables["nat"] if kube_proxy_diff.is_ours(name)] == ["KUBE-MARK-MASQ"]


def test_chains_of_kubelets_and_network_plugins_are_not_ours():
    assert not any(
        map(kube_proxy_diff.is_ours, ("KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-POD-FW-ABC", "KUBE-SVC-X"))
    )
    assert all(
        map(kube_proxy_diff.is_ours, ("KUBE-SEP-TSE3RZV7VLXKIBUO", "KUBE-PROXY-CANARY", "PODLAB-UNDEFINED-PORTS"))
    )


# --- what a reader sees ------------------------------------------------------------------------------------


def test_the_lines_that_a_person_would_type_are_not_more_than_he_reads():
    ports = [port(endpoint(), service=f"default/s{i}", cluster_ip=f"10.96.1.{i}") for i in range(100)]
    typed = kube_restore.commands(kube_proxy_diff.changes({}, services.tables(row(*ports))), most=20)
    nat = [line for line in typed if line.startswith("iptables -t nat ")]
    assert len(nat) == 20
    assert nat[0] == "iptables -t nat -N KUBE-MARK-MASQ || iptables -t nat -F KUBE-MARK-MASQ"
    assert typed[-1] == "# ... and 693 more lines for iptables-restore, table nat"


@pytest.mark.parametrize(
    ("line", "service"),
    [
        ('-A KUBE-SERVICES -m comment --comment "default/web:http cluster IP" -j X', "default/web"),
        ('-A KUBE-SERVICES -m comment --comment "default/web has no endpoints" -j REJECT', "default/web"),
        (
            '-A X -m comment --comment "masquerade traffic for kube-system/dns:d external destinations"',
            "kube-system/dns",
        ),
        ('-A KUBE-SEP-X -m comment --comment "default/web:http -> 10.1.1.2:8080" -j X', "default/web"),
        (":KUBE-SEP-TSE3RZV7VLXKIBUO - [0:0]", "default/web"),
        ("-A KUBE-SVC-KKDGWRPDK6Z5NCHS -j KUBE-SEP-XF35NYMM53U6BIYM", "default/api"),
        ('-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -j ACCEPT', ""),
        ("COMMIT", ""),
    ],
)
def test_a_line_tells_whose_it_is(line, service):
    assert kube_restore.service_of(line, PLAIN) == service


# --- what a host remembers ---------------------------------------------------------------------------------


def test_the_plan_and_the_host_know_a_row_by_the_same_digest():
    assert kube_record.unpack(kube_record.pack(PLAIN)) == (PLAIN, digest_of(PLAIN))


def test_a_fingerprint_tells_rules_chains_and_places_of_jumps_and_nothing_of_others():
    tables, wanted = synced(), services.tables(PLAIN)
    sound = kube_record.fingerprint(tables)
    assert sound == kube_record.fingerprint(kube_record.after(DOCKER, wanted, {}))
    for damage, _ in DRIFT.values():
        there = copy.deepcopy(tables)
        damage(there)
        assert kube_record.fingerprint(there) != sound
    tables["filter"]["INPUT"].append("-s 192.0.2.5/32 -j ACCEPT")
    tables["filter"]["MORE"] = ["-j RETURN"]
    assert kube_record.fingerprint(tables) == sound


def other_words(tables):
    """What an iptables prints that words things in another way."""
    text = (
        json.dumps(tables).replace("--set-xmark 0x4000/0x0", "--xor-mark 0x4000").replace("-m conntrack --ct", "--ct")
    )
    return json.loads(text)


def test_an_iptables_that_prints_other_words_is_understood_from_its_first_answer_on():
    tables, wanted = other_words(synced()), services.tables(PLAIN)
    spelled = kube_record.printed_forms(tables, wanted)
    assert set(spelled) >= {"nat KUBE-POSTROUTING", "filter FORWARD", "filter KUBE-FORWARD"}
    assert kube_proxy_diff.changes(tables, wanted, spelled=spelled) == {}
    assert kube_record.fingerprint(kube_record.after(tables, wanted, spelled)) == kube_record.fingerprint(tables)
    fewer = services.tables(row(WEB))
    found = kube_proxy_diff.changes(tables, fewer, spelled=spelled)
    assert list(found) == ["nat"] and not found["nat"].rewritten and not found["nat"].jumps
    tables["nat"]["KUBE-POSTROUTING"].pop()
    assert list(kube_proxy_diff.changes(tables, wanted, spelled=spelled)["nat"].rewritten) == ["KUBE-POSTROUTING"]


def test_the_fingerprint_of_what_iptables_prints():
    """From text, as a host has it."""
    tables = synced()
    lines = []
    for table, chains in tables.items():
        lines += [f"*{table}", *(f":{name} - [0:0]" for name in chains)]
        lines += [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules]
        lines.append("COMMIT")
    parsed = iptables_save.parsed("# Generated by hand\n" + "\n".join(lines))
    assert kube_record.fingerprint(parsed) == kube_record.fingerprint(tables)


# --- UDP connections ---------------------------------------------------------------------------------------

CONNTRACK = """\
udp      17 29 src=10.1.1.9 dst=10.96.0.53 sport=5000 dport=53 [UNREPLIED] src=10.1.1.2 dst=10.1.1.9 sport=5353 dport=5000 mark=0 use=1
udp      17 119 src=10.1.1.9 dst=10.96.0.53 sport=5001 dport=53 src=10.96.0.53 dst=10.1.1.9 sport=53 dport=5001 [ASSURED] mark=0 use=1
udp      17 29 src=10.1.1.9 dst=8.8.8.8 sport=5001 dport=53 packets=1 bytes=30 src=8.8.8.8 dst=10.100.0.2 sport=53 dport=5001 mark=0 use=1
"""


def test_connections_as_conntrack_prints_them():
    assert conntrack.flows(CONNTRACK) == [
        ConntrackFlow("10.96.0.53", 53, "10.1.1.2", 5353),
        ConntrackFlow("10.96.0.53", 53, "10.96.0.53", 53),
        ConntrackFlow("8.8.8.8", 53, "8.8.8.8", 53),
    ]


def dns(*endpoints, **fields):
    more = {"service": "kube-system/dns", "protocol": "udp", "cluster_ip": "10.96.0.53", "port": 53, **fields}
    return row(port(*endpoints, **more))


LEFT, RIGHT = endpoint("10.1.1.2", port=5353), endpoint("10.1.2.2", port=5353)
TO_LEFT, TO_NOBODY = (
    ConntrackFlow("10.96.0.53", 53, "10.1.1.2", 5353),
    ConntrackFlow("10.96.0.53", 53, "10.96.0.53", 53),
)
BY_NODE = ConntrackFlow(NODE, 30053, "10.1.1.2", 5353)


@pytest.mark.parametrize(
    ("flow", "old", "new", "stale"),
    [
        pytest.param(TO_LEFT, dns(LEFT), dns(LEFT), False, id="sound"),
        pytest.param(TO_LEFT, dns(LEFT), dns(LEFT, RIGHT), False, id="one more endpoint"),
        pytest.param(TO_LEFT, dns(LEFT, RIGHT), dns(RIGHT), True, id="its endpoint has gone"),
        pytest.param(TO_LEFT, dns(LEFT), dns(), True, id="the last endpoint has gone"),
        pytest.param(TO_LEFT, dns(LEFT), dns(endpoint("10.1.1.2", port=53)), True, id="its port has changed"),
        pytest.param(TO_LEFT, dns(LEFT), row(), True, id="its service has gone"),
        pytest.param(TO_LEFT, None, row(), False, id="nobody knows that it was a service's"),
        pytest.param(TO_LEFT, None, dns(RIGHT), True, id="what was before is not known"),
        pytest.param(
            TO_LEFT, dns(LEFT), dns(endpoint("10.1.1.2", port=5353, ready=False)), False, id="not ready, serving"
        ),
        pytest.param(
            TO_LEFT, dns(LEFT), dns(endpoint("10.1.1.2", port=5353, ready=False, serving=False)), True, id="not serving"
        ),
        pytest.param(TO_NOBODY, dns(), dns(), False, id="led nowhere, rightly"),
        pytest.param(TO_NOBODY, dns(), dns(LEFT), True, id="the first endpoint has come"),
        pytest.param(BY_NODE, dns(LEFT, node_port=30053), dns(RIGHT, node_port=30053), True, id="by node port"),
        pytest.param(BY_NODE, dns(LEFT, node_port=30053), dns(LEFT, node_port=30053), False, id="by node port, sound"),
        pytest.param(BY_NODE, dns(LEFT, node_port=30053), dns(LEFT), True, id="the node port has gone"),
        pytest.param(
            ConntrackFlow("127.0.0.1", 30053, "10.1.1.2", 5353),
            dns(),
            dns(RIGHT, node_port=30053),
            True,
            id="by localhost",
        ),
        pytest.param(
            ConntrackFlow("192.0.2.1", 30053, "192.0.2.1", 30053),
            dns(),
            dns(LEFT, node_port=30053),
            False,
            id="another host's port",
        ),
        pytest.param(
            ConntrackFlow("203.0.113.1", 53, "10.1.1.2", 5353),
            dns(LEFT, external_ips=["203.0.113.1"]),
            dns(RIGHT, external_ips=["203.0.113.1"]),
            True,
            id="by external IP",
        ),
        pytest.param(TO_LEFT, dns(LEFT, protocol="tcp"), dns(RIGHT, protocol="tcp"), False, id="not a UDP service"),
    ],
)
def test_which_connections_end(flow, old, new, stale):
    assert conntrack.stale([flow], {NODE}, old, new) == ([flow] if stale else [])


def test_the_command_that_ends_a_connection():
    assert " ".join(conntrack.deletion(TO_LEFT)) == (
        "conntrack -D -p udp --orig-dst 10.96.0.53 --orig-port-dst 53 --reply-src 10.1.1.2 --reply-port-src 5353"
    )
