"""The filters as a playbook meets them: found, documented, and as good as their own examples."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter, signature
from pathlib import Path

import pytest
import yaml

from podlab.planner.model import Invalid

FILTERS = Path(__file__).parents[2] / "filter_plugins"
NAMES = ["pod_cidrs", "pod_addresses"]


def load(name):
    spec = spec_from_file_location(f"filter_{name}", FILTERS / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ansible(program, *arguments, home):
    (home / "ansible.cfg").touch()  # not the project's, nor the user's
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_FILTER_PLUGINS": str(FILTERS),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One playbook: the examples of every filter, then a mistake."""
    home = tmp_path_factory.mktemp("examples")
    tasks = [task for name in NAMES for task in yaml.safe_load(load(name).EXAMPLES)]
    mistake = {"ansible.builtin.debug": {"msg": "{{ ['a', 'a'] | pod_cidrs('10.1.0.5/16') }}"}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [*tasks, mistake]}
    (home / "examples.yml").write_text(yaml.safe_dump([play]))
    return ansible("ansible-playbook", "-i", "localhost,", "-c", "local", "examples.yml", home=home)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_say_what_comes_out(name, run):
    promised = re.findall(r"^# ok: .*?^# \}$", load(name).EXAMPLES, flags=re.MULTILINE | re.DOTALL)
    assert len(promised) == 2
    for output in promised:
        assert re.sub("^# ", "", output, flags=re.MULTILINE) in run.stdout


def test_a_mistake_reaches_the_user_in_the_planners_words(run):
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert 'nodes[1]: Duplicate value: "a"' in said
    assert 'podlab_cluster_cidr: Invalid value: "10.1.0.5/16": network has host bits set' in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_raises_what_the_planner_raises(name):
    with pytest.raises(Invalid, match="IPv6 is not supported"):
        load(name).FilterModule().filters()[name](["a"], "fd00::/64")


def test_the_documentation_names_every_argument_in_order(tmp_path):
    shown = ansible("ansible-doc", "--json", "-t", "filter", *NAMES, home=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for name, page in json.loads(shown.stdout).items():
        _, *arguments = signature(load(name).FilterModule().filters()[name]).parameters.values()
        required = {argument.name for argument in arguments if argument.default is Parameter.empty}
        options = page["doc"]["options"]
        assert page["doc"]["positional"] == ", ".join(argument.name for argument in arguments)
        assert options.keys() == {"_input", *(argument.name for argument in arguments)}
        assert {option for option in options if options[option].get("required")} == {"_input", *required}
        assert page["examples"]
        assert page["return"]
