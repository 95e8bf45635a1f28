"""What the kubelet knows gets into its files, if not at once."""

from __future__ import annotations

import resource
import signal
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
    limits, on_excess = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            record.write_file(str(tmp_path / "record.json"), "{}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, on_excess)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["record.json", "record.json.new"])
def test_a_directory_in_the_place_of_a_file_makes_room_for_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    record.write_file(str(tmp_path / "record.json"), "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("name", ["record.json", "record.json.new"])
def test_what_somebody_has_put_into_such_a_directory_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes").write_text("mine")
    record.write_file(str(tmp_path / "record.json"), "{}")
    assert (tmp_path / "record.json").read_text() == "{}"
    assert [path.read_text() for path in tmp_path.glob(f"{name}.*/notes")] == ["mine"]
