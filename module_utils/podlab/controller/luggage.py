"""What a module of podlab's needs on a host, as one text for the host's Python."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent  # module_utils/podlab
PREFIX = "ansible.module_utils"


def program(library: Path, module: str, params: Mapping[str, Any], check_mode: bool) -> str:
    """The text of ``host/guest.py`` with a call behind it that runs ``library/<module>.py`` with ``params``."""
    call = {
        "sources": {**_packages(), module: [False, (library / f"{module}.py").read_text("utf-8")]},
        "module": module,
        "params": dict(params),
        "check_mode": check_mode,
    }
    guest = (HERE / "host" / "guest.py").read_text("utf-8")
    return f"{guest}\n\nmain(**json.loads({json.dumps(call)!r}))\n"


@functools.cache
def _packages() -> dict[str, list[Any]]:
    """Module name -> [is it a package, source] of all that may run on a host."""
    sources: dict[str, list[Any]] = {name: [True, ""] for name in ("ansible", PREFIX)}
    for path in (HERE, HERE / "changes", HERE / "host"):
        package = ".".join((PREFIX, "podlab", *path.relative_to(HERE).parts))
        for file in sorted(path.glob("*.py")):
            name = package if file.name == "__init__.py" else f"{package}.{file.stem}"
            sources[name] = [file.name == "__init__.py", file.read_text("utf-8")]
    return sources
