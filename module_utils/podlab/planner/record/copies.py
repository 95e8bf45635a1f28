"""Which hosts keep which section of the record.

Each node keeps its own pods, and so do the ``COPIES`` hosts that follow it on a ring on which hosts lie by a digest of
their names, as in consistent hashing: whoever comes or goes moves the copies of its neighbours on the ring alone.
Every host could keep everything: then what is planned grows with the square of the cluster.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Collection, Iterable, Sequence

from ..inputs.host import Host

COPIES = 3
"""Besides the node's own. Pods are known with any three hosts away, and a record has those of four nodes or so."""


class Copies:
    """Copies go to hosts that this run sees: what is kept by one that does not answer, another one takes over."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        keepers = [host for host in hosts if host.role in ("node", "gateway")]
        self._managed = {host.name for host in keepers if host.is_managed}
        self._seen = _Ring(host.name for host in keepers if host.observation is not None)
        self._writable = _Ring(self._managed)

    def keepers(self, name: str, having: Collection[str], *, is_changed: bool, is_node: bool) -> set[str]:
        """The hosts of this run that keep a section when it is over.

        :param name: the node that it is about, or another name that all runs have for it.
        :param having: hosts that have it as it is now.
        :param is_changed: whether this run changes it, so that nobody has it yet.
        """
        count = COPIES if is_node else COPIES + 1
        own = {name} & self._managed if is_node else set[str]()
        places = self._seen.after(name, count)
        mine = [host for host in places if host in self._managed]
        if is_changed:
            # With --limit it may be that none of its places can be written to.
            others = [host for host in self._writable.after(name, count) if host not in mine]
            mine += others[: count - len(mine)]
        elif any(host not in having and host not in self._managed for host in places):
            mine += [host for host in having if host in self._managed]  # until its places have it
        return {*mine, *own}


class _Ring:
    def __init__(self, names: Iterable[str]) -> None:
        self._places = sorted((_digest(name), name) for name in names)

    def after(self, name: str, count: int) -> list[str]:
        """The hosts that follow a name, but for itself."""
        at = bisect(self._places, (_digest(name), name))
        around = [other for _, other in [*self._places[at : at + count], *self._places[: count + 1]] if other != name]
        return list(dict.fromkeys(around))[:count]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
