"""Become the program that the container asks for, or stand in for it."""

from __future__ import annotations

import os
import sys

from .command import become
from .options import Options

# For ps, and for the kubelet: of a process that has this name no program is to be expected. Until it is known which of
# the two this becomes it bears the name of its file.
NAME = "podlab-stand-in"


def main() -> None:
    options = Options(sys.argv[1:])
    missing = ""
    if options.command:
        become(options.command)
        missing = f", as this node has no {options.command[0]}"
    os.write(1, f"podlab: stands in for {options.image}{missing}\n".encode(errors="replace"))
    if options.ends:
        return
    serve(options)


def serve(options: Options) -> None:
    from . import server  # not before: who becomes another program needs none of it

    with open("/proc/self/comm", "w") as name:
        name.write(NAME)
    server.serve(options)


main()
