"""``./lab up``: site.yml, and what stands then."""

from __future__ import annotations

from .. import arguments
from . import playbook


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "up",
        "[--manifests DIR] [OPTION OF ansible-playbook]...",
        "Make .venv, start the embedded lab, run site.yml, verify, and show nodes and pods.\n"
        "Options of ansible-playbook are handed on: -i INVENTORY, -e NAME=VALUE, --check, --limit NODES, -v, ...",
    )
    parser.add_argument("--manifests", metavar="DIR", help="Kubernetes YAML, instead of manifests/")
    known, options = parser.parse_known_args(words)
    return playbook.build([*options, *command], known.manifests)
