"""What installs packages on a host, with a program in the place of apt-get that answers as apt-get does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podlab.host.system import packages
from podlab.planner.preflight import host_checks

# In the words of Debian 12.
LISTS = """Reading package lists...
E: Unable to locate package conntrack
E: Unable to locate package nginx
Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]
"""
PAGES = """Reading package lists...
Building dependency tree...
The following NEW packages will be installed:
  conntrack iproute2 nginx
0 upgraded, 3 newly installed, 0 to remove and 4 not upgraded.
Need to get 1,234 kB of archives.
Get:1 http://deb.debian.org/debian bookworm/main amd64 conntrack amd64 1:1.4.7-1+b2 [34.9 kB]
"""
UNPACKED = "Selecting previously unselected package conntrack.\nUnpacking conntrack (1:1.4.7-1+b2) ...\n"
SET_UP = "Unpacking nginx (1.22) ...\nUnpacking iproute2 (6.1) ...\nSetting up conntrack (1:1.4.7-1+b2) ...\n"
TIMEOUT = 60.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "3 packages"),
        (LISTS, "reading lists of packages"),
        (LISTS + PAGES.partition("Get:")[0], "3 packages"),
        (LISTS + PAGES, "1 of 3 packages fetched"),
        (PAGES + UNPACKED, "1 of 3 packages unpacked"),
        (PAGES + UNPACKED + SET_UP, "1 of 3 packages set up"),
    ],
)
def test_how_far_apt_is(text: str, words: str) -> None:
    assert packages.progress(text, 3) == words


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PAGES + packages.DONE, None),
        (LISTS, "Unable to locate package conntrack, and 1 more errors"),
        (LISTS + PAGES + "E: Unable to fetch some archives\n", "Unable to fetch some archives"),
        (PAGES, PAGES.splitlines()[-1]),
        ("", "it was ended"),
    ],
)
def test_why_apt_has_failed(text: str, why: str | None) -> None:
    assert packages.failure(text) == why


def test_a_person_would_type_the_same() -> None:
    install = ["apt-get", "install", "--no-install-recommends", "-y"]
    assert packages.commands(["conntrack"]) == [[*install, "conntrack"]]
    assert packages.commands(["curl", "nginx"]) == [[*install, "curl", "nginx"], ["update-rc.d", "nginx", "disable"]]


APT = """#!/bin/sh
echo "apt-get $*" >>{path}/calls
case "$*" in
    *update) touch {path}/lists ;;
    *) echo 'Reading package lists...'
       [ -e {path}/lists ] || {{ echo 'E: Unable to locate package nginx'; exit 100; }}
       [ ! -e {path}/broken ] || {{ echo 'E: Sub-process /usr/bin/dpkg returned an error code (1)'; exit 100; }}
       {path}/policy; echo "policy $?" >>{path}/calls
       echo '0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.'
       read go <{path}/gate ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"apt-get": APT, "update-rc.d": '#!/bin/sh\necho "update-rc.d $*" >>{path}/calls\n'}.items():
        (tmp_path / name).write_text(text.format(path=tmp_path))
        (tmp_path / name).chmod(0o755)
    os.mkfifo(tmp_path / "gate")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(packages, "LOG", str(tmp_path / "log"))
    monkeypatch.setattr(packages, "POLICY", str(tmp_path / "policy"))
    return tmp_path


def calls(apt: Path) -> list[str]:
    found = (apt / "calls").read_text().replace(" ".join(packages.APT), "apt-get").splitlines()
    return [line.replace(" ".join(packages.APT[1:]) + " ", "") for line in found]


def test_packages_are_installed_beside_the_call_that_began_it(apt: Path) -> None:
    packages.start(["nginx"])
    with (apt / "gate").open("w") as gate:  # apt is there by now
        assert packages.wait(0.0) is False
        packages.start(["nginx"])  # another one waits for the first
        assert packages.progress(packages.log(), 1) == "1 packages"
        gate.write("go\n")
    assert packages.wait(TIMEOUT) is True
    assert packages.failure(packages.log()) is None
    install = "apt-get install --no-install-recommends -y nginx"
    assert calls(apt) == [install, "apt-get update", install, "policy 101", "update-rc.d nginx disable"]
    assert not (apt / "policy").exists()
    packages.forget()
    assert not (apt / "log").exists()


def test_what_apt_cannot_bring_is_told_in_its_words(apt: Path) -> None:
    (apt / "broken").touch()
    packages.start(["nginx"])
    assert packages.wait(TIMEOUT) is True
    assert packages.failure(packages.log()) == "Sub-process /usr/bin/dpkg returned an error code (1)"
    assert not (apt / "policy").exists()


def test_what_hosts_have_in_common_is_said_once() -> None:
    missing = "programs are missing, and apt-get does not bring them (no): sudo apt-get install x"
    refused = {"node1": [missing], "node2": [missing, "link eth0 is down"], "gateway": ["programs are missing: y"]}
    assert host_checks.told(refused) == [
        f"node1, node2: {missing}",
        "node2: link eth0 is down",
        "gateway: programs are missing: y",
    ]
    notes, rest = host_checks.said_once(refused)
    assert notes == [f"node1, node2: {missing}"]
    gist = "programs are missing (see the note)"
    assert rest == {"node1": [gist], "node2": [gist, "link eth0 is down"], "gateway": ["programs are missing: y"]}
