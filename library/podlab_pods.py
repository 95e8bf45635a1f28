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

from ansible.module_utils.podlab.changes.actions import Require
from ansible.module_utils.podlab.changes.network import defaults
from ansible.module_utils.podlab.changes.pods import configs, pods, problems
from ansible.module_utils.podlab.changes.pods.actions import (
    InstallBusybox,
    InstallProgram,
    RestartKubelet,
    StartKubelet,
    StopKubelet,
)
from ansible.module_utils.podlab.changes.pods.configs import Item
from ansible.module_utils.podlab.configs import PodConfig
from ansible.module_utils.podlab.host import actions, record
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.pods import kubelet_service, lost_supervisors, programs
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.pods import runners as runners
from ansible.module_utils.podlab.host.run import HostError
from ansible.module_utils.podlab.programs import NODE, PODS
from ansible.module_utils.podlab.records.observation import Link, ObservedPod

ARGUMENT_SPEC = {
    "pods": {"type": "json", "required": True},
    "programs": {"type": "dict", "default": {}},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    links, observed = network.links(), host_pods.observe()
    rows = _complete(json.loads(params["pods"]), links, observed)
    found = pods.changes(links, observed, rows)
    stale = programs.stale(params["programs"])
    install = [InstallProgram(name, params["programs"][name]) for name in stale]
    busybox = [InstallBusybox()] if (stale or found) and programs.lacks_busybox() else []
    lost = lost_supervisors.actions() if found else []
    # It runs the text of both. One that is about to be started or taken away needs no telling.
    is_stale = not {"kubelet", "enter"}.isdisjoint(stale)
    stays = not any(isinstance(action, (StartKubelet, StopKubelet)) for action in found)
    restart = [RestartKubelet()] if is_stale and stays and kubelet_service.lives() else []
    lacking = [Require(wrong)] if (wrong := [*_missing(rows), *problems.without_bridge(rows, links)]) else []
    return actions.Todo([*lacking, *install, *busybox, *lost, *found, *restart])


def _missing(rows: Sequence[PodConfig]) -> list[str]:
    """Programs that this host lacks. Not in check mode: a run may bring them before it comes here."""
    found = network.missing_programs(PODS) if rows else []
    return [f"{name}: command not found, and pods need it; install the package {NODE[name]}" for name in found]


def _complete(items: list[Item], links: Mapping[str, Link], observed: Mapping[str, ObservedPod]) -> list[PodConfig]:
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
