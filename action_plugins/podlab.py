"""Runs every module whose name begins with ``podlab_``, but for those with a plugin of their own.

Ansible finds it by the modules' prefix, as ``network_group_modules`` in ansible.cfg says: the one way from many modules
to one action plugin for modules that are in no collection. Without that setting they run as any module does.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from podlab.controller.module_action import ModuleAction


class ActionModule(ModuleAction):
    """Packs a module more quickly than Ansible does; everything else is as with ``ansible.builtin.normal``."""
