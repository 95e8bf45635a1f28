"""``services.json``: which row was applied last, and what iptables-save told right after. Where both are as they were,
nothing has to be worked out."""

from __future__ import annotations

import json
import os

from ...changes.kube_proxy import actions
from ...changes.kube_proxy import record as kube_record
from ...changes.kube_proxy.record import State
from .. import record
from ..record import text_of, write_file

STATE = actions.STATE


def remembered() -> State | None:
    """What is known of the last run; None, if that is not whole."""
    try:
        return kube_record.sound_state(json.loads(text_of(STATE) or "null"))
    except (ValueError, RecursionError):
        return None


def damage(known: State | None) -> list[str]:
    """A sentence about a file that is there and cannot be used."""
    is_damaged = os.path.exists(STATE) and not known
    return [f"the record ({STATE}) is damaged; all rules are looked at anew"] if is_damaged else []


def remember(state: State) -> None:
    record.make_directory(record.HOME)
    write_file(STATE, json.dumps(state) + "\n")
