"""What the kubelet knows gets into its files, if not at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.host import record
from podlab.host.kubelet import files


def test_what_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "health"
    (tmp_path / "health.new").mkdir()  # as little can be written as to a full disk
    files.write_text(str(path), "ready")
    files.write_deferred()
    assert not path.exists()
    (tmp_path / "health.new").rmdir()
    files.write_deferred()
    assert path.read_text() == "ready"


def test_what_is_written_meanwhile_counts(tmp_path: Path) -> None:
    path = tmp_path / "health"
    (tmp_path / "health.new").mkdir()
    files.write_text(str(path), "ready")
    (tmp_path / "health.new").rmdir()
    files.write_text(str(path), "not ready")
    files.write_deferred()
    assert path.read_text() == "not ready"


def test_nothing_is_left_for_a_directory_that_has_gone(tmp_path: Path) -> None:
    files.write_text(str(tmp_path / "gone/health"), "ready")
    (tmp_path / "gone").mkdir()
    files.write_deferred()
    assert list((tmp_path / "gone").iterdir()) == []


def test_half_a_file_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(OSError, match=r"record\.json"):
        record.write_file(str(tmp_path / "record.json"), "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
