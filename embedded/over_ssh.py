"""Let SSH lead into the embedded hosts of a lab: for scenarios and benchmarks of what is done to real hosts.

The hosts get an OpenSSH server and sudo, and the controller becomes a host of the lab as far as its network goes: it
runs in the network namespace of one, so that the packets to the others take the way that they take on a real network.
Nothing is installed on the machine, whose own sshd would listen at the next boot: the Debian packages are fetched and
unpacked, and every host gets copies that belong to its own root, which is what makes sudo work there.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podlab.embedded import ENVIRONMENT, Lab, enter

PACKAGES = ("openssh-server", "sudo")
NEEDLESS = ("usr/share", "usr/include", "etc", "var")
USER, ASKED_USER, PASSWORD = "instructor", "assistant", "podlab"
HASH = "$6$podlab$WCOPtdHftTApX5OxnNaLqK/LiIxkFZKc8PaRGz2mpqUb.YFIXy425S1U7dLB695mkc6bejyVA4LZeQoiRiDmF0"  # of PASSWORD
THERE = "/srv/ssh"

PAM = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n"
CONFIG = f"""\
AddressFamily inet
HostKey {THERE}/host_key
AuthorizedKeysFile {THERE}/authorized_keys
AuthenticationMethods publickey
UsePAM no
UseDNS no
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
SetEnv PATH={THERE}/usr/bin:/usr/local/bin:/usr/bin:/bin
"""
# Since OpenSSH 9.8 a server is more than one program.
PARTS = {"SshdSessionPath": "usr/lib/openssh/sshd-session", "SshdAuthPath": "usr/lib/openssh/sshd-auth"}


GROUPS = {
    "gateways": {"gateway": "10.100.0.1"},
    "nodes": {"node1": "10.100.0.2", "node2": "10.100.0.3"},
    "external": {"outside": "198.51.100.10"},
}
"""Of the sample cluster: group -> host -> address."""
SSHD = f"{THERE}/usr/sbin/sshd -f {THERE}/sshd_config -E /run/sshd.log"
"""Starts a host's server again, as ``sshd.sh`` started it first."""


class Unavailable(RuntimeError):
    """There can be no SSH to embedded hosts here; the text says why."""


@dataclass(frozen=True)
class OverSsh:
    """The way into the hosts of a lab that is on.

    :param directory: for keys, ``known_hosts`` and an inventory.
    :param controller: the embedded host whose network the controller has.
    """

    lab: Lab
    directory: Path
    controller: str = "controller"

    def open(self, addresses: Mapping[str, str]) -> None:
        """Start the servers, side by side, and write down the keys of these hosts: name -> address.

        :raises Unavailable: there is no such lab, or no package.
        """
        tree, pids = programs(), self.lab.hosts()
        _make_key(self.directory / "id")
        for name in addresses:
            _make_key(self.directory / f"{name}.key")
        self._write_known_hosts(addresses)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda name: self._start(name, pids[name], tree), addresses))

    def _start(self, name: str, pid: int, tree: Path) -> None:
        program = Path(__file__).with_name("sshd.sh").read_text("utf-8")
        parts = [f"{key} {THERE}/{path}\n" for key, path in PARTS.items() if (tree / path).exists()]
        files = {
            "sshd_config": CONFIG + "".join(parts),
            "password": HASH,
            "host_key": (self.directory / f"{name}.key").read_text("utf-8"),
            "authorized_keys": (self.directory / "id.pub").read_text("utf-8"),
            **dict.fromkeys(("pam.d/sudo", "pam.d/sudo-i", "pam.d/other"), PAM),
        }
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(tree, ".")
            for path, text in files.items():
                info = tarfile.TarInfo(path)
                info.size, info.mode = len(text.encode()), 0o600 if path in ("host_key", "password") else 0o644
                tar.addfile(info, io.BytesIO(text.encode()))
        argv = [*enter(pid), "sh", "-c", program]
        done = subprocess.run(argv, input=archive.getvalue(), capture_output=True, env=ENVIRONMENT)
        if done.returncode:
            raise Unavailable(f"{name}: sshd does not start: {done.stderr.decode(errors='replace').strip()}")

    def _write_known_hosts(self, addresses: Mapping[str, str]) -> None:
        lines = []
        for name, address in addresses.items():
            kind, key, *_ = (self.directory / f"{name}.key.pub").read_text("utf-8").split()
            lines.append(f"{address} {kind} {key}\n")
        (self.directory / "known_hosts").write_text("".join(lines), "utf-8")

    def inventory(self, groups: Mapping[str, Mapping[str, str]], options: str = "", **variables: Any) -> Path:
        """Write one of these groups of hosts, name -> address; where it is.

        :param options: for ssh, more of them.
        :param variables: of all hosts.
        """
        ssh = {
            "ansible_user": USER,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(self.directory / "id"),
            "ansible_ssh_common_args": f"-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes "
            f"-o UserKnownHostsFile={self.directory / 'known_hosts'} {options}",
        }
        children = {
            group: {"hosts": {name: {"ansible_host": address} for name, address in hosts.items()}}
            for group, hosts in groups.items()
        }
        path = self.directory / "hosts.yml"
        path.write_text(
            json.dumps({"all": {"vars": ssh | variables, "children": children}}), "utf-8"
        )  # JSON is YAML, too
        return path

    def argv(self, *command: str) -> list[str]:
        """What to run so that a command of the machine has the controller's network, and only that."""
        return ["nsenter", f"--net=/proc/{self.lab.hosts()[self.controller]}/ns/net", "--", *command]


