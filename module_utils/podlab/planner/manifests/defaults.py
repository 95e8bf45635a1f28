"""What the API server writes into a pod's spec where a manifest says nothing (``pkg/apis/core/v1/defaults.go``).

With the default or without it, it is the same spec: two are compared without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By the name of the field alone: none of these names has two defaults in a pod's spec.
_DEFAULTS: Mapping[str, Any] = {
    "apiVersion": "v1",  # of a fieldRef
    "defaultMode": 420,
    "divisor": "0",
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": True,
    "failureThreshold": 3,
    "initialDelaySeconds": 0,
    "periodSeconds": 10,
    "protocol": "TCP",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "scheme": "HTTP",
    "successThreshold": 1,
    "terminationGracePeriodSeconds": 30,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "timeoutSeconds": 1,
    "volumeMode": "Filesystem",  # of a claim
}

# It follows from the tag of the image, and there is nothing to pull.
_WITHOUT_MEANING = ("imagePullPolicy",)

# Maps whose keys are the user's own.
_OWN_KEYS = ("annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests")


def without_defaults(value: Any) -> Any:
    """The same without fields that say what holds anyway, or nothing."""
    if isinstance(value, list):
        return [without_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _plain(below) if name in _OWN_KEYS else without_defaults(below) for name, below in value.items()}
    return {name: below for name, below in kept.items() if not _is_default(name, below)}


def _is_default(name: str, value: Any) -> bool:
    nothing = value is None or value is False or value in ("", [], {})
    return nothing or name in _WITHOUT_MEANING or (name in _DEFAULTS and value == _DEFAULTS[name])


def _plain(value: Any) -> Any:
    """A quantity may be written as a number."""
    return {key: str(text) for key, text in value.items()} if isinstance(value, dict) else value
