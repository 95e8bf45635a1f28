"""``./lab test``: lint, scenarios, faults and tests in one queue of pytest's, whose closing line is the run's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import arguments, inventory
from ..errors import CommandError
from ..output import print_error, print_text

LINT = {
    "ruff check": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["mypy", "-p", "podlab", "-p", "cli", "-p", "bench"],
    "ansible-lint": ["ansible-lint", "--profile", "production", "-q"],
}
# What a scenario may end with exit code 0 after: a playbook that is not there, a verifier that found nothing to verify.
VACUOUS = re.compile("missing=[1-9]|no tests found|collected 0 items|no tests ran", re.IGNORECASE)
PROOF = re.compile("[1-9][0-9]* passed")
FAST = ("tests/steps.py::test_lint", "tests/unit")
# Not "tests" for all of it: of two names pytest leaves out the one that lies below the other, and so the steps.
WHOLE = ("tests/steps.py", "tests/lab", "tests/unit")
TIMEOUT = 600.0
SKIPPED = 77  # as with automake and meson: neither good nor bad
NOBODY_UID = 65534
ORDINARY = ("pods", "rootless")  # scenarios that root runs as the user nobody
# By itself molecule finds the shared settings only where git trusts the repository.
MOLECULE = ("molecule", "--base-config", ".config/molecule/config.yml")
BY_MOLECULE = "default"
"""The scenario that is played by molecule itself; the others by ``tests/scenario.py``, which says why."""


@dataclass(frozen=True)
class Step:
    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_scenario: bool = False
    finally_: Sequence[str] = ()


def main(words: list[str], command: list[str]) -> int:
    if words[:1] and words[0] in CAMPAIGNS:
        return campaign(words[0], [*words[1:], *command])
    parser = arguments.parser(
        "test",
        "[faults [--count N] [--seed S] | apps [--times N] | --fast | --vm [--image PATH] [-- OPTION OF pytest...]]",
        "Lint, unit and property tests, every molecule scenario.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fast", action="store_true", help="lint and unit tests alone")
    which.add_argument(
        "--vm", action="store_true", help="on virtual machines instead, over SSH; ends with 77 where there can be none"
    )
    parser.add_argument(
        "--image", metavar="PATH", help="with --vm: machines of this cloud image, instead of Debian 12 and 13"
    )
    known = parser.parse_args(words)
    if known.vm:
        return run_on_machines(known.image, command)
    if command or known.image:
        parser.error("--image and options of pytest go with --vm")
    return run(fast=known.fast)


def run(*, fast: bool) -> int:
    """Run everything, also after a failure; 0 if all of it is well."""
    _find_programs()
    # One more than there are processors: tests wait for a fifth of their time, for probes and deadlines. No more than
    # that: some scenarios list calls that time out, and on a crowded machine they do.
    queue = ["-p", "tests.queue", "-n", str((os.cpu_count() or 1) + 1), "--no-loadscope-reorder"]
    argv = [sys.executable, "-m", "pytest", "-q", *queue, *(FAST if fast else WHOLE)]
    return subprocess.run(argv, cwd=inventory.ROOT).returncode


def _find_programs() -> None:
    # Hundreds of processes would compile the same modules, each for itself.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"


def run_on_machines(image: str | None, options: Sequence[str]) -> int:
    """The tests on virtual machines, in a network and a process namespace that take all of it away when they end.

    :param image: the path of a cloud image, instead of Debian's releases.
    :param options: for pytest.
    """
    from tests.vm import images, needs

    if image is not None and not os.path.isfile(image):
        raise CommandError(f"there is no image {image}")
    if wrong := needs.missing(builds=image is None):
        print_error("no virtual machines here, so nothing was tested. They need:")
        for words in wrong:
            print_text(f"  {words}")
        return SKIPPED
    for suite in () if image else images.SUITES:
        images.build(suite, needs.mirror(), lambda words: print_text(words, flush=True))
    _find_programs()
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    environment = {**os.environ, "PODLAB_VM_OUTSIDE": str(outside)}
    environment |= {"PODLAB_VM_IMAGE": os.path.abspath(image)} if image else {}
    # unshare --fork takes no signal but the one that cannot be refused, and would outlive this process.
    own = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    # Each of these tests begins where the one before it has ended: -x. What they do takes minutes, and is told: -s.
    pytest = [sys.executable, "-m", "pytest", "-x", "-s", "-v", *options, f"{inventory.ROOT}/tests/vm"]
    return subprocess.run([*own, "--", *pytest], env=environment, cwd=inventory.ROOT, pass_fds=[outside]).returncode


CAMPAIGNS = {"faults": "tests.campaigns.mend", "apps": "tests.campaigns.apps"}
"""What chance or repetition finds: faults, each of which one run has to mend; applications that come up many times."""
FAULTS = ("-m", CAMPAIGNS["faults"])
FEW, TOGETHER = 2, 4


def campaign(name: str, options: Sequence[str]) -> int:
    argv = [sys.executable, "-m", CAMPAIGNS[name], *options]
    return subprocess.run(argv, cwd=inventory.ROOT, env=_for_campaigns()).returncode


def faults_of(routing: str) -> Step:
    """Some of them, several at once, in one lab: pytest runs something else beside it."""
    few = ("--routing", routing, "--labs", "1", "--count", str(FEW), "--together", str(TOGETHER), "--seed", routing)
    return Step(f"faults {routing}", [sys.executable, *FAULTS, *few], _for_campaigns())


def _for_campaigns() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{inventory.ROOT}/module_utils:{inventory.ROOT}"}


def failure_of(step: Step, directory: Path) -> str:
    """Run it: why it proves nothing, and the end of what it has said; nothing if all is well."""
    # What pytest tells its own workers is not meant for a pytest below them.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment, log = {**own, **step.environment}, directory / "log"
    with log.open("wb") as file:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        try:
            code = subprocess.run(step.argv, **streams, cwd=inventory.ROOT, env=environment, timeout=TIMEOUT).returncode
        except (subprocess.TimeoutExpired, OSError) as error:
            file.write(f"{error}\n".encode())
            code = 1
        finally:
            if step.finally_:
                subprocess.run(step.finally_, cwd=inventory.ROOT, env=environment, capture_output=True)
    text = log.read_text("utf-8", errors="replace")
    vacuous = is_vacuous(text) if step.is_scenario else ""
    lines = [f"it proves nothing: {vacuous}"] if vacuous else []
    return "\n".join([*lines, *text.splitlines()[-60:]]) or "it says nothing" if code or vacuous else ""


def is_vacuous(text: str) -> str:
    """Why a scenario proves nothing, whatever it ended with, or nothing."""
    found = VACUOUS.search(text)
    return found.group() if found else "" if PROOF.search(text) else "no test has passed"


# --- molecule -------------------------------------------------------------------------------------


def scenarios() -> list[str]:
    return sorted(file.parent.name for file in Path(inventory.ROOT, "molecule").glob("*/molecule.yml"))


def scenario(name: str, directory: str, *, ordinary: bool = False) -> Step:
    """A whole scenario, as the user who runs the tests; ``ordinary``: by root as the user nobody."""
    lab = f"molecule-{name}{'-nobody' if ordinary and name != 'rootless' else ''}"
    # Of this user and of the scenario's own name, as .config/molecule/config.yml has it: this starts it and ends it.
    environment = {"PODLAB_LAB": f"molecule-{name}", "ANSIBLE_FORCE_COLOR": "0", "PY_COLORS": "0"}
    home = Path(directory, lab)
    home.mkdir()
    # Molecule keeps there what it has made, and would not make it anew.
    environment["MOLECULE_EPHEMERAL_DIRECTORY"] = str(home / "molecule")
    prefix: list[str] = []
    if ordinary:
        os.chown(home, NOBODY_UID, NOBODY_UID)
        environment |= {"HOME": str(home), "USER": "nobody", "LOGNAME": "nobody", "XDG_RUNTIME_DIR": str(home)}
        environment["TMPDIR"] = str(home)
        prefix = [
            *_opened(str(home)),
            "setpriv",
            f"--reuid={NOBODY_UID}",
            f"--regid={NOBODY_UID}",
            "--clear-groups",
            "--",
        ]
    plays = [*MOLECULE, "test", "-s"] if name == BY_MOLECULE else [sys.executable, "-m", "tests.scenario"]
    return Step(
        lab.replace("-", " ", 1),
        [*prefix, *plays, name],
        environment,
        True,
        [*prefix, sys.executable, "cli", "down"],
    )


def _opened(directory: str) -> list[str]:
    """A clone below a closed directory such as /root is not for ordinary users. In a mount namespace of its own
    an empty directory takes the place of the closed one, with nothing but the clone in it."""
    closed = next((path for path in reversed(Path(inventory.ROOT).parents) if not path.stat().st_mode & 0o001), None)
    if closed is None:
        return []
    clone, there, spare = (shlex.quote(str(path)) for path in (inventory.ROOT, closed, Path(directory, "clone")))
    script = (
        f"mkdir -p {spare} && mount --bind {clone} {spare} && mount -t tmpfs -o mode=755 none {there} && "
        f'mkdir -p {clone} && mount --move {spare} {clone} && cd {clone} && exec "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh"]
