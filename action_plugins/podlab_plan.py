"""Gathers what the plan needs and asks the planner; documentation is with the module of the same name."""

from __future__ import annotations

import datetime
import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "module_utils"))

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from podlab.configs import Plan, PlannedHost
from podlab.controller import cache, caller, inputs, module_bundle, rollout_report, settings, transport
from podlab.host.lease import stamp
from podlab.planner.controllers.bounds import most_steps, next_turn
from podlab.planner.inputs.cluster import labels_of, taints_of
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.request import components_of
from podlab.planner.manifests.cron_jobs import NewJob
from podlab.planner.model import Invalid
from podlab.planner.plan import plan
from podlab.planner.preflight.listing import listed
from podlab.planner.record.newest import newest_cluster
from podlab.printable import printable
from podlab.records.formats import is_time

ROLES = {"nodes": "node", "gateways": "gateway", "external": "outside"}


class ActionModule(ActionBase):
    """Planning needs no host: it runs once, in the controller's own process."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _, args = self.validate_argument_spec(
            argument_spec={
                "time": {"type": "str"},
                "whole": {"type": "bool", "default": False},
            }
        )
        if args["time"] and not is_time(args["time"]):
            return {"failed": True, "msg": printable(f"plan_time: {args['time']!r} is no time as in RFC 3339, in UTC")}
        gc.disable()  # this process ends with the task; looking for garbage in a large plan takes as long as making it
        now = args["time"] or datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        variables = settings.of_hosts(
            task_vars, [name for group in ROLES for name in task_vars["groups"].get(group, [])]
        )
        hosts = hosts_of(task_vars, variables)
        chosen = settings.of_cluster(task_vars, variables, self._templar.template)
        wanted = inputs.read(ROOT, *chosen, by_hand_of(task_vars, hosts))
        try:
            components = components_of(task_vars["ansible_run_tags"], task_vars["ansible_skip_tags"])
            # Nothing is made in check mode, so nobody can look again at what has become of it.
            assume_ready = args["whole"] or self._task.check_mode
            booting = any(host.boot is not False for host in hosts)  # to pack it takes 50 ms
            code, digest = module_bundle.archive(Path(ROOT, "library")) if booting else ("", "")
            result = planned(wanted, hosts, now, components, digest, assume_ready=assume_ready)
            there = sum(len((host.observation or {}).get("pods", ())) for host in hosts)
            nodes, bare = sum(host.role == "node" for host in hosts), len(wanted.desired.pods)
            limit = most_steps(wanted.desired.workloads, nodes, there + bare)
            result["turn"] = next_turn(task_vars.get("podlab_plan", {}).get("turn"), limit, result["unfinished"])
        except Invalid as error:
            lines = listed(error.problems, whole=self._display.verbosity > 0)
            return {"failed": True, "msg": printable("\n".join(lines))}
        leases = caller.leases_of(hosts)
        writes = not self._task.check_mode and any(rows["pending"] for rows in result["hosts"].values())
        if writes and (words := caller.refusal(leases)):
            return {"failed": True, "msg": printable(words)}
        result |= {"writes": writes, "leases": {name: stamp(lease) for name, lease in leases.items()}}
        # A run that makes something says in the end which pods wait.
        waiting = rollout_report.lines_of_pending(result["pending_pods"]) if assume_ready else []
        for note in (*new_notes(task_vars, result["notes"]), *waiting):
            self._display.display(printable(note if note.startswith(" ") else f"note: {note}"))
        if any("system" in rows["pending"] for rows in result["hosts"].values()):
            result["code"] = code
        # No fact: Ansible copies every fact for every host and task, deeply.
        # Not even with -v it is printed: values of Secrets are in it.
        carried = transport.encode(result, whole=args["whole"])
        carried["groups"] = groups_of(result["hosts"])
        return {"changed": False, "_ansible_verbose_override": True, **carried}


def planned(
    wanted: inputs.Inputs, hosts: Sequence[Host], now: str, components: Sequence[str], code: str, *, assume_ready: bool
) -> Plan:
    return plan(
        *(wanted.cluster, hosts, wanted.desired, wanted.programs, now, wanted.problems),
        assume_ready=assume_ready,
        components=components,
        code=code,
        planner_code=cache.code_digest(),
    )


def new_notes(task_vars: Mapping[str, Any], notes: Sequence[str]) -> list[str]:
    """Those that the plan before in the same run has not said. A note's further lines go with it."""
    said = {*task_vars.get("podlab_plan", {}).get("notes", ())}
    found, is_new = [], True
    for note in notes:
        is_new = is_new if note.startswith(" ") else note not in said
        found += [note] if is_new else []
    return found


