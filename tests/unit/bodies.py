"""Bodies of manifests for the tests of the reader, and what it says about them."""

from __future__ import annotations

from typing import Any

import pytest

from podlab.controller import manifests
from podlab.planner.manifests import objects
from podlab.planner.model import Container, Desired, Document, Image, Invalid, PodTemplate, Workload

IMAGES = {
    "nginx": Image(("/entrypoint.sh",), ("nginx", "-g", "daemon off;"), binds={"/etc/nginx": "/srv/nginx"}),
    "busybox": Image((), ("sh",)),
    "nicolaka/netshoot": Image(("bash",), (), "/opt/netshoot/bin"),
}
NOT_YET = "Forbidden: podlab does not do this yet;"
C = "spec.containers[0]"
KINDS = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "DaemonSet": "apps/v1", "StatefulSet": "apps/v1"}


def problems_of(call, *arguments, **settings) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call(*arguments, **settings)
    return caught.value.problems


def document(kind: str, name: str = "x", version: str = "v1", file: str = "m/x.yaml", **body: Any) -> Document:
    metadata = {"name": name, **body.pop("metadata", {})}
    return Document({"apiVersion": version, "kind": kind, "metadata": metadata, **body}, file, 1)


def pod(name: str = "p", container: dict[str, Any] | None = None, metadata: Any = None, **spec: Any) -> Document:
    """A pod of one container with these fields, and of a spec with those."""
    body = {"name": "c", "image": "busybox", **(container or {})}
    return document("Pod", name, file="m/p.yaml", metadata=metadata or {}, spec={"containers": [body], **spec})


def workload(kind: str = "Deployment", template: dict[str, Any] | None = None, **spec: Any) -> Document:
    """A workload whose pods have the label app=web and one container."""
    written = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **(template or {})},
    }
    own = {"selector": {"matchLabels": {"app": "web"}}, "template": written, **spec}
    if kind == "StatefulSet":
        own.setdefault("serviceName", "web")
    if kind == "Job":
        written["spec"].setdefault("restartPolicy", "Never")
        del own["selector"]
        own.update(spec)
    return document(kind, "web", KINDS.get(kind, "batch/v1"), "m/w.yaml", spec=own)


def data(kind: str, name: str, **body: Any) -> Document:
    return document(kind, name, file="m/data.yaml", **body)


def desired(*documents: Document, **settings: Any) -> Desired:
    return objects.desired(documents, IMAGES, **settings)


def template_of(*documents: Document, **settings: Any) -> PodTemplate:
    return desired(*documents, **settings).pods[0].template


def container_of(*documents: Document) -> Container:
    return template_of(*documents).containers[0]


def workload_of(*documents: Document) -> Workload:
    return desired(*documents).workloads[0]


def wrong(*documents: Document) -> list[str]:
    """What the schema and the reader say of them, without the words that every line begins with."""
    _, problems = objects.survey(documents, IMAGES)
    lines = dict.fromkeys([*manifests.schema_problems(documents), *problems])
    return [line.partition(" is invalid: ")[2] or line for line in lines]


def service(name: str = "web", metadata: dict[str, Any] | None = None, status: Any = None, **spec: Any) -> Document:
    """A Service of one port, 80."""
    own = {"ports": [{"port": 80}], "selector": {"app": name}, **spec}
    body: dict[str, Any] = {"spec": {key: value for key, value in own.items() if value is not None}}
    if status is not None:
        body["status"] = {"loadBalancer": {"ingress": status}}
    return document("Service", name, file="m/s.yaml", metadata=metadata or {}, **body)


def endpoint_slice(name: str = "web-1", of: str | None = "web", **body: Any) -> Document:
    labels = {"kubernetes.io/service-name": of, **body.pop("labels", {})} if of else body.pop("labels", {})
    own = {"addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": [], **body}
    return document("EndpointSlice", name, "discovery.k8s.io/v1", "m/e.yaml", metadata={"labels": labels}, **own)


def endpoints(name: str = "web", *subsets: Any, **metadata: Any) -> Document:
    return document("Endpoints", name, file="m/e.yaml", metadata=metadata, subsets=list(subsets))
