"""Services and what is behind them change while clients call on and on.

The story is told once, run by run; the tests then read what was noted meanwhile.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from services_lab import Clients, Forgotten, Node, Pods, Site, prepare
from services_matrix import ITSELF, NODE, REFUSED, UNREACHABLE, Answers, Cell, Row, World, cells, told

SCENARIO = Path(__file__).resolve().parents[1]
CALM = "calm1:8080 calm2:8080"


@dataclass(frozen=True)
class Step:
    """A run of site.yml: what is changed before it, and who answers after it."""

    name: str
    patches: Mapping[str, Any] = field(default_factory=dict)
    """Object -> a patch for its spec, or for its status (RFC 7396); None takes the object away."""
    arguments: Sequence[str] = ()
    table: Sequence[Row] = ()
    replicas: int = 1


SETTINGS = {
    "podlab_pod_routing": "gateway",
    "podlab_masquerade_all": True,
    "podlab_localhost_node_ports": False,
    "podlab_node_port_addresses": ["10.100.0.0/24"],
}
SET = ("--extra-vars", json.dumps(SETTINGS))

STEPS = [
    Step(
        "as it begins",
        table=[
            Row("client1", "shape:80", CALM, ITSELF),
            Row("outside", "node1:30081", REFUSED),
            Row("client1", "fickle:80", CALM, ITSELF),
            Row("outside", "node2:30099", CALM, NODE),
            Row("client2", "mood:80", "moody:8080 calm2:8080", ITSELF),
            Row("node1", "localhost:30099", CALM, NODE),
        ],
    ),
    Step(
        "three replicas, a node port, another port",
        {
            "Deployment/scaled": {"replicas": 3},
            "Service/shape": {"type": "NodePort", "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30081}]},
            "Service/fickle": {"ports": [{"port": 8000, "targetPort": 8080}]},
        },
        table=[
            Row("client1", "shape:80", CALM, ITSELF),
            Row("outside", "node1:30081", CALM, NODE),
            Row("client1", "fickle:80", UNREACHABLE),
            Row("client1", "fickle:8000", CALM, ITSELF),
        ],
        replicas=3,
    ),
    Step(
        "a new template for all replicas, a policy",
        {
            "Deployment/scaled": {"template": {"metadata": {"labels": {"version": "two"}}}},
            "StatefulSet/line": {"template": {"metadata": {"labels": {"version": "two"}}}},
            "Service/shape": {"externalTrafficPolicy": "Local"},
        },
        table=[
            Row("outside", "node1:30081", "calm1:8080", ITSELF),
            Row("outside", "node2:30081", "calm2:8080", ITSELF),
            Row("client1", "shape:80", CALM, ITSELF),
        ],
        replicas=3,
    ),
    Step(
        "no replica, a Service less, and one that is but a name",
        {
            "Deployment/scaled": {"replicas": 0},
            "Deployment/last": {"replicas": 0},
            "Service/doomed": None,
            "Service/fickle": {"type": "ExternalName", "externalName": "www.example.org", "clusterIP": None},
        },
        table=[
            Row("outside", "node2:30099", REFUSED),
            Row("client1", "doomed:80", UNREACHABLE),
            Row("client1", "fickle:8000", UNREACHABLE),
            Row("client1 node2", "scaled:80", REFUSED),
            Row("client1 outside", "node2:30080", REFUSED),
            Row("client2 node1", "scaled:80/udp", REFUSED),
            Row("client2 node1", "last:80", REFUSED),
        ],
        replicas=0,
    ),
    Step(
        "one replica again, affinity, a load balancer",
        {
            "Deployment/scaled": {"replicas": 1},
            "Service/shape": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"},
            "Service/shape status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}},
            "Service/fickle": {"type": "ClusterIP", "externalName": None, "clusterIP": "10.96.100.4"},
        },
        table=[
            Row("outside", "shape.lb:80", "calm1:8080", ITSELF),
            Row("client1", "fickle:8000", CALM, ITSELF),
        ],
    ),
    Step(
        "a pod that is not ready any more",
        arguments=("--tags", "services"),
        table=[Row("client2", "mood:80", "calm2:8080", ITSELF), Row("client1", "calm:80", CALM, ITSELF)],
    ),
    Step(
        "ready again, and other settings",
        arguments=SET,
        table=[
            Row("client2", "mood:80", "moody:8080 calm2:8080", NODE),
            Row("client1", "calm:80", CALM, NODE),
            Row("node1 node2", "localhost:30081", REFUSED),
            Row("outside", "cbr0@node1:30081", REFUSED),
            Row("outside", "node1:30081", "calm1:8080", ITSELF),
        ],
    ),
    Step("nothing new", arguments=SET),
]
_, UP, ROLL, DOWN, BACK, UNREADY, SETTING, NOTHING = range(len(STEPS))

WATCHED = {
    # What does not change, or changes beside what is called
    "calm": ("client1", "calm:80", "each"),
    "calm, in one connection": ("client1", "calm:80", "one"),
    "calm, in datagrams": ("client2", "calm:80/udp", "same port"),
    "shape": ("client2", "shape:80", "each"),
    # Pods that are replaced one by one, by others with the same addresses
    "line": ("client1", "line:80", "each"),
    # The only one, which takes its time to go
    "last": ("client2", "last:80", "each"),
    # What comes and goes, in every way that leads there
    "scaled": ("client1", "scaled:80", "each"),
    "scaled, from a node": ("node2", "scaled:80", "each"),
    "scaled, from outside": ("outside", "node1:30080", "each"),
    "scaled, in datagrams": ("client2", "scaled:80/udp", "same port"),
    "scaled, in datagrams from outside": ("outside", "node2:30080/udp", "same port"),
}
SCALED = [name for name in WATCHED if name.startswith("scaled")]
STEADY = [name for name in WATCHED if name not in ("last", *SCALED)]
OWN_PORT = 5353
OWN_PORTS, MOST_CALLS = 6000, 2400  # below 32768, where the kernel's own choice begins
ENTRY = "node2"
"""Where all who send datagrams come in, and so the only one that knows their connections."""
TIMEOUT = 2.0
"""With datagrams."""
LAST_WORDS = 8.0
"""Seconds that ``last`` serves on after it was told to go: its preStop hook's."""


