"""Runs the components of a node one by one, on the node, and tells how long each took.

It travels and starts as podlab's modules do (``controller/module_bundle.py``), and calls what they call. ``pods`` is
taken apart: what ``changes`` has found is applied kind by kind, so that links have a time of their own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.podlab.changes.actions import Action, Ip, NetnsIp
from ansible.module_utils.podlab.changes.network import bridge
from ansible.module_utils.podlab.changes.pods import pods
from ansible.module_utils.podlab.changes.pods.actions import (
    AnnouncePod,
    InstallBusybox,
    InstallProgram,
    MakeNetnsMounts,
    MakeSandbox,
)
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.pods import programs, ready
from ansible.module_utils.podlab.host.pods import runners as runners

SANDBOXES = (MakeNetnsMounts, MakeSandbox)
LINKS = (Ip, NetnsIp, AnnouncePod)

ARGUMENT_SPEC = {"rows": {"type": "dict", "required": True}, "containers": {"type": "bool", "default": False}}


class Clock:
    """Phase -> seconds."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.phases[name] = time.perf_counter() - started


def links(clock: Clock, rows: dict[str, Any]) -> list[Action]:
    """All up to the pods' routes; what is left to do."""
    with clock.phase("bridge"):
        actions.apply(bridge.actions(network.links(), rows["bridge"]))
    with clock.phase("observe"):
        seen = network.links(), host_pods.observe()
    with clock.phase("changes"):
        found: list[Action] = pods.changes(*seen, rows["pods"]["pods"])
    with clock.phase("sandboxes"):
        actions.apply(action for action in found if isinstance(action, SANDBOXES))
    with clock.phase("links"):
        actions.apply(action for action in found if isinstance(action, LINKS))
    return found


def processes(clock: Clock, rows: dict[str, Any], found: list[Action]) -> None:
    """All the rest: volumes, containers, and the time until every pod is ready."""
    with clock.phase("programs"):
        stale = programs.stale(rows["pods"]["programs"])
        install: list[Action] = [InstallProgram(name, rows["pods"]["programs"][name]) for name in stale]
        actions.apply([*install, *([InstallBusybox()] if programs.lacks_busybox() else [])])
    with clock.phase("containers"):
        actions.apply(action for action in found if not isinstance(action, (*SANDBOXES, *LINKS)))
    with clock.phase("ready"):
        left = ready.wait(dict.fromkeys((row["netns"] for row in rows["pods"]["pods"]), "Ready"), 60.0)
    if left:
        raise RuntimeError(f"{len(left)} pods are not ready: {left[0]['words']}")


if __name__ == "__main__":
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC)
    clock = Clock()
    rest = links(clock, module.params["rows"])
    netns_commands: dict[str, list[str]] = {}
    for action in rest:
        if isinstance(action, NetnsIp):
            netns_commands.setdefault(action.netns, []).append(action.words)
    lines = {"wires": [action.words for action in rest if isinstance(action, Ip)], "netns_commands": netns_commands}
    if module.params["containers"]:
        processes(clock, module.params["rows"], rest)
    module.exit_json(phases=clock.phases, **lines)
