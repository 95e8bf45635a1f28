"""A shared library for x86_64 that writes down who has loaded it: what a container would put into /etc/ld.so.preload.

It is put together here, so that a test needs no compiler.
"""

from __future__ import annotations

import struct

HEAD, SEGMENT = 64, 56
_LOAD, _DYNAMIC, _ALL = 1, 2, 7  # elf.h: PT_LOAD, PT_DYNAMIC, PF_R | PF_W | PF_X
_HASH, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _INIT = 4, 5, 6, 10, 11, 12  # DT_


def library(log: str) -> bytes:
    """Appends /proc/self/status to the file ``log`` as soon as it is loaded."""
    words = b"/proc/self/status\0" + log.encode() + b"\0"
    at_dynamic = HEAD + 2 * SEGMENT
    at_symbol = at_dynamic + 7 * 16
    at_hash = at_symbol + 24
    at_words = at_hash + 16
    at_code = at_words + len(words)
    code = _code(at_words - at_code, at_words + words.index(b"\0") + 1 - at_code)
    end = at_code + len(code)
    dynamic = [(_HASH, at_hash), (_STRTAB, at_symbol), (_SYMTAB, at_symbol), (_STRSZ, 1), (_SYMENT, 24)]
    head = b"\x7fELF\2\1\1".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, HEAD, 0, 0, HEAD, SEGMENT, 2, 0, 0, 0)  # ET_DYN, EM_X86_64
    head += struct.pack("<IIQQQQQQ", _LOAD, _ALL, 0, 0, 0, end, end, 4096)
    head += struct.pack("<IIQQQQQQ", _DYNAMIC, _ALL, *[at_dynamic] * 3, *[7 * 16] * 2, 8)
    entries = b"".join(struct.pack("<QQ", *entry) for entry in [*dynamic, (_INIT, at_code), (0, 0)])
    return head + entries + bytes(24) + struct.pack("<IIII", 1, 1, 0, 0) + words + code


def _code(status: int, log: int) -> bytes:
    """Both paths are relative to the first instruction."""
    text = bytes.fromhex("53 4881ec00100000")  # push rbx; sub rsp, 4096
    text += _address(status - len(text))  # open(status, O_RDONLY)
    text += bytes.fromhex("31f6 b802000000 0f05")  # xor esi, esi; mov eax, 2; syscall
    text += bytes.fromhex("89c7 4889e6 ba00100000 31c0 0f05 89c3")  # ebx = read(eax, rsp, 4096)
    text += _address(log - len(text))  # open(log, O_WRONLY | O_CREAT | O_APPEND, 0666)
    text += bytes.fromhex("be41040000 bab6010000 b802000000 0f05")
    text += bytes.fromhex("89c7 4889e6 89da b801000000 0f05")  # write(eax, rsp, ebx)
    return text + bytes.fromhex("4881c400100000 5b c3")  # add rsp, 4096; pop rbx; ret


def _address(distance: int) -> bytes:
    """lea rdi, [rip + ...], which counts from its own end."""
    return bytes.fromhex("488d3d") + struct.pack("<i", distance - 7)
