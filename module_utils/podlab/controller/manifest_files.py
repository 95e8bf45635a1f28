"""Which files manifests are read from: what ``--manifests`` names, as ``kubectl apply -f`` takes it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import yaml

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

    A directory stands for its own files, or with ``recursive`` for those below as well; hidden ones are left out. One
    that has a kustomization stands for what that builds, where something is installed that does.

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
    if os.path.basename(path) in KUSTOMIZATIONS and os.path.isfile(path):
        path = os.path.dirname(path) or "."
    if os.path.isfile(path):
        made.found.append(Source(path))
        return
    try:
        os.listdir(path)
    except FileNotFoundError:
        raise Invalid([f'error: the path "{path}" does not exist']) from None
    except OSError as error:
        raise Invalid([f'error: the path "{path}" cannot be accessed: {error.strerror}']) from None
    found, problems = list(_entries(path, recursive)), list[str]()
    for directory in _not_part_of_another([entry for entry in found if os.path.isdir(entry)]):
        try:
            made.found.append(_build(directory))
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    kept = [entry for entry in found if not os.path.isdir(entry) and os.path.basename(entry) not in KUSTOMIZATIONS]
    made.notes += [
        f"{file} is not built: neither kustomize nor kubectl is installed here; "
        "the files beside it are read as they stand"
        for file in found
        if os.path.basename(file) in KUSTOMIZATIONS
    ]
    if not kept and not any(map(os.path.isdir, found)):
        raise Invalid([f"error reading [{path}]: recognized file extensions are [{' '.join(EXTENSIONS)}]"])
    made.found += map(Source, kept)


def _entries(directory: str, recursive: bool) -> Iterator[str]:
    """Files, and in place of all that they hold the directories that kustomize builds."""
    for folder, folders, names in os.walk(directory):
        if _kustomization(names) and _builder():
            folders.clear()
            yield folder
            continue
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (name.endswith(EXTENSIONS) or name in KUSTOMIZATIONS):
                yield os.path.join(folder, name)


# --- kustomize ------------------------------------------------------------------------------------------


def _builder() -> tuple[str, ...] | None:
    return next((words for words in _BUILDERS if shutil.which(words[0])), None)


def _kustomization(names: Sequence[str]) -> str | None:
    return next((name for name in KUSTOMIZATIONS if name in names), None)


def _not_part_of_another(directories: Sequence[str]) -> list[str]:
    """Without bases and components that others of them build."""
    parts = {part for directory in directories for part in _parts(directory)}
    return [directory for directory in directories if os.path.realpath(directory) not in parts]


def _parts(directory: str) -> Iterator[str]:
    """Directories that a kustomization names. What is wrong with it its builder tells."""
    name = _kustomization(os.listdir(directory))
    with contextlib.suppress(OSError, yaml.YAMLError), open(f"{directory}/{name}", "rb") as file:
        content = yaml.safe_load(file)
        for field_name in ("resources", "bases", "components"):
            listed = content.get(field_name) if isinstance(content, dict) else None
            for part in listed if isinstance(listed, list) else ():
                yield os.path.realpath(os.path.join(directory, str(part)))


def _build(directory: str) -> Source:
    words = _builder() or ()
    done = subprocess.run([*words, directory], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    name = f"{' '.join(words)} {directory}"
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split()) or f"it ended with {done.returncode}"
        if "--enable-helm" in said:
            said += f"; no chart is run here: kustomize build --enable-helm {directory} | ./lab up --manifests -"
        raise Invalid([f"{name}: {said}"])
    return Source(name, done.stdout)
