"""Every Python package that is installed is the one that somebody has looked at, to the byte."""

from __future__ import annotations

import re
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
