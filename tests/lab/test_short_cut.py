"""Modules of podlab's run by its action plugin and in Ansible's own way, with the same result."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, TestLab

OWN_WAY = {"ANSIBLE_ACTION_PLUGINS": "/nonexistent"}
"""Without action plugins of podlab's Ansible runs its modules as any other."""

# In the order of a run; ``podlab_services`` has what ``podlab_service_probe`` needs for a quick answer.
MODULES = (
    *("claim", "programs", "namespaces", "node", "system", "bridge", "pods", "routes", "iptables", "services"),
    *("ready", "probe", "service_probe", "observe", "teardown"),
)
WAYS_OF: dict[str, dict[str, dict[str, Any]]] = {
    "podlab_programs": {"in check mode": {"check_mode": True}},  # packages come from the network
    **{
        f"podlab_{name}": {"once": {}} for name in ("claim", "ready", "probe", "service_probe", "observe")
    },  # they change nothing
}

QUICKER = {"podlab_ready": {"timeout": 0}}
ON = {"The gateway knows which node holds which pod CIDR": "gateway"}
NOT_OF_MODULES = ("ansible_facts", "failed_when_result", "exception", "invocation", "stdout_lines", "stderr_lines")
NOT_OF_MODULES += ("ansible_job_id", "results_file", "state")  # of a wait: since when
OF_THE_MOMENT = ("lease", "flows")

WRONG = [
    {"podlab_observe": {"role": "bogus"}},
    {"podlab_observe": {"rôle": "node"}},
    {"podlab_bridge": {"name": "cbr0"}},
    {"podlab_bridge": {"name": "cbr0", "address": "10.1.1.1/24", "mac": "0a:58:0a:01:01:01", "mtu": "wide"}},
    {"podlab_routes": {"within": "10.1.0.0/16", "routes": [{"to": "10.1.1.0/24"}]}},
    {"podlab_routes": {"within": "10.1.0.0/16", "routes": [], "part": "all"}},
    {"podlab_routes": {"routes": [{"to": "10.1.1.1/24", "via": "nowhere"}]}},
    {"podlab_iptables": {}},
    {"podlab_pods": {}},
    {"podlab_probe": {"port": "many", "ends": [], "asks": {}, "callers": {}}},
    {"podlab_bridge": {"name": "a/b", "address": "nowhere", "mac": "no", "mtu": 1}},
]

# Tells what it finds of itself. Where Ansible has packed it, ``basic`` is a file.
KINDS = '''
DOCUMENTATION = """
module: podlab_kinds
short_description: Tells what it finds of itself
options: {}
"""
import json
import os
import sys

from ansible.module_utils.podlab.host.ansible_module import ansible_module

ARGUMENT_SPEC = {
    "home": {"type": "%s"},
    "count": {"type": "int", "default": 3, "aliases": ["number"]},
    "secret": {"type": "str", "no_log": True},
    "former": {"type": "str", "removed_in_version": "9.9", "removed_from_collection": "a.b"},
    "fail": {"type": "bool", "default": False},
}

module = ansible_module(ARGUMENT_SPEC)
with open("/run/podlab-ways", "a") as ways:
    ways.write("Ansible\\n" if hasattr(sys.modules["ansible.module_utils.basic"], "__file__") else "short\\n")
found = {key: os.environ.get(key) for key in ("WORD", "LC_ALL", "LANG")}
found |= {"user": os.geteuid(), "group": os.getegid(), "python": os.path.realpath("/proc/self/exe")}
found |= {"umask": os.umask(0), "params": module.params, "check": module.check_mode}
found["sbin"] = "/usr/sbin" in os.environ["PATH"].split(":")
module.warn("a warning")
if module.params["fail"]:
    module.fail_json(msg="it fails: " + json.dumps(found))
module.exit_json(changed=True, msg=json.dumps(found), diff={"prepared": "a line of the diff " + str(module.params["secret"])})
'''

# A command like sudo, since a test's machine may have none: its plugin can do with pipelining.
SUDO = """#!/bin/sh
while [ "$1" != -u ]; do shift; done
user=$2; shift 2
[ "$1" != -- ] || shift
exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
"""

