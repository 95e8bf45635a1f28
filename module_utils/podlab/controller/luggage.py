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
        "module": module,
        "text": (library / f"{module}.py").read_text("utf-8"),
        "params": dict(params),
        "check_mode": check_mode,
    }
    guest, packages = _guest_and_packages()
    return f"{guest}\n\nmain({packages!r}, **json.loads({json.dumps(call)!r}))\n"


@functools.cache
def _guest_and_packages() -> tuple[str, str]:
    """The far end, and all else that may run on a host, packed: it is half a megabyte, and goes there with every call.
    ssh would pack it again each time, which takes more of the processor than all else that SSH does.
    """
    sources: dict[str, list[Any]] = {name: [True, ""] for name in ("ansible", PREFIX)}
    for path in (HERE, HERE / "changes", HERE / "host"):
        package = ".".join((PREFIX, "podlab", *path.relative_to(HERE).parts))
        for file in sorted(path.glob("*.py")):
            name = package if file.name == "__init__.py" else f"{package}.{file.stem}"
            sources[name] = [file.name == "__init__.py", file.read_text("utf-8")]
    packed = base64.b64encode(zlib.compress(json.dumps(sources).encode()))
    return (HERE / "host" / "guest.py").read_text("utf-8"), packed.decode()


def pack_once() -> None:
    """For who forks processes that send programs: so none of them packs for itself."""
    _guest_and_packages()
