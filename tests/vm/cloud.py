"""A cloud image by its path: what cloud-init needs to know of a machine, as its NoCloud data source reads it.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.vm.images import Image
from tests.vm.machines import Machine, interfaces, mac
from tests.vm.packages import ADDRESS, PORT


def image(path: Path) -> Image:
    """:raises ValueError: qemu cannot read it."""
    told = subprocess.run(["qemu-img", "info", "--output=json", str(path)], capture_output=True, text=True, check=False)
    if told.returncode:
        raise ValueError(told.stderr.strip())
    return Image(path.resolve(), str(json.loads(told.stdout)["format"]))


def write_seed(machine: Machine) -> None:
    """The three files; JSON is YAML."""
    seed = machine.home / "seed"
    seed.mkdir(parents=True, exist_ok=True)
    key = machine.key.with_suffix(".pub").read_text().strip()
    account = {"name": "admin", "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD: ALL", "ssh_authorized_keys": [key]}
    proxy = f"http://{ADDRESS}:{PORT}/"
    user: dict[str, Any] = {"users": [account], "package_update": False, "apt": {"http_proxy": proxy}}
    texts = {
        "meta-data": json.dumps({"instance-id": machine.name, "local-hostname": machine.name}),
        "user-data": f"#cloud-config\n{json.dumps(user)}",
        "network-config": json.dumps({"version": 2, "ethernets": ethernets(machine.addresses)}),
    }
    for name, text in texts.items():
        (seed / name).write_text(f"{text}\n")


def ethernets(addresses: Sequence[str]) -> dict[str, Any]:
    """Links by their MAC, since what a kernel calls them is its own affair."""
    return {
        f"eth{number}": {
            "match": {"macaddress": mac(address)},
            "set-name": f"eth{number}",
            "addresses": [f"{address}/24"],
            **({"routes": [{"to": "0.0.0.0/0", "via": gateway}]} if gateway else {}),
        }
        for number, (address, gateway) in enumerate(interfaces(addresses))
    }
