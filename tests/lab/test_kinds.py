"""Applications with kinds that mean nothing here, and with kinds of the old days."""

from __future__ import annotations

import shutil
import subprocess

from tests import preforked

from .conftest import ROOT

SECRET = (ROOT / "tests" / "published" / "controller" / "secret.yml").read_text("utf-8")


def look(lab, *words: str) -> str:
    done = preforked.look([words[0], "--inventory", str(lab.inventory), *words[1:]], lab.environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(lab, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    argv = [str(ROOT / "lab"), *words, "-i", str(lab.inventory)]
    return subprocess.run(argv, env=lab.environment(), input=text, capture_output=True, text=True)


def use(lab, app: str) -> None:
    for file in lab.manifests.iterdir():
        file.unlink()
    shutil.copy(ROOT / "tests" / "published" / app / f"{app}.yml", lab.manifests)


def test_an_old_guestbook_comes_up(lab):
    use(lab, "guestbook")
    said = lab.converge()
    assert 'note: services "frontend" stands at' in said
    shown = look(lab, "get", "rc", "--no-headers")
    found = {line.split()[0]: line.split()[1:4] for line in shown.splitlines()}
    assert found == {"frontend": ["3"] * 3, "redis-follower": ["2"] * 3, "redis-leader": ["1"] * 3}
    assert ":30501/TCP" in look(lab, "get", "service", "frontend")
    assert "Controlled By:  ReplicationController/frontend" in look(lab, "describe", "pods", "-l", "tier=frontend")
    assert "changed=0" in lab.converge()


def test_a_controller_waits_for_its_secret_and_its_cron_job_is_run_by_hand(lab):
    use(lab, "controller")
    done = lab.play()
    assert done.returncode == 2
    assert "note: NetworkPolicy admission is NOT ENFORCED" in done.stdout
    assert "note: ignored: ServiceAccount edge, edge-admission: " in done.stdout
    assert 'FailedMount: MountVolume.SetUp failed for volume "cert" : secret "edge-admission" not found' in done.stdout
    paths = ["--manifests", str(lab.manifests), "--manifests", "-"]
    done = program(lab, "up", *paths, text=SECRET)
    assert done.returncode == 0, done.stdout + done.stderr
    created = program(lab, "create", "job", "by-hand", "--from=cronjob/renew", "-n", "edge-system", *paths, text=SECRET)
    assert created.returncode == 0, created.stdout + created.stderr
    assert look(lab, "logs", "-n", "edge-system", "job/by-hand") == "renewed\n"
    (lab.manifests / "secret.yml").write_text(SECRET)
    assert "changed=0" in lab.converge(), "it stays as it is"
    assert "by-hand" in look(lab, "get", "jobs", "-n", "edge-system")
    assert "0 3 * * 0" in look(lab, "get", "cj", "-n", "edge-system")