def why_not() -> str:
    """Why there can be no SSH to embedded hosts here, or nothing."""
    if os.getuid():
        return (
            "for root alone: the lab of an ordinary user has one user id, and who logs in needs another one than root's"
        )
    try:
        programs()
    except Unavailable as error:
        return str(error)
    return ""


def programs() -> Path:
    """openssh-server and sudo, with what they need and the machine has not: a directory, kept in the user's cache.

    :raises Unavailable: the packages are not to be had.
    """
    if not shutil.which("ssh-keygen"):
        raise Unavailable("ssh is missing: sudo apt-get install --no-install-recommends openssh-client")
    if not shutil.which("apt-get"):
        raise Unavailable(f"{' and '.join(PACKAGES)} are fetched with apt-get, which is not here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "podlab")
    release = platform.freedesktop_os_release()
    tree = cache / f"openssh-{release['ID']}-{release.get('VERSION_ID', 'none')}-{platform.machine()}"
    if not tree.exists():
        building = tree.with_name(f"{tree.name}.{os.getpid()}")
        try:
            _unpack(building)
            building.rename(tree)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return tree


def _unpack(tree: Path) -> None:
    archives = tree / "etc" / "archives"
    (archives / "partial").mkdir(parents=True)
    # Those that are installed, too: --reinstall. Nothing is locked, as nothing is installed.
    options = ("Dir::Cache::archives=" + str(archives), "Debug::NoLocking=1", "APT::Sandbox::User=root")
    argv = ["apt-get", "install", "--download-only", "--reinstall", "--no-install-recommends", "-qq", "-y"]
    argv += [word for option in options for word in ("-o", option)]
    fetched = _run([*argv, *PACKAGES])
    if fetched and not _run(["apt-get", "update", "-qq"]):
        fetched = _run([*argv, *PACKAGES])
    if fetched:
        raise Unavailable(f"{' and '.join(PACKAGES)} cannot be fetched: {fetched}")
    for archive in archives.glob("*.deb"):
        if failed := _run(["dpkg-deb", "--extract", str(archive), str(tree)]):
            raise Unavailable(failed)
    for directory in NEEDLESS:
        shutil.rmtree(tree / directory, ignore_errors=True)


def _run(argv: Sequence[str]) -> str:
    """Why it failed, or nothing."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else ""


def _make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
