"""Of two runs at once, let one go on."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_claim
short_description: Say on a host that this run is about to write
description:
  - Fails, with the name of the other run, if one has said so since this run has looked at the host.
  - Run once, on the first host of a run, before anything is written anywhere - so that of two runs at once one goes on,
    and not each of them on the hosts where it was first. Every module that writes says it again for its host.
author: podlab
options:
  caller:
    description: This run; the action plugin tells it.
    type: dict
attributes:
  check_mode: {support: full, description: Nothing is written then, and so nobody kept away.}
"""

EXAMPLES = """
- name: Take the lock of the host
  podlab_claim:
  run_once: true
"""

RETURN = """
"""

from ansible.module_utils.podlab.host import lease
from ansible.module_utils.podlab.host.ansible_module import ansible_module
from ansible.module_utils.podlab.host.module_base import locked
from ansible.module_utils.podlab.host.run import HostError, words_of

ARGUMENT_SPEC = {"caller": {"type": "dict"}}


def main() -> None:
    module = ansible_module(ARGUMENT_SPEC)
    try:
        with locked():
            if not module.check_mode:
                lease.take(module.params["caller"])
    except (HostError, OSError) as error:
        module.fail_json(msg=words_of(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
