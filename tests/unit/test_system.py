"""What systemd and network daemons of a host are told, and what is kept for a boot."""

from __future__ import annotations

import base64
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from podlab.changes import system
from podlab.changes.sandbox import veth_name
from podlab.controller import luggage
from podlab.host import chapter, kept

ROOT = Path(__file__).resolve().parents[2]
ROW: system.SystemRow = {"boot": True, "links": ["cbr0", "veth????????"]}
DEBIAN: system.System = {"daemons": ["systemd", "systemd-networkd"], "python": "/usr/bin/python3"}


def told(seen: system.System, row: system.SystemRow, code: str = "1") -> system.System:
    """The host after the steps."""
    found = system.steps(seen, row, code)
    files = {**seen.get("files", {}), **found.write}
    for path in found.remove:
        del files[path]
    keeps = (seen.get("keeps", False) or found.keep) and not found.forget
    enabled = seen.get("enabled", False) or any("enable" in argv for argv in found.after)
    return {**seen, "files": files, "keeps": keeps, "enabled": enabled, "code": code if found.keep else ""}


def test_a_debian_host_gets_a_unit_and_drop_ins_once():
    lines = system.steps(DEBIAN, ROW, "1").lines()
    assert "ManageForeignRoutes=no" in lines
    assert "Unmanaged=yes" in lines
    assert "ExecStart=/usr/bin/python3 -IS /var/lib/podlab/boot/podlab.zip" in lines
    assert lines[-3:] == [
        "systemctl try-restart systemd-networkd",
        "systemctl daemon-reload",
        "systemctl --quiet enable podlab-boot.service",
    ]
    assert not any("NetworkManager" in line for line in lines if not line.startswith("After="))
    assert not system.steps(told(DEBIAN, ROW), ROW, "1")


def test_a_host_without_systemd_is_told_nothing():
    assert not system.steps({"daemons": []}, {**ROW, "boot": False}, "1")
    assert system.steps({"daemons": []}, ROW, "1").lines() == [
        "# write /var/lib/podlab/boot/podlab.zip: podlab's own code"
    ]


def test_network_manager_gets_a_list_that_adds_to_others():
    found = system.files({"daemons": ["systemd", "NetworkManager"]}, {**ROW, "boot": False})
    assert found == {
        system.NETWORK_MANAGER: f"{system.HEAD}[keyfile]\nunmanaged-devices+=interface-name:cbr0;interface-name:veth????????\n"
    }


def test_without_the_setting_what_is_kept_goes_and_the_drop_ins_stay():
    there = told(DEBIAN, ROW)
    found = system.steps(there, {**ROW, "boot": False}, "1")
    assert found.lines() == [
        "systemctl --quiet disable --now podlab-boot.service",
        f"rm {system.UNIT}",
        "rm -r /var/lib/podlab/boot",
        "systemctl daemon-reload",
    ]
    assert not found.write


def test_teardown_takes_all_away_and_starts_no_network_daemon_anew():
    found = system.removal(told(DEBIAN, ROW))
    assert sorted(found.remove) == sorted([system.NETWORK, system.NETWORKD, system.UNIT])
    assert not any("try-restart" in line for line in found.lines())


@pytest.mark.parametrize(
    "damage",
    [
        {"files": {}},
        {"enabled": False},
        {"code": "2"},
        {"keeps": False},
    ],
    ids=lambda it: next(iter(it)),
)
def test_damage_is_seen(damage: Any):
    assert system.steps({**told(DEBIAN, ROW), **damage}, ROW, "1")


def test_the_pattern_of_wires_fits_their_names():
    assert len(veth_name("default_web")) == len(system.patterns("cbr0", None)[1])
    assert system.patterns("cbr0", {"name": "vxlan.7"})[-1] == "vxlan.7"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept, "KEPT", str(tmp_path))
    monkeypatch.setattr(kept, "CODE", str(tmp_path / "podlab.zip"))
    return tmp_path


