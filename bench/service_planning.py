"""One plan of a node with many Services, in a process of its own: ``python -m bench.service_planning MANIFESTS NODE``.

Standard input is what the hosts of a lab have answered: name -> ``role``, ``address``, ``observation``. It does what
the action plugin ``podlab_plan`` does, and prints JSON: ``phases`` (seconds), ``row`` as it travels to the node, and
``text``: all of the rules that the node has then, as one input of iptables-restore for empty tables.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from podlab.changes.kube_proxy import diff as kube_proxy_diff
from podlab.changes.kube_proxy import record as kube_record
from podlab.changes.kube_proxy import restore as kube_restore
from podlab.changes.kube_proxy import services
from podlab.controller import inputs, transport
from podlab.planner.inputs.host import Host
from podlab.planner.plan import plan

ROOT = Path(__file__).resolve().parent.parent
NOW = "2030-01-01T00:00:00Z"


def measure(manifests: str, node: str, answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    gc.disable()  # as the action plugin does
    stamps = [time.perf_counter()]
    hosts = [
        Host(name, each["role"], each["address"], observation=transport.decode(each["observation"]))
        for name, each in answers.items()
    ]
    wanted = inputs.read(str(ROOT), manifests, {})
    stamps.append(time.perf_counter())
    planned = plan(wanted.cluster, hosts, wanted.desired, wanted.programs, NOW, wanted.problems)
    stamps.append(time.perf_counter())
    row = transport.encode(planned)["hosts"][node]["services"]
    stamps.append(time.perf_counter())
    seconds = (after - before for before, after in pairwise(stamps))
    return {"phases": dict(zip(("read", "plan", "pack"), seconds, strict=True)), "row": row, "text": text_of(row)}


def text_of(row: Any) -> str:
    """What podlab would write in one go, were there nothing of it yet."""
    wanted = services.tables(kube_record.unpack(row)[0])
    return kube_restore.restore_text(kube_restore.transactions(kube_proxy_diff.changes({}, wanted), None))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], json.load(sys.stdin))))
