"""What the kernel makes of service rules, in a network namespace that ends with the test: no lab, no rights."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.kube_proxy import services
from podlab.changes.kube_proxy.names import probability
from podlab.changes.netfilter import iptables_save
from tests.unit.test_kube_proxy_rules import GOLDEN, LOAD_BALANCER, RECORDED, UNREADY, endpoint, port, recorded_row, row

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(not shutil.which(f"iptables-{kind}-restore", path=PATH), reason="not here"))
    for kind in ("nft", "legacy")
]  # fmt: skip
needs_ipset = pytest.mark.skipif(not shutil.which("ipset", path=PATH), reason="there is no ipset here")


def apart(tmp_path: Path, script: str, text: str = "", **environment: str) -> str:
    """Output of a shell script in a network namespace of its own; ``text`` is its input."""
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    done = subprocess.run(
        [*alone, "sh", "-euc", script],
        input=text,
        env={"PATH": PATH, "XTABLES_LOCKFILE": str(tmp_path / "lock"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def restore_text(tables: dict[str, Any]) -> str:
    lines = []
    for table, parts in tables.items():
        lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in parts["chains"])]
        for chains in (parts["jumps"], parts["chains"]):
            lines += [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules]
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


LONG = f"{'n' * 63}/{'s' * 63}"  # with the longest comments that there can be; the kernel takes 255 letters
RICH = {path.stem: recorded_row(json.loads(path.read_text())) for path in RECORDED} | {
    **GOLDEN,
    "longest names": row(
        port(endpoint(), service=LONG, port_name="p" * 63, **LOAD_BALANCER, source_ranges=["192.0.2.0/24"]),
        port(endpoint(), service=LONG, port_name="q" * 63, **LOAD_BALANCER, external_local=True),
        port(service=LONG, port_name="r" * 63, **LOAD_BALANCER),
        reject_undefined_ports=True,
    ),
    # Few rules, because nobody but the machine's root may give iptables-nft more than 208 KiB at once.
    "large cluster": row(
        port(endpoint(), endpoint("10.1.1.3"), affinity_seconds=5),
        port(*(endpoint(port=number, **UNREADY) for number in range(1, 1000)), port_name="unready", port=81),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RICH)
def test_the_kernel_gives_back_the_very_rules(name, kind, tmp_path):
    tables, sets = services.tables(RICH[name]), services.sets(RICH[name])
    if sets and not shutil.which("ipset", path=PATH):
        pytest.skip("there is no ipset here")
    create = "".join(f"ipset create {name} hash:ip timeout {seconds} maxelem 65536\n" for name, seconds in sets.items())
    # Table by table: who is root in this namespace alone may not read the list of them.
    save = "".join(f"iptables-{kind}-save -t {table}\n" for table in tables)
    saved = iptables_save.parsed(apart(tmp_path, f"{create}iptables-{kind}-restore\n{save}", restore_text(tables)))
    for table, parts in tables.items():
        wanted = {chain: list(rules) for chain, rules in {**parts["jumps"], **parts["chains"]}.items()}
        found = {chain: rules for chain, rules in saved[table].items() if rules or chain in parts["chains"]}
        assert found == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_chances_are_printed_as_the_kernel_keeps_them(kind, tmp_path):
    choices = [*range(1, 31), 44, 51, 997, 1000, 12345]
    rules = "".join(f"-A X -m statistic --mode random --probability {1 / n:.10f} -j RETURN\n" for n in choices)
    saved = apart(
        tmp_path, f"iptables-{kind}-restore; iptables-{kind}-save -t nat", f"*nat\n:X - [0:0]\n{rules}COMMIT\n"
    )
    assert re.findall(r"--probability (\S+)", saved) == [probability(n) for n in choices]


CLIENTS = """
import json, socket, sys, threading

def serve(address):
    listener = socket.create_server((address, 8080), backlog=256)
    def answer():
        while True:
            connection, _ = listener.accept()
            connection.sendall(address.encode())
            connection.close()
    threading.Thread(target=answer, daemon=True).start()

def call(source, port):
    try:
        with socket.create_connection(("10.96.0.10", port), timeout=1, source_address=(source, 0)) as connection:
            return connection.recv(64).decode()
    except OSError as error:
        return type(error).__name__

for address in ("10.1.1.2", "10.1.1.3"):
    serve(address)
clients = [f"10.1.{8 + i // 200}.{1 + i % 200}" for i in range(300)]
rounds = [[call(client, 80) for client in clients] for _ in range(2)]
print(json.dumps({"rounds": rounds, "undefined": call(clients[0], 81)}))
"""
HOST = """
ip link set lo up
for i in $(seq 1 200); do echo "address add 10.1.8.$i/32 dev lo"; echo "address add 10.1.9.$i/32 dev lo"; done | ip -batch -
ip address add 10.1.1.2/32 dev lo
ip address add 10.1.1.3/32 dev lo
ip link add out0 type veth peer name out1
ip link set out0 up
ip link set out1 up
ip route add default dev out0
"""


def called(tmp_path: Path, **options: bool) -> dict[str, Any]:
    """What 300 clients of two endpoints heard when each called twice."""
    whole = row(port(endpoint(), endpoint("10.1.1.3"), affinity_seconds=600), **options)
    create = "".join(f"ipset create {name} hash:ip timeout 600 maxelem 65536\n" for name in services.sets(whole))
    script = f'{HOST}{create}iptables-restore\n"$PYTHON" -c "$CLIENTS"'
    told = apart(tmp_path, script, restore_text(services.tables(whole)), PYTHON=sys.executable, CLIENTS=CLIENTS)
    found: dict[str, Any] = json.loads(told)
    assert {answer for answers in found["rounds"] for answer in answers} == {"10.1.1.2", "10.1.1.3"}
    return found


@needs_ipset
def test_with_ipsets_more_than_a_hundred_clients_of_an_endpoint_stay_where_they_were(tmp_path):
    first, second = called(tmp_path, affinity_by_ipset=True)["rounds"]
    assert first == second


def test_with_xt_recent_an_endpoint_forgets_all_but_a_hundred_clients(tmp_path):
    """kube-proxy's way. Each of those that were forgotten goes back with one chance in two."""
    first, second = called(tmp_path)["rounds"]
    assert first != second


@pytest.mark.parametrize(("refused", "heard"), [(True, "ConnectionRefusedError"), (False, "TimeoutError")])
def test_an_undefined_port_is_refused_at_once_where_that_is_asked_for(refused, heard, tmp_path):
    assert called(tmp_path, reject_undefined_ports=refused)["undefined"] == heard
