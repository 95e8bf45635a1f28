"""How a module of podlab's begins, in whichever way Ansible has brought it here."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from .run import prepare


def ansible_module(argument_spec: dict[str, Any], **constraints: Any) -> AnsibleModule:
    """Its parameters, checked, in an environment that does not depend on the account that is used.

    :param argument_spec: the module's ARGUMENT_SPEC.
    :param constraints: ``required_if`` and the like; the module's REQUIRED_IF.
    """
    prepare()
    return AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **constraints)
