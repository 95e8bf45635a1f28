"""The table of kinds that podlab has no use for: which are passed over and why, and what a kind is called today.

What ``objects.KINDS`` reads is not repeated here, but for the versions that it had before.
"""

from __future__ import annotations

from collections.abc import Mapping

_NO_SERVER = "there is no API server that a pod could speak to"
_NO_ADMISSION = "there is no API server that would ask it"
_NO_STORAGE = "a claim is a directory of its pod's node"
_NO_LIMITS = "no resource is limited"
_NOT_SERVED = "nothing listens at its hosts and paths"
_OF_CLUSTERS = "it belongs to a cluster's own housekeeping"
_NOT_WATCHED = "nothing watches between two runs"

CUSTOM = "its controller is not told of it"
"""Objects of groups that are not Kubernetes' own: what a CustomResourceDefinition declares."""

ISOLATION = "NOT ENFORCED: every pod reaches every other one, what it forbids included"
"""It changes who may connect, so it is said in a line of its own."""

# Kind -> API version that it has today (the newest first), and why it is passed over.
IGNORED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ServiceAccount": (("v1",), _NO_SERVER),
    "Role": (("rbac.authorization.k8s.io/v1",), _NO_SERVER),
    "RoleBinding": (("rbac.authorization.k8s.io/v1",), _NO_SERVER),
    "ClusterRole": (("rbac.authorization.k8s.io/v1",), _NO_SERVER),
    "ClusterRoleBinding": (("rbac.authorization.k8s.io/v1",), _NO_SERVER),
    "APIService": (("apiregistration.k8s.io/v1",), _NO_SERVER),
    "CertificateSigningRequest": (("certificates.k8s.io/v1",), _NO_SERVER),
    "CustomResourceDefinition": (("apiextensions.k8s.io/v1",), "objects of its kind are passed over as well"),
    "MutatingWebhookConfiguration": (("admissionregistration.k8s.io/v1",), _NO_ADMISSION),
    "ValidatingWebhookConfiguration": (("admissionregistration.k8s.io/v1",), _NO_ADMISSION),
    "MutatingAdmissionPolicy": (
        ("admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"),
        _NO_ADMISSION,
    ),
    "MutatingAdmissionPolicyBinding": (
        ("admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"),
        _NO_ADMISSION,
    ),
    "ValidatingAdmissionPolicy": (("admissionregistration.k8s.io/v1",), _NO_ADMISSION),
    "ValidatingAdmissionPolicyBinding": (("admissionregistration.k8s.io/v1",), _NO_ADMISSION),
    "HorizontalPodAutoscaler": (("autoscaling/v2", "autoscaling/v1"), "there are as many pods as replicas says"),
    "PodDisruptionBudget": (("policy/v1",), "no pod is evicted"),
    "PriorityClass": (("scheduling.k8s.io/v1",), "no pod makes way for another"),
    "LimitRange": (("v1",), _NO_LIMITS),
    "ResourceQuota": (("v1",), _NO_LIMITS),
    "PersistentVolume": (("v1",), _NO_STORAGE),
    "StorageClass": (("storage.k8s.io/v1",), _NO_STORAGE),
    "CSIDriver": (("storage.k8s.io/v1",), _NO_STORAGE),
    "CSINode": (("storage.k8s.io/v1",), _NO_STORAGE),
    "CSIStorageCapacity": (("storage.k8s.io/v1",), _NO_STORAGE),
    "VolumeAttachment": (("storage.k8s.io/v1",), _NO_STORAGE),
    "VolumeAttributesClass": (("storage.k8s.io/v1", "storage.k8s.io/v1beta1"), _NO_STORAGE),
    "Ingress": (("networking.k8s.io/v1",), _NOT_SERVED),
    "IngressClass": (("networking.k8s.io/v1",), _NOT_SERVED),
    "NetworkPolicy": (("networking.k8s.io/v1",), ISOLATION),
    "RuntimeClass": (("node.k8s.io/v1",), "there is one way to run a container"),
    "FlowSchema": (("flowcontrol.apiserver.k8s.io/v1",), _NO_SERVER),
    "PriorityLevelConfiguration": (("flowcontrol.apiserver.k8s.io/v1",), _NO_SERVER),
    "Node": (("v1",), "the inventory says which nodes there are"),
    "PodTemplate": (("v1",), "nothing makes pods of it"),
    "ControllerRevision": (("apps/v1",), _OF_CLUSTERS),
    "Event": (("v1", "events.k8s.io/v1"), _OF_CLUSTERS),
    "Lease": (("coordination.k8s.io/v1",), _OF_CLUSTERS),
    "DeviceClass": (("resource.k8s.io/v1", "resource.k8s.io/v1beta2", "resource.k8s.io/v1beta1"), _NO_LIMITS),
    "ResourceClaim": (("resource.k8s.io/v1", "resource.k8s.io/v1beta2", "resource.k8s.io/v1beta1"), _NO_LIMITS),
    "ResourceClaimTemplate": (("resource.k8s.io/v1", "resource.k8s.io/v1beta2", "resource.k8s.io/v1beta1"), _NO_LIMITS),
}

# Groups of the API server itself. In any other group a kind is somebody's own.
GROUPS = frozenset(
    {
        *("", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps"),
        *("authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io"),
        *("coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io"),
        *("internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io"),
        *("resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io"),
    }
)

# Kinds that there are none of any more, and what does their work.
GONE: Mapping[str, str] = {
    "PodSecurityPolicy": "Kubernetes 1.25 has taken it away; leave it out",
    "PodPreset": "Kubernetes 1.20 has taken it away; write its values into the pods",
    "ThirdPartyResource": "Kubernetes 1.8 has taken it away; leave it out",
}
