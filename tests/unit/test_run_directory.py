"""podlab's own file system at /run/podlab, on a /run of one's own in a mount namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
START = """if True:
    import os, subprocess, sys
    from podlab.changes.actions import lines
    from podlab.host import record
    from podlab.host.system import run_directory
    from podlab.host.run import HostError

    def mount(*argv):
        subprocess.run(["mount", *argv], check=True)

    def starts():
        with open("/run/podlab/program", "w", opener=lambda path, flags: os.open(path, flags, 0o700)) as file:
            file.write("#!/bin/sh\\n")
        return os.access("/run/podlab/program", os.X_OK)

    mount("-t", "tmpfs", "-o", sys.argv[1], "tmpfs", "/run")
"""
AS_SYSTEMD_LEAVES_IT = "noexec,nosuid,nodev,size=1m,mode=755"
MOUNT = "mount -t tmpfs -o nosuid,nodev,mode=700,size=25% podlab /run/podlab"


def in_own_run(options: str, program: str) -> str:
    """What a program prints as root of a user namespace."""
    argv = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", START + program, options]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT / "module_utils")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [AS_SYSTEMD_LEAVES_IT, "mode=755"], ids=["noexec", "plain"])
def test_it_is_mounted_once_and_closed(options: str) -> None:
    said = in_own_run(
        options,
        """
    print(run_directory.is_sound(), *lines(run_directory.actions()), sep="; ")
    record.make_directory("/run/podlab/services/.new")
    print(run_directory.is_sound(), *lines(run_directory.actions()), sep="; ")
    run_directory.make()
    mounts = [line.split() for line in open("/proc/self/mounts") if " /run/podlab " in line]
    print(starts(), len(mounts), mounts[0][0], oct(os.stat("/run/podlab").st_mode & 0o7777))
""",
    )
    assert said.splitlines() == [f"False; mkdir -p -m 700 /run/podlab; {MOUNT}", "True", "True 1 podlab 0o700"]


def test_one_that_was_closed_for_programs_is_opened_again() -> None:
    said = in_own_run(
        AS_SYSTEMD_LEAVES_IT,
        """
    run_directory.make()
    mount("-o", "remount,bind,noexec", "/run/podlab")
    print(run_directory.is_sound(), *lines(run_directory.actions()), sep="; ")
    run_directory.make()
    flags = os.statvfs("/run/podlab").f_flag
    print(starts(), lines(run_directory.actions()), bool(flags & os.ST_NOSUID), bool(flags & os.ST_NODEV))
""",
    )
    assert said.splitlines() == ["False; mount -o remount,bind,exec /run/podlab", "True [] True True"]


def test_what_an_earlier_podlab_keeps_there_is_not_hidden() -> None:
    filled = """
    os.makedirs("/run/podlab/pods/default_web")
    print(run_directory.is_sound())
    try:
        print(lines(run_directory.actions()))
    except HostError as error:
        print(error)
    record.make_directory("/run/podlab/services")
    print(os.path.ismount("/run/podlab"), *sorted(os.listdir("/run/podlab")))
"""
    assert in_own_run("mode=755", filled).splitlines() == ["True", "[]", "False pods services"]
    sound, words, left = in_own_run(AS_SYSTEMD_LEAVES_IT, filled).splitlines()
    assert (sound, left) == ("False", "False pods services")
    assert words.startswith("/run/podlab: an earlier podlab has made it") and "./lab down" in words
