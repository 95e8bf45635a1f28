"""An order, as it comes on standard input, and what has to be done for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from .hosts import Host, halt, running
from .syscalls import words_of
from .wires import inner_lines, ip, links, outer_lines, port, prepare_holder, segment


def boot(order: dict) -> list[str]:
    identity, wanted = order["identity"], {host["name"]: host for host in order["hosts"]}
    present, on = links(), running(identity)
    surplus = [
        name for name, (_, interfaces) in on.items() if name not in wanted or interfaces != wanted[name]["interfaces"]
    ]
    missing = [name for name in wanted if name not in on or name in surplus]
    unplugged = [
        name
        for name in wanted
        if name not in missing
        and any(present.get(port(name, interface)) != "UP" for interface in wanted[name]["interfaces"])
    ]
    done = [f"halt {name}" for name in surplus]
    done += [f"power on {name} {' '.join(wanted[name]['interfaces'])}" for name in missing]
    done += [f"plug {name} in again" for name in unplugged]
    if order["check"] or not done:
        return done

    prepare_holder()
    for name in surplus:
        ip([f"link del {port(name, interface)}" for interface in on[name][1] if port(name, interface) in present])
    halt(identity, surplus)
    present = links()
    bridges = {segment(interface) for host in wanted.values() for interface in host["interfaces"]} - present.keys()
    ip([f"link add {bridge} up type bridge mcast_snooping 0" for bridge in sorted(bridges)])

    booting = {name: Host(name, [*identity, name, *wanted[name]["interfaces"]]) for name in missing}
    pids = {name: host.pid for name, host in booting.items()} | {name: on[name][0] for name in unplugged}
    for host in booting.values():
        host.wait_for_mounts()
    ip([line for name, pid in pids.items() for line in outer_lines(name, pid, wanted[name]["interfaces"], present)])
    for name, pid in pids.items():
        ip(inner_lines(wanted[name], wanted[name]["interfaces"]), pid)
    for host in booting.values():
        host.start()
    return done


def main() -> int:
    os.umask(0o022)  # a host's directories are open to its users, whatever its caller's are
    try:
        json.dump(boot(json.load(sys.stdin)), sys.stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        print(words_of(error), file=sys.stderr)
        return 1
    return 0
