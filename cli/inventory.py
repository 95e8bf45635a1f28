"""The hosts of an inventory, as far as ``./lab`` has to know them to reach them.

Ansible itself reads it, in this process: any form of inventory works, and it takes a fraction of the time
that ``ansible-inventory`` would.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path

from podlab.embedded import Lab

from .errors import CommandError
from .hosts import Embedded, Host, Local, Ssh
from .passwords import KNOWN

ROOT = str(Path(__file__).resolve().parent.parent)
GROUPS = {"nodes": "node", "gateways": "gateway", "external": "outside"}


PASSWORDS = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
# What says how a host is reached; values may be templates.
VARIABLES = (
    *("ansible_connection", "ansible_host", "ansible_port", "ansible_user", "ansible_python_interpreter", "podlab_lab"),
    *("ansible_ssh_private_key_file", "ansible_private_key_file", "ansible_become", "ansible_become_user"),
    *("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"),
    *("ansible_ssh_timeout", "ansible_timeout", *PASSWORDS),
)
# The same from ansible.cfg and the environment: variable -> plugin and its option.
OPTIONS = {
    "ansible_ssh_timeout": ("connection", "ssh", "timeout"),
    "ansible_ssh_args": ("connection", "ssh", "ssh_args"),
    "ansible_ssh_common_args": ("connection", "ssh", "ssh_common_args"),
    "ansible_ssh_extra_args": ("connection", "ssh", "ssh_extra_args"),
    "ansible_become_password": ("become", "sudo", "become_pass"),
}


def read(sources: Sequence[str]) -> list[Host]:
    """Every host of the inventory, in its order.

    :param sources: as for ``ansible-playbook -i``; with none, what the environment or ansible.cfg names.
    :raises CommandError: it cannot be read, or there is no host in it.
    """
    # Only here: it takes a third of a second, and ``--help`` shall not wait for it.
    from ansible import constants
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.vars.manager import VariableManager

    if AnsibleCollectionConfig.collection_finder is None:  # after a playbook in this very process it is there
        init_plugin_loader()
    defaults = {
        "ansible_connection": constants.DEFAULT_TRANSPORT,
        "ansible_user": constants.DEFAULT_REMOTE_USER,
        "ansible_private_key_file": constants.DEFAULT_PRIVATE_KEY_FILE,
        "ansible_become": constants.DEFAULT_BECOME,
    }
    chosen = [str(source) for source in sources or constants.DEFAULT_HOST_LIST]
    loader = DataLoader()
    loader.set_basedir(ROOT)
    KNOWN.unlock(loader)
    labs: dict[str, dict[str, int]] = {}
    hosts = []
    try:
        inventory = InventoryManager(loader=loader, sources=chosen)
        manager = VariableManager(loader=loader, inventory=inventory)
        for host in inventory.get_hosts():
            known = manager.get_vars(host=host)
            template = Templar(loader=loader, variables=known).template
            settings = {name: template(known.get(name, defaults.get(name))) for name in VARIABLES}
            # Plain text: Ansible's own type remembers where it was written, which other code does not expect.
            words = {name: str(value) for name, value in settings.items() if value is not None}
            if words["ansible_connection"] != "embedded":
                words = _configured() | words
            hosts.append(_host(str(host.name), known["group_names"], words, labs))
        if any(host.becomes and not host.password for host in hosts):
            known = KNOWN.become_password()
            hosts = [dataclasses.replace(host, password=host.password or known) for host in hosts]
    except AnsibleError as error:
        raise CommandError(f"error: {error}") from error
    if not hosts:
        raise CommandError(f"error: there is no host in the inventory {', '.join(chosen)}")
    return hosts


@functools.cache
def _configured() -> dict[str, str]:
    """What ansible.cfg and the environment say, where an inventory does not."""
    from ansible import constants
    from ansible.plugins.loader import become_loader, connection_loader

    connection_loader.get("ssh", class_only=True)  # which options there are is in the plugins
    become_loader.get("sudo", class_only=True)
    found = {}
    for variable, (kind, name, option) in OPTIONS.items():
        value, origin = constants.config.get_config_value_and_origin(option, plugin_type=kind, plugin_name=name)
        # Ansible's own arguments of ssh are about connections that stay, which takes a directory of its own.
        if value is not None and (origin != "default" or option == "timeout"):
            found[variable] = str(value)
    return found


def _host(name: str, groups: Sequence[str], variables: dict[str, str], labs: dict[str, dict[str, int]]) -> Host:
    """:param labs: what is on, by the name of the lab; filled as labs are met."""
    role = next((GROUPS[group] for group in groups if group in GROUPS), "none")
    kind = variables["ansible_connection"]
    password = next(filter(None, [variables.pop(word, None) for word in PASSWORDS]), None)
    if kind == "embedded":
        lab = variables.get("podlab_lab") or lab_name()
        if lab not in labs:
            labs[lab] = Lab(ROOT, lab).hosts()
        return Embedded(name, role, variables, lab, labs[lab].get(name))
    return (Local if kind == "local" else Ssh)(name, role, variables, password=password)


def lab_name() -> str:
    """Which lab of this clone and user is meant."""
    return os.environ.get("PODLAB_LAB") or "default"
