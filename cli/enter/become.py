"""Become the program that runs over there.

Outside of a lab the command replaces this process where it can, so input, output, signals and the exit code are
its own; a command in a lab gets copies of them, see ``session.py``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import NoReturn

from ..errors import CommandError
from ..hosts import Call, HostUnreachable
from ..session import wait_for_all


def replace_process(call: Call, apart: Iterable[int] = (), stdin: int | None = None) -> NoReturn:
    """Replace this process, or stay to hand on what the command shall not have itself: signals as well, if it is in a
    lab.

    :param apart: streams that it shall not have.
    :param stdin: what it reads instead of our input, if it does.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):  # a closed one is none
        stream.flush()
    apart, session = set(apart), None
    try:
        if call.prepare or apart:
            session = call.start(apart=apart, stdin=stdin)
        else:
            if stdin is not None:
                os.dup2(stdin, 0)
            # Python ignores SIGPIPE, and what is ignored stays so in the next program.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            call.become()
    except OSError as error:
        raise CommandError(f"error: {call.argv[0]}: {error.strerror or error}") from error
    except HostUnreachable as error:
        raise CommandError(f"error: {error}") from error
    raise SystemExit(wait_for_all(session))
