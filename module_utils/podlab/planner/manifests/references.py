"""What a pod template may refer to: ConfigMaps and Secrets of its namespace, its own fields and resources."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ..model import Document, FieldRef, Image
from . import names
from .model import FAILED, FAILED_MOUNT, FAILED_SANDBOX, Wait
from .quantities import WORDS, quantity, rounded_up
from .reading import Field

_BUILT = ("host_path", "host_pid", "host_ipc", "privileged")
_ADD_ONE = "add it to the manifests, or set optional: true"
_ADD_KEY = "add it there, or set optional: true"


@dataclass(frozen=True)
class Data:
    """The files of a ConfigMap or Secret. A ``binary`` one is no environment variable."""

    text: Mapping[str, bytes] = field(default_factory=dict)
    binary: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """What surrounds a pod template. ``data``: (kind, namespace, name) -> content.

    ``waits`` is filled while the template is read: what its pods have to wait for. ``container`` and ``volume`` say
    where the reader stands.
    """

    namespace: str
    images: Mapping[str, Image]
    data: Mapping[tuple[str, str, str], Data]
    allowed: Collection[str] = ()
    unknown_images: str = "stand-in"
    container: str = ""
    volume: str = ""
    waits: list[Wait] = field(default_factory=list)

    def of_container(self, name: str) -> Scope:
        return replace(self, container=name, volume="")

    def of_volume(self, name: str) -> Scope:
        return replace(self, container="", volume=name)

    def wait(self, words: str, advice: str = "") -> None:
        """In the kubelet's words: a volume holds up the whole pod, a variable its container."""
        if self.volume:
            words = f'MountVolume.SetUp failed for volume "{self.volume}" : {words}'
            self.waits.append(Wait(FAILED_MOUNT, words, advice=advice))
        else:
            self.waits.append(Wait(FAILED, f"Error: {words}", self.container, advice))

    def needs(self, setting: str, what: str) -> None:
        """Of what reaches beyond its pod. Off is no mistake of the manifest: the pod waits until it is allowed."""
        name = f"podlab_allow_{setting}"
        words, advice = f"{what} is not allowed: {name} is false", f"set {name} to true in the inventory to allow it"
        if setting in self.allowed:
            if setting in _BUILT:
                return
            words, advice = f"{what}: podlab does not do this yet, allowed or not", ""
        if self.volume or self.container:
            self.wait(words, advice)
        else:
            self.waits.append(Wait(FAILED_SANDBOX, words, advice=advice))

    def lacks_runtime(self, name: str) -> None:
        """In containerd's words. It is no mistake of the manifest: another cluster may have it."""
        advice = "leave spec.runtimeClassName out: there is one way to run a container"
        self.waits.append(Wait(FAILED_SANDBOX, f'no runtime for "{name}" is configured', advice=advice))

    def wait_for_key(self, kind: str, name: str, key: str) -> None:
        if self.volume:
            of = "config" if kind == "ConfigMap" else "secret"
            self.wait(f"references non-existent {of} key: {key}", f"{kind} {name} has no such key; {_ADD_KEY}")
        else:
            self.wait(f"couldn't find key {key} in {kind} {self.namespace}/{name}", _ADD_KEY)


def gathered(documents: Iterable[Document]) -> dict[tuple[str, str, str], Data]:
    """Every ConfigMap and Secret that is written down; of two with one name the last.

    What is wrong with one is said where it is read; who refers to it shall not complain once more.
    """
    found: dict[tuple[str, str, str], Data] = {}
    for document in documents:
        body, kind = document.body, document.body.get("kind")
        metadata = body.get("metadata")
        if kind not in ("ConfigMap", "Secret") or not isinstance(metadata, Mapping):
            continue
        place = (str(kind), str(metadata.get("namespace") or "default"), str(metadata.get("name")))
        if kind == "ConfigMap":
            data = Data(_plain(body.get("data")), _decoded(body.get("binaryData")))
        else:
            data = Data({**_decoded(body.get("data")), **_plain(body.get("stringData"))})
        found[place] = data
    return found


def _plain(values: object) -> dict[str, bytes]:
    pairs = values.items() if isinstance(values, Mapping) else ()
    return {key: value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b"" for key, value in pairs}


def _decoded(values: object) -> dict[str, bytes]:
    pairs = values.items() if isinstance(values, Mapping) else ()
    return {key: decoded(value) or b"" for key, value in pairs}


