"""``--check`` shows for every host the lines that a run then types, from a dark lab on and from way to way."""

from __future__ import annotations

import re

from .conftest import ROOT, TestLab

REMEMBERED = "# /var/lib/podlab/"
WAYS = ("vxlan", "host-gw", "gateway")


def typed(output: str) -> dict[str, list[str]]:
    """Host -> the lines that stand above its ``changed``."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in output.splitlines():
        host = re.match(r"changed: \[(\w+)\]", line)
        if host:
            found.setdefault(host[1], []).extend(lines)
        if host or line.startswith(("TASK [", "PLAY [")) or not line:
            lines = []
        else:
            lines.append(line)
    return {host: _once([line for line in lines if not line.startswith("power on")]) for host, lines in found.items()}


def _once(lines: list[str]) -> list[str]:
    """What is remembered is written again when pods are ready, and said again in the same words."""
    again = {at for at, line in enumerate(lines) if line.startswith(REMEMBERED) and line in lines[:at]}
    return [line for at, line in enumerate(lines) if at not in again]


NO_VERIFY = ("--skip-tags", "verify")


# Deployment and Service of this name -> replicas before, and after.
SCALED = {"grows": (2, 3), "shrinks": (3, 1), "ends": (1, 0), "begins": (0, 2)}


def scale(lab: TestLab, after: bool) -> None:
    text = (ROOT / "manifests" / "web.yml").read_text().replace(", nodePort: 30080", "")
    lab.write(
        **{
            name: text.replace("replicas: 2", f"replicas: {counts[after]}").replace("web", name)
            for name, counts in SCALED.items()
        }
    )


def in_any_order(lines: dict[str, list[str]]) -> dict[str, list[str]]:
    """Nodes hear of pods that go before these do, where others serve on: check mode has all of it in one place."""
    return {host: sorted(some) for host, some in lines.items()}


def test_check_shows_the_lines_of_the_run_for_every_way(lab: TestLab) -> None:
    for way in WAYS:
        options = ("-e", f'{{"podlab_pod_routing": "{way}"}}', "--skip-tags", "verify")
        said = typed(lab.converge("--check", *options))
        assert said.keys() == ({"gateway", "node1", "node2"} if way != "host-gw" else {"node1", "node2"})
        assert any(line.startswith("ip route replace 10.1.") for line in said["node1"])
        if way == WAYS[0]:  # Services as they are once pods are ready
            rules = [line for line in said["node1"] if "default/web" in line]
            assert sum("-j DNAT" in line for line in rules) == 2
            assert not any("REJECT" in line for line in rules)
        assert said == typed(lab.converge(*options))
        assert typed(lab.converge("--check", *options)) == {}


def test_check_shows_what_becomes_of_services_when_pods_come_and_go(lab: TestLab) -> None:
    scale(lab, after=False)
    lab.converge(*NO_VERIFY)
    scale(lab, after=True)
    said = in_any_order(typed(lab.converge("--check", *NO_VERIFY)))
    refused = [line for line in said["node1"] if "-A " in line and "REJECT" in line]
    assert {name for name in SCALED if any(f"default/{name}:" in line for line in refused)} == {"ends"}, said["node1"]
    assert all(any(f"default/{name}:" in line for line in said["node1"]) for name in SCALED)
    assert said == in_any_order(typed(lab.converge(*NO_VERIFY)))
