"""podlab's own programs: the door to ``podlab.controller.own_programs``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Ansible puts local module_utils on the path of modules, not of lookups.
sys.path.insert(0, str(ROOT / "module_utils"))

from ansible.plugins.lookup import LookupBase

from podlab.controller.own_programs import programs

DOCUMENTATION = r"""
name: podlab_programs
author: podlab
short_description: The programs that podlab brings to a host for containers
description:
  - What lies in C(images/) beside the catalogue, the kubelet, and what enters containers.
options: {}
"""

EXAMPLES = r"""
- name: Pods with podlab's own programs
  podlab_pods:
    pods: "{{ pods_list }}"
    programs: "{{ lookup('podlab_programs') }}"
"""

RETURN = r"""
_raw:
  description: One table, path below /var/lib/podlab/images -> text.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[dict[str, str]]:
        return [programs(ROOT)]
