"""Passwords that a verb needs: asked for once, with no echo, and kept in this process alone.

``./lab up`` asks as ansible-playbook does; what was typed there serves the table in the end as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Passwords:
    """How passwords are come by in this process, and those that are known already."""

    ask_become: bool = False
    become_file: str = ""
    ask_vault: bool = False
    vault_files: list[str] = field(default_factory=list)
    vault_ids: list[str] = field(default_factory=list)
    become: str | None = None
    vault: Any = None  # Ansible's secrets

    def become_password(self) -> str | None:
        """That of all hosts whose inventory names none. The first call may ask for it."""
        from ansible import constants

        asks = self.ask_become or (constants.DEFAULT_BECOME_ASK_PASS and not self.become_file)
        file = self.become_file or constants.BECOME_PASSWORD_FILE
        if self.become is None and (asks or file):
            from ansible.cli import CLI

            self.become = str(CLI._get_secret("BECOME password: ") if asks else CLI.get_password_from_file(file))
        return self.become

    def unlock(self, loader: Any) -> None:
        """Let Ansible's loader read what is vaulted in an inventory."""
        from ansible import constants

        configured = constants.DEFAULT_VAULT_PASSWORD_FILE, constants.DEFAULT_VAULT_IDENTITY_LIST
        if self.vault is None and not any((self.ask_vault, self.vault_files, self.vault_ids, *configured)):
            return
        from ansible.cli import CLI

        secrets = self.once(CLI.setup_vault_secrets)
        loader.set_vault_secrets(
            secrets(
                loader,
                vault_ids=[*constants.DEFAULT_VAULT_IDENTITY_LIST, *self.vault_ids],
                vault_password_files=[*self.vault_files],
                ask_vault_pass=self.ask_vault or None,
                auto_prompt=False,
            )
        )

    def once(self, secrets: Callable[..., Any]) -> Callable[..., Any]:
        """Ansible's function that finds the vault's secrets, for every caller: it may be called once in a process."""

        def known(*args: Any, **how: Any) -> Any:
            if self.vault is None:
                self.vault = secrets(*args, **how)
            return self.vault

        return known

    def options(self) -> list[str]:
        """The same for ansible-playbook."""
        words = ["--ask-become-pass"] if self.ask_become else []
        words += ["--become-password-file", self.become_file] if self.become_file else []
        words += ["--ask-vault-pass"] if self.ask_vault else []
        words += [word for file in self.vault_files for word in ("--vault-password-file", file)]
        return words + [word for one in self.vault_ids for word in ("--vault-id", one)]


KNOWN = Passwords()
"""Those of this process."""


class _Keep(argparse.Action):
    """Not in what the parser returns: every verb takes these options, and none has anything to do with them."""

    def __call__(self, parser: Any, namespace: Any, values: str | Sequence[Any] | None, option: Any = None) -> None:
        if self.nargs == 0:
            setattr(KNOWN, self.dest, True)
        elif isinstance(getattr(KNOWN, self.dest), list):
            getattr(KNOWN, self.dest).append(values)
        else:
            setattr(KNOWN, self.dest, values)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of ansible-playbook, by the same names."""
    group = parser.add_argument_group("passwords, as for ansible-playbook")
    for names, dest, words in (
        (("-K", "--ask-become-pass"), "ask_become", "ask for sudo's password on hosts over SSH"),
        (("-J", "--ask-vault-pass"), "ask_vault", "ask for the password of what is vaulted in the inventory"),
    ):
        group.add_argument(*names, action=_Keep, nargs=0, dest=dest, help=words, default=argparse.SUPPRESS)
    for name, dest, words in (
        ("--become-password-file", "become_file", "sudo's password is in this file"),
        ("--vault-password-file", "vault_files", "that of the vault is in this file"),
        ("--vault-id", "vault_ids", "the same, or `prompt`, for one of several vaults"),
    ):
        metavar = "LABEL@FILE" if name == "--vault-id" else "FILE"
        group.add_argument(name, action=_Keep, dest=dest, metavar=metavar, help=words, default=argparse.SUPPRESS)
