"""Become another program, as execvp(3) does."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the large one imports enum
import errno
import os

DEFAULT_PATH = b"/bin:/usr/bin"
NOT_EXECUTABLE = 126  # exit code, as env(1) has it
MISSING = (errno.ENOENT, errno.ENOTDIR)


def become(command: list[str]) -> None:
    """Run a command in place of this process. Returns if its program is not there, nor what it needs to be loaded."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and a program would go on to
        signal.signal(number, signal.SIG_DFL)
    environment, words = _environment(), [os.fsencode(word) for word in command]
    name, failure = words[0], 0
    path = environment.get(b"PATH", DEFAULT_PATH).split(b":")
    for place in [name] if b"/" in name else [os.path.join(place, name) for place in path]:
        try:
            os.execve(place, words, environment)
        except OSError as error:
            if error.errno not in MISSING:
                failure = error.errno or errno.EACCES
    if failure:
        os.write(2, f'exec: "{command[0]}": {os.strerror(failure).lower()}\n'.encode(errors="surrogateescape"))
        os._exit(NOT_EXECUTABLE)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _environment() -> dict[bytes, bytes]:
    """What this process was started with: Python adds a variable of its own where the locale is C (PEP 538)."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0")[:-1])
        return {name: value for name, _, value in pairs}
