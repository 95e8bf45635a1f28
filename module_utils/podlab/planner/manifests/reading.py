"""A manifest as it is read: every value knows its path and where to complain, and what many kinds share.

The words are those of the API server (``field.Error`` of apimachinery, as in ``fields``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from ..scheduler.model import Selector
from . import fields, names

# Kubernetes' fields are int32 where nothing else is said.
MOST = 2**31 - 1


class Field:
    """A value inside a manifest that knows its path and where to complain.

    The readers (``text``, ``items``, ...) give an empty value for one that is absent, null or of the
    wrong type; the last is a problem. A path is put together when it is needed, which is seldom.
    """

    __slots__ = ("_above", "_say", "_step", "value")

    def __init__(self, value: Any, above: Field | None, step: str | int, say: Callable[[str], None]) -> None:
        self.value = value
        self._above = above
        self._step = step
        self._say = say

    @classmethod
    def root(cls, body: Any, subject: str, problems: list[str]) -> Field:
        return cls(body, None, "", lambda problem: problems.append(subject + problem))

    def __getitem__(self, name: str) -> Field:
        value = self.value
        if value is not None:
            value = value.get(name) if isinstance(value, dict) else self.mapping().get(name)
        return Field(value, self, name, self._say)

    def at(self, key: str) -> Field:
        """The value under ``key``, with the path that keys have which are no fields: ``data[key]``."""
        return Field(self.mapping().get(key), self, f"[{key}]", self._say)

    def holding(self, value: Any) -> Field:
        """The same place with another value in it: one that follows from what stands elsewhere."""
        return Field(value, self._above, self._step, self._say)

    @property
    def path(self) -> str:
        if self._above is None:
            return ""
        if isinstance(self._step, int):
            return f"{self._above.path}[{self._step}]"
        above = self._above.path
        dot = "." if above and not self._step.startswith("[") else ""
        return f"{above}{dot}{self._step}"

    @property
    def given(self) -> bool:
        """Whether it is written at all: ``emptyDir: {}`` asks for something, and ``emptyDir:`` does not."""
        return self.value is not None

    @property
    def absent(self) -> bool:
        return self.value is None or self.value in ("", [], {})

    def mapping(self) -> Mapping[str, Any]:
        if isinstance(self.value, dict):
            return self.value
        self._absent_or_wrong("object")
        return {}

    def items(self) -> list[Field]:
        if isinstance(self.value, list):
            return [Field(item, self, index, self._say) for index, item in enumerate(self.value)]
        self._absent_or_wrong("array")
        return []

    def text(self) -> str:
        if isinstance(self.value, str):
            return self.value
        self._absent_or_wrong("string")
        return ""

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items())

    def integer(self, default: int) -> int:
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return self.value
        self._absent_or_wrong("integer")
        return default

    def boolean(self, default: bool = False) -> bool:
        if isinstance(self.value, bool):
            return self.value
        self._absent_or_wrong("boolean")
        return default

    def number_or_text(self, second: str = "integer") -> int | float | str | None:
        """An IntOrString (or, with ``second`` "number", a quantity); None where it is neither."""
        if isinstance(self.value, str) or (isinstance(self.value, (int, float)) and not isinstance(self.value, bool)):
            return self.value
        if self.value is not None:
            self._say(fields.wrong_type(self.path, self.value, "string", second))
        return None

    def strings(self) -> dict[str, str]:
        """A map from strings to strings, such as labels."""
        return {key: self[key].text() for key in self.mapping()}

    def _absent_or_wrong(self, wanted: str) -> None:
        if self.value is not None:
            self._say(fields.wrong_type(self.path, self.value, wanted))

    # --- what is wrong with it

    def required(self, detail: str = "") -> None:
        self._say(fields.required(self.path, detail))

    def invalid(self, detail: str, value: object = None) -> None:
        self._say(fields.invalid(self.path, self.value if value is None else value, detail))

    def duplicate(self, value: object = None) -> None:
        self._say(fields.duplicate(self.path, self.value if value is None else value))

    def not_found(self, detail: str, value: object = None) -> None:
        self._say(fields.not_found(self.path, self.value if value is None else value, detail))

    def too_long(self, most: int) -> None:
        self._say(f"{self.path}: Too long: must have at most {most} bytes")

    def too_many(self, count: int, most: int) -> None:
        self._say(f"{self.path}: Too many: {count}: must have at most {most} items")

    def forbidden(self, detail: str) -> None:
        self._say(fields.forbidden(self.path, detail))

    def refuse(self, instead: str) -> None:
        """A value of an honoured field that podlab cannot serve; ``fields.TABLE`` refuses whole fields."""
        self.forbidden(fields.NOT_YET + instead)

    def refuse_empty(self, instead: str) -> None:
        """For a refused field whose ``{}`` asks for something all the same; the table passes over what is empty."""
        if self.value == {}:
            self.refuse(instead)

    def one_of(self, supported: Sequence[str], default: str | None = None) -> str:
        """The value, or where it is empty ``default``, else the first of ``supported``."""
        value = self.text()
        if value and value not in supported:
            self._say(fields.unsupported(self.path, value, supported))
        return value or (supported[0] if default is None else default)

    def unsupported(self, value: object, supported: Iterable[str]) -> None:
        self._say(fields.unsupported(self.path, value, supported))

    def check(self, wrong: Sequence[str], value: object = None) -> bool:
        for detail in wrong:
            self.invalid(detail, value)
        return not wrong

    def at_least(self, default: int, least: int = 0) -> int:
        """A number not below ``least``."""
        number = self.integer(default)
        if number < least:
            self.invalid(f"must be greater than or equal to {least}")
        return number

    def between(self, default: int, first: int, last: int) -> int:
        number = self.integer(default)
        if self.given and not first <= number <= last:
            self.invalid(f"must be between {first} and {last}, inclusive", number)
        return number


# --- metadata -------------------------------------------------------------------------------------------


def object_name(root: Field, check: Callable[[str], list[str]]) -> str:
    """``metadata.name``, or nothing where it cannot be used to tell objects apart."""
    node = root["metadata"]["name"]
    name = node.text()
    if name:
        return name if node.check(check(name)) else ""
    if node.absent and root["metadata"]["generateName"].absent:  # which the table of fields refuses
        node.required("name or generateName is required")
    return ""


def labels_of(node: Field) -> dict[str, str]:
    """A map of labels, checked."""
    if node.value is None:
        return {}
    written = node.strings()
    for key, value in written.items():
        node.check(names.qualified_name(key), key)
        node.check(names.label_value(value), value)
    return written


def annotations_of(node: Field) -> dict[str, str]:
    if node.value is None:
        return {}
    written = node.strings()
    for key in written:
        node.check(names.qualified_name(key.lower()), key)  # capitals are allowed in the prefix as well
    return written


# --- what several fields have in common -----------------------------------------------------------------

_FORBIDS_VALUES = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"


def selector(node: Field) -> Selector:
    """A label selector. An expression that is wrong in itself is left out."""
    if node.value is None:
        return Selector()
    expressions = [_expression(item) for item in node["matchExpressions"].items()]
    return Selector(labels_of(node["matchLabels"]), tuple(item for item in expressions if item))


def _expression(node: Field) -> tuple[str, str, tuple[str, ...]] | None:
    key = node["key"].text()
    node["key"].check(names.qualified_name(key), key)
    values, operator = node["values"].texts(), node["operator"].text()
    if operator in ("In", "NotIn"):
        if not values:
            node["values"].required("must be specified when `operator` is 'In' or 'NotIn'")
            return None
        for item in node["values"].items():
            item.check(names.label_value(item.text()))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            node["values"].forbidden(_FORBIDS_VALUES)
    else:
        node["operator"].invalid("not a valid selector operator", operator)
        return None
    return key, operator, values


def relative_path(node: Field, path: str) -> None:
    """A path that stays below where it begins."""
    if path.startswith("/"):
        node.invalid("must be a relative path", path)
    no_backsteps(node, path)


def no_backsteps(node: Field, path: str) -> None:
    if ".." in path.split("/"):
        node.invalid("must not contain '..'", path)


def is_address(text: str) -> bool:
    """Whether it is an IP address of either family."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
