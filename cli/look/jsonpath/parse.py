"""A template of kubectl's JSONPath, as nodes. Pure.

Its faults are in the words of k8s.io/client-go/util/jsonpath.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

END = ""  # what stands after the last character


class SyntaxFault(Exception):
    """What is no template, in kubectl's words."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Number:
    value: int | float


@dataclass(frozen=True)
class Truth:
    value: bool


@dataclass(frozen=True)
class Word:
    """``range`` and ``end``, and what is neither."""

    name: str


@dataclass(frozen=True)
class Field:
    name: str


@dataclass(frozen=True)
class Wildcard:
    pass


@dataclass(frozen=True)
class Recursive:
    pass


@dataclass(frozen=True)
class Slice:
    """``[1]``, ``[1:3]``, ``[::2]``; ``[*]`` is ``[:]``. What is None was left out."""

    begin: int | None
    end: int | None
    step: int | None
    single: bool  # one element alone


@dataclass(frozen=True)
class Union:
    members: tuple[Action, ...]


@dataclass(frozen=True)
class Filter:
    """``[?(@.a == "b")]``; without an operator, whether there is anything."""

    left: Action
    operator: str
    right: Action


Node = Text | Number | Truth | Word | Field | Wildcard | Recursive | Slice | Union | Filter
Action = tuple[Node, ...]
"""What stands in one pair of braces: each node gets what the one before it has found."""
Template = tuple[Action, ...]

_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)", re.DOTALL)
_KEY = re.compile(r"'([^']*)'")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_NUMBER = re.compile(r"[+-]?[\d.]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|[abfnrtv\\'\"])")


def parse(text: str) -> Template:
    """:raises SyntaxFault: it is none."""
    return _Reader(text).template()


def _action(text: str) -> Action:
    """What stands within braces, by itself."""
    found = parse(f"{{{text}}}")
    return found[0]


class _Reader:
    """Goes through a template from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def template(self) -> Template:
        found: list[Action] = []
        while self.at < len(self.text):
            brace = self.text.find("{", self.at)
            end = brace if brace >= 0 else len(self.text)
            if end > self.at:
                found.append((Text(self.text[self.at : end]),))
            self.at = end
            if brace >= 0:
                self.at += 1
                found.append(self.action())
        return tuple(found)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        character = self.peek()
        self.at += 1
        return character

    def skip(self, sign: str) -> bool:
        """Whether this comes next; then it has been passed."""
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def action(self) -> Action:
        nodes: list[Node] = []
        while not self.skip("}"):
            if self.skip("[?("):
                nodes.append(self.filter())
                continue
            if self.skip(".."):
                if nodes and isinstance(nodes[-1], Recursive):
                    raise SyntaxFault("invalid multiple recursive descent")
                nodes.append(Recursive())
                if _is_alphanumeric(self.peek()):
                    nodes.append(self.field())
                continue
            character = self.next()
            if character in (END, "\r", "\n"):
                raise SyntaxFault("unclosed action")
            if character in " @$":
                continue
            nodes += self.node(character)
        return tuple(nodes)

    def node(self, character: str) -> Action:
        """What begins with this character, which has been passed."""
        if character == "[":
            return self.array()
        if character in "\"'":
            return (self.quoted(character),)
        if character == ".":
            return (self.field(),)
        self.at -= 1
        if character in "+-" or character.isdecimal():
            return (self.number(),)
        if _is_alphanumeric(character):
            return (self.word(),)
        raise SyntaxFault(f"unrecognized character in action: U+{ord(character):04X} '{character}'")

    def array(self) -> Action:
        close = self.text.find("]", self.at)
        if close < 0 or "\n" in self.text[self.at : close]:
            raise SyntaxFault("unterminated array")
        text, self.at = self.text[self.at : close], close + 1
        if "," in text:
            return (Union(tuple(_action(f"[{part.strip(' ')}]") for part in text.split(","))),)
        if key := _KEY.fullmatch(text):
            return _action(f".{key[1]}")
        found = _SLICE.fullmatch(":" if text == "*" else text)
        if found is None:
            raise SyntaxFault(f"invalid array index {text}")
        begin, *others = found.groups(default="")
        if begin == "-" or any(word == ":-" for word in others):
            raise SyntaxFault("array index - is not a number")
        end, step = (int(word[1:]) if word[1:] else None for word in others)
        return (Slice(int(begin) if begin else None, end, step, single=not others[0]),)

    def filter(self) -> Filter:
        """Up to its parenthesis, which may stand in quotes as well."""
        begin, quote, is_closed = self.at, "", False
        while True:
            character = self.next()
            if character in (END, "\n"):
                raise SyntaxFault("unterminated filter")
            if character in "\"'":
                if not quote:
                    quote = character
                elif character == quote and self.text[self.at - 2] != "\\":
                    is_closed = True
            elif character == ")" and bool(quote) == is_closed:
                break
        text = self.text[begin : self.at - 1]
        if self.next() != "]":
            raise SyntaxFault("unclosed array expect ]")
        if comparison := _COMPARISON.fullmatch(text):
            return Filter(_action(comparison[1]), comparison[2], _action(comparison[3]))
        return Filter(_action(text), "exists", ())

    def quoted(self, quote: str) -> Text:
        begin = self.at - 1
        while True:
            character = self.next()
            if character in (END, "\n"):
                raise SyntaxFault("unterminated quoted string")
            if character == quote and self.text[self.at - 2] != "\\":
                break
        return Text(_unquoted(self.text[begin : self.at]))

    def field(self) -> Node:
        begin = self.at
        while not _is_terminator(self.peek()):
            self.at += 2 if self.peek() == "\\" else 1
        self.at = min(self.at, len(self.text))
        name = self.text[begin : self.at]
        return Wildcard() if name == "*" else Field(name.replace("\\", ""))

    def number(self) -> Number:
        found = _NUMBER.match(self.text, self.at)
        assert found
        self.at = found.end()
        for kind in (int, float):
            try:
                return Number(kind(found[0]))
            except ValueError:
                continue
        raise SyntaxFault(f"cannot parse number {found[0]}")

    def word(self) -> Word | Truth:
        begin = self.at
        while not _is_terminator(self.peek()):
            self.at += 1
        name = self.text[begin : self.at]
        return Truth(name == "true") if name in ("true", "false") else Word(name)


def _is_alphanumeric(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


def _is_terminator(character: str) -> bool:
    return character == END or character in " \t\r\n.,[]$@{}"


def _unquoted(text: str) -> str:
    """A string as Go writes it, in single or double quotes."""
    body = text[1:-1]
    fault = SyntaxFault(f"unquote string {text} error invalid syntax")
    if "\\" in _ESCAPE.sub("", body):
        raise fault

    def character(found: re.Match[str]) -> str:
        word = found[1]
        if word in _ESCAPES:
            return _ESCAPES[word]
        return chr(int(word[1:], 16) if word[0] in "xuU" else int(word, 8))

    try:
        return _ESCAPE.sub(character, body)
    except ValueError:  # beyond Unicode
        raise fault from None
