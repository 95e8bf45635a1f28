"""A rollout comes to an end: the plan counts the steps of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from podlab.planner.controllers.bounds import Turn, most_steps, next_turn
from podlab.planner.model import Invalid
from tests.unit.test_controllers import workload

ROOT = Path(__file__).parents[2]
ROLLING = ["Deployment default/web: 1 of 3 replicas are updated"]


def test_a_run_counts_from_its_first_plan_and_keeps_its_limit():
    first = next_turn(None, 7, ROLLING)
    assert first == {"step": 0, "limit": 7}
    assert next_turn(first, 99, ROLLING) == {"step": 1, "limit": 7}


def test_one_step_too_many_ends_the_run_and_says_what_is_left():
    last = Turn(step=7, limit=7)
    with pytest.raises(Invalid) as refused:
        next_turn(last, 7, ROLLING)
    (said,) = refused.value.problems
    assert said.startswith(f"after 7 steps, more than its pods need, a rollout is not finished: {ROLLING[0]}; ")
    assert next_turn(last, 7, []) == {"step": 8, "limit": 7}, "a plan without a rollout may come after the last step"


def test_replicas_and_what_is_there_are_counted():
    assert most_steps([], 3, 0) == 2
    assert most_steps([workload("Deployment", 4)], 3, 5) == 3 * (4 + 5) + 2


def test_pods_are_applied_by_one_file_and_only_a_step_includes_a_step():
    texts = {path.name: path.read_text() for path in [ROOT / "site.yml", *(ROOT / "playbooks" / "rollout").iterdir()]}
    assert [name for name, text in texts.items() if "import_tasks: playbooks/rollout/apply_pods.yml" in text] == [
        "site.yml"
    ]
    assert [name for name, text in texts.items() if "import_tasks: apply_pods.yml" in text] == ["step.yml"]
    assert sorted(name for name, text in texts.items() if "step.yml" in text) == ["site.yml", "step.yml"]
    for name in ("apply_pods.yml", "wait.yml", "endpoints.yml"):
        assert not [task for task in yaml.safe_load(texts[name]) if "ansible.builtin.include_tasks" in task]
