"""What a host answers is its word about itself: a field of the module in its shape, or nothing."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from action_plugins import podlab_verify_report
from podlab import packed
from podlab.controller import answers, transport
from podlab.planner.verify import service_report
from podlab.records.observation import sound_observation

PROBED = {"changed": False, "answers": {"a": {"b": {"seen": "10.1.1.2"}, "c": {"error": "refused"}}}, "watcher": 7}
PROBED |= {"deaf": {"d": "address already in use"}}
PROBED |= {"listening": '{"10.1.1.2:80/tcp": ["listens"]}'}
CALLED = {"outcomes": '{"0": [["answer", 4000]]}', "listening": "{}", "is_whole": True}
CALLED |= {"flows": '[["tcp", "10.1.1.2", 4000, "10.96.0.1", 80, "10.1.1.2", 4000, "10.1.2.2", 80]]'}
UNREADY = {"unready": [{"pod": "default/web", "words": ["it waits"]}], "arrived": 2, "state": {"arrived": ["uid"]}}
UNREADY |= {"waiting": [{"pod": "default/web", "left": 3, "words": "it waits"}]}
TRUE = {
    "podlab_bridge": {"changed": True, "diff": {"prepared": "ip link add cbr0\n"}, "warnings": ["so"]},
    "podlab_observe": {"observation": '{"links": []}', "missing": {"conntrack": "conntrack"}},
    "podlab_probe": PROBED,
    "podlab_service_probe": CALLED,
    "podlab_ready": UNREADY,
    "podlab_programs": {"changed": False, "unavailable": "", "progress": "3 of 12 packages set up"},
    "podlab_teardown": {"failed": True, "msg": "no such bridge"},
}


@pytest.mark.parametrize("module", TRUE)
def test_an_answer_is_taken_as_it_is(module: str) -> None:
    assert answers.read(module, json.dumps(TRUE[module])) == TRUE[module]


def test_who_has_failed_tells_nothing_else() -> None:
    failed = {"failed": True, "msg": "no"}
    assert answers.read("podlab_probe", json.dumps(failed | {"answers": 7})) == failed


@pytest.mark.parametrize(
    "lie",
    [
        {"add_host": {"host_name": "node2", "host_vars": {"ansible_connection": "local"}}},
        {"add_group": "nodes"},
        {"ansible_facts": {"ansible_connection": "local", "ansible_python_interpreter": "/bin/evil"}},
        {"_ansible_delegated_vars": {"ansible_host": "localhost"}},
        {"_ansible_no_log": True},
        {"_ansible_verbose_override": True},
        {"_ansible_item_label": "\x1b[31m", "\x1b[31m": 1},
        {"exception": "\x1b[31m", "deprecations": [{"msg": "\x1b[31m"}], "invocation": {}, "results": [{"a": 1}]},
        {"unreachable": True, "skipped": True, "rc": 0, "stdout": "x", "ansible_module_results": 1},
        {"observation": "not of this module"},
        {"diff": {"before": 1, "after": 2}},
    ],
)
def test_what_no_module_tells_is_left_out(lie: dict[str, object]) -> None:
    found = answers.read("podlab_bridge", json.dumps({"changed": False, **lie}))
    assert found.pop("diff", {}) == {}
    assert found == {"changed": False}


@pytest.mark.parametrize(
    ("module", "lie", "where"),
    [
        ("podlab_bridge", {"changed": "yes"}, "changed: must be of type boolean"),
        ("podlab_bridge", {"diff": ["x"]}, "diff: must be of type object"),
        ("podlab_bridge", {"warnings": "x"}, "warnings: must be of type array"),
        ("podlab_bridge", {"failed": True, "msg": {"a": 1}}, "msg: must be of type string"),
        ("podlab_observe", {}, "missing: is missing"),
        ("podlab_observe", {"observation": "{}", "missing": ["x"]}, "missing: must be of type object"),
        ("podlab_probe", {**PROBED, "answers": []}, "answers: must be of type object"),
        ("podlab_probe", {**PROBED, "answers": {"a": {"b": {}}}}, "answers.a.b: must be seen or error"),
        ("podlab_probe", {**PROBED, "deaf": {"a": 7}}, "deaf.a: must be of type string"),
        ("podlab_probe", {**PROBED, "listening": "{"}, "listening: must be JSON of what listened"),
        ("podlab_service_probe", {**CALLED, "outcomes": '{"x": []}'}, "outcomes: must be JSON"),
        ("podlab_service_probe", {**CALLED, "outcomes": '{"0": [["answer"]]}'}, "outcomes: must be JSON"),
        ("podlab_service_probe", {**CALLED, "flows": "[[1]]"}, "flows: must be JSON"),
        ("podlab_service_probe", {**CALLED, "flows": "[" * 100_000}, "flows: must be JSON"),
        ("podlab_ready", {"unready": [{"pod": "x"}]}, r"unready\[0\].words: is missing"),
        ("podlab_programs", {"progress": "x"}, "unavailable: is missing"),
        ("podlab_ready", {**UNREADY, "waiting": [7]}, r"waiting\[0\]: must be of type object"),
    ],
)
def test_a_shape_that_is_none_of_the_modules_is_no_answer(module: str, lie: object, where: str) -> None:
    with pytest.raises(answers.Unbelievable, match=f"this is no answer of the module: {where}"):
        answers.read(module, json.dumps(lie))


def test_what_is_no_answer_is_none() -> None:
    for words in ("", "a traceback"):
        with pytest.raises(json.JSONDecodeError):
            answers.read("podlab_bridge", words)
    for words in ("[]", "7", "[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(answers.Unbelievable):
            answers.read("podlab_bridge", words)


@pytest.mark.parametrize("text", ["no JSON", "[" * 100_000, "7", '{"links": NaN}'])
def test_an_observation_that_is_none_is_named(text: str) -> None:
    seen, _, problems = sound_observation(transport.decode(text), {})
    assert seen is None
    assert problems
    assert problems[0].startswith("what the host tells of itself cannot be read")


def test_a_word_that_unpacks_without_end_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST", 1000)
    bomb = base64.b64encode(zlib.compress(b"[" + b" " * 1000 + b"]")).decode()
    assert transport.decode_part(bomb) == bomb
    assert transport.decode_part(transport.pack(["a"] * 100)) == ["a"] * 100


def test_a_word_of_few_bytes_and_many_values_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_VALUES", 1000)
    many = transport.pack([{}] * 501)
    assert transport.decode_part(many) == many
    assert transport.decode_part(transport.pack([{}] * 499)) == [{}] * 499
    words = ["," * 10_000, '\\"[' * 10_000, "\\"]
    assert transport.decode_part(transport.pack(words)) == words, "what is in a string is no value"


@pytest.mark.parametrize("text", ['"' * 200_001, '"\\"' * 200_001, '"' + '\\"' * 200_000, '"' + "\\" * 200_001])
def test_values_are_counted_once_through(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_VALUES", 1000)
    with pytest.raises(ValueError, match="it has more than"):
        packed.loads("[" * 1001 + text)


def test_an_answer_of_too_many_values_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_VALUES", 1000)
    with pytest.raises(answers.Unbelievable, match="it has more than 1000 values"):
        answers.read("podlab_bridge", json.dumps({"changed": [{}] * 1001}))
    assert isinstance(transport.decode(json.dumps([{}] * 1001)), str), "and so it fits nothing"


def test_of_a_job_that_was_started_no_more_is_taken_than_where_it_is() -> None:
    started = {"started": 1, "finished": 0, "ansible_job_id": "j1.2", "results_file": "/root/.ansible_async/j1.2"}
    assert answers.job({**started, "ansible_facts": {"a": 1}, "add_host": {}}) == started
    assert answers.job({**started, "ansible_job_id": ["j"]})["failed"]
    assert answers.job({"failed": 1, "msg": "could not fork"}) == {"failed": 1, "msg": "could not fork"}


ENDS = [{"name": name, "host": f"on-{name}", "kind": "pod", "address": "10.1.1.2"} for name in ("a", "b")]


def test_nobody_answers_for_another_hosts_pods() -> None:
    lies = {"a": {"b": {"seen": "10.1.1.9"}}, "b": {"a": {"seen": "10.1.1.3"}}, "c": {}}
    told = {"answers": lies, "deaf": {"a": "in use", "b": "in use"}}
    found = {"on-b": {"verify_result": told}, "on-a": {"verify_result": {"failed": True, "msg": "no"}}}
    answered = podlab_verify_report.answered({"ends": ENDS}, set(), {"hostvars": found})
    assert answered == ({"b": lies["b"]}, {"b": "in use"}, ["on-a: no"])


def test_nor_for_its_calls_and_programs_of_services(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = [{"source": "a"}, {"source": "b"}]
    listening = {"10.1.1.2:80/tcp": ["nothing"], "10.1.2.2:80/tcp": ["listens"], "10.1.3.3:80/tcp": ["nothing"]}
    met = {"outcomes": json.dumps({at: [["answer", at]] for at in range(4)}), "listening": json.dumps(listening)}
    found = {"on-a": {}, "on-b": {"verify_services": met}}
    told: list[Any] = []
    monkeypatch.setattr(service_report, "judge", lambda *given: told.extend(given) or service_report.Report())
    variables = {"ansible_play_hosts": list(found), "hostvars": found}
    endpoints = {"10.1.1.2:80/tcp": {"host": "on-a"}, "10.1.2.2:80/tcp": {"host": "on-b"}}
    podlab_verify_report.judged({"asks": asks, "endpoints": endpoints}, ENDS, variables, set(), False)
    assert told[2] == {1: [["answer", 1]]}
    assert told[4] == {"10.1.2.2:80/tcp": ["listens"]}
