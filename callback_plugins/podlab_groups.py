"""Declares the groups that may be empty, in whatever inventory a run has."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible.plugins.callback import CallbackBase

from podlab.controller.groups import MAY_BE_EMPTY

DOCUMENTATION = """
name: podlab_groups
type: aggregate
short_description: Declares the groups that may be empty
description:
  - Ansible warns of a play for a group that is not in the inventory, as that may be a word misspelt. An inventory
    without gateways, or a plan with nothing to do for one component, is none. So these groups are there from the start
    of a run, empty, and a warning is left for words that are wrong.
author: podlab
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """No task can do this: C(group_by) and C(add_host) make no group without a host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "podlab_groups"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # A callback is not handed the inventory; the plays' variables come from there.
        for inventory in {play.get_variable_manager()._inventory for play in playbook.get_plays()}:
            for group in MAY_BE_EMPTY:
                inventory.add_group(group)
