"""Parameters are checked on the controller as ``AnsibleModule`` checks them on a host."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from podlab.controller import argument_spec

ROOT = Path(__file__).resolve().parents[2]
NAME = "podlab_kinds"
PATHS = sorted((ROOT / "library").glob("*.py"))
OF_HOSTS = [path for path in PATHS if "ARGUMENT_SPEC" in path.read_text()]

SPEC = {
    "role": {"type": "str", "choices": ["node", "gateway"], "default": "node", "aliases": ["kind"]},
    "name": {"type": "str"},
    "count": {"type": "int", "default": 3},
    "ratio": {"type": "float"},
    "flag": {"type": "bool", "default": False},
    "words": {"type": "list", "elements": "str"},
    "numbers": {"type": "list", "elements": "int", "default": [1]},
    "table": {"type": "dict"},
    "text": {"type": "json"},
    "anything": {"type": "raw"},
    "secret": {"type": "str", "no_log": True},
    "old": {"type": "str", "removed_in_version": "9.9", "removed_from_collection": "a.b"},
    "new": {"type": "str", "deprecated_aliases": [{"name": "former", "version": "9.9", "collection_name": "a.b"}]},
    "row": {
        "type": "dict",
        "options": {
            "to": {"type": "str", "required": True},
            "mtu": {"type": "int", "default": 1500},
            "state": {"type": "str", "choices": ["up", "down"]},
            "key": {"type": "str", "no_log": True},
            "vxlan": {"type": "dict"},
        },
        "required_by": {"vxlan": ["state"]},
    },
    "rows": {"type": "list", "elements": "dict", "options": {"to": {"required": True}, "via": {"aliases": ["gw"]}}},
}
SPEC["new"]["aliases"] = ["former"]
CONSTRAINTS: dict[str, Any] = {
    "mutually_exclusive": [["ratio", "words"]],
    "required_together": [["table", "text"]],
    "required_one_of": [["name", "row"]],
    "required_if": [["role", "gateway", ["ratio"]]],
    "required_by": {"anything": ["count", "name"]},
}
WRONG: list[dict[str, Any]] = [
    {},
    {"name": "a", "role": "bogus"},
    {"name": "a", "kind": "bogus"},
    {"name": "a", "role": ["node"]},
    {"name": "a", "unknown": 1},
    {"name": "a", "count": "many"},
    {"name": "a", "count": 1.5},
    {"name": "a", "flag": "perhaps"},
    {"name": "a", "numbers": ["1", "two"]},
    {"name": "a", "table": "no table", "text": "{}"},
    {"name": "a", "table": {}},
    {"name": "a", "role": "gateway"},
    {"name": "a", "ratio": 1, "words": []},
    {"anything": 7, "row": {"to": "x"}},
    {"row": {}},
    {"row": {"to": "x", "mtu": "wide"}},
    {"row": {"to": "x", "state": "sideways"}},
    {"row": {"to": "x", "from": "y"}},
    {"row": {"to": "x", "vxlan": {}}},
    {"row": "no row"},
    {"name": "a", "rows": [{"to": "x"}, {"via": "y"}]},
    {"name": "a", "rows": {"to": "x"}},
    {"name": "a", "secret": "hush", "count": "hush"},
    {"name": "a", "secret": "hush", "role": "hush"},
    {"row": {"to": "x", "key": "hush", "mtu": "hush"}},
    {"name": "a", "count": None},
    {"name": "a", "numbers": None, "row": None},
]
RIGHT: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": 7, "count": "4", "ratio": "1.5", "flag": "yes", "numbers": "1,2"},
    {"name": True, "words": "a,b", "flag": 1},
    {"name": "a", "kind": "gateway", "ratio": 2},
    {"name": "a", "role": "node", "kind": "gateway", "ratio": 2},
    {"name": "a", "table": "a=1, b=2", "text": {"b": [1], "a": "\u00fc"}},
    {"name": "a", "table": {1: "one", "two": None}, "text": "[1, 2]"},
    {"name": "a", "table": '{"a": 1}', "text": [1]},
    {"row": {"to": 10, "vxlan": {"id": 1}, "state": "up"}},
    {"row": "to=x mtu=9000"},
    {"name": "a", "rows": [{"to": "x", "gw": "y"}]},
    {"name": "a", "rows": []},
    {"name": "a", "words": ""},
    {"name": "a", "anything": ["of", {"any": "kind"}]},
    {"name": "a", "old": "so", "former": "x"},
    {"name": "hush hush", "secret": "hush", "words": ["a hush", "b"]},
    {"row": {"to": "hush", "key": "hush"}},
]


# In a process of its own: where Ansible's controller is loaded, warnings are the controller's.
OF_ANSIBLE = """
import contextlib, io, json, sys
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

def run(spec, args):
    warnings._global_warnings.clear()
    warnings._global_deprecations.clear()
    params = []
    said = io.StringIO()
    with patch_module_args(args), contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        module = AnsibleModule(supports_check_mode=True, **json.loads(json.dumps(spec)))
        params.append(dict(module.params))
        module.exit_json(changed=True, msg=json.dumps(module.params), nothing=None)
    answer = json.loads(said.getvalue())
    del answer["invocation"]
    return [params, answer]