KINDS_OF_TASKS: dict[str, dict[str, Any]] = {
    "plain": {"podlab_kinds": {"count": "7"}},
    "check mode": {"podlab_kinds": {"count": 1}, "check_mode": True},
    "no diff": {"podlab_kinds": {"count": 1}, "diff": False},
    "no log of a parameter": {"podlab_kinds": {"secret": "hush"}},
    "no log of a parameter where it fails": {"podlab_kinds": {"secret": "hush", "fail": True}},
    "no log of a value that is wrong": {"podlab_kinds": {"secret": "hush", "count": "hush"}},
    "no log of a task": {"podlab_kinds": {"count": 5}, "no_log": True},
    "alias": {"podlab_kinds": {"number": 5}},
    "alias and option": {"podlab_kinds": {"number": 5, "count": 6}},
    "deprecated": {"podlab_kinds": {"former": "x"}},
    "full name": {"ansible.legacy.podlab_kinds": {"count": 5}},
    "wrong, with full name": {"ansible.legacy.podlab_kinds": {"none": 5}},
    "failure": {"podlab_kinds": {"fail": True}},
    "environment": {"podlab_kinds": {}, "environment": {"WORD": "two words", "LC_ALL": "C", "PATH": "/usr/bin:/bin"}},
    "user": {"podlab_kinds": {}, "become": True, "become_user": "nobody", "become_method": "ansible.builtin.sudo"},
    "user by su": {"podlab_kinds": {}, "become": True, "become_user": "nobody", "become_method": "ansible.builtin.su", "become_flags": "-s /bin/sh"},
    "without pipelining": {"podlab_kinds": {}, "vars": {"ansible_pipelining": False}},
    "interpreter to be found": {"podlab_kinds": {}, "vars": {"ansible_python_interpreter": "auto"}},
    "interpreter that was found": {"podlab_kinds": {}, "vars": {"ansible_python_interpreter": "auto_silent"}},
    "interpreter by a template": {"podlab_kinds": {}, "vars": {"ansible_python_interpreter": "{{ python }}", "python": "/usr/bin/python3"}},
    "on another host": {"podlab_kinds": {}, "delegate_to": "gateway"},
    "async": {"podlab_kinds": {"count": 5}, "async": 60, "poll": 1},
    "async that fails": {"podlab_kinds": {"fail": True}, "async": 60, "poll": 1},
    "path": {"podlab_paths": {"home": "~/x"}},
    "loop": {"podlab_kinds": {"count": "{{ item }}"}, "loop": [1, "2", "x"]},
}  # fmt: skip
SHORT = {
    "interpreter to be found": "Ansible",
    "user by su": "Ansible",
    "without pipelining": "Ansible",
    "path": "Ansible",
}
SHORT |= {"async": "Ansible", "async that fails": "Ansible"}
"""Tasks that Ansible runs in its own way all the same."""


