"""Gives sudo a password on the host that this program runs on. ``./lab`` runs this text there, as the user that it logs
in as; the first line of its input is the password.

With a command, which begins with sudo: runs it, with the rest of the input. Without one: prints what SUDO_ASKPASS shall
be for any other command there, until the end of the input.

The password is in the memory of this process alone, on no command line and in no environment. Not by ``sudo -S``: where
sudo does not ask, the command would read the password.
"""

import os
import signal
import subprocess
import sys

# sudo tries three times. A password that is wrong stays wrong, and some hosts lock an account after three.
SCRIPT = """#!/bin/sh
grep -qsx $PPID {asked} && exit 1
echo $PPID >>{asked}
exec cat {password}
"""


def first_line() -> bytes:
    """Not a byte more: the rest is for the command."""
    line = b""
    while (letter := os.read(0, 1)) not in (b"", b"\n"):
        line += letter
    return line


def in_memory(text: bytes) -> str:
    """The path of a file that ends with this process. Only its user may follow it there."""
    writable = os.memfd_create("podlab-askpass")
    os.write(writable, text)
    kept = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY)
    os.close(writable)  # or the script is "busy"
    return f"/proc/{os.getpid()}/fd/{kept}"


def main(command: "list[str]") -> int:
    password, asked = in_memory(first_line() + b"\n"), in_memory(b"")
    script = in_memory(SCRIPT.format(password=password, asked=asked).encode())
    if not command:
        print(script, flush=True)
        while os.read(0, 4096):
            pass
        return 0
    child = subprocess.Popen(command, env={**os.environ, "SUDO_ASKPASS": script})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
