"""``pod.json``: what was applied of a pod last, and whether it is still what was written."""

from __future__ import annotations

import hashlib
import json

from ...configs import PodConfig

_BEFORE, _AFTER = '{"checksum": "', '", '
_LENGTH = 64


def text_of(config: PodConfig) -> str:
    """With a checksum before all else, so that it is found without any JSON being read."""
    text = json.dumps(config)
    return f"{_BEFORE}{_checksum(text)}{_AFTER}{text[1:]}" if "inputs" in config else text


def read(text: str) -> object:
    """What stands in the file. The digest of what it was made of counts only where no byte has changed since.

    :raises ValueError: it is no JSON.
    :raises RecursionError: it is too deep.
    """
    found: object = json.loads(text)
    if isinstance(found, dict) and ("inputs" in found or "checksum" in found):
        body = "{" + text[len(_BEFORE) + _LENGTH + len(_AFTER) :]
        if found.pop("checksum", "") != _checksum(body):
            found.pop("inputs", None)
    return found


def typed(config: PodConfig) -> str:
    """As a person would write it."""
    return json.dumps({key: value for key, value in config.items() if key != "inputs"}) + "\n"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
