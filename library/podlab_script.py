"""The hosts of the plan as shell scripts. The work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_script
short_description: Write what the plan makes of each host as a shell script, and the script that takes it away again
description:
  - Runs on the controller, after M(podlab_plan), and touches no host. For each node and gateway it writes C(HOST.sh)
    and C(HOST-undo.sh).
  - The scripts hold values of Secrets, so they are readable to their owner alone.
author: podlab
options:
  directory:
    description: Where to; it has to be there.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: It writes these files in check mode as well, and nothing else ever.}
"""

EXAMPLES = """
- name: Write the scripts
  podlab_script:
    directory: /tmp/scripts
  run_once: true
"""

RETURN = """
written:
  description: The files.
  returned: success
  type: list
  elements: str
"""
