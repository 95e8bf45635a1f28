"""End a run for one host. The work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_refuse
short_description: End a run for a host that it cannot change, with the reason
description:
  - The plan tells which hosts these are (C(refused)). The others go on without them.
author: podlab
options:
  words:
    description: What keeps the run from this host, a sentence each.
    type: list
    elements: str
    required: true
attributes:
  check_mode: {support: full, description: It never changes anything.}
"""

EXAMPLES = """
- name: Leave out the hosts that this run cannot change
  podlab_refuse:
    words: "{{ podlab_plan.refused[inventory_hostname] }}"
  when: inventory_hostname in podlab_plan.refused
"""

RETURN = """
refused:
  description: The words.
  returned: always
  type: list
  elements: str
"""
