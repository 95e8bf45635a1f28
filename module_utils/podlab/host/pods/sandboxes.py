"""The namespaces of pods on this host: made, named, held by pause, and taken away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Collection, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ...changes.pods.paths import PODS, log_directory, shm_path
from ...changes.pods.sandbox import (
    BIND_ON_ITSELF,
    SANDBOX_SYSCTLS,
    is_plain,
    namespace_files,
    pause_argv,
    pause_command,
    unshare_argv,
    veth_name,
)
from ...configs import PodConfig
from ..network.namespaces import NETNS, give_name, more_namespaces, unshare
from ..network.network import write_sysctl
from ..record import make_directory
from ..run import HostError, batch, daemon, run, run_all, wait_until
from . import mount_table, status, volumes


def make_netns_mounts() -> None:
    for directory in (NETNS, PODS):
        # A mount of its own, as "ip netns add" makes it: who need not see the names below can drop all of them at once.
        make_directory(directory)
        if directory not in mount_table.mounted([directory]):  # ismount does not see that it is bound on itself
            run([*BIND_ON_ITSELF, directory, directory])


def make(rows: Sequence[PodConfig]) -> None:
    """Namespaces of pods with their names, and who holds them."""
    for row in rows:
        os.makedirs(f"{PODS}/{row['netns']}", exist_ok=True)
        for path in namespace_files(row, row["netns"]).values():
            with open(path, "a", encoding="ascii"):
                pass
    plain = [row for row in rows if is_plain(row)]
    others = [row for row in rows if not is_plain(row)]
    answers = run_all([(unshare_argv(row), None) for row in others])
    failed = [
        f"pod {row['netns']}: {line}"
        for row, (code, _, err) in zip(others, answers, strict=True)
        for line in _why_no_sandbox(row, code, err)
    ]
    if failed:
        raise HostError("\n".join(failed))
    for row in others:
        daemon(pause_argv(row))
    # The thread leaves this host's namespaces for good, so it has to be one of its own.
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(_make_plain, plain).result()
    # The name of a PID namespace comes from pause's parent, some time after pause itself.
    late = [files["pid"] for row in rows if "pid" in (files := namespace_files(row, row["netns"]))]
    wait_until(lambda: all(map(os.path.ismount, late)), seconds=10.0)


def _make_plain(rows: Sequence[PodConfig]) -> None:
    """What the commands of ``MakeSandbox`` do, one pod after the other, with one process each instead of six."""
    for row in rows:
        files = namespace_files(row, row["netns"])
        unshare(list(files))
        for kind, path in files.items():
            give_name(kind, path)
        socket.sethostname(row["hostname"])
        for key, value in SANDBOX_SYSCTLS.items():
            write_sysctl(key, value)
        daemon(pause_command(row["netns"]))


def _why_no_sandbox(row: PodConfig, code: int, err: str) -> list[str]:
    """sysctl(8) does what it can of its list, so each of its complaints is one setting's."""
    lines = [line for line in err.strip().splitlines() if line] or [f"exit code {code}"] * bool(code)
    words, kinds = [], [*namespace_files(row, row["netns"])]
    for line in lines:
        name = next((name for name in row.get("sysctls", {}) if name in line or name.replace(".", "/") in line), None)
        words.append(
            f"sysctl {name}={row['sysctls'][name]} is refused: {line}" if name else line + more_namespaces(line, kinds)
        )
    return words if code else []


def remove(names: Iterable[str], *, coming_back: Container[str] = ()) -> None:
    """Take pods away whose services have been stopped. Every step may find its work done already.

    :param coming_back: those whose volumes and logs stay.
    """
    names = list(names)
    # Wires go before pause: when the last process of a namespace dies the kernel takes the wire itself,
    # some time later.
    veths = [veth_name(netns) for netns in names]
    batch("ip", [f"link del {veth}" for veth in veths if os.path.exists(f"/sys/class/net/{veth}")])
    pauses = status.pauses()
    for netns in names:
        if netns in pauses:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pauses[netns], signal.SIGKILL)
    # Names of namespaces, and whatever else may be mounted there: nothing behind it is deleted.
    homes = [path for netns in names for path in (f"{NETNS}/{netns}", f"{PODS}/{netns}", shm_path(netns))]
    mount_table.unmount_beneath(homes)
    volumes.remove(netns for netns in names if netns not in coming_back)
    for netns in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{NETNS}/{netns}")
        mount_table.delete_tree(shm_path(netns))
        mount_table.delete_tree(f"{PODS}/{netns}")  # the last trace: with /dev/shm, in a pod of an earlier podlab
        if netns not in coming_back:
            shutil.rmtree(log_directory(netns, ""), ignore_errors=True)


def names_mount(gone: Collection[str] = ()) -> bool:
    """Whether /run/netns is a mount in which nobody's name is left once these pods are gone. ``ip netns add`` makes one
    where there is none, so it is nothing to anybody else."""
    return NETNS in mount_table.mounted([NETNS]) and set(os.listdir(NETNS)) <= set(gone)


def drop_names_mount() -> None:
    if names_mount():
        run(["umount", "--lazy", NETNS])
        os.rmdir(NETNS)
