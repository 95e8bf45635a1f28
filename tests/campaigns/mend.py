"""Whether one run mends whatever was done to a host. ``./lab test faults`` runs it.

Each case draws from its own seed a few things that a student does as root to the hosts of a lab that stands, or what
keeps a run from its work while it is at it. After that one ``site.yml`` has to end with 0, verify included, and to name
every host that was not as it had been; all that there is has to be what it was before; and the run after it has nothing
to do.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from random import Random
from typing import Any

from embedded.over_ssh import GROUPS, SSHD, OverSsh
from podlab.embedded import ENVIRONMENT, Lab, enter
from tests import preforked
from tests.picture import picture

from . import logs_of
from .damage import HOSTS, KINDS, PASSING, Damage

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = "ps -eo args= | grep -E '^(catatonit|s6-|bwrap|nginx: m|/usr/bin/python3 -IS)' | cut -c1-60 | sort"
FILES = (
    "find /run/podlab /var/lib/podlab /var/log/pods 2>/dev/null -printf '%y %m %p\\n' "
    "| grep -Ev '/(supervise|s6-svscan|event|logs|lock)(/|$)|/volumes/.*/[.][.]2|/volumes/[^/]*/(pages|shared)/|damaged|iptables.json"
    "|/(down|last|started|restarts|status|backoff|waiting|health|events|probes|failed|began|deadline)$|/[.](new|old|s6-svscan)"
    "|/services/kube-proxy/listening.json$|/var/log/pods/[^/]*/([^/]*/|first$)|/run/podlab/code|busybox/' | sort"
)
OVER_SSH = ROOT / "molecule/ssh/hosts.yml"
ADDRESSES = {name: address for hosts in GROUPS.values() for name, address in hosts.items()}
ROUTING = ("gateway", "vxlan", "host-gw")


@dataclass
class MendLab:
    """A lab of its own, or the hosts of an inventory."""

    name: str
    inventory: str
    routing: str
    logs: Path
    together: int = 0
    sound: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = {"ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "PODLAB_LAB": self.name}
        self.environment = os.environ | plain | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.environment.pop("ANSIBLE_INVENTORY", None)
        self.way: list[str] = []  # before a command of the controller's
        self.manifests = tempfile.mkdtemp(prefix="podlab-mend-")
        for file in [*(ROOT / "manifests").iterdir(), ROOT / "tests/campaigns/manifests/more.yml"]:
            Path(self.manifests, file.name).write_text(file.read_text())

    def run(self, log: str, playbook: str = "site.yml", *options: str) -> tuple[int, str]:
        argv = [*self.way, "ansible-playbook", playbook, "-e", f"podlab_manifests={self.manifests}", *options]
        argv += ["-e", f'{{"podlab_pod_routing": "{self.routing}", "podlab_allow_host_path": true}}']
        argv += ["-i", self.inventory or "inventory/embedded"]
        done = preforked.play(argv, self.environment)
        (self.logs / f"{log}.log").write_text(done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    def sh(self, host: str, script: str) -> str:
        """Whatever it ends with: what is to be damaged may be gone already."""
        if not self.inventory:
            return self.inside(host, script)
        argv = [str(ROOT / "lab"), "node", host, "--inventory", self.inventory, "--", "sh", "-c", script]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=self.environment, capture_output=True, text=True)
        return done.stdout.strip()

    def inside(self, host: str, script: str) -> str:
        """On an embedded host of this lab."""
        argv = [*enter(Lab(str(ROOT), self.name).find(host)), "sh", "-c", script]
        environment = {**ENVIRONMENT, "HOME": "/root"}
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=environment, capture_output=True, text=True)
        return done.stdout.strip()

    def look(self) -> dict[str, Any]:
        found = {}
        for host in HOSTS:
            found[host] = picture(self, host)
            found[host]["processes"] = self.sh(host, PROCESSES).splitlines()
            found[host]["files"] = self.sh(host, FILES).splitlines()
        return found

    def begin(self) -> None:
        """From nothing, and once more: what a first run leaves to the second one is no fault's."""
        code, said = self.run(f"{self.name}-begin")
        if code:
            raise RuntimeError(f"{self.name} is not green to begin with:\n{said[-3000:]}")
        self.sound = self.look()

    def end(self) -> None:
        self.run(f"{self.name}-end", "playbooks/teardown.yml")

    def repair_way(self) -> None:
        """What a machine's own init would start again, so that a run gets there."""


