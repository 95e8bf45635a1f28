"""What is remembered of Services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...records.host_record import ServiceEntry
from ..inputs.host import Host
from ..record.newest import newest_record

Past = Mapping[str, ServiceEntry]
"""Service -> what is remembered of it."""


def past_services(hosts: Sequence[Host]) -> Past:
    """The Services of the newest record: it tells of all, whoever of the hosts is in this run."""
    found: Past = newest_record(hosts).get("services", {}) if hosts else {}
    return found