def test_what_is_told_is_kept_once_it_is_true(place: Path):
    at_work: list[tuple[list[str], object]] = []

    def work(params: dict[str, Any]) -> Any:
        return ["ip link"] if not at_work else [], lambda: at_work.append((kept.settled(), kept.read("bridge")))

    lines, _ = chapter.perform(work, {"row": 1, "part": "make"}, "bridge", {"part": None})
    assert lines == ["ip link", f"# write {place}/bridge.json: what a boot replays"]
    assert at_work == [([], None)]
    assert kept.read("bridge") == {"row": 1, "part": None}
    assert (place / "bridge.json").stat().st_mode & 0o777 == 0o600
    assert chapter.perform(work, {"row": 1, "part": "break"}, "bridge", {"part": None}) == ([], [])
    assert kept.settled() == ["bridge"]


def test_who_is_cut_off_leaves_what_was_true_and_is_not_settled(place: Path):
    def fails() -> None:
        raise OSError("no")

    chapter.perform(lambda _: ([], lambda: None), {"row": 1}, "bridge", {})
    with pytest.raises(OSError, match="no"):
        chapter.perform(lambda _: (["ip"], fails), {"row": 2}, "bridge", {})
    assert kept.read("bridge") == {"row": 1}
    assert kept.settled() == []
    lines, _ = chapter.perform(lambda _: ([], lambda: None), {"row": 2}, "bridge", {})
    assert len(lines) == 1
    assert kept.settled() == ["bridge"]


def test_check_mode_keeps_nothing_and_names_it(place: Path):
    lines, _ = chapter.perform(lambda _: ([], lambda: None), {"row": 1}, "bridge", {}, check_mode=True)
    assert lines == [f"# write {place}/bridge.json: what a boot replays"]
    assert not list(place.iterdir())


def test_what_was_changed_by_hand_is_not_settled(place: Path):
    chapter.perform(lambda _: ([], lambda: None), {"row": "cbr0"}, "bridge", {})
    (place / "bridge.json").write_text((place / "bridge.json").read_text().replace("cbr0", "cbr1"))
    assert kept.settled() == []
    assert kept.read("bridge") is None


def test_another_podlab_is_told_anew_and_a_boot_in_between_goes_by_the_old(place: Path):
    chapter.perform(lambda _: ([], lambda: None), {"row": 1}, "bridge", {})
    (place / "podlab.zip").write_bytes(b"another one")
    assert kept.settled() == []
    assert kept.read("bridge") == {"row": 1}
    lines, _ = chapter.perform(lambda _: ([], lambda: None), {"row": 1}, "bridge", {})
    assert len(lines) == 1
    assert kept.settled() == ["bridge"]


def test_nothing_is_kept_without_a_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "KEPT", str(tmp_path / "none"))
    assert chapter.perform(lambda _: ([], lambda: None), {"row": 1}, "bridge", {}) == ([], [])


def test_the_code_is_one_file_that_python_alone_runs(tmp_path: Path):
    code, digest = luggage.archive(ROOT / "library")
    luggage.archive.cache_clear()
    assert luggage.archive(ROOT / "library") == (code, digest)
    program = tmp_path / "podlab.zip"
    program.write_bytes(base64.b64decode(code))
    with zipfile.ZipFile(program) as archived:
        assert "ansible/module_utils/podlab/host/boot.py" in archived.namelist()
    every = "import sys; sys.path.insert(0, sys.argv[1]); from ansible.module_utils.podlab.host import guest; "
    every += "sys.modules['ansible.module_utils.basic'] = guest.ansible_module({}, False); "
    every += "from ansible.module_utils.podlab.host import boot; import importlib; "
    every += "[importlib.import_module(name).work for name in boot.COMPONENTS.values()]"
    subprocess.run(["/usr/bin/python3", "-IS", "-c", every, str(program)], check=True, cwd=os.sep)
