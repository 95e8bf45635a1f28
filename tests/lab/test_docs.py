"""The documentation is true: its commands print what it shows, its tables are the code's, its links lead somewhere.

A fenced block marked ``console`` holds commands after ``$ `` (``> `` continues one) and what they print. Every page
has a lab of its own and one shell for all of its commands, in their order. After ``console`` may stand:

    fails          the command is meant to end with an exit code that is not 0
    needs: NAME    the commands are run where the program NAME is there, and by root
    skip: WHY      the commands cannot be run in a test

What is shown has to occur in what is printed, line by line in that order; ``...`` stands for anything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

import podlab
from podlab.embedded import Lab
from podlab.planner.inputs.settings import PREFIX, SETTINGS
from podlab.planner.manifests.fields import TABLE, Outcome, Rule
from podlab.planner.manifests.objects import KINDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LONGEST = 60.0  # seconds for one command


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


class Shell:
    """A reader's shell: what one command sets, the next one has."""

    def __init__(self, environment: Mapping[str, str]) -> None:
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


def follow(page: Path, directory: Path) -> str | None:
    """Do what a page says, in a lab of its own; the first thing that is not as it says."""
    lab = f"docs-{uuid.uuid4().hex[:8]}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    directory.mkdir()
    words = {"PATH": path, "PODLAB_LAB": lab, "TMPDIR": str(directory), "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    shell = Shell(os.environ | words)
    try:
        first = next(command.text for command in commands_of(page) if command.text.startswith("./lab"))
        if not first.startswith("./lab up") or "--check" in first:  # else the page lights it by itself
            code, printed = shell.run("./lab up --skip-tags verify")
            if code:
                return "\n".join(printed)
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
        Lab(str(ROOT), lab).power_off()
    return None


FOLLOWED = [page for page in PAGES if commands_of(page)]


@pytest.fixture(scope="module")
def lies(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str | None]:
    """All pages at once: each of them mostly waits."""
    home = tmp_path_factory.mktemp("docs")
    with ThreadPoolExecutor(max_workers=len(FOLLOWED)) as pool:
        return dict(zip(FOLLOWED, pool.map(lambda page: follow(page, home / page.stem), FOLLOWED), strict=True))


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A command in an unmarked block would never be run."""
    openings = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.MULTILINE)[::2]
    known = r"console( fails| needs: \S+| skip: .+)?|text|yaml|python"
    assert [info for info in openings if not re.fullmatch(known, info)] == []


# --- links --------------------------------------------------------------------------------------------

WRITTEN = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_links_lead_to_what_exists(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page: Path) -> None:
    """A path in backticks that begins with a directory of the clone is one of the clone's files."""
    named = re.findall(r"`([\w.*@-]+(?:/[\w.*@-]+)*/?)`", page.read_text("utf-8"))
    ours = [name for name in named if "/" in name and (ROOT / name.split("/")[0]).is_dir()]
    assert [name for name in ours if not list(ROOT.glob(name.rstrip("/")))] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in text] == []


# --- tables -------------------------------------------------------------------------------------------


def options() -> dict[str, object]:
    """Settings that all hosts share with their defaults, as ``ansible-doc -t role plan`` has them."""
    specs = yaml.safe_load((ROOT / "roles" / "plan" / "meta" / "argument_specs.yml").read_text("utf-8"))
    spec = specs["argument_specs"]["main"]["options"]
    return {name: option.get("default") for name, option in spec.items() if name.startswith(PREFIX)}


