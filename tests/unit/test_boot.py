"""What a host that cannot be booted says."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded.boot import namespaces, syscalls


def test_an_error_is_told_in_words_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as missing:
        open(tmp_path / "none").close()
    assert syscalls.words_of(missing.value) == f"{tmp_path}/none: No such file or directory"
    with pytest.raises(OSError, match="mount -t") as refused:
        syscalls.mount("none", str(tmp_path / "none"), "tmpfs")
    assert syscalls.words_of(refused.value).startswith(f"mount -t tmpfs none {tmp_path}/none: ")
    assert syscalls.words_of(OSError("the init of a host has died")) == "the init of a host has died"


def test_what_a_keeper_of_namespaces_says_has_no_number() -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "/var/log")

    with pytest.raises(OSError, match="denied") as told, namespaces.keeper(fail):
        pass
    assert str(told.value) == "/var/log: Permission denied"
