"""How the actions of pods are run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ...changes.pods import actions, pod_file
from ...changes.pods.paths import PODS, SHM, service_name, shm_path
from ...changes.pods.sandbox import SHM_OPTIONS
from ...configs import PodConfig
from ..actions import checks, runs
from ..network.namespaces import mount_tmpfs
from ..record import write_file
from ..run import run
from . import (
    announcement,
    containers,
    kubelet_service,
    mount_table,
    programs,
    sandboxes,
    supervisor,
    volumes,
)


@runs(actions.EndContainers)
def _end_containers(found: Sequence[actions.EndContainers]) -> None:
    for all_of_them in found:
        anew = [*all_of_them.started_anew, *all_of_them.resumed]
        keys = [*all_of_them.supervised, *containers.services_of(all_of_them.pods), *anew]
        containers.stop(keys, all_of_them.before, leave={service_name(*key) for key in all_of_them.resumed})


@runs(actions.RemovePod)
def _remove_pods(found: Sequence[actions.RemovePod]) -> None:
    sandboxes.remove([it.netns for it in found], coming_back={it.netns for it in found if it.comes_back})


@runs(actions.MakeNetnsMounts)
def _make_netns_mounts(_: Sequence[actions.MakeNetnsMounts]) -> None:
    sandboxes.make_netns_mounts()


@runs(actions.MakeSandbox)
def _make_sandboxes(found: Sequence[actions.MakeSandbox]) -> None:
    sandboxes.make([it.row for it in found])


@runs(actions.AnnouncePod)
def _announce(found: Sequence[actions.AnnouncePod]) -> None:
    announcement.announce([it.row for it in found])


# --- volumes and files ------------------------------------------------------------------------------------


@runs(actions.DropVolume)
def _drop_volumes(found: Sequence[actions.DropVolume]) -> None:
    for it in found:
        volumes.drop(it.netns, it.name)


@runs(actions.DropClaim)
def _drop_claims(found: Sequence[actions.DropClaim]) -> None:
    for it in found:
        volumes.drop_claim(it.name)


@checks(actions.MakeVolume)
def _check_volumes(found: Sequence[actions.MakeVolume]) -> None:
    volumes.check((it.row, it.name) for it in found)


@runs(actions.MakeVolume)
def _make_volumes(found: Sequence[actions.MakeVolume]) -> None:
    for it in found:
        volumes.make(it.row, it.name)


@runs(actions.RewriteVolume)
def _rewrite_volumes(found: Sequence[actions.RewriteVolume]) -> None:
    for it in found:
        volumes.rewrite(it.row, it.name)


@runs(actions.PreparePod)
def _prepare_pods(found: Sequence[actions.PreparePod]) -> None:
    for it in found:
        _write_etc(it.row)
    _mount_shm(it.row["netns"] for it in found)


def _write_etc(row: PodConfig) -> None:
    pod = f"{PODS}/{row['netns']}"
    for name, text in row["etc"].items():
        with open(f"{pod}/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def _mount_shm(names: Iterable[str]) -> None:
    """Give pods their /dev/shm. Containers that run have it already."""
    there = set(mount_table.mounted([SHM]))
    for netns in names:
        path, earlier = shm_path(netns), f"{PODS}/{netns}/shm"
        if path in there:
            continue
        os.makedirs(path, exist_ok=True)
        if os.path.isdir(earlier):  # a pod of an earlier podlab, whose other containers may share that one
            run(["mount", "--bind", earlier, path])
        else:
            mount_tmpfs(path, SHM_OPTIONS)


@runs(actions.RecordPod)
def _record_pods(found: Sequence[actions.RecordPod]) -> None:
    for it in found:
        write_file(f"{PODS}/{it.row['netns']}/pod.json", pod_file.text_of(it.row))


# --- processes --------------------------------------------------------------------------------------------


@runs(actions.InstallProgram)
def _install_programs(found: Sequence[actions.InstallProgram]) -> None:
    for it in found:
        programs.install(it.name, it.text)


@runs(actions.InstallBusybox)
def _install_busybox(_: Sequence[actions.InstallBusybox]) -> None:
    programs.install_busybox()


@runs(actions.StartSupervisor)
def _start_supervisor(_: Sequence[actions.StartSupervisor]) -> None:
    supervisor.ensure()


@runs(actions.StopSupervisor)
def _stop_supervisor(_: Sequence[actions.StopSupervisor]) -> None:
    supervisor.stop()


@runs(actions.StartContainer)
def _start_containers(found: Sequence[actions.StartContainer]) -> list[str]:
    return containers.start(found)


@runs(actions.ResumeContainer)
def _resume_containers(found: Sequence[actions.ResumeContainer]) -> list[str]:
    return containers.resume(found)


@runs(actions.StartKubelet)
def _start_kubelet(_: Sequence[actions.StartKubelet]) -> None:
    kubelet_service.start()


@runs(actions.ReloadKubelet)
def _reload_kubelet(_: Sequence[actions.ReloadKubelet]) -> None:
    kubelet_service.reload()


@runs(actions.RestartKubelet)
def _restart_kubelet(_: Sequence[actions.RestartKubelet]) -> None:
    kubelet_service.restart()


@runs(actions.StopKubelet)
def _stop_kubelet(_: Sequence[actions.StopKubelet]) -> None:
    kubelet_service.stop()