def test_settings_page_has_every_setting_with_its_default() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`|none) \|", text, re.MULTILINE)
    shown = {name: default and yaml.safe_load(default) for name, default in rows}
    assert {name: shown.get(name) for name in options()} == {
        name: "" if value is None else value for name, value in options().items()
    }
    assert {name for name in SETTINGS if f"| `{name}` |" not in text} == set()


def test_settings_page_says_what_becomes_of_every_old_name() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    renamed = dict(re.findall(r"^\| `([\w.]+)` \| `(\w+)` \|$", text, re.MULTILINE))
    assert renamed == {setting.old: name for name, setting in SETTINGS.items() if setting.old} | {
        "outsiders": "external"
    }


def test_argument_spec_and_planner_have_the_same_defaults() -> None:
    planner = {name: setting.default for name, setting in SETTINGS.items() if setting.of == "cluster"}
    assert options() == json.loads(json.dumps(planner))


def test_manifests_page_names_every_kind_and_image() -> None:
    text = (DOCS / "manifests.md").read_text("utf-8")
    catalogue = yaml.safe_load((ROOT / "images" / "catalogue.yml").read_text("utf-8"))
    names = [kind for _, kind in KINDS] + [str(image) for image in catalogue]
    assert [name for name in names if f"`{name}`" not in text] == []


BEGIN, END = "<!-- from planner/manifests/fields.py; pytest --update-golden writes it anew -->\n", "<!-- end -->\n"


def test_manifests_page_says_what_becomes_of_every_field(request: pytest.FixtureRequest) -> None:
    page = DOCS / "manifests.md"
    before, rest = page.read_text("utf-8").split(BEGIN)
    present, after = rest.split(END)
    if request.config.getoption("--update-golden"):
        page.write_text(before + BEGIN + field_section() + END + after, encoding="utf-8")
        return
    assert present == field_section(), "docs/manifests.md says something else; --update-golden writes it anew"


def parts() -> dict[str, dict[str, Rule]]:
    """The table, taken apart so that nothing is said twice: words for the part -> fields below it -> rule."""
    pod = TABLE["Pod"]
    common = {path: rule for path, rule in pod.items() if not path.startswith("spec.")}
    container, init = below("spec.containers[*].", pod), below("spec.initContainers[*].", pod)
    lists = ("containers[*].", "initContainers[*].")
    workloads = {kind: rules for kind, rules in TABLE.items() if "spec.template.spec.restartPolicy" in rules}
    for kind, rules in workloads.items():
        own = {path: rule for path, rule in below("spec.template.", rules).items() if path.startswith("spec.")}
        assert own == {path: rule for path, rule in pod.items() if path in own}, (
            f"the pods of a {kind} have rules of their own"
        )
    return {
        "every object": common,
        "pod `spec`": {path: rule for path, rule in below("spec.", pod).items() if not path.startswith(lists)},
        "container": container,
        "init container": different(init, container),
        **{kind: different(rules, common, "spec.template.spec.") for kind, rules in TABLE.items() if kind != "Pod"},
    }


def below(prefix: str, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    return {path.removeprefix(prefix): rule for path, rule in rules.items() if path.startswith(prefix)}


def different(rules: Mapping[str, Rule], common: Mapping[str, Rule], said: str = "\0") -> dict[str, Rule]:
    return {path: rule for path, rule in rules.items() if common.get(path) != rule and not path.startswith(said)}


def field_section() -> str:
    return "".join(
        [
            "\n### Honoured\n\n",
            *listed(Outcome.HONOURED),
            "\n### Refused\n\n| of | field | why, or what instead |\n|---|---|---|\n",
            *refused(),
            "\n### Ignored, and said once in a note of the run\n\n",
            *listed(Outcome.IGNORED),
            "\nSo is every other field that Kubernetes' schema has.\n",
            "\n### Passed over in silence, because the API server sets it itself\n\n",
            *listed(Outcome.DROPPED),
            "\n",
        ]
    )


def listed(outcome: Outcome) -> Iterator[str]:
    for part, rules in parts().items():
        names = [f"`{path}`" for path, rule in rules.items() if rule.outcome is outcome]
        if names:
            text = f"- {part}: {', '.join(names)}"
            lines = textwrap.wrap(text, 116, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
            yield "\n".join(lines) + "\n"


def refused() -> Iterator[str]:
    """A row for each reason."""
    for part, rules in parts().items():
        reasons: dict[str, list[str]] = {}
        for path, rule in rules.items():
            if rule.outcome is Outcome.REFUSED:
                taken = (
                    f" ({', '.join(f'`{json.dumps(value)}`' for value in rule.harmless)} is taken)"
                    if rule.harmless
                    else ""
                )
                reasons.setdefault(rule.why, []).append(f"`{path}`{taken}")
        for why, paths in reasons.items():
            yield f"| {part} | {', '.join(paths)} | {why} |\n"


def test_changelog_has_this_version() -> None:
    assert f"## {podlab.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


# --- the inventory for real hosts ---------------------------------------------------------------------


def test_sample_of_real_hosts_is_an_inventory_of_documentation_addresses() -> None:
    argv = [f"{Path(sys.executable).parent}/ansible-inventory", "-i", "inventory/remote", "--list"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    inventory = json.loads(done.stdout)
    assert inventory["nodes"]["hosts"]
    assert inventory["gateways"]["hosts"]
    assert "embedded" not in inventory
    addresses = [host.get("node_ip", host["ansible_host"]) for host in inventory["_meta"]["hostvars"].values()]
    assert [address for address in addresses if not address.startswith("192.0.2.")] == []
