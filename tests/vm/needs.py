"""What virtual machines need of the machine that they run on; what is missing is said with what to install."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ssh-keyscan": "openssh-client",
    "ip": "iproute2",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
BUILDERS = {"debootstrap": "debootstrap", "mkfs.ext4": "e2fsprogs", "chroot": "coreutils"}
SOURCE = "PODLAB_VM_MIRROR"


def missing(
    *,
    builds: bool,
    which: Callable[[str], str | None] = shutil.which,
    user: int | None = None,
    machine: str = platform.machine(),
) -> list[str]:
    """Sentences; none where machines can run.

    :param builds: whether Debian images have to be built, and packages installed.
    """
    found = []
    if (os.getuid() if user is None else user) != 0:
        found.append("root: the machines get a network of their own, with taps; run it as root (sudo ./lab test --vm)")
    if machine != "x86_64":
        found.append(f"an x86-64 machine: the images are for that, and this is {machine}")
    programs = {**PROGRAMS, **(BUILDERS if builds else {})}
    packages = sorted({package for program, package in programs.items() if which(program) is None})
    if packages:
        found.append(f"programs: apt-get install --no-install-recommends {' '.join(packages)}")
    if not os.path.exists("/dev/net/tun"):
        found.append("/dev/net/tun: modprobe tun")
    if builds and not mirror():
        found.append(
            f"a source of Debian packages: apt has none here; name one with {SOURCE}=URL (what sources.list has "
            "after deb)"
        )
    return found


def mirror() -> str:
    """Where this machine's own apt gets Debian from; empty where it does not."""
    if said := os.environ.get(SOURCE):
        return said.rstrip("/")
    if shutil.which("apt-get") is None:
        return ""
    asked = ["apt-get", "indextargets", "--format", "$(SITE) $(LABEL)", "Created-By: Packages"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return first_of(told.splitlines()).rstrip("/")


def first_of(targets: Sequence[str]) -> str:
    """The first site of Debian itself: not that of its security updates, nor another distribution."""
    return next((site for site, _, label in (line.partition(" ") for line in targets) if label == "Debian"), "")


def has_kvm() -> bool:
    """Whether the processor itself runs machines. A /dev/kvm without these flags is emulated, and too poor for Debian's
    kernels."""
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return os.access("/dev/kvm", os.W_OK) and bool({"vmx", "svm"} & {*flags.split()})
