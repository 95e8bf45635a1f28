"""Fields of a manifest: which podlab honours, refuses or ignores, and the words for what is wrong with one.

The table is the contract. A field that changes the network, or what a process sees, is either honoured
or refused; what has no meaning here is ignored, and said once. A field that is schema-valid but not in
the table is ignored too. To take a refused field into service, move its line to ``HONOURED``.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .model import Document

# --- the words: field.Error of apimachinery -------------------------------------------------------------


def subject(document: Document) -> str:
    """How a line about a document begins: ``web.yaml:3: The Pod "web" is invalid: ``."""
    metadata = document.body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    name = name if isinstance(name, str) else ""
    return f"{document.where}: The {document.body.get('kind')} {show(name)} is invalid: "


def show(value: object, longest: int = 200) -> str:
    """A value as an error shows it: strings in quotes, the rest as JSON."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text if len(text) <= longest else text[:longest] + "..."


def required(path: str, detail: str = "") -> str:
    return f"{path}: Required value" + (f": {detail}" if detail else "")


def invalid(path: str, value: object, detail: str) -> str:
    return f"{path}: Invalid value: {show(value)}: {detail}"


def unsupported(path: str, value: object, supported: Iterable[str]) -> str:
    return f"{path}: Unsupported value: {show(value)}: supported values: {', '.join(map(show, supported))}"


def duplicate(path: str, value: object) -> str:
    return f"{path}: Duplicate value: {show(value)}"


def forbidden(path: str, detail: str) -> str:
    return f"{path}: Forbidden: {detail}"


def wrong_type(path: str, value: object, *types: str) -> str:
    return required(path) if value is None else invalid(path, value, f"must be of type {' or '.join(types)}")


# --- the table ------------------------------------------------------------------------------------------


class Outcome(enum.Enum):
    """What becomes of a field. ``DROPPED`` is what the API server itself overwrites: not worth a word."""

    HONOURED = "honoured"
    REFUSED = "refused"
    IGNORED = "ignored"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Rule:
    """One line of the table. ``harmless`` are values of a refused field that ask for nothing new."""

    outcome: Outcome
    why: str = ""
    harmless: tuple[object, ...] = ()


HONOURED = Rule(Outcome.HONOURED)
IGNORED = Rule(Outcome.IGNORED)
DROPPED = Rule(Outcome.DROPPED)


def refused(why: str, *harmless: object) -> Rule:
    return Rule(Outcome.REFUSED, why, harmless)


