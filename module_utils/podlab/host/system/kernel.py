"""What this host's kernel can do. Nothing is loaded by asking."""

from __future__ import annotations

import os

from ...records.observation import Features
from ..network.namespaces import more_namespaces
from ..run import HostError, run

TRIALS = {
    # kernel module -> line for ip -batch that needs it, tried in a network namespace that goes at once
    "bridge": "link add podlab0 type bridge",
    "veth": "link add podlab1 type veth peer name podlab2",
}
OPTIONAL = {"dummy": "link add podlab0 type dummy"}
"""The same of what there is another way without."""

MODULES = (*TRIALS, "br_netfilter")


def features() -> Features:
    loadable = [name for name in MODULES if not _is_in_kernel(name) and _is_on_disk(name)]
    unknown = [name for name in TRIALS if not _is_in_kernel(name) and name not in loadable]
    refused = {TRIALS[name]: words for name in unknown if (words := _trial(TRIALS[name]))}
    missing = [f"the kernel cannot do this: ip {line}: {words}" for line, words in refused.items()]
    return {"loadable": loadable, "missing": missing, "may_load": _is_real_root()}


def can(name: str) -> bool:
    """Whether the kernel can do what is optional, by a module that it has or could load."""
    return _is_in_kernel(name) or _is_on_disk(name) or not _trial(OPTIONAL[name])


def is_asked_without_loading(name: str) -> bool:
    """Whether the kernel would not load a module by being asked for what it has of it."""
    return _is_in_kernel(name) or not _is_on_disk(name)


def _is_in_kernel(name: str) -> bool:
    return os.path.isdir(f"/sys/module/{name}") or name in _listed("modules.builtin")


def _is_on_disk(name: str) -> bool:
    return name in _listed("modules.dep")


def _listed(index: str) -> set[str]:
    """Module names of an index file of depmod(8)."""
    try:
        with open(f"/lib/modules/{os.uname().release}/{index}", encoding="utf-8") as file:
            paths = [line.split(":")[0].strip() for line in file]
    except OSError:
        return set()
    return {os.path.basename(path).split(".ko")[0].replace("-", "_") for path in paths}


def _trial(line: str) -> str:
    """The kernel's words if it refuses, or nothing."""
    try:
        run(["unshare", "--net", "ip", "-batch", "-"], line + "\n")
    except HostError as error:
        words = str(error).splitlines()[0]
        return words + more_namespaces(words, ["net"])
    return ""


def _is_real_root() -> bool:
    """Whether modprobe has a chance: not in a user namespace (user_namespaces(7))."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() == ["0", "0", "4294967295"]
