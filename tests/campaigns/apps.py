"""Whether applications come up. ``./lab test apps`` runs it.

Each in a lab of its own that begins with nothing, as often as it is asked for: one run has to bring it up, and ``verify``
has to be green after it; the first time one more run has nothing to do. A round says how many seconds the run took, and how many of
these the probes of the application ask for themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from . import logs_of

ROOT = Path(__file__).resolve().parents[2]
APPS = {path.name: path for path in sorted((ROOT / "tests" / "apps").iterdir())}
APPS |= {path.name: path for path in sorted((ROOT / "tests" / "published").iterdir()) if path.is_dir()}
APPS |= {f"{path.stem}-published": path for path in sorted((ROOT / "tests" / "published").glob("*.yml"))}
SETTINGS = {"agent": {f"podlab_allow_{what}": True for what in ("host_path", "host_pid", "privileged")}}
MOST = 15.0


def delay_of(path: Path) -> float:
    """Seconds before which an application cannot be ready by its slowest probe, and one period more: what it asks for
    may come right after a probe. Pods of a StatefulSet that come one by one each take that long."""
    files = sorted(path.glob("*.yml")) if path.is_dir() else [path]
    bodies = [body for file in files for body in yaml.safe_load_all(file.read_text("utf-8")) if body]
    return max(map(_delay, bodies), default=0.0)


def _delay(body: Mapping[str, Any]) -> float:
    spec = body.get("spec") or {}
    containers = (spec.get("template", {}).get("spec") or spec).get("containers", ())
    slowest = max((_of_probes(one) for one in containers), default=0.0)
    is_in_order = body["kind"] == "StatefulSet" and spec.get("podManagementPolicy") != "Parallel"
    return slowest * (spec.get("replicas", 1) if is_in_order else 1)


def _of_probes(container: Mapping[str, Any]) -> float:
    probes = [container[name] for name in ("startupProbe", "readinessProbe") if container.get(name)]
    return sum(one.get("initialDelaySeconds", 0) + one.get("periodSeconds", 10) for one in probes)


class Round:
    """An application that comes up once."""

    def __init__(self, app: str, number: int, logs: Path) -> None:
        self.app, self.number, self.log = app, number, logs / f"{app}-{number}.log"
        self.environment = os.environ | {"PODLAB_LAB": f"apps-{uuid.uuid4().hex[:8]}", "ANSIBLE_NOCOLOR": "1"}
        self.log.write_text("", "utf-8")

    def lab(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(ROOT / "lab"), *words]
        done = subprocess.run(argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}\n")
        return done

    def run(self, most: float) -> tuple[float, str]:
        """Seconds of the run, and what is wrong; nothing if all is well."""
        up = ["up", "--manifests", str(APPS[self.app]), "-e", json.dumps(SETTINGS.get(self.app, {}))]
        try:
            began = time.monotonic()
            code = self.lab(*up, "--skip-tags", "verify").returncode
            seconds = time.monotonic() - began
            if code:
                return seconds, f"it did not come up: exit code {code}"
            if code := self.lab(*up, "--tags", "verify").returncode:
                return seconds, f"verify ended with {code}"
            if self.number == 1 and (wrong := self._second_run(up)):
                return seconds, wrong
            if most and seconds - delay_of(APPS[self.app]) > most:
                return seconds, f"it took more than {most:.0f} s beyond its probes' delays"
            return seconds, ""
        finally:
            self.lab("down")

    def _second_run(self, up: Sequence[str]) -> str:
        done = self.lab(*up, "--skip-tags", "verify")
        changed = "changed: [" in done.stdout
        return f"a second run ended with {done.returncode}, changed: {changed}" if done.returncode or changed else ""


def rounds(app: str, times: int, most: float, logs: Path) -> list[str]:
    """What has gone wrong, a line a round."""
    wrong = []
    for number in range(1, times + 1):
        one = Round(app, number, logs)
        seconds, why = one.run(most)
        delay = delay_of(APPS[app])
        said = f"{app} {number}/{times}: {seconds:.1f} s, {max(0.0, seconds - delay):.1f} s beyond its probes' {delay:.0f} s"
        print(f"{said}: {why or 'well'}", flush=True)
        if why:
            wrong.append(f"{app} {number}: {why} ({one.log})")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="./lab test apps", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=1, help="how often each comes up (1)")
    parser.add_argument("--only", action="append", default=[], metavar="APP", choices=[*APPS], help="this one alone")
    parser.add_argument("--labs", type=int, default=1, help="how many labs at once (1)")
    parser.add_argument("--most", type=float, default=MOST, help="seconds beyond the delays of its probes (15); 0: any")
    parser.add_argument("--logs", type=Path, default=logs_of("apps"), help="where outputs are kept")
    known = parser.parse_args()
    known.logs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(known.labs) as pool:
        done = pool.map(lambda app: rounds(app, known.times, known.most, known.logs), known.only or APPS)
        wrong = [line for found in done for line in found]
    print("\n".join(wrong) or f"{len(known.only or APPS)} applications came up {known.times} times each")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
