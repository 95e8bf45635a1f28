"""What the catalogue names is there to be shipped."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-z"], 0, ""),
        (["-zv", "-w", "2"], 0, " open\n"),
        (["-v", "-w2", "-z"], 0, " open\n"),
        (["-vzw", "2"], 0, " open\n"),
    ],
)
def test_busyboxs_nc_knows_z(words: list[str], code: int, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = subprocess.run([IMAGES / "nc", *words, "127.0.0.1", port], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr.endswith(said), done.stdout) == (code, True, "")
    done = subprocess.run([IMAGES / "nc", *words, "127.0.0.1", port], capture_output=True, text=True, timeout=20)
    assert (done.returncode, "refused" in done.stderr) == (1, True)


def test_busyboxs_nc_is_itself_without_z() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = ["127.0.0.1", str(server.getsockname()[1]), "-e", "echo", "a b"]
        done = subprocess.run([IMAGES / "nc", *words], timeout=20)
        connection, _ = server.accept()
        with connection:
            assert (done.returncode, connection.recv(100)) == (0, b"a b\n")


def test_http_echo_answers_with_its_text() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = ["-listen", f":{port}", '-text=\u00fc b&c=%d "e"']
    with subprocess.Popen([IMAGES / "http-echo", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert "Started HTTP server" in process.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/any?msg=x", timeout=20) as answer:
                assert answer.read().decode() == '\u00fc b&c=%d "e"\n'
        finally:
            process.kill()


def test_http_echo_without_a_text_says_so() -> None:
    done = subprocess.run([IMAGES / "http-echo"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (127, "Missing -text option!\n")


@pytest.mark.parametrize(
    "words",
    [["-T", "9", "-q", "-O", "-"], ["-q", "-O-", "-T9"], ["-qT", "9", "-O-"], ["-qT9", "-O-"], ["-qO-", "--timeout=9"]],
    ids=" ".join,
)
def test_busyboxs_wget_knows_a_time(words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        call = subprocess.Popen([IMAGES / "wget", *words, url], stdout=subprocess.PIPE, text=True)
        connection, _ = server.accept()
        with connection:
            request = b""
            while not request.endswith(b"\r\n\r\n"):  # who closes with words unread resets the connection
                request += connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
        assert (call.communicate(timeout=20)[0], call.returncode) == ("hello", 0)


def test_busyboxs_wget_gives_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = ["-q", "-T", "1", "-O-", f"http://127.0.0.1:{server.getsockname()[1]}/"]
        done = subprocess.run([IMAGES / "wget", *words], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.endswith("wget: download timed out\n")
