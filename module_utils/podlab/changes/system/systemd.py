"""What systemd and the daemons that look after a host's network are told: to put podlab's things back after a reboot,
and to leave its links and routes alone."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...configs import SystemConfig, VxlanConfig
from ...records.observation import ObservedSystem
from ..actions import Action, RemoveEmptyDirectory, RemoveFile, RemoveTree, Run, WriteFile
from ..pods.paths import HOME
from ..script_text import Typed

KEPT = f"{HOME}/boot"
CODE = f"{KEPT}/podlab.zip"

NETWORK = "/etc/systemd/network/00-podlab.network"
NETWORKD = "/etc/systemd/networkd.conf.d/podlab.conf"
NETWORK_MANAGER = "/etc/NetworkManager/conf.d/podlab.conf"
UNIT = "/etc/systemd/system/podlab-boot.service"
HOME_OF_NETWORKD = posixpath.dirname(NETWORKD)  # no package brings it
FILES = (NETWORK, NETWORKD, NETWORK_MANAGER, UNIT)
NAME = posixpath.basename(UNIT)
WANTED_BY = f"/etc/systemd/system/multi-user.target.wants/{NAME}"

DAEMONS = ("systemd", "systemd-networkd", "NetworkManager")

HEAD = "# Written by podlab, which takes it away with the cluster.\n"


@dataclass(frozen=True)
class SystemChanges:
    """What separates a host from its row, in this order. Empty is false."""

    before: list[Sequence[str]] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    write: dict[str, str] = field(default_factory=dict)
    forget: bool = False  # all that is kept for a boot
    keep: bool = False  # podlab's own code, in the place where from now on components leave what they are told
    after: list[Sequence[str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def actions(self, code: bytes = b"") -> list[Action]:
        """Whole files are typed and not their names alone: that one of them is about all routes of the host is to be
        seen.

        :param code: podlab's own, where it is to be kept.
        """
        return [
            *map(Run, self.before),
            *map(RemoveFile, self.remove),
            *([RemoveEmptyDirectory(HOME_OF_NETWORKD)] if NETWORKD in self.remove else []),
            *(WriteFile(path, text) for path, text in self.write.items()),
            *([RemoveTree(KEPT)] if self.forget else []),
            *([KeepCode(code)] if self.keep else []),
            *map(Run, self.after),
        ]


class KeepCode(Action):
    """Keep podlab's own code for a boot."""

    code: bytes

    def commands(self) -> list[Typed]:
        return [f"# write {CODE}: podlab's own code"]


def steps(seen: ObservedSystem, row: SystemConfig, code: str) -> SystemChanges:
    """:param code: the digest of podlab's own code."""
    wanted, there = files(seen, row), seen.get("files", {})
    write = {path: text for path, text in wanted.items() if there.get(path) != text}
    remove = [path for path in there if path not in wanted]
    changed = {*write, *remove}
    has_unit = UNIT in wanted
    enable = has_unit and not (seen.get("enabled") and there.get(UNIT))
    return SystemChanges(
        before=[("systemctl", "--quiet", "disable", "--now", NAME)] if UNIT in remove else [],
        remove=remove,
        write=write,
        forget=seen.get("keeps", False) and not row["boot"],
        keep=row["boot"] and (not seen.get("keeps") or seen.get("code") != code),
        after=[
            *_reloads(changed, NETWORKD in write),
            *([("systemctl", "daemon-reload")] if UNIT in changed else []),
            *([("systemctl", "--quiet", "enable", NAME)] if enable else []),
        ],
    )


def removal(seen: ObservedSystem) -> SystemChanges:
    return steps({**seen, "daemons": []}, {"boot": False, "links": []}, "")


def _reloads(changed: set[str], networkd_asks_anew: bool) -> list[Sequence[str]]:
    """networkd reads its own settings when it starts, and never again; a start with ManageForeignRoutes=no deletes no
    route. One without it would delete those of others as well, so where the setting goes it is not started anew."""
    found: list[Sequence[str]] = []
    if networkd_asks_anew:
        found.append(("systemctl", "try-restart", "systemd-networkd"))
    elif NETWORK in changed:
        found.append(("systemctl", "try-reload-or-restart", "systemd-networkd"))
    if NETWORK_MANAGER in changed:
        found.append(("systemctl", "try-reload-or-restart", "NetworkManager"))
    return found


def files(seen: ObservedSystem, row: SystemConfig) -> dict[str, str]:
    """Path -> text, as far as the daemon that reads it is installed."""
    daemons, links = seen.get("daemons", []), row["links"]
    found = {}
    if "systemd-networkd" in daemons:
        # netplan writes its own below /run/systemd/network; the first file in the order of names that matches counts.
        found[NETWORK] = f"{HEAD}[Match]\nName={' '.join(links)}\n\n[Link]\nUnmanaged=yes\n"
        found[NETWORKD] = f"{HEAD}[Network]\nManageForeignRoutes=no\n"
    if "NetworkManager" in daemons:
        names = ";".join(f"interface-name:{name}" for name in links)
        found[NETWORK_MANAGER] = f"{HEAD}[keyfile]\nunmanaged-devices+={names}\n"
    if row["boot"] and "systemd" in daemons:
        found[UNIT] = unit(seen.get("python") or "/usr/bin/python3")
    return found


def unit(python: str) -> str:
    """Not after network-online.target: where one link has no cable that takes two minutes. The program itself waits for
    the addresses that it needs. KillMode, since pods stay when the unit is stopped."""
    return f"""{HEAD}[Unit]
Description=Bridge, pods, routes and rules of podlab as they were told last
ConditionPathExists={CODE}
After=network-pre.target systemd-networkd.service NetworkManager.service networking.service ufw.service

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
TimeoutStartSec=600
ExecStart={python} -IS {CODE}

[Install]
WantedBy=multi-user.target
"""


def patterns(bridge: str, overlay: VxlanConfig | None) -> list[str]:
    """Names of podlab's links: veth and eight letters are the wires of pods (``sandbox.veth_name``)."""
    return [bridge, "veth????????", *([overlay["name"]] if overlay else [])]
