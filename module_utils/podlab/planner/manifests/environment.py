"""The environment of a container, and ``$(VAR)`` in it, in its arguments and in the paths of its mounts.

Everything that a manifest tells is put in when it is read. What is left are fields of the pod that are known
when it has a node and an address: after reading, a text holds them as ``$(status.podIP)``, and a ``$`` that
stands for itself before a ``$`` or ``(`` is doubled, so that one ``expand`` makes the text whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..model import Container, FieldRef, Value
from ..services.links import may_be_link
from . import names
from .reading import Field
from .references import ENVIRONMENT_FIELDS, Scope, as_text, field_ref, resource, source, value_of_key

# execve(2): one argument, or one NAME=value, with its final NUL: 32 pages of 4 KiB (MAX_ARG_STRLEN).
_LONGEST_ARGUMENT = 32 * 4096 - 1

# "$$" is a "$"; "$(" up to the next ")" is a variable; a "$" before anything else is itself.
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")

# A text with holes for what is not known yet.
Parts = tuple[Value, ...]

# How a hole for the variable of a Service begins. Fields of a pod have other names.
_LINK = "services['"
_NONE: Mapping[str, str] = {}


def expand(text: str, env: Mapping[str, str]) -> str:
    """``text`` with every ``$(VAR)`` that ``env`` knows replaced; others stay, ``$$(VAR)`` is ``$(VAR)``.

    The rules are those of Kubernetes (``third_party/forked/golang/expansion``). What is put in is
    not expanded again.
    """
    return _expanded(text, env.get)


def _expanded(text: str, lookup: Callable[[str], str | None]) -> str:
    if "$" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        found = lookup(match[1])
        return match[0] if found is None else found

    return _REFERENCE.sub(value, text)


def escaped(text: str) -> str:
    """What ``expand`` makes ``text`` of, whatever it holds."""
    return re.sub(r"\$(?=[$(])", "$$", text) if "$" in text else text


# --- when a pod has its place ---------------------------------------------------------------------------


class Resolved(NamedTuple):
    """What a container gets; ``sub_paths`` are those of its mounts, in their order."""

    env: dict[str, str]
    argv: tuple[str, ...]
    sub_paths: tuple[str, ...]


def resolved(container: Container, facts: Mapping[str, str], links: Mapping[str, str] = _NONE) -> Resolved:
    """Environment, arguments and paths made whole.

    :param facts: what the pod's fields are: path, as ``fieldRef`` has it -> value. A label or annotation that
        the pod does not have is empty.
    :param links: the variables of Services. Where there is none of a name, ``$(NAME)`` stays as it is written.
    :raises KeyError: a field that the container needs is not among the facts.
    """
    env: dict[str, str] = {}

    def lookup(name: str) -> str | None:
        if name.startswith(_LINK):
            return _link(name, links)
        if name in facts or name.startswith(_KEYED):
            return fact(name, facts)
        return env.get(name)

    for name, value in container.env.items():
        if isinstance(value, FieldRef):
            env[name] = _link(value.path, links) if value.path.startswith(_LINK) else fact(value.path, facts)
        else:
            env[name] = _expanded(value, lookup)
    return Resolved(
        env,
        tuple(_expanded(word, lookup) for word in container.argv),
        tuple(_expanded(mount.sub_path, lookup) if mount.expand else mount.sub_path for mount in container.mounts),
    )


_KEYED = ("metadata.labels['", "metadata.annotations['")


def fact(path: str, facts: Mapping[str, str]) -> str:
    """The value of a field of the pod; empty for a label or annotation that it does not have."""
    return facts.get(path, "") if path.startswith(_KEYED) else facts[path]


def _link(path: str, links: Mapping[str, str]) -> str:
    name = path[len(_LINK) : -len("']")]
    return links.get(name, f"$({name})")


# --- when a manifest is read ----------------------------------------------------------------------------


class Environment:
    """The variables of a container as they are known when its manifest is read.

    :param known: what is known of the pod's own fields already: path -> value.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._variables: dict[str, Parts] = {}
        self._known = known
        self.static: dict[str, str] = {}  # ``value`` as written: all that an exec probe sees of it

    def set(self, name: str, parts: Parts, static: str = "") -> None:
        self._variables[name] = parts
        self.static[name] = static

    def parts(self, text: str) -> Parts:
        """``text`` with each ``$(VAR)`` replaced by what the variable is at this point."""
        if "$" not in text:
            return (text,)
        parts: list[Value] = []
        end = 0
        for match in _REFERENCE.finditer(text):
            parts.append(text[end : match.start()])
            parts += ["$"] if match[1] is None else self._variable(match[1])
            end = match.end()
        return (*parts, text[end:])

    def _variable(self, name: str) -> Parts:
        unknown: Value = FieldRef(f"{_LINK}{name}']") if may_be_link(name) else f"$({name})"
        return self._variables.get(name, (unknown,))

    def unknown(self, text: str) -> list[str]:
        """Variables of ``text`` that there are none of."""
        return [name for name in _REFERENCE.findall(text) if name and name not in self._variables]

    def known(self, parts: Parts) -> str:
        """The best that can be told of a text now; a field that is not known yet is its own path."""
        return "".join(self._known.get(part.path, part.path) if isinstance(part, FieldRef) else part for part in parts)

    def argument(self, node: Field) -> str:
        """An element of ``command`` or ``args``."""
        parts = self.parts(node.text())
        check_argument(node, self.known(parts))
        return _written(parts)

    def values(self) -> dict[str, Value]:
        return {name: _value(parts) for name, parts in self._variables.items()}


