"""./lab rules: the rules that a packet to a service passes, out of what the kernel has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podlab.changes.kube_proxy import names as kube_names
from podlab.changes.kube_proxy import services, trace
from podlab.changes.netfilter import iptables_save
from tests.unit.test_kube_proxy_rules import BOTH, EVERY_WAY_IN, NODE_PORT, UNREADY, endpoint, port, row

SAVED = Path(__file__).parents[1] / "kube-proxy" / "nodeport-local.save"
OTHER = port(*BOTH, service="shop/cart", cluster_ip="10.96.0.20", external_ips=["203.0.113.9"])
WEB = row(port(*BOTH, node_port=NODE_PORT, external_local=True), OTHER)


def node(whole: Any) -> dict[str, dict[str, list[str]]]:
    """What ``iptables-save`` of a node tells that has just these services, and podlab's own chains beside them."""
    saved = {
        table: {**{chain: list(rules) for part in ("jumps", "chains") for chain, rules in parts[part].items()}}
        for table, parts in services.tables(whole).items()
    }
    saved["nat"]["POSTROUTING"].append("-s 10.1.0.0/16 -j PODLAB-EGRESS")
    saved["nat"]["PODLAB-EGRESS"] = ["-j MASQUERADE --random-fully"]
    return saved


def told(whole: Any, service: str | None = "default/web", **tables: dict[str, list[str]]) -> list[str]:
    saved = node(whole)
    for table, chains in tables.items():
        saved[table].update(chains)
    return trace.path(saved, whole, service)


def bare(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines]


def test_the_text_of_iptables_save_is_read_table_by_table():
    saved = iptables_save.parsed(SAVED.read_text())
    assert list(saved) == ["mangle", "filter", "nat"]
    assert saved["nat"]["KUBE-MARK-MASQ"] == ["-j MARK --set-xmark 0x4000/0x4000"]
    assert saved["nat"]["INPUT"] == []
    assert sum(len(rules) for chains in saved.values() for rules in chains.values()) == SAVED.read_text().count("\n-A ")


def test_the_way_of_a_packet_hook_by_hook(golden):
    """On a node of somebody else's: of what the node was told nothing is known."""
    golden(
        "kube-path.rules", "\n".join(trace.path(iptables_save.parsed(SAVED.read_text()), None, "default/web")) + "\n"
    )


def test_rules_of_other_services_are_left_out_and_shared_ones_are_not():
    lines = told(WEB)
    assert not [line for line in lines if "shop/cart" in line]
    assert [line for line in bare(lines) if line.startswith("-A KUBE-SERVICES") and line.endswith("-j KUBE-NODEPORTS")]
    assert [line for line in bare(lines) if line.startswith("-A KUBE-MARK-MASQ")]


def test_without_a_service_every_rule_is_told_once():
    saved = node(WEB)
    lines = [line.split(" ", 1)[1] for line in bare(told(WEB, None)) if line.startswith("-A ")]
    every = [
        f"{chain} {rule}"
        for chains in saved.values()
        for chain, rules in chains.items()
        for rule in rules
        if chain != "PODLAB-EGRESS"
    ]
    assert sorted(lines) == sorted(every)


@pytest.mark.parametrize("service", ["default/we", "default/web2", "default/web-http", "web"])
def test_a_name_that_is_like_another_is_another(service):
    assert not [line for line in told(WEB, service) if "default/web" in line]


def test_a_service_is_told_with_all_of_its_ports():
    whole = row(port(*BOTH), port(*BOTH, port_name="metrics", port=9090), port(*BOTH, port_name="", port=1))
    lines = told(whole)
    for comment in ("default/web:http cluster IP", "default/web:metrics cluster IP", "default/web cluster IP"):
        assert [line for line in lines if f'"{comment}"' in line]


def test_a_chain_stands_behind_the_first_rule_that_leads_there_one_step_further_in():
    lines = told(WEB)
    first = next(i for i, line in enumerate(lines) if line.endswith("-j KUBE-MARK-MASQ"))
    step = len(lines[first]) - len(lines[first].lstrip())
    assert lines[first + 1] == f"{' ' * step}  -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000"
    assert len([line for line in bare(lines) if line.startswith("-A KUBE-MARK-MASQ")]) == 1


def test_refusals_in_filter_are_told_too():
    lines = bare(told(row(port(endpoint(**UNREADY), **EVERY_WAY_IN), OTHER)))
    refused = [line for line in lines if "default/web:http has no endpoints" in line]
    assert [line.split()[1] for line in refused] == [*["KUBE-EXTERNAL-SERVICES"] * 3, "KUBE-SERVICES"]


