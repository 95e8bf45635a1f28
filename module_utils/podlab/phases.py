"""A pod's status in Kubernetes' words, out of its row and of what its host saw. Pure: the same facts, the same status.

Phases, conditions and states are worked out as the kubelet does it (release 1.30: getPhase and
convertToAPIContainerStatuses in pkg/kubelet/kubelet_pods.go, pkg/kubelet/status/generate.go, UpdatePodStatus in
pkg/kubelet/prober); https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ tells what they mean.

The planner, ``./lab`` and the module that waits for pods ask here, so that all of them mean the same by "ready".
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .changes.pods.stand_ins import image_id
from .configs import ContainerConfig, PodConfig
from .records import pod_config
from .running import Facts, merely_runs, running_for, seen_at

Object = dict[str, Any]

ENDED = ("Succeeded", "Failed")
"""Phases of a pod that nothing starts again."""


def status(row: PodConfig, facts: Facts) -> Object:
    """What of a pod's status its containers make: phase, conditions, and a status for each container.

    :param row: a PodConfig. :param facts: of its containers, by name.
    """
    init = [_container(row, name, facts, is_init=True) for name in row.get("init", ())]
    main = [_container(row, name, facts, is_init=False) for name in regular(row)]
    failed = next((known["failed"] for known in facts.values() if known.get("failed")), None)
    phase = "Failed" if failed else _phase(row, init, main)
    found: Object = {"phase": phase, "conditions": _conditions(row, phase, init, main)}
    if failed:
        found |= {"reason": failed["reason"], "message": failed["message"]}
    if init:
        found["initContainerStatuses"] = init
    return {**found, "containerStatuses": main}


class Summary(NamedTuple):
    """What a plan asks of a status."""

    phase: str
    is_ready: bool
    is_settled: bool
    ready_for: float
    ended_for: float | None = None
    reason: str = ""


def summary(row: PodConfig, facts: Facts) -> Summary:
    """As ``status`` and what is asked of it say. A pod of which nothing is to be said but that it runs has no status
    made for that: a cluster has tens of thousands, and this takes a tenth of the time."""
    if merely_runs(row, facts):
        return Summary("Running", True, True, running_for(facts))
    found = status(row, facts)
    return Summary(
        *(found["phase"], is_ready(found), is_settled(row, found), ready_for(row, found, facts)),
        *(ended_for(found, facts), found.get("reason", "")),
    )


def is_ready(status: Mapping[str, Any]) -> bool:
    """Whether a pod's status has the condition Ready."""
    return any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", ()))


def is_settled(row: PodConfig, status: Mapping[str, Any]) -> bool:
    """Whether a run need not wait for a pod: it is ready (how its init containers ended may have been lost since), or
    each of its containers is or has done its work and stays down, which on Kubernetes is a pod that is never ready.
    """
    if status["phase"] in ENDED:
        return bool(status["phase"] == "Succeeded")
    return is_ready(status) or all(
        item["ready"] or _has_done_its_work(row, item)
        for item in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    )


def _has_done_its_work(row: PodConfig, item: Object) -> bool:
    ended = item["state"].get("terminated")
    return bool(ended) and ended["exitCode"] == 0 and policy_of(row, item["name"]) != "Always"


def ready_since(row: PodConfig, facts: Facts) -> float | None:
    """When the last container of a pod that is ready got ready, by its host's clock; None where it is unknown."""
    since: list[float] = []
    for name in (*regular(row), *sidecars(row)):
        known = facts.get(name) or pod_config.NO_FACTS
        probed = {"startup", "readiness"} & row["containers"][name].keys()
        moment = health_of(known).get("ready_at") if probed else None
        if (moment := moment or known.get("started")) is None:
            return None
        since.append(float(moment))
    return max(since) if since else None


def first_chance(container: ContainerConfig) -> int:
    """Seconds after the start of a container before which none of its probes can have made it ready."""
    startup, readiness = container.get("startup"), container.get("readiness")
    seconds = startup["initial_delay"] if startup else 0
    if readiness:
        seconds = max(seconds, readiness["initial_delay"]) + (readiness["success"] - 1) * readiness["period"]
    return int(seconds)


