"""The shape that every module of a chapter has: observe, work out, apply, tell."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import lease
from .run import HostError, words_of

Work = Callable[[dict[str, Any]], "tuple[Sequence[str], Callable[[], object], *tuple[list[str], ...]]"]
"""Rows in; the lines a person would type, and what applies them, out. Nothing is written before that is called.
A list of warnings may follow, which grows while it is at work."""


def run_module(argument_spec: dict[str, Any], work: Work, *, takes_lease: bool = True) -> None:
    """Run one chapter's module: no lines, no change; in check mode the lines alone.

    :param takes_lease: whether it writes as a part of a run, which has the host to itself.
    """
    spec = {**argument_spec, "caller": {"type": "dict"}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    os.umask(0o022)  # Ansible runs a module with that of the run's shell, or of the account that SSH leads to
    # A run that was cut off may still be at work here; the next one waits for its end.
    lock = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines, apply, *warnings = work(module.params)
        if lines and not module.check_mode:
            if takes_lease:
                lease.take(module.params["caller"])
            apply()
    except (HostError, OSError) as error:
        module.fail_json(msg=words_of(error))
    diff = {"prepared": "".join(f"{line}\n" for line in lines)} if lines else {}
    told = {"warnings": warnings[0]} if warnings and warnings[0] else {}
    module.exit_json(changed=bool(lines), diff=diff, **told)
