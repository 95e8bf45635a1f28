"""Run one of podlab's modules on a host that has nothing but Python, in AnsiballZ's place.

The text of this file is sent to the host's Python with a call of ``main`` behind it. It carries the
module, the packages it imports and its parameters in memory; nothing is written to the host's disk.
"""

import binascii
import contextlib
import gc
import importlib.machinery
import json
import marshal
import os
import sys
import zlib
from types import CodeType, ModuleType
from typing import Any, NoReturn

CODE = "/run/podlab/code"


def compiled(name: str, source: str) -> CodeType:
    """The code of a module, from the file system of podlab's own where that is mounted.

    Half of what a call that changes nothing costs the host's processor is the compiling of modules: 0.1 of 0.22 s, and
    fifty times that on an emulated machine. The file says of which text and for which Python it is; one that does not
    fit, or is damaged, is written anew.
    """
    path, key = f"{CODE}/{name}", zlib.crc32(f"{sys.version}\n{source}".encode())
    try:
        with open(path, "rb") as file:
            kept, total, data = int(file.readline()), int(file.readline()), file.read()
        if (kept, total) == (key, zlib.crc32(data)):
            known: CodeType = marshal.loads(data)
            return known
    except (OSError, ValueError, EOFError, TypeError):
        pass
    code: CodeType = compile(source, name, "exec")
    if os.path.ismount(os.path.dirname(CODE)):
        # There may be no room for it. Other modules write the same at the same time, each under a name of its own.
        with contextlib.suppress(OSError):
            os.makedirs(CODE, 0o700, exist_ok=True)
            data = marshal.dumps(code)
            with open(f"{path}.{os.getpid()}", "wb") as file:
                file.write(b"%d\n%d\n" % (key, zlib.crc32(data)) + data)
            os.replace(f"{path}.{os.getpid()}", path)
    return code


class InMemoryImporter:
    """Imports from a dict: module name -> (is it a package, source).

    A finder and a loader by what it has, not by ``importlib.abc``, whose import takes a sixth of a call's time.
    """

    def __init__(self, sources: dict[str, Any]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self.sources:
            return None
        loader: Any = self
        return importlib.machinery.ModuleSpec(name, loader, is_package=self.sources[name][0])

    def create_module(self, spec: Any) -> None:
        """An ordinary one."""

    def get_source(self, name: str) -> str:
        """For who writes a program of podlab's to a file: it travels as a module."""
        source: str = self.sources[name][1]
        return source

    def exec_module(self, module: ModuleType) -> None:
        exec(compiled(module.__name__, self.sources[module.__name__][1]), module.__dict__)


def ansible_module(params: dict[str, Any], check_mode: bool) -> ModuleType:
    """What podlab's modules use of ``ansible.module_utils.basic``, without the 0.13 s that importing that one takes.

    :param params: as ``AnsibleModule`` would have them: the controller has checked them (``controller.argument_spec``).
    """

    class AnsibleModule:
        def __init__(self, argument_spec: dict[str, Any], **_: Any) -> None:
            self.params, self.check_mode = params, check_mode
            self._warnings: list[str] = []

        def warn(self, warning: str) -> None:
            self._warnings.append(warning)

        def exit_json(self, **result: Any) -> NoReturn:
            self._tell(result)
            sys.exit(0)

        def fail_json(self, msg: str, **result: Any) -> NoReturn:
            self._tell({"failed": True, "msg": msg, **result})
            sys.exit(1)

        def _tell(self, result: dict[str, Any]) -> None:
            print(json.dumps({**result, **({"warnings": self._warnings} if self._warnings else {})}))

    basic = ModuleType("ansible.module_utils.basic")
    basic.AnsibleModule = AnsibleModule  # type: ignore[attr-defined]
    return basic


def main(packed: str, source: str, module: str, params: dict[str, Any], check_mode: bool) -> None:
    """Run a module that finds podlab's own packages in ``packed``: base64 of zlib of JSON, as ``InMemoryImporter`` has
    them."""
    os.umask(0o022)
    gc.disable()  # a module ends before cycles matter, and the search for them is a tenth of its loading
    sources = json.loads(zlib.decompress(binascii.a2b_base64(packed))) | {module: [False, source]}
    sys.meta_path.insert(0, InMemoryImporter(sources))
    sys.modules["ansible.module_utils.basic"] = ansible_module(params, check_mode)
    exec(compiled(module, source), {"__name__": "__main__"})
