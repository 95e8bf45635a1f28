"""Pods of a node: namespaces, wires, processes."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_pods
short_description: Give a node its pods
description:
  - Builds, mends and removes pods - their namespaces with a pause process, their wire to the bridge, their containers.
  - What is sound is not touched, so open connections of other pods survive.
author: podlab
options:
  pods:
    description:
      - All pods that this node shall have, each with C(name), C(address) and C(containers), which have C(name) and
        C(command). The role C(pods) describes the rest, all of which has a default.
      - A pod of podlab's that is not among them is removed.
    type: json
    required: true
  programs:
    description: podlab's own programs that containers run; file name -> text.
    type: dict
    default: {}
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: One pod
  podlab_pods:
    pods:
      - name: web
        address: 10.1.1.2/24
        containers:
          - {name: web, command: [python3, -m, http.server, "80"]}

- name: This node has no pods
  podlab_pods:
    pods: []
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.podlab.changes import script_text
from ansible.module_utils.podlab.changes.network import defaults
from ansible.module_utils.podlab.changes.network.bridge import Link
from ansible.module_utils.podlab.changes.pods import configs, pod_commands, pods, problems, s6_commands
from ansible.module_utils.podlab.changes.pods.configs import Item
from ansible.module_utils.podlab.configs import PodRow
from ansible.module_utils.podlab.host import record
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.pods import containers, lost_supervisors
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.run import HostError
from ansible.module_utils.podlab.programs import NODE, PODS

ARGUMENT_SPEC = {
    "pods": {"type": "json", "required": True},
    "programs": {"type": "dict", "default": {}},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> Any:
    links, observed, items, programs = (
        network.links(),
        host_pods.observe(),
        json.loads(params["pods"]),
        params["programs"],
    )
    rows = _complete(items, links, observed)
    steps = pods.changes(links, observed, rows)
    stale = containers.stale_programs(programs)
    # One that is about to be started or taken away needs no telling.
    is_stale = not {"kubelet", "enter"}.isdisjoint(stale)  # it runs the text of both
    restart = is_stale and steps.kubelet not in ("start", "stop") and containers.kubelet_lives()
    lines = script_text.brief(s6_commands.programs({name: programs[name] for name in stale}))
    lines += [s6_commands.BUSYBOX] if lines and containers.lacks_busybox() else []
    lines += [*(lost_supervisors.lines() if steps else []), *pod_commands.lines(steps)]
    lines += [f"s6-svc -t {s6_commands.KUBELET}"] if restart else []

    def apply() -> None:
        if wrong := [*_missing(rows), *problems.without_bridge(rows, links)]:
            raise HostError("\n".join(wrong))
        containers.write_programs(programs)
        host_pods.apply(steps)
        if restart:
            containers.restart_kubelet()

    return lines, apply


def _missing(rows: Sequence[PodRow]) -> list[str]:
    """Programs that this host lacks. Not in check mode: a run may bring them before it comes here."""
    found = network.missing_programs(PODS) if rows else []
    return [f"{name}: command not found, and pods need it; install the package {NODE[name]}" for name in found]


def _complete(items: list[Item], links: Mapping[str, Link], observed: Mapping[str, pods.Pod]) -> list[PodRow]:
    """The pods with what a person has not said.

    :raises HostError: with all that is wrong with them.
    """
    wrong = problems.problems(items)
    if not wrong and not record.has_cluster():  # in a cluster it is the plan that looks
        wrong = problems.in_the_way(items, {*host_pods.namespaces_of_others()} - observed.keys())
    if wrong:
        raise HostError("\n".join(wrong))
    ways = functools.cache(network.routes)
    return [configs.complete(item, lambda bridge: defaults.pod_mtu(bridge, links, ways())) for item in items]


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "pods", programs={})  # they lie on the disk
