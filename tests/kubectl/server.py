"""As much of an API server as a kubectl needs that looks: it serves the objects of a list, and changes nothing.

Tables are podlab's own columns: what kubectl does with them (order, labels, spacing) is what there is to see.
"""

from __future__ import annotations

import copy
import datetime
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cli.look.columns import ALL, KINDS, SHORT
from cli.look.selectors import parse_selector, selected

Object = dict[str, Any]
GROUPS = {"": "v1", "apps": "v1", "batch": "v1", "discovery.k8s.io": "v1"}


def resource(plural: str) -> Object:
    """What discovery says of a kind."""
    kind = KINDS[plural]
    group = kind.plural.partition(".")[2]
    names = {"endpoints": "Endpoints", "endpointslices": "EndpointSlice", "configmaps": "ConfigMap"}
    names |= {"replicationcontrollers": "ReplicationController", "cronjobs": "CronJob"}
    names |= {"daemonsets": "DaemonSet", "replicasets": "ReplicaSet", "statefulsets": "StatefulSet"}
    name = names.get(plural, plural.removesuffix("s").capitalize())
    return {
        "group": group,
        "name": plural,
        "singularName": name.lower(),
        "namespaced": kind.is_namespaced,
        "kind": name,
        "verbs": ["get", "list"],
        "shortNames": [word for word, meant in SHORT.items() if meant == plural],
        "categories": ["all"] if plural in ALL else [],
    }


RESOURCES = [resource(plural) for plural in KINDS]


def api_version(found: Mapping[str, Any]) -> str:
    return f"{found['group']}/v1".removeprefix("/")


def discovery(path: str) -> Object | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = {name: [{"groupVersion": f"{name}/v1", "version": "v1"}] for name in GROUPS if name}
        groups = [{"name": name, "versions": some, "preferredVersion": some[0]} for name, some in versions.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/version":
        return {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}
    for group in GROUPS:
        if path == (f"/apis/{group}/v1" if group else "/api/v1"):
            some = [found for found in RESOURCES if found["group"] == group]
            return {"kind": "APIResourceList", "groupVersion": f"{group}/v1".removeprefix("/"), "resources": some}
    return None


def defaulted(item: Object) -> Object:
    """What an API server fills in as it takes a pod, and what ``describe`` shows of that."""
    if item["kind"] != "Pod":
        return item
    item = copy.deepcopy(item)
    spec = item["spec"]
    spec.setdefault("serviceAccountName", "default")
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
        for probe in (container[name] for name in PROBES if name in container):
            for field, value in PROBE.items():
                probe.setdefault(field, value)
            if "httpGet" in probe:
                probe["httpGet"].setdefault("scheme", "HTTP")
    return item


PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


class Cluster:
    """The objects, and the time at which they are looked at."""

    def __init__(self, items: Sequence[Object], now: datetime.datetime) -> None:
        self.items, self.now = items, now

    def answer(self, path: str, query: Mapping[str, list[str]], *, as_table: bool) -> tuple[int, Object]:
        words = path.strip("/").split("/")
        words = words[2:] if words[0] == "api" else words[3:]
        namespace = words[1] if words[0] == "namespaces" and len(words) > 2 else ""
        plural, *name = words[2:] if namespace else words
        found = next((one for one in RESOURCES if one["name"] == plural), None)
        if found is None:
            return 404, status(404, "NotFound", "the server could not find the requested resource")
        items = [item for item in self.items if item["kind"] == found["kind"]]
        items = [item for item in items if not namespace or item["metadata"]["namespace"] == namespace]
        if name:
            items = [item for item in items if item["metadata"]["name"] == name[0]]
            if not items:
                text = f'{KINDS[plural].plural} "{name[0]}" not found'
                return 404, status(404, "NotFound", text, name=name[0], kind=plural)
        requirements = parse_selector(query.get("labelSelector", [""])[0])
        items = [item for item in items if selected(item["metadata"].get("labels", {}), requirements)]
        for term in filter(None, query.get("fieldSelector", [""])[0].split(",")):
            items = [item for item in items if matches(item, term)]
        if as_table:
            return 200, self.table(plural, items)
        if name:
            return 200, defaulted(items[0])
        return 200, {"kind": f"{found['kind']}List", "apiVersion": api_version(found), "metadata": {}, "items": items}

    def table(self, plural: str, items: Sequence[Object]) -> Object:
        kind = KINDS[plural]
        heads = [*kind.columns, *kind.wide]
        order = kind.wide_order or range(len(heads))
        columns = [
            {
                "name": heads[at].title(),
                "type": "string",
                "format": "name" if heads[at] == "NAME" else "",
                "description": "",
                "priority": int(at >= len(kind.columns)),
            }
            for at in order
        ]
        rows = [{"cells": [kind.cells(item, self.now)[at] for at in order], "object": item} for item in items]
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {},
            "columnDefinitions": columns,
            "rows": rows,
        }


def matches(item: Any, term: str) -> bool:
    """``spec.nodeName=node1``, or with != the opposite; what is missing is empty."""
    path, _, value = term.partition("=")
    is_negated = path.endswith("!")
    for word in path.removesuffix("!").split("."):
        item = item.get(word, "") if isinstance(item, dict) else ""
    return (str(item) == value) is not is_negated


def status(code: int, reason: str, message: str, **details: str) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


@contextmanager
def serving(items: Sequence[Object], now: datetime.datetime) -> Iterator[str]:
    """The address of a server that has these objects."""
    cluster = Cluster(items, now)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            found = discovery(url.path)
            as_table = "as=Table" in (self.headers["Accept"] or "")
            code, body = (200, found) if found else cluster.answer(url.path, parse_qs(url.query), as_table=as_table)
            text = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
