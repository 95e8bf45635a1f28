"""``./lab reset``: a host that is taken down and made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .. import arguments
from ..passwords import KNOWN
from . import playbook


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "reset",
        "HOST [--manifests PATH]... [-i INVENTORY] [OPTION OF ansible-playbook]...",
        "Take podlab off a node or gateway and put it on again.\n"
        "What pods have written there is gone then, and addresses stay.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("host", metavar="HOST")
    arguments.manifests(parser)
    known, options = parser.parse_known_args(words)
    return reset(known.host, known.sources, [*options, *command], arguments.manifest_settings(known))


def reset(name: str, sources: Sequence[str], options: Sequence[str], manifests: Mapping[str, Any]) -> int:
    """Take podlab off a host and put it on again. The playbook says so where there is no such host: once the inventory
    has been read in this process, Ansible knows no options of a run."""
    words = [word for source in sources for word in ("-i", source)]
    words += ["-e", json.dumps({"reset_host": name}), *KNOWN.options()]
    return playbook.build([*words, *options], manifests, "playbooks/reset.yml")
