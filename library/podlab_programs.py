"""Install the Debian packages of programs that a host lacks."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_programs
short_description: Install the Debian packages of programs that a host lacks
description:
  - Installs packages with C(apt-get) and no recommended ones. No service starts, and nginx neither at the next boot.
  - Unlike M(ansible.builtin.apt) it needs no C(python3-apt) on the host, and tells how far it is.
  - Where C(apt-get) cannot bring them the task does not fail. It says why in C(unavailable), and the plan says for all
    hosts together which packages are missing.
author: podlab
options:
  packages:
    description: Packages that are not there.
    type: list
    elements: str
    required: true
  report_after:
    description: After so many seconds, tell how far it is instead of waiting on. The action plugin asks again.
    type: float
  is_started:
    description: Whether an earlier call has started it.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: Names the packages.}
  diff_mode: {support: full, description: The commands that a person would type.}
"""

EXAMPLES = """
- name: Install conntrack
  podlab_programs:
    packages: [conntrack]
"""

RETURN = """
unavailable:
  description: Why the packages could not be installed; empty if they were.
  returned: always
  type: str
log:
  description: What C(apt-get) has printed.
  returned: when it was run
  type: str
progress:
  description: How far it is.
  returned: when it has not come to its end within report_after
  type: str
"""

import shlex

from ansible.module_utils.podlab.host.ansible_module import ansible_module
from ansible.module_utils.podlab.host.system import packages as apt

ARGUMENT_SPEC = {
    "packages": {"type": "list", "elements": "str", "required": True},
    "report_after": {"type": "float"},
    "is_started": {"type": "bool", "default": False},
}


def main() -> None:
    module = ansible_module(ARGUMENT_SPEC)
    wanted = sorted(module.params["packages"])
    diff = {"prepared": "".join(f"{shlex.join(command)}\n" for command in apt.commands(wanted))}
    if not wanted or module.check_mode:
        module.exit_json(changed=bool(wanted), diff=diff if wanted else {}, unavailable="")
    try:
        if not module.params["is_started"]:
            apt.start(wanted)
        if not apt.wait(module.params["report_after"]):
            module.exit_json(changed=False, unavailable="", progress=apt.progress(apt.log(), len(wanted)))
        text = apt.log()
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    why = apt.failure(text)
    if why is None:
        apt.forget()
        module.exit_json(changed=True, diff=diff, unavailable="", log=text)
    module.exit_json(changed=False, unavailable=why, log=text)


if __name__ == "__main__":
    main()
