"""Images: what a container's ``image`` stands for, and what is executed with its ``command`` and ``args``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import Image
from .environment import escaped
from .reading import Field


def image_name(reference: str) -> str:
    """The name in an image reference, as the catalogue has it: no digest, tag or Docker Hub prefix.

    >>> image_name("docker.io/library/nginx:1.27@sha256:00")
    'nginx'
    >>> image_name("localhost:5000/team/web:2")
    'localhost:5000/team/web'
    """
    name, _, _ = reference.partition("@")
    directory, slash, last = name.rpartition("/")
    name = directory + slash + last.partition(":")[0]  # a colon before the last slash is a registry's port
    return name.removeprefix("docker.io/").removeprefix("library/")


def catalogue(images: Mapping[str, Image]) -> dict[str, Image]:
    """``images`` by the name that ``image_name`` gives."""
    return {image_name(name): image for name, image in images.items()}


def known_image(node: Field, images: Mapping[str, Image]) -> Image | None:
    """The entry of the catalogue for a container, if it has one."""
    image = node["image"].text()
    if node["image"].absent:
        node["image"].required()
    elif image != image.strip():
        node["image"].invalid("must not have leading or trailing whitespace")
    return images.get(image_name(image.strip()))


def argv_of(
    node: Field, command: Sequence[str], args: Sequence[str], known: Image | None, images: Mapping[str, Image]
) -> tuple[str, ...]:
    """What is executed: ``command`` and ``args`` where given, else what the image brings.

    A ``command`` drops the image's entrypoint and cmd, ``args`` alone its cmd only (Kubernetes, "Define
    a Command and Arguments for a Container"). The image's own words are taken as they stand, without ``$(VAR)``.
    """
    image = node["image"].text()
    if not node["command"].absent:
        argv = (*command, *args)
    elif known:
        own = tuple(args) or _literal(known.cmd)
        argv = _literal(known.entrypoint) + own
    else:
        if image:
            node["image"].invalid(_unknown(image, images))
        return ()
    if (not argv or not argv[0]) and not isinstance(node["command"].value, str):
        node["command"].required("there is nothing to run")
    return argv


def _literal(words: Sequence[str]) -> tuple[str, ...]:
    """Words that mean themselves after ``$(VAR)`` was expanded."""
    return tuple(map(escaped, words))


def _unknown(reference: str, images: Mapping[str, Image]) -> str:
    """What is wrong and how to mend it; the example stands on lines of its own, to be copied."""
    known = ", ".join(sorted(images)) or "nothing"
    return (
        f"the catalogue has {known}, but not this image; give the container a command, or add the "
        "image to podlab_images in the inventory:\n"
        "    images:\n"
        f'      {image_name(reference)}: {{entrypoint: [/usr/bin/program], cmd: ["--option"]}}'
    )
