"""Verbs on hosts over SSH, by an account that becomes root with a password."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from embedded.over_ssh import ASKED_USER, PASSWORD
from tests.lab.conftest import ROOT

TIMEOUT = 120


@pytest.fixture(scope="module")
def asked(ssh, first_run, tmp_path_factory):
    """The inventory with another account, and a file with its password."""
    known = json.loads(ssh.inventory.read_text())
    known["all"]["vars"]["ansible_user"] = ASKED_USER
    inventory = tmp_path_factory.mktemp("asked") / "hosts.yml"
    inventory.write_text(json.dumps(known))
    password = inventory.with_name("password")
    password.write_text(f"{PASSWORD}\n")
    return inventory, password


def argv(ssh, *words):
    return ssh.over.argv(sys.executable, str(ROOT / "cli"), *words)


def run(ssh, *words, **options):
    environment = ssh.environment()
    return subprocess.run(
        argv(ssh, *words), env=environment, capture_output=True, text=True, timeout=TIMEOUT, **options
    )


def test_who_needs_a_password_is_told_how_to_give_it(ssh, asked):
    done = run(ssh, "get", "pods", "-i", str(asked[0]))
    assert (done.returncode, done.stdout) == (1, "")
    *warnings, error = done.stderr.splitlines()
    assert [line.rpartition(":")[2] for line in warnings] == [" a password is required; -K asks for it"] * 3
    assert error == "error: what there is cannot be told: no answer from node1, node2"


@pytest.mark.parametrize(
    ("words", "given", "expected"),
    [
        (["get", "pod", "toolbox", "--no-headers"], "", "toolbox   1/1   Running"),
        (["exec", "-i", "toolbox", "--", "cat"], "one\ntwo", "one\ntwo"),
        (["exec", "toolbox", "--", "sh", "-c", "cat; hostname"], "not read", "toolbox\n"),
        (["node", "node1", "--", "sh", "-c", "id -u; cat"], "in\n", "0\nin\n"),
        (["logs", "pair", "-c", "client", "--tail", "1"], "", "pair\n"),
        (["rules", "node1", "web"], "", "# "),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_a_password_opens_every_verb_and_is_no_part_of_its_input(ssh, asked, words, given, expected):
    inventory, password = asked
    verb, *rest = words
    options = ["--inventory", str(inventory), "--become-password-file", str(password)]
    done = run(ssh, verb, *options, *rest, input=given)
    assert (done.returncode, done.stderr.replace("Defaulted container", "")) == (0, done.stderr), done.stderr
    assert done.stdout.startswith(expected)


def test_a_wrong_password_is_tried_once(ssh, asked):
    wrong = asked[1].with_name("wrong")
    wrong.write_text("nope\n")
    done = run(ssh, "node", "node1", "-i", str(asked[0]), "--become-password-file", str(wrong), "--", "id")
    assert done.returncode == 1
    assert done.stderr.count("try again") <= 1 and "1 incorrect password attempt" in done.stderr


def test_it_is_asked_for_once_and_not_shown(ssh, asked):
    """As it is typed: for the look at all hosts, and for the command."""
    words = argv(ssh, "exec", "-K", "--inventory", str(asked[0]), "-it", "toolbox", "--", "sh", "-c", "echo $((6 * 7))")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, ssh.environment())
    seen = b""
    while b"password: " not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, f"{PASSWORD}\r".encode())
    try:
        while block := os.read(terminal, 1024):
            seen += block
    except OSError:  # the end of a terminal
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    lines = [line.strip() for line in seen.decode().splitlines() if not line.startswith("waiting for")]
    assert list(filter(None, lines)) == ["BECOME password:", "42"]