def test_rules_of_others_in_built_in_chains_are_told_and_not_followed():
    lines = bare(told(WEB, filter={"FORWARD": ["-j DOCKER-USER"], "DOCKER-USER": ["-j RETURN"]}))
    assert "-A FORWARD -j DOCKER-USER" in lines
    assert "-A DOCKER-USER -j RETURN" not in lines
    assert "-A POSTROUTING -s 10.1.0.0/16 -j PODLAB-EGRESS" in lines


def test_what_a_comment_says_is_no_jump():
    lines = bare(told(WEB, filter={"FORWARD": ['-m comment --comment "not -j KUBE-FORWARD today" -j ACCEPT']}))
    assert [line for line in lines if line.startswith("-A FORWARD")]
    assert not [line for line in lines if line.startswith("-A KUBE-FORWARD")]


def test_what_somebody_wrote_into_a_shared_chain_is_everybodys():
    services_chain = ["-d 10.96.0.10/32 -j DROP", *node(WEB)["nat"]["KUBE-SERVICES"]]
    assert "-A KUBE-SERVICES -d 10.96.0.10/32 -j DROP" in bare(told(WEB, nat={"KUBE-SERVICES": services_chain}))


def test_a_rule_without_a_comment_is_the_services_whose_chain_it_leads_to():
    own, other = (kube_names.service_chains(name, "tcp")["SVC"] for name in ("default/web:http", "shop/cart:http"))
    lines = bare(told(WEB, nat={"KUBE-SERVICES": [f"-p tcp -j {own}", f"-p tcp -j {other}"]}))
    assert f"-A KUBE-SERVICES -p tcp -j {own}" in lines
    assert f"-A KUBE-SERVICES -p tcp -j {other}" not in lines


def test_chains_that_nothing_leads_to_any_more_are_told_apart():
    chains = kube_names.service_chains("default/web:http", "tcp")
    lines = told(WEB, nat={"KUBE-SERVICES": [], "KUBE-NODEPORTS": []})
    apart = lines[lines.index("# nat: no rule leads here") + 1 :]
    assert f":{chains['EXT']} - [0:0]" == apart[0]
    assert [line for line in bare(apart) if line.startswith(f"-A {chains['SVL']}")], "and where they lead themselves"
    assert not [line for line in apart if "shop/cart" in line]
    assert ":KUBE-PROXY-CANARY - [0:0]" not in lines
    assert ":KUBE-PROXY-CANARY - [0:0]" in told(WEB, None)


def test_refused_ports_of_other_services_are_left_out():
    lines = bare(told({**WEB, "reject_undefined_ports": True}))
    refused = [line for line in lines if line.startswith(f"-A {services.UNDEFINED_PORTS}")]
    assert [line for line in refused if "default/web" in line] == refused and len(refused) == 1


def test_a_node_without_any_rule_has_empty_headings():
    assert trace.path({}, WEB, "default/web") == [f"# {table} {hook}: {words}" for table, hook, words in trace.HOOKS]


def test_a_rule_that_matches_everything_and_leads_nowhere_is_shown() -> None:
    tables = iptables_save.parsed("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD\n-A FORWARD -j ACCEPT\nCOMMIT\n")
    assert tables == {"filter": {"FORWARD": ["", "-j ACCEPT"]}}
    assert "-A FORWARD" in trace.path(tables, None)


@pytest.mark.parametrize("text", ["-A", "-A ", "-A X", "-A X -j X\n*nat", "*\n:\n-A  \n", ":PREROUTING\n-A PREROUTING"])
def test_what_is_no_table_of_rules_is_read_all_the_same(text: str) -> None:
    assert trace.path(iptables_save.parsed(text), None)


def test_chains_may_lead_on_without_end() -> None:
    lines = [f":KUBE-{at} - [0:0]" for at in range(20_000)]
    lines += [f"-A KUBE-{at} -j KUBE-{(at + 1) % 20_000}" for at in range(20_000)]
    text = "\n".join(["*nat", ":OUTPUT ACCEPT [0:0]", *lines, "-A OUTPUT -j KUBE-0", "COMMIT"])
    found = trace.path(iptables_save.parsed(text), None)
    assert found.count(f"{'  ' * trace.DEEPEST}-A KUBE-9999 -j KUBE-10000") == 1
    assert len("\n".join(found)) < 10_000_000
