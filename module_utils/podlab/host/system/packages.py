"""Install Debian packages in the background, since a module's output comes at its end and a run tells how far they are.

One of podlab's packages has a service, nginx, and podlab wants the program alone: no service starts while they are
installed, and nginx neither at the next boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence

LOG = "/var/log/apt/podlab.log"  # beside those of apt, and gone where all went well
POLICY = "/usr/sbin/policy-rc.d"
POLICY_TEXT = "#!/bin/sh\n# podlab installs programs, not services.\n"
# A machine that has just booted for the first time is often at it already, for its own updates.
APT = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
DONE = "podlab: done\n"  # the log's last line where all went well
LOOK = 0.2  # seconds


def install_command(packages: Sequence[str]) -> list[str]:
    return ["apt-get", "install", "--no-install-recommends", "-y", *packages]


def commands(packages: Sequence[str]) -> list[list[str]]:
    """What a person would type."""
    return [install_command(packages), *([["update-rc.d", "nginx", "disable"]] if "nginx" in packages else [])]


def start(packages: Sequence[str]) -> None:
    """Let a process of its own install them: it goes on where a connection ends. Who finds one at work leaves it be."""
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    log = os.open(LOG, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(log)
        return
    os.ftruncate(log, 0)
    if child := os.fork():
        os.close(log)
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for stream, target in ((0, null), (1, log), (2, log)):
            os.dup2(target, stream)
        code = _install(packages)
        os.write(log, DONE.encode() if code == 0 else b"")
    finally:
        os._exit(code)


def _install(packages: Sequence[str]) -> int:
    """The lists of packages are read anew only where they do not do: that takes longer than all the rest."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}

    def apt(*words: str) -> int:
        return subprocess.call([*APT, *words], env=environment)

    install = install_command(packages)[1:]
    with _no_service_starts():
        code = apt(*install)
        if code:
            apt("update")
            code = apt(*install)
    if code == 0 and "nginx" in packages:
        code = subprocess.call(["update-rc.d", "nginx", "disable"])
    return code


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """See https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt; a policy of the host's holds."""
    if os.path.lexists(POLICY):
        yield
        return
    try:
        # It outlasts a process that is killed by no more than one question.
        with open(POLICY, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o755)
            file.write(f"{POLICY_TEXT}[ -d /proc/{os.getpid()} ] && exit 101\nrm -f {POLICY}\n")
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(POLICY)


def wait(seconds: float | None) -> bool:
    """Whether they are through, after so many seconds at most."""
    end = None if seconds is None else time.monotonic() + seconds
    log = os.open(LOG, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if end is not None and time.monotonic() >= end:
                    return False
                time.sleep(LOOK)  # a lock that could be waited for with a limit there is none
    finally:
        os.close(log)


def log() -> str:
    with open(LOG, encoding="utf-8", errors="replace") as file:
        return file.read()


def progress(text: str, wanted: int) -> str:
    """How far apt-get is, out of what it has printed. Pure."""
    found = re.findall(r"(\d+) newly installed", text)
    if not found:
        return "reading lists of packages" if "\nGet:" in f"\n{text}" else f"{wanted} packages"
    total = int(found[-1])
    text = text[text.rindex(f"{total} newly installed") :]
    for word, words in (("Setting up ", "set up"), ("Unpacking ", "unpacked"), ("Get:", "fetched")):
        if count := len(re.findall(rf"(?m)^{word}", text)):
            return f"{min(count, total)} of {total} packages {words}"
    return f"{total} packages"


def failure(text: str) -> str | None:
    """Why it has failed, in apt's own words; None if it has not. Pure."""
    if text.endswith(DONE):
        return None
    last = text.rpartition("Reading package lists...")[2]  # the first try may have lacked what the second one had
    errors = [*dict.fromkeys(re.findall(r"(?m)^E: (.+)$", last))]
    more = f", and {len(errors) - 1} more errors" if len(errors) > 1 else ""
    return errors[0] + more if errors else (text.strip().splitlines() or ["it was ended"])[-1]


def forget() -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(LOG)
