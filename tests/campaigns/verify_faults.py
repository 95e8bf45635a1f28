"""Whether verify cries without need, and whether it misses anything: by hand, it takes minutes to an hour.

    PYTHONPATH=module_utils .venv/bin/python -m tests.campaigns.verify_faults --runs 25 --faults 40 --seed 1

Runs of every application in ``tests/apps`` that have to be green, in two labs at once; then faults, one at a time and
all in one lab, with a green run now and then. Every fault has to be red, and to be named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from podlab.embedded import ENVIRONMENT, Lab, enter

from .faults import FAULTS, Scene

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "tests" / "apps"
FAULTY_APP = "shop"
BETWEEN = 5
"""After so many faults a run has to be green again: each of them was really taken back."""


class CampaignLab:
    """``./lab`` for one lab of its own."""

    def __init__(self, name: str, logs: Path) -> None:
        self.environment = os.environ | {"PODLAB_LAB": name, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        self.name, self.logs = name, logs

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(ROOT / "lab"), *words]
        return subprocess.run(argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def up(self, app: str, *options: str, log: str) -> tuple[int, str]:
        done = self.run("up", "--manifests", str(APPS / app), *options)
        (self.logs / f"{log}.log").write_text(done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    def sh(self, host: str, line: str) -> str:
        """As ``./lab node HOST -- sh -c LINE``, without its start."""
        argv = [*enter(Lab(str(ROOT), self.name).hosts()[host]), "sh", "-c", line]
        done = subprocess.run(argv, env=ENVIRONMENT | {"HOME": "/root"}, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{host}: {line}: {done.stdout}{done.stderr}")
        return done.stdout

    def items(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("get", kind, "-o", "json").stdout)["items"]
        return found


def green_runs(name: str, apps: list[str], count: int, logs: Path) -> list[str]:
    """False alarms: each application from nothing and then again and again."""
    lab, wrong = CampaignLab(name, logs), []
    for app in apps:
        alarms = []
        started = time.monotonic()
        for number in range(1, count + 1):
            code, _ = lab.up(app, log=f"{app}-{number}")
            alarms += [f"{app}, run {number}: exit code {code}"] if code else []
        seconds = time.monotonic() - started
        print(f"{app}: {count} runs, {len(alarms)} false alarms, {seconds / max(count, 1):.1f} s a run", flush=True)
        wrong += alarms
        lab.run("down")
    return wrong


def seeded_faults(name: str, count: int, seed: int, only: list[str], logs: Path) -> list[str]:
    """Faults that were missed or not named; every kind once, and then by chance."""
    lab, random, wrong = CampaignLab(name, logs), Random(seed), []
    code, said = lab.up(FAULTY_APP, log="before")
    if code:
        return [f"the lab is not green to begin with:\n{said}"]
    kinds = only or sorted(FAULTS)
    random.shuffle(kinds)
    chosen = [kinds[at] if at < len(kinds) else random.choice(kinds) for at in range(count)]
    scene = Scene(random, lab.sh, lab.items("pods"))
    for number, kind in enumerate(chosen, 1):
        fault = FAULTS[kind](scene)
        lab.sh(fault.host, " && ".join(fault.do))
        try:
            code, said = lab.up(FAULTY_APP, "--tags", "verify", log=f"fault-{number}-{kind.replace(' ', '-')}")
        finally:
            lab.sh(fault.host, "; ".join(fault.undo))
        verdict = "red" if code and re.search(fault.says, said) else "NOT NAMED" if code else "MISSED"
        print(f"{number:3} {kind} on {fault.host}: {verdict}", flush=True)
        if verdict != "red":
            wrong.append(f"{number} {kind} on {fault.host}: {verdict}; {' && '.join(fault.do)}; wanted {fault.says}")
        if number % BETWEEN == 0 or number == count:
            code, _ = lab.up(FAULTY_APP, "--tags", "verify", log=f"after-{number}")
            wrong += [f"{number}: red, though every fault was taken back"] if code else []
    lab.run("down")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=25, help="green runs of each application (25)")
    parser.add_argument("--faults", type=int, default=40, help="how many faults (40)")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (1)")
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="of this kind alone")
    parser.add_argument("--logs", type=Path, default=Path("/tmp/podlab-campaign"), help="where outputs are kept")
    known = parser.parse_args()
    known.logs.mkdir(parents=True, exist_ok=True)
    apps = sorted(path.name for path in APPS.iterdir())
    wrong: list[str] = []
    if known.runs:
        halves = [apps[::2], apps[1::2]]
        with ThreadPoolExecutor(2) as pool:
            labs = [
                pool.submit(green_runs, f"campaign-{at}", half, known.runs, known.logs)
                for at, half in enumerate(halves)
            ]
            wrong += [line for lab in labs for line in lab.result()]
    if known.faults:
        wrong += seeded_faults("campaign-faults", known.faults, known.seed, known.only, known.logs)
    print("\n".join(wrong) or "no false alarm, and nothing missed")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
