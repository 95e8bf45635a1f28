"""What verify makes of programs that do not answer, and how a run ends that has found something."""

from __future__ import annotations

import re

import pytest
import yaml

from tests import preforked

from .conftest import TestLab, pod

GUARDED = """
iptables -A INPUT -p tcp --dport 80 -j REJECT --reject-with tcp-reset && exec httpd -f -p 80
"""


def service(name: str) -> str:
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})


def behind_a_service(name: str, *command: str, **fields: object) -> str:
    """A pod of this name and a Service that leads to it."""
    found = pod(name, {"name": "main", "image": "busybox", "command": list(command), **fields})
    found["metadata"]["labels"] = {"app": name}
    return f"{yaml.safe_dump(found)}---\n{service(name)}"


NEVER = pod(
    "never",
    {
        "name": "main",
        "image": "busybox",
        "command": ["sleep", "infinity"],
        "readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1},
    },
)
SILENT = behind_a_service("silent", "sleep", "infinity")
PRIVATE = behind_a_service("private", "httpd", "-f", "-p", "127.0.0.1:80")


def up(lab: TestLab) -> tuple[int, str]:
    patience = '{"podlab_pod_routing": "gateway", "podlab_ready_timeout": 2}'
    argv = ["up", "-i", str(lab.inventory), "--manifests", str(lab.manifests), "-e", patience]
    done = preforked.up(argv, lab.environment())
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def refused(lab):
    """A run in which a listening pod refuses what comes, others do not listen, and one never gets ready."""
    guarded = behind_a_service(
        "guarded", "sh", "-c", GUARDED, securityContext={"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}
    )
    lab.write(silent=SILENT, private=PRIVATE, guarded=guarded, never=NEVER)
    return up(lab)


def test_a_listening_program_that_is_refused_is_a_fault(refused):
    code, said = refused
    assert code == 2
    address = next(line.split()[2] for line in said.splitlines() if " default/guarded " in line)
    assert f"{address}:80: expected an answer, got refused, though a program listens" in said
    assert "-> default/silent at" not in said
    assert "-> default/private at" not in said


def test_a_failed_verify_names_the_pod_that_is_not_ready_and_shows_what_stands(refused):
    _, said = refused
    assert "pod default/never on node" in said
    before, tables = said.split("PLAY RECAP")
    assert "READY   STATUS" in tables
    assert "1 pod is not ready" in before


def test_a_program_that_does_not_listen_is_a_note(lab, refused):
    lab.write(silent=SILENT, private=PRIVATE, never=NEVER)
    code, said = up(lab)
    assert code == 2
    assert ": expected " not in said
    for name, words in (
        ("silent", "nothing listens there;"),
        ("private", "nothing listens there, but only at 127.0.0.1;"),
    ):
        line = next(line for line in said.splitlines() if line.startswith(f"default/{name} -> pod default/{name} "))
        assert "/tcp on node" in line
        assert words in line
    assert "pod default/never on node" in said
    assert "READY   STATUS" in said.split("PLAY RECAP")[1]


def test_a_pod_that_does_not_reach_itself_by_its_own_service_is_a_fault(lab):
    """TCP asks again, and is led to the other pod: nothing that it calls is silent, and all of it answers."""
    first, second = (pod(name, {"name": "main", "image": "busybox", "command": ["httpd", "-f"]}) for name in "ab")
    for one in (first, second):
        one["metadata"]["labels"] = {"app": "pair"}
    lab.write(first=first, second=second, service=service("pair"))
    lab.converge("--skip-tags", "verify")
    for node in ("node1", "node2"):
        for port in lab.sh(node, "ip -o link show master cbr0").splitlines():
            veth = port.split()[1].partition("@")[0]
            lab.on(node, "ip", "link", "set", veth, "type", "bridge_slave", "hairpin", "off")
    done = lab.play("--tags", "verify")
    assert done.returncode
    for name in "ab":
        own = next(line for line in done.stdout.splitlines() if line.startswith(f"pod default/{name} -> default/pair "))
        assert re.search(r": expected (to meet itself \(10\.1\.|one of .* got silence)", own)


def test_a_plan_that_is_refused_shows_no_tables(lab):
    lab.write(wrong="apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n")
    code, said = up(lab)
    assert code == 2
    assert "READY   STATUS" not in said


def test_a_firewall_of_the_hosts_own_is_named_where_verify_fails(lab):
    """A chain of nftables, by the program for bridges: what iptables shows has no word of it."""
    on_node1 = {"nodeSelector": {"kubernetes.io/hostname": "node1"}}
    sleeper = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"]}
    lab.write(**{name: yaml.safe_dump(pod(name, sleeper, **on_node1)) for name in ("here", "beside")})
    lab.sh("node1", "ebtables-nft -P FORWARD DROP")
    code, output = up(lab)
    assert code == 2
    chain = "nftables chain FORWARD of table bridge filter"
    assert f"note: node1: {chain} (hook forward) drops what pods send by its policy" in output
    (line,) = re.findall(r"^pod default/here .* -> pod default/beside .*$", output, re.MULTILINE)
    assert line.endswith(f" (likely by {chain} on node1)")
    (line,) = re.findall("^likely cause: .*$", output, re.MULTILINE)
    assert "nft insert rule bridge filter FORWARD ip saddr 10.1.0.0/16 accept" in line
    lab.sh("node1", "ebtables-nft -P FORWARD ACCEPT")
    code, output = up(lab)
    assert (code, chain in output) == (0, False)
