"""The server of health checks on this host, a service of s6 called kube-proxy. Its program is ``healthz.py``."""

from __future__ import annotations

import json
import os
import shutil
import sys
from hashlib import sha256
from typing import Any

from ...changes.actions import Action
from ...changes.kube_proxy.actions import ReloadHealthChecks, StartHealthChecks
from ...changes.pods.paths import SCAN_DIR
from ...changes.pods.s6_commands import KUBE_PROXY
from ...configs import ServicesConfig
from ..kubelet.s6 import control, is_wanted
from ..pods import lost_supervisors, supervisor
from ..record import make_directory, text_of, write_file
from ..run import HostError, run, wait_until
from . import healthz

S6_SERVICE = KUBE_PROXY
# Its ports have to be free for the next one, even if somebody kills its supervisor.
SCRIPT = """\
#!/usr/bin/execlineb -P
pipeline -w {{ s6-log -b n2 s1000000 ./logs }}
fdmove -c 2 1
setpriv --pdeathsig TERM -- "{python}" -IS program
"""


def state_of(row: ServicesConfig) -> str:
    """What the server is told: for each port that a Service has for it, how many ready endpoints are here. Pure."""
    local: dict[str, set[str]] = {}
    ports: dict[str, str] = {}
    for port in row["ports"]:
        if port["health_check_node_port"]:
            service = port["service"]
            ports[str(port["health_check_node_port"])] = service
            here = [end for end in port["endpoints"] if end["node"] == row["node"]]
            local.setdefault(service, set()).update(end["address"] for end in here if end["ready"])
    told = {}
    for number, service in ports.items():
        namespace, _, name = service.partition("/")
        told[number] = {"namespace": namespace, "name": name, "endpoints": len(local[service])}
    return json.dumps({"version": digest(json.dumps(told, sort_keys=True)), "services": told}, sort_keys=True) + "\n"


def digest(state: str) -> str:
    return sha256(state.encode()).hexdigest()[:16]


def is_sound(wanted: str) -> bool:
    """Whether the server runs, and was told what has this digest."""
    state = text_of(f"{S6_SERVICE}/{healthz.STATE}")
    return state is not None and digest(state) == wanted and _lives()


def actions(state: str, warnings: list[str]) -> list[Action]:
    """What lets it know of this state.

    :param warnings: grows where ports are not served.
    """
    if is_sound(digest(state)):
        return []
    if _lives():
        return [ReloadHealthChecks(state, warnings)]
    return [*lost_supervisors.actions(), StartHealthChecks(state, warnings)]


def reload(state: str) -> list[str]:
    """Complaints about ports that it did not get."""
    write_file(f"{S6_SERVICE}/{healthz.STATE}", state)
    control(S6_SERVICE, b"h")
    return _complaints(state)


def start(state: str) -> list[str]:
    stop()
    building = f"{SCAN_DIR}/.new/kube-proxy"
    shutil.rmtree(building, ignore_errors=True)
    make_directory(f"{building}/logs")
    for name, text in files(state, sys.executable or "/usr/bin/python3").items():
        write_file(f"{building}/{name}", text, 0o700 if name == "run" else 0o600)
    os.rename(building, S6_SERVICE)
    supervisor.ensure()
    run(["s6-svscanctl", "-a", SCAN_DIR])
    return _complaints(state)


def _complaints(state: str) -> list[str]:
    version = json.loads(state)["version"]
    wait_until(lambda: _listening().get("version") == version, seconds=10.0)
    failed: dict[str, str] = _listening().get("failed", {str(healthz.PORT): "its server does not start"})
    return [f"health checks at port {port} are not served: {words}" for port, words in failed.items()]


def stop() -> None:
    supervisor.stop_daemon(S6_SERVICE)


def files(state: str, python: str) -> dict[str, str]:
    """The service's directory; ``run`` is meant to be run."""
    return {"program": program(), healthz.STATE: state, "run": SCRIPT.format(python=python)}


def program() -> str:
    """Its text travels as a module, as all of podlab's."""
    source: str | None = healthz.__loader__.get_source(healthz.__name__)  # type: ignore[union-attr]
    if source is None:
        raise HostError("the text of healthz.py did not come along")
    return source


def _lives() -> bool:
    """Whether it runs or is about to, and is of this very version."""
    return (
        supervisor.is_supervised(S6_SERVICE) and is_wanted(S6_SERVICE) and text_of(f"{S6_SERVICE}/program") == program()
    )


def _listening() -> dict[str, Any]:
    try:
        found = json.loads(text_of(f"{S6_SERVICE}/{healthz.LISTENING}") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