def ready_for(row: PodConfig, status: Mapping[str, Any], facts: Facts) -> float:
    """For how many seconds a pod has been ready: minReadySeconds asks for some of them."""
    return _up_for(row, facts) if is_ready(status) else 0.0


def _up_for(row: PodConfig, facts: Facts) -> float:
    since = ready_since(row, facts)
    return 0.0 if since is None else max(0.0, seen_at(facts) - since)


def ended_for(status: Mapping[str, Any], facts: Facts) -> float | None:
    """For how many seconds nothing of a pod has run that is over; None if it is not."""
    ends = [last["ended"] for known in facts.values() if (last := known.get("last"))]
    if not has_ended(status) or not ends or any(known.get("pid") is not None for known in facts.values()):
        return None
    return max(0.0, seen_at(facts) - float(max(ends)))


def has_ended(status: Mapping[str, Any]) -> bool:
    """Whether a pod has done what it had to do, or failed to, and nothing will start it again."""
    return status["phase"] in ENDED


def regular(row: PodConfig) -> list[str]:
    """Names of the containers that are no init containers, in their order."""
    return [name for name in row["containers"] if name not in row.get("init", ())]


def sidecars(row: PodConfig) -> list[str]:
    """Init containers that go on beside the others (``restartPolicy: Always``)."""
    return [name for name in row.get("init", ()) if policy_of(row, name) == "Always"]


def policy_of(row: PodConfig, name: str) -> str:
    """The restart policy of one container: the pod's, unless it has one of its own."""
    return row["containers"][name].get("restart_policy") or row["restart_policy"]


def stays_down(policy: str, last: pod_config.Ended) -> bool:
    """Whether a container that ended like this is not started again."""
    return policy == "Never" or (policy == "OnFailure" and last["exit"] == 0)


def health_of(facts: pod_config.Facts) -> pod_config.Health:
    """What probes and hooks said of the start that runs now; nothing if what is there is about another one."""
    health = facts.get("health") or {}
    return health if facts["pid"] is not None and health.get("pid") == facts["pid"] else {}


# --- containers ------------------------------------------------------------------------------------


def _container(row: PodConfig, name: str, facts: Facts, *, is_init: bool) -> Object:
    known = facts.get(name) or pod_config.NO_FACTS
    is_running, last = known["pid"] is not None, known["last"]
    goes_on = not is_init or name in sidecars(row)
    comes_back = not is_running and last is not None and not stays_down(policy_of(row, name), last)
    # The supervisor counts a restart before it waits for it, the kubelet once it has come.
    restarts = known["restarts"] - comes_back
    # Where its pod has failed there is no next start, though one was counted.
    waits = comes_back and not known.get("failed") and not (is_init and goes_on and _work_is_done(row, facts))
    identity = _container_id(f"{row['netns']}.{name}.{restarts}")
    ended = {"terminated": _terminated(last, identity)} if last else {}
    has_run = is_running or bool(last)
    state: Object
    if is_running and (last or _hook_is_done(row, name, known)):
        state = {"running": {"startedAt": timestamp(known["started"])} if known["started"] is not None else {}}
    elif not ended:
        # A container whose postStart hook is at work is not yet called running.
        state = {"waiting": {"reason": "PodInitializing" if row.get("init") else "ContainerCreating"}}
    elif waits and known["backoff"] > 10:
        words = f"back-off restarting failed container={name} pod={row['netns'].replace('_', '/')}"
        state = {"waiting": {"reason": "CrashLoopBackOff", "message": words}}
    else:
        state = ended
    started = goes_on and "running" in state and _is_started(row, name, known)
    ready = started and _probe_is_ready(row, name, known) if goes_on else _succeeded(state)
    return {
        "name": name,
        "image": row["containers"][name]["image"],
        "imageID": image_id(row["containers"][name], known),
        **({"containerID": identity} if has_run else {}),
        "ready": ready,
        "started": started,
        "restartCount": restarts,
        "state": state,
        "lastState": {} if state is ended else ended,
    }


def _hook_is_done(row: PodConfig, name: str, known: pod_config.Facts) -> bool:
    hook = health_of(known).get("post_start")
    return "post_start" not in row["containers"][name] or bool(hook and hook["ok"])


