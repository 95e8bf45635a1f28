"""Virtual machines on a network of their own.

All of it lives in a network and a process namespace that ``./lab test --vm`` has entered: taps, bridges and machines go
with the test's process, however it ends.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm.images import Image
from tests.vm.needs import has_kvm

NODES, OUTSIDE = "10.100.0", "198.51.100"
BRIDGES = {NODES: "br0", OUTSIDE: "br1"}
TIMEOUT = 900.0  # seconds; four machines on two cores without KVM take two minutes to start
MEMORY = 1024  # MiB
SSH = ("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=20", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes")


def network() -> None:
    """Two bridges in this network namespace: the nodes' network, and what is beyond the gateway."""
    _ip("link", "set", "lo", "up")
    for net, bridge in BRIDGES.items():
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@dataclass
class Machine:
    """One machine; its disk survives ``unplug``."""

    name: str
    image: Image
    addresses: Sequence[str]
    home: Path
    key: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = field(default=0.0)

    def boot(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        disk = self.home / "disk.qcow2"
        if not disk.exists():
            base = ["-b", str(self.image.disk), "-F", self.image.format]
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, str(disk), "8G"], check=True)
            for number, address in enumerate(self.addresses):
                tap = f"{self.name}.{number}"
                _ip("tuntap", "add", tap, "mode", "tap")
                _ip("link", "set", tap, "master", BRIDGES[address.rpartition(".")[0]], "up")
        self.started = time.monotonic()
        with (self.home / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen(
                qemu(self), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self, *, after_boot: str = "") -> float:
        """Until it can be entered; seconds since it was started.

        :param after_boot: the id of a boot that has to be over.
        """
        wait_until(lambda: self._answers() and self.boot_id() not in ("", after_boot), self._state)
        return time.monotonic() - self.started

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, f"{self.name} has ended:\n{self._state()}"
        try:
            with socket.create_connection((self.addresses[0], 22), timeout=2) as wire:
                wire.settimeout(20)
                return wire.recv(4) == b"SSH-"
        except OSError:
            return False

    def _state(self) -> str:
        logs = [path.read_text(errors="replace")[-1500:] for path in (self.home / "qemu.log", self.home / "console")]
        return "\n".join([f"{self.name} cannot be entered; its console:", *logs])

    def boot_id(self) -> str:
        return self.run("cat", "/proc/sys/kernel/random/boot_id", check=False)

    def run(self, *argv: str, text: str | None = None, check: bool = True) -> str:
        """Output of a command, as root."""
        known = f"UserKnownHostsFile={self.home.parent / 'known_hosts'}"
        trust = ("-o", known, "-o", "StrictHostKeyChecking=accept-new")
        line = shlex.join(["sudo", "-n", "--", *argv])
        done = subprocess.run(
            ["ssh", "-i", str(self.key), *SSH, *trust, f"admin@{self.addresses[0]}", line],
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{self.name}: {argv}: {done.stdout}{done.stderr}"
        return done.stdout.strip() if done.returncode == 0 else ""

    def sh(self, script: str, *, check: bool = True) -> str:
        return self.run("sh", "-c", script, check=check)

    def reboot(self) -> float:
        """In good order; seconds until it can be entered again."""
        before, self.started = self.boot_id(), time.monotonic()
        self.run("systemctl", "reboot", check=False)
        return self.wait(after_boot=before)

    def unplug(self) -> None:
        """Without a word to it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def wait_until(condition: Callable[[], bool], words: Callable[[], str]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, words()
        time.sleep(0.5)  # qemu and sshd tell nobody that they are ready


def qemu(machine: Machine) -> list[str]:
    """The command that runs a machine."""
    image, kvm = machine.image, has_kvm()
    argv = ["qemu-system-x86_64", "-accel", "kvm" if kvm else "tcg,tb-size=256", "-cpu", "host" if kvm else "max"]
    argv += ["-m", str(MEMORY), "-display", "none", "-no-user-config", "-nodefaults", "-device", "virtio-rng-pci"]
    # What a test machine writes needs to survive itself, and not this one.
    argv += ["-drive", f"file={machine.home}/disk.qcow2,if=virtio,cache=unsafe"]
    argv += ["-serial", f"file:{machine.home}/console"]
    for number, address in enumerate(machine.addresses):
        argv += ["-netdev", f"tap,id=net{number},ifname={machine.name}.{number},script=no,downscript=no"]
        argv += ["-device", f"virtio-net-pci,netdev=net{number},mac={mac(address)}"]
    if image.kernel is None:  # it has a boot loader, and asks cloud-init's disk who it is
        # qemu makes the file system of a directory; mkisofs and mtools were rejected as two programs more to install.
        return [
            *argv,
            "-drive",
            f"format=raw,file.driver=vvfat,file.dir={machine.home}/seed,file.label=CIDATA,if=virtio,readonly=on",
        ]
    words = ["root=/dev/vda", "rw", "console=ttyS0", "net.ifnames=0", "quiet", *command_line(machine)]
    return [*argv, "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", " ".join(words)]


def command_line(machine: Machine) -> Iterator[str]:
    """What ``first_boot.sh`` reads of the kernel's command line."""
    yield f"lab.name={machine.name}"
    yield f"lab.key={machine.key.with_suffix('.pub').read_text().split()[1]}"
    for number, (address, gateway) in enumerate(interfaces(machine.addresses)):
        yield f"lab.leg=eth{number},{address}/24{gateway and ','}{gateway}"


def interfaces(addresses: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each address with the gateway of its network, which has none itself."""
    for address in addresses:
        net, _, last = address.rpartition(".")
        yield address, "" if last == "1" else f"{net}.1"


def mac(address: str) -> str:
    return "52:54:00:" + ":".join(f"{int(part):02x}" for part in address.split(".")[1:])


def write_inventory(path: Path, machines: Mapping[str, Machine]) -> None:
    """Real hosts as docs/settings.md has them; the machines' host keys are known since their first answer."""
    some = next(iter(machines.values()))

    def hosts(group: str) -> dict[str, object]:
        chosen = {name: one for name, one in machines.items() if name.startswith(group)}
        return {"hosts": {name: {"ansible_host": one.addresses[0]} for name, one in chosen.items()}}

    variables = {
        "ansible_user": "admin",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(some.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={some.home.parent / 'known_hosts'}",
    }
    groups = {"gateways": hosts("gateway"), "nodes": hosts("node"), "external": hosts("outside")}
    path.write_text(json.dumps({"all": {"vars": variables, "children": groups}}, indent=2) + "\n")


def environment() -> dict[str, str]:
    """Of ``./lab``: patient, where a machine is emulated."""
    return {**os.environ, "ANSIBLE_TIMEOUT": "90", "PODLAB_TIMEOUT": "30", "ANSIBLE_NOCOLOR": "1"}
