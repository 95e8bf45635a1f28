"""Debian images for virtual machines: built once by debootstrap, kept in the user's cache.

The name of an image holds a hash of what it was made of and by what, so that another recipe is another image.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from podlab.programs import NODE

SUITES = ("bookworm", "trixie")
STOCK = (
    *("systemd-sysv", "udev", "dbus", "libpam-systemd", "kmod", "linux-image-cloud-amd64", "openssh-server", "python3"),
    *("sudo", "iproute2", "iputils-ping", "procps", "ca-certificates", "systemd-resolved", "nftables"),
)
LEFT_OUT = ("nginx",)
"""Of podlab's packages: a run has to install it, without starting its service. The others are there to save time."""

BOOT = Path(__file__).parent / "first_boot.sh"
UNIT = """[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service
Before=systemd-networkd.service ssh.service sysinit.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/first-boot
[Install]
WantedBy=sysinit.target
"""


@dataclass(frozen=True)
class Image:
    """A disk that machines write to a copy of. With ``kernel`` and ``initrd`` it needs no boot loader."""

    disk: Path
    format: str = "raw"
    kernel: Path | None = None
    initrd: Path | None = None


def cache() -> Path:
    """Where images are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PODLAB_VM_CACHE") or Path(home, "podlab", "vm"))


def packages() -> list[str]:
    return sorted({*STOCK, *NODE.values()} - {*LEFT_OUT})


def name(suite: str) -> str:
    recipe = [suite, *packages(), UNIT, BOOT.read_text(), Path(__file__).read_text()]
    return f"{suite}-{hashlib.sha256(chr(0).join(recipe).encode()).hexdigest()[:12]}"


def image(suite: str) -> Image:
    """That of a Debian release, whether or not it is built."""
    base = cache() / name(suite)
    return Image(base.with_suffix(".ext4"), "raw", base.with_suffix(".vmlinuz"), base.with_suffix(".initrd"))


def build(suite: str, mirror: str, say: Callable[[str], None]) -> None:
    """Where the cache has none."""
    to = image(suite)
    if to.disk.exists():
        return
    to.disk.parent.mkdir(parents=True, exist_ok=True)
    tree = to.disk.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    try:
        _build(suite, mirror, tree, to, say)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _build(suite: str, mirror: str, tree: Path, to: Image, say: Callable[[str], None]) -> None:
    log = to.disk.with_suffix(".log")
    say(f"building {to.disk} of {mirror}: packages (some minutes, once; see {log})")
    included = f"--include={','.join(packages())}"
    _run(["debootstrap", "--variant=minbase", included, suite, str(tree), mirror], log)
    say(f"building {to.disk}: settings and file system")
    _settle(tree, suite, log)
    for kind, path in (("vmlinuz", to.kernel), ("initrd.img", to.initrd)):
        (source,) = tree.glob(f"boot/{kind}-*")
        shutil.copy(source, str(path))
    part = to.disk.with_suffix(".part")
    part.unlink(missing_ok=True)
    with part.open("wb") as file:
        file.truncate(4 << 30)
    _run(["mkfs.ext4", "-q", "-L", "root", "-d", str(tree), str(part)], log)
    part.rename(to.disk)  # last, so that one which is there is whole


def _run(argv: Sequence[str], log: Path) -> None:
    with log.open("ab") as file:
        # What is mounted in the tree goes with the program, also where that is killed.
        done = subprocess.run(
            ["unshare", "--mount", "nice", *argv], stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}; {log} ends with:\n{last}")


def _settle(tree: Path, suite: str, log: Path) -> None:
    """An account that may become root, a network by the kernel's command line, and nothing that works by itself."""
    files = {
        # The machines' side of it is first_boot.sh's, the other one packages.py's.
        "etc/apt/sources.list": f"deb http://10.100.0.254:3142 {suite} main\n",
        "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
        "etc/sudoers.d/admin": "admin ALL=(ALL) NOPASSWD: ALL\n",
        "etc/systemd/system/first-boot.service": UNIT,
        "usr/local/sbin/first-boot": BOOT.read_text(),
    }
    for path, text in files.items():
        tree.joinpath(path).write_text(text)
    tree.joinpath("usr/local/sbin/first-boot").chmod(0o755)
    for spare in [*tree.glob("etc/ssh/ssh_host_*_key*"), *tree.glob("etc/systemd/system/timers.target.wants/*")]:
        spare.unlink()
    for argv in (
        ["useradd", "--create-home", "--shell", "/bin/bash", "admin"],
        ["systemctl", "enable", "first-boot", "systemd-networkd", "ssh"],
        ["apt-get", "clean"],
    ):
        _run(["chroot", str(tree), *argv], log)
