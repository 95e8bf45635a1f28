"""What podlab has made is taken away over SSH, and the hosts are as they were."""

from __future__ import annotations


def test_the_hosts_are_as_they_were(ssh, before):
    done = ssh.play(playbook="playbooks/teardown.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node1: torn down" in done.stdout.splitlines()
    after = ssh.state()
    assert {host: set(after[host]) ^ set(lines) for host, lines in before.items()} == {host: set() for host in before}


def test_a_second_teardown_finds_nothing(ssh):
    done = ssh.play(playbook="playbooks/teardown.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gateway, node1, node2: unchanged" in done.stdout.splitlines()
