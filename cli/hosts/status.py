"""What ``host/pods/status.py`` prints on every host, and what of it may be believed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from podlab import packed
from podlab.controller import status_line
from podlab.printable import printable
from podlab.records.observation import sound_answer

from ..look.answer_types import checked_answer
from ..output import print_error
from .call import HostUnreachable
from .host import Host

STATUS = Path(__file__).resolve().parents[2] / "module_utils" / "podlab" / "host" / "pods" / "status.py"
SILENCE_BEFORE_NOTICE = 1.5  # seconds, before they want to know what it waits for
PASSWORD_REQUIRED = "password is required"  # sudo's words


def ask(hosts: Sequence[Host]) -> dict[str, dict[str, Any] | None]:
    """The status of every host, all side by side; None, and a warning, for one that does not answer."""
    program = STATUS.read_text("utf-8")
    answers: dict[str, dict[str, Any] | None] = {}
    with ThreadPoolExecutor(max_workers=len(hosts) or 1) as pool:
        asked = {host.name: pool.submit(_status, host, program) for host in hosts}
        _wait(asked)
    for name, answer in ((name, future.result()) for name, future in asked.items()):
        answers[name] = None
        if isinstance(answer, str):
            print_error(f"warning: {name} does not answer: {answer}")
            continue
        sound, damage = sound_answer(answer)
        if sound is not None:
            answers[name], odd = checked_answer(sound)
            damage += odd
        for words in damage:
            print_error(f"warning: {name}: {words}")
    return answers


def _wait(asked: Mapping[str, Future[Any]]) -> None:
    """Until all have answered; a line on the terminal names the hosts that are waited for."""
    terminal, began = sys.stderr.fileno() if sys.stderr and sys.stderr.isatty() else None, time.monotonic()
    left = wait(asked.values(), timeout=SILENCE_BEFORE_NOTICE).not_done
    while left:
        names = [name for name, future in asked.items() if future in left]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        status_line.write_over(terminal, printable(f"waiting for {names[0]}{more}, {time.monotonic() - began:.0f} s"))
        left = wait(left, timeout=1.0).not_done
        if not left:
            status_line.write_over(terminal, "")


def _status(host: Host, program: str) -> dict[str, Any] | str:
    """What ``host/pods/status.py`` prints on a host, or why it does not."""
    try:
        said = host.question([host.python, "-IS", "-"]).ask(program, patience=host.patience)
    except HostUnreachable as error:
        hint = " (ansible_ssh_timeout or PODLAB_TIMEOUT sets another limit)"
        return f"{error}{hint}" if str(error).startswith("not within") else str(error)
    try:
        answer: dict[str, Any] = packed.loads(said.out)
    except packed.TooMuch as error:
        return str(error)
    except (ValueError, RecursionError):
        words = (said.err.splitlines() or [f"exit code {said.code}"])[-1]
        return (
            f"{words}; -K asks for it"
            if host.becomes and host.password is None and PASSWORD_REQUIRED in words
            else words
        )
    return answer
