"""execline, the language of service scripts: a chain of programs, each of which starts the next."""

from __future__ import annotations

# Debian has execline beside PATH. Its /usr/bin/execlineb is a script that puts it there: five programs more a start.
EXECLINE = "/usr/lib/execline/bin"

# The descriptor by which a container's variables come to it. None of them may be a word of a command line, which every
# user of the machine can read (proc(5)), as they could with bubblewrap's --setenv; and bubblewrap's --args takes 9000
# words at most, while Services alone may bring more variables than that.
ENVIRONMENT_FD = 5


def environment_argv() -> list[str]:
    """Read the variables, in the container's own file system: what they name, such as LD_PRELOAD, is none of the
    host's business."""
    fd = str(ENVIRONMENT_FD)
    return [f"{EXECLINE}/envfile", f"/proc/self/fd/{fd}", f"{EXECLINE}/fdclose", fd]


def line(*words: str) -> str:
    return " ".join(map(word, words))


def word(text: str) -> str:
    """A word of execline: quoted, so that it stands for itself whatever it holds.

    Inside quotes only the backslash and the quote are special
    (https://skarnet.org/software/execline/execlineb.html).
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
