"""What hosts have told, checked before anything is worked out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...changes.system import sysctls
from ...records import DEFAULTS, RECORD
from ...records.host_record import HostRecord
from ...records.observation import sound_observation
from ...records.reading import Known
from ..preflight.host_checks import Refusals
from ..record.newest import newest_record
from .host import Host
from .host_links import uplink

_RECOVERED = {"foreign", "sysctls"}
"""Of a record: what can be had without it. A record that was read has a version as well."""


def sound_hosts(hosts: Sequence[Host]) -> tuple[list[Host], list[str], Refusals]:
    """The hosts with what can be used of their observations; notes, and those that cannot be read: they are like one
    that does not answer."""
    found, notes, refused = [], list[str](), Refusals()
    known: Known = {}
    for host in hosts:
        if host.observation is not None:
            seen, damage, wrong = sound_observation(host.observation, known)
            notes += [f"{host.name}: {words}" for words in damage]
            if wrong and host.in_run:
                refused[host.name] = wrong
            host = replace(host, observation=None if wrong else seen)
        found.append(host)
    return found, notes, refused


def without(hosts: Sequence[Host], refused: Refusals) -> list[Host]:
    """The hosts, but those that are refused like others that a run is not for: what they hold is known, and stays."""
    return [replace(host, in_run=False) if host.name in refused else host for host in hosts]


def recovered(hosts: Sequence[Host]) -> list[Host]:
    """The hosts, each with what stands in for what its record has lost, where podlab has been there.

    Which routes were there before podlab the other hosts remember. What its settings were nobody does: a loose
    ``rp_filter`` is podlab's then, unless new links have it as well. (The other settings are known from what is wanted,
    ``plan``.)
    """
    foreign = newest_record(hosts).get("foreign", {}) if hosts else {}
    return [_recovered(host, foreign.get(host.name, [])) if _has_lost(host) else host for host in hosts]


def lost_records(hosts: Sequence[Host]) -> list[str]:
    """A note of each host that has nothing to know itself by but podlab's marks. :param hosts: recovered ones."""
    words = f"the record ({RECORD}) is lost; podlab's marks tell that it was here, and what the kernel and the other "
    words += f"hosts tell goes on. {DEFAULTS}"
    return [f"{host.name}: {words}" for host in hosts if host.is_managed and host.record.keys() == _RECOVERED]


def _has_lost(host: Host) -> bool:
    return host.is_marked and not host.record.keys() >= _RECOVERED


def _recovered(host: Host, foreign: Sequence[str]) -> Host:
    seen = host.seen
    loose = {
        key: value
        for key, value in sysctls.forgotten(seen["sysctls"]).items()
        if key == f"net.ipv4.conf.{str(uplink(host)).replace('.', '/')}.rp_filter"
    }
    record: HostRecord = {"foreign": list(foreign), "sysctls": loose, **host.record}
    lost = tuple(sorted(_RECOVERED - host.record.keys()))
    return replace(host, observation={**seen, "record": record}, lost=lost)
