"""What no process of a lab or of a container may ask the kernel for: a filter for seccomp(2), as container runtimes
have one.

Namespaces part what belongs to one of them. This is for what belongs to none, and for what would go around the
filter. Whatever asks for the machine's root (modules, clocks, kexec, swap, open disks) is not here: the kernel refuses
that in a user namespace. It is a short list of what is denied, not Docker's long one of what is allowed: a program
that is newer than the list works.

The program is put together here, not by libseccomp: that would be one more package on every host.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable, Iterable

# Architecture of <linux/audit.h>, and the numbers of system calls. Where they are the generic table's
# (asm-generic/unistd.h), aarch64 and riscv64 share them.
_GENERIC = {
    "socket": 198,
    "socketpair": 199,
    "ioctl": 29,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "bpf": 280,
    "perf_event_open": 241,
    "userfaultfd": 282,
    "open_by_handle_at": 265,
    "syslog": 116,
}
_X86_64 = {
    "socket": 41,
    "socketpair": 53,
    "ioctl": 16,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "bpf": 321,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "open_by_handle_at": 304,
    "syslog": 103,
}
ARCHITECTURES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _GENERIC), "riscv64": (0xC00000F3, _GENERIC)}
X32 = 0x40000000  # the same architecture to the kernel, with this bit in other numbers

DENIED = (
    *("add_key", "request_key", "keyctl"),  # keyrings belong to users, not to namespaces
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),  # it opens sockets that no filter sees
    *("bpf", "perf_event_open", "userfaultfd"),  # the machine's setting decides, and it may be lax
    *("open_by_handle_at", "syslog"),  # files by number; the kernel's log
)
# Families of sockets that belong to a network namespace. AF_VSOCK, above all, leads to the hypervisor from any of them.
FAMILIES = {
    **{"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_KEY": 15, "AF_NETLINK": 16, "AF_PACKET": 17},
    **{"AF_PPPOX": 24, "AF_CAN": 29, "AF_TIPC": 30, "AF_XDP": 44},
}
TERMINAL_COMMANDS = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into a terminal that another process reads

# linux/bpf_common.h, linux/seccomp.h
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data: low halves of arguments

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

Instruction = tuple[int, int, int, int]


def program(machine: str) -> bytes:
    """The filter for a machine as uname(2) calls it; nothing for one whose numbers are not known here."""
    if machine not in ARCHITECTURES:
        return b""
    architecture, numbers = ARCHITECTURES[machine]
    deny = _ERROR | errno.EPERM
    lines: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),  # 32-bit calls have other numbers: they would be a way around
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        lines += [(_IF_AT_LEAST, 0, 1, X32), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    for name in DENIED:
        lines += _if(numbers[name], [(_RETURN, 0, 0, deny)])
    for name in ("socket", "socketpair"):
        lines += _if(numbers[name], _among(_FIRST, FAMILIES.values(), _ALLOW, deny))
    lines += _if(numbers["ioctl"], _among(_SECOND, TERMINAL_COMMANDS, deny, _ALLOW))
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _if(value: int, then: list[Instruction]) -> list[Instruction]:
    """``then`` ends with a return."""
    return [(_IF_EQUAL, 0, len(then), value), *then]


def _among(argument: int, values: Iterable[int], hit: int, miss: int) -> list[Instruction]:
    """The kernel reads the low half of these arguments alone, so it is all that counts."""
    tests = [line for value in values for line in _if(value, [(_RETURN, 0, 0, hit)])]
    return [(_LOAD, 0, 0, argument), *tests, (_RETURN, 0, 0, miss)]


def installer(machine: str) -> Callable[[], None]:
    """What installs the filter in the thread that calls it, for good and for all that it starts.

    With CAP_SYS_ADMIN in its user namespace, and so without ``no_new_privs``, after which no sudo would work. All is
    made before: between fork and exec it is one system call.
    """
    text = program(machine)
    if not text:
        return lambda: None
    libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(text, len(text))

    class Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_void_p))

    filled = Program(len(text) // 8, ctypes.addressof(buffer))

    def install() -> None:
        if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filled), 0, 0):
            raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
        assert buffer  # it lives as long as this function does

    return install


def main(*argv: str) -> None:
    """Become another program under the filter."""
    installer(os.uname().machine)()
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
