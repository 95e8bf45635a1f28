"""What is printed and what is done are one list: each kind of action has its commands and its runner."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import pytest

from podlab import changes
from podlab import host as host_package
from podlab.changes.actions import Action, Ip, NetnsIp, Sysctl, lines
from podlab.changes.script_text import Snippet, Typed
from podlab.changes.system.record import BeginRecord, SettleRecord
from podlab.host import actions, record
from podlab.host.run import HostError
from podlab.host.system import runners


def kinds(of: type[Action] = Action) -> Iterator[type[Action]]:
    """Those of podlab's that are made: of a kind that has kinds of its own there are no actions."""
    below = [kind for kind in of.__subclasses__() if kind.__module__.startswith("podlab.")]
    for kind in below:
        yield from kinds(kind)
    if not below:
        yield of


def test_every_kind_has_commands_and_a_runner() -> None:
    for package in (changes, host_package):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    found = list(kinds())
    assert len(found) > 20
    assert [kind for kind in found if kind.commands is Action.commands] == []
    # What is only asked for before the first of them is no change, and has nothing to be run.
    assert [kind for kind in found if kind not in actions.RUNNERS and kind not in actions.CHECKS] == []


class Say(Action):
    word: str

    def commands(self) -> list[Typed]:
        return [f"echo {self.word}"]


class Shout(Say):
    def commands(self) -> list[Typed]:
        return [Snippet(f"echo {self.word}!", (f"echo {self.word}", "echo !"))]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run, a list a call."""
    calls: list[list[str]] = []

    def runner(several: Sequence[Say]) -> list[str]:
        calls.append([action.word for action in several])
        return [f"{action.word} is not said" for action in several if action.word == "bad"]

    for kind in (Say, Shout):
        monkeypatch.setitem(actions.RUNNERS, kind, runner)
    return calls


def test_neighbours_of_one_kind_are_one_call_and_nothing_changes_its_place(said: list[list[str]]) -> None:
    todo = [Say("a"), Say("b"), Shout("c"), Say("d")]
    actions.apply(todo)
    assert said == [["a", "b"], ["c"], ["d"]]
    assert lines(todo) == ["echo a", "echo b", "echo c!", "echo d"]


def test_what_failed_alone_is_told_in_the_end(said: list[list[str]]) -> None:
    with pytest.raises(HostError, match=r"\Abad is not said\nbad is not said\Z"):
        actions.apply([Say("bad"), Shout("bad"), Say("good")])
    assert said == [["bad"], ["bad"], ["good"]]


def test_what_can_be_known_to_fail_is_told_before_the_first_action(
    said: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(several: Sequence[Say]) -> None:
        raise HostError(f"{several[0].word} cannot be said")

    monkeypatch.setitem(actions.CHECKS, Shout, check)
    with pytest.raises(HostError, match="c cannot be said"):
        actions.apply([Say("a"), Shout("c")])
    assert said == []


def test_lines_of_ip_are_one_batch_and_one_process_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(actions, "batch", lambda program, words: calls.append((program, words)))
    monkeypatch.setattr(actions, "write_sysctl", lambda key, value: calls.append(f"{key}={value}"))

    def side_by_side(commands: Sequence[tuple[Sequence[str], str]], netns: Sequence[str]) -> list[tuple[int, str, str]]:
        calls.append([(name, text) for name, (_, text) in zip(netns, commands, strict=True)])
        return [(name == "bad", "", "no such link") for name in netns]

    monkeypatch.setattr(actions, "run_all", side_by_side)
    actions.apply([Ip("a"), Ip("b"), NetnsIp("x", "c"), NetnsIp("y", "d"), NetnsIp("x", "e"), Sysctl("k", "1")])
    assert calls == [("ip", ["a", "b"]), [("x", "c\ne\n"), ("y", "d\n")], "k=1"]
    with pytest.raises(HostError, match="bad: no such link"):
        actions.apply([NetnsIp("bad", "c")])


def test_what_was_before_is_known_from_the_first_setting_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that come with a kernel module are read once it is loaded, and those that are given back are known until
    they are."""
    own, given_back, late = (f"net.ipv4.conf.{name}.forwarding" for name in ("own", "gone", "late"))
    kernel = {late: "7"}
    monkeypatch.setattr(record, "HOME", str(tmp_path))
    monkeypatch.setattr(record, "PATH", f"{tmp_path}/record.json")
    monkeypatch.setattr(runners.network, "read_sysctls", lambda keys: {key: kernel[key] for key in keys})
    known: list[dict[str, str]] = []
    monkeypatch.setattr(actions, "write_sysctl", lambda *_: known.append(record.known()["sysctls"]))
    told = {"node": "node1", "sysctls": {own: "0"}}
    actions.apply(
        [
            BeginRecord(told, {own: "0", given_back: "1"}, [late]),
            Sysctl(own, "1"),
            SettleRecord(told, [own, late], is_news=True),
        ]
    )
    assert known == [{own: "0", given_back: "1", late: "7"}]
    assert record.known()["sysctls"] == {own: "0", late: "7"}
