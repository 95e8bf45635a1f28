"""What a probe or a hook does to a container: a command, a request over HTTP, a connection, a nap."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from .commands import NOT_FOUND, in_container, run_command
from .config import Handler
from .dial import dial
from .files import log
from .grpc import check_health
from .http_get import BAD_STATUS, HOOK_AGENT, PROBE_AGENT, Result, http_get
from .s6 import is_stand_in
from .waiting import sleep_until

_CLIENTS = re.compile(
    r"(^|[ /;&|(])(cqlsh|etcdctl|mariadb|mariadb-admin|mongo|mongosh|mysql|mysqladmin|pg_isready|psql|rabbitmqctl"
    r"|rabbitmq-diagnostics|redis-cli|valkey-cli)( |$)",
    re.MULTILINE,
)
"""They ask the image's own server in its own protocol. A node may have one, and a stand-in is no such server."""
_NOT_FOUND = re.compile(r": (command )?not found$", re.MULTILINE)  # as bash, dash and busybox say it


async def run_probe(unit: str, pid: int, handler: Handler, deadline: float) -> Result:
    """Against the container of this s6 directory, whose process 1 is ``pid``."""
    return await _run(unit, pid, handler, deadline, is_hook=False)


async def run_hook(unit: str, pid: int, handler: Handler, deadline: float) -> Result:
    """As in Kubernetes any answer over HTTP is a success."""
    result = await _run(unit, pid, handler, deadline, is_hook=True)
    return Result(True) if result.is_error or result.message.startswith(BAD_STATUS) else result


async def _run(unit: str, pid: int, handler: Handler, deadline: float, *, is_hook: bool) -> Result:
    try:
        if "exec" in handler:
            command = handler["exec"]
            code, output = await run_command(in_container(unit, pid, command), deadline)
            if code is None:
                return Result(False, f'command "{" ".join(command)}" timed out')
            if code and is_stand_in(pid) and _needs_the_image(command, code, output):
                return Result(True)
            return Result(code == 0, output.rstrip("\n"))
        if "http" in handler:
            agent = HOOK_AGENT if is_hook else PROBE_AGENT
            return await http_get(handler["http"], deadline, agent, any_host=is_hook)
        if "tcp" in handler:
            (await dial(handler["tcp"]["host"], handler["tcp"]["port"], deadline)).close()
            return Result(True)
        if "lacks" in handler:
            return Result(False, f"couldn't find port: {handler['lacks']}", is_error=not is_hook)
        if "grpc" in handler:
            return await check_health(handler["grpc"], deadline)
        await sleep_until(min(deadline, time.monotonic() + handler["sleep"]))
        return Result(True)
    except OSError as error:
        return Result(False, str(error))
    except Exception as error:  # a prober that ends of it would never probe again
        words = f"{type(error).__name__}: {error}"
        log(words)
        return Result(False, words)


def _needs_the_image(command: Sequence[str], code: int, output: str) -> bool:
    """Whether a command failed as a program is missing, its own or one that its shell did not find and went on, or as
    its server is."""
    return code == NOT_FOUND or bool(_NOT_FOUND.search(output) or _CLIENTS.search(" ".join(command)))
