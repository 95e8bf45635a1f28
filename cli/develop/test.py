"""``./lab test``: lint and molecule side by side, pytest in the end, whose closing line is the run's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from embedded import over_ssh

from .. import inventory
from ..failure import Failure
from ..output import complain, say

LINT = {
    "ruff check": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["mypy", "-p", "podlab", "-p", "cli", "-p", "bench"],
    "ansible-lint": ["ansible-lint", "--profile", "production", "-q"],
}
# What molecule ends with exit code 0 after: a playbook that is not there, a verifier that found nothing to verify.
HOLLOW = re.compile("missing=[1-9]|no tests found|collected 0 items|no tests ran", re.IGNORECASE)
PROOF = re.compile("[1-9][0-9]* passed")
SEALED = "tests/lab/test_sealed.py"
PATIENCE = 600.0
SKIPPED = 77  # as with automake and meson: neither good nor bad
NOBODY = 65534
ORDINARY = ("pods", "rootless")  # scenarios that root runs as nobody


@dataclass(frozen=True)
class Step:
    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_scenario: bool = False
    finally_: Sequence[str] = ()


def run(*, fast: bool) -> int:
    """Run everything, also after a failure; 0 if all of it is well."""
    os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    os.chdir(inventory.ROOT)
    with tempfile.TemporaryDirectory(prefix="podlab-test-") as directory:
        os.chmod(directory, 0o755)
        steps = [Step(name, argv) for name, argv in LINT.items()]
        if not fast:
            steps += [_scenario(name, directory) for name in _scenarios() if name != "rootless" or os.getuid()]
            if os.getuid() == 0:
                steps += [_scenario(name, directory, ordinary=True) for name in ORDINARY]
        # The longest first: what is short fills the gaps.
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            good = list(pool.map(lambda step: _run(step, directory), reversed(steps)))
    failed = [step.name for step, well in zip(reversed(steps), good, strict=True) if not well]
    if failed:
        print(f"FAILED: {', '.join(failed)}", flush=True)
    pytest, side_by_side = [sys.executable, "-m", "pytest", "-q"], ["-n", str(os.cpu_count() or 1), "--dist=loadfile"]
    if fast:
        codes = [subprocess.run([*pytest, *side_by_side, "tests/unit"]).returncode]
    else:
        # Alone on the machine: these compare it before and after.
        codes = [subprocess.run([*pytest, SEALED]).returncode]
        codes.append(faults([]))
        codes.append(subprocess.run([*pytest, *side_by_side, "tests", f"--ignore={SEALED}"]).returncode)
    return max(codes) or int(bool(failed))


def run_on_machines(image: str | None, options: Sequence[str]) -> int:
    """The tests on virtual machines, in a network and a process namespace that take all of it away when they end.

    :param image: the path of a cloud image, instead of Debian's releases.
    :param options: for pytest.
    """
    from tests.vm import images, needs

    if image is not None and not os.path.isfile(image):
        raise Failure(f"there is no image {image}")
    if wrong := needs.missing(builds=image is None):
        complain("no virtual machines here, so nothing was tested. They need:")
        for words in wrong:
            say(f"  {words}")
        return SKIPPED
    for suite in () if image else images.SUITES:
        images.build(suite, needs.mirror(), lambda words: say(words, flush=True))
    os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    environment = {**os.environ, "PODLAB_VM_OUTSIDE": str(outside)}
    environment |= {"PODLAB_VM_IMAGE": os.path.abspath(image)} if image else {}
    # unshare --fork takes no signal but the one that cannot be refused, and would outlive this process.
    own = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    # Each of these tests begins where the one before it has ended: -x. What they do takes minutes, and is told: -s.
    pytest = [sys.executable, "-m", "pytest", "-x", "-s", "-v", *options, f"{inventory.ROOT}/tests/vm"]
    return subprocess.run([*own, "--", *pytest], env=environment, cwd=inventory.ROOT, pass_fds=[outside]).returncode


FAULTS = ("-m", "tests.campaigns.mend")


def faults(options: Sequence[str]) -> int:
    """Faults by chance, each of which one run has to mend: ``tests/campaigns/mend.py``."""
    return subprocess.run([sys.executable, *FAULTS, *options], cwd=inventory.ROOT, env=_for_campaigns()).returncode


def _for_campaigns() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{inventory.ROOT}/module_utils:{inventory.ROOT}"}


def _run(step: Step, directory: str) -> bool:
    log, started = Path(directory, f"{step.name.replace(' ', '-')}.log"), time.monotonic()
    with log.open("wb") as file:
        try:
            code = subprocess.run(
                step.argv,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **step.environment},
                timeout=PATIENCE,
            ).returncode
        except (subprocess.TimeoutExpired, OSError) as error:
            file.write(f"{error}\n".encode())
            code = 1
        if step.finally_:
            subprocess.run(step.finally_, env={**os.environ, **step.environment}, capture_output=True)
    text = log.read_text("utf-8", errors="replace")
    hollow = is_hollow(text) if step.is_scenario else ""
    well = code == 0 and not hollow
    lines = [f"{step.name:20} {time.monotonic() - started:6.1f} s  {_coloured(well)}"]
    if hollow:
        lines.append(f"  | it proves nothing: {hollow}")
    if not well:
        lines += [f"  | {line}" for line in text.splitlines()[-60:]]
    print("\n".join(lines), flush=True)
    return well


def is_hollow(text: str) -> str:
    """Why a scenario proves nothing, whatever it ended with, or nothing."""
    found = HOLLOW.search(text)
    return found.group() if found else "" if PROOF.search(text) else "no test has passed"


def _coloured(well: bool) -> str:
    word = "ok" if well else "FAILED"
    return (
        f"\033[{32 if well else 31}m{word}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else word
    )


# --- molecule -------------------------------------------------------------------------------------


def _scenarios() -> list[str]:
    """The names of those that can be run here; what is left out, and why, is said."""
    names = sorted(file.parent.name for file in Path("molecule").glob("*/molecule.yml"))
    if "ssh" in names and (why := over_ssh.why_not()):
        names.remove("ssh")
        print(f"molecule ssh         skipped: {why}", flush=True)
    return names


def _scenario(name: str, directory: str, *, ordinary: bool = False) -> Step:
    """A whole scenario, by root or by whoever else runs the tests; ``ordinary``: by root as nobody."""
    lab = f"molecule-{name}{'-nobody' if ordinary and name != 'rootless' else ''}"
    environment = {"PODLAB_LAB": lab, "ANSIBLE_FORCE_COLOR": "0", "PY_COLORS": "0"}
    prefix: list[str] = []
    if ordinary:
        home = Path(directory, lab)
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        environment |= {"HOME": str(home), "USER": "nobody", "LOGNAME": "nobody", "XDG_RUNTIME_DIR": str(home)}
        environment["TMPDIR"] = str(home)
        prefix = [*_opened(str(home)), "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    return Step(
        lab.replace("-", " ", 1),
        # By itself molecule finds the shared settings only where git trusts the repository.
        [*prefix, "molecule", "--base-config", ".config/molecule/config.yml", "test", "-s", name],
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
