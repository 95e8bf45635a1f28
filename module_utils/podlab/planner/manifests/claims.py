"""PersistentVolumeClaims and ``volumeClaimTemplates`` (pkg/apis/core/validation, ValidatePersistentVolumeClaimSpec)."""

from __future__ import annotations

from ...records.host_record import ClaimSpec
from ..claims.model import Claim, ClaimTemplate
from . import names
from .quantities import WORDS, quantity
from .reading import Field

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_POLICIES = ("Retain", "Delete")


def claim(root: Field, name: str, namespace: str) -> Claim:
    return Claim(namespace, name, _spec(root["spec"]))


def claim_templates(spec: Field) -> tuple[ClaimTemplate, ...]:
    """Of a StatefulSet's ``spec``, with what its retention policy says."""
    policy = spec["persistentVolumeClaimRetentionPolicy"]
    of_set, of_pod = (policy[field].one_of(_POLICIES) == "Retain" for field in ("whenDeleted", "whenScaled"))
    made: dict[str, ClaimTemplate] = {}
    for item in spec["volumeClaimTemplates"].items():
        node = item["metadata"]["name"]
        name, wanted = node.text(), _spec(item["spec"])
        if node.absent:
            node.required("name or generateName is required")
        elif node.check(names.dns1123_subdomain(name)) and name in made:
            node.duplicate()
        made.setdefault(name, ClaimTemplate(name, wanted, of_set, of_pod))
    return tuple(made.values())


def _spec(node: Field) -> ClaimSpec:
    modes, storage = node["accessModes"], node["resources"]["requests"]["storage"]
    if modes.absent:
        modes.required("at least 1 access mode is required")
    for item in modes.items():
        item.one_of(_MODES)
    if len(modes.items()) > 1 and "ReadWriteOncePod" in modes.texts():
        modes.forbidden("may not use ReadWriteOncePod with other access modes")
    written = storage.number_or_text("number")
    if written is None:
        storage.required()
    elif (size := quantity(written)) is None:
        storage.invalid(WORDS)
    elif size <= 0:
        storage.invalid("must be greater than zero")
    if name := node["storageClassName"].text():
        node["storageClassName"].check(names.dns1123_subdomain(name))
    found: ClaimSpec = node.value or ClaimSpec()
    return found
