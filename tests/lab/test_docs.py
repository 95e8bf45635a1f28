"""The documentation is true: its commands print what it shows. ``tests/unit/test_pages.py`` has its links and tables.

A fenced block marked ``console`` holds commands after ``$ `` (``> `` continues one) and what they print. Every page
has one shell for all of its commands, in their order, and a lab of its own, or that of ``TOGETHER``. After ``console``
may stand:

    fails          the command is meant to end with an exit code that is not 0
    needs: NAME    the commands are run where the program NAME is there, and by root
    skip: WHY      the commands cannot be run in a test

What is shown has to occur in what is printed, line by line in that order; ``...`` stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from podlab.embedded import Lab
from tests import preforked

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LONGEST = 60.0  # seconds for one command
TOGETHER = ("script", "packet", "verbs")
"""Pages that are read in one lab: what the first leaves is the sample cluster, or it is no true page."""


# --- commands -----------------------------------------------------------------------------------------


@dataclass
class Command:
    where: str
    text: str
    marker: str
    shown: list[str] = field(default_factory=list)

    @property
    def must_fail(self) -> bool:
        return self.marker == "fails"

    @property
    def is_run(self) -> bool:
        if self.marker.startswith("needs: "):
            return os.getuid() == 0 and shutil.which(self.marker.removeprefix("needs: ")) is not None
        return not self.marker.startswith("skip: ")


def commands_of(page: Path) -> list[Command]:
    commands: list[Command] = []
    marker: str | None = None  # of the block that we are in; None outside of one
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            info = line[3:]
            inside = marker is None and info.split(" ")[0] == "console"
            marker = info.removeprefix("console").strip() if inside else None
        elif marker is not None and line.startswith("$ "):
            commands.append(Command(f"{page.name}:{number}", line[2:], marker))
        elif marker is not None and line.startswith("> ") and not commands[-1].shown:
            commands[-1].text += "\n" + line[2:]
        elif marker is not None:
            commands[-1].shown.append(line)
    return commands


# Verbs are a hundred and more. Here each of them is a fork of a process that has them loaded.
LOADED = """
./lab() {{ case $1 in ({quick}) {look} "$@" ;; ({playing}) {up} "$@" ;; (*) command ./lab "$@" ;; esac; }}
"""


@dataclass
class Programs:
    """``./lab`` for its quick verbs, and for those that play."""

    lab: preforked.Loaded
    up: preforked.Loaded

    def function(self) -> str:
        quick, playing = "|".join(preforked.QUICK), "|".join(preforked.PLAYING)
        look, up = (shlex.join(program.argv()) for program in (self.lab, self.up))
        return LOADED.format(quick=quick, look=look, playing=playing, up=up)


class Shell:
    """A reader's shell: what one command sets, the next one has."""

    def __init__(self, environment: Mapping[str, str], programs: Programs) -> None:
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.bash.stdin is not None
        self.bash.stdin.write(programs.function())

    def run(self, command: str) -> tuple[int, list[str]]:
        """Exit code and output, standard error included."""
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        end = uuid.uuid4().hex
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' {end} $?\n")
        self.bash.stdin.flush()
        too_late = threading.Timer(LONGEST, self.bash.kill)
        too_late.start()
        lines: list[str] = []
        try:
            for line in self.bash.stdout:
                if line.startswith(end):
                    return int(line.split()[1]), lines
                lines.append(line.rstrip("\n"))
        finally:
            too_late.cancel()
        return -1, [*lines, f"(killed after {LONGEST:g} s)"]

    def close(self) -> None:
        self.bash.kill()
        self.bash.communicate()


# What differs from run to run and from machine to machine, and the word that stands for it.
CHANGING = (
    (r"(?<![:\w])(?!0a:58|ff:ff|00:00)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![:\w])", "MAC"),
    (r"(?<![:\w])\d\d:\d\d:\d\d(\.\d+)?(?![:\w])", "TIME"),
    (r"\b\d{4}[-/]\d\d[-/]\d\d\b", "DATE"),
    (r"(?<=[\s(])\d+[smhd](\d+[smh])?(?=\s|$)", "AGE"),
    (r"\b\d+(\.\d+)? ?ms\b", "DURATION"),
    (r"(?<=\d):\d{5}\b", ":PORT"),
    (r"\[\d+:\d+\]", "[COUNTERS]"),
    (r"\bid([ =])\d+", r"id\1N"),
    (r"^\d+: ", "N: "),
    (r"@if\d+", "@ifN"),
)