def groups_of(hosts: Mapping[str, PlannedHost]) -> dict[str, list[str]]:
    """Host -> components whose play it takes part in: what is pending there, and what is for others alone.

    Ansible ends a run where all hosts of a play have failed in it, as if there were no other ones. So each play has one
    more, which has nothing to do there: the last one, as it is mostly beyond the cluster.
    """
    found = {name: list(rows["pending"]) for name, rows in hosts.items()}
    for component in dict.fromkeys(component for pending in found.values() for component in pending):
        idle = next((name for name in reversed(found) if component not in found[name]), None)
        if idle is not None:
            found[idle].append(component)
    return found


def by_hand_of(task_vars: Mapping[str, Any], hosts: Sequence[Host]) -> tuple[Mapping[str, Any], NewJob | None]:
    """Jobs made by hand: those that the record has, or that an earlier plan of this run has made, and a new one."""
    before = task_vars.get("podlab_plan")
    if before is not None:
        return before["jobs_by_hand"], None
    asked = task_vars.get("podlab_create_job")
    return newest_cluster(hosts).get("jobsByHand", {}), NewJob(**asked) if asked else None


def hosts_of(task_vars: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]) -> list[Host]:
    """The inventory's hosts in its order, each with what this run saw of it."""
    others = {
        answer["item"]: answer.get("observation") for answer in task_vars.get("observed_others", {}).get("results", [])
    }
    told = {
        name: hostvars[name].get("observe_result", {}).get("observation", others.get(name))
        for group in ROLES
        for name in task_vars["groups"].get(group, [])
    }
    observations = dict(zip(told, transport.all_opened(told.values()), strict=True))
    hosts = []
    for group, role in ROLES.items():
        for name in task_vars["groups"].get(group, []):
            variables = hostvars[name]
            observation = observations[name]
            installed = variables.get("programs_result", {})
            if isinstance(observation, dict) and installed.get("changed"):
                observation = {**observation, "missing": {}}  # or, in check mode, would be there by now
            taints, wrong_taints = taints_of(variables.get("node_taints", []))
            labels, wrong_labels = labels_of(variables.get("node_labels", {}))
            boot, wrong_boot = boot_of(variables)
            hosts.append(
                Host(
                    name=name,
                    role=role,
                    address=str(variables.get("node_ip", variables.get("ansible_host", name))),
                    labels=labels,
                    observation=observation,
                    in_run=name in task_vars["ansible_play_hosts"],
                    taints=taints,
                    wrong=(*wrong_labels, *wrong_taints, *wrong_boot),
                    boot=boot,
                    unavailable=str(installed.get("unavailable") or ""),
                )
            )
    return hosts


def boot_of(variables: Mapping[str, Any]) -> tuple[bool | None, tuple[str, ...]]:
    """``podlab_boot`` of a host, and what is wrong with it. An embedded host ends with its lab."""
    if "podlab_boot" not in variables:
        return (False if variables.get("ansible_connection") == "embedded" else None), ()
    try:
        return boolean(variables["podlab_boot"]), ()
    except TypeError:
        shown = json.dumps(variables["podlab_boot"], default=str)
        return None, (f"podlab_boot: Invalid value: {shown}: must be of type boolean",)
