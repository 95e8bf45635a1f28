"""What a host may answer to a module of podlab's: the fields that the module has, in their shapes, and nothing else.

A host that lies could otherwise say what only the controller may say (``add_host``, ``ansible_facts``,
``_ansible_...``), and an unexpected shape would end the run of all hosts where their answers come together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypedDict, get_type_hints

from .. import packed
from ..records.formats import Strings
from ..shapes import Rule, misfit


class Unbelievable(ValueError):
    """It is JSON, and no answer of the module that was asked; the text says why."""


def _is_json_of(kind: Any) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            return not misfit(packed.loads(text), kind)
        except (ValueError, RecursionError):
            return False

    return holds


class Diff(TypedDict, total=False):
    prepared: str


class Answer(TypedDict, total=False):
    """What every module tells."""

    changed: bool
    failed: bool
    msg: str
    diff: Diff
    warnings: list[str]


class _Observed(TypedDict):
    observation: str  # the planner reads it, and says of each host what is wrong with it
    missing: Strings


class Observed(Answer, _Observed):
    """podlab_observe"""


class Outcome(TypedDict, total=False):
    """Which source address each target has seen, or why none was called."""

    seen: str
    error: str


_Looks = Annotated[str, Rule(_is_json_of(dict[str, list[str]]), "JSON of what listened at each look")]
_Number = Annotated[str, Rule(lambda text: text.isascii() and text.isdecimal() and len(text) < 10, "a number")]
_Outcomes = dict[_Number, list[tuple[str, int]]]
_Flow = tuple[str, str, int, str, int, str, int, str, int]  # host.connection_events.Flow


class _Probed(TypedDict):
    answers: dict[str, dict[str, Annotated[Outcome, Rule(bool, "seen or error")]]]
    deaf: dict[str, str]
    watcher: int
    listening: _Looks


class Probed(Answer, _Probed):
    """podlab_probe"""


class _ServicesProbed(TypedDict):
    outcomes: Annotated[str, Rule(_is_json_of(_Outcomes), "JSON of what each client heard")]
    flows: Annotated[str, Rule(_is_json_of(list[_Flow]), "JSON of connections")]
    listening: _Looks


class ServicesProbed(Answer, _ServicesProbed, total=False):
    """podlab_service_probe"""

    is_whole: bool


class Unready(TypedDict):
    pod: str
    words: list[str]


class Waiting(TypedDict):
    pod: str
    left: int
    words: str


class _Waited(TypedDict):
    unready: list[Unready]
    arrived: int
    state: dict[str, Any]


class Waited(Answer, _Waited, total=False):
    """podlab_ready. Its state is for the same host's next call."""

    waiting: list[Waiting]


class _Installed(TypedDict):
    unavailable: str


class Installed(Answer, _Installed, total=False):
    """podlab_programs"""

    log: str
    progress: str


class Job(TypedDict, total=False):
    """What ``async_wrapper`` tells in place of a module that it has started. What the module answers comes by
    ``async_status`` then, as any other module's answer."""

    started: bool | int
    finished: bool | int
    failed: bool | int
    ansible_job_id: str
    results_file: str
    msg: str
    _ansible_suppress_tmpdir_delete: bool


KINDS: Mapping[str, Any] = {
    "podlab_observe": Observed,
    "podlab_probe": Probed,
    "podlab_service_probe": ServicesProbed,
    "podlab_ready": Waited,
    "podlab_programs": Installed,
}
"""Modules that tell more than whether they have changed anything, and in which commands."""


def believed(module: str, answer: object) -> dict[str, Any]:
    """What is taken of an answer, which was JSON.

    :raises Unbelievable: it is none of this module's.
    """
    if not isinstance(answer, dict):
        raise Unbelievable("this is no answer of the module: must be of type object")
    kind: Any = Answer if answer.get("failed") is True else KINDS.get(module, Answer)
    fields = get_type_hints(kind)
    known = {name: value for name, value in answer.items() if name in fields}
    if words := misfit(known, kind):
        raise Unbelievable(f"this is no answer of the module: {words}")
    if "diff" in known:  # Ansible shows more kinds of them
        known["diff"] = {key: text for key, text in known["diff"].items() if key == "prepared"}
    return known


def job(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What is taken of an answer of ``async_wrapper``."""
    known = {name: value for name, value in answer.items() if name in get_type_hints(Job)}
    if words := misfit(known, Job):
        return {"failed": True, "msg": f"this is no answer of async_wrapper: {words}"}
    return known


def read(module: str, words: str) -> dict[str, Any]:
    """The same of the last line that a module has printed.

    :raises Unbelievable: as above.
    :raises ValueError: it is no JSON.
    """
    try:
        answer = packed.loads(words)
    except packed.TooMuch as error:
        raise Unbelievable(f"this is no answer of the module: {error}") from None
    except RecursionError:
        raise Unbelievable("this is no answer of the module: its lists and objects are too deep") from None
    return believed(module, answer)