def decoded(text: object) -> bytes | None:
    """Base64 as Go's decoder takes it: padded, with line ends anywhere. None for what is none."""
    try:
        return base64.b64decode(str(text or "").replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return None


# --- ConfigMaps and Secrets -----------------------------------------------------------------------------


def source(node: Field, kind: str, scope: Scope, name_field: str = "name") -> Data | None:
    """The ConfigMap or Secret that ``node`` names. None where there is none: the pod waits, unless it is optional."""
    name = node[name_field].text()
    optional = node["optional"].boolean()
    if node[name_field].absent:
        node[name_field].required()
        return None
    data = scope.data.get((kind, scope.namespace, name))
    if data is None and name and not optional:
        scope.wait(f'{kind.lower()} "{name}" not found', _ADD_ONE)
    return data


def value_of_key(node: Field, kind: str, scope: Scope) -> str | None:
    """The text under ``key`` of what ``node`` names; None where there is none, and empty where the pod waits for it."""
    key = node["key"].text()
    if node["key"].absent:
        node["key"].required()
    elif key:
        node["key"].check(names.data_key(key))
    data, optional = source(node, kind, scope), node["optional"].boolean()
    if data is None or not key:
        return None if optional else ""
    if key not in data.text:
        if optional:
            return None
        scope.wait_for_key(kind, node["name"].text(), key)
        return ""
    return as_text(node["key"], key, data.text[key])


def as_text(node: Field, key: str, content: bytes) -> str:
    """The value of a variable: a row is JSON, and JSON has no bytes."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        node.invalid("must be valid UTF-8 to be an environment variable; mount it as a file", key)
        return ""


# --- the pod's own fields -------------------------------------------------------------------------------

# pkg/apis/core/pods, ConvertDownwardAPIFieldLabel: what exists at all, and then what each place takes.
_FIELDS = (
    *("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"),
    *("spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName", "status.phase"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
ENVIRONMENT_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def field_ref(node: Field, supported: Sequence[str]) -> FieldRef | None:
    """``fieldRef``: its path, or None where it is a problem."""
    path, version = node["fieldPath"].text(), node["apiVersion"].text() or "v1"
    if node["fieldPath"].absent:
        node["fieldPath"].required()
        return None
    subscripted = re.fullmatch(r"(.*?)\['(.*)'\]", path, re.DOTALL)
    if version != "v1":
        problem = f"unsupported pod version: {version}"
    elif subscripted and subscripted[1] in ("metadata.annotations", "metadata.labels"):
        key = subscripted[2].lower() if subscripted[1] == "metadata.annotations" else subscripted[2]
        return FieldRef(path) if node.check(names.qualified_name(key), key) else None
    elif subscripted:
        problem = f"field label does not support subscript: {path}"
    elif path in supported:
        return FieldRef(path)
    elif path in _FIELDS:
        node["fieldPath"].unsupported(path, supported)
        return None
    else:
        problem = f"field label not supported: {path}"
    if path:
        node["fieldPath"].invalid(f"error converting fieldPath: {problem}")
    return None


# --- resources ------------------------------------------------------------------------------------------

_RESOURCES = tuple(
    f"{group}.{name}" for group in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def resource(node: Field, containers: Mapping[str, Field], own: str = "") -> str | None:
    """``resourceFieldRef``: the number of divisors in a container's limit or request, rounded up.

    :param own: the container that is meant where none is named; a volume has to name one.
    """
    wanted, name = node["resource"].text(), node["containerName"].text() or own
    if not name:
        node["containerName"].required()
        return None
    if node["resource"].absent:
        node["resource"].required()
        return None
    if wanted not in _RESOURCES and not wanted.startswith(("limits.hugepages-", "requests.hugepages-")):
        if wanted:
            node["resource"].unsupported(wanted, _RESOURCES)
        return None
    if name not in containers:
        node["containerName"].not_found("the pod has no container of this name", name)
        return None
    divisor = _divisor(node, wanted)
    group, _, key = wanted.partition(".")
    resources = containers[name]["resources"]
    written = resources[group][key]
    if group == "requests" and written.absent:
        written = resources["limits"][key]  # as the API server sets it
    if written.absent and group == "limits":
        node["resource"].refuse(f"podlab sets no limits of its own; write resources.{wanted} of container {name}")
        return None
    amount = quantity(written.number_or_text("number") or 0) if written.given else Fraction(0)
    if amount is None:
        written.invalid(WORDS)
        return None
    if key == "cpu":  # counted in thousandths before it is divided
        return str(rounded_up(Fraction(rounded_up(amount * 1000)) / (divisor * 1000)))
    return str(rounded_up(Fraction(rounded_up(amount)) / divisor))


def _divisor(node: Field, wanted: str) -> Fraction:
    written = node["divisor"].number_or_text("number")
    divisor = quantity(written) if written else Fraction(0)
    kind = wanted.partition(".")[2]
    supported = ("1m", "1") if kind == "cpu" else _DIVISORS
    if divisor is None or (divisor and divisor not in [quantity(text) for text in supported]):
        words = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "local ephemeral storage"}
        values = "1m and 1" if kind == "cpu" else ", ".join(supported)
        resource_kind = words.get(kind, "hugepages")
        node["divisor"].invalid(
            f"only divisor's values {values} are supported with the {resource_kind} resource", wanted
        )
    return divisor or Fraction(1)
