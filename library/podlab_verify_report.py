"""Hold the answers of the probes against the plan. The work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_verify_report
short_description: Hold what the probes saw against what the plan expects
description:
  - Prints the matrix of who reaches whom, and fails with both ends of every connection that is not as planned.
author: podlab
options: {}
attributes:
  check_mode: {support: full, description: In check mode nothing was asked, so nothing is judged.}
"""

EXAMPLES = """
- name: Compare the answers with the plan
  podlab_verify_report:
  run_once: true
"""

RETURN = """
cells:
  description: How many connections were judged.
  returned: success
  type: int
calls:
  description: How many calls of Services were judged.
  returned: success
  type: int
"""
