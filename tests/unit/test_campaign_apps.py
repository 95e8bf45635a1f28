"""What ``./lab test apps`` brings up, and how long each may take by its own probes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.campaigns import logs_of
from tests.campaigns.apps import APPS, SETTINGS, delay_of


def test_there_are_a_dozen_and_each_can_be_named():
    assert len(APPS) >= 12
    assert all(path.exists() for path in APPS.values())
    assert SETTINGS.keys() <= APPS.keys()


@pytest.mark.parametrize(
    ("kind", "more", "seconds"),
    [("Deployment", {}, 9), ("StatefulSet", {}, 27), ("StatefulSet", {"podManagementPolicy": "Parallel"}, 9)],
)
def test_an_application_may_take_what_its_slowest_probes_ask_for(
    tmp_path: Path, kind: str, more: dict[str, str], seconds: int
):
    slow = {"startupProbe": {"initialDelaySeconds": 2, "periodSeconds": 1}, "readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 5}}  # fmt: skip
    quick = {"readinessProbe": {"periodSeconds": 1}, "livenessProbe": {"initialDelaySeconds": 300}}
    template = {"spec": {"containers": [{"name": "a", **slow}, {"name": "b", **quick}]}}
    body = {"kind": kind, "spec": {"replicas": 3, "template": template, **more}}
    (tmp_path / "app.yml").write_text(yaml.safe_dump_all([body, {"kind": "Service"}, None]), "utf-8")
    assert delay_of(tmp_path) == delay_of(tmp_path / "app.yml") == seconds


def test_outputs_are_kept_where_no_other_user_writes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert logs_of("apps") == tmp_path / "podlab" / "apps"
