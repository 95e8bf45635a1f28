"""What a machine has mounted, named, set or lying about does not reach its labs.

Machines are made of namespaces: whatever is done to one is gone with it, and the real one stays as it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.develop.test import NOBODY_UID

from .conftest import ROOT

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can make a machine of namespaces")

# What somebody has typed on a machine, or its distribution has set up. $SPARE is a directory for what it takes.
ODDITIES = {
    # The name of a pod's namespace, and a mount of /run/netns on itself below a shared /run.
    "ip netns add": """
        mount --make-rshared /
        mount -t tmpfs -o nosuid,nodev,noexec,mode=755,size=20m run /run
        ip netns add default_pair
        mkdir -p /run/docker/netns /run/lock
        touch /run/docker/netns/default; mount --bind /proc/self/ns/net /run/docker/netns/default
        mount -t bpf bpf /sys/fs/bpf
    """,
    "directories on disks of their own": """
        mount -t tmpfs log /var/log
        mkdir -p $SPARE/upper $SPARE/work
        mount -t overlay -o lowerdir=/var/lib,upperdir=$SPARE/upper,workdir=$SPARE/work lib /var/lib
        mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmp /var/tmp
        mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmp /tmp
    """,
    # A container's /etc/resolv.conf is a mount as well; here the file has gone, and only its link is left.
    "an /etc that somebody has changed": """
        mkdir $SPARE/etc; cp -a /etc/. $SPARE/etc; mount --bind $SPARE/etc /etc
        ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
        rm -f /etc/mtab /etc/nsswitch.conf /etc/hostname
        echo 127.0.0.1 localhost >$SPARE/hosts; mount --bind $SPARE/hosts /etc/hosts
        echo podlab:x:4242:4242::/home/podlab:/bin/sh >>/etc/passwd
        echo 'no configuration;' >/etc/nginx/nginx.conf
        hostname node1.example.com
    """,
    "a node of a real cluster": """
        mkdir -p /var/lib/podlab/images /var/log/pods/default_pair/server /run/podlab/pods/default_pair
        chmod 700 /var/lib/podlab
        echo '{"node": "this", "cluster": {"cidr": "10.9.0.0/16", "generation": 99}}' >/var/lib/podlab/record.json
        ip link add cbr0 type bridge; ip addr add 10.1.1.1/24 dev cbr0; ip link set cbr0 up
    """,
    "a firewall, a VPN and hardening": """
        ip link add tun0 type veth peer name tun1
        ip addr add 10.8.0.2/24 dev tun0; ip link set tun0 up; ip route add 10.0.0.0/8 dev tun0
        for chain in INPUT FORWARD OUTPUT; do iptables -P $chain DROP; done
        sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1
    """,
    "directories that are not for everybody": """
        mount -t tmpfs -o mode=750 log /var/log
        mount -t tmpfs -o mode=700 opt /opt
        mkdir /opt/disk; mount -t tmpfs disk /opt/disk
    """,
    "processes of others are not seen": "mount -t proc -o hidepid=2 proc /proc",
}

CLONE = '/mnt/a clone\'s 100% "pläce"/podlab'
PYTHON = str(Path(sys.executable).relative_to(ROOT)) if Path(sys.executable).is_relative_to(ROOT) else sys.executable
STATE = """
ip -4 -o addr; ip -o link | cut -d: -f2; ip -4 route show table all; ip netns; iptables-save | grep -v '^#\\|^:'
cut -d' ' -f5 /proc/self/mountinfo; ls -A /run /var/log /var/lib/podlab /tmp 2>/dev/null
sysctl -a 2>/dev/null | grep '^net.ipv4.conf'; hostname; pgrep -l -r R,S,D 'catatonit|s6|podlab|agnhost|unshare'
"""


@dataclass
class Machine:
    """What runs in one is entered from outside, as somebody who logs in."""

    init: int
    prefix: Sequence[str] = ()
    home: str = "/root"

    def run(self, *argv: str, text: str = "", check: bool = True) -> str:
        # A shell that has lowered its limits is no business of the lab's either.
        script = 'ulimit -Sn 256; ulimit -Sf 200000; cd "$0" && exec "$@"'
        environment = os.environ | {
            **{"HOME": self.home, "USER": "x", "LOGNAME": "x", "PODLAB_LAB": "machines"},
            **{"ANSIBLE_CONFIG": f"{CLONE}/ansible.cfg", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            **{"ANSIBLE_INVENTORY": f"{CLONE}/inventory/embedded", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        }
        enter = ["nsenter", "-t", str(self.init), "-m", "-n", "-u", "-p", "--", *self.prefix]
        argv = (*enter, "sh", "-c", script, CLONE, *argv)
        done = subprocess.run(argv, input=text, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def lab(self, *words: str, text: str = "") -> str:
        return self.run(PYTHON, "cli", *words, text=text)

    def script(self, host: str, text: str) -> str:
        """What a script complains of on a host."""
        return self.lab("node", host, "--", "sh", "-c", "sh 2>&1 >/dev/null", text=text)

    def state(self) -> list[str]:
        return self.run("sh", "-c", STATE, check=False).splitlines()


def machine(*oddities: str, uid: int = 0) -> Iterator[Machine]:
    """One that is a copy of this, but for these oddities."""
    script = f"""
        set -e; SPARE=/mnt
        cd {ROOT}
        mount -t tmpfs -o mode=755 spare $SPARE
        mkdir -p "$1" $SPARE/home; chown {uid}:{uid} $SPARE/home
        mount --bind . "$1"
        ip link set lo up
        {"".join(ODDITIES[name] for name in oddities)}
        echo ready; exec sleep infinity
    """
    argv = [
        "unshare",
        "--mount",
        "--net",
        "--uts",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-c",
        script,
    ]
    process = subprocess.Popen([*argv, "sh", CLONE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        init = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"] if uid else []
        yield Machine(init, prefix, "/mnt/home" if uid else "/root")
    finally:
        process.kill()
        process.communicate()


def changed(output: str) -> list[int]:
    return [int(count) for count in re.findall(r"changed=(\d+)", output)]


@pytest.fixture
def root() -> Iterator[Machine]:
    yield from machine(*(name for name in ODDITIES if "/etc" not in name))


@pytest.fixture
def ordinary() -> Iterator[Machine]:
    yield from machine(*ODDITIES, uid=NOBODY_UID)


def test_an_ordinary_users_lab_on_a_machine_with_all_of_it(ordinary: Machine) -> None:
    before = ordinary.state()
    assert "connections are as planned" in ordinary.lab("up")
    assert changed(ordinary.lab("up", "--skip-tags", "verify")) == [0, 0, 0, 0]
    assert ordinary.lab("exec", "toolbox", "--", "printenv", "WEB_SERVICE_HOST") == "10.96.54.115\n"
    assert int(ordinary.lab("exec", "toolbox", "--", "sh", "-c", "ulimit -n")) > 256
    assert ordinary.lab("node", "node1", "--", "sh", "-c", "hostname; ls /var/log/pods | wc -l") == "node1\n2\n"
    ordinary.lab("down")
    assert ordinary.state() == before


def test_what_is_mounted_twice_or_out_of_sight_is_made_mended_and_taken_away(root: Machine) -> None:
    """One host is as systemd leaves it, and then ``ip netns add``: /run/netns is a second mount of a shared /run. The
    other has the machine's /run/netns below its own /run."""
    before = root.state()
    # Its first line names a Python at the path that the clone has elsewhere.
    root.run(PYTHON, str(Path(PYTHON).parent / "ansible-playbook"), "playbooks/power_on.yml")
    root.lab("node", "node2", "--", "sh", "-c", "mount --make-shared /run; ip netns add other")
    root.lab("up", "--skip-tags", "verify")
    for node, pod in (("node1", "pair"), ("node2", "toolbox")):
        root.lab("node", node, "--", "pkill", "-KILL", "-xf", f"catatonit -P podlab-pod default_{pod}")
    assert "connections are as planned" in root.lab("up")
    assert changed(root.lab("up", "--skip-tags", "verify")) == [0, 0, 0, 0]

    undo = root.lab("script", "--undo", "node1")
    for words in (undo, root.lab("script", "node1"), undo):
        assert root.script("node1", words) == ""
    assert root.script("node2", root.lab("script", "--undo", "node2")) == ""
    left = "ls /run/netns; ls -d /run/podlab /var/lib/podlab 2>/dev/null; :"
    assert root.lab("node", "node1", "--", "sh", "-c", left) == ""
    assert root.lab("node", "node2", "--", "sh", "-c", left) == "other\n"
    root.lab("down")
    assert root.state() == before


