"""Ask from inside every pod of this host who answers, and tell others how they were seen.

One process and one thread for all of them: a socket stays in the network namespace that it was made
in. Every host runs this at the same time. There is nothing to start before and nothing to clear away
after: it ends when its own questions are answered and everybody who was to call has called.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..network.namespaces import socket_in

ATTEMPT = 1.0  # seconds for one connection: more than a lost first packet costs
PAUSE = 0.03  # seconds before the next attempt where nobody listens yet
THANKS = b"."


@dataclass
class Question:
    """One cell of the matrix."""

    source: str
    netns: str | None
    target: str
    address: str
    answer: str | None = None
    error: str = "not tried"
    next_try: float = 0.0
    started: float = 0.0
    socket: socket.socket | None = field(default=None, repr=False)


@dataclass
class Caller:
    """Somebody who has been answered, and has not yet said that he heard it."""

    target: str
    socket: socket.socket = field(repr=False)


def probe(
    port: int,
    ends: Sequence[Mapping[str, Any]],
    asks: Mapping[str, Mapping[str, str]],
    callers: Mapping[str, int],
    deadline: float,
) -> tuple[dict[str, dict[str, dict[str, str]]], dict[str, str]]:
    """Source -> target -> ``{"seen": address}`` or ``{"error": words}``; and ends that cannot be listened at, with why.

    ``ends``, ``asks`` and ``callers`` are those of the planner's ``expectations.probes``.
    """
    allow_many_files()
    netns = {end["name"]: end["netns"] for end in ends}
    questions = [
        Question(source, netns[source], target, address)
        for source, targets in asks.items()
        for target, address in targets.items()
    ]
    waited_for, deaf = dict(callers), dict[str, str]()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as sockets:
        for end in ends:
            listener = sockets.enter_context(socket_in(end["netns"]))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("0.0.0.0", port))
                listener.listen(1024)
            except OSError as error:  # what a pod does at its own port concerns nobody else
                deaf[end["name"]] = os.strerror(error.errno or 0).lower()
                waited_for[end["name"]] = 0
                continue
            selector.register(listener, selectors.EVENT_READ, end["name"])
        _run(selector, questions, waited_for, port, time.monotonic() + deadline)
        for question in questions:
            if question.socket:
                question.socket.close()
    answers: dict[str, dict[str, dict[str, str]]] = {}
    for question in questions:
        cell = {"seen": question.answer} if question.answer else {"error": question.error}
        answers.setdefault(question.source, {})[question.target] = cell
    return answers, deaf


def _run(
    selector: selectors.BaseSelector, questions: list[Question], callers: dict[str, int], port: int, end: float
) -> None:
    while time.monotonic() < end:
        now = time.monotonic()
        open_questions = [question for question in questions if question.answer is None]
        if not open_questions and not any(count > 0 for count in callers.values()):
            return
        for question in open_questions:
            if question.socket and now - question.started > ATTEMPT:
                _drop(selector, question, "timed out")
            if not question.socket and now >= question.next_try:
                _call(selector, question, port)
        for key, _ in selector.select(timeout=PAUSE):
            if isinstance(key.data, Question):
                _hear(selector, key.data)
            elif isinstance(key.data, Caller):
                callers[key.data.target] -= _thanks(selector, key.data)
            else:
                _answer(selector, key.fileobj, key.data)  # type: ignore[arg-type]


def _call(selector: selectors.BaseSelector, question: Question, port: int) -> None:
    question.socket = socket_in(question.netns)
    question.socket.setblocking(False)
    question.started = time.monotonic()
    code = question.socket.connect_ex((question.address, port))
    selector.register(question.socket, selectors.EVENT_READ, question)
    if code not in (0, errno.EINPROGRESS):
        _drop(selector, question, os.strerror(code))


def _hear(selector: selectors.BaseSelector, question: Question) -> None:
    assert question.socket is not None
    try:
        words = question.socket.recv(64)
    except OSError as error:
        _drop(selector, question, os.strerror(error.errno or 0))
        return
    if not words:
        _drop(selector, question, "closed without an answer")
        return
    question.answer = words.decode(errors="replace").strip()
    with contextlib.suppress(OSError):
        question.socket.sendall(THANKS)
    _drop(selector, question, "")


def _drop(selector: selectors.BaseSelector, question: Question, why: str) -> None:
    assert question.socket is not None
    selector.unregister(question.socket)
    question.socket.close()
    question.socket, question.error = None, why.lower()
    question.next_try = time.monotonic() + PAUSE


def _answer(selector: selectors.BaseSelector, listener: socket.socket, target: str) -> None:
    """Tell a caller how he is seen."""
    with contextlib.suppress(OSError):
        socket_of_caller, (address, _) = listener.accept()
        selector.register(socket_of_caller, selectors.EVENT_READ, Caller(target, socket_of_caller))
        socket_of_caller.sendall(f"{address}\n".encode())


def _thanks(selector: selectors.BaseSelector, caller: Caller) -> int:
    """1 if the caller has heard the answer. One who lost his patience before it came will call again."""
    selector.unregister(caller.socket)
    with caller.socket, contextlib.suppress(OSError):
        return int(caller.socket.recv(1) == THANKS)
    return 0


def allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