# --- the story --------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What a step left behind."""

    began: float
    ended: float
    output: str
    answers: Answers
    replicas: Mapping[str, str]
    """Pod -> address, of those that ``scaled`` has now."""
    found: set[str]
    """Pods that answered for it."""
    rules: Mapping[str, str]
    """Node -> ``iptables-save -c``."""
    flows: Mapping[str, str]
    """Node -> ``conntrack -L -p udp``."""


@dataclass
class Story:
    runs: list[Run] = field(default_factory=list)
    notes: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    forgotten: Forgotten = field(default_factory=list)

    def between(self, name: str, first: float, last: float) -> list[str]:
        """What was noted meanwhile.

        Without datagrams whose connection was ended before their answer was back: nobody knows then whose it is. So it
        is with kube-proxy, and who sends datagrams has to send again.
        """
        return [word for _, word in self._between(name, first, last)]

    def when(self, name: str, first: float, last: float) -> list[str]:
        """The same, with the run it was noted in, or after."""
        told = []
        for at, word in self._between(name, first, last):
            number = max((number for number, run in enumerate(self.runs) if run.began <= at), default=0)
            run = self.runs[number]
            told.append(f"{at - run.began:.2f} s into {STEPS[number].name!r} ({run.ended - run.began:.2f} s): {word}")
        return told

    def _between(self, name: str, first: float, last: float) -> list[tuple[float, str]]:
        ends = [at for at, _ in self.ended(name)] if WATCHED[name][2] == "same port" else []
        return [
            (at, word)
            for at, word in self.notes[name]
            if first <= at <= last and not (word == "lost" and any(at <= end <= at + TIMEOUT for end in ends))
        ]

    def ended(self, name: str) -> list[tuple[float, str]]:
        """When a client's connection was forgotten, and who answered in it."""
        return [
            (at, re.findall(r"src=(\S+)", line)[1])
            for at, line in self.forgotten
            if f" sport={own_port(name)} " in line
        ]


@pytest.fixture(scope="session")
def world(node: Node, pods: Pods) -> World:
    """All addresses stand in the manifests."""
    prepare(node, "203.0.113.0/24")
    services = {key.partition("/")[2]: body for key, body in objects().items() if key.startswith("Service/")}
    services["shape"]["status"] = STEPS[BACK].patches["Service/shape status"]
    return World(pods, services)


