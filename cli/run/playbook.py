"""A playbook, run in this process, and what stands after it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from podlab.controller.rollout_report import IN_PLACE

from .. import inventory
from ..look import cluster, get
from ..output import print_text
from ..passwords import KNOWN
from .suggestions import suggestions

LOOKING_ONLY = ("check", "syntax", "listhosts", "listtasks", "listtags")


def build(options: Sequence[str], manifests: str | None, playbook: str = "site.yml") -> int:
    """Run site.yml and show what stands, also where some pods are not ready or calls went astray.

    :param options: for ansible-playbook, as they were written.
    :return: ansible-playbook's exit code.
    """
    words = ["-e", json.dumps({"podlab_manifests": manifests})] if manifests is not None else []
    told, telling = os.pipe()
    os.environ[IN_PLACE] = str(telling)
    code = play(playbook, [*words, *options])
    del os.environ[IN_PLACE]
    os.close(telling)
    os.set_blocking(told, False)
    try:
        is_in_place = code == 0 or os.read(told, 1) != b""
    except BlockingIOError:
        is_in_place = False
    os.close(told)
    from ansible import context

    if is_in_place and not any(context.CLIARGS.get(option) for option in LOOKING_ONLY):
        summary(context.CLIARGS["inventory"])
    return code


def play(name: str, options: Sequence[str]) -> int:
    """What the program ansible-playbook does, but in this process: what it has imported serves the table as well."""
    import ansible.constants  # noqa: F401 - where HOME cannot be written, this says so and the next line bursts
    from ansible.cli.playbook import CLI, PlaybookCLI

    class Playbook(PlaybookCLI):  # type: ignore[misc]
        @staticmethod
        def ask_passwords() -> tuple[str | None, str | None]:
            ssh, become = (None, KNOWN.become) if KNOWN.become else CLI.ask_passwords()
            KNOWN.become = become
            return ssh, become

    CLI.setup_vault_secrets = staticmethod(KNOWN.once(CLI.setup_vault_secrets))
    try:
        Playbook.cli_executor(["ansible-playbook", os.path.join(inventory.ROOT, name), *options])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def summary(sources: Sequence[str]) -> None:
    """Nodes, pods and Services, and what to do with them."""
    hosts = inventory.read(sources)
    state = cluster.observed_state(hosts)
    found = {plural: cluster.LISTS[plural](state) for plural in ("nodes", "pods", "services")}
    for plural, items in found.items():
        if items:
            print_text()
            get.show({plural: items}, get.OutputOptions("wide", all_namespaces=True))
    print_text("\nTry next:")
    lines = suggestions(found["pods"], found["services"], [host.name for host in hosts])
    print_text("".join(f"  ./lab {line}\n" for line in lines), end="")
    sys.stdout.flush()
