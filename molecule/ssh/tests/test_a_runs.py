"""The sample cluster over SSH. ``molecule/default`` looks at what stands then."""

from __future__ import annotations

import pytest

from embedded.over_ssh import ASKED_USER, PASSWORD

UNCHANGED = "gateway, node1, node2, outside: unchanged"
PLAIN = ("--skip-tags", "verify")


def test_the_first_run_says_what_it_has_done_to_each_host(first_run):
    assert "28 of 28 ways to Services are as planned" in first_run
    end = first_run.partition("PLAY RECAP")[2].splitlines()
    mended = "(node, bridge, pods, routes, egress, services)"
    assert [line for line in end if line and "ok=" not in line][-4:] == [
        "gateway: mended (node, routes)",
        f"node1: mended {mended}",
        f"node2: mended {mended}",
        "outside: unchanged",
    ]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            ("-e", f"ansible_user={ASKED_USER} ansible_become_password={PASSWORD}"), id="with a sudo password"
        ),
        pytest.param(("-e", "ansible_pipelining=false"), id="without pipelining"),
        pytest.param((), id="as before"),
    ],
)
def test_another_run_changes_nothing(ssh, options):
    output = ssh.converge(*options, *PLAIN)
    assert ssh.typed(output) == {}
    assert UNCHANGED in output.splitlines()


def test_without_the_password_every_host_fails_and_says_so(ssh):
    done = ssh.play("-e", f"ansible_user={ASKED_USER}", *PLAIN)
    assert done.returncode == 2, done.stdout
    assert "node1: failed (" in done.stdout and "Missing sudo password" in done.stdout + done.stderr


def test_a_host_with_another_key_is_not_spoken_to(ssh):
    """Not even where a connection is open that was made before: only a new one looks at the key."""
    known = ssh.over.directory / "known_hosts"
    keys = known.read_text()
    first, second = (key.split(" ", 1)[1] for key in keys.splitlines()[1:3])
    try:
        known.write_text(keys.replace(first, second))
        done = ssh.play("--limit", "node1", *PLAIN)
    finally:
        known.write_text(keys)
    assert done.returncode == 4, done.stdout
    assert "node1: unreachable (Host key verification failed" in done.stdout
