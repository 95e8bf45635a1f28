"""A container of a pod. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..objects import Object
from ..table import NONE
from . import fields


def container(container: Object, statuses: Sequence[Object], values: Mapping[str, Any]) -> fields.Lines:
    status = next((item for item in statuses if item["name"] == container["name"]), None)
    ports = container.get("ports") or []
    several = "s" if len(ports) > 1 else ""
    kinds = [f"{port.get('protocol', 'TCP')}{' (' + port['name'] + ')' if port.get('name') else ''}" for port in ports]
    inside = [f"{port['containerPort']}/{kind}" for port, kind in zip(ports, kinds, strict=True)]
    on_host = [f"{port.get('hostPort', 0)}/{kind}" for port, kind in zip(ports, kinds, strict=True)]
    lines = [f"  {container['name']}:"]
    if status:
        lines.append(f"    Container ID:\t{status.get('containerID', '')}")
    lines.append(f"    Image:\t{container.get('image', '')}")
    if status:
        lines.append(f"    Image ID:\t{status.get('imageID', '')}")
    lines += [
        f"    Port{several}:\t{', '.join(inside) or NONE}",
        f"    Host Port{several}:\t{', '.join(on_host) or NONE}",
        *_words("Command", container.get("command")),
        *_words("Args", container.get("args")),
    ]
    if status:
        lines += _state("State", status["state"])
        if status["lastState"]:
            lines += _state("Last State", status["lastState"])
        lines += [f"    Ready:\t{status['ready']}", f"    Restart Count:\t{status['restartCount']}"]
    resources = container.get("resources") or {}
    for head, key in (("Limits", "limits"), ("Requests", "requests")):
        if resources.get(key):
            lines += [f"    {head}:", *(f"      {name}:\t{value}" for name, value in sorted(resources[key].items()))]
    for head, key in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
        if container.get(key):
            lines.append(f"    {head}:\t{_probe(container[key])}")
    return lines + _environment(container, values.get(container["name"], {}).get("env", {})) + _mounts(container)


def _words(head: str, words: Sequence[str] | None) -> fields.Lines:
    """A command, a word a line; the lines of a word are kept below one another."""
    if not words:
        return []
    return [f"    {head}:", *(f"      {line}" for word in words for line in str(word).split("\n"))]


def _state(head: str, state: Object) -> fields.Lines:
    if "running" in state:
        lines = [f"    {head}:\tRunning"]
        if "startedAt" in state["running"]:
            lines.append(f"      Started:\t{fields.time_text(state['running']['startedAt'])}")
        return lines
    if "terminated" in state:
        end = state["terminated"]
        return [
            f"    {head}:\tTerminated",
            *([f"      Reason:\t{end['reason']}"] if end.get("reason") else []),
            *([f"      Message:\t{end['message']}"] if end.get("message") else []),
            f"      Exit Code:\t{end['exitCode']}",
            *([f"      Signal:\t{end['signal']}"] if end.get("signal") else []),
            f"      Started:\t{fields.time_text(end['startedAt'])}",
            f"      Finished:\t{fields.time_text(end['finishedAt'])}",
        ]
    # kubectl prints the message of a waiting container nowhere but in -o yaml.
    reason = state.get("waiting", {}).get("reason")
    return [f"    {head}:\tWaiting", *([f"      Reason:\t{reason}"] if reason else [])]


def _probe(probe: Object) -> str:
    times = [
        f"delay={probe.get('initialDelaySeconds', 0)}s",
        f"timeout={probe.get('timeoutSeconds', 1)}s",
        f"period={probe.get('periodSeconds', 10)}s",
        f"#success={probe.get('successThreshold', 1)}",
        f"#failure={probe.get('failureThreshold', 3)}",
    ]
    if "exec" in probe:
        what = f"exec [{' '.join(probe['exec'].get('command', []))}]"
    elif "httpGet" in probe:
        http = probe["httpGet"]
        path = "/" + str(http.get("path", "/")).lstrip("/")
        what = f"http-get {http.get('scheme', 'HTTP').lower()}://{http.get('host', '')}:{http['port']}{path}"
    elif "tcpSocket" in probe:
        what = f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket']['port']}"
    elif "grpc" in probe:
        what = f"grpc <pod>:{probe['grpc']['port']} {probe['grpc'].get('service') or ''}"
    else:
        what = "unknown"
    return " ".join([what, *times])


def _environment(container: Object, values: Mapping[str, str]) -> fields.Lines:
    lines = []
    if container.get("envFrom"):
        lines.append("    Environment Variables from:")
        for source in container["envFrom"]:
            kind, reference = next(
                (word, source[key])
                for key, word in (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
                if key in source
            )
            prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
            optional = str(bool(reference.get("optional"))).lower()
            lines.append(f"      {reference['name']}\t{kind}{prefix}\tOptional: {optional}")
    if not container.get("env"):
        return [*lines, f"    Environment:\t{NONE}"]
    lines.append("    Environment:")
    for variable in container["env"]:
        first, *others = _value(variable, values).split("\n")
        lines.append(f"      {variable['name']}:\t{first}")
        lines += [f"      \t{line}" for line in others]
    return lines


def _value(variable: Object, values: Mapping[str, str]) -> str:
    """A variable's value, or where it comes from. What a Secret holds is not told."""
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        known = values.get(variable["name"], "")
        return f"{known} ({source['fieldRef'].get('apiVersion', 'v1')}:{source['fieldRef']['fieldPath']})"
    if "resourceFieldRef" in source:
        return f"{values.get(variable['name'], '')} ({source['resourceFieldRef']['resource']})"
    is_public = "configMapKeyRef" in source
    word, reference = (
        ("of config map", source["configMapKeyRef"]) if is_public else ("in secret", source["secretKeyRef"])
    )
    optional = str(bool(reference.get("optional"))).lower()
    return f"<set to the key '{reference['key']}' {word} '{reference['name']}'>\tOptional: {optional}"


def _mounts(container: Object) -> fields.Lines:
    mounts = container.get("volumeMounts") or []
    if not mounts:
        return [f"    Mounts:\t{NONE}"]
    lines = ["    Mounts:"]
    for mount in sorted(mounts, key=lambda mount: str(mount["mountPath"])):
        flags = ["ro" if mount.get("readOnly") else "rw"]
        flags += [f'path="{mount["subPath"]}"'] if mount.get("subPath") else []
        lines.append(f"      {mount['mountPath']} from {mount['name']} ({','.join(flags)})")
    return lines
