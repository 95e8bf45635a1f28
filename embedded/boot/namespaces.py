"""The namespaces that the root of a host rules."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from .syscalls import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWUTS, setns, unshare, words_of


def own_namespaces() -> dict[str, int]:
    """A user namespace below the lab's, and those that its root shall rule: kind -> descriptor.

    The host's root must not be the lab's, which makes the mounts of the host: what a mount namespace inherits from one
    of another user namespace is locked as it is (mount_namespaces(7)). Only so does read-only stay read-only.
    """
    with keeper(lambda: unshare(CLONE_NEWUSER)) as pid:
        for file in ("uid_map", "gid_map"):
            with open(f"/proc/self/{file}", encoding="ascii") as mine:
                ids = sum(int(line.split()[2]) for line in mine)
            with open(f"/proc/{pid}/{file}", "w", encoding="ascii") as theirs:
                theirs.write(f"0 0 {ids}")
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)

    def others() -> None:
        # Once there are ids: files of /proc/net belong to whoever is root then.
        setns(user, "user")
        unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

    with keeper(others) as pid:
        return {
            "user": user,
            **{kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("net", "ipc", "uts")},
        }


@contextlib.contextmanager
def keeper(make: Callable[[], None]) -> Iterator[int]:
    """A process that has made namespaces and keeps them for the length of the block: its pid."""
    (said, say), (hear, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        try:
            make()
            os.write(say, b".")
            os.read(hear, 1)
        except OSError as error:
            os.write(say, words_of(error).encode())
        os._exit(0)
    os.close(say)
    try:
        words = os.read(said, 1000)
        if words != b".":
            raise OSError(words.decode() or "the keeper of a host's namespaces has died")
        yield child
    finally:
        os.close(end)
        os.waitpid(child, 0)
        os.close(said)
        os.close(hear)
