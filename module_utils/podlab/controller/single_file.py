"""Join a package into one program, which a host runs without a path to its modules.

One file, because an update is one rename then, and what a host has is compared with one text. As modules lie in it as
text, each with its name, a person can read it there. ``python3 single_file.py PACKAGE`` prints it.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = '''\
#!/usr/bin/python3 -IS
"""The modules of podlab's {package}/, joined into one file."""

import importlib
import sys
from importlib.machinery import ModuleSpec

SOURCES = {{
{sources}}}


class Importer:
    """Finds and loads the modules above."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=name == "{package}") if name in SOURCES else None

    def create_module(self, spec):
        return None  # an ordinary one

    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)


if __name__ == "__main__":
    sys.meta_path.insert(0, Importer())
    importlib.import_module("{package}.__main__")
'''


def join(package: Path) -> str:
    """:param package: a directory without packages in it. Its ``__main__`` runs the program."""
    sources = ""
    for file in sorted(package.glob("*.py")):
        name = package.name if file.stem == "__init__" else f"{package.name}.{file.stem}"
        text = file.read_text("utf-8")
        if "'''" in text:
            raise ValueError(f"{file}: ''' would end its text in the joined file")
        sources += f"\"{name}\": r'''{text}''',\n"
    return PROGRAM.format(package=package.name, sources=sources)


if __name__ == "__main__":
    print(join(Path(sys.argv[1])), end="")
