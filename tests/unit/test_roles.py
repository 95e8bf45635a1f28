"""The roles for people: what the argument specs say, defaults and READMEs have as well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROLES = Path(__file__).resolve().parents[2] / "roles"
FOR_PEOPLE = ("node", "bridge", "pods", "routes", "egress", "services", "namespaces")


def spec(role: str) -> dict[str, Any]:
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text()
    options: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return options


def readme(role: str) -> str:
    return (ROLES / role / "README.md").read_text()


def said(role: str) -> dict[str, Any]:
    """The role's variables in the playbook at the top of its README."""
    found = re.search(r"```yaml\n(.*?)```", readme(role), re.DOTALL)
    assert found
    (play,) = yaml.safe_load(found[1])
    (mine,) = [item for item in play["roles"] if item["role"] == role]
    return {key: value for key, value in mine.items() if key != "role"}


@pytest.mark.parametrize("role", FOR_PEOPLE)
def test_defaults_are_those_of_the_spec(role: str) -> None:
    path = ROLES / role / "defaults" / "main.yml"
    defaults = yaml.safe_load(path.read_text()) if path.exists() else {}
    told = {name: option["default"] for name, option in spec(role).items() if "default" in option}
    looked_up = {name for name, value in defaults.items() if "{{" in str(value)}
    assert {name: value for name, value in defaults.items() if name not in looked_up} == told
    assert looked_up <= spec(role).keys()


@pytest.mark.parametrize("role", FOR_PEOPLE)
def test_all_that_the_tasks_read_is_in_the_spec(role: str) -> None:
    paths = [path for folder in ("tasks", "defaults") for path in (ROLES / role / folder).glob("main.yml")]
    text = "".join(path.read_text() for path in paths)
    assert set(re.findall(rf"\b{role}_\w+", re.sub(r"podlab_\w+", "", text))) == spec(role).keys()


@pytest.mark.parametrize("role", FOR_PEOPLE)
def test_the_playbook_of_the_readme_is_what_the_role_takes(role: str) -> None:
    found = ArgumentSpecValidator(_without_words(spec(role))).validate(said(role))
    assert found.error_messages == []


@pytest.mark.parametrize("role", FOR_PEOPLE)
def test_a_readme_is_a_screen_and_names_each_input(role: str) -> None:
    text = readme(role)
    assert len(text.splitlines()) <= 60
    missing = [name for name in spec(role) if f"`{name}`" not in text]
    assert missing == []


def _without_words(options: dict[str, Any]) -> dict[str, Any]:
    """A spec as a module has it."""
    return {
        name: {
            key: _without_words(value) if key == "options" else value
            for key, value in option.items()
            if key != "description"
        }
        for name, option in options.items()
    }
