"""A lab whose hosts are reached over SSH, and the state that they are in before anything is done to them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.over_ssh import GROUPS, OverSsh
from podlab.embedded import Lab
from tests.lab.conftest import ROOT, TestLab

HOSTS = {name: address for hosts in GROUPS.values() for name, address in hosts.items()}
# What podlab may leave: installed packages (there are none here), and what the kernel counts and cannot undo.
STATE = """
ip -br -d link | sort; ip -br addr; ip route show table all | sort; ip rule; ip neigh show nud permanent; bridge fdb show | sort
for save in iptables-save ip6tables-save iptables-legacy-save; do $save 2>/dev/null | grep -E '^-|^:.* - '; done
sysctl -a 2>/dev/null | grep -E '^net[.](ipv4|ipv6|bridge|core)' | grep -vE 'stat|_mem|inode|neigh|nf_conntrack_(count|max)' | sort
findmnt -rno TARGET,FSTYPE | sort; ls /run/netns
find / /run /dev/shm -xdev ! -path '/tmp/*' ! -path '/home/*/.ansible*' | grep -vE '^/(proc|sys)|/run/(sudo|sshd)|nf_tables' | sort
ps -eo user,args --no-headers | grep -vE 'sshd|ps -eo|sudo|sort|grep|sh -c' | sort
"""


@dataclass
class SshLab(TestLab):
    """Playbooks are run from the controller's network, over SSH."""

    over: OverSsh | None = None

    def argv(self, playbook: str, *arguments: str) -> list[str]:
        assert self.over is not None
        return self.over.argv(*super().argv(playbook, *arguments))

    def state(self) -> dict[str, list[str]]:
        """But for the routes of link-local addresses, which come a second after their links."""
        lines = {host: self.sh(host, STATE, check=False).splitlines() for host in HOSTS}
        left = {
            host: [line for line in found if not ("fe80:" in line and " dev " in line)] for host, found in lines.items()
        }
        return {host: [re.sub(r" +fe80:\S+ *", "", line).rstrip() for line in found] for host, found in left.items()}


@pytest.fixture(scope="session")
def ssh() -> Iterator[SshLab]:
    """The lab with sshd in its hosts, which are bare."""
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")  # molecule's own one knows none of our modules
    name = os.environ["PODLAB_LAB"]
    with tempfile.TemporaryDirectory(prefix="podlab-ssh-") as directory:
        over = OverSsh(Lab(str(ROOT), name), Path(directory))
        over.open(HOSTS)
        yield SshLab(name, over.inventory(GROUPS), ROOT / "manifests", over=over)


@pytest.fixture(scope="session")
def before(ssh: SshLab) -> dict[str, list[str]]:
    return ssh.state()


@pytest.fixture(scope="session", autouse=True)
def first_run(ssh: SshLab, before: dict[str, list[str]]) -> str:
    """What the run has said that builds all of it."""
    return ssh.converge()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The cluster is looked at before it is damaged and taken away; both are files here that sort behind."""
    items.sort(key=lambda item: item.path.name if item.path.parent == Path(__file__).parent else "test_b")
