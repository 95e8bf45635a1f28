"""Who a container's process is, and which kernel settings its pod has: ``securityContext``."""

from __future__ import annotations

from ...changes.pods.identity import CAPABILITIES
from ..model import Security
from . import names
from .reading import MOST, Field
from .references import Scope

# capabilities(7), as far as Linux 6.
_ALL = (
    *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN"),
    *("DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE"),
    *("LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST"),
    *("NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT"),
    *("SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME"),
    *("SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM"),
)

# What belongs to one of the namespaces of a pod (kubelet, pkg/kubelet/sysctl).
_NAMESPACED = ("net.", "kernel.shm", "kernel.msg", "fs.mqueue.")
_NAMESPACED_ALONE = ("kernel.sem",)


_PLAIN = Security()


def security(node: Field, pod: Field, scope: Scope, non_root: int | None = None) -> Security:
    """The ``securityContext`` of a container; what it does not say, that of its ``pod`` does.

    :param scope: the container's.
    :param non_root: who it runs as where ``runAsNonRoot`` asks for anybody but root and nothing says whom. None: every
        image of the catalogue runs as root.
    """
    if not (node.given or pod.given):
        return _PLAIN
    for name in ("runAsUser", "runAsGroup"):
        node[name].between(0, 0, MOST)
    user = _either(node["runAsUser"], pod["runAsUser"])
    wish = node["runAsNonRoot"] if node["runAsNonRoot"].given else pod["runAsNonRoot"]
    if user is None and wish.boolean():
        user = non_root
    _check_not_root(wish, user, scope)
    if privileged := node["privileged"].boolean():
        scope.needs("privileged", "privileged")
    return Security(
        user=user,
        group=_either(node["runAsGroup"], pod["runAsGroup"]),
        groups=_groups(pod),
        capabilities=tuple(sorted(_ALL)) if privileged else _capabilities(node["capabilities"]),
        read_only_root=node["readOnlyRootFilesystem"].boolean(),
        privileged=privileged,
    )


def pod_security(node: Field) -> int | None:
    """Checks the ``securityContext`` of a pod; its ``fsGroup``."""
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        node[name].between(0, 0, MOST)
    for group in node["supplementalGroups"].items():
        group.between(0, 0, MOST)
    return _number(node["fsGroup"])


def _groups(pod: Field) -> tuple[int, ...]:
    """Supplementary groups: those named, and the one that the volumes belong to."""
    groups = [*pod["supplementalGroups"].items(), pod["fsGroup"]]
    return tuple(dict.fromkeys(number for number in map(_number, groups) if number is not None))


def _number(node: Field) -> int | None:
    return node.integer(0) if node.given else None


def _either(own: Field, pods: Field) -> int | None:
    return _number(own) if own.given else _number(pods)


def _check_not_root(wish: Field, user: int | None, scope: Scope) -> None:
    """``runAsNonRoot``, in the words of the kubelet, which does not start the container until that is mended."""
    if not wish.boolean():
        return
    if user is None:
        scope.wait("container has runAsNonRoot and image will run as root", "set runAsUser")
    elif user == 0:
        scope.wait("container's runAsUser breaks non-root policy", "set another runAsUser")


def _capabilities(node: Field) -> tuple[str, ...] | None:
    """The whole wanted set, by name. As in containerd, ``ALL`` comes first and a drop has the last word."""
    if not node.given:
        return None
    added, dropped = _names(node["add"]), _names(node["drop"])
    wanted = set(_ALL if "ALL" in added else CAPABILITIES)
    if "ALL" in dropped:
        wanted = set()
    return tuple(sorted((wanted | set(added)) - set(dropped) - {"ALL"}))


def _names(node: Field) -> list[str]:
    """In any case, as containerd reads them. It puts ``CAP_`` before each: one that has it already is unknown to it."""
    found = []
    for item in node.items():
        name = item.text().upper()
        if name == "ALL" or name in _ALL:
            found.append(name)
        elif name.removeprefix("CAP_") in _ALL:
            item.invalid(f"write {name.removeprefix('CAP_')}, as Kubernetes has it")
        elif name:
            item.invalid("no capability of Linux has this name (capabilities(7))")
    return found


def sysctls(node: Field, host_network: bool) -> dict[str, str]:
    """``sysctls`` of a pod: name, with dots -> value."""
    made: dict[str, str] = {}
    for item in node.items():
        written, value = item["name"].text(), item["value"].text()
        if item["name"].absent:
            item["name"].required()
        if not written or not item["name"].check(names.sysctl_name(written)):
            continue
        name = _dotted(written)
        if name in made:
            item["name"].duplicate()
        elif name not in _NAMESPACED_ALONE and not name.startswith(_NAMESPACED):
            item["name"].forbidden(
                "a pod may set what its own namespaces have: net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*"
            )
        elif host_network and name.startswith("net."):
            item["name"].forbidden("it is the node's when `hostNetwork` is true")
        if "\0" in value or "\n" in value:
            item["value"].invalid("must be a single line")
        made[name] = value
    return made


def _dotted(name: str) -> str:
    """A name with slashes between its parts may have dots in them, as interfaces do (sysctl.d(5))."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name.translate(str.maketrans("./", "/.")) if first == "/" else name
