"""Kubernetes objects, read and checked: documents in, what shall be there out.

The order of the checks and their words are those of the API server (``pkg/apis/core/validation`` and
``pkg/apis/apps/validation`` of Kubernetes 1.30). One difference: everything wrong in all documents is
reported together. Which pods a workload makes is for ``controllers``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..claims.model import Claim
from ..model import Desired, Document, Image, Invalid, Pod, Workload
from ..services import written_endpoints
from ..services.model import Endpoints, Service, Slice
from . import fields, kinds, names, services
from .claims import claim
from .config_objects import config_map, secret
from .cron_jobs import cron_job
from .generated_names import named
from .images import catalogue
from .model import CronJob, Ignored
from .podspec import ANY_POLICY, pod_template
from .reading import Field, annotations_of, labels_of, object_name
from .references import Scope, gathered
from .stand_ins import with_ports_of_services
from .workloads import unfit_names, workload

# The namespaces of a new cluster.
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def desired(
    documents: Sequence[Document],
    images: Mapping[str, Image],
    allowed: Collection[str] = (),
    unknown_images: str = "stand-in",
) -> Desired:
    """All that ``documents`` ask for.

    ``images`` is the catalogue: image names to what they run. Pods and workloads come in the order of the
    documents. Raises ``Invalid`` with every problem of every document, in their order, each beginning with
    ``file:line:``; that of an unknown image goes on with an example on lines of its own. A value of the
    wrong type is reported in the words of the schema check, so a caller who runs both sees it once.
    """
    wanted, problems = survey(documents, images, allowed, unknown_images)
    if problems:
        raise Invalid(problems)
    return wanted


def survey(
    documents: Sequence[Document],
    images: Mapping[str, Image],
    allowed: Collection[str] = (),
    unknown_images: str = "stand-in",
) -> tuple[Desired, list[str]]:
    """What could be read, and what is wrong with the rest.

    The planner goes on with it to find what else is wrong; it must not be applied while there are problems.
    """
    documents = named(documents)
    cluster = _Cluster(documents, images, allowed, unknown_images)
    for document in documents:
        cluster.add(without_api_access(document))
    wanted = Desired(
        pods=tuple(cluster.pods.values()),
        workloads=tuple(cluster.workloads.values()),
        cron_jobs=tuple(cluster.cron_jobs.values()),
        namespaces=tuple(cluster.namespaces),
        objects=cluster.objects,
        claims=cluster.claims,
        services=tuple(cluster.services.values()),
        slices=tuple(cluster.slices.values()),
        endpoints=tuple(cluster.endpoints.values()),
        places=cluster.places,
        ignored=tuple(cluster.ignored),
        ignored_objects=tuple(cluster.ignored_objects),
        notes=tuple(cluster.notes),
    )
    return with_ports_of_services(wanted), cluster.problems


class _Cluster:
    """What has been read so far. Dicts with None values are sets that keep their order."""

    def __init__(
        self, documents: Sequence[Document], images: Mapping[str, Image], allowed: Collection[str], unknown_images: str
    ) -> None:
        self.images = catalogue(images)
        self.allowed = allowed
        self.unknown_images = unknown_images
        # Namespaces, ConfigMaps and Secrets first: a pod may stand in a file that is read before theirs.
        self.namespaces = dict.fromkeys([*NAMESPACES, *_declared_namespaces(documents)])
        self.data = gathered(documents)
        self.places_of: dict[tuple[str, str, str], str] = {}  # resource, namespace, name -> where it stands
        self.pods: dict[str, Pod] = {}
        self.workloads: dict[str, Workload] = {}
        self.cron_jobs: dict[str, CronJob] = {}
        self.objects: dict[str, Mapping[str, Any]] = {}
        self.claims: dict[str, Claim] = {}
        self.services: dict[str, Service] = {}
        self.slices: dict[str, Slice] = {}
        self.endpoints: dict[str, Endpoints] = {}
        self.places: dict[str, str] = {}
        self.ignored: dict[str, None] = {}
        self.ignored_objects: list[Ignored] = []
        self.notes: dict[str, None] = {}
        self.problems: list[str] = []

    def add(self, document: Document) -> None:
        kind, version = str(document.body.get("kind")), str(document.body.get("apiVersion"))
        make = KINDS.get((version, kind))
        if make is None and (why := kinds.why_ignored(version, kind)):
            self._pass_over(document, why)
            return
        if make is None:
            self.problems.append(f"{document.where}: {kinds.no_match(version, kind, KINDS)}")
            return
        make(self, document, Field.root(document.body, fields.subject(document), self.problems))
        self._judge(document)

    def _judge(self, document: Document) -> None:
        kind = document.body["kind"]
        for verdict in fields.judge(kind, document.body):
            if verdict.rule.outcome is fields.Outcome.REFUSED:
                self.problems.append(fields.subject(document) + fields.refusal(verdict))
            elif verdict.rule.outcome is fields.Outcome.REPLACED:
                self.notes[f"{kind}: {verdict.pattern}: {verdict.rule.why}"] = None
            else:
                self.ignored[f"{kind}: {verdict.pattern}"] = None

    def _pass_over(self, document: Document, why: str) -> None:
        metadata = document.body.get("metadata")
        known = metadata if isinstance(metadata, Mapping) else {}
        name = known.get("name") or known.get("generateName") or ""
        kind, namespace = str(document.body["kind"]), str(known.get("namespace") or "")
        self.ignored_objects.append(Ignored(kind, namespace, str(name), why))

    def add_namespace(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_label)
        _check_metadata(root)
        self._counts(document, "namespaces", "", name)

    def add_pod(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        pod = Pod(namespace, name, pod_template(root, self._scope(namespace), ANY_POLICY), document.where)
        if self._counts(document, "pods", namespace, name):
            self.pods[pod.key] = pod

    def add_workload(self, document: Document, root: Field) -> None:
        kind = str(document.body["kind"])
        name = object_name(root, names.dns1123_label if kind == "StatefulSet" else names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = workload(kind, root, name, document.where, self._scope(namespace))
        self.problems += unfit_names(made) if name else []
        group, slash, _ = str(document.body["apiVersion"]).rpartition("/")
        if self._counts(document, f"{kind.lower()}s{slash and '.'}{group}", namespace, name):
            self.workloads[made.key] = made

    def add_cron_job(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = cron_job(root, name, document.where, self._scope(namespace))
        if self._counts(document, "cronjobs.batch", namespace, name):
            self.cron_jobs[made.key] = made

    def add_object(self, document: Document, root: Field) -> None:
        kind = str(document.body["kind"])
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        body = config_map(root) if kind == "ConfigMap" else secret(root)
        if self._counts(document, f"{kind.lower()}s", namespace, name):
            key = f"{kind}/{namespace}/{name}"
            self.objects[key], self.places[key] = body, document.where

    def add_claim(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = claim(root, name, namespace)
        if self._counts(document, "persistentvolumeclaims", namespace, name):
            self.claims[made.key] = made
            self.places[f"PersistentVolumeClaim/{made.key}"] = document.where

    def add_service(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1035_label)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = services.service(root, name, namespace, document.where, self._ignorer(document))
        if self._counts(document, "services", namespace, name):
            self.services[made.key] = made

    def add_slice(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = written_endpoints.endpoint_slice(root, name, namespace, self._ignorer(document))
        if self._counts(document, "endpointslices.discovery.k8s.io", namespace, name):
            self.slices[made.key] = made
            self.places[f"EndpointSlice/{made.key}"] = document.where

    def add_endpoints(self, document: Document, root: Field) -> None:
        name = object_name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        _check_metadata(root)
        made = written_endpoints.written_endpoints(root, name, namespace, self._ignorer(document))
        if self._counts(document, "endpoints", namespace, name):
            self.endpoints[made.key] = made

    def _ignorer(self, document: Document) -> Callable[[str], None]:
        """For what the table of fields cannot tell: values, and keys of maps."""
        kind = document.body["kind"]
        return lambda path: self.ignored.__setitem__(f"{kind}: {path}", None)

    def _scope(self, namespace: str) -> Scope:
        return Scope(namespace, self.images, self.data, self.allowed, self.unknown_images)

    def _namespace(self, document: Document, root: Field) -> str:
        node = root["metadata"]["namespace"]
        namespace = node.text() or "default"
        if node.check(names.dns1123_label(namespace)) and namespace not in self.namespaces:
            self.namespaces[namespace] = None
            words = f'namespace "{namespace}" is made, though no manifest has it; on a cluster it has to be there'
            self.notes[words] = None
        return namespace

    def _counts(self, document: Document, resource: str, namespace: str, name: str) -> bool:
        """Whether the object has a name. It takes the place of an earlier one, as ``kubectl apply`` updates that."""
        if not name:
            return False
        place = (resource, namespace, name)
        if before := self.places_of.get(place):
            again = f'{resource} "{name}" stands at {before} and again at {document.where}'
            self.notes[f"{again}, which counts, as with kubectl apply"] = None
        self.places_of[place] = document.where
        return True


# The (apiVersion, kind) pairs that podlab takes.
KINDS: Mapping[tuple[str, str], Callable[[_Cluster, Document, Field], None]] = {
    ("v1", "Namespace"): _Cluster.add_namespace,
    ("v1", "Pod"): _Cluster.add_pod,
    ("apps/v1", "Deployment"): _Cluster.add_workload,
    ("apps/v1", "ReplicaSet"): _Cluster.add_workload,
    ("apps/v1", "DaemonSet"): _Cluster.add_workload,
    ("apps/v1", "StatefulSet"): _Cluster.add_workload,
    ("batch/v1", "Job"): _Cluster.add_workload,
    ("batch/v1", "CronJob"): _Cluster.add_cron_job,
    ("v1", "ReplicationController"): _Cluster.add_workload,
    ("v1", "ConfigMap"): _Cluster.add_object,
    ("v1", "Secret"): _Cluster.add_object,
    ("v1", "PersistentVolumeClaim"): _Cluster.add_claim,
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
