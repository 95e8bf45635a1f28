#!/bin/sh
# Writes requirements.txt and requirements-dev.txt anew from what the two .in files name: the newest versions of all that
# these need, for every Python that podlab runs with, and the hash of each file that may be downloaded. uv, and not
# pip-compile, since that one knows the Python alone which it runs with.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --disable-pip-version-check --quiet \
    --require-hashes --requirement cli/uv.txt
lock() {
    "$venv/bin/uv" pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "sh cli/requirements.sh" "$@"
}
lock cli/uv.in --output-file cli/uv.txt
lock requirements.in --output-file requirements.txt
lock requirements-dev.in --constraint requirements.txt --output-file requirements-dev.txt