def _under(prefix: str, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    return {f"{prefix}.{path}": rule for path, rule in rules.items()}


_OBJECT = {
    "apiVersion": HONOURED,
    "kind": HONOURED,
    "status": DROPPED,
    "metadata.name": HONOURED,
    "metadata.namespace": HONOURED,
    "metadata.labels": HONOURED,
    "metadata.annotations": HONOURED,
    "metadata.generateName": refused("a second run must find the same names; give metadata.name"),
    "metadata.creationTimestamp": DROPPED,
    "metadata.deletionGracePeriodSeconds": DROPPED,
    "metadata.deletionTimestamp": DROPPED,
    "metadata.generation": DROPPED,
    "metadata.managedFields": DROPPED,
    "metadata.resourceVersion": DROPPED,
    "metadata.selfLink": DROPPED,
    "metadata.uid": DROPPED,
    "metadata.finalizers": IGNORED,
    "metadata.ownerReferences": IGNORED,
}

_ONE_USER = "the user of a container cannot be chosen"

# hostPort, hostIP and the like need rules on the node; probes need somebody who asks and acts;
# volumes and security need more of the container's root. Each waits for the chapter that brings it.
_CONTAINER = {
    "name": HONOURED,
    "image": HONOURED,
    "command": HONOURED,
    "args": HONOURED,
    "workingDir": HONOURED,
    "env[*].name": HONOURED,
    "env[*].value": HONOURED,
    "env[*].valueFrom": refused("write the value itself"),
    "envFrom": refused("write the variables into env"),
    "ports[*].name": HONOURED,
    "ports[*].containerPort": HONOURED,
    "ports[*].protocol": HONOURED,
    "ports[*].hostPort": refused("reach the pod at its own address", 0),
    "ports[*].hostIP": refused("reach the pod at its own address"),
    "lifecycle": refused("start what is needed from the container's command"),
    "livenessProbe": refused("a container is restarted when its process ends"),
    "readinessProbe": refused("a container is ready as soon as its process runs"),
    "startupProbe": refused("a container is ready as soon as its process runs"),
    "restartPolicy": refused("set spec.restartPolicy"),
    "volumeMounts": refused("a container has a private /tmp, /run and /var"),
    "volumeDevices": refused("a container sees no block devices"),
    "securityContext.allowPrivilegeEscalation": IGNORED,
    "securityContext.appArmorProfile": IGNORED,
    "securityContext.readOnlyRootFilesystem": IGNORED,
    "securityContext.seLinuxOptions": IGNORED,
    "securityContext.seccompProfile": IGNORED,
    "securityContext.windowsOptions": IGNORED,
    "securityContext.capabilities": refused("a container's capabilities cannot be chosen"),
    "securityContext.privileged": refused("no container reaches beyond its pod", False),
    "securityContext.procMount": refused("every container has the default /proc", "Default"),
    "securityContext.runAsGroup": refused(_ONE_USER),
    "securityContext.runAsNonRoot": refused(_ONE_USER, False),
    "securityContext.runAsUser": refused(_ONE_USER),
    "imagePullPolicy": IGNORED,
    "resizePolicy": IGNORED,
    "resources": IGNORED,
    "stdin": IGNORED,
    "stdinOnce": IGNORED,
    "terminationMessagePath": IGNORED,
    "terminationMessagePolicy": IGNORED,
    "tty": IGNORED,
}

_POD_SPEC = {
    **_under("containers[*]", _CONTAINER),
    "restartPolicy": HONOURED,
    "hostname": HONOURED,
    "nodeName": HONOURED,
    "nodeSelector": HONOURED,
    "hostNetwork": refused("every pod has a network namespace of its own", False),
    "hostPID": refused("every container has a PID namespace of its own", False),
    "hostIPC": refused("every pod has an IPC namespace of its own", False),
    "hostUsers": refused("every pod shares its node's user namespace", True),
    "shareProcessNamespace": refused("every container has a PID namespace of its own", False),
    "dnsPolicy": refused("leave it out, or say ClusterFirst or Default", "ClusterFirst", "Default"),
    "dnsConfig": refused("every pod has the resolv.conf of the cluster"),
    "hostAliases": refused("every pod has the /etc/hosts of the cluster"),
    "subdomain": refused("give the pod a hostname"),
    "setHostnameAsFQDN": refused("a pod's hostname has no domain", False),
    "initContainers": refused("start what is needed from a container's command"),
    "ephemeralContainers": refused("add a container to the pod"),
    "volumes": refused("a container has a private /tmp, /run and /var"),
    "securityContext.appArmorProfile": IGNORED,
    "securityContext.fsGroup": IGNORED,
    "securityContext.fsGroupChangePolicy": IGNORED,
    "securityContext.seLinuxOptions": IGNORED,
    "securityContext.seccompProfile": IGNORED,
    "securityContext.windowsOptions": IGNORED,
    "securityContext.runAsGroup": refused(_ONE_USER),
    "securityContext.runAsNonRoot": refused(_ONE_USER, False),
    "securityContext.runAsUser": refused(_ONE_USER),
    "securityContext.supplementalGroups": refused(_ONE_USER),
    "securityContext.sysctls": refused("a pod has the sysctls of a new network namespace"),
    # Where a pod runs decides which wires its packets cross, so a wish about it is kept or refused.
    "affinity": refused("use nodeSelector or nodeName"),
    "topologySpreadConstraints": refused("replicas are spread evenly over the nodes as it is"),
    "schedulerName": refused("there is one scheduler", "default-scheduler"),
    "schedulingGates": refused("a pod is scheduled at once"),
    "readinessGates": refused("a container is ready as soon as its process runs"),
    "runtimeClassName": refused("there is one way to run a container"),
    "os.name": refused("the nodes run Linux", "linux"),
    "activeDeadlineSeconds": IGNORED,
    "automountServiceAccountToken": IGNORED,
    "enableServiceLinks": IGNORED,
    "imagePullSecrets": IGNORED,
    "overhead": IGNORED,
    "preemptionPolicy": IGNORED,
    "priority": IGNORED,
    "priorityClassName": IGNORED,
    "resourceClaims": IGNORED,
    "serviceAccount": IGNORED,
    "serviceAccountName": IGNORED,
    "terminationGracePeriodSeconds": IGNORED,
    "tolerations": IGNORED,  # no node has a taint
}

_TEMPLATE = {
    **_under("spec", _POD_SPEC),
    "metadata.labels": HONOURED,
    "metadata.annotations": HONOURED,
    "metadata.creationTimestamp": DROPPED,  # null in every dump of kubectl
}

_DEPLOYMENT = {
    **_OBJECT,
    **_under("spec.template", _TEMPLATE),
    "metadata.annotations": DROPPED,  # notes of tools for themselves, kubectl's own above all
    "spec.replicas": HONOURED,
    "spec.selector": HONOURED,
    # On Kubernetes a new Deployment that is paused makes no pods, so ignoring this would start some.
    "spec.paused": refused("a Deployment is always rolled out; set replicas to 0", False),
    "spec.minReadySeconds": IGNORED,
    "spec.progressDeadlineSeconds": IGNORED,
    "spec.revisionHistoryLimit": IGNORED,
    "spec.strategy": IGNORED,
}

_NAMESPACE = {
    **_OBJECT,
    "metadata.labels": IGNORED,
    "metadata.annotations": DROPPED,
    "spec.finalizers": DROPPED,  # "kubernetes", set by the API server
}

TABLE: Mapping[str, Mapping[str, Rule]] = {
    "Namespace": _NAMESPACE,
    "Pod": {**_OBJECT, **_under("spec", _POD_SPEC)},
    "Deployment": _DEPLOYMENT,
}


# --- reading a body by the table ------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the table says of one field of one body: ``path`` with indices, ``pattern`` with ``[*]``."""

    path: str
    pattern: str
    value: object
    rule: Rule


# A node of the table as a tree: a rule, or the fields below. Lists have one entry, "[*]".
_Tree = dict[str, Any]


def _tree(rules: Mapping[str, Rule]) -> _Tree:
    root: _Tree = {}
    for path, rule in rules.items():
        *parents, last = path.replace("[*]", ".[*]").split(".")
        node = root
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = rule
    return root


_TREES = {kind: _tree(rules) for kind, rules in TABLE.items()}


def judge(kind: str, body: Mapping[str, Any]) -> Iterator[Verdict]:
    """Every field of ``body`` that is refused or ignored, in the order of writing.

    ``kind`` is a key of ``TABLE``. An empty value (null, ``""``, ``[]``, ``{}``) asks for nothing and
    counts as absent, as it does for the API server.
    """
    for verdict in _walk(body, _TREES[kind], "", ""):
        outcome = verdict.rule.outcome
        if outcome is Outcome.IGNORED or (outcome is Outcome.REFUSED and verdict.value not in verdict.rule.harmless):
            yield verdict


def _walk(value: object, rules: _Tree | Rule, path: str, pattern: str) -> Iterator[Verdict]:
    if value is None or value in ("", [], {}):
        return
    if isinstance(rules, Rule):
        yield Verdict(path, pattern, value, rules)
    elif isinstance(value, Mapping):
        dot = "." if path else ""
        for name, below in value.items():
            yield from _walk(below, rules.get(name, IGNORED), f"{path}{dot}{name}", f"{pattern}{dot}{name}")
    elif isinstance(value, Sequence) and "[*]" in rules:
        for index, item in enumerate(value):
            yield from _walk(item, rules["[*]"], f"{path}[{index}]", f"{pattern}[*]")


def refusal(verdict: Verdict) -> str:
    return forbidden(verdict.path, f"podlab does not do this yet; {verdict.rule.why}")
