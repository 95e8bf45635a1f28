"""Which words may stand at the end of a command line of ``./lab``.

Names come from the lab that is on. Its hosts are found without Ansible, which would take half a second to read an
inventory; one that was named is read all the same.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from podlab.embedded import Lab

from .. import inventory, verbs
from ..hosts import Embedded, Host
from ..look import cluster, objects
from ..look.columns import ALIASES, DESCRIBED, KINDS
from ..look.output_forms import HEADS, WORDS

VALUES = {
    "-n": "namespace",
    "--namespace": "namespace",
    "-c": "container",
    "--container": "container",
    "-o": "form",
} | {"--output": "form"}
# Options whose next word is a value that is not known here.
UNKNOWN = {"-i", "--inventory", "-l", "--selector", "-L", "--label-columns", "--sort-by", "--tail", "--since"} | {
    "--max-log-requests",
    "--manifests",
}


@dataclass(frozen=True)
class Line:
    """What stands before the word that is completed."""

    verb: str
    words: Sequence[str] = ()  # that are no options
    options: dict[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.options.get("-n") or self.options.get("--namespace") or "default"

    @property
    def sources(self) -> list[str]:
        own = self.options.get("-i") if self.verb != "exec" else None
        return list(filter(None, [own, self.options.get("--inventory")]))


def read(verb: str, before: Sequence[str]) -> Line:
    words, options, last = [], {}, ""
    for word in before:
        if last:
            options[last], last = word, ""
        elif word.startswith("-"):
            takes = word in VALUES or (word in UNKNOWN and not (verb == "exec" and word == "-i"))
            last = word if takes else ""
        else:
            words.append(word)
    return Line(verb, words, options)


def complete(words: Sequence[str]) -> list[str]:
    """:param words: after ``./lab``; the last is the one to complete, and may be empty."""
    *before, word = words or [""]
    found: Iterable[str] = ()
    if not before:
        found = verbs.names()
    elif before[0] in verbs.names() and "--" not in before:
        line = read(before[0], before[1:])
        if before[-1] in VALUES and not line.options.get(before[-1]):
            found = _values(line, VALUES[before[-1]])
        elif before[-1] in UNKNOWN and read(before[0], [*before[1:], "x"]).words == line.words:
            found = ()
        elif word.startswith("-"):
            found = options_of(before[0])
        else:
            position = POSITIONS.get(before[0])
            found = position(line, word) if position else ()
    return sorted({one for one in found if one.startswith(word)})


def options_of(verb: str) -> list[str]:
    """As its ``--help`` has them."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        verbs.main_of(verb)(["--help"], [])
    return re.findall(r"(?<![\w-])--[a-z][a-z-]+", text.getvalue())


# --- words by their places ----------------------------------------------------------------------------


def _values(line: Line, what: str) -> Iterable[str]:
    if what == "form":
        return [*WORDS, *(head.partition("=")[0] + "=" for head in HEADS)]
    state = observed(line)
    if what == "namespace":
        return names(state, "namespaces", "")
    pod = line.words[0].removeprefix("pod/") if line.words else ""
    return [
        container["name"]
        for item in state.pods
        if (item["metadata"]["namespace"], item["metadata"]["name"]) == (line.namespace, pod)
        for container in [*item["spec"].get("initContainers", []), *item["spec"]["containers"]]
    ]


def _objects(line: Line, word: str) -> Iterable[str]:
    """Of ``get`` and ``describe``: a kind, or several of them; then names."""
    kinds = DESCRIBED if line.verb == "describe" else (*KINDS, "all")
    if "/" in word:
        return _of_kind(line, word)
    if line.words and "/" not in line.words[0]:
        plural = ALIASES.get(line.words[0].lower(), "")
        return names(observed(line), plural, line.namespace) if plural else ()
    if "," in word:
        begun = word.rpartition(",")[0]
        return [f"{begun},{kind}" for kind in kinds]
    return kinds


def _of_kind(line: Line, word: str) -> Iterable[str]:
    kind = word.partition("/")[0]
    plural = ALIASES.get(kind.lower())
    return [f"{kind}/{name}" for name in names(observed(line), plural, line.namespace)] if plural else ()


def _pods(line: Line, word: str) -> Iterable[str]:
    if line.words:
        return ()
    return _of_kind(line, word) if "/" in word else names(observed(line), "pods", line.namespace)


def _copied(line: Line, word: str) -> Iterable[str]:
    return [f"{name}:" for name in names(observed(line), "pods", line.namespace)] if len(line.words) < 2 else ()


def _hosts(line: Line, word: str) -> Iterable[str]:
    return () if line.words else [host.name for host in hosts_of(line)]


def _rules(line: Line, word: str) -> Iterable[str]:
    kinds = ("nodes", "services")
    at = len(line.words)
    return names(observed(line), kinds[at], line.namespace) if at < len(kinds) else ()


POSITIONS: dict[str, Callable[[Line, str], Iterable[str]]] = {
    "get": _objects,
    "describe": _objects,
    "exec": _pods,
    "logs": _pods,
    "port-forward": _pods,
    "cp": _copied,
    "node": _hosts,
    "script": _hosts,
    "reset": _hosts,
    "rules": _rules,
    "completion": lambda line, word: () if line.words else ("bash", "zsh"),
}


# --- what the lab has ---------------------------------------------------------------------------------


def hosts_of(line: Line) -> list[Host]:
    if line.sources or os.environ.get("ANSIBLE_INVENTORY"):
        return inventory.read(line.sources)
    lab = inventory.lab_name()
    found = Lab(inventory.ROOT, lab).hosts()
    return [Embedded(name, "node", {}, lab, pid) for name, pid in found.items()]


def observed(line: Line) -> objects.State:
    """Any host may be a node: those that are none have no pods to tell of."""
    return cluster.observed_state(hosts_of(line))


def names(state: objects.State, plural: str, namespace: str) -> list[str]:
    if plural == "nodes":
        return sorted(state.record.get("nodes", {}))
    return [
        item["metadata"]["name"]
        for item in cluster.LISTS[plural](state)
        if not namespace or item["metadata"].get("namespace", namespace) == namespace
    ]
