"""What the command lines of verbs have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from podlab.printable import printable

from . import passwords

INVENTORY = ("-i", "--inventory")


class Parser(argparse.ArgumentParser):
    """Its messages repeat what was typed, and ``--help`` fails where it cannot be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = sys.stderr if file is None else file
        stream.write(printable(message))
        stream.flush()


def parser(verb: str, usage: str, description: str, *, inventory: Sequence[str] = ()) -> argparse.ArgumentParser:
    made = Parser(
        prog=f"lab {verb}",
        usage=f"./lab {verb} {usage}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if inventory:
        made.add_argument(
            *inventory,
            dest="sources",
            action="append",
            default=[],
            metavar="INVENTORY",
            help="instead of $ANSIBLE_INVENTORY or ansible.cfg's",
        )
        passwords.add_options(made)
    return made


def pod(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="or deploy/NAME, svc/NAME, ...: one of its pods")


def container(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--container", default="", help="the first one, if left out")


def namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--namespace", default="default", metavar="NS")


def selector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--selector", default="", help="labels: a=b, a!=b, 'a in (b,c)', a, '!a', with commas")
