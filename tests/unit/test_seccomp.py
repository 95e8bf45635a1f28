"""The filter is installed for real, in a process of its own, and asked by system calls."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from podlab import seccomp

ROOT = Path(__file__).resolve().parents[2]
MACHINE = platform.machine()
# no_new_privs takes the place of CAP_SYS_ADMIN: seccomp(2) asks for one of the two.
PROGRAM = """
import ctypes, errno, json, os, socket, sys
from podlab import seccomp
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
seccomp.installer(os.uname().machine)()
def answer(call, *arguments):
    return 0 if libc.syscall(call, *arguments) >= 0 else ctypes.get_errno()
print(json.dumps([answer(*call) for call in json.loads(sys.argv[1])]))
"""
# mov eax, 20 (getpid of the 32-bit table); int 0x80; ret
IN_32_BIT = """
import ctypes, mmap, os
from podlab import seccomp
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
first = call()
print(first, flush=True)
seccomp.installer(os.uname().machine)()
print(call(), flush=True)
"""
EPERM, ENOSYS, ENOTTY, EAFNOSUPPORT = 1, 38, 25, 97

pytestmark = pytest.mark.skipif(MACHINE not in seccomp.ARCHITECTURES, reason="no filter for this architecture")


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", program, *words]
    return subprocess.run(argv, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "module_utils")})


def answers(*calls: tuple[int, ...]) -> list[int]:
    """Error numbers of system calls under the filter; 0 for what succeeds."""
    done = run(PROGRAM, json.dumps(calls))
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


def number(name: str) -> int:
    return seccomp.ARCHITECTURES[MACHINE][1][name]


def test_what_is_denied_is_denied() -> None:
    assert set(answers(*((number(name), 0, 0, 0, 0, 0) for name in seccomp.DENIED))) == {EPERM}


def test_sockets_of_network_namespaces_are_allowed_and_no_others() -> None:
    vsock, bluetooth, alg, qrtr = 40, 31, 38, 42
    call = number("socket")
    assert answers(*((call, family, 1, 0) for family in (1, 2))) == [0, 0]
    assert answers(*((call, family, 2, 0) for family in (vsock, bluetooth, alg, qrtr))) == [EPERM] * 4
    # The kernel takes the low half of the register for the family.
    assert answers((call, vsock | 1 << 32, 1, 0)) == [EPERM]
    assert answers((number("socketpair"), vsock, 1, 0, 0)) == [EPERM]


def test_nobody_types_into_a_terminal() -> None:
    pushing, drawing, asking = 0x5412, 0x541C, 0x5401
    call = number("ioctl")
    commands = (pushing, pushing | 1 << 32, drawing, asking)
    assert answers(*((call, 0, command, 0) for command in commands)) == [EPERM, EPERM, EPERM, ENOTTY]


@pytest.mark.skipif(MACHINE != "x86_64", reason="there is one table of numbers")
def test_other_tables_of_numbers_lead_nowhere() -> None:
    assert answers((seccomp.X32 | number("socket"), 40, 1, 0), (seccomp.X32 | 39,)) == [ENOSYS, ENOSYS]
    done = run(IN_32_BIT)
    if done.returncode == -11 and not done.stdout:
        pytest.skip("this kernel has no 32-bit calls")
    assert done.returncode == -31  # SIGSYS, after one call that went well
    assert len(done.stdout.split()) == 1


def test_tables_of_other_machines_are_whole() -> None:
    for _, numbers in seccomp.ARCHITECTURES.values():
        assert set(numbers) == {*seccomp.DENIED, "socket", "socketpair", "ioctl"}
    assert seccomp.program("a machine of next year") == b""


def test_it_is_inherited_and_leaves_set_user_id_programs_alone() -> None:
    program = PROGRAM.replace("assert libc.prctl(38, 1, 0, 0, 0) == 0", "").rsplit("\n", 2)[0]
    program += "\nos.execvp('grep', ['grep', '-E', '^(Seccomp|NoNewPrivs):', '/proc/self/status'])"
    argv = ["unshare", "--user", "--map-root-user", sys.executable, "-c", program, "[]"]
    done = subprocess.run(argv, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "module_utils")})
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.stdout.split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]