def examples(module: str) -> list[dict[str, Any]]:
    for node in ast.parse((ROOT / "library" / f"{module}.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLES":
            found: list[dict[str, Any]] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise AssertionError(module)


class Ways:
    """Plays the same tasks in both ways."""

    def __init__(self, lab: TestLab, home: Path) -> None:
        self.lab, self.home = lab, home
        self.library = home / "library"
        self.library.mkdir()
        (self.library / "podlab_kinds.py").write_text(KINDS % "str")
        (self.library / "podlab_paths.py").write_text(KINDS % "path")
        self.sudo = "/run/podlab-sudo"  # the machine's /tmp is not the host's
        for host in ("node1", "gateway"):
            lab.sh(host, f"cat > {self.sudo} <<'END'\n{SUDO}END\nchmod 755 {self.sudo}")
        for path in (home, *home.parents):
            if path.stat().st_uid == os.getuid() and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o055)

    def play(self, tasks: list[dict[str, Any]], own_way: bool, **variables: Any) -> dict[str, Any]:
        """Task by name -> what it registers."""
        told = self.home / f"told-{own_way}.json"
        names = [task["name"] for task in tasks]
        play: list[dict[str, Any]] = [
            {**task, "register": f"result_{at}", "ignore_errors": True} for at, task in enumerate(tasks)
        ]
        content = "[" + ", ".join(f"result_{at}" for at in range(len(tasks))) + "]"
        play.append(
            {
                "name": "tell",
                "ansible.builtin.copy": {"content": "{{ (" + content + ") | to_json }}", "dest": str(told)},
                "delegate_to": "localhost",
                "connection": "local",
                "check_mode": False,
                "diff": False,
                "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            }
        )
        book = self.home / "playbook.yml"
        book.write_text(yaml.safe_dump([{"hosts": "node1", "gather_facts": False, "tasks": play}], sort_keys=False))
        more = self.home / "variables.yml"
        more.write_text(json.dumps({"ansible_sudo_exe": f"sh {self.sudo}", **variables}))
        environment = self.lab.environment() | {"ANSIBLE_LIBRARY": f"{ROOT / 'library'}:{self.library}"}
        argv = self.lab.argv(str(book), "-e", f"@{more}")
        environment |= OWN_WAY if own_way else {}
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.said = done.stdout + done.stderr
        return dict(zip(names, json.loads(told.read_text()), strict=True))


@pytest.fixture(scope="module")
def ways(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Ways:
    done = lab.play(playbook="playbooks/power_on.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return Ways(lab, tmp_path_factory.mktemp("ways"))


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """Without what Ansible adds to what the module tells, and what is so at that moment alone."""
    found = {key: value for key, value in result.items() if key not in NOT_OF_MODULES}
    # Who runs a module without podlab's action plugin tells it no run, and a gateway has no lease then.
    if "rm -r /var/lib/podlab\n" in found.get("diff", {}).get("prepared", ""):
        found["diff"] = {"prepared": found["diff"]["prepared"].replace("rm -r /var/lib/podlab\n", "")}
    if "results" in found:
        found["results"] = [comparable(item) for item in found["results"]]
    if "outcomes" in found:
        found["outcomes"] = [how for how, _ in json.loads(found["outcomes"])["0"]]
    if "observation" in found:
        seen = json.loads(found["observation"])
        seen["rules"] = {  # a table that was used once has its chains from then on
            table: {chain: rules for chain, rules in chains.items() if rules} for table, chains in seen["rules"].items()
        }
        found["observation"] = {key: value for key, value in seen.items() if key not in OF_THE_MOMENT}
    return found


def differences(short: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Task -> part of its result -> that in both ways; of an observation the table alone."""
    found = {}
    for name in short:
        one, other = ({**some[name], **some[name].get("observation", {}), "observation": 0} for some in (short, own))
        parts = {key: (one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)}
        found |= {name: parts} if parts else {}
    return found


def both(ways: Ways, tasks: list[dict[str, Any]], **variables: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    found = [ways.play(tasks, own_way, **variables) for own_way in (False, True)]
    short, own = ({name: comparable(result) for name, result in some.items()} for some in found)
    return short, own


def test_each_modules_examples_have_one_result(ways: Ways) -> None:
    of_hosts = {path.stem for path in (ROOT / "library").glob("*.py") if "ARGUMENT_SPEC" in path.read_text()}
    assert of_hosts == {f"podlab_{name}" for name in MODULES}
    tasks = []
    for at, module in enumerate(f"podlab_{name}" for name in MODULES):
        for example in examples(module):
            args = {**(example[module] or {}), **QUICKER.get(module, {})}
            where = {"delegate_to": ON[example["name"]]} if example["name"] in ON else {}
            for words, more in WAYS_OF.get(
                module, {"in check mode": {"check_mode": True}, "once": {}, "again": {}}
            ).items():
                tasks.append({**example, module: args, **where, **more, "name": f"{at} {example['name']}, {words}"})
    tasks.append({"name": "the gateway, too", "podlab_teardown": {}, "delegate_to": "gateway"})
    short, own = both(ways, tasks)
    found = differences(short, own)
    assert not found, json.dumps(found, indent=1)
    for name, result in short.items():
        assert not result["failed"], f"{name}: {result}"
        once = name.replace(", in check mode", ", once")
        assert result["changed"] == short.get(once, result)["changed"] or name.endswith(", again"), name
        if name.endswith(", again"):
            assert not result["changed"], f"{name}: {result}"
    assert sum(result["changed"] for result in short.values()) > 10


def test_what_is_wrong_is_said_alike(ways: Ways) -> None:
    short, own = both(ways, [{"name": json.dumps(task, ensure_ascii=False), **task} for task in WRONG])
    found = differences(short, own)
    assert not found, json.dumps(found, indent=1)
    assert all(result["failed"] and result["msg"] for result in short.values())


def test_whatever_a_task_says_of_itself_holds(ways: Ways) -> None:
    tasks = [{"name": name, **task} for name, task in KINDS_OF_TASKS.items()]
    taken: list[list[str]] = []
    results = []
    for own_way in (False, True):
        for host in ("node1", "gateway"):
            ways.lab.sh(host, "rm -f /run/podlab-ways; install -m 666 /dev/null /run/podlab-ways")
        results.append(ways.play(tasks, own_way))
        assert "hush" not in ways.said
        taken.append(ways.lab.sh("node1", "cat /run/podlab-ways").split())
    short, own = ({name: comparable(result) for name, result in some.items()} for some in results)
    found = differences(short, own)
    assert not found, json.dumps(found, indent=1)
    failed = {name for name, result in short.items() if result["failed"]}
    assert failed == {name for name in KINDS_OF_TASKS if "fail" in name or "wrong" in name or name == "loop"}, short
    assert set(taken[1]) == {"Ansible"}
    ran = [name for name in KINDS_OF_TASKS if not name.startswith(("on another", "wrong", "no log of a value"))]
    expected = [SHORT.get(name, "short") for name in ran for _ in range(2 if name == "loop" else 1)]
    assert taken[0] == expected
    assert json.loads(short["environment"]["msg"])["WORD"] == "two words"
    assert json.loads(short["user"]["msg"])["user"] == 65534
    assert json.loads(short["user by su"]["msg"])["user"] == 65534
    assert short["alias and option"]["warnings"]
    assert short["deprecated"]["deprecations"]


def test_a_job_is_left_to_itself_and_asked_for_later(ways: Ways) -> None:
    tasks = [
        {"name": "start", "podlab_kinds": {"count": 5}, "async": 60, "poll": 0, "register": "result_0"},
        {
            "name": "end",
            "ansible.builtin.async_status": {"jid": "{{ result_0.ansible_job_id }}"},
            "register": "result_1",
            "until": "result_1.finished",
            "retries": 100,
            "delay": 0.1,
        },
    ]
    for own_way in (False, True):
        found = ways.play(tasks, own_way)
        assert found["start"].keys() >= {"ansible_job_id", "results_file", "started"}
        assert json.loads(found["end"]["msg"])["params"]["count"] == 5
