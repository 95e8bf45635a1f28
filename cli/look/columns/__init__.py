"""The columns of each kind, as Kubernetes' printers have them. Pure.

pkg/printers/internalversion/printers.go of release 1.30: a Job has no STATUS yet.
"""

from __future__ import annotations

from ..table import Kind
from . import others, pods, services, workloads

TEMPLATE = ("CONTAINERS", "IMAGES", "SELECTOR")
KINDS = {
    "pods": Kind(
        "pods",
        "pod",
        True,
        ("NAME", "READY", "STATUS", "RESTARTS", "AGE"),
        ("IP", "NODE", "NOMINATED NODE", "READINESS GATES"),
        pods.pod,
    ),
    "nodes": Kind(
        "nodes",
        "node",
        False,
        ("NAME", "STATUS", "ROLES", "AGE", "VERSION"),
        ("INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"),
        others.node,
    ),
    "daemonsets": Kind(
        "daemonsets.apps",
        "daemonset.apps",
        True,
        ("NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"),
        TEMPLATE,
        workloads.daemonset,
    ),
    "deployments": Kind(
        "deployments.apps",
        "deployment.apps",
        True,
        ("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        TEMPLATE,
        workloads.deployment,
    ),
    "replicasets": Kind(
        "replicasets.apps",
        "replicaset.apps",
        True,
        ("NAME", "DESIRED", "CURRENT", "READY", "AGE"),
        TEMPLATE,
        workloads.replicaset,
    ),
    "replicationcontrollers": Kind(
        "replicationcontrollers",
        "replicationcontroller",
        True,
        ("NAME", "DESIRED", "CURRENT", "READY", "AGE"),
        TEMPLATE,
        workloads.replicaset,
    ),
    "statefulsets": Kind(
        "statefulsets.apps", "statefulset.apps", True, ("NAME", "READY", "AGE"), TEMPLATE[:2], workloads.statefulset
    ),
    "cronjobs": Kind(
        "cronjobs.batch",
        "cronjob.batch",
        True,
        ("NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"),
        (),
        workloads.cronjob,
    ),
    "jobs": Kind("jobs.batch", "job.batch", True, ("NAME", "COMPLETIONS", "DURATION", "AGE"), TEMPLATE, workloads.job),
    "services": Kind(
        "services",
        "service",
        True,
        ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"),
        ("SELECTOR",),
        services.service,
    ),
    "endpoints": Kind("endpoints", "endpoints", True, ("NAME", "ENDPOINTS", "AGE"), ("NOT READY",), services.endpoints),
    "endpointslices": Kind(
        "endpointslices.discovery.k8s.io",
        "endpointslice.discovery.k8s.io",
        True,
        ("NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"),
        (),
        services.endpointslice,
    ),
    "persistentvolumeclaims": Kind(
        "persistentvolumeclaims",
        "persistentvolumeclaim",
        True,
        ("NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "VOLUMEATTRIBUTESCLASS", "AGE"),
        ("VOLUMEMODE",),
        others.claim,
    ),
    "configmaps": Kind("configmaps", "configmap", True, ("NAME", "DATA", "AGE"), (), others.configmap),
    "secrets": Kind("secrets", "secret", True, ("NAME", "TYPE", "DATA", "AGE"), (), others.secret),
    "events": Kind(
        "events",
        "event",
        True,
        ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"),
        ("SUBOBJECT", "SOURCE", "FIRST SEEN", "COUNT", "NAME"),
        others.event,
        others.EVENT_ORDER,
    ),
    "namespaces": Kind("namespaces", "namespace", False, ("NAME", "STATUS", "AGE"), (), others.namespace),
}
SHORT = {
    "po": "pods",
    "no": "nodes",
    "ds": "daemonsets",
    "deploy": "deployments",
    "rs": "replicasets",
    "rc": "replicationcontrollers",
    "sts": "statefulsets",
    "cj": "cronjobs",
    "svc": "services",
    "ep": "endpoints",
    "cm": "configmaps",
    "pvc": "persistentvolumeclaims",
    "ev": "events",
    "ns": "namespaces",
}
# What belongs to the category ``all``, in the order in which the API server tells of them.
ALL = (
    *("pods", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets", "statefulsets"),
    *("cronjobs", "jobs"),
)
# What ``describe`` knows.
DESCRIBED = ("pods", "services", "nodes", "deployments")
# Word for a kind -> its plural: pods, pod, po; deployments, deployment, deploy, deployments.apps, deployment.apps.
ALIASES = {
    **{alias: plural for plural, kind in KINDS.items() for alias in (plural, plural[:-1], kind.plural, kind.prefix)},
    **SHORT,
}
