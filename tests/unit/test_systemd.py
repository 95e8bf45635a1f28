"""What systemd and network daemons of a host are told, and what is kept for a boot."""

from __future__ import annotations

import base64
import os
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.actions import Action, Ip
from podlab.changes.actions import lines as lines_of
from podlab.changes.pods.sandbox import veth_name
from podlab.changes.system import systemd
from podlab.controller import module_bundle
from podlab.host import module_base
from podlab.host.actions import Todo
from podlab.host.boot import last_configs

ROOT = Path(__file__).resolve().parents[2]
ROW: systemd.SystemConfig = {"boot": True, "links": ["cbr0", "veth????????"]}
DEBIAN: systemd.System = {"daemons": ["systemd", "systemd-networkd"], "python": "/usr/bin/python3"}


def told(seen: systemd.System, row: systemd.SystemConfig, code: str = "1") -> systemd.System:
    """The host after the steps."""
    found = systemd.steps(seen, row, code)
    files = {**seen.get("files", {}), **found.write}
    for path in found.remove:
        del files[path]
    keeps = (seen.get("keeps", False) or found.keep) and not found.forget
    enabled = seen.get("enabled", False) or any("enable" in argv for argv in found.after)
    return {**seen, "files": files, "keeps": keeps, "enabled": enabled, "code": code if found.keep else ""}


def test_a_debian_host_gets_a_unit_and_drop_ins_once():
    lines = lines_of(systemd.steps(DEBIAN, ROW, "1").actions())
    assert "ManageForeignRoutes=no" in lines
    assert "Unmanaged=yes" in lines
    assert "ExecStart=/usr/bin/python3 -IS /var/lib/podlab/boot/podlab.zip" in lines
    assert lines[-3:] == [
        "systemctl try-restart systemd-networkd",
        "systemctl daemon-reload",
        "systemctl --quiet enable podlab-boot.service",
    ]
    assert not any("NetworkManager" in line for line in lines if not line.startswith("After="))
    assert not systemd.steps(told(DEBIAN, ROW), ROW, "1")


def test_a_host_without_systemd_is_told_nothing():
    assert not systemd.steps({"daemons": []}, {**ROW, "boot": False}, "1")
    assert lines_of(systemd.steps({"daemons": []}, ROW, "1").actions()) == [
        "# write /var/lib/podlab/boot/podlab.zip: podlab's own code"
    ]


def test_network_manager_gets_a_list_that_adds_to_others():
    found = systemd.files({"daemons": ["systemd", "NetworkManager"]}, {**ROW, "boot": False})
    assert found == {
        systemd.NETWORK_MANAGER: f"{systemd.HEAD}[keyfile]\nunmanaged-devices+=interface-name:cbr0;interface-name:veth????????\n"
    }


def test_without_the_setting_what_is_kept_goes_and_the_drop_ins_stay():
    there = told(DEBIAN, ROW)
    found = systemd.steps(there, {**ROW, "boot": False}, "1")
    assert lines_of(found.actions()) == [
        "systemctl --quiet disable --now podlab-boot.service",
        f"rm {systemd.UNIT}",
        "rm -r /var/lib/podlab/boot",
        "systemctl daemon-reload",
    ]
    assert not found.write


def test_teardown_takes_all_away_and_starts_no_network_daemon_anew():
    found = systemd.removal(told(DEBIAN, ROW))
    assert sorted(found.remove) == sorted([systemd.NETWORK, systemd.NETWORKD, systemd.UNIT])
    assert not any("try-restart" in line for line in lines_of(found.actions()))


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
    assert systemd.steps({**told(DEBIAN, ROW), **damage}, ROW, "1")


def test_the_pattern_of_wires_fits_their_names():
    assert len(veth_name("default_web")) == len(systemd.patterns("cbr0", None)[1])
    assert systemd.patterns("cbr0", {"name": "vxlan.7"})[-1] == "vxlan.7"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(last_configs, "KEPT", str(tmp_path))
    monkeypatch.setattr(last_configs, "CODE", str(tmp_path / "podlab.zip"))
    return tmp_path