@pytest.fixture(scope="session")
def story(node: Node, clients: Clients, site: Site, world: World, tmp_path_factory: Any) -> Story:
    manifests, bodies = tmp_path_factory.mktemp("change"), objects()
    whole, told_by = Story(), []
    with ExitStack() as watching:
        whole.forgotten = watching.enter_context(clients.forgetting(ENTRY))
        for client in dict.fromkeys(client for client, _, _ in WATCHED.values()):
            mine = {name: target(world, name) for name in WATCHED if WATCHED[name][0] == client}
            notes = watching.enter_context(clients.watching(client, list(mine.values())))
            told_by.append((list(mine), notes))
        for number, step in enumerate(STEPS):
            for key, patch in step.patches.items():
                apply(bodies, key, patch)
            (manifests / "all.yml").write_text(yaml.safe_dump_all(bodies.values()))
            if number in (UNREADY, SETTING):
                clients.make_ready("moody", number == SETTING)
            began = time.time()
            output = site(SCENARIO, manifests, "--skip-tags=verify", *step.arguments) if number else ""
            whole.runs.append(look(began, output, step, node, clients, world))
    for names, notes in told_by:
        whole.notes |= dict(zip(names, notes, strict=True))
    return whole


def objects() -> dict[str, Any]:
    """``Kind/name`` -> object, as the scenario has them."""
    texts = [file.read_text() for file in sorted((SCENARIO / "manifests").iterdir())]
    bodies = [body for text in texts for body in yaml.safe_load_all(text)]
    return {f"{body['kind']}/{body['metadata']['name']}": body for body in bodies}


def apply(bodies: dict[str, Any], key: str, patch: Any) -> None:
    name, _, part = key.partition(" ")
    if patch is None:
        del bodies[name]
    else:
        bodies[name] = patched(bodies[name], {part or "spec": patch})


def patched(value: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        result[key] = patched(result.get(key), part)
        if part is None:
            del result[key]
    return result


def target(world: World, name: str) -> dict[str, Any]:
    client, place, way = WATCHED[name]
    question = world.question(Cell(client, place, ""))
    more = {"patience": TIMEOUT} if way == "same port" else {}
    return {**question, "way": way, "own_port": own_port(name), **more}


def own_port(name: str) -> int:
    """Where its calls come from: one port, or the first of as many as there are calls."""
    number = list(WATCHED).index(name)
    return OWN_PORT + number if WATCHED[name][2] == "same port" else OWN_PORTS + MOST_CALLS * number


def look(began: float, output: str, step: Step, node: Node, clients: Clients, world: World) -> Run:
    ended = time.time()
    replicas = addresses(node)
    questions = {cell: world.question(cell) for cell in cells(step.table)}
    everybody = Cell("client1", "scaled:80", " ".join(f"{name}:8080" for name in replicas))
    if replicas:
        questions[everybody] = world.question(everybody)
    answers = clients.ask(questions) if questions else {}
    return Run(
        began=began,
        ended=ended,
        output=output,
        answers=answers,
        replicas=replicas,
        found={server.partition(":")[0] for server, _ in answers[everybody]["calls"]} if replicas else set(),
        rules={name: node(name).check_output("iptables-save -c") for name in world.nodes},
        flows={name: node(name).check_output("conntrack -L -p udp 2>/dev/null") for name in world.nodes},
    )


def addresses(node: Node) -> dict[str, str]:
    found = {}
    for name in ("node1", "node2"):
        text = node(name).run("cat /run/podlab/pods/default_scaled-*/pod.json 2>/dev/null").stdout.strip()
        while text:
            row, end = json.JSONDecoder().raw_decode(text)
            found[row["object"]["metadata"]["name"]] = row["address"].split("/")[0]
            text = text[end:].lstrip()
    return found


# --- what was seen after each run ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "cell"),
    [
        pytest.param(number, cell, id=f"{step.name}: {cell}")
        for number, step in enumerate(STEPS)
        for cell in cells(step.table)
    ],
)
def test_who_answers_and_whom_he_sees(number: int, cell: Cell, world: World, story: Story) -> None:
    assert told(story.runs[number].answers[cell]) == world.expected(cell)


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[step.name for step in STEPS])
def test_every_replica_serves_and_nobody_else_does(number: int, story: Story) -> None:
    run = story.runs[number]
    assert len(run.replicas) == STEPS[number].replicas
    assert run.found == set(run.replicas)


# --- what clients noted meanwhile ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEADY)
def test_who_calls_a_service_that_serves_notices_nothing(name: str, story: Story) -> None:
    words = [word for _, word in story.notes[name]]
    assert len(words) > 50
    assert set(words) <= ({"line-0", "line-1"} if name == "line" else {"calm1", "calm2"})
    # Who stays in one connection has one partner.
    assert len(set(words)) == (2 if WATCHED[name][2] == "each" else 1)


@pytest.mark.parametrize("name", SCALED)
def test_no_call_fails_while_there_are_replicas(name: str, story: Story) -> None:
    runs = story.runs
    for first, last in ((0.0, runs[DOWN].began), (runs[BACK].ended, float("inf"))):
        assert len(story.between(name, first, last)) > 10
        assert [told for told in story.when(name, first, last) if "scaled-" not in told] == []


