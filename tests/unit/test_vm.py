"""What the tests on virtual machines say and write before there is any machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.develop import test as test_verb
from cli.errors import CommandError
from tests.vm import cloud, images, machines, needs
from tests.vm.images import Image
from tests.vm.machines import Machine

ROOT = Path(__file__).resolve().parents[2]


def here(program: str) -> str | None:
    return f"/usr/bin/{program}"


def machine(home: Path, **image: Path) -> Machine:
    key = home / "key"
    key.with_suffix(".pub").write_text("ssh-ed25519 AAAA podlab\n")
    return Machine("node1", Image(home / "disk", **image), ["10.100.0.2"], home / "node1", key)


def test_what_is_missing_is_said_with_what_to_install(monkeypatch) -> None:
    monkeypatch.setenv(needs.SOURCE, "http://mirror.example/debian/")
    assert needs.mirror() == "http://mirror.example/debian"
    assert needs.missing(builds=True, which=here, user=0, machine="x86_64") in ([], [machines_need_tun()])
    (root, arch, programs) = needs.missing(builds=True, which=lambda name: None, user=1000, machine="aarch64")[:3]
    assert "sudo ./lab test --vm" in root
    assert "aarch64" in arch
    assert programs == (
        "programs: apt-get install --no-install-recommends coreutils debootstrap e2fsprogs iproute2 openssh-client "
        "qemu-system-x86 qemu-utils util-linux"
    )
    (programs,) = [
        words for words in needs.missing(builds=False, which=lambda name: None, user=0) if "programs" in words
    ]
    assert "debootstrap" not in programs


def machines_need_tun() -> str:
    return "/dev/net/tun: modprobe tun"


def test_the_mirror_is_debians_own() -> None:
    targets = ["http://security.example/debian-security Debian-Security", "http://mirror.example/debian/ Debian"]
    assert needs.first_of(targets) == "http://mirror.example/debian/"
    assert needs.first_of(["http://archive.example/ubuntu Ubuntu"]) == ""


def test_where_there_can_be_no_machines_nothing_is_tested(monkeypatch, capsys) -> None:
    monkeypatch.setattr(needs, "missing", lambda builds: ["programs: apt-get install x"])
    assert test_verb.main(["--vm"], []) == test_verb.SKIPPED
    told = capsys.readouterr()
    assert "nothing was tested" in told.err
    assert told.out == "  programs: apt-get install x\n"
    with pytest.raises(CommandError, match="there is no image /nowhere"):
        test_verb.main(["--vm", "--image", "/nowhere"], [])


def test_another_recipe_is_another_image(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PODLAB_VM_CACHE", str(tmp_path))
    before = {suite: images.name(suite) for suite in images.SUITES}
    assert len({*before.values()}) == len(images.SUITES)
    assert images.image("trixie").disk == tmp_path / f"{before['trixie']}.ext4"
    monkeypatch.setattr(images, "STOCK", (*images.STOCK, "less"))
    assert not {*before.values()} & {images.name(suite) for suite in images.SUITES}


def test_a_machine_learns_its_name_key_and_addresses_from_the_kernels_command_line(tmp_path) -> None:
    one = machine(tmp_path, kernel=tmp_path / "vmlinuz", initrd=tmp_path / "initrd")
    assert [*machines.command_line(one)] == ["lab.name=node1", "lab.key=AAAA", "lab.leg=eth0,10.100.0.2/24,10.100.0.1"]
    one.addresses = ["10.100.0.1", "198.51.100.1"]
    assert [*machines.command_line(one)][2:] == ["lab.leg=eth0,10.100.0.1/24", "lab.leg=eth1,198.51.100.1/24"]
    assert (
        f"-append root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet {' '.join(machines.command_line(one))}"
        in " ".join(machines.qemu(one))
    )


def test_a_cloud_image_learns_them_from_a_seed(tmp_path) -> None:
    one = machine(tmp_path)
    cloud.write_seed(one)
    texts = {path.name: path.read_text() for path in (tmp_path / "node1" / "seed").iterdir()}
    head, _, body = texts["user-data"].partition("\n")
    assert head == "#cloud-config"
    (account,) = json.loads(body)["users"]
    assert (account["name"], account["ssh_authorized_keys"]) == ("admin", ["ssh-ed25519 AAAA podlab"])
    assert json.loads(texts["meta-data"])["local-hostname"] == "node1"
    (link,) = json.loads(texts["network-config"])["ethernets"].values()
    assert link["addresses"] == ["10.100.0.2/24"]
    assert link["match"]["macaddress"] in " ".join(machines.qemu(one))
    assert f"file.dir={one.home}/seed" in " ".join(machines.qemu(one))


def test_plain_pytest_leaves_machines_alone() -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "--collect-only", str(ROOT / "tests" / "vm")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "no tests collected" in done.stdout, done.stdout + done.stderr
