"""What podlab has made is taken away over SSH, and the hosts are as they were."""

from __future__ import annotations

import subprocess
import sys

from tests.lab.conftest import ROOT

KEEPER = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper}
spec:
  nodeName: node1
  containers: [{name: c, image: busybox, command: [sh, -c, echo word >>/kept/words; exec sleep infinity], volumeMounts: [{name: v, mountPath: /kept}]}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: kept}}]
"""
WORDS = "/var/lib/podlab/claims/default_kept/words"


def down(ssh, *options: str) -> str:
    words = ("down", "-i", str(ssh.inventory), *options)
    argv = ssh.over.argv(sys.executable, str(ROOT / "cli"), *words)
    done = subprocess.run(argv, env=ssh.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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


def test_claims_stay_and_are_named_until_they_are_to_go_as_well(ssh, before, tmp_path):
    (tmp_path / "keeper.yml").write_text(KEEPER)
    bring = ("-e", f"podlab_manifests={tmp_path}", "--skip-tags", "verify")
    for starts in (1, 2):
        ssh.converge(*bring)
        ssh.sh("node1", f"for i in $(seq 200); do [ $(wc -l <{WORDS}) = {starts} ] && exit 0; sleep 0.05; done; exit 1")
        if starts == 1:
            assert "claims stay in /var/lib/podlab/claims: default/kept" in down(ssh)
            assert ssh.sh("node1", "ls -A /var/lib/podlab") == "claims"
    assert "claims stay" not in down(ssh, "--volumes")
    after = ssh.state()
    assert {host: set(after[host]) ^ set(lines) for host, lines in before.items()} == {host: set() for host in before}