@dataclass
class SshMendLab(MendLab):
    """A lab of its own whose hosts are reached over SSH, with a controller on their network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lab, self.directory = Lab(str(ROOT), self.name), tempfile.mkdtemp(prefix="podlab-mend-ssh-")
        self.over = OverSsh(lab, Path(self.directory))

    def begin(self) -> None:
        self.way, self.inventory = [], str(OVER_SSH)
        self.run(f"{self.name}-on", "playbooks/power_on.yml")
        self.over.open(ADDRESSES)
        self.way, self.inventory = self.over.argv(), str(self.over.inventory(GROUPS))
        super().begin()

    def sh(self, host: str, script: str) -> str:
        """By another way than the one that is tried."""
        return self.inside(host, script)

    def repair_way(self) -> None:
        for host in HOSTS:
            self.sh(host, f"pgrep -x sshd || {{ mkdir -p /run/sshd; {SSHD}; }}")

    def end(self) -> None:
        super().end()
        self.way, self.inventory = [], str(OVER_SSH)
        self.run(f"{self.name}-off", "playbooks/teardown.yml")


def drawn(random: Random, together: int = 0) -> list[Damage]:
    """Up to three things at once, or just as many; now and then one that a run meets. Not where every record has gone:
    what a host holds that such a run does not see, nothing tells then, and its pods are given to others."""
    count = together or random.choice((1, 1, 2, 3))
    found = [KINDS[random.choice(sorted(KINDS))](random) for _ in range(count)]
    if random.random() < 0.3 and not any(damage.host == "every" for damage in found):
        found.append(PASSING[random.choice(sorted(PASSING))](random))
    return found


def case(lab: MendLab, seed: str) -> list[str]:
    """What is wrong with the mending; nothing if all is well."""
    damages = drawn(Random(seed), lab.together)
    for damage in damages:
        for host in HOSTS if damage.host == "every" else [damage.host]:
            lab.sh(host, damage.do)
    lab.repair_way()
    passing = [damage for damage in damages if damage.kind in PASSING]
    if passing:
        lab.run(f"case-{seed}-met")
        for damage in passing:
            lab.sh(damage.host, damage.undo)
            lab.sh(damage.host, "rm -rf /var/tmp/real /var/tmp/script; pkill -f '[t]imeout 60 sh'")
    before = lab.look()
    code, said = lab.run(f"case-{seed}-mend")
    wrong = [f"it ends with {code}"] if code else []
    after = lab.look()
    wrong += [f"{host}: {line}" for host in HOSTS for line in _difference(lab.sound[host], after[host])]
    drifted = {host for host in HOSTS if _lasting(before[host]) != _lasting(lab.sound[host])}
    unnamed = drifted - set(re.findall(r"^changed: \[([^\]]*)\]", said, re.MULTILINE))
    wrong += [f"{host}: mended without a word" for host in sorted(unnamed) if not code]
    code, said = lab.run(f"case-{seed}-again", "site.yml", "--skip-tags", "verify")
    wrong += [f"the run after it ends with {code}"] * bool(code)
    wrong += [f"the run after it changes {host}" for host in re.findall(r"^changed: \[([^\]]*)\]", said, re.MULTILINE)]
    return wrong


def _lasting(facts: dict[str, Any]) -> dict[str, Any]:
    """What does not come back by itself: s6 starts again whatever ends."""
    return {key: value for key, value in facts.items() if key != "processes"}


def _difference(sound: dict[str, Any], found: dict[str, Any]) -> list[str]:
    lines = []
    for key in sorted({*sound, *found}):
        pairs = [(key, sound.get(key), found.get(key))]
        if isinstance(sound.get(key), dict) and isinstance(found.get(key), dict):
            pairs = [(f"{key}.{part}", sound[key][part], found[key][part]) for part in sound[key]]
        for name, was, now in pairs:
            if was != now:
                was, now = (value if isinstance(value, list) else [repr(value)] for value in (was, now))
                lines += [f"{name}: missing: {one}" for one in was if one not in now]
                lines += [f"{name}: too much: {one}" for one in now if one not in was] or [f"{name} differs"]
    return lines


def told(damages: Sequence[Damage]) -> str:
    return "".join(f"\n      {one.kind} on {one.host}: {one.do}" for one in damages)


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab test faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=20, help="how many cases (20)")
    parser.add_argument("--seed", default="1", help="of what is left to chance (1)")
    parser.add_argument(
        "--case", action="append", default=[], metavar="SEED", help="this case alone, as a failure names"
    )
    parser.add_argument(
        "--together", type=int, default=0, metavar="N", help="break N things in a case; without it one to three"
    )
    parser.add_argument("--labs", type=int, default=os.cpu_count() or 1, help="side by side (one for each processor)")
    parser.add_argument("--routing", choices=ROUTING, help="between nodes; without it each lab has another one")
    parser.add_argument("--inventory", default="", help="on these hosts, node1, node2 and gateway, and not on a lab's")
    parser.add_argument("--ssh", action="store_true", help="labs whose hosts are reached over SSH; for root alone")
    parser.add_argument("--logs", type=Path, default=logs_of("faults"), help="where outputs are kept")
    known = parser.parse_args()
    known.logs.mkdir(parents=True, exist_ok=True)
    seeds: Queue[str] = Queue()
    for seed in known.case or [f"{known.seed}-{number}" for number in range(1, known.count + 1)]:
        seeds.put(seed)
    kind = SshMendLab if known.ssh else MendLab
    labs = [
        kind(
            f"faults-{known.seed}-{at}",
            known.inventory,
            known.routing or ROUTING[at % len(ROUTING)],
            known.logs,
            known.together,
        )
        for at in range(1 if known.inventory else known.labs)
    ]
    count, started = seeds.qsize(), time.monotonic()
    with ThreadPoolExecutor(len(labs)) as pool:
        wrong = [one for some in pool.map(lambda lab: work(lab, seeds), labs) for one in some]
    print(f"{count - len(wrong)} of {count} mended, {time.monotonic() - started:.0f} s")
    more = f" --together {known.together}" if known.together else ""
    print("".join(f"FAILED: --case {seed}{more}\n" for seed in wrong), end="")
    return int(bool(wrong))


def work(lab: MendLab, seeds: Queue[str]) -> list[str]:
    """Cases, as long as there are any; the seeds of those that went wrong."""
    failed = []
    try:
        lab.begin()
        while not seeds.empty():
            seed = seeds.get()
            damages = drawn(Random(seed), lab.together)
            wrong = case(lab, seed)
            words = ", ".join(f"{one.kind} on {one.host}" for one in damages)
            print(f"{seed} ({lab.routing}): {words}: {'mended' if not wrong else 'FAILED'}", flush=True)
            if wrong:
                failed.append(seed)
                lines = "\n    ".join(wrong[:20])
                print(f"    {lines}\n    after:{told(damages)}\n    see {lab.logs}/case-{seed}-*.log", flush=True)
                lab.end()
                lab.begin()
    finally:
        lab.end()
    return failed


if __name__ == "__main__":
    sys.exit(main())
