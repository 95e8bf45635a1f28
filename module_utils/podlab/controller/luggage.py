"""What a module of podlab's needs on a host, as one text for the host's Python."""

from __future__ import annotations

import base64
import functools
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent  # module_utils/podlab
PREFIX = "ansible.module_utils"


def program(library: Path, module: str, params: Mapping[str, Any], check_mode: bool) -> str:
    """The text of ``host/guest.py`` with a call behind it that runs ``library/<module>.py`` with ``params``."""
    call = {
        "source": (library / f"{module}.py").read_text("utf-8"),
        "module": module,
        "params": dict(params),
        "check_mode": check_mode,
    }
    guest = (HERE / "host" / "guest.py").read_text("utf-8")
    return f"{guest}\n\nmain({packed()!r}, **json.loads({json.dumps(call)!r}))\n"


@functools.cache
def packed() -> str:
    """A third of the text, for the way and for the host's Python, which reads it as a literal."""
    return pack(packages())


def pack(sources: Mapping[str, Any]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(sources).encode())).decode()


def packages() -> dict[str, list[Any]]:
    """Module name -> [is it a package, source] of all that may run on a host."""
    sources: dict[str, list[Any]] = {name: [True, ""] for name in ("ansible", PREFIX)}
    for path in (HERE, HERE / "changes", HERE / "host"):
        package = ".".join((PREFIX, "podlab", *path.relative_to(HERE).parts))
        for file in sorted(path.glob("*.py")):
            name = package if file.name == "__init__.py" else f"{package}.{file.stem}"
            sources[name] = [file.name == "__init__.py", file.read_text("utf-8")]
    return sources