def _is_started(row: PodConfig, name: str, known: pod_config.Facts) -> bool:
    probed = "startup" in row["containers"][name]
    return _hook_is_done(row, name, known) and (not probed or bool(health_of(known).get("started")))


def _probe_is_ready(row: PodConfig, name: str, known: pod_config.Facts) -> bool:
    return "readiness" not in row["containers"][name] or bool(health_of(known).get("ready"))


def _work_is_done(row: PodConfig, facts: Facts) -> bool:
    """Whether every regular container has ended for good: sidecars alone do not keep a pod running."""
    known = [(name, facts.get(name) or pod_config.NO_FACTS) for name in regular(row)]
    return all(
        item["pid"] is None and item["last"] is not None and stays_down(policy_of(row, name), item["last"])
        for name, item in known
    )


def _container_id(identity: str) -> str:
    return f"podlab://{hashlib.sha256(identity.encode()).hexdigest()}"


def _terminated(last: pod_config.Ended, container_id: str) -> Object:
    """``last`` holds exit code 256 after a signal; Kubernetes counts as a shell does, 128 and the signal."""
    by_signal = last["exit"] == 256
    code = 128 + last["signal"] if by_signal else last["exit"]
    return {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        **({"signal": last["signal"]} if by_signal else {}),
        "startedAt": timestamp(last["started"]),
        "finishedAt": timestamp(last["ended"]),
        "containerID": container_id,
    }


def _succeeded(state: Object) -> bool:
    return bool(state.get("terminated", {}).get("exitCode") == 0)


# --- the pod ---------------------------------------------------------------------------------------


def _phase(row: PodConfig, init: Sequence[Object], main: Sequence[Object]) -> str:
    policy, beside = row["restart_policy"], sidecars(row)
    before = [item for item in init if item["name"] not in beside]
    along = [item for item in init if item["name"] in beside]
    if policy == "Never" and any(_failed(item) for item in before):
        return "Failed"
    pending = any(not _has_ended_once(item) for item in before)
    if not _has_begun(main):
        pending |= any("terminated" not in item["state"] and not item["started"] for item in along)
    if pending or any("waiting" in item["state"] and not item["lastState"] for item in (*along, *main)):
        return "Pending"
    if any("running" in item["state"] for item in (*along, *main)):
        return "Running"
    if not main:
        return "Pending"
    if policy == "Always" or any("waiting" in item["state"] for item in main):
        return "Running"
    if all(_succeeded(item["state"]) for item in main):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _failed(item: Object) -> bool:
    end = item["state"].get("terminated") or (
        item["lastState"].get("terminated") if "waiting" in item["state"] else None
    )
    return bool(end and end["exitCode"])


def _has_ended_once(item: Object) -> bool:
    return "terminated" in item["state"] or ("waiting" in item["state"] and bool(item["lastState"]))


def _has_begun(main: Sequence[Object]) -> bool:
    """Whether a regular container has ever been started: the pod was initialized then, whatever happened since."""
    return any("waiting" not in item["state"] or item["lastState"] for item in main)


