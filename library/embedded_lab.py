"""The power switch of the embedded hosts. The work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = """
module: embedded_lab
short_description: Power the embedded hosts on or off
description:
  - Makes the lab hold exactly the hosts of the inventory whose connection is C(embedded), with the addresses that
    their C(interfaces) have.
  - A lab is one tree of processes in namespaces of its own; powering it off leaves nothing on the machine.
  - In check mode a lab that is off is lit for the length of the run, so that the run has bare hosts to look at.
author: podlab
options:
  state:
    description: Whether the lab is on.
    choices: ['on', 'off']
    default: 'on'
    type: str
attributes:
  check_mode: {support: full, description: See above.}
  diff_mode: {support: full, description: Tells which hosts change.}
"""

EXAMPLES = """
- name: Power on the embedded hosts
  embedded_lab:
    state: 'on'
  run_once: true
"""

RETURN = """
done:
  description: What was done, a sentence each.
  returned: always
  type: list
  elements: str
"""
