"""Every Python package that is installed is the one that somebody has looked at, to the byte."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = ("requirements", "requirements-dev", "cli/uv")


def entries(name: str) -> dict[str, str]:
    """Package -> its whole entry. Comments are uv's, on where a package comes from."""
    text = (ROOT / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {canonical(re.split(r"[=<>~! ;@\[]", line)[0]): line for line in lines}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(name: str) -> list[str]:
    """What a list of what is used directly has, those that it includes among it."""
    found = []
    for line in (ROOT / f"{name}.in").read_text("utf-8").splitlines():
        if line.startswith("-r "):
            found += named(line[3:].removesuffix(".in"))
        elif line and not line.startswith("#"):
            found.append(line)
    return found


@pytest.mark.parametrize("name", LISTS)
def test_every_package_has_one_version_and_hashes(name):
    found = entries(name)
    assert found
    assert {
        package
        for package, line in found.items()
        if not re.fullmatch(r"[\w.-]+==[\w.]+( ; [^-]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+", line)
    } == set()


@pytest.mark.parametrize("name", LISTS)
def test_what_is_used_directly_is_there_in_the_version_that_is_named(name):
    found = entries(name)
    for line in named(name):
        package, version = line.split("==")
        assert found[canonical(package)].split()[0].split("==")[1] == version


def test_the_larger_list_has_all_of_the_smaller_one():
    small, large = entries("requirements"), entries("requirements-dev")
    assert {package: line.split()[0] for package, line in small.items()}.items() <= {
        package: line.split()[0] for package, line in large.items()
    }.items()


@pytest.mark.parametrize("name", LISTS)
def test_no_list_says_where_packages_are_fetched_from(name):
    assert not re.search(
        r"://|--(extra-)?index-url|--find-links|--trusted-host", (ROOT / f"{name}.txt").read_text("utf-8")
    )


def test_nothing_is_installed_without_its_hash():
    for name in ("lab", "cli/requirements.sh"):
        text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if "pip install" in line]
        assert lines
        assert all("--require-hashes" in line for line in lines)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Unlike pytest's own directories."""
    with tempfile.TemporaryDirectory() as found:
        os.chmod(found, 0o755)
        yield Path(found)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_no_python_of_somebody_else_is_run(open_to_all: Path) -> None:
    """Of a clone that may only be read the virtual environment lies in the user's cache, wherever that is."""
    clone, cache = open_to_all / "clone", open_to_all / "cache"
    (clone / "cli").mkdir(parents=True)
    for file in ("lab", "cli/help.txt"):
        shutil.copy(ROOT / file, clone / file)
    name = subprocess.run(["cksum"], input=str(clone), capture_output=True, text=True, check=True).stdout.split()[0]
    python = cache / "podlab" / name / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho planted\n")
    python.chmod(0o755)
    os.chown(cache / "podlab" / name, 1, 1)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", clone / "lab", "get", "pods"],
        env={"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
    )
    assert "planted" not in done.stdout
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr
