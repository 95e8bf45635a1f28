"""The action plugin of podlab's modules, as far as no host is needed for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A worker is a fork of the run's own process, which has loaded the callback by then, and loads the action plugin
# itself.
LOADED_BY_WORKER = """
import json, runpy, sys
import ansible.executor.playbook_executor
runpy.run_path("callback_plugins/podlab.py")
before = set(sys.modules)
runpy.run_path("action_plugins/podlab.py")
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_worker_imports_nothing_for_the_action_plugin() -> None:
    argv = [sys.executable, "-c", LOADED_BY_WORKER]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
