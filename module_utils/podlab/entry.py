"""The way into a lab from the machine; there is no other one.

Who enters brings nothing along: no descriptor beyond the three streams, no keyring, no environment, no id of the
machine, no right to dump a core, no controlling terminal and no process group: signals to a group go across pid
namespaces, to all that are the same user's. Most of it has to be done between fork and exec (``seal``), before
nsenter(1) joins the namespaces: a process of the lab may trace one that comes in as soon as it is among them.

As a program (``enter``) this is for callers that have an argument vector alone. It costs a start of Python.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import signal
import sys
from collections.abc import Callable

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from podlab import seccomp

NS_GET_PARENT = 0xB702  # linux/nsfs.h
CLONE_NEWUSER = 0x10000000
CLOSE_RANGE_CLOEXEC = 4
KEYCTL_JOIN_SESSION_KEYRING = 1
# By machine: close_range(2), keyctl(2). libc has no function for the second.
_NUMBERS = {"x86_64": (436, 250)}
_GENERIC_NUMBERS = (436, 219)

_libc = ctypes.CDLL(None, use_errno=True)


def command(pid: int, namespaces: str = "UmnpiuC") -> list[str]:
    """After ``seal``: what joins the namespaces of an embedded host, by the pid of its init. A command follows."""
    return ["/usr/bin/nsenter", "-t", str(pid), *(f"-{kind}" for kind in namespaces), "--preserve-credentials", "--"]


def enter(pid: int) -> list[str]:
    """The same as one program, for who can do nothing between fork and exec."""
    return [sys.executable, "-IS", os.path.abspath(__file__), str(pid)]


def seal(pid: int) -> Callable[[], None]:
    """What a process does between fork and exec to leave the machine behind. ``pid`` is one of the lab's.

    It becomes root of the lab's user namespace, and has nothing but its three streams.

    :raises OSError: that process has ended, or this one leads a process group and so may begin no session.
    """
    machine, is_root = platform.machine(), os.getuid() == 0
    close_range, keyctl = _NUMBERS.get(machine, _GENERIC_NUMBERS)
    install = seccomp.installer(machine)

    def become_one_of_the_lab() -> None:
        if os.getsid(0) != os.getpid() or _has_terminal():  # Popen may have begun one already
            os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _libc.syscall(close_range, 3, ctypes.c_uint(-1), CLOSE_RANGE_CLOEXEC)
        # It may be refused, by a container around us or by a quota. Then keyctl(2) is what the filter below refuses.
        _libc.syscall(keyctl, KEYCTL_JOIN_SESSION_KEYRING, None)
        # Cores go where the machine's setting leads, and with a limit of 0 still to its handler: not so with 1 byte
        # (do_coredump in fs/coredump.c).
        core = 0 if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 else 1
        resource.setrlimit(resource.RLIMIT_CORE, (core, core))
        if _libc.setns(_user_namespace_of_the_lab(pid), CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
        if is_root:  # an ordinary user is root there already, and may not call setgroups(2)
            os.setgroups(())
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        install()

    return become_one_of_the_lab


def _user_namespace_of_the_lab(pid: int) -> int:
    """A descriptor of it. That of a host lies below; that of the lab's init is below ours."""
    found = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    parent: int = fcntl.ioctl(found, NS_GET_PARENT)
    if os.path.samestat(os.fstat(parent), os.stat("/proc/self/ns/user")):
        os.close(parent)
        return found
    os.close(found)
    return parent


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def main(pid: str, *argv: str) -> None:
    seal(int(pid))()
    os.execv("/usr/bin/nsenter", [*command(int(pid)), *argv])


if __name__ == "__main__":
    main(*sys.argv[1:])
