"""Where a host's own chain ends for everybody, and where podlab's jump stands then."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.netfilter import rules
from podlab.changes.netfilter.closing_rules import end_of
from tests.simulated_host import restore

LINKS = ["cbr0", "eth0"]
JUMP = "-j PODLAB-FORWARD"
ROW: rules.TableConfig = {
    "chains": {"PODLAB-FORWARD": ["-s 10.1.0.0/16 -j ACCEPT"]},
    "jumps": {"FORWARD": [JUMP]},
    "links": LINKS,
}


@pytest.mark.parametrize(
    "rule",
    [
        "-j REJECT --reject-with icmp-host-prohibited",
        "-j DROP",
        '-m comment --comment "the rest: -j ACCEPT" -j DROP',
        "-p tcp -j REJECT --reject-with tcp-reset",
        "-p udp -m udp -j REJECT --reject-with icmp-port-unreachable",
        "-m conntrack --ctstate NEW -j REJECT",
        "-m state --state NEW,INVALID -j DROP",
        "-i eth0 -j DROP",
        "-i eth+ -o cbr0 -j DROP",
        "! -i lo -j DROP",
        "-m limit --limit 5/sec --limit-burst 5 -j REJECT",
        "-j the-end",
        "-g deep",
    ],
)
def test_a_rule_that_refuses_everybody_is_the_end(rule):
    chains = {"the-end": ["-s 10.9.0.0/16 -j ACCEPT", "-j DROP"], "deep": ["-p tcp -j the-end"], "FORWARD": [rule]}
    assert end_of([rule], chains, LINKS) == 0


@pytest.mark.parametrize(
    "rule",
    [
        "-s 10.1.1.2/32 -j DROP",
        "! -s 10.0.0.0/8 -j DROP",
        "-d 169.254.169.254/32 -j REJECT",
        "-p tcp -m tcp --dport 25 -j DROP",
        "-m conntrack --ctstate INVALID -j DROP",
        "-m conntrack ! --ctstate NEW -j DROP",
        "! -i docker0 -o docker0 -j DROP",
        "-o virbr0 -j REJECT",
        "-m mark --mark 0x8000/0x8000 -j DROP",
        "-m owner --uid-owner 5 -j REJECT",
        "-j DOCKER-USER",
        "-j round",
        "-j let-through",
        "-j nowhere",
        "-j ACCEPT",
        "-j LOG",
        "-p tcp",
    ],
)
def test_a_rule_that_means_some_is_none(rule):
    chains = {
        "DOCKER-USER": ["-i docker0 -j DROP", "-j RETURN"],
        "round": ["-j round"],
        "let-through": ["-j RETURN", "-j DROP"],
    }
    assert end_of([rule], chains, LINKS) is None


def forward(*before: str) -> dict[str, list[str]]:
    return {"FORWARD": list(before), "PODLAB-FORWARD": ["-s 10.1.0.0/16 -j ACCEPT"]}


@pytest.mark.parametrize(
    ("observed", "lines"),
    [
        pytest.param(["-j DROP"], [f"-I FORWARD 1 {JUMP}"], id="before the end"),
        pytest.param(
            ["-s 10.9.0.0/16 -j DROP", "-m limit --limit 1/sec -j LOG", "-j REJECT"],
            [f"-I FORWARD 2 {JUMP}"],
            id="behind what means some, before the log of those that are refused",
        ),
        pytest.param(["-j REJECT", JUMP], [f"-D FORWARD {JUMP}", f"-I FORWARD 1 {JUMP}"], id="moved"),
        pytest.param([JUMP, "-j REJECT"], [], id="there already"),
        pytest.param([JUMP, "-j REJECT", JUMP], [f"-D FORWARD {JUMP}"] * 2 + [f"-I FORWARD 1 {JUMP}"], id="twice"),
        pytest.param(["-j DROP", "-j PODLAB-OLD"], ["-D FORWARD -j PODLAB-OLD", f"-I FORWARD 1 {JUMP}"], id="another"),
    ],
)
def test_the_jump_stands_before_the_end(observed, lines):
    assert rules.changes(forward(*observed), ROW) == lines


def test_two_jumps_keep_their_order_before_the_end():
    row: rules.TableConfig = {
        "chains": {"PODLAB-A": [], "PODLAB-B": []},
        "jumps": {"INPUT": ["-j PODLAB-A", "-j PODLAB-B"]},
    }
    table = {"INPUT": ["-i lo -j ACCEPT", "-j DROP"]}
    restore(table, rules.changes(table, row))
    assert table["INPUT"] == ["-i lo -j ACCEPT", "-j PODLAB-A", "-j PODLAB-B", "-j DROP"]


some = st.lists(
    st.sampled_from(
        ["-j DROP", "-j REJECT", "-j LOG", "-p udp -j ACCEPT", "-s 10.1.0.9/32 -j DROP", JUMP, "-j PODLAB-X"]
    ),
    max_size=7,
)


@settings(deadline=None, max_examples=200)
@given(some)
def test_one_run_puts_it_there_and_moves_nothing_else(before):
    table = {**forward(*before), "PODLAB-X": []}
    restore(table, rules.changes(table, ROW))
    assert rules.changes(table, ROW) == []
    assert [rule for rule in table["FORWARD"] if "PODLAB" not in rule] == [
        rule for rule in before if "PODLAB" not in rule
    ]
    end = end_of(table["FORWARD"], {}, LINKS)
    assert table["FORWARD"].count(JUMP) == 1
    assert end is None or table["FORWARD"].index(JUMP) < end
    restore(table, rules.removal(table))
    assert table == {"FORWARD": [rule for rule in before if "PODLAB" not in rule]}
