"""Which files manifests are read from: what ``--manifests`` names, as ``kubectl apply -f`` takes it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..planner.model import Invalid

EXTENSIONS = (".json", ".yaml", ".yml")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_BUILDERS = (("kustomize", "build"), ("kubectl", "kustomize"))


@dataclass(frozen=True)
class Source:
    """A file, or with ``built`` what a program has made of a directory. ``name`` begins the lines about it."""

    name: str
    built: bytes | None = None

    def read(self) -> bytes:
        """:raises OSError: it cannot be read."""
        if self.built is not None:
            return self.built
        if os.path.exists(self.name) and not os.path.isfile(self.name):  # a pipe would be waited for, for good
            raise OSError(errno.EINVAL, "is no regular file")
        with open(self.name, "rb") as file:
            return file.read()


@dataclass
class Sources:
    found: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def sources(paths: Sequence[str], recursive: bool = False) -> Sources:
    """The files of all ``paths``, each once, in the order in which kubectl reads them.

    A directory stands for its own files, or with ``recursive`` for those below as well; hidden ones are left out. Where
    it has a kustomization, it stands for what that builds.

    :raises Invalid: with every path that cannot be read, in kubectl's words.
    """
    made, problems = Sources(), list[str]()
    for path in dict.fromkeys(paths):
        try:
            _add(made, path, recursive)
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    made.found = list({source.name: source for source in made.found}.values())
    return made


def _add(made: Sources, path: str, recursive: bool) -> None:
    if os.path.isfile(path):
        made.found.append(Source(path))
        return
    try:
        entries = os.listdir(path)
    except FileNotFoundError:
        raise Invalid([f'error: the path "{path}" does not exist']) from None
    except OSError as error:
        raise Invalid([f'error: the path "{path}" cannot be accessed: {error.strerror}']) from None
    kustomization = next((name for name in KUSTOMIZATIONS if name in entries), None)
    if kustomization is not None and (built := _build(path)) is not None:
        made.found.append(built)
        return
    found = list(_files(path, recursive))
    skipped = [file for file in found if os.path.basename(file) in KUSTOMIZATIONS]
    made.notes += [
        f"{file} is not built: {_why_not_built(file, path)}; the files beside it are read as they stand"
        for file in skipped
    ]
    kept = [file for file in found if file not in skipped]
    if not kept:
        raise Invalid([f"error reading [{path}]: recognized file extensions are [{' '.join(EXTENSIONS)}]"])
    made.found += map(Source, kept)


def _files(directory: str, recursive: bool) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (name.endswith(EXTENSIONS) or name in KUSTOMIZATIONS):
                yield os.path.join(folder, name)


# --- kustomize ------------------------------------------------------------------------------------------


def _builder() -> tuple[str, ...] | None:
    return next((words for words in _BUILDERS if shutil.which(words[0])), None)


def _why_not_built(file: str, path: str) -> str:
    if os.path.dirname(file) != path.rstrip("/") and _builder():
        return "that is done for a directory that is named itself"
    return "neither kustomize nor kubectl is installed here"


def _build(directory: str) -> Source | None:
    """None where nothing is installed that builds it."""
    words = _builder()
    if words is None:
        return None
    done = subprocess.run([*words, directory], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    name = f"{' '.join(words)} {directory}"
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        raise Invalid([f"{name}: {said}"])
    return Source(name, done.stdout)
