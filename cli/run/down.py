"""``./lab down``: nothing of podlab's is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from podlab.embedded import Lab

from .. import arguments, inventory
from ..errors import CommandError
from ..hosts import Embedded, Host
from ..output import print_error, print_text
from ..passwords import KNOWN


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "down", "[-i INVENTORY]", "Take everything away, whatever state it is in.", inventory=arguments.INVENTORY
    )
    return down(parser.parse_args([*words, *command]).sources)


def down(sources: Sequence[str]) -> int:
    """Take everything away.

    An inventory of embedded hosts alone needs no playbook: all that they hold goes with the lab.
    One that cannot be read, or no .venv to read it with, must not keep the lab alight.
    """
    lab = inventory.lab_name()
    try:
        hosts: Sequence[Host] = inventory.read(sources)
    except ImportError:
        return _switch_off([lab])
    except Exception as error:
        _switch_off([lab])
        words = f"the inventory cannot be read, so only the embedded lab was switched off: {error}"
        if sources:
            raise CommandError(words) from error
        print_error(f"warning: {words}")
        return 0
    if all(isinstance(host, Embedded) for host in hosts):
        return _switch_off(dict.fromkeys(host.lab for host in hosts if isinstance(host, Embedded)))
    from . import playbook  # late: embedded hosts need none

    return playbook.play(
        "playbooks/teardown.yml", [*(word for source in sources for word in ("-i", source)), *KNOWN.options()]
    )


def _switch_off(names: Iterable[str]) -> int:
    for name in names:
        words = "the lab is off" if Lab(inventory.ROOT, name).power_off() else "the lab was off already"
        print_text(words if name == "default" else f"{words} ({name})")
    return 0