def normal(line: str, lab: str) -> str:
    """A line without what changes; columns are as wide as they are."""
    line = line.replace(f" ({lab})", "").replace(lab, "default")
    for pattern, word in CHANGING:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def first_lie(shown: Sequence[str], printed: Sequence[str], lab: str) -> str | None:
    """The first shown line that does not occur in what was printed, after those before it."""
    rest = iter([normal(line, lab) for line in printed])
    for line in shown:
        wanted = normal(line, lab)
        if wanted in ("", "..."):
            continue
        pattern = re.compile(re.escape(wanted).replace(re.escape("..."), ".*"))
        if not any(pattern.fullmatch(line) for line in rest):
            return line
    return None


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    return os.environ | {"PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}


def follow(pages: Sequence[Path], directory: Path, programs: Programs) -> dict[Path, str | None]:
    """Do what pages say, in one lab for all of them; of each the first thing that is not as it says."""
    lab = f"docs-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    own = environment() | {"PODLAB_LAB": lab, "TMPDIR": str(directory)}
    try:
        if wants_a_lab(pages[0]):
            done = programs.up.run("up", "--skip-tags", "verify", environment=own)
            if done.returncode:
                return dict.fromkeys(pages, done.stdout + done.stderr)
        return {page: first_wrong(page, Shell(own, programs), lab) for page in pages}
    finally:
        Lab(str(ROOT), lab).power_off()


def wants_a_lab(page: Path) -> bool:
    """Else the page starts it by itself, or asks for none."""
    first = next(command.text for command in commands_of(page) if command.is_run and command.text.startswith("./lab"))
    return not first.startswith(("./lab up", "./lab bench", "./lab plan")) or "--check" in first


def first_wrong(page: Path, shell: Shell, lab: str) -> str | None:
    try:
        for command in commands_of(page):
            if not command.is_run:
                continue
            code, printed = shell.run(command.text)
            told = f"{command.where}: {command.text}\n" + "\n".join(printed)
            if (code != 0) != command.must_fail:
                return f"exit code {code}: {told}"
            lie = first_lie(command.shown, printed, lab)
            if lie is not None:
                return f"this line is not, or not there, in what follows:\n{lie}\n\n{told}"
    finally:
        shell.close()
    return None


FOLLOWED = [page for page in PAGES if commands_of(page)]


@pytest.fixture(scope="module")
def lies(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str | None]:
    """All pages at once: each of them mostly waits."""
    home = tmp_path_factory.mktemp("docs")
    together = [page for stem in TOGETHER for page in FOLLOWED if page.stem == stem]
    labs = [together, *([page] for page in FOLLOWED if page not in together)]
    with (
        preforked.lab(environment()) as lab,
        preforked.lab(environment(), program="lab up") as up,
        ThreadPoolExecutor(max_workers=len(labs)) as pool,
    ):
        found = pool.map(lambda pages: follow(pages, home / pages[0].stem, Programs(lab, up)), labs)
        return {page: lie for some in found for page, lie in some.items()}


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_commands_do_what_the_page_shows(page: Path, lies: dict[Path, str | None]) -> None:
    assert lies[page] is None, lies[page]


@pytest.mark.parametrize(
    ("shown", "printed", "lie"),
    [
        (["a", "...", "c"], ["a", "b", "c"], None),
        (["c", "a"], ["a", "c"], "a"),
        (["pair  2/2  Running  0  3s"], ["pair   2/2   Running   0          12m5s"], None),
        (["pair  2/2  Running  0  3s"], ["pair  2/2  Running  1  3s"], "pair  2/2  Running  0  3s"),
        (["10.1.2.2:40000"], ["10.1.2.2:51111"], None),
        (["10.1.2.2:40000"], ["10.1.2.3:51111"], "10.1.2.2:40000"),
        (["link/ether 0a:58:0a:01:02:02"], ["link/ether 0a:58:0a:01:02:03"], "link/ether 0a:58:0a:01:02:02"),
        (["the lab is off"], ["the lab is off (mine)"], None),
        (["ok ... ok"], ["ok NO ok NO"], "ok ... ok"),
    ],
)
def test_a_page_may_leave_out_but_not_lie(shown: list[str], printed: list[str], lie: str | None) -> None:
    assert first_lie(shown, printed, "mine") == lie
