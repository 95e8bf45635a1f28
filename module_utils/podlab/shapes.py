"""Whether a value that came as JSON has the shape of a type: a host's files may hold anything.

``misfit(value, SomeTypedDict)`` says in words what does not fit, first of all where. Types are those of ``typing``:
TypedDict, dict, list, tuple (a list of that length), unions, and ``Annotated`` with a ``Rule`` for what a type cannot
say. Keys that a TypedDict does not know are let pass. A schema language was rejected: the types are there already,
and hosts have the standard library alone.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints, is_typeddict

Check = Callable[[Any], str]
"""What is wrong with a value, ``.path: words``; nothing if it fits."""


class Rule(NamedTuple):
    """What a value of a type has to be besides, and the words for one that is not."""

    holds: Callable[[Any], bool]
    words: str


class CheckedAs(NamedTuple):
    """What a value has to be instead of its type: as that it is known once all of it was looked at, elsewhere."""

    kind: Any


BOUNDED = Rule(lambda number: -(2**63) <= number < 2**63, "a number of 64 bits")
"""For all numbers, of which JSON has longer ones: one more than the longest that Python reads, it does not write. NaN
is none of these either."""


def misfit(value: object, kind: Any) -> str:
    """The first thing that does not fit, as ``path: must be ...``; empty if all of it fits."""
    return check_of(kind)(value).lstrip(".").removeprefix(": ")


def salvaged(
    value: Mapping[str, Any], kind: Any, unchecked: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of a TypedDict that fit, with those that nobody knows, and for each of the others what is wrong."""
    fields = _fields(kind)
    wrong = {
        name: f"{name}{words}"
        for name, check in fields.checks.items()
        if name in value and type(value[name]) not in fields.plain[name] and name not in unchecked
        if (words := check(value[name]))
    }
    return {name: one for name, one in value.items() if name not in wrong}, wrong


@functools.cache
def check_of(kind: Any) -> Check:
    """The check of a type, made once: large records have ten thousand values of one type."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return lambda value: ""
    if origin is Annotated:
        instead = [it.kind for it in args[1:] if isinstance(it, CheckedAs)]
        return check_of(instead[0]) if instead else _ruled(check_of(args[0]), args[1:])
    if origin in (Union, types.UnionType):
        return _either([check_of(arg) for arg in args])
    if is_typeddict(kind):
        return _typed_dict(kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _dict(*args)
    if origin is tuple:
        return _tuple([check_of(arg) for arg in args])
    if origin is not None:
        return _list(args[0])
    return _plain(kind)


_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", dict: "object"}


def _plain(kind: type) -> Check:
    words = f": must be of type {_WORDS[kind]}"
    if kind in (str, dict):
        return lambda value: "" if isinstance(value, kind) else words
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)

    def check(value: Any) -> str:
        return "" if isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)) else words

    return _ruled(check, (BOUNDED,)) if kind in (int, float) else check


_NO_TYPES = frozenset[type]()


@functools.cache
def _plain_types(kind: Any) -> frozenset[type]:
    """Types that say by themselves that a value fits. Most values are strings, and to look at their types before any
    check is called takes a third of the time."""
    if get_origin(kind) in (Union, types.UnionType):
        return _NO_TYPES.union(*map(_plain_types, get_args(kind)))
    return frozenset({kind}) if kind in (str, bool, dict, type(None)) else _NO_TYPES


def _ruled(base: Check, rules: tuple[Rule, ...]) -> Check:
    def check(value: Any) -> str:
        if words := base(value):
            return words
        for rule in rules:
            if not rule.holds(value):
                return f": must be {rule.words}"
        return ""

    return check


def _either(checks: list[Check]) -> Check:
    def check(value: Any) -> str:
        found = []
        for one in checks:
            found.append(one(value))
            if not found[-1]:
                return ""
        return max(found, key=lambda words: words.startswith((".", "[")))  # the one that came furthest

    return check


def _list(kind: Any) -> Check:
    item, plain = check_of(kind), _plain_types(kind)

    def check(value: Any) -> str:
        if not isinstance(value, list):
            return ": must be of type array"
        if plain.issuperset(map(type, value)):
            return ""
        for index, one in enumerate(value):
            if words := item(one):
                return f"[{index}]{words}"
        return ""

    return check


def _tuple(items: list[Check]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, (list, tuple)) or len(value) != len(items):
            return f": must be an array of {len(items)}"
        for index, (item, one) in enumerate(zip(items, value, strict=True)):
            if words := item(one):
                return f"[{index}]{words}"
        return ""

    return check


def _dict(key_kind: Any, kind: Any) -> Check:
    key, item = check_of(key_kind), check_of(kind)
    plain_keys, plain = _plain_types(key_kind), _plain_types(kind)

    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return ": must be of type object"
        if plain_keys.issuperset(map(type, value)) and plain.issuperset(map(type, value.values())):
            return ""
        for name, one in value.items():
            if words := key(name):
                return f".{name}{words}"
            if words := item(one):
                return f".{name}{words}"
        return ""

    return check


class _Fields(NamedTuple):
    """Those of a TypedDict."""

    checks: dict[str, Check]
    plain: dict[str, frozenset[type]]
    required: frozenset[str]


@functools.cache
def _fields(kind: Any) -> _Fields:
    hints = get_type_hints(kind, include_extras=True)
    checks = {name: check_of(hint) for name, hint in hints.items()}
    plain = {name: _plain_types(hint) for name, hint in hints.items()}
    return _Fields(checks, plain, frozenset(kind.__required_keys__))


def _typed_dict(kind: Any) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return ": must be of type object"
        checks, plain, required = _fields(kind)  # only now: a type may hold itself
        for name, one in value.items():
            if type(one) in plain.get(name, _NO_TYPES):
                continue
            if (inner := checks.get(name)) and (words := inner(one)):
                return f".{name}{words}"
        return "" if required <= value.keys() else f".{min(required - value.keys())}: is missing"

    return check
