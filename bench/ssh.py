"""What it costs to reach hosts over SSH: the same hosts, with an OpenSSH server and sudo in them, and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from embedded.over_ssh import OverSsh, Unavailable, why_not

from .bench_run import BenchRun
from .figures import Row, at_most, times_peer
from .labs import CONTROLLER, GATEWAY, BenchLab, address, deployment, lab
from .processes import Failed

WHAT = "site.yml without verify over SSH, 2 nodes and 50 with 4 pods each, beside embedded hosts"

SMALL, LARGE, PODS = 2, 50, 4
MOST = {"from nothing": 1.0, "unchanged": 0.5}  # seconds a host


@dataclass
class Times:
    """Seconds of runs, pairwise: over SSH, and not."""

    ssh: list[float]
    embedded: list[float]


def rows(course: BenchRun) -> Iterator[Row]:
    if why := why_not():
        yield Row(f"{SMALL} nodes over SSH", "s", note=why)
        return
    for size in (SMALL, LARGE):
        for words, times in _measured(course, size).items():
            embedded = tuple(times.embedded)
            yield Row(
                f"{size} nodes {words}", "s", tuple(times.ssh), times_peer(1.5), "embedded", embedded, paired=True
            )
            if size == LARGE:
                each = tuple(seconds / size for seconds in times.ssh)
                yield Row(f"{size} nodes {words}: a host", "s", each, at_most(MOST[words], "s"))


def _measured(course: BenchRun, size: int) -> dict[str, Times]:
    found = {words: Times([], []) for words in MOST}
    for _ in course.rounds(f"{size} nodes x {PODS} pods"):
        with lab("ssh") as made, TemporaryDirectory(prefix="podlab-ssh-") as directory:
            made.has_nodes(size)
            made.wants(deployment("sleeper", size * PODS))
            for words in MOST:
                found[words].embedded.append(made.site()[0])
            made.stop()
            ssh = made.over_ssh(Path(directory))
            inventory = _opened(made, ssh, size)
            for words in MOST:
                found[words].ssh.append(made.site_over(ssh, inventory))
    return found


def _opened(made: BenchLab, ssh: OverSsh, size: int) -> Path:
    """Light bare hosts and let SSH in; an inventory of them."""
    nodes = {f"node{number}": address(f"node{number}") for number in range(1, size + 1)}
    made.start("gateway", *nodes, CONTROLLER)
    try:
        ssh.open({"gateway": GATEWAY, **nodes})
    except Unavailable as error:
        raise Failed(str(error)) from error
    return ssh.inventory({"gateways": {"gateway": GATEWAY}, "nodes": nodes})
