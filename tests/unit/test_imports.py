"""No module of podlab's imports one that imports it, be it by way of others, and be it for type checking alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"podlab": ROOT / "module_utils" / "podlab", "cli": ROOT / "cli", "bench": ROOT / "bench"}

Sources = Mapping[str, tuple[bool, str]]  # module -> is it a package, text


def sources(package: str) -> dict[str, tuple[bool, str]]:
    found = {}
    for path in PACKAGES[package].rglob("*.py"):
        is_package = path.name == "__init__.py"
        parts = (path.parent if is_package else path.with_suffix("")).relative_to(PACKAGES[package]).parts
        found[".".join((package, *parts))] = (is_package, path.read_text("utf-8"))
    return found


def imported(name: str, known: Sources) -> Iterator[str]:
    """Modules among ``known`` that ``name`` imports, wherever it does: in a function or under TYPE_CHECKING as well."""
    is_package, text = known[name]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom):
            parents = name.split(".") if is_package else name.split(".")[:-1]
            parents = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                found = whole if whole in known else origin
                if found in known and found != name:
                    yield found


def circles(known: Sources) -> list[list[str]]:
    """Each as the modules on its way, from the first one that was met back to it."""
    edges = {name: sorted(set(imported(name, known))) for name in sorted(known)}
    found, done = [], set()

    def follow(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in edges[name]:
                follow(other, [*way, name])
            done.add(name)

    for name in edges:
        follow(name, [])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_leads_back(package: str):
    known = sources(package)
    assert len(known) > 10, "that is not all of it"
    assert [" -> ".join(circle) for circle in circles(known)] == []


@pytest.mark.parametrize(
    "way_back",
    [
        "from . import a",
        "from .a import X",
        "import p.a",
        "def f():\n    from p.a import X",
        "if TYPE_CHECKING:\n    from .a import X",
    ],
)
def test_a_way_back_is_seen(way_back: str):
    known = {"p": (True, ""), "p.a": (False, "from .b import X"), "p.b": (False, way_back)}
    assert circles(known) == [["p.a", "p.b", "p.a"]]
