"""Chains and jumps: every drift and the lines that mend it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.netfilter import iptables_save, rules
from podlab.host.network import network
from tests.simulated_host import restore

EGRESS = ["-d 10.0.0.0/8 -j RETURN", "-j MASQUERADE --random-fully"]
JUMP = "-s 10.1.0.0/16 -j PODLAB-EGRESS"
NAT: rules.TableConfig = {"chains": {"PODLAB-EGRESS": EGRESS}, "jumps": {"POSTROUTING": [JUMP]}}
KUBE = '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'
WHOLE_CHAIN = [":PODLAB-EGRESS - [0:0]", *(f"-A PODLAB-EGRESS {rule}" for rule in EGRESS)]


def nat(postrouting=(KUBE, JUMP), **chains) -> dict[str, list[str]]:
    return {"PREROUTING": [], "POSTROUTING": list(postrouting), "PODLAB-EGRESS": EGRESS, **chains}


def test_a_bare_table_gets_chain_and_jump():
    assert rules.changes({"PREROUTING": [], "POSTROUTING": [KUBE]}, NAT) == [*WHOLE_CHAIN, f"-A POSTROUTING {JUMP}"]


def test_a_table_that_iptables_save_does_not_print_yet_is_a_bare_one():
    assert rules.changes({}, NAT) == [*WHOLE_CHAIN, f"-A POSTROUTING {JUMP}"]


@pytest.mark.parametrize(
    ("observed", "lines"),
    [
        pytest.param(nat(), [], id="sound"),
        pytest.param(nat([JUMP, KUBE]), [], id="sound, the jump at another place"),
        pytest.param(nat([KUBE]), [f"-A POSTROUTING {JUMP}"], id="jump gone"),
        pytest.param(nat([JUMP, KUBE, JUMP]), [f"-D POSTROUTING {JUMP}"], id="jump twice"),
        pytest.param(
            nat(["-s 10.9.0.0/16 -j PODLAB-EGRESS"]),
            ["-D POSTROUTING -s 10.9.0.0/16 -j PODLAB-EGRESS", f"-A POSTROUTING {JUMP}"],
            id="jump with another match",
        ),
        pytest.param(
            nat(PREROUTING=["-g PODLAB-EGRESS"]), ["-D PREROUTING -g PODLAB-EGRESS"], id="jump from another chain"
        ),
        pytest.param(nat(**{"PODLAB-EGRESS": []}), WHOLE_CHAIN, id="chain flushed"),
        pytest.param(nat(**{"PODLAB-EGRESS": EGRESS[::-1]}), WHOLE_CHAIN, id="order of rules"),
        pytest.param(nat(**{"PODLAB-EGRESS": [*EGRESS, "-j DROP"]}), WHOLE_CHAIN, id="rule too many"),
        pytest.param(
            nat([KUBE, JUMP, "-j PODLAB-OLD"], **{"PODLAB-OLD": ["-j RETURN"]}),
            [":PODLAB-OLD - [0:0]", "-D POSTROUTING -j PODLAB-OLD", "-X PODLAB-OLD"],
            id="chain of an older version",
        ),
        pytest.param(
            {
                "PREROUTING": [],
                "POSTROUTING": [KUBE, JUMP.replace("PODLAB-EGRESS", "LOST"), "-j MINE"],
                **{"LOST": EGRESS, "MINE": EGRESS},
            },
            [
                *(WHOLE_CHAIN[0], ":LOST - [0:0]", *WHOLE_CHAIN[1:]),
                *(f"-D POSTROUTING {JUMP.replace('PODLAB-EGRESS', 'LOST')}", f"-A POSTROUTING {JUMP}", "-X LOST"),
            ],
            id="chain renamed, and somebody's own that says the same",
        ),
    ],
)
def test_drift_is_mended_by_just_these_lines(observed, lines):
    assert rules.changes(observed, NAT) == lines


@pytest.mark.parametrize(
    "rule",
    [
        '-m comment --comment "see -j PODLAB-EGRESS" -j ACCEPT',
        "-j PODMAN-EGRESS",
        r'-m comment --comment "it\'s \"-j PODLAB-EGRESS\"" -j LOG --log-prefix "-j PODLAB-EGRESS "',
        "-p tcp",
    ],
)
def test_a_rule_of_somebody_else_stays(rule):
    assert rules.changes(nat([rule, JUMP]), NAT) == []
    assert not any(rule in line for line in rules.removal(nat([rule, JUMP])))


def test_an_empty_chain_is_made_too():
    row: rules.TableConfig = {"chains": {"PODLAB-X": []}, "jumps": {}}
    assert rules.changes({}, row) == [":PODLAB-X - [0:0]"]
    assert rules.changes({"PODLAB-X": []}, row) == []


def test_removal_leaves_nothing_of_podlab_and_all_of_the_others():
    table = nat([KUBE, JUMP])
    restore(table, rules.removal(table))
    assert table == {"PREROUTING": [], "POSTROUTING": [KUBE]}


def test_the_lines_that_a_person_would_type():
    assert rules.commands("nat", [":PODLAB-EGRESS - [0:0]", "-A PODLAB-EGRESS -j RETURN", "-X PODLAB-OLD"]) == [
        "iptables -t nat -N PODLAB-EGRESS || iptables -t nat -F PODLAB-EGRESS",
        "iptables -t nat -A PODLAB-EGRESS -j RETURN",
        "iptables -t nat -X PODLAB-OLD",
    ]


def test_one_input_for_all_tables_that_change():
    assert rules.restore_text({"filter": [], "nat": ["-X PODLAB-OLD"], "mangle": [":PODLAB-X - [0:0]"]}) == (
        "*nat\n-X PODLAB-OLD\nCOMMIT\n*mangle\n:PODLAB-X - [0:0]\nCOMMIT\n"
    )


foreign = st.sampled_from([KUBE, "-j DOCKER-USER", "-p udp -j ACCEPT", '-m comment --comment "-j PODLAB-A" -j ACCEPT'])
chain_names = st.sampled_from(["PODLAB-A", "PODLAB-B", "PODLAB-C"])
own_rules = st.lists(st.sampled_from(["-j RETURN", "-d 10.0.0.0/8 -j RETURN", "-j ACCEPT"]), max_size=3)
chains = st.dictionaries(chain_names, own_rules)


@st.composite
def tables(draw):
    """Chains of ours, and built-in chains with rules of others and jumps into ours."""
    table = draw(chains)
    jumps = [f"-j {name}" for name in table] + [f"-s 10.1.0.0/16 -j {name}" for name in table]
    rule = st.one_of(foreign, st.sampled_from(jumps)) if jumps else foreign
    return {"INPUT": draw(st.lists(rule, max_size=5)), "OUTPUT": draw(st.lists(rule, max_size=5)), **table}


@st.composite
def rows(draw):
    wanted = draw(chains)
    names = sorted(wanted)
    several = st.lists(st.sampled_from(names), max_size=3, unique=True) if names else st.just([])
    jumps = draw(st.dictionaries(st.sampled_from(["INPUT", "OUTPUT"]), several))
    return {"chains": wanted, "jumps": {builtin: [f"-j {name}" for name in into] for builtin, into in jumps.items()}}


def of_others(table):
    return {
        name: [rule for rule in rules_ if not iptables_save.target(rule).startswith("PODLAB-")]
        for name, rules_ in table.items()
        if not name.startswith("PODLAB-")
    }


@settings(deadline=None, max_examples=200)
@given(tables(), rows())
def test_one_run_mends_and_nothing_foreign_is_touched(table, row):
    before = of_others(table)
    restore(table, rules.changes(table, row))
    assert rules.changes(table, row) == []
    assert of_others(table) == before
    assert {name: rules_ for name, rules_ in table.items() if name.startswith("PODLAB-")} == row["chains"]


def test_layers_share_a_built_in_chain_in_their_order():
    other: rules.TableConfig = {"chains": {"PODLAB-MASQ": ["-j ACCEPT"]}, "jumps": {"POSTROUTING": ["-j PODLAB-MASQ"]}}
    whole = rules.merged({"nat": NAT}, {"nat": other})["nat"]
    assert whole["jumps"] == {"POSTROUTING": [JUMP, "-j PODLAB-MASQ"]}
    assert set(whole["chains"]) == {"PODLAB-EGRESS", "PODLAB-MASQ"}
    assert NAT["jumps"] == {"POSTROUTING": [JUMP]}, "the layers themselves stay as they were"


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (["-j PODLAB-B", KUBE, "-j PODLAB-C"], ["-I INPUT 1 -j PODLAB-A"]),
        (["-j PODLAB-A", "-j PODLAB-C", KUBE], ["-I INPUT 2 -j PODLAB-B"]),
        (["-j PODLAB-C"], ["-I INPUT 1 -j PODLAB-A", "-I INPUT 2 -j PODLAB-B"]),
        (["-j PODLAB-A", "-j PODLAB-B", KUBE], ["-A INPUT -j PODLAB-C"]),
    ],
    ids=["first", "middle", "two", "last"],
)
def test_a_jump_that_has_gone_comes_back_to_its_place_among_podlabs_own(seen, lines):
    names = ("PODLAB-A", "PODLAB-B", "PODLAB-C")
    row: rules.TableConfig = {"chains": {name: [] for name in names}, "jumps": {"INPUT": [f"-j {n}" for n in names]}}
    assert rules.changes({"INPUT": seen, **{name: [] for name in names}}, row) == lines


def test_a_chain_with_another_name_is_read_where_podlab_leads_to_it():
    nat = {"POSTROUTING": ["-j KUBE-POSTROUTING", "-s 10.1.0.0/16 -j LOST"], "LOST": ["-j ACCEPT"]}
    others = {"KUBE-POSTROUTING": ["-j RETURN"], "CNI-1": ["-j RETURN"]}
    assert network.rules({"nat": nat | others})["nat"] == nat


def test_a_rule_of_the_services_counts_where_a_jump_is_inserted_by_its_number():
    """It is left as it is, though its chain has a name of podlab's."""
    undefined = f"-d 10.96.0.0/16 -m conntrack --ctstate NEW -j {rules.UNDEFINED_PORTS}"
    table = {"FORWARD": [undefined, "-s 10.9.9.9/32 -j ACCEPT", "-j REJECT"], rules.UNDEFINED_PORTS: ["-j REJECT"]}
    observed = network.rules({"filter": table})["filter"]
    row: rules.TableConfig = {"chains": {"PODLAB-FORWARD": []}, "jumps": {"FORWARD": ["-j PODLAB-FORWARD"]}}
    assert rules.changes(observed, row) == [":PODLAB-FORWARD - [0:0]", "-I FORWARD 3 -j PODLAB-FORWARD"]
    assert rules.removal(observed) == []


def test_a_renamed_chain_that_two_missing_ones_could_be_is_taken_away_once():
    row: rules.TableConfig = {
        "chains": {"PODLAB-A": ["-j RETURN"], "PODLAB-B": ["-j RETURN"]},
        "jumps": {"FORWARD": ["-j PODLAB-A", "-j PODLAB-B"]},
    }
    lines = rules.changes({"FORWARD": ["-j LOST"], "LOST": ["-j RETURN"]}, row)
    assert [line for line in lines if "LOST" in line] == [":LOST - [0:0]", "-D FORWARD -j LOST", "-X LOST"]
