"""What the shell script ``lab`` hands over to."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

# In the place of this very directory: the package is called ``cli``, and ``podlab`` lies in module_utils.
ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT / "module_utils"), str(ROOT)]

from cli import verbs
from cli.errors import CommandError
from cli.output import print_error
from podlab.embedded import usual_limits

NO_VENV = "there is no .venv yet to read the inventory with; ./lab up makes it"


def main(argv: Sequence[str]) -> int:
    """Run a verb; return its exit code. Wrong arguments end with 2, as argparse has it."""
    _settle()
    verb, *rest = argv
    words, command = _parted(rest)
    usual_limits()
    try:
        return int(verbs.main_of(verb)(words, command) or 0)
    except CommandError as error:
        print_error(str(error))
        return error.code
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("ansible", "yaml", "jinja2"):
            raise
        print_error(NO_VENV)
        return 1


def _settle() -> None:
    """Take the terminal, or the pipe, as other programs have left it. Ansible asks for blocking input and output, and a
    table is longer than a pipe; a signal that is blocked would be so in every process that comes after."""
    for stream in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.set_blocking(stream, True)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first ``--``, and the command after it: that one is not ours to read."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def run(argv: Sequence[str]) -> int:
    """``main``, with an exit code for whatever ends it early."""
    try:
        try:
            code = main(argv)
        finally:  # argparse ends by itself
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _close_stdout()  # the reader has gone
        return 128 + signal.SIGPIPE
    except OSError as error:
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF)
        where = "standard output" if full else error.filename
        print_error(f"error: {f'{where}: ' if where else ''}{error.strerror or error}")
        _close_stdout()
        return 1
    except Exception as error:
        if type(error).__module__ != "ansible.errors":
            raise
        # While it is imported: it wants a directory of its own.
        print_error(f"error: {str(error).rstrip('.')}; set HOME, or ANSIBLE_HOME, to a directory that can be written")
        return 1


def _close_stdout() -> None:
    """Nothing more shall be tried when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
