"""What a person would type for containers: their service directories, who watches over them, and their end."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence

from ...configs import PodConfig
from ...seccomp import DENIED, FAMILIES
from .. import script_text
from ..script_text import Snippet, Typed
from .container_root import layers, mount_points
from .containers import kubelet_script, service_files
from .paths import IMAGES, LOGS, SCAN_DIR, SUBPATHS, log_directory, mount_source, service_name, volume_path

BUILDING = f"{SCAN_DIR}/.new"  # the supervisor passes it by, and so never sees half a service
KUBELET = f"{SCAN_DIR}/kubelet"  # a name without a dot is no container
KUBE_PROXY = f"{SCAN_DIR}/kube-proxy"
SCAN = f"s6-svscanctl -a {SCAN_DIR}"
QUIET = "</dev/null >/dev/null 2>&1 &"  # a daemon must not hold the terminal, or the pipe, that it was started from

SUPERVISOR = ("s6-svscan", "-c", "10000", SCAN_DIR)
UNIT = (
    *("systemd-run", "--quiet", "--unit=podlab", "--description=containers of podlab"),
    *("--property=KillMode=mixed", "--property=LimitNOFILE=1048576"),
    # podlab's own filter (podlab/seccomp.py), in systemd's words.
    *("--property=SystemCallArchitectures=native", "--property=SystemCallErrorNumber=EPERM"),
    *(f"--property=SystemCallFilter=~{' '.join(DENIED)}", f"--property=RestrictAddressFamilies={' '.join(FAMILIES)}"),
    "--",
)
"""Under systemd it is a unit of its own, so that it belongs to no login session; elsewhere a daemon."""


def supervisor() -> Snippet:
    """Start the supervisor if it does not run, and wait until it answers."""
    argv = shlex.join(SUPERVISOR)
    return Snippet(
        f"{SCAN} || setsid {argv} &",
        (
            f"mkdir -p {SCAN_DIR}",
            f"if [ -d /run/systemd/system ]; then {shlex.join(UNIT)} {argv}; else setsid {argv} {QUIET} fi",
            f"until {SCAN} 2>/dev/null; do sleep 0.1; done",
        ),
    )


def service(pod: PodConfig, name: str, *, held: bool) -> list[Typed]:
    """Put a container under supervision.

    :param held: it is the kubelet that starts it.
    """
    netns, home = pod["netns"], service_name(pod["netns"], name)
    logs, building = log_directory(netns, name), f"{BUILDING}/{home}"
    contents = {**service_files(pod, name), **({"down": ""} if held else {})}
    written = script_text.files(building, contents, [file for file, text in contents.items() if text.startswith("#!")])
    log = f"mkdir -p -m 700 {LOGS}/{netns} && mkdir -p {logs} && ln -s {logs} {building}/logs"
    there = f"{log} && mv {building} {SCAN_DIR}/"
    brief = written.summary.replace(BUILDING, SCAN_DIR)
    words = shlex.join(_shown(pod, name)).replace("\n", "\\n")
    return [
        *_sub_paths(pod, name),
        Snippet(brief, ("", f"mkdir -p {building}", *_layers(pod, name), *written.lines, there)),
        f"{SCAN}  # {home}: {words}",
    ]


def _shown(pod: PodConfig, name: str) -> Sequence[str]:
    """A container's command for a terminal: as the manifest has it, since a variable in it may be a Secret's."""
    spec = pod.get("object", {}).get("spec", {})
    both = [*spec.get("initContainers", []), *spec.get("containers", [])]
    written = [
        word for item in both if item["name"] == name for word in (*item.get("command", []), *item.get("args", []))
    ]
    return written if any("$(" in word for word in written) else pod["containers"][name]["argv"]


def _sub_paths(pod: PodConfig, name: str) -> Iterator[Snippet]:
    for index, mount in enumerate(pod["containers"][name].get("mounts", [])):
        if mount["sub_path"]:
            source = shlex.quote(f"{volume_path(pod, mount['volume'])}/{mount['sub_path']}")
            target = mount_source(pod, name, index)
            bind = f"mount --bind {source} {target}"
            make = (f"[ -e {source} ] || mkdir -p {source}", f"mkdir -p {posixpath.dirname(target)}")
            yield Snippet(bind, (*make, f"if [ -d {source} ]; then mkdir {target}; else : >{target}; fi", bind))


def _layers(pod: PodConfig, name: str) -> Iterator[str]:
    for layer in layers(pod, name).values():
        yield f"mkdir -p {layer.replace(SCAN_DIR, BUILDING, 1)}"
    for place, source in mount_points(pod, name):
        path = place.replace(SCAN_DIR, BUILDING, 1)
        point, above = shlex.quote(path), shlex.quote(posixpath.dirname(path))
        if source is None:
            yield f"mkdir -p {point}"
        else:
            test = f"[ -d {shlex.quote(source)} ]"
            yield f"if {test}; then mkdir -p {point}; else mkdir -p {above} && : >{point}; fi"


def kubelet() -> Snippet:
    """Start the kubelet."""
    script = kubelet_script("/usr/bin/python3", f"{IMAGES}/kubelet")
    building = f"{BUILDING}/kubelet"
    written = script_text.files(building, {"run": script}, ["run"])
    start = f"{SCAN}  # kubelet: python3 -IS {IMAGES}/kubelet"
    lines = (f"mkdir -p {building}/logs", *written.lines, f"mv {building} {SCAN_DIR}/", start)
    return Snippet(start, lines)


def health_checks(contents: Mapping[str, str]) -> Snippet:
    """Start the server of health checks, which is files of this text."""
    building = f"{BUILDING}/kube-proxy"
    written = script_text.files(building, contents, ["run"])
    there = f"mv {building} {SCAN_DIR}/"
    wait = f"until s6-svok {KUBE_PROXY}; do sleep 0.1; done"
    return Snippet(SCAN, (f"mkdir -p {building}/logs", *written.lines, there, SCAN, wait))


def end(home: str) -> Snippet:
    """Stop what a service runs, and its supervisor. A script calls its function ``end``."""
    return Snippet(f"s6-svc -wd -d {home} && rm -r {home} && s6-svscanctl -an {SCAN_DIR}", (f"end {home}",))


def end_of(netns: str, name: str, pod: PodConfig | None) -> list[Typed]:
    """End a container. What its sub paths lead to is not its own."""
    home = f"{SUBPATHS}/{netns}/{name}"
    known = pod["containers"] if pod else {}
    mounts = known[name].get("mounts", []) if name in known else []
    bound = [f"{home}/{index}" for index, mount in enumerate(mounts) if mount["sub_path"]]
    return [
        end(f"{SCAN_DIR}/{service_name(netns, name)}"),
        *([f"umount {' '.join(bound)} && rm -r {home}"] if bound else []),
    ]


END = (
    "end() {",
    '    s6-svc -O "$1"',
    """    pid=$(sed -n 's/.*"child-pid": \\([0-9]*\\).*/\\1/p' "$1/status" 2>/dev/null)""",
    '    [ -z "$pid" ] || kill -9 "$pid"',
    '    s6-svc -wd -d "$1"',
    "}",
    f"rm -f {SCAN_DIR}/*/finish",
    f"for file in {SCAN_DIR}/*/waiting; do pid=$(cat $file) && "
    '[ "$(readlink /proc/$pid/cwd)" = "${file%/waiting}" ] && kill -9 $pid; done 2>/dev/null',
)
"""To end the supervised process alone, which is bubblewrap, is not always enough: what runs inside as another user does
not hear of it. And nobody waits any more before a next start; s6-svc would wait along."""

SUPERVISOR_END = f"s6-svscanctl -t {SCAN_DIR}; while {SCAN} 2>/dev/null; do sleep 0.1; done"


def programs(texts: Mapping[str, str]) -> list[Typed]:
    """Put podlab's own programs where containers find them; ``texts``: those that are not there."""
    found: list[Typed] = []
    for name, text in texts.items():
        home, file = posixpath.split(f"{IMAGES}/{name}")
        lines = (f"mkdir -p {home}", *script_text.files(home, {file: text}, [file]).lines)
        install = f"install -D -m 755 {program_source(name)} {home}/{file}"
        if name in PACKAGES:
            install = f"python3 {JOIN} {program_source(name)} | install -D -m 755 /dev/stdin {home}/{file}"
        found.append(Snippet(install, lines))
    return found


OWN_APPLETS = {"nc": "/opt/podlab/nc", "wget": "/opt/podlab/wget"}
"""In place of busybox's: podlab's own, as containers find them."""

BUSYBOX = " && ".join(
    [f"mkdir -p {IMAGES}/busybox", f"busybox --install -s {IMAGES}/busybox"]
    + [f"ln -sf {path} {IMAGES}/busybox/{applet}" for applet, path in OWN_APPLETS.items()]
)


JOIN = "module_utils/podlab/controller/single_file.py"
PACKAGES = {"kubelet": "module_utils/podlab/host/kubelet", "stand-in": "module_utils/podlab/host/stand_in"}
"""Programs of several modules, joined into one file each."""


def program_source(name: str) -> str:
    """Where a program lies in the clone. Some are modules or packages, too, so that they can be tested like every
    other."""
    if name in PACKAGES:
        return PACKAGES[name]
    return f"module_utils/podlab/host/{name}.py" if name in ("enter", "mounts") else f"images/{name}"
