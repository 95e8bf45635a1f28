"""``--check`` shows for every host the lines that a run then types, from a dark lab on and from way to way."""

from __future__ import annotations

import re

from .conftest import TestLab

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
    return {host: [line for line in lines if not line.startswith("power on")] for host, lines in found.items()}


def test_check_shows_the_lines_of_the_run_for_every_way(lab: TestLab) -> None:
    for way in WAYS:
        options = ("-e", f'{{"cluster": {{"pod_routing": "{way}"}}}}', "--skip-tags", "verify")
        said = typed(lab.converge("--check", *options))
        assert said.keys() == ({"gateway", "node1", "node2"} if way != "host-gw" else {"node1", "node2"})
        assert any(line.startswith("ip route replace 10.1.") for line in said["node1"])
        assert said == typed(lab.converge(*options))
        assert typed(lab.converge("--check", *options)) == {}
