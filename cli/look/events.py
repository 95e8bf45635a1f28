"""What has happened to pods, as objects of kind Event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podlab import packed
from podlab.phases import timestamp
from podlab.records import pod_config
from podlab.shapes import misfit

from ..hosts import Host, HostUnreachable
from ..hosts.status import STATUS
from .objects import Object

KUBELET = "kubelet"
Event = Mapping[str, Any]


def ask_events(hosts: Sequence[Host]) -> dict[str, dict[str, list[Event]]]:
    """Host -> network namespace of a pod -> its events, as far as they are any."""
    program = STATUS.read_text("utf-8")

    def of(host: Host) -> dict[str, list[Event]]:
        try:
            said = host.question([host.python, "-IS", "-", "all-events"]).ask(program, patience=host.patience)
            found = packed.loads(said.out)
        except (OSError, HostUnreachable, packed.TooMuch, ValueError, RecursionError):
            return {}  # that it does not answer is said already
        told = found.items() if isinstance(found, dict) else ()
        return {netns: sound(events) for netns, events in told if isinstance(events, list)}

    with ThreadPoolExecutor(max_workers=len(hosts) or 1) as pool:
        return dict(zip((host.name for host in hosts), pool.map(of, hosts), strict=True))


def sound(events: Iterable[Any]) -> list[Event]:
    return [event for event in events if not misfit(event, pod_config.Event)]


def events(pods: Sequence[Object], told: Mapping[str, Sequence[Event]]) -> list[Object]:
    """As the API server lists them: by their names. Pure.

    :param told: pod (namespace/name) -> what has happened to it.
    """
    found = []
    for pod in pods:
        metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
        found += [
            _event(metadata, node, event) for event in told.get(f"{metadata['namespace']}/{metadata['name']}", [])
        ]
    return sorted(found, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))


def _event(pod: Object, node: str, event: Event) -> Object:
    first, source = float(event.get("first", event["time"])), event.get("source", KUBELET)
    involved = {"apiVersion": "v1", "kind": "Pod", "namespace": pod["namespace"], "name": pod["name"]}
    if "uid" in pod:
        involved["uid"] = pod["uid"]
    if event.get("container"):
        involved["fieldPath"] = f"spec.containers{{{event['container']}}}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            # As client-go names them: by the pod and by when it was, in nanoseconds.
            "name": f"{pod['name']}.{int(first * 1e9):x}",
            "namespace": pod["namespace"],
            "creationTimestamp": timestamp(first),
        },
        "involvedObject": involved,
        "type": event["type"],
        "reason": event["reason"],
        "message": event["message"],
        "count": event.get("count", 1),
        "firstTimestamp": timestamp(first),
        "lastTimestamp": timestamp(event["time"]),
        "eventTime": None,
        "source": {"component": source, **({"host": node} if node else {})},
        "reportingComponent": source,
        "reportingInstance": node,
    }
