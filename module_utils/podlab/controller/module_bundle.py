"""What a module of podlab's needs on a host, as one text for the host's Python."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import argument_spec

HERE = Path(__file__).resolve().parent.parent  # module_utils/podlab
PREFIX = "ansible.module_utils"

REPLAY = f"""import sys
from {PREFIX}.podlab.host import module_runner
from {PREFIX}.podlab.host.run import prepare
prepare()
sys.modules["ansible.module_utils.basic"] = module_runner.ansible_module({{}}, False)
from {PREFIX}.podlab.host.boot import replay
sys.exit(replay.main())
"""


def program(module: Path, params: Mapping[str, Any], check_mode: bool) -> str:
    """The text of ``host/module_runner.py`` with a call behind it that runs a module.

    :param params: as the module is to have them, checked and with defaults (``argument_spec``).
    """
    call = {
        "source": module.read_text("utf-8"),
        "module": module.stem,
        "params": dict(params),
        "check_mode": check_mode,
    }
    runner = (HERE / "host" / "module_runner.py").read_text("utf-8")
    return f"{runner}\n\nmain({packed()!r}, **json.loads({json.dumps(call)!r}))\n"


def checked_program(module: Path, args: Mapping[str, Any], check_mode: bool = False) -> str:
    """What the action plugin sends of a module that is called with these arguments.

    :raises ValueError: the module cannot be called so.
    """
    found = argument_spec.validate(module.stem, argument_spec.read(module), args)
    if found.problem:
        raise ValueError(found.problem)
    return program(module, found.params, check_mode)


@functools.cache
def packed() -> str:
    """A third of the text, for the way and for the host's Python, which reads it as a literal."""
    return pack(packages())


def pack(sources: Mapping[str, Any]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(sources).encode())).decode()


@functools.cache
def archive(library: Path) -> tuple[str, str]:
    """All of podlab's own code that runs on a host, as a program that replays what the host was told last: a zip file
    for Python (base64), and its digest. The same code makes the same file."""
    packed, names = io.BytesIO(), sorted(path.name for path in library.glob("podlab_*.py"))
    texts = {"__main__.py": REPLAY, **{name: (library / name).read_text("utf-8") for name in names}}
    for name, (is_package, text) in packages().items():
        texts[name.replace(".", "/") + ("/__init__.py" if is_package else ".py")] = text
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archived:
        for name, text in texts.items():
            archived.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # of 1980, whenever it is made
    data = packed.getvalue()
    return base64.b64encode(data).decode(), hashlib.sha256(data).hexdigest()


@functools.cache
def packages() -> dict[str, list[Any]]:
    """Module name -> [is it a package, source] of all that may run on a host."""
    sources: dict[str, list[Any]] = {name: [True, ""] for name in ("ansible", PREFIX)}
    files = [*HERE.glob("*.py"), *(HERE / "changes").rglob("*.py"), *(HERE / "host").rglob("*.py")]
    for file in sorted(files):
        is_package = file.name == "__init__.py"
        parts = (file.parent if is_package else file.with_suffix("")).relative_to(HERE).parts
        sources[".".join((PREFIX, "podlab", *parts))] = [is_package, file.read_text("utf-8")]
    return sources
