"""Kubernetes objects, read and checked: documents in, what shall be there out.

The order of the checks and their words are those of the API server (``pkg/apis/core/validation`` and
``pkg/apis/apps/validation`` of Kubernetes 1.30). One difference: everything wrong in all documents is
reported together. Which pods a workload makes is for ``controllers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..model import Desired, Document, Image, Invalid, Pod, Workload
from ..services import written_endpoints
from ..services.model import Endpoints, Service, Slice
from . import fields, names, services
from .config_objects import config_map, secret
from .images import catalogue
from .podspec import ANY_POLICY, pod_template
from .reading import Field, annotations_of, labels_of, object_name
from .references import Scope, gathered
from .workloads import unfit_names, workload

# The namespaces of a new cluster.
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

# Kinds that are known and not taken: why, or what to write instead.
REFUSED_KINDS = {
    "CronJob": "nothing watches the clock between two runs; write a Job, which runs at once",
}


def desired(documents: Sequence[Document], images: Mapping[str, Image], allow_host_path: bool = False) -> Desired:
    """All that ``documents`` ask for.

    ``images`` is the catalogue: image names to what they run. Pods and workloads come in the order of the
    documents. Raises ``Invalid`` with every problem of every document, in their order, each beginning with
    ``file:line:``; that of an unknown image goes on with an example on lines of its own. A value of the
    wrong type is reported in the words of the schema check, so a caller who runs both sees it once.
    """
    wanted, problems = survey(documents, images, allow_host_path)
    if problems:
        raise Invalid(problems)
    return wanted


def survey(
    documents: Sequence[Document], images: Mapping[str, Image], allow_host_path: bool = False
) -> tuple[Desired, list[str]]:
    """What could be read, and what is wrong with the rest.

    The planner goes on with it to find what else is wrong; it must not be applied while there are problems.
    """
    cluster = _Cluster(documents, images, allow_host_path)
    for document in documents:
        cluster.add(without_api_access(document))
    wanted = Desired(
        pods=tuple(cluster.pods.values()),
        workloads=tuple(cluster.workloads.values()),
        namespaces=tuple(cluster.namespaces),
        objects=cluster.objects,
        services=tuple(cluster.services.values()),
        slices=tuple(cluster.slices.values()),
        endpoints=tuple(cluster.endpoints.values()),
        places=cluster.places,
        ignored=tuple(cluster.ignored),
    )
    return wanted, cluster.problems


class _Cluster:
    """What has been read so far. Dicts with None values are sets that keep their order."""

    def __init__(self, documents: Sequence[Document], images: Mapping[str, Image], allow_host_path: bool) -> None:
        self.images = catalogue(images)
        self.allow_host_path = allow_host_path
        # Namespaces, ConfigMaps and Secrets first: a pod may stand in a file that is read before theirs.
        self.namespaces = dict.fromkeys([*NAMESPACES, *_declared_namespaces(documents)])
        self.data = gathered(documents)
        self.first: dict[tuple[str, str, str], Document] = {}  # resource, namespace, name -> who had it first
        self.pods: dict[str, Pod] = {}
        self.workloads: dict[str, Workload] = {}
        self.objects: dict[str, Mapping[str, Any]] = {}
        self.services: dict[str, Service] = {}
        self.slices: dict[str, Slice] = {}
        self.endpoints: dict[str, Endpoints] = {}
        self.places: dict[str, str] = {}
        self.ignored: dict[str, None] = {}
        self.problems: list[str] = []

    def add(self, document: Document) -> None:
        kind, version = document.body.get("kind"), document.body.get("apiVersion")
        make = KINDS.get((str(version), str(kind)))
        if make is None:
            instead = REFUSED_KINDS.get(str(kind)) or "podlab takes " + ", ".join(
                f"{name} ({group})" for group, name in KINDS
            )
            self.problems.append(f'{document.where}: no matches for kind "{kind}" in version "{version}"; {instead}')
            return
        make(self, document, Field.root(document.body, fields.subject(document), self.problems))
        self._judge(document)

    def _judge(self, document: Document) -> None:
        kind = document.body["kind"]
        for verdict in fields.judge(kind, document.body):
            if verdict.path == "metadata.generateName" and document.body["metadata"].get("name"):
                continue  # the name counts, as it does for the API server
            if verdict.rule.outcome is fields.Outcome.REFUSED:
                self.problems.append(fields.subject(document) + fields.refusal(verdict))
            else:
                self.ignored[f"{kind}: {verdict.pattern}"] = None

    def add_namespace(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_label)
        _check_metadata(root)
        self._is_first(document, "namespaces", "", name)

    def add_pod(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        pod = Pod(namespace, name, pod_template(root, self._scope(namespace), ANY_POLICY), document.where)
        if self._is_first(document, "pods", namespace, name):
            self.pods[pod.key] = pod

    def add_workload(self, document: Document, root: Field) -> None:
        kind = str(document.body["kind"])
        name = object_name(root, names.dns1123_label if kind == "StatefulSet" else names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = workload(kind, root, name, document.where, self._scope(namespace))
        self.problems += unfit_names(made) if name else []
        group = str(document.body["apiVersion"]).partition("/")[0]
        if self._is_first(document, f"{kind.lower()}s.{group}", namespace, name):
            self.workloads[made.key] = made

    def add_object(self, document: Document, root: Field) -> None:
        kind = str(document.body["kind"])
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        body = config_map(root) if kind == "ConfigMap" else secret(root)
        if self._is_first(document, f"{kind.lower()}s", namespace, name):
            key = f"{kind}/{namespace}/{name}"
            self.objects[key], self.places[key] = body, document.where

    def add_service(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1035_label)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = services.service(root, name, namespace, document.where, self._ignorer(document))
        if self._is_first(document, "services", namespace, name):
            self.services[made.key] = made

    def add_slice(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = written_endpoints.endpoint_slice(root, name, namespace, self._ignorer(document))
        if self._is_first(document, "endpointslices.discovery.k8s.io", namespace, name):
            self.slices[made.key] = made
            self.places[f"EndpointSlice/{made.key}"] = document.where

    def add_endpoints(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = written_endpoints.written_endpoints(root, name, namespace, self._ignorer(document))
        if self._is_first(document, "endpoints", namespace, name):
            self.endpoints[made.key] = made

    def _ignorer(self, document: Document) -> Callable[[str], None]:
        """For what the table of fields cannot tell: values, and keys of maps."""
        kind = document.body["kind"]
        return lambda path: self.ignored.__setitem__(f"{kind}: {path}", None)

    def _scope(self, namespace: str) -> Scope:
        return Scope(namespace, self.images, self.data, self.allow_host_path)

    def _namespace(self, document: Document, root: Field) -> str:
        node = root["metadata"]["namespace"]
        namespace = node.text() or "default"
        if node.check(names.dns1123_label(namespace)) and namespace not in self.namespaces:
            self.problems.append(f'{document.where}: namespaces "{namespace}" not found')
        return namespace

    def _is_first(self, document: Document, resource: str, namespace: str, name: str) -> bool:
        """Whether the object may be taken: it has a name, which no other object has."""
        if not name:
            return False
        first = self.first.setdefault((resource, namespace, name), document)
        if first is not document:
            self.problems.append(f'{document.where}: {resource} "{name}" already exists: first seen at {first.where}')
        return first is document


# The (apiVersion, kind) pairs that podlab takes.
KINDS: Mapping[tuple[str, str], Callable[[_Cluster, Document, Field], None]] = {
    ("v1", "Namespace"): _Cluster.add_namespace,
    ("v1", "Pod"): _Cluster.add_pod,
    ("apps/v1", "Deployment"): _Cluster.add_workload,
    ("apps/v1", "ReplicaSet"): _Cluster.add_workload,
    ("apps/v1", "DaemonSet"): _Cluster.add_workload,
    ("apps/v1", "StatefulSet"): _Cluster.add_workload,
    ("batch/v1", "Job"): _Cluster.add_workload,
    ("v1", "ConfigMap"): _Cluster.add_object,
    ("v1", "Secret"): _Cluster.add_object,
    ("v1", "Service"): _Cluster.add_service,
    ("discovery.k8s.io/v1", "EndpointSlice"): _Cluster.add_slice,
    ("v1", "Endpoints"): _Cluster.add_endpoints,
}


def _check_metadata(root: Field) -> None:
    labels_of(root["metadata"]["labels"])
    annotations_of(root["metadata"]["annotations"])


def without_api_access(document: Document) -> Document:
    """A Pod without the volume ``kube-api-access-...``, which is in every dump of a pod though no one has written it.

    The API server puts it there (plugin/pkg/admission/serviceaccount), for pods that speak to it. Here is none.
    """
    spec = document.body.get("spec")
    if document.body.get("kind") != "Pod" or not isinstance(spec, dict) or not _has_api_access(spec.get("volumes")):
        return document
    kept = {**spec, "volumes": _without(spec["volumes"])}
    for part in ("containers", "initContainers"):
        if isinstance(spec.get(part), list):
            kept[part] = [_without_mounts(container) for container in spec[part]]
    return replace(document, body={**document.body, "spec": kept})


def _has_api_access(items: Any) -> bool:
    return isinstance(items, list) and any(map(_is_api_access, items))


def _is_api_access(item: Any) -> bool:
    return isinstance(item, dict) and str(item.get("name")).startswith("kube-api-access-")


def _without(items: list[Any]) -> list[Any]:
    return [item for item in items if not _is_api_access(item)]


def _without_mounts(container: Any) -> Any:
    if not isinstance(container, dict) or not _has_api_access(container.get("volumeMounts")):
        return container
    return {**container, "volumeMounts": _without(container["volumeMounts"])}


def _declared_namespaces(documents: Sequence[Document]) -> Iterator[str]:
    """Names of namespaces that are written down; one that is wrong otherwise still counts as known."""
    for document in documents:
        metadata = document.body.get("metadata")
        if document.body.get("kind") == "Namespace" and isinstance(metadata, Mapping):
            name = metadata.get("name")
            if isinstance(name, str) and not names.dns1123_label(name):
                yield name
