"""How testinfra enters an embedded host: a dozen lines instead of an `ansible` process for each command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "module_utils"))

import testinfra
from testinfra.backend import BACKENDS, base

from podlab.embedded import ENVIRONMENT, Lab, enter


class EmbeddedBackend(base.BaseBackend):
    NAME = "embedded"

    def __init__(self, host: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(host, **kwargs)
        pid = Lab(str(ROOT), os.environ.get("PODLAB_LAB", "default")).find(host)
        if pid is None:
            raise RuntimeError(f"the embedded host {host} is off")
        words = [f"{key}={value}" for key, value in {**ENVIRONMENT, "HOME": "/root"}.items()]
        self._enter = ["env", "-i", *words, *enter(pid)]

    def run(self, command: str, *args: str, **kwargs: Any) -> base.CommandResult:
        inner = self.quote("sh -c %s", self.get_command(command, *args))
        return self.run_local(self.quote(" ".join(["%s"] * len(self._enter)), *self._enter) + " " + inner)


BACKENDS["embedded"] = "tests.embedded_backend.EmbeddedBackend"


def host(name: str) -> testinfra.host.Host:
    """The embedded host of the lab that PODLAB_LAB names."""
    return testinfra.get_host(f"embedded://{name}")
