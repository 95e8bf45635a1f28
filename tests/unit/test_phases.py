"""Status of pods: what rows and facts mean in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab import phases

NOW = 1_767_355_200
UP: dict[str, Any] = {
    "pid": 7,
    "started": NOW - 60,
    "restarts": 0,
    "last": None,
    "backoff": 0,
    "health": None,
    "down": False,
}
DOWN: dict[str, Any] = {**UP, "pid": None, "started": None}
PROBE = {"exec": ["true"], "initial_delay": 0, "period": 10, "timeout": 1, "success": 1, "failure": 3}


def ended(code: int, signal: int = 0, **rest: Any) -> dict[str, Any]:
    last = {"exit": code, "signal": signal, "started": NOW - 20, "ended": NOW - 10}
    return {**DOWN, "last": last, **rest}


def again(code: int, backoff: int = 20, restarts: int = 2) -> dict[str, Any]:
    """Has ended, and waits for its next start."""
    return ended(code, backoff=backoff, restarts=restarts)


def up(health: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    return {**UP, "health": {"pid": 7, **health} if health is not None else None, **rest}


def row(policy: str = "Always", init: tuple[str, ...] = (), **containers: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "netns": "default_p",
        "restart_policy": policy,
        "containers": {name: {"image": "i", **container} for name, container in containers.items()},
    }
    return {**found, "init": list(init)} if init else found


ONCE = {"restart_policy": "OnFailure"}
NEVER = {"restart_policy": "Never"}
BESIDE = {"restart_policy": "Always"}


def conditions(status: phases.Object) -> dict[str, str]:
    return {
        item["type"]: item["status"] + (f" {item['reason']}" if "reason" in item else "")
        for item in status["conditions"]
    }


def states(items: list[phases.Object]) -> list[str]:
    """Each container in a word: its state and reason, with a plus if it is ready."""
    found = []
    for item in items:
        ((kind, more),) = item["state"].items()
        found.append(more.get("reason", kind) + ("+" if item["ready"] else ""))
    return found


@pytest.mark.parametrize(
    ("policy", "facts", "phase", "ready"),
    [
        ("Always", {"a": UP}, "Running", "True"),
        ("Always", {"a": UP, "b": DOWN}, "Pending", "False ContainersNotReady"),
        ("Always", {}, "Pending", "False ContainersNotReady"),
        ("Always", {"a": again(1)}, "Running", "False ContainersNotReady"),
        ("Always", {"a": again(0)}, "Running", "False ContainersNotReady"),
        ("Never", {"a": ended(0)}, "Succeeded", "False PodCompleted"),
        ("Never", {"a": ended(256, 9)}, "Failed", "False PodFailed"),
        ("Never", {"a": ended(1), "b": UP}, "Running", "False ContainersNotReady"),
        ("Never", {"a": ended(1), "b": ended(0)}, "Failed", "False PodFailed"),
        ("OnFailure", {"a": ended(0)}, "Succeeded", "False PodCompleted"),
        ("OnFailure", {"a": again(1), "b": ended(0)}, "Running", "False ContainersNotReady"),
        ("OnFailure", {"a": again(1, backoff=10), "b": ended(0)}, "Running", "False ContainersNotReady"),
    ],
)
def test_phase_and_readiness_of_a_plain_pod(policy: str, facts: dict[str, Any], phase: str, ready: str) -> None:
    status = phases.status(row(policy, **{name: {} for name in facts or "a"}), facts)
    assert status["phase"] == phase
    expected = {"Initialized": "True", "Ready": ready, "ContainersReady": ready, "PodScheduled": "True"}
    assert conditions(status) == expected
    assert phases.is_ready(status) is (ready == "True")
    assert phases.has_ended(status) is (phase in ("Succeeded", "Failed"))
    assert "initContainerStatuses" not in status


NOT_YET = "False ContainersNotInitialized"


@pytest.mark.parametrize(
    ("policy", "facts", "phase", "initialized", "init", "main"),
    [
        ("Always", (DOWN, DOWN, DOWN), "Pending", NOT_YET, "PodInitializing PodInitializing", "PodInitializing"),
        ("Always", (UP, DOWN, DOWN), "Pending", NOT_YET, "running PodInitializing", "PodInitializing"),
        ("Always", (ended(0), UP, DOWN), "Pending", NOT_YET, "Completed+ running", "PodInitializing"),
        ("Always", (ended(0), ended(0), DOWN), "Pending", "True", "Completed+ Completed+", "PodInitializing"),
        ("Always", (ended(0), ended(0), UP), "Running", "True", "Completed+ Completed+", "running+"),
        ("Always", (again(1), DOWN, DOWN), "Pending", NOT_YET, "CrashLoopBackOff PodInitializing", "PodInitializing"),
        ("Always", (again(1, 10, 1), DOWN, DOWN), "Pending", NOT_YET, "Error PodInitializing", "PodInitializing"),
        ("Never", (ended(1), DOWN, DOWN), "Failed", NOT_YET, "Error PodInitializing", "PodInitializing"),
        (
            "Never",
            (ended(0), ended(0), ended(0)),
            "Succeeded",
            "True PodCompleted",
            "Completed+ Completed+",
            "Completed",
        ),
        ("Always", (ended(0), ended(0), again(1)), "Running", "True", "Completed+ Completed+", "CrashLoopBackOff"),
    ],
)
def test_init_containers(
    policy: str, facts: tuple[dict[str, Any], ...], phase: str, initialized: str, init: str, main: str
) -> None:
    own = NEVER if policy == "Never" else ONCE
    status = phases.status(row(policy, ("a", "b"), a=own, b=own, c={}), dict(zip("abc", facts, strict=True)))
    assert (status["phase"], conditions(status)["Initialized"]) == (phase, initialized)
    assert states(status["initContainerStatuses"]) == init.split()
    assert states(status["containerStatuses"]) == [main]
    assert [item["started"] for item in status["initContainerStatuses"]] == [False, False]
    assert phases.is_ready(status) is (main == "running+")


PROBED = {**BESIDE, "startup": PROBE}


@pytest.mark.parametrize(
    ("policy", "sidecar", "facts", "phase", "initialized", "ready"),
    [
        ("Always", BESIDE, (UP, DOWN), "Pending", "True", "False ContainersNotReady"),
        ("Always", BESIDE, (UP, UP), "Running", "True", "True"),
        ("Always", PROBED, (up({"started": False}), DOWN), "Pending", NOT_YET, "False ContainersNotReady"),
        ("Always", PROBED, (up({"started": True}), UP), "Running", "True", "True"),
        # It starts again; the pod stays what it was, and is not ready meanwhile.
        ("Always", PROBED, (up({"started": False}), UP), "Running", "True", "False ContainersNotReady"),
        ("Always", BESIDE, (again(1), UP), "Running", "True", "False ContainersNotReady"),
        ("Never", BESIDE, (UP, ended(0)), "Running", "True", "False ContainersNotReady"),
        (
            "Never",
            BESIDE,
            (ended(256, 15, restarts=1), ended(0)),
            "Succeeded",
            "True PodCompleted",
            "False PodCompleted",
        ),
        ("OnFailure", BESIDE, (again(137), ended(0)), "Succeeded", "True PodCompleted", "False PodCompleted"),
        ("Never", BESIDE, (again(0), ended(1)), "Failed", "True", "False PodFailed"),
    ],
)
def test_sidecars(
    policy: str,
    sidecar: dict[str, Any],
    facts: tuple[dict[str, Any], ...],
    phase: str,
    initialized: str,
    ready: str,
) -> None:
    status = phases.status(row(policy, ("s",), s=sidecar, c={}), dict(zip("sc", facts, strict=True)))
    found = conditions(status)
    assert (status["phase"], found["Initialized"], found["Ready"]) == (phase, initialized, ready)


def test_a_sidecar_that_was_ended_with_its_pod_is_not_said_to_come_back() -> None:
    facts = {"s": again(256, restarts=1), "c": ended(0)}
    (status,) = phases.status(row("Never", ("s",), s=BESIDE, c={}), facts)["initContainerStatuses"]
    assert "terminated" in status["state"] and status["restartCount"] == 0


@pytest.mark.parametrize(
    ("container", "health", "started", "ready"),
    [
        ({}, None, True, True),
        ({"liveness": PROBE}, None, True, True),
        ({"readiness": PROBE}, None, True, False),
        ({"readiness": PROBE}, {"started": True, "ready": False}, True, False),
        ({"readiness": PROBE}, {"started": True, "ready": True}, True, True),
        ({"readiness": PROBE}, {"pid": 6, "started": True, "ready": True}, True, False),
        ({"startup": PROBE}, None, False, False),
        ({"startup": PROBE}, {"started": True, "ready": True}, True, True),
        ({"startup": PROBE}, {"pid": 6, "started": True, "ready": True}, False, False),
        ({"startup": PROBE, "readiness": PROBE}, {"started": False, "ready": True}, False, False),
        ({"post_start": {}}, {"post_start": {"ok": True}, "started": True, "ready": True}, True, True),
        ({"post_start": {}}, {"post_start": {"ok": True}, "pid": 6}, False, False),
    ],
)
def test_a_container_is_ready_when_hook_and_probes_of_this_start_say_so(
    container: dict[str, Any], health: dict[str, Any] | None, started: bool, ready: bool
) -> None:
    (status,) = phases.status(row(c=container), {"c": up(health)})["containerStatuses"]
    assert (status["started"], status["ready"]) == (started, ready)


def test_a_container_whose_hook_is_at_work_is_not_called_running_yet() -> None:
    hooked = row(c={"post_start": {}})
    assert states(phases.status(hooked, {"c": up({"started": False})})["containerStatuses"]) == ["ContainerCreating"]
    behind = row("Always", ("a",), a=ONCE, c={"post_start": {}})
    facts = {"a": ended(0), "c": up({"started": False})}
    assert states(phases.status(behind, facts)["containerStatuses"]) == ["PodInitializing"]
    once_more = up({"started": False}, last=ended(1)["last"], restarts=1)
    assert states(phases.status(hooked, {"c": once_more})["containerStatuses"]) == ["running"]


def test_what_has_never_run_has_no_id_and_every_start_has_another_one() -> None:
    found = [
        phases.status(row(c={}), {"c": facts})["containerStatuses"][0].get("containerID")
        for facts in (DOWN, UP, again(1, 10, 1), up(None, restarts=1, last=ended(1)["last"]))
    ]
    assert found[0] is None
    assert found[1] == found[2] != found[3]  # it is still the first start that has ended


def test_unready_containers_are_named() -> None:
    status = phases.status(row(a={}, b={}, c={}), {"a": UP, "b": DOWN, "c": again(1)})
    (ready,) = [item for item in status["conditions"] if item["type"] == "Ready"]
    assert ready["message"] == "containers with unready status: [b c]"
    status = phases.status(row("Always", ("a", "b"), a=ONCE, b=ONCE, c={}), {"a": ended(0)})
    (initialized,) = [item for item in status["conditions"] if item["type"] == "Initialized"]
    assert initialized["message"] == "containers with incomplete status: [b]"


BAD = {"ok": False, "message": "HTTP probe failed with statuscode: 500"}


@pytest.mark.parametrize(
    ("row_", "facts", "expected"),
    [
        (row(c={}), {"c": UP}, []),
        (row("Never", c={}), {"c": ended(0)}, []),
        (
            row(c={"readiness": PROBE}),
            {"c": up({"started": True, "ready": False, "readiness": BAD})},
            ["container 'c' is running and not ready; readiness probe: HTTP probe failed with statuscode: 500"],
        ),
        (
            row(c={"readiness": PROBE}),
            {"c": up({"started": True, "ready": False, "readiness": {"ok": False, "message": ""}})},
            ["container 'c' is running and not ready; readiness probe: it failed without a word"],
        ),
        (
            row(c={"readiness": PROBE}),
            {"c": up({"started": True, "ready": False})},
            ["container 'c' is running and not ready; its readiness probe has not answered yet"],
        ),
        (
            row(c={"startup": PROBE}),
            {"c": up({"started": False}, restarts=2, last=ended(1)["last"])},
            [
                "container 'c' is running and not ready; it was restarted 2 times; its startup probe has not answered yet"
            ],
        ),
        (
            row(c={"post_start": {}}),
            {"c": up({"started": False})},
            ["container 'c' waits (ContainerCreating); its postStart hook is at work"],
        ),
        (
            row(c={"post_start": {}}),
            {"c": {**again(256), "health": {"pid": 6, "post_start": {"ok": False, "message": "broken"}}}},
            [
                "container 'c' waits (CrashLoopBackOff) after it ended with exit code 128 (Error, signal 0); it was restarted once; postStart hook: broken"
            ],
        ),
        (
            row(a={}, b={"liveness": PROBE}),
            {"a": UP, "b": {**ended(256, 9, restarts=3, backoff=40), "health": {"pid": 6, "liveness": BAD}}},
            [
                "container 'b' waits (CrashLoopBackOff) after it ended with exit code 137 (Error, signal 9); it was "
                "restarted 2 times; liveness probe: HTTP probe failed with statuscode: 500"
            ],
        ),
        (row("Never", c={}), {"c": ended(3)}, ["container 'c' has ended with exit code 3 (Error)"]),
        (row(c={}), {}, ["container 'c' waits (ContainerCreating)"]),
        # Only the init container that holds up all others is worth a line.
        (
            row("Always", ("a", "b"), a=ONCE, b=ONCE, c={}),
            {"a": ended(0), "b": again(2)},
            [
                "init container 'b' waits (CrashLoopBackOff) after it ended with exit code 2 (Error); it was restarted once"
            ],
        ),
        (row("Always", ("a",), a=ONCE, c={}), {"a": UP}, ["init container 'a' is still running"]),
        (
            row("Always", ("a",), a=PROBED, c={}),
            {"a": up({"started": False, "startup": BAD})},
            ["init container 'a' is running and not ready; startup probe: HTTP probe failed with statuscode: 500"],
        ),
        (
            row("Always", ("a",), a=BESIDE, c={}),
            {"a": again(1), "c": UP},
            ["sidecar 'a' waits (CrashLoopBackOff) after it ended with exit code 1 (Error); it was restarted once"],
        ),
    ],
)
def test_words_say_what_holds_a_pod_up(row_: dict[str, Any], facts: dict[str, Any], expected: list[str]) -> None:
    assert phases.words(row_, phases.status(row_, facts), facts) == expected


# --- times -------------------------------------------------------------------------------------------

PROBED = {"readiness": {}}
TOO_LATE = {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the specified deadline"}


def test_an_init_container_whose_end_is_forgotten_is_not_waited_for() -> None:
    """What a host knew of it may have been deleted; the containers after it run all the same."""
    pod = row("Always", ("a",), a=ONCE, c={})
    found = phases.status(pod, {"a": DOWN, "c": up()})
    assert phases.is_ready(found) and phases.is_settled(pod, found)


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("facts", [up(), ended(0), again(1)])
def test_a_pod_whose_time_is_over_has_failed(policy: str, facts: dict[str, Any]) -> None:
    pod = row(policy, c={})
    found = phases.status(pod, {"c": {**facts, "failed": TOO_LATE}})
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", *TOO_LATE.values())
    assert not phases.is_ready(found) and not phases.is_settled(pod, found) and phases.has_ended(found)
    words = phases.words(pod, found, {"c": {**facts, "failed": TOO_LATE}})
    assert words == [
        "its pod has failed: DeadlineExceeded: Pod was active on the node longer than the specified deadline"
    ]


def test_for_how_long_a_pod_is_ready() -> None:
    health = {"pid": 7, "started": True, "ready": True, "ready_at": 150.0}
    facts = {"a": up({**health}, pid=7, started=100.0, seen=160.0), "b": up(started=140.0, seen=160.0)}
    pod = row(a=PROBED, b={})
    assert phases.ready_for(pod, phases.status(pod, facts), facts) == 10.0
    assert phases.ready_since(pod, facts) == 150.0
    facts["a"]["health"]["ready"] = False
    assert phases.ready_for(pod, phases.status(pod, facts), facts) == 0.0
    assert phases.ready_since(row(b={}), {}) is None


def test_for_how_long_a_pod_has_ended() -> None:
    pod, gone = row("Never", a={}, b={}), ended(0, seen=160.0)
    gone["last"] = {**gone["last"], "ended": 100}
    late = {**gone, "last": {**gone["last"], "ended": 120}}
    facts = {"a": gone, "b": late}
    assert phases.ended_for(phases.status(pod, facts), facts) == 40.0
    facts = {"a": gone, "b": up(seen=160.0)}
    assert phases.ended_for(phases.status(pod, facts), facts) is None


def test_of_a_failed_pod_nothing_is_told_but_reason_and_message():
    failed = {"reason": "DeadlineExceeded", "message": "too long", "phase": "Running", "conditions": []}
    found = phases.status(row(c={}), {"c": {**UP, "failed": failed}})
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "DeadlineExceeded", "too long")
    assert found["conditions"]


CONTAINERS = st.fixed_dictionaries(
    {"image": st.just("i")},
    optional={
        **{"readiness": st.just(PROBE), "liveness": st.just(PROBE), "startup": st.just(PROBE)},
        **{"post_start": st.just({"exec": ["true"]}), "restart_policy": st.sampled_from(["Always", "OnFailure"])},
    },
)
PLAIN = st.just({"image": "i"})
HEALTH = st.none() | st.fixed_dictionaries(
    {"pid": st.sampled_from([7, 8])},
    optional={
        **{"started": st.booleans(), "ready": st.booleans(), "ready_at": st.just(NOW - 5)},
        "post_start": st.fixed_dictionaries({"ok": st.booleans(), "message": st.just("")}),
    },
)
FACTS = st.fixed_dictionaries(
    {
        **{"pid": st.sampled_from([None, 7]), "started": st.sampled_from([None, NOW - 60, NOW - 30])},
        **{"restarts": st.integers(0, 2), "last": st.sampled_from([None, ended(0)["last"], ended(1)["last"]])},
        **{"backoff": st.sampled_from([0, 20]), "health": HEALTH, "down": st.just(False)},
    },
    optional={
        "failed": st.sampled_from([None, {"reason": "DeadlineExceeded", "message": ""}]),
        "seen": st.sampled_from([NOW, NOW - 90]),
    },
)


@given(
    st.sampled_from(["Always", "OnFailure", "Never"]),
    st.dictionaries(st.sampled_from("ab"), st.tuples(PLAIN | CONTAINERS, st.none() | FACTS), max_size=2),
    st.sampled_from([(), (), ("a",)]),
)
@settings(max_examples=150, deadline=None)
def test_a_summary_says_what_the_status_says(
    policy: str, told: dict[str, tuple[dict[str, Any], dict[str, Any] | None]], init: tuple[str, ...]
) -> None:
    """Of pods that merely run as well, which have none made."""
    pod = row(policy, tuple(name for name in init if name in told), **{name: one for name, (one, _) in told.items()})
    facts = {name: known for name, (_, known) in told.items() if known is not None}
    status = phases.status(pod, facts)
    assert phases.summary(pod, facts) == phases.Summary(
        *(status["phase"], phases.is_ready(status), phases.is_settled(pod, status)),
        *(phases.ready_for(pod, status, facts), phases.ended_for(status, facts), status.get("reason", "")),
    )
