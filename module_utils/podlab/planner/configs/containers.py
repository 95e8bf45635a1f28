"""What runs in a pod: its containers with their probes and hooks, and its volumes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ...changes.pods.configs import PATH
from ...changes.pods.paths import STAND_IN
from ...configs import ContainerConfig
from ..claims.model import directory_of
from ..inputs.host import Host
from ..manifests.environment import fact, resolved
from ..model import Container, FieldRef, Handler, Pod, PodTemplate, Probe, Security, Volume
from ..preflight.id_mapping import mapped


def container_rows(
    template: PodTemplate, facts: Mapping[str, str], links: Mapping[str, str]
) -> dict[str, ContainerConfig]:
    every = (*template.init_containers, *template.containers)
    return {item.name: _container_row(item, template, facts, links) for item in every}


def as_started(
    containers: dict[str, ContainerConfig], pod: Pod, node: Host, facts: Mapping[str, str]
) -> dict[str, ContainerConfig]:
    """The containers as this node can have them. Those that differ from what runs in nothing but Services stay as they
    are: what comes or goes beside a container restarts nothing."""
    containers = {name: _on(row, pod, node) for name, row in containers.items()}
    there = node.seen.get("pods", {}).get(pod.netns)
    before = there["row"] if there else None
    if before is None or before.get("revision", "") != pod.revision:
        return containers
    if (before["object"]["spec"].get("enableServiceLinks") is not False) != pod.template.service_links:
        return containers
    kept: dict[str, ContainerConfig] = {}
    for item in (*pod.template.init_containers, *pod.template.containers):
        runs = before["containers"].get(item.name)
        if runs is not None and runs.get("services", {}) != containers[item.name].get("services", {}):
            same = _on(_container_row(item, pod.template, facts, runs.get("services", {})), pod, node)
            if same == runs:
                kept[item.name] = same
    return {**containers, **kept} if kept else containers


def _on(row: ContainerConfig, pod: Pod, node: Host) -> ContainerConfig:
    if not ("user" in row or "group" in row or "groups" in row):
        return row
    return mapped(row, node, shares_processes=pod.template.share_processes)


def _container_row(
    container: Container, template: PodTemplate, facts: Mapping[str, str], links: Mapping[str, str]
) -> ContainerConfig:
    env, argv, sub_paths = resolved(container, facts, links)
    own = container.path + ":" if container.path else ""
    row: ContainerConfig = {
        "image": container.image,
        "argv": [*_stand_in_argv(container), *argv],
        "env": {"PATH": own + PATH, **env},
        "working_dir": container.working_dir,
    }
    extras: dict[str, Any] = {
        "services": links,
        "mounts": [
            {"volume": mount.volume, "path": mount.path, "sub_path": sub_path, "read_only": mount.read_only}
            for mount, sub_path in zip(container.mounts, sub_paths, strict=True)
        ],
        "binds": dict(container.binds),
        "readiness": _probe(container.readiness, facts),
        "liveness": _probe(container.liveness, facts),
        "startup": _probe(container.startup, facts),
        "post_start": _handler(container.post_start, facts),
        "pre_stop": _handler(container.pre_stop, facts),
        **_security(container.security),
    }
    row.update({key: value for key, value in extras.items() if value or key in ("user", "group", "capabilities")})  # type: ignore[typeddict-item]
    if any(container is item for item in template.init_containers):
        row["restart_policy"] = container.restart_policy or (
            "Never" if template.restart_policy == "Never" else "OnFailure"
        )
    return row


def _stand_in_argv(container: Container) -> list[str]:
    """The program that becomes the container's own where it finds that, and else stands in for it."""
    one = container.stand_in
    if one is None:
        return []
    ports = (("tcp", one.tcp), ("tls", one.tls), ("udp", one.udp))
    options = [f"--{name}={','.join(map(str, numbers))}" for name, numbers in ports if numbers]
    ends = ["--ends"] if one.ends else []
    return [STAND_IN, f"--for={one.image}", *options, *ends, *(["--"] if container.argv else [])]


def _security(security: Security) -> dict[str, Any]:
    wanted = {
        "user": security.user,
        "group": security.group,
        "capabilities": None if security.capabilities is None else list(security.capabilities),
    }
    return {
        **{key: value for key, value in wanted.items() if value is not None},
        "groups": list(security.groups),
        "read_only": security.read_only_root,
        "privileged": security.privileged,
    }


def _probe(probe: Probe | None, facts: Mapping[str, str]) -> dict[str, Any] | None:
    if probe is None:
        return None
    row = {
        **(_handler(probe.handler, facts) or {}),
        "initial_delay": probe.initial_delay,
        "period": probe.period,
        "timeout": probe.timeout,
        "success": probe.success,
        "failure": probe.failure,
    }
    return row if probe.grace is None else {**row, "grace": probe.grace}


def _handler(handler: Handler | None, facts: Mapping[str, str]) -> dict[str, Any] | None:
    if handler is None:
        return None
    if handler.kind == "exec":
        return {"exec": list(handler.command)}
    if handler.kind == "sleep":
        return {"sleep": handler.seconds}
    if handler.lacks:
        return {"lacks": handler.lacks}
    host = handler.host or facts["status.podIP"]
    if handler.kind == "tcp":
        return {"tcp": {"host": host, "port": handler.port}}
    if handler.kind == "grpc":
        return {"grpc": {"host": host, "port": handler.port, "service": handler.service}}
    headers = [list(header) for header in handler.headers]
    return {
        "http": {
            "host": host,
            "port": handler.port,
            "path": handler.path,
            "scheme": handler.scheme,
            "headers": headers,
        }
    }


def volume_row(volume: Volume, namespace: str, facts: Mapping[str, str]) -> dict[str, Any]:
    if volume.kind == "hostPath":
        return {"kind": "hostPath", "path": volume.path, "type": volume.type}
    if volume.kind == "claim":
        key = f"{namespace}/{volume.claim}"
        return {"kind": "claim", "claim": key, "directory": directory_of(key)}
    if volume.kind == "emptyDir":
        return {"kind": "emptyDir", "medium": volume.medium, "size": volume.size}
    files: dict[str, Any] = {}
    for path, file in volume.files.items():
        content = file.content
        data = fact(content.path, facts).encode() if isinstance(content, FieldRef) else content
        try:
            files[path] = {"mode": file.mode, "text": data.decode()}
        except UnicodeDecodeError:
            files[path] = {"mode": file.mode, "base64": base64.b64encode(data).decode()}
    return {"kind": "files", "files": files}
