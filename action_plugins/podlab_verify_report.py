"""Holds the answers against the plan; documentation is with the module of the same name."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible.plugins.action import ActionBase

from podlab.controller import rollout_report, transport
from podlab.controller.outcomes import RUN
from podlab.planner.verify import pod_report, service_report
from podlab.printable import printable


class ActionModule(ActionBase):
    """Runs once on the controller, over what ``podlab_probe`` registered as ``verify_result`` on every host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self.validate_argument_spec(argument_spec={})
        if self._task.check_mode:
            self._display.display(unchecked(task_vars["podlab_plan"]["hosts"], task_vars["groups"]["nodes"]))
            return {"skipped": True, "msg": "check mode asks nothing, so there is nothing to judge"}
        matrix = transport.decode(task_vars["podlab_plan"]["verify"])
        # A plan that was made after a loss knows the host no more, but as the home of endpoints.
        absent = {end["host"] for end in matrix["ends"]} - set(task_vars["ansible_play_hosts"]) | RUN.silent.keys()
        parted = not RUN.silent.keys().isdisjoint(task_vars["groups"].get("gateways", ()))
        matrix = pod_report.without(matrix, absent, parted=parted)
        answers, deaf, failures = answered(matrix, absent, task_vars)
        cells = sum(map(len, matrix["expect"].values()))
        self._display.display(printable("\n" + pod_report.table(matrix, answers)))
        if matrix["sampled"] < matrix["pods"]:
            self._display.display(f"{matrix['sampled']} of {matrix['pods']} pods, a sample")
        for host in sorted(absent):
            self._display.display(printable(f"{host} {RUN.absence(host)}; what has to do with it is not judged"))
        services = matrix["services"]
        if "services" in task_vars.get("ansible_skip_tags", ()):
            services = {**services, "asks": [], "unprobed": []}
        report = judged(services, matrix["ends"], task_vars, absent, parted)
        wrong = failures + pod_report.differences(matrix, answers, deaf) + report.wrong
        if wrong:
            wrong += pod_report.causes(matrix)
            # Hosts take no part in the plays after this one, so what these would say is said here.
            unready = rollout_report.unready(task_vars)
            for line in report.notes:
                self._display.display(printable(line))
            rollout_report.tell_in_place()
            words = "\n".join([*wrong, *rollout_report.lines(unready, task_vars)])
            return {"failed": True, "msg": printable(words)}
        rollout_report.tell_in_place()  # also where the exit code is another host's, which was lost or refused
        words = f"{cells} of {cells} connections are as planned, source addresses included"
        self._display.display(f"{words if cells else 'nothing was checked: no node takes part in this run'}\n")
        for line in service_report.summary(services, report):
            self._display.display(printable(line))
        return {"changed": False, "cells": cells, "calls": report.calls}


def unchecked(hosts: Mapping[str, Mapping[str, Any]], nodes: Sequence[str]) -> str:
    """What a run without changes says of calls: those of before would tell nothing of what it would make."""
    bare = [name for name in nodes if "bridge" in hosts.get(name, {}).get("pending", ())]
    if bare:
        return printable(f"nothing was checked: {', '.join(bare)} can carry no pods yet\n")
    return "nothing was checked: check mode calls nobody\n"


def answered(
    matrix: Mapping[str, Any], absent: set[str], task_vars: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """What hosts have found out, each about its own ends: nobody answers for another host's pods. Which of these cannot
    be called, and who failed."""
    answers, deaf = dict[str, Any](), dict[str, str]()
    failures = []
    homes = {end["name"]: end["host"] for end in matrix["ends"]}
    for host in (host for host in dict.fromkeys(homes.values()) if host not in absent):
        probed = task_vars["hostvars"][host].get("verify_result", {})
        answers |= {end: met for end, met in probed.get("answers", {}).items() if homes.get(end) == host}
        deaf |= {end: why for end, why in probed.get("deaf", {}).items() if homes.get(end) == host}
        if probed.get("failed"):
            failures.append(f"{host}: {probed.get('msg')}")
    return answers, deaf, failures


def judged(
    services: Mapping[str, Any], ends: list[Any], task_vars: Mapping[str, Any], absent: set[str], parted: bool
) -> service_report.Report:
    """What clients of Services met, as the probes registered it on every host, in the order of these calls."""
    outcomes: dict[int, Any] = {}
    flows: dict[str, list[service_report.Flow]] = {}
    listening: dict[str, list[str]] = {}
    failures, incomplete = [], []
    homes = {end["name"]: end["host"] for end in ends}
    asked_by = [homes[ask["source"]] for ask in services["asks"]]
    for host in task_vars["ansible_play_hosts"]:
        for name in ("verify_result", "verify_services", "verify_flows"):
            found = task_vars["hostvars"][host].get(name, {})
            if found.get("failed") and name != "verify_result":
                failures.append(f"{host}: {found.get('msg')}")
            incomplete += [host] if not found.get("is_whole", True) else []
            for to, looks in json.loads(found.get("listening", "{}")).items():
                if services["endpoints"].get(to, {}).get("host") == host:  # nobody speaks of another host's programs
                    listening.setdefault(to, []).extend(looks)
            tried = {int(at): tries for at, tries in json.loads(found.get("outcomes", "{}")).items()}
            outcomes |= {at: tries for at, tries in tried.items() if at < len(asked_by) and asked_by[at] == host}
            if "flows" in found:
                told = (service_report.Flow(*flow) for flow in json.loads(found["flows"]))
                flows.setdefault(host, []).extend(told)
    observed = (outcomes, flows, listening, services["endpoints"], incomplete)
    report = service_report.judge(services["asks"], ends, *observed, absent, parted)
    report.wrong[:0] = failures
    return report