def _value(parts: Parts) -> Value:
    kept = [part for part in parts if part != ""]
    return kept[0] if len(kept) == 1 and isinstance(kept[0], FieldRef) else _written(parts)


def written(parts: Parts) -> tuple[str, bool]:
    """A text, and whether ``expand`` has to make it whole."""
    if any(isinstance(part, FieldRef) for part in parts):
        return _written(parts), True
    return "".join(part for part in parts if isinstance(part, str)), False


def _written(parts: Parts) -> str:
    """A text that ``expand`` makes whole."""
    text = literal = ""
    for part in parts:
        if isinstance(part, FieldRef):
            # A "$" at the end of the literal meets the one of the field.
            text += re.sub(r"\$(?=[$(]|\Z)", "$$", literal) + f"$({part.path})"
            literal = ""
        else:
            literal += part
    return text + escaped(literal)


def check_argument(node: Field, argument: str) -> None:
    """Can execve(2) carry it? ``argument`` is one element of argv or one ``NAME=value``."""
    if "\0" in argument:
        node.invalid("must not contain NUL")
        return
    try:
        length = len(argument.encode())
    except UnicodeEncodeError:
        node.invalid("must be valid UTF-8")
        return
    if length > _LONGEST_ARGUMENT:
        node.invalid(f"must be no more than {_LONGEST_ARGUMENT} bytes for the kernel to pass it on")


def environment(node: Field, scope: Scope, containers: Mapping[str, Field], known: Mapping[str, str]) -> Environment:
    """``envFrom``, and over it ``env``: a variable sees those written before it, a later one wins.

    :param node: the container.
    :param containers: all of the pod, by name: ``resourceFieldRef`` may mean each of them.
    """
    made = Environment(known)
    for item in node["envFrom"].items():
        _add_all(made, node["envFrom"], item, scope)
    for variable in node["env"].items():
        name = variable["name"].text()
        value = variable["value"]
        if variable["name"].absent:
            variable["name"].required()
        elif name:
            variable["name"].check(names.environment_name(name) or names.uncarried_name(name))
        if variable["valueFrom"].given:
            parts = _value_from(variable, scope, containers, node["name"].text())
        else:
            parts = made.parts(value.text())
        if name and parts is not None:
            check_argument(value, f"{name}={made.known(parts)}")
            made.set(name, parts, value.text())
    return made


def _add_all(made: Environment, node: Field, item: Field, scope: Scope) -> None:
    """Everything in a ConfigMap or Secret; the kubelet leaves out what is no name of a variable."""
    prefix = item["prefix"].text()
    if prefix:
        item["prefix"].check(names.environment_name(prefix) or names.uncarried_name(prefix))
    kinds = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    written = [name for name in kinds if item[name].given]
    if not written:
        node.invalid("must specify one of: `configMapRef` or `secretRef`", "")
    elif len(written) > 1:
        node.invalid("may not have more than one field specified at a time", "")
    for name in written:
        data = source(item[name], kinds[name], scope)
        for key, content in data.text.items() if data else ():
            if not names.environment_name(prefix + key):
                text = as_text(item[name], key, content)
                check_argument(item[name], f"{prefix}{key}={text}")
                made.set(prefix + key, (text,))


def _value_from(variable: Field, scope: Scope, containers: Mapping[str, Field], own: str) -> Parts | None:
    """One variable's value; None where there is none to set."""
    node = variable["valueFrom"]
    if node["fileKeyRef"].given:
        node["fileKeyRef"].refuse("use configMapKeyRef or secretKeyRef")
        return None
    written = [name for name in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef") if node[name].given]
    if not written:
        node.invalid("must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`", "")
    elif not variable["value"].absent:
        node.invalid("may not be specified when `value` is not empty", "")
    elif len(written) > 1:
        node.invalid("may not have more than one field specified at a time", "")
    found: Value | None = None
    for name in written:
        if name == "fieldRef":
            found = field_ref(node[name], ENVIRONMENT_FIELDS)
        elif name == "resourceFieldRef":
            found = resource(node[name], containers, own)
        else:
            found = value_of_key(node[name], "ConfigMap" if name == "configMapKeyRef" else "Secret", scope)
    return None if found is None else (found,)
