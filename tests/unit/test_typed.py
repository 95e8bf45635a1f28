"""What hosts tell and what they are told is read by its type: no signature there says ``dict[str, Any]``.

mypy holds each key against the types of ``configs.py`` and ``records/``, but says nothing of a key that is read from
``Any``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlab.records.host_record import PodsRecord
from podlab.records.observation import ObservedPod, Tables
from podlab.shapes import misfit

ROOT = Path(__file__).resolve().parents[2]
PODLAB, CLI = ROOT / "module_utils" / "podlab", ROOT / "cli"
TYPED = (
    *("changes", "phases.py", "planner/configs", "planner/controllers", "planner/ipam", "planner/preflight"),
    *("planner/record", "planner/routing", "planner/inputs/host.py", "planner/inputs/host_links.py"),
    *("planner/inputs/observed.py", "planner/inputs/observed_pods.py"),
    *("host/observe.py", "host/record.py", "host/lease.py", "host/network", "host/pods/pods.py", "host/kube_proxy"),
)

# What is of no type all the same, with how often. None of it grows, and none is added. Who types one takes its line
# away.
LOOSE = {
    # what ip, tc and nft print
    "changes/netfilter/firewalls.py": 9,
    "changes/network/link_state.py": 3,
    "host/network/network.py": 7,
    "host/network/single_namespaces.py": 1,
    "host/pods/pods.py": 3,
    # what a person says of a role's inputs, before it is checked
    "changes/namespaces/configs.py": 1,
    "changes/netfilter/egress.py": 2,
    "changes/network/bridge_config.py": 2,
    "changes/network/routes_config.py": 3,
    "changes/pods/configs.py": 5,
    "changes/pods/problems.py": 5,
    "host/kube_proxy/services.py": 1,
    # files, before they are checked
    "host/kube_proxy/health_checks.py": 1,
    "host/kube_proxy/healthz.py": 2,
    "host/record.py": 1,
    # objects as Kubernetes shows them, and volumes and probes, which have a type in the planner's model
    "changes/pods/nested_mounts.py": 2,
    "changes/pods/pods.py": 4,
    "changes/pods/volume_commands.py": 4,
    "phases.py": 10,
    "planner/configs/containers.py": 4,
    "planner/configs/pods.py": 2,
}


def types(tree: ast.Module) -> Iterator[ast.expr]:
    """Of parameters, of what is returned, of fields of classes, and other names for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            yield from (arg.annotation for arg in every if arg and arg.annotation)
            if node.returns:
                yield node.returns
        if isinstance(node, ast.ClassDef):
            yield from (part.annotation for part in node.body if isinstance(part, ast.AnnAssign))
    yield from (node.value for node in tree.body if isinstance(node, ast.Assign))


def casts(tree: ast.Module) -> list[str]:
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [name for name in called if name in ("cast", "typing.cast")]


def loose_ones(text: str) -> int:
    """Types with ``Any`` in them, and casts, which take a type for granted."""
    tree = ast.parse(text)
    names = [{part.id for part in ast.walk(one) if isinstance(part, ast.Name)} for one in types(tree)]
    return sum("Any" in some for some in names) + len(casts(tree))


def test_what_hosts_tell_and_are_told_has_types() -> None:
    places = [PODLAB / name for name in TYPED]
    files = [file for place in places for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    found = {str(file.relative_to(PODLAB)): loose_ones(file.read_text("utf-8")) for file in files}
    assert len(files) > 70, "that is not all of them"
    assert {name: count for name, count in found.items() if count > LOOSE.get(name, 0)} == {}
    assert {name: count for name, count in LOOSE.items() if count > found.get(name, 0)} == {}, "there are fewer by now"


def test_nothing_is_cast() -> None:
    files = [file for place in (PODLAB, CLI) for file in place.rglob("*.py")]
    assert [str(file) for file in files if casts(ast.parse(file.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(seen: dict[str, Any]): ...",
        "def f(*, row: Mapping[str, Any] | None = None): ...",
        "async def f() -> dict[str, Any]: ...",
        "class A(TypedDict):\n    row: Any",
        "Row = Mapping[str, Any]",
        "links = cast('Mapping[str, Link]', seen['links'])",
    ],
)
def test_what_is_loose(text: str) -> None:
    assert loose_ones(text) == 1
    assert loose_ones("def f(seen: Observation) -> HostConfigs: ...") == 0


def test_a_part_that_is_read_by_itself_is_checked_as_what_it_may_be() -> None:
    pod = {"sandbox": False, "row": 5, "services": [], "facts": {"web": {}}, "eth0": None, "lo_up": False, "routes": []}
    assert misfit(pod, ObservedPod) == ""
    assert misfit({**pod, "facts": {"web": 5}}, ObservedPod) == "facts.web: must be of type object"
    assert misfit({"filter": {}}, Tables) == "nat: is missing"
    assert misfit({"pods": {"default/web": [None, 5]}}, PodsRecord) == "pods.default/web[1]: must be of type string"
