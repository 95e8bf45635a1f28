"""What the catalogue names is there to be shipped."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

IMAGES = Path(__file__).resolve().parents[2] / "images"
CATALOGUE = yaml.safe_load((IMAGES / "catalogue.yml").read_text("utf-8"))
ON_HOSTS, IN_CONTAINERS = "/var/lib/podlab/images/", "/opt/podlab/"


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_path_of_podlabs_own_is_a_file_of_the_clone(name: str) -> None:
    entry = CATALOGUE[name]
    own = [path.removeprefix(ON_HOSTS) for path in entry.get("binds", {}).values() if path.startswith(ON_HOSTS)]
    words = [*entry.get("entrypoint", []), entry.get("path", "")]
    own += [word.removeprefix(IN_CONTAINERS) for word in words if word.startswith(IN_CONTAINERS)]
    # busybox's names are links that a host makes of what its own busybox has.
    assert [path for path in own if not (IMAGES / path).exists() and path != "busybox"] == []


@pytest.mark.parametrize(
    ("arguments", "executed"),
    [
        (["-s", "http://10.1.1.2"], "curl -s http://10.1.1.2"),
        (["https://10.1.1.2/"], "curl https://10.1.1.2/"),
        (["sh", "-c", "true"], "sh -c true"),
    ],
)
def test_arguments_of_curls_image_are_curls_unless_they_are_a_command(arguments: list[str], executed: str) -> None:
    shell, option, script, *rest = CATALOGUE["curlimages/curl"]["entrypoint"]
    said = script.replace("exec ", "echo ")
    done = subprocess.run([shell, option, said, *rest, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == executed


def test_nginx_stays_in_front_and_is_one_file_that_runs() -> None:
    entry = CATALOGUE["nginx"]
    assert entry["cmd"] == ["nginx", "-g", "daemon off;"]
    assert (IMAGES / "nginx" / "nginx").read_text("utf-8").startswith("#!/bin/sh\n")
