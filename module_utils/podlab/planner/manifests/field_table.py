"""The table of fields: which podlab honours, refuses or ignores.

The table is the contract. A field that changes the network, or what a process sees, is honoured, replaced
with a note, or refused; what has no meaning here is ignored, and said once. A field that is schema-valid but not in
the table is ignored too. To take a refused field into service, move its line to ``HONOURED``. What is
honoured as a whole is read by ``podspec`` and its neighbours, which have words of their own for what is
wrong in it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Outcome(enum.Enum):
    """What becomes of a field. ``REPLACED``: a note tells what is in its place. ``DROPPED``: the API server itself
    overwrites it, which is not worth a word."""

    HONOURED = "honoured"
    REPLACED = "replaced"
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


def replaced(why: str) -> Rule:
    return Rule(Outcome.REPLACED, why)


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
    "metadata.generateName": HONOURED,
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

# --- containers

_HANDLER = {
    "exec": HONOURED,
    "httpGet": HONOURED,
    "tcpSocket": HONOURED,
}

_PROBE = {
    **_HANDLER,
    "grpc": HONOURED,
    "initialDelaySeconds": HONOURED,
    "periodSeconds": HONOURED,
    "timeoutSeconds": HONOURED,
    "successThreshold": HONOURED,
    "failureThreshold": HONOURED,
    "terminationGracePeriodSeconds": HONOURED,
}

_CONTAINER = {
    "name": HONOURED,
    "image": HONOURED,
    "command": HONOURED,
    "args": HONOURED,
    "workingDir": HONOURED,
    "restartPolicy": HONOURED,
    "restartPolicyRules": refused("the restartPolicy of the pod says what comes back"),
    "env": HONOURED,
    "envFrom": HONOURED,
    "ports": HONOURED,
    **_under("lifecycle.postStart", {**_HANDLER, "sleep": HONOURED}),
    **_under("lifecycle.preStop", {**_HANDLER, "sleep": HONOURED}),
    "lifecycle.stopSignal": refused("a container is ended by SIGTERM", "SIGTERM"),
    **_under("livenessProbe", _PROBE),
    **_under("readinessProbe", _PROBE),
    **_under("startupProbe", _PROBE),
    "volumeMounts[*].name": HONOURED,
    "volumeMounts[*].mountPath": HONOURED,
    "volumeMounts[*].subPath": HONOURED,
    "volumeMounts[*].subPathExpr": HONOURED,
    "volumeMounts[*].readOnly": HONOURED,
    "volumeMounts[*].recursiveReadOnly": refused("readOnly covers what is mounted", "Disabled", "IfPossible"),
    "volumeMounts[*].mountPropagation": HONOURED,  # where podlab_allow_mount_propagation says so
    "volumeMounts[*].bindMountOptions": refused("nothing is mounted with options; use readOnly"),
    "volumeDevices": refused("a container sees no block devices"),
    "securityContext.capabilities": HONOURED,
    "securityContext.readOnlyRootFilesystem": HONOURED,
    "securityContext.runAsGroup": HONOURED,
    "securityContext.runAsNonRoot": HONOURED,
    "securityContext.runAsUser": HONOURED,
    "securityContext.privileged": HONOURED,  # where podlab_allow_privileged says so
    "securityContext.procMount": refused("every container has the default /proc", "Default"),
    "securityContext.allowPrivilegeEscalation": IGNORED,
    "securityContext.appArmorProfile": IGNORED,
    "securityContext.seLinuxOptions": IGNORED,
    "securityContext.seccompProfile": IGNORED,
    "securityContext.windowsOptions": IGNORED,
    "imagePullPolicy": IGNORED,
    "resizePolicy": IGNORED,
    "resources": IGNORED,  # but for resourceFieldRef, which tells a container what is written here
    "stdin": IGNORED,
    "stdinOnce": IGNORED,
    "terminationMessagePath": IGNORED,
    "terminationMessagePolicy": IGNORED,
    "tty": IGNORED,
}

# --- pods

FILES_OF_ROOT = "files of a volume are root's; use securityContext.fsGroup"
_EMPTY_DIRECTORY = replaced("an empty directory on the pod's node, which goes with the pod")
_CLAIM = replaced("a directory on the node of its first pod, which all of its pods run on")

DIRECTORIES = dict.fromkeys(
    (
        *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "ephemeral", "fc", "flexVolume"),
        *("flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "iscsi", "nfs", "photonPersistentDisk"),
        *("portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"),
    ),
    _EMPTY_DIRECTORY,
)
"""Volumes that are beyond the nodes on a cluster."""

VOLUME = {
    "name": HONOURED,
    "configMap": HONOURED,
    "downwardAPI": HONOURED,
    "emptyDir": HONOURED,
    "hostPath": HONOURED,  # where podlab_allow_host_path says so
    "projected.defaultMode": HONOURED,
    "projected.defaultUser": refused(FILES_OF_ROOT),
    "projected.sources[*].configMap": HONOURED,
    "projected.sources[*].downwardAPI": HONOURED,
    "projected.sources[*].secret": HONOURED,
    "projected.sources[*].clusterTrustBundle": refused("there is no API server; put the file into a ConfigMap"),
    "projected.sources[*].podCertificate": refused("there is no API server to sign one; put the file into a Secret"),
    "projected.sources[*].serviceAccountToken": replaced("no file: there is no API server to show a token to"),
    "secret": HONOURED,
    "image": refused("there is no registry; put the files into a ConfigMap"),
    "persistentVolumeClaim": _CLAIM,
    **DIRECTORIES,
}

_SPREAD = {
    "labelSelector": HONOURED,
    "maxSkew": HONOURED,
    "minDomains": HONOURED,
    "topologyKey": HONOURED,
    "whenUnsatisfiable": HONOURED,
    "matchLabelKeys": refused("write the labels into labelSelector"),
    "nodeAffinityPolicy": refused("nodes that nodeSelector leaves out do not count", "Honor"),
    "nodeTaintsPolicy": refused("nodes with taints count as the others do", "Ignore"),
}

NAMESPACE_SELECTOR = refused("write the names into namespaces")

_POD_AFFINITY_TERM = {
    "labelSelector": HONOURED,
    "namespaces": HONOURED,
    "topologyKey": HONOURED,
    "matchLabelKeys": refused("write the labels into labelSelector"),
    "mismatchLabelKeys": refused("write the labels into labelSelector"),
    "namespaceSelector": NAMESPACE_SELECTOR,
}

_POD_AFFINITY = {
    **_under("requiredDuringSchedulingIgnoredDuringExecution[*]", _POD_AFFINITY_TERM),
    "preferredDuringSchedulingIgnoredDuringExecution[*].weight": HONOURED,
    **_under("preferredDuringSchedulingIgnoredDuringExecution[*].podAffinityTerm", _POD_AFFINITY_TERM),
}

_POD_SPEC = {
    **_under("initContainers[*]", _CONTAINER),
    **_under("containers[*]", _CONTAINER),
    **_under("volumes[*]", VOLUME),
    "restartPolicy": HONOURED,
    "terminationGracePeriodSeconds": HONOURED,
    "activeDeadlineSeconds": HONOURED,
    # who it is
    "hostname": HONOURED,
    "hostnameOverride": refused("use hostname, and subdomain with setHostnameAsFQDN for a longer one"),
    "subdomain": HONOURED,
    "setHostnameAsFQDN": HONOURED,
    "hostAliases": HONOURED,
    "dnsPolicy": HONOURED,
    "dnsConfig": HONOURED,
    "hostNetwork": HONOURED,
    "shareProcessNamespace": HONOURED,
    "hostPID": HONOURED,  # these where podlab_allow_host_pid and podlab_allow_host_ipc say so
    "hostIPC": HONOURED,
    "hostUsers": refused("every pod shares its node's user namespace", True),
    "ephemeralContainers": refused("add a container to the pod"),
    "serviceAccountName": HONOURED,  # it is a name, and nothing may be done with it
    "serviceAccount": HONOURED,
    "securityContext.fsGroup": HONOURED,
    "securityContext.runAsGroup": HONOURED,
    "securityContext.runAsNonRoot": HONOURED,
    "securityContext.runAsUser": HONOURED,
    "securityContext.supplementalGroups": HONOURED,
    "securityContext.sysctls": HONOURED,
    "securityContext.appArmorProfile": IGNORED,
    "securityContext.fsGroupChangePolicy": IGNORED,
    "securityContext.seLinuxChangePolicy": IGNORED,
    "securityContext.seLinuxOptions": IGNORED,
    "securityContext.seccompProfile": IGNORED,
    "securityContext.supplementalGroupsPolicy": IGNORED,  # no image of the catalogue brings groups of its own
    "securityContext.windowsOptions": IGNORED,
    # Where a pod runs decides which wires its packets cross, so a wish about it is kept or refused.
    "nodeName": HONOURED,
    "nodeSelector": HONOURED,
    "tolerations": HONOURED,
    **_under("topologySpreadConstraints[*]", _SPREAD),
    "affinity.nodeAffinity": HONOURED,
    **_under("affinity.podAffinity", _POD_AFFINITY),
    **_under("affinity.podAntiAffinity", _POD_AFFINITY),
    "schedulerName": refused("there is one scheduler", "default-scheduler"),
    "schedulingGates": refused("a pod is scheduled at once"),
    "schedulingGroup": refused("a pod is scheduled for itself"),
    "readinessGates": refused("conditions are not set from outside; use a readinessProbe"),
    "runtimeClassName": HONOURED,  # the pod waits
    "os.name": refused("the nodes run Linux", "linux"),
    "automountServiceAccountToken": IGNORED,
    "enableServiceLinks": HONOURED,
    "evictionResponders": IGNORED,
    "imagePullSecrets": IGNORED,
    "overhead": IGNORED,
    "preemptionPolicy": IGNORED,
    "priority": IGNORED,
    "priorityClassName": IGNORED,
    "resourceClaims": IGNORED,
    "resources": IGNORED,
}

# --- what makes pods

_WORKLOAD = {
    **_OBJECT,
    "metadata.annotations": DROPPED,  # notes of tools for themselves, kubectl's own above all
    **_under("spec.template.spec", _POD_SPEC),
    "spec.template.metadata.labels": HONOURED,
    "spec.template.metadata.annotations": HONOURED,
    "spec.template.metadata.creationTimestamp": DROPPED,  # null in every dump of kubectl
    "spec.template.metadata.name": IGNORED,
    "spec.template.metadata.namespace": IGNORED,
}

_DEPLOYMENT = {
    **_WORKLOAD,
    "spec.replicas": HONOURED,
    "spec.selector": HONOURED,
    "spec.strategy": HONOURED,
    # On Kubernetes a new Deployment that is paused makes no pods, so ignoring this would start some.
    "spec.paused": refused("a Deployment is always rolled out; set replicas to 0", False),
    "spec.minReadySeconds": HONOURED,
    "spec.progressDeadlineSeconds": IGNORED,  # nobody watches a rollout but the run itself, by ready_timeout
    "spec.revisionHistoryLimit": IGNORED,
}

_REPLICA_SET = {
    **_WORKLOAD,
    "spec.replicas": HONOURED,
    "spec.selector": HONOURED,
    "spec.minReadySeconds": HONOURED,
}

_REPLICATION_CONTROLLER = _REPLICA_SET

_DAEMON_SET = {
    **_WORKLOAD,
    "spec.selector": HONOURED,
    "spec.updateStrategy": HONOURED,
    "spec.minReadySeconds": HONOURED,
    "spec.revisionHistoryLimit": IGNORED,
}

_STATEFUL_SET = {
    **_WORKLOAD,
    "spec.ordinals": HONOURED,
    "spec.podManagementPolicy": HONOURED,
    "spec.replicas": HONOURED,
    "spec.selector": HONOURED,
    "spec.serviceName": HONOURED,
    "spec.updateStrategy.type": HONOURED,
    "spec.updateStrategy.rollingUpdate.partition": HONOURED,
    "spec.updateStrategy.rollingUpdate.maxUnavailable": refused("pods are replaced one by one", 1),
    "spec.volumeClaimTemplates": _CLAIM,
    "spec.minReadySeconds": HONOURED,
    "spec.persistentVolumeClaimRetentionPolicy": HONOURED,
    "spec.revisionHistoryLimit": IGNORED,
}

_ONE_LIMIT = "backoffLimit alone says how often a Job may fail"

_JOB = {
    **_WORKLOAD,
    "spec.backoffLimit": HONOURED,
    "spec.completionMode": HONOURED,
    "spec.completions": HONOURED,
    "spec.parallelism": HONOURED,
    "spec.suspend": HONOURED,
    "spec.backoffLimitPerIndex": refused(_ONE_LIMIT),
    "spec.maxFailedIndexes": refused(_ONE_LIMIT),
    "spec.managedBy": refused("there is one controller of Jobs", "kubernetes.io/job-controller"),
    "spec.manualSelector": refused("a Job's pods are known by its name", False),
    "spec.selector": refused("a Job's pods are known by its name"),
    "spec.podFailurePolicy": refused(_ONE_LIMIT),
    "spec.scheduling": refused("a pod is scheduled for itself"),
    "spec.successPolicy": refused("a Job is done when all of its completions are"),
    "spec.activeDeadlineSeconds": HONOURED,
    "spec.ttlSecondsAfterFinished": HONOURED,
    "spec.podReplacementPolicy": IGNORED,
}

_CRON_JOB = {
    **_OBJECT,
    "metadata.annotations": DROPPED,
    **_under("spec.jobTemplate", {path: rule for path, rule in _JOB.items() if path.startswith("spec.")}),
    "spec.jobTemplate.metadata.labels": HONOURED,
    "spec.jobTemplate.metadata.annotations": HONOURED,
    "spec.jobTemplate.metadata.creationTimestamp": DROPPED,
    "spec.schedule": HONOURED,  # nothing is run by it; get shows it
    "spec.suspend": HONOURED,
    "spec.timeZone": HONOURED,
    "spec.concurrencyPolicy": IGNORED,
    "spec.failedJobsHistoryLimit": IGNORED,
    "spec.startingDeadlineSeconds": IGNORED,
    "spec.successfulJobsHistoryLimit": IGNORED,
}

# --- what is only kept

_NAMESPACE = {
    **_OBJECT,
    "metadata.labels": IGNORED,
    "metadata.annotations": DROPPED,
    "spec.finalizers": DROPPED,  # "kubernetes", set by the API server
}

_STORED = {
    **_OBJECT,
    "data": HONOURED,
    "immutable": HONOURED,
}

_CLAIM_OBJECT = {
    **_OBJECT,
    "spec.accessModes": HONOURED,  # ReadWriteOncePod; of the others pods of one node may write at once
    "spec.resources": HONOURED,
    "spec.storageClassName": HONOURED,
    "spec.volumeAttributesClassName": HONOURED,
    "spec.volumeName": IGNORED,
    "spec.selector": IGNORED,
    "spec.dataSource": IGNORED,
    "spec.dataSourceRef": IGNORED,
    "spec.volumeMode": refused("a claim is a directory", "Filesystem"),
}

# --- services
# ---------------------------------------------------------------------------

_SERVICE = {
    **{path: rule for path, rule in _OBJECT.items() if path != "status"},
    "spec.allocateLoadBalancerNodePorts": HONOURED,
    "spec.clusterIP": HONOURED,
    "spec.clusterIPs": HONOURED,
    "spec.externalIPs": HONOURED,
    "spec.externalName": HONOURED,
    "spec.externalTrafficPolicy": HONOURED,
    "spec.healthCheckNodePort": HONOURED,
    "spec.internalTrafficPolicy": HONOURED,
    "spec.ipFamilies": HONOURED,
    "spec.ipFamilyPolicy": HONOURED,
    "spec.loadBalancerClass": HONOURED,
    "spec.loadBalancerIP": HONOURED,
    "spec.loadBalancerSourceRanges": HONOURED,
    "spec.ports[*].appProtocol": HONOURED,
    "spec.ports[*].name": HONOURED,
    "spec.ports[*].nodePort": HONOURED,
    "spec.ports[*].port": HONOURED,
    "spec.ports[*].protocol": HONOURED,
    "spec.ports[*].targetPort": HONOURED,
    "spec.publishNotReadyAddresses": HONOURED,
    "spec.selector": HONOURED,
    "spec.sessionAffinity": HONOURED,
    "spec.sessionAffinityConfig": HONOURED,
    "spec.trafficDistribution": HONOURED,
    "spec.type": HONOURED,
    # An address that a load balancer was given elsewhere; without one the pool of the settings gives one.
    "status.loadBalancer.ingress[*].hostname": HONOURED,
    "status.loadBalancer.ingress[*].ip": HONOURED,
    "status.loadBalancer.ingress[*].ipMode": HONOURED,
    "status.conditions": DROPPED,
    "status.loadBalancer.ingress[*].ports": DROPPED,
}

_ENDPOINT_SLICE = {
    **{path: rule for path, rule in _OBJECT.items() if path != "status"},
    "addressType": HONOURED,
    "endpoints[*].addresses": HONOURED,
    "endpoints[*].conditions": HONOURED,
    "endpoints[*].hints": HONOURED,
    "endpoints[*].hostname": HONOURED,
    "endpoints[*].nodeName": HONOURED,
    "endpoints[*].targetRef": HONOURED,
    "endpoints[*].zone": HONOURED,
    "endpoints[*].deprecatedTopology": IGNORED,
    "ports[*].appProtocol": HONOURED,
    "ports[*].name": HONOURED,
    "ports[*].port": HONOURED,
    "ports[*].protocol": HONOURED,
}

_ENDPOINTS = {
    **{path: rule for path, rule in _OBJECT.items() if path != "status"},
    "subsets[*].addresses": HONOURED,
    "subsets[*].notReadyAddresses": HONOURED,
    "subsets[*].ports": HONOURED,
}

TABLE: Mapping[str, Mapping[str, Rule]] = {
    "Namespace": _NAMESPACE,
    "Pod": {**_OBJECT, **_under("spec", _POD_SPEC)},
    "Deployment": _DEPLOYMENT,
    "ReplicaSet": _REPLICA_SET,
    "ReplicationController": _REPLICATION_CONTROLLER,
    "DaemonSet": _DAEMON_SET,
    "StatefulSet": _STATEFUL_SET,
    "Job": _JOB,
    "CronJob": _CRON_JOB,
    "ConfigMap": {**_STORED, "binaryData": HONOURED},
    "Secret": {**_STORED, "stringData": HONOURED, "type": HONOURED},
    "PersistentVolumeClaim": _CLAIM_OBJECT,
    "Service": _SERVICE,
    "EndpointSlice": _ENDPOINT_SLICE,
    "Endpoints": _ENDPOINTS,
}
