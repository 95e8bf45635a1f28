"""Modes of what podlab keeps on a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podlab.host.system import file_modes


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of podlab's directories, open to everybody, and two pods with their files."""
    beneath = {"PODS": "run/pods", "SCAN_DIR": "run/services", "SHM": "run/shm"}
    beneath |= {"IMAGES": "home/images", "VOLUMES": "home/volumes"}
    for name in ("RUN", "HOME", "LOGS", *beneath):
        place = tmp_path / beneath.get(name, name.lower())
        place.mkdir(parents=True)
        monkeypatch.setattr(file_modes, name, str(place))
    for pod in ("run/pods/default_a", "run/pods/default_b"):
        (tmp_path / pod).mkdir()
        for name in ("pod.json", "hosts"):
            (tmp_path / pod / name).write_text("")
            (tmp_path / pod / name).chmod(0o666)
    for name in ("run", "home"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_the_directories_that_hide_all_the_rest_are_closed_first(kept: Path) -> None:
    assert list(file_modes.wrong())[:2] == [str(kept / "run"), str(kept / "home")]


def test_what_podlab_remembers_is_roots_alone(kept: Path) -> None:
    for name in ("record", "services"):
        (kept / f"home/{name}.json").write_text("{}")
        (kept / f"home/{name}.json").chmod(0o777)
    wrong = file_modes.wrong()
    assert [wrong.get(str(kept / f"home/{name}.json")) for name in ("record", "services")] == [0o600, 0o600]


def test_a_file_where_a_pods_directory_should_be_is_left_alone(kept: Path) -> None:
    (kept / "run/pods/a-note").write_text("mine")
    wrong = file_modes.wrong()
    assert str(kept / "run/pods/default_b/pod.json") in wrong
    assert not any("a-note" in path for path in wrong)


def test_a_mode_that_cannot_be_set_keeps_no_other_from_it(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chmod(path: str, mode: int) -> None:
        if path == str(kept / "run/pods/default_a/pod.json"):
            raise PermissionError(1, "Operation not permitted", path)
        real(path, mode)

    real = os.chmod
    with monkeypatch.context() as patched:
        patched.setattr(file_modes.os, "chmod", chmod)
        with pytest.raises(PermissionError, match=r"default_a/pod\.json"):
            file_modes.mend(file_modes.wrong())
    assert list(file_modes.wrong()) == [str(kept / "run/pods/default_a/pod.json")]


def test_directories_that_were_closed_are_opened_again_but_for_what_is_the_pods_own(kept: Path) -> None:
    """What is s6's own, and what is no directory, is left alone as well."""
    mine = ("run/services/default_a.web/layers/0/share", "run/services/default_a.web", "home/volumes")
    others = ("run/services/.old", "run/shm/default_a", "home/volumes/default_a/pages")
    for name in (*mine, *others):
        (kept / name).mkdir(parents=True, exist_ok=True)
    (kept / "run/services/note").write_text("mine")
    for name in (*mine, *others, "run/services/note"):
        (kept / name).chmod(0o0)
    wrong = file_modes.wrong()
    assert {name: wrong.get(str(kept / name)) for name in mine} == dict.fromkeys(mine, 0o755)
    assert not {str(kept / name) for name in (*others, "run/services/note")} & {*wrong}


def test_files_of_a_container_are_its_supervisors_alone_and_what_a_link_leads_to_is_left_alone(kept: Path) -> None:
    unit = kept / "run/services/default_a.web"
    unit.mkdir()
    (kept / "elsewhere").write_text("")
    for name in ("run", "env"):
        (unit / name).write_text("")
        (unit / name).chmod(0o777)
    (unit / "log").symlink_to(kept / "elsewhere")
    (unit / "finish").write_text("")
    (unit / "finish").chmod(0o755)
    wrong = {path: mode for path, mode in file_modes.wrong().items() if path.startswith(f"{unit}/")}
    assert wrong == {f"{unit}/run": 0o700, f"{unit}/env": 0o600}