def _conditions(row: PodConfig, phase: str, init: Sequence[Object], main: Sequence[Object]) -> list[Object]:
    beside = sidecars(row)
    unready = [
        item["name"] for item in (*init, *main) if not item["ready"] and (item in main or item["name"] in beside)
    ]
    why: Object = {}
    if phase in ENDED:
        why = {"reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    elif unready or not main:
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    ready = {"status": str(not why), **why}
    return [
        {"type": "Initialized", **_initialized(phase, beside, init, main)},
        {"type": "Ready", **ready},
        {"type": "ContainersReady", **ready},
        {"type": "PodScheduled", "status": "True"},
    ]


def _initialized(phase: str, beside: Sequence[str], init: Sequence[Object], main: Sequence[Object]) -> Object:
    if phase == "Succeeded" and init:
        return {"status": "True", "reason": "PodCompleted"}
    undone = [item["name"] for item in init if not item["started" if item["name"] in beside else "ready"]]
    if not undone or _has_begun(main):
        return {"status": "True"}
    words = f"containers with incomplete status: [{' '.join(undone)}]"
    return {"status": "False", "reason": "ContainersNotInitialized", "message": words}


# --- words for people ------------------------------------------------------------------------------


def words(row: PodConfig, status: Mapping[str, Any], facts: Facts) -> list[str]:
    """Why a pod is not ready, one line for each container that holds it up; empty for one that is.

    :param status: what ``status`` made of the same row and facts.
    """
    return [line for _, line in complaints(row, status, facts)]


def complaints(row: PodConfig, status: Mapping[str, Any], facts: Facts) -> list[tuple[str, str]]:
    """As ``words``, each line with the name of its container."""
    if is_ready(status) or is_settled(row, status):
        return []
    if status.get("reason"):
        return [(name, f"its pod has failed: {status['reason']}: {status['message']}") for name in regular(row)[:1]]
    init, beside = status.get("initContainerStatuses", []), sidecars(row)
    for item in init if not _has_begun(status["containerStatuses"]) else ():
        # What comes after it has not begun, and it is the only one that can tell why.
        if not item["started" if item["name"] in beside else "ready"]:
            whose = f"init container {item['name']!r}"
            if "running" in item["state"] and item["name"] not in beside:
                return [(item["name"], f"{whose} is still running")]
            return [(item["name"], _complaint(whose, row, item, facts))]
    found = [item for item in init if item["name"] in beside and not item["ready"]]
    found += [item for item in status["containerStatuses"] if not item["ready"] and not _has_done_its_work(row, item)]
    kind = {name: "sidecar" for name in beside}
    return [
        (item["name"], _complaint(f"{kind.get(item['name'], 'container')} {item['name']!r}", row, item, facts))
        for item in found
    ]


def _complaint(whose: str, row: PodConfig, item: Object, facts: Facts) -> str:
    known = facts.get(item["name"]) or pod_config.NO_FACTS
    parts = [f"{whose} {_situation(item)}"]
    if again := item["restartCount"]:
        parts.append(f"it was restarted {again} times" if again > 1 else "it was restarted once")
    # What was said of the start before is worth telling when it was that which ended it.
    health = health_of(known) or (known.get("health") if known["last"] or known["pid"] is None else None) or {}
    said = (health.get("startup"), health.get("readiness"), health.get("liveness"))
    answers = [
        f"{kind} probe: {one['message'] or 'it failed without a word'}"
        for kind, one in zip(("startup", "readiness", "liveness"), said, strict=True)
        if one and not one["ok"]
    ]
    if (hook := health.get("post_start")) and hook["ok"] is False:
        answers.insert(0, f"postStart hook: {hook['message'] or 'it failed without a word'}")
    if not answers and known["pid"] is not None and not item["ready"]:
        answers = _unanswered(row["containers"][item["name"]], known)
    return "; ".join([*parts, *answers])


def _situation(item: Object) -> str:
    state = item["state"]
    if "running" in state:
        return "is running and not ready"
    if "terminated" in state:
        return f"has ended with {_end(state['terminated'])}"
    reason = state["waiting"]["reason"]
    if item["lastState"]:
        return f"waits ({reason}) after it ended with {_end(item['lastState']['terminated'])}"
    return f"waits ({reason})"


def _end(end: Mapping[str, Any]) -> str:
    signal = f", signal {end['signal']}" if "signal" in end else ""
    return f"exit code {end['exitCode']} ({end['reason']}{signal})"


def _unanswered(container: ContainerConfig, known: pod_config.Facts) -> list[str]:
    """What is waited for when no probe has said anything against it."""
    health = health_of(known)
    if "post_start" in container and not ((hook := health.get("post_start")) and hook["ok"]):
        return ["its postStart hook is at work"]
    if "startup" in container and not health.get("started"):
        return [_is_not_asked_yet("startup", container["startup"], known)]
    if "readiness" in container:
        return [_is_not_asked_yet("readiness", container["readiness"], known)]
    return []


def _is_not_asked_yet(kind: str, probe: Mapping[str, Any], known: pod_config.Facts) -> str:
    started, seen = known.get("started"), known.get("seen")
    left = probe.get("initial_delay", 0) - (seen - started) if started and seen else 0
    return (
        f"its {kind} probe is asked first in {round(left)} s" if left >= 1 else f"its {kind} probe has not answered yet"
    )


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, as Kubernetes writes it."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
