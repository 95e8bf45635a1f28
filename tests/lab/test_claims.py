"""Applications that keep something, and one that reaches into its node, as people bring them."""

from __future__ import annotations

from typing import Any

from .conftest import ROOT
from .test_waiting_pods import lab_says

PASSWORD = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "blog-password"},
    "stringData": {"password": "secret"},
}


STAY_ON = ("-e", "podlab_keep_power=true")


def bring(lab, name: str, **more: Any) -> None:
    """Put an application in place of what the directory has."""
    lab.write(**{name: (ROOT / "tests" / "published" / name / f"{name}.yml").read_text()}, **more)


def identities(lab) -> list[str]:
    return [lab_says(lab, "exec", f"peers-{ordinal}", "--", "cat", "/var/lib/peer/id") for ordinal in range(3)]


def claims(lab) -> list[str]:
    """Directories of both nodes."""
    found = [lab.sh(name, "ls /var/lib/podlab/claims 2>/dev/null || true") for name in ("node1", "node2")]
    return sorted("\n".join(found).split())


QUICKLY = ("--skip-tags", "verify")
ALLOWED = tuple(
    word for name in ("host_pid", "host_path", "privileged") for word in ("-e", f"podlab_allow_{name}=true")
)


def test_what_is_kept_and_an_agent_that_reaches_into_its_node(lab):
    """One story: peers with claims; in their place a blog, whose Secret comes later, and an agent, which waits until it
    may; peers again; and the cluster's end, without its claims and with them."""
    bring(lab, "peers")
    done = lab.converge()
    assert "note: StatefulSet: spec.volumeClaimTemplates: a directory on the node of its first pod" in done
    first = identities(lab)
    assert [words.split()[0] for words in first] == ["0", "1", "2"]

    agent = (ROOT / "tests" / "published" / "agent" / "agent.yml").read_text()
    bring(lab, "blog", agent=agent)
    the_blog_and_the_agent_wait(lab)
    bring(lab, "blog", agent=agent, password=PASSWORD)
    lab.converge(*ALLOWED)
    the_blog_and_the_agent_run(lab)

    bring(lab, "peers")
    done = lab.converge("--check")
    assert "rm -r /var/lib/podlab/claims/default_blog-db" in done
    lab.converge(*QUICKLY)
    assert identities(lab) == first
    assert claims(lab) == [f"default_data-peers-{ordinal}" for ordinal in range(3)]
    assert lab.sh("node1", "pgrep -x sleep || echo none") == "none", "the agent's second process has gone, too"

    done = lab.play(*STAY_ON, playbook="playbooks/teardown.yml")
    assert done.returncode == 0, done.stdout
    assert "claims stay in /var/lib/podlab/claims: default/data-peers-" in done.stdout + done.stderr
    assert lab.sh("node1", "ls -A /var/lib/podlab") == "claims"
    assert "changed=0" in lab.play(*STAY_ON, playbook="playbooks/teardown.yml").stdout
    lab.converge(*QUICKLY)
    assert identities(lab) == first
    assert "Bound" in lab_says(lab, "get", "pvc", "data-peers-0")
    lab.play(*STAY_ON, "-e", "podlab_remove_volumes=true", playbook="playbooks/teardown.yml")
    assert lab.sh("node1", "ls -d /var/lib/podlab 2>/dev/null || echo gone") == "gone"


def the_blog_and_the_agent_wait(lab) -> None:
    done = lab.play(*QUICKLY)
    assert done.returncode == 2
    assert 'Error: secret "blog-password" not found' in done.stdout
    for setting in ("host_pid", "host_path", "privileged"):
        assert f"podlab_allow_{setting} is false; set podlab_allow_{setting} to true in the inventory" in done.stdout


def the_blog_and_the_agent_run(lab) -> None:
    assert claims(lab) == [
        *("default_blog-db", "default_blog-files"),
        *(f"default_data-peers-{ordinal}" for ordinal in range(3)),
    ]
    pod = lab_says(lab, "get", "pods", "-l", "tier=db", "-o", "name").strip()
    assert lab_says(lab, "exec", pod, "--", "cat", "/var/lib/db/starts") == "secret\n"
    assert "changed=0" in lab.play(*ALLOWED, *QUICKLY).stdout
    names = [name for name in lab_says(lab, "get", "pods", "-o", "name").split() if "/agent" in name]
    assert len(names) == 2
    assert lab.sh("node1", "cat /srv/agent/agent.conf") == "mode = bridge"
    for name in names:
        asked = "cat /proc/1/cmdline; grep CapEff /proc/self/status; hostname"
        assert "podlab-init" in lab_says(lab, "exec", name, "--", "sh", "-c", asked), "process 1 is the node's"
    setting = "sysctl -w net.ipv4.ip_default_ttl=77 || echo 77 >/proc/sys/net/ipv4/ip_default_ttl"
    lab_says(lab, "exec", names[0], "--", "sh", "-c", setting)