def test_a_host_does_not_begin_with_the_machines_network_settings() -> None:
    """A new network namespace copies those of the machine's first one, which is not to be changed here."""
    conf = "/proc/sys/net/ipv4/conf"
    program = f"""if True:
        import sys; sys.path.insert(0, "{ROOT}/embedded")
        from boot import mounts
        for name in ("rp_filter", "arp_ignore", "proxy_arp", "forwarding", "shared_media"):
            for group in ("all", "default", "lo"):
                print(open(f"{conf}/{{group}}/{{name}}", "w").write("2" if name == "arp_ignore" else "1") and name)
        open(f"{conf}/all/send_redirects", "w").write("0")
        mounts.fresh_network_settings()
    """
    show = f"cd {conf} && head -n 1 */rp_filter */arp_ignore */proxy_arp */forwarding */shared_media all/send_redirects"
    fresh = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
    bare = subprocess.run([*fresh, show], capture_output=True, text=True, check=True).stdout
    argv = [*fresh, f'"$0" -c "$1" >/dev/null && {show}', sys.executable, program]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == bare


def test_a_limit_that_is_too_low_is_named_with_the_line_that_raises_it() -> None:
    """In a user namespace with all ids, whose limits are its own: 3 network namespaces for the lab and its four
    hosts."""
    limited = "echo 3 >/proc/sys/user/max_net_namespaces && exec ansible-playbook playbooks/power_on.yml"
    environment = os.environ | {
        **{"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"},
        **{"PODLAB_LAB": f"limits-{os.getpid()}", "ANSIBLE_INVENTORY": str(ROOT / "inventory" / "embedded")},
    }
    # Root of the namespace is only who starts after its ids are mapped.
    argv = ["unshare", "--user", "sh", "-c", 'read -r _ && exec sh -c "$0"', limited]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(argv, cwd=ROOT, env=environment, text=True, **streams)  # type: ignore[call-overload]
    own = os.readlink("/proc/self/ns/user")
    while process.poll() is None and os.readlink(f"/proc/{process.pid}/ns/user") == own:
        pass
    for kind in ("uid", "gid"):
        Path(f"/proc/{process.pid}/{kind}_map").write_text("0 0 4294967295")
    out, _ = process.communicate("go\n", timeout=120)
    assert process.returncode != 0
    assert "user.max_net_namespaces is 3. Allow more: sudo sysctl user.max_net_namespaces=10000" in " ".join(
        out.split()
    )
