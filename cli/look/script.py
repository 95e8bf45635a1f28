"""``./lab script``: a host as a shell script, by way of ``playbooks/script.yml``."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .. import arguments, inventory
from ..errors import CommandError
from ..output import print_text
from ..passwords import KNOWN


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "script",
        "[--undo] HOST [--manifests DIR] [-i INVENTORY] [-e NAME=VALUE]",
        "Print a host as a shell script that makes the same of a bare one. Nothing is written anywhere.\n"
        "It holds the values of Secrets.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("host", metavar="HOST", help="a node or a gateway")
    parser.add_argument("--undo", action="store_true", help="the script that takes it away again")
    parser.add_argument("--manifests", metavar="DIR", help="Kubernetes YAML, instead of manifests/")
    parser.add_argument("-e", "--extra-vars", action="append", default=[], metavar="NAME=VALUE", help="as for up")
    known = parser.parse_args([*words, *command])
    options = [word for source in known.sources for word in ("-i", source)]
    options += KNOWN.options()
    options += [word for value in known.extra_vars for word in ("-e", value)]
    # A script has to stay one: it brings nothing that would steer a terminal.
    print_text(script(known.host, options, known.manifests, undo=known.undo), end="")


def script(host: str, options: Sequence[str], manifests: str | None, *, undo: bool) -> str:
    """What a person would run on a bare host, or what takes it away again.

    :param options: for ansible-playbook.
    :raises CommandError: there is no such host, or no plan; with all that the playbook said.
    """
    import ansible.constants  # noqa: F401 - or .venv is missing, or HOME, which the caller reports

    # Of what is new, creation times stand in every host's script. A day is the time that all of them agree on, though
    # they are printed one after the other.
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT00:00:00Z")
    with tempfile.TemporaryDirectory(prefix="podlab-script-") as directory:
        settings = {
            "podlab_scripts": directory,
            "plan_time": today,
            **({"podlab_manifests": manifests} if manifests else {}),
        }
        playbook = os.path.join(inventory.ROOT, "playbooks", "script.yml")
        argv = [sys.executable, "-m", "ansible", "playbook", "--check", playbook, *options, "-e", json.dumps(settings)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        written = Path(directory, f"{host}-undo.sh" if undo else f"{host}.sh")
        if done.returncode and not written.exists():
            raise CommandError((done.stdout + done.stderr).strip())
        if not written.exists():
            names = sorted(file.stem for file in Path(directory).glob("*.sh") if not file.stem.endswith("-undo"))
            raise CommandError(f"error: there is no script for {host}; there is one for each of: {', '.join(names)}")
        return written.read_text("utf-8")
