"""What is read of a host's network, from a kernel."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from podlab.configs import VxlanConfig
from podlab.host import observe, run
from podlab.host.network import network

ROOT = Path(__file__).resolve().parents[2]
FORWARD_DROPS = """
import os, subprocess, sys
subprocess.run(["iptables", "-P", "FORWARD", sys.argv[1]], check=True, env={**os.environ, "XTABLES_LOCKFILE": sys.argv[2]})
from podlab.host.network import network
print(network.forward_drops())
"""


@pytest.mark.skipif(not shutil.which("iptables-legacy", path="/usr/sbin:/sbin"), reason="no iptables of the old kind")
@pytest.mark.parametrize(("policy", "drops"), [("DROP", "True"), ("ACCEPT", "False")])
def test_the_policy_of_forward_is_read_while_somebody_has_the_lock(tmp_path: Path, policy: str, drops: str) -> None:
    programs, lock = tmp_path / "programs", tmp_path / "lock"
    programs.mkdir()
    lock.touch()
    for name in ("iptables", "iptables-save"):
        (programs / name).symlink_to(
            shutil.which(name.replace("iptables", "iptables-legacy"), path="/usr/sbin:/sbin") or ""
        )
    environment = {
        **{"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "module_utils")},
        "XTABLES_LOCKFILE": str(lock),
    }
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", FORWARD_DROPS]
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [*argv, policy, str(tmp_path / "other")], env=environment, capture_output=True, text=True, timeout=30
        )
    assert done.stdout == f"{drops}\n", done.stderr


# What "ip -j -d link show type vxlan" printed on a Debian 12 that had no vxlan device since it was booted. Its module
# was not loaded, so the kernel knew nothing of the kind, told of both links, and ip passed over them.
VXLAN_IS_NOT_LOADED = "[{},{}]\n"
OVERLAY = cast(VxlanConfig, {"name": "vxlan.1", "id": 1})


def test_what_ip_has_passed_over_is_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ip = tmp_path / "ip"
    ip.write_text(f"#!/bin/sh\necho '{VXLAN_IS_NOT_LOADED.strip()}'\n")
    ip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(network.namespaces, "others", lambda: [["ip", "-n", "other"]])
    assert network.lost_overlays({}, OVERLAY) == []
    assert network.links() == {}
    assert network.routes() == []


def test_each_list_of_a_batch_is_read_without_what_was_passed_over() -> None:
    assert run.documents(VXLAN_IS_NOT_LOADED + '[{},{"dst":"10.1.1.1"}]\n[]') == [[], [{"dst": "10.1.1.1"}], []]
    assert run.entries("") == []


STUB, ASKED = "# this is a stub\nnameserver 127.0.0.53\noptions edns0\n", "nameserver 192.0.2.53\n"


@pytest.mark.parametrize(
    ("written", "asked", "told"),
    [
        pytest.param(STUB, ASKED, ASKED, id="resolved's own address is for the host alone"),
        pytest.param(STUB, None, STUB, id="nobody says whom it asks"),
        pytest.param("nameserver 192.0.2.1\n", ASKED, "nameserver 192.0.2.1\n", id="somebody's own file"),
        pytest.param(f"{STUB}nameserver\n", ASKED, ASKED, id="half a line"),
        pytest.param(f"{ASKED}{STUB}", "", f"{ASKED}{STUB}", id="beside another server"),
        pytest.param(None, ASKED, "", id="none"),
    ],
)
def test_pods_ask_whom_resolved_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None, asked: str | None, told: str
) -> None:
    for name, text in (("RESOLV_CONF", written), ("ASKED_BY_RESOLVED", asked)):
        monkeypatch.setattr(observe, name, str(tmp_path / name))
        if text is not None:
            (tmp_path / name).write_text(text)
    assert observe._resolv_conf() == told
