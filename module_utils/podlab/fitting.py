"""Whether a value has the shape of a type, yes or no, for what comes by tens of thousands: the pods of a cluster.

``shapes.misfit`` says in words what is wrong, and takes a call a field. Here a type becomes one Python function, with
the fields' types written out in it, as ``dataclasses`` makes its own: to look at a pod takes 11 us, not 24. To be made
takes 7 ms for all types, so what is looked at once is left to ``misfit``. A value that fits here fits there; one that
does not is for ``misfit`` to name.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from .shapes import CheckedAs

Fits = Callable[[Any], bool]


@functools.cache
def fits(kind: Any, *, partial: bool = False) -> Fits:
    """The question for a type. :param partial: fields of the TypedDict itself that are missing are none amiss."""
    source = _Source()
    name = source.function(kind, partial=partial)
    exec("\n".join(source.lines), source.names)  # of the types of this project, and nothing that anybody sends
    found: Fits = source.names[name]
    return found


_PLAIN = {
    str: "type({0}) is str",
    dict: "type({0}) is dict",
    bool: "type({0}) is bool",
    type(None): "{0} is None",
    int: f"type({{0}}) is int and {-(2**63)} <= {{0}} < {2**63}",
    float: f"(type({{0}}) is float or type({{0}}) is int) and {-(2**63)} <= {{0}} < {2**63}",
}
"""As ``shapes`` has them."""


class _Source:
    """Functions as text, and the names that they use. One is named before it is written: a type may hold itself."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self._made: dict[Any, str] = {}

    def function(self, kind: Any, *, partial: bool = False) -> str:
        if (kind, partial) not in self._made:
            name = self._made[kind, partial] = f"fits_{len(self._made)}"
            if is_typeddict(kind):
                self.lines += self._of_typed_dict(name, kind, partial)
            else:
                self.lines += [f"def {name}(value):", f"    return {self._test(kind, 'value')}"]
        return self._made[kind, partial]

    def _of_typed_dict(self, name: str, kind: Any, partial: bool) -> list[str]:
        needed = frozenset() if partial else kind.__required_keys__
        lines = [f"def {name}(value):", "    if type(value) is not dict:", "        return False", "    try:"]
        optional: list[str] = []
        for field, hint in get_type_hints(kind, include_extras=True).items():
            looked_at, pad = (lines, " " * 8) if field in needed else (optional, " " * 12)
            looked_at += [f"{pad}one = value[{field!r}]", f"{pad}if not ({self._test(hint, 'one')}): return False"]
            if looked_at is optional:
                optional.insert(-2, f"        if {field!r} in value:")
        # One that has no more fields than it needs, as most have, is not asked for any other.
        lines += [f"        if len(value) == {len(needed)}: return True"] * bool(optional)
        return [*lines, *optional, "    except KeyError:", "        return False", "    return True"]

    def _test(self, kind: Any, value: str) -> str:
        """An expression that tells whether ``value``, the name of a variable, fits."""
        origin, args = get_origin(kind), get_args(kind)
        if kind is Any or kind is object:
            return "True"
        if origin is Annotated:
            instead = [it.kind for it in args[1:] if isinstance(it, CheckedAs)]
            if instead:
                return self._test(instead[0], value)
            return " and ".join(
                [self._test(args[0], value), *(f"{self._name(rule.holds)}({value})" for rule in args[1:])]
            )
        if origin in (Union, types.UnionType):
            cheap_first = sorted(args, key=lambda arg: arg is not type(None))
            return f"({' or '.join(f'({self._test(arg, value)})' for arg in cheap_first)})"
        if is_typeddict(kind):
            return f"{self.function(kind)}({value})"
        if isinstance(origin, type) and issubclass(origin, Mapping):
            # That keys are strings goes without saying: JSON has no others.
            keys = [] if args[0] is str else [self._each(args[0], value)]
            each = " and ".join([*keys, self._each(args[1], f"{value}.values()")])
            return f"type({value}) is dict and (not {value} or {each})"
        if origin is tuple:
            items = [f"{self.function(arg)}({value}[{index}])" for index, arg in enumerate(args)]
            return " and ".join([f"type({value}) in (list, tuple)", f"len({value}) == {len(args)}", *items])
        if origin is not None:
            return f"type({value}) is list and (not {value} or {self._each(args[0], value)})"
        return _PLAIN[kind].format(value)

    def _each(self, kind: Any, values: str) -> str:
        if kind in (str, bool, dict, type(None)):
            return f"{self._name(frozenset({kind}))}.issuperset(map(type, {values}))"
        return f"all(map({self.function(kind)}, {values}))"

    def _name(self, thing: Any) -> str:
        name = f"name_{len(self.names)}"
        self.names[name] = thing
        return name