cases = eval(sys.stdin.read())
print(json.dumps([run(cases["spec"], args) for args in cases["args"]]))
"""


@pytest.fixture(scope="module")
def of_ansible() -> dict[str, Any]:
    """Case -> what a module has in its ``params``, none where it fails, and what it answers that answers these."""
    cases = [*WRONG, *RIGHT]
    named = {"_ansible_module_name": NAME, "_ansible_no_log": True}
    told = {"spec": {"argument_spec": SPEC, **CONSTRAINTS}, "args": [{**case, **named} for case in cases]}
    done = subprocess.run(
        [sys.executable, "-c", OF_ANSIBLE], input=repr(told), capture_output=True, text=True, check=True
    )
    return dict(zip(map(json.dumps, cases), json.loads(done.stdout), strict=True))


def noted(answer: dict[str, Any]) -> dict[str, Any]:
    """Without Ansible's classes: the words of a warning, and when something ends."""
    answer = dict(answer)
    answer["msg"] = answer["msg"].partition("Valid booleans include")[0]  # a set, in any order
    if "warnings" in answer:
        answer["warnings"] = [one["event"]["msg"] if isinstance(one, dict) else one for one in answer["warnings"]]
    found = answer.pop("deprecations", [])
    answer["deprecations"] = [
        (one["event"]["msg"] if "event" in one else one["msg"], one.get("version")) for one in found
    ]
    return answer


@pytest.mark.parametrize("args", [*WRONG, *RIGHT], ids=json.dumps)
def test_every_kind_is_checked_as_a_module_checks_it(args: dict[str, Any], of_ansible: dict[str, Any]) -> None:
    params, answer = of_ansible[json.dumps(args)]
    found = argument_spec.validate(NAME, {"argument_spec": SPEC, **CONSTRAINTS}, args)
    assert bool(found.problem) == (not params) == (args in WRONG)
    if found.problem:
        assert noted({"failed": True, "msg": found.problem, **found.notes()}) == noted(answer)
    else:
        assert found.params == params[0]
        told = {"changed": True, "msg": json.dumps(found.params), "nothing": None}
        assert noted(found.completed(told)) == noted(answer)
    assert "hush" not in json.dumps(noted(answer)), "the case tries to hide it"


def test_a_modules_own_warnings_stand_beside_those_about_its_parameters() -> None:
    found = argument_spec.validate(NAME, {"argument_spec": SPEC}, {"role": "node", "kind": "node"})
    words = "Both option role and its alias kind are set."
    assert found.completed({"changed": False, "warnings": ["so"]})["warnings"] == [words, "so"]


def test_constants_are_read_and_nothing_is_imported(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text(
        "import of_the_host\nARGUMENT_SPEC = {'a': {'type': 'str'}}\nREQUIRED_IF = [['a', 'b', ['c']]]\nX = of_the_host.y\n"
    )
    found = argument_spec.read(module)
    assert found == {"argument_spec": {"a": {"type": "str"}}, "required_if": [["a", "b", ["c"]]]}
    module.write_text("OTHER = {}\n")
    with pytest.raises(ValueError, match="has no ARGUMENT_SPEC"):
        argument_spec.read(module)


def test_what_a_path_is_only_its_host_knows() -> None:
    assert not argument_spec.needs_host(SPEC)
    for option in (
        {"type": "path"},
        {"type": "list", "elements": "path"},
        {"type": "dict", "options": {"b": {"type": "path"}}},
    ):
        assert argument_spec.needs_host({"a": option})


@pytest.mark.parametrize("path", OF_HOSTS, ids=lambda path: path.stem)
def test_a_modules_documentation_is_what_it_checks(path: Path) -> None:
    text = yaml.safe_load(constant(path, "DOCUMENTATION"))
    assert options_of(text.get("options", {})) == options_of(argument_spec.read(path)["argument_spec"])


@pytest.mark.parametrize("path", OF_HOSTS, ids=lambda path: path.stem)
def test_a_module_hands_on_what_the_controller_has_read(path: Path) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    (found,) = [call for call in calls if call.func.id in ("run_module", "ansible_module", "AnsibleModule")]  # type: ignore[attr-defined]
    assert found.func.id != "AnsibleModule", "it would not depend on the account alone"  # type: ignore[attr-defined]
    assert ast.unparse(found.args[0]) == "ARGUMENT_SPEC"
    handed = {
        keyword.arg: ast.unparse(keyword.value)
        for keyword in found.keywords
        if keyword.arg in argument_spec.CONSTRAINTS
    }
    read = set(argument_spec.read(path)) - {"argument_spec"}
    assert handed == {name: name.upper() for name in read}


def test_every_other_module_is_done_on_the_controller() -> None:
    for path in set(PATHS) - set(OF_HOSTS):
        assert (ROOT / "action_plugins" / path.name).exists()


@pytest.mark.parametrize("path", OF_HOSTS, ids=lambda path: path.stem)
def test_a_modules_examples_pass(path: Path) -> None:
    for task in yaml.safe_load(constant(path, "EXAMPLES")):
        found = argument_spec.validate(path.stem, argument_spec.read(path), task[path.stem] or {})
        assert not found.problem, task["name"]


def constant(path: Path, name: str) -> str:
    (found,) = [
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    return str(ast.literal_eval(found))


def options_of(options: dict[str, Any]) -> dict[str, Any]:
    """What validators look at, with what Ansible takes for granted."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "aliases": option.get("aliases", []),
            "options": options_of(option.get("options", {})),
        }
        for name, option in options.items()
    }
