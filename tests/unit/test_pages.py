"""The documentation's tables are the code's, and its links lead somewhere; ``tests/lab/test_docs.py`` runs its
commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

import podlab
from podlab.planner.inputs.settings import PREFIX, SETTINGS
from podlab.planner.manifests.fields import TABLE, Outcome, Rule
from podlab.planner.manifests.objects import KINDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


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


BEGIN, END = "<!-- from planner/manifests/field_table.py; pytest --update-golden writes it anew -->\n", "<!-- end -->\n"


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
