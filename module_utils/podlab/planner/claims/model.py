"""Claims, as manifests ask for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...records.host_record import ClaimSpec
from ..manifests.names import file_name

STATEFUL_SET = "StatefulSet"


@dataclass(frozen=True)
class ClaimTemplate:
    """One of ``volumeClaimTemplates``, with what ``persistentVolumeClaimRetentionPolicy`` says of its claims."""

    name: str
    spec: ClaimSpec = field(default_factory=ClaimSpec)
    outlives_set: bool = True
    outlives_pod: bool = True


@dataclass(frozen=True)
class Claim:
    """A claim: a directory that outlives the pods that use it.

    ``owner`` is the StatefulSet whose template made it; empty where a manifest has it, or nobody knows. ``is_retained``
    is whether it stays without its manifest or its owner.
    """

    namespace: str
    name: str
    spec: ClaimSpec = field(default_factory=ClaimSpec)
    owner: str = ""
    is_retained: bool = False

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def directory_of(key: str) -> str:
    """The name of a claim's directory."""
    return file_name(*key.split("/"))


def key_of(directory: str) -> str:
    """The claim of a directory that no record tells of; empty for a name that was cut."""
    namespace, _, name = directory.partition("_")
    key = f"{namespace}/{name}"
    try:
        return key if name and directory_of(key) == directory else ""
    except ValueError:
        return ""