def test_what_is_told_is_kept_once_it_is_true(place: Path, monkeypatch: pytest.MonkeyPatch):
    at_work: list[tuple[list[str], object]] = []

    def apply(_: Sequence[Action]) -> None:
        at_work.append((last_configs.settled(), last_configs.read("bridge")))

    def work(params: dict[str, Any]) -> Todo:
        return Todo([] if at_work else [Ip("link")])

    monkeypatch.setattr(module_base, "apply", apply)
    lines, _ = module_base.perform(work, {"row": 1, "part": "make"}, "bridge", {"part": None})
    assert lines == ["ip link", f"# write {place}/bridge.json: what a boot replays"]
    assert at_work == [([], None)]
    assert last_configs.read("bridge") == {"row": 1, "part": None}
    assert (place / "bridge.json").stat().st_mode & 0o777 == 0o600
    assert module_base.perform(work, {"row": 1, "part": "break"}, "bridge", {"part": None}) == ([], [])
    assert last_configs.settled() == ["bridge"]


def test_who_is_cut_off_leaves_what_was_true_and_is_not_settled(place: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(_: Sequence[Action]) -> None:
        raise OSError("no")

    monkeypatch.setattr(module_base, "apply", fails)
    module_base.perform(lambda _: Todo([]), {"row": 1}, "bridge", {})
    with pytest.raises(OSError, match="no"):
        module_base.perform(lambda _: Todo([Ip("link")]), {"row": 2}, "bridge", {})
    assert last_configs.read("bridge") == {"row": 1}
    assert last_configs.settled() == []
    lines, _ = module_base.perform(lambda _: Todo([]), {"row": 2}, "bridge", {})
    assert len(lines) == 1
    assert last_configs.settled() == ["bridge"]


@pytest.mark.parametrize("name", ["bridge.json", "bridge.json.new"])
def test_a_directory_in_the_place_of_what_is_kept_makes_room_for_it(place: Path, name: str):
    (place / name).mkdir()
    module_base.perform(lambda _: Todo([]), {"row": 1}, "bridge", {})
    assert last_configs.settled() == ["bridge"]


def test_check_mode_keeps_nothing_and_names_it(place: Path):
    lines, _ = module_base.perform(lambda _: Todo([]), {"row": 1}, "bridge", {}, check_mode=True)
    assert lines == [f"# write {place}/bridge.json: what a boot replays"]
    assert not list(place.iterdir())


def test_what_was_changed_by_hand_is_not_settled(place: Path):
    module_base.perform(lambda _: Todo([]), {"row": "cbr0"}, "bridge", {})
    (place / "bridge.json").write_text((place / "bridge.json").read_text().replace("cbr0", "cbr1"))
    assert last_configs.settled() == []
    assert last_configs.read("bridge") is None


def test_another_podlab_is_told_anew_and_a_boot_in_between_goes_by_the_old(place: Path):
    module_base.perform(lambda _: Todo([]), {"row": 1}, "bridge", {})
    (place / "podlab.zip").write_bytes(b"another one")
    assert last_configs.settled() == []
    assert last_configs.read("bridge") == {"row": 1}
    lines, _ = module_base.perform(lambda _: Todo([]), {"row": 1}, "bridge", {})
    assert len(lines) == 1
    assert last_configs.settled() == ["bridge"]


def test_nothing_is_kept_without_a_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(last_configs, "KEPT", str(tmp_path / "none"))
    assert module_base.perform(lambda _: Todo([]), {"row": 1}, "bridge", {}) == ([], [])


def test_the_code_is_one_file_that_python_alone_runs(tmp_path: Path):
    code, digest = module_bundle.archive(ROOT / "library")
    module_bundle.archive.cache_clear()
    assert module_bundle.archive(ROOT / "library") == (code, digest)
    program = tmp_path / "podlab.zip"
    program.write_bytes(base64.b64decode(code))
    with zipfile.ZipFile(program) as archived:
        assert "ansible/module_utils/podlab/host/boot/replay.py" in archived.namelist()
    every = "import sys; sys.path.insert(0, sys.argv[1]); from ansible.module_utils.podlab.host import module_runner; "
    every += "sys.modules['ansible.module_utils.basic'] = module_runner.ansible_module({}, False); "
    every += "from ansible.module_utils.podlab.host.boot import replay; import importlib; "
    every += "[importlib.import_module(name).work for name in replay.COMPONENTS.values()]"
    subprocess.run(["/usr/bin/python3", "-IS", "-c", every, str(program)], check=True, cwd=os.sep)
