"""What a person can do for a pod that no node can take."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Pod
from .filters import SELECTOR, TAINT
from .inter_pod_affinity import ATTRACTS, IS_REPELLED, NO_PORTS, REPELS, SPREAD, HostPort
from .volume_binding import CONFLICT, IN_USE

_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def what_to_do(pod: Pod, reasons: Sequence[str], ports: Sequence[HostPort]) -> list[str]:
    """:param ports: the host ports that it asks for."""
    lines = []
    if pod.template.node_selector:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(pod.template.node_selector.items()))
        lines.append(f"spec.nodeSelector {wanted}; labels are set with node_labels in the inventory")
    if pod.template.node_affinity.required is not None and SELECTOR in reasons:
        lines.append("spec.affinity.nodeAffinity; labels are set with node_labels in the inventory")
    if any(reason.startswith(TAINT) for reason in reasons):
        lines.append("spec.tolerations lets a pod bear a taint; taints are set with node_taints in the inventory")
    if NO_PORTS in reasons:
        wanted = ", ".join(f"{number}/{protocol}" for protocol, number, _ in ports)
        lines.append(f"host ports {wanted}; one pod of a node can have each")
    if CONFLICT in reasons:
        lines.append("a claim is a directory on one node, and its pods run there; ./lab get pvc shows the claims")
    if IN_USE in reasons:
        lines.append("a claim of ReadWriteOncePod is for one pod; ReadWriteOnce is for all of a node")
    if any(reason.startswith(SPREAD) for reason in reasons):
        lines.append("spec.topologySpreadConstraints; whenUnsatisfiable ScheduleAnyway makes a wish of it")
    if ATTRACTS in reasons:
        lines.append("spec.affinity.podAffinity; preferredDuringSchedulingIgnoredDuringExecution makes a wish of it")
    if REPELS in reasons or IS_REPELLED in reasons:
        lines.append(f"spec.affinity.podAntiAffinity; it takes one more node, or {_PREFERRED}, which is a wish")
    return lines