@pytest.mark.parametrize("name", SCALED)
def test_without_replicas_calls_are_refused_and_nothing_worse(name: str, story: Story) -> None:
    """But for those who call just when the last one goes, and is still the only one to lead to."""
    runs = story.runs
    going = story.between(name, runs[DOWN].began, runs[DOWN].ended)
    in_between = {REFUSED, UNREACHABLE, "reset", "timeout", "lost"}
    assert {word for word in going if not word.startswith("scaled-")} <= in_between
    coming = story.between(name, runs[BACK].began, runs[BACK].ended)
    # Nothing, where a call of the moment in between goes on waiting: TCP asks the same pod again and again. Others are
    # refused, which the table of the run holds.
    assert {word for word in coming if not word.startswith("scaled-")} <= {REFUSED}
    assert set(story.between(name, runs[DOWN].ended, runs[BACK].began)) <= {REFUSED}


def test_the_only_one_answers_until_it_has_gone(story: Story) -> None:
    """It is ready no more, but serves, and there is nobody else to lead to."""
    down = story.runs[DOWN]
    assert {word.partition("-")[0] for word in story.between("last", 0.0, down.began + LAST_WORDS)} == {"last"}
    after = story.when("last", down.ended, float("inf"))
    assert after and [told for told in after if not told.endswith(f": {REFUSED}")] == []


def test_affinity_begins_with_the_run_that_sets_it(story: Story) -> None:
    runs = story.runs
    assert set(story.between("shape", 0.0, runs[BACK].began)) == {"calm1", "calm2"}
    words = story.between("shape", runs[BACK].ended, runs[SETTING].began)
    assert len(words) > 10 and len(set(words)) == 1


# --- what became of rules -----------------------------------------------------------------------------------


def counted(rules: str, words: str) -> dict[str, int]:
    """Rule -> packets, of rules with these words in them."""
    found = re.findall(r"^\[(\d+):\d+\] (-A .*)$", rules, re.MULTILINE)
    return {rule: int(packets) for packets, rule in found if words in rule}


@pytest.mark.parametrize("name", ["node1", "node2"])
def test_rules_of_a_service_that_does_not_change_keep_their_counters(name: str, story: Story) -> None:
    before = counted(story.runs[0].rules[name], "default/calm:")
    assert len(before) == 16 and any(before.values())
    for run in story.runs[: UNREADY + 1]:
        now = counted(run.rules[name], "default/calm:")
        assert now.keys() == before.keys()
        assert {rule: packets for rule, packets in now.items() if packets < before[rule]} == {}
        before = now


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[step.name for step in STEPS])
@pytest.mark.parametrize("name", ["node1", "node2"])
def test_no_chain_is_left_behind(name: str, number: int, story: Story) -> None:
    rules = story.runs[number].rules[name]
    chains = set(re.findall(r"^:(KUBE-(?:SVC|SVL|EXT|FW|SEP)-\w+)", rules, re.MULTILINE))
    assert chains
    assert chains == set(re.findall(r"-j (KUBE-(?:SVC|SVL|EXT|FW|SEP)-\w+)", rules))
    assert ("default/doomed" in rules) == (number < DOWN)
    assert ("default/fickle" in rules) == (number != DOWN)


def test_a_second_run_changes_nothing(story: Story) -> None:
    run, before = story.runs[NOTHING], story.runs[SETTING]
    assert re.findall(r"changed=(\d+)", run.output) == ["0"] * 4
    for name in run.rules:
        assert counted(run.rules[name], "").keys() == counted(before.rules[name], "").keys()


# --- what became of datagrams -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WATCHED if "datagrams" in name])
def test_only_connections_to_pods_that_go_are_ended(name: str, story: Story) -> None:
    ended = story.ended(name)
    assert bool(ended) == (name in SCALED)
    for at, server in ended:
        run = max((run for run in story.runs if run.began <= at), key=lambda run: run.began)
        assert server not in run.replicas.values()


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[step.name for step in STEPS])
@pytest.mark.parametrize(("name", "called"), [(ENTRY, "dst=10.96.100.1 "), (ENTRY, "dport=30080 ")])
def test_no_datagram_is_sent_on_to_a_pod_that_has_gone(name: str, called: str, number: int, story: Story) -> None:
    run = story.runs[number]
    flows = [flow for flow in run.flows[name].splitlines() if called in flow]
    servers = [re.findall(r"src=(\S+)", flow)[1] for flow in flows]
    assert set(servers) <= set(run.replicas.values())
    assert bool(servers) == bool(run.replicas)
