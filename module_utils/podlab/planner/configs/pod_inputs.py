"""A digest of all that a pod's config is made of, by which one that was applied is known for what would be made again.

To make a config and to compare it takes 25 us, to know it again 3: a plan of what stands already makes none. The digest
goes with the config, and the host leaves it out where what it keeps is not what was written. The variables of Services
that a container got when it was started are no part of it: they stay as they are while it runs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from ...configs import BridgeConfig, PodConfig
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..model import Pod


class PodInputs:
    """Of the pods of a plan.

    :param code: the digest of podlab's own code; none is known again where it is empty.
    """

    def __init__(self, code: str, cluster: Cluster, pods: Iterable[Pod]) -> None:
        self._common = f"{code} {cluster!r}" if code else ""
        self._alike = Counter(id(pod.template) for pod in pods) if code else Counter[int]()
        self._templates: dict[int, str] = {}

    def of_node(self, node: Host, bridge: BridgeConfig) -> NodeInputs:
        if not self._common:
            return NodeInputs(self, "")
        seen = node.seen
        facts = (node.name, node.address, seen["ids"], seen.get("resolv_conf", ""), bridge)
        return NodeInputs(self, _digest(f"{self._common} {facts!r}"))

    def of_template(self, pod: Pod) -> str:
        """Nothing for one that a single pod has: its config is made sooner."""
        key = id(pod.template)
        if key not in self._templates:
            self._templates[key] = _digest(repr(pod.template)) if self._alike[key] > 1 else ""
        return self._templates[key]


class NodeInputs:
    """Of the pods of one node."""

    def __init__(self, inputs: PodInputs, common: str) -> None:
        self._inputs, self._common = inputs, common

    def digest(self, pod: Pod, address: str, created: str) -> str:
        """Empty where it is not worth one, or where the pod stays as it was made."""
        template = "" if pod.pinned or not self._common else self._inputs.of_template(pod)
        if not template:
            return ""
        who = f"{pod.netns} {pod.namespace} {pod.name} {pod.revision} {pod.controller}"
        return _digest(f"{self._common} {template} {who} {address} {created}")


def known_again(node: Host, pod: Pod, digest: str) -> PodConfig | None:
    """What the node has of the pod, where that is what would be made."""
    there = node.seen["pods"].get(pod.netns) if digest else None
    config = there["row"] if there else None
    return config if config is not None and config.get("inputs") == digest else None


def with_inputs(config: PodConfig, node: Host, digest: str) -> PodConfig:
    """A config that was made. Where the node has the same one with another digest, or without, that stays: an update of
    podlab writes no pod anew."""
    there = node.seen["pods"].get(config["netns"])
    before = there["row"] if there else None
    if before is not None and {key: one for key, one in before.items() if key != "inputs"} == config:
        return before
    if digest:
        config["inputs"] = digest
    return config


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
