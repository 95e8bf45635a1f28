"""Kubernetes objects, read and checked: documents in, the pods that shall run out.

The order of the checks and their words are those of the API server (``pkg/apis/core/validation`` and
``pkg/apis/apps/validation`` of Kubernetes 1.30). One difference: everything wrong in all documents is
reported together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import fields, names
from .model import Container, Deployment, Desired, Document, Image, Invalid, Pod, PodTemplate

# What a new cluster has before anybody makes a namespace.
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

# A slip of the finger must not fill the controller's memory; no cluster CIDR has room for more anyway.
MOST_REPLICAS = 1_000_000

# execve(2): one argument, or one NAME=value, with its final NUL: 32 pages of 4 KiB (MAX_ARG_STRLEN).
_LONGEST_ARGUMENT = 32 * 4096 - 1


def desired(documents: Sequence[Document], images: Mapping[str, Image]) -> Desired:
    """The pods, Deployments and namespaces that ``documents`` ask for.

    ``images`` is the catalogue: image names to what they run. Pods come in the order of the
    documents, replicas in the order of their ordinals, and every name is the same on every run.
    Raises ``Invalid`` with every problem of every document, in their order, each beginning with
    ``file:line:``; that of an unknown image goes on with an example on lines of its own. A value of the
    wrong type is reported in the words of the schema check, so a caller who runs both sees it once.
    """
    wanted, problems = survey(documents, images)
    if problems:
        raise Invalid(problems)
    return wanted


def survey(documents: Sequence[Document], images: Mapping[str, Image]) -> tuple[Desired, list[str]]:
    """What could be read, and what is wrong with the rest.

    The planner goes on with it to find what else is wrong; nobody may apply it while there are problems.
    """
    cluster = _Cluster(documents, images)
    for document in documents:
        cluster.add(document)
    wanted = Desired(
        pods=tuple(cluster.pods.values()),
        deployments=tuple(cluster.deployments.values()),
        namespaces=tuple(cluster.namespaces),
        ignored=tuple(cluster.ignored),
    )
    return wanted, cluster.problems


class _Cluster:
    """What has been read so far. Dicts with None values are sets that keep their order."""

    def __init__(self, documents: Sequence[Document], images: Mapping[str, Image]) -> None:
        self.images = {image_name(name): image for name, image in images.items()}
        # Namespaces first: a pod may stand in a file that is read before that of its namespace.
        self.namespaces = dict.fromkeys([*NAMESPACES, *_declared_namespaces(documents)])
        self.declared: dict[str, str] = {}  # namespace -> where
        self.pods: dict[str, Pod] = {}
        self.deployments: dict[str, Deployment] = {}
        self.where: dict[str, str] = {}  # Deployment -> where
        self.ignored: dict[str, None] = {}
        self.problems: list[str] = []

    def add(self, document: Document) -> None:
        kind, version = document.body.get("kind"), document.body.get("apiVersion")
        make = KINDS.get((str(version), str(kind)))
        if make is None:
            self.problems.append(
                f'{document.where}: no matches for kind "{kind}" in version "{version}"; podlab takes '
                + ", ".join(f"{name} ({group})" for group, name in KINDS)
            )
            return
        make(self, document, _Node(document.body, "", fields.subject(document), self.problems))
        self._judge(document)

    def _judge(self, document: Document) -> None:
        kind = document.body["kind"]
        for verdict in fields.judge(kind, document.body):
            if verdict.rule.outcome is fields.Outcome.REFUSED:
                self.problems.append(fields.subject(document) + fields.refusal(verdict))
            else:
                self.ignored[f"{kind}: {verdict.pattern}"] = None

    def add_namespace(self, document: Document, root: _Node) -> None:
        name = _name(root, names.dns1123_label)
        if not root["metadata"]["namespace"].absent:
            root["metadata"]["namespace"].forbidden("not allowed on this type")
        _labels(root["metadata"]["labels"])
        _annotations(root["metadata"]["annotations"])
        if name in self.declared:
            self._already_exists(document, "namespaces", name, self.declared[name])
        elif name:
            self.declared[name] = document.where

    def add_pod(self, document: Document, root: _Node) -> None:
        name = _name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        template = _pod_template(root, self.images, ("Always", "OnFailure", "Never"))
        if name:
            self._add(document, Pod(namespace, name, template, document.where))

    def add_deployment(self, document: Document, root: _Node) -> None:
        name = _name(root, names.dns1123_subdomain)
        namespace = self._namespace(document, root)
        labels = _labels(root["metadata"]["labels"])
        _annotations(root["metadata"]["annotations"])
        replicas = _replicas(root["spec"]["replicas"])
        written = root["spec"]["template"]
        template = _pod_template(written, self.images, ("Always",))
        selector = _selector(root["spec"]["selector"], written["metadata"]["labels"], template.labels)
        if not name:
            return
        key = f"{namespace}/{name}"
        if key in self.deployments:
            self._already_exists(document, "deployments.apps", name, self.where[key])
            return
        self.where[key] = document.where
        self.deployments[key] = Deployment(
            namespace=namespace,
            name=name,
            replicas=replicas,
            template_hash=_template_hash(written.value),
            labels=labels,
            selector=selector,
            containers=tuple(container.name for container in template.containers),
            images=tuple(container.image for container in template.containers),
        )
        self._add_replicas(document, self.deployments[key], template)

    def _add_replicas(self, document: Document, deployment: Deployment, template: PodTemplate) -> None:
        owner = f"{deployment.namespace}/Deployment/{deployment.name}"
        template = replace(template, labels={**template.labels, "pod-template-hash": deployment.template_hash})
        for ordinal in range(deployment.replicas):
            name = self._replica_name(deployment, ordinal)
            self._add(document, Pod(deployment.namespace, name, template, document.where, owner))

    def _replica_name(self, deployment: Deployment, ordinal: int) -> str:
        """The first name for this replica that no other replica has.

        Ordinals come in order, so a name depends on those of lower ordinals only and outlives scaling.
        A bare pod of that name is somebody's mistake and not dodged: its author must hear of it.
        """
        attempt = 0
        while True:
            name = names.replica_name(deployment.namespace, deployment.name, deployment.template_hash, ordinal, attempt)
            taken = self.pods.get(f"{deployment.namespace}/{name}")
            if taken is None or taken.owner is None:
                return name
            attempt += 1

    def _add(self, document: Document, pod: Pod) -> None:
        first = self.pods.setdefault(pod.key, pod)
        if first is not pod:
            self._already_exists(document, "pods", pod.name, _origin(first))

    def _namespace(self, document: Document, root: _Node) -> str:
        node = root["metadata"]["namespace"]
        namespace = node.text() or "default"
        if node.check(names.dns1123_label(namespace)) and namespace not in self.namespaces:
            self.problems.append(f'{document.where}: namespaces "{namespace}" not found')
        return namespace

    def _already_exists(self, document: Document, resource: str, name: str, first: str) -> None:
        self.problems.append(f'{document.where}: {resource} "{name}" already exists: first seen at {first}')


# The (apiVersion, kind) pairs that podlab takes.
KINDS: Mapping[tuple[str, str], Callable[[_Cluster, Document, _Node], None]] = {
    ("v1", "Namespace"): _Cluster.add_namespace,
    ("v1", "Pod"): _Cluster.add_pod,
    ("apps/v1", "Deployment"): _Cluster.add_deployment,
}


class _Node:
    """A value inside a manifest that knows its path and where to complain.

    The readers (``text``, ``items``, ...) give an empty value for one that is absent, null or of the
    wrong type; the last is a problem.
    """

    def __init__(self, value: Any, path: str, subject: str, problems: list[str]) -> None:
        self.value = value
        self.path = path
        self._subject = subject
        self._problems = problems

    def __getitem__(self, name: str) -> _Node:
        path = f"{self.path}.{name}" if self.path else name
        return self._below(self.mapping().get(name), path)

    def _below(self, value: Any, path: str) -> _Node:
        return _Node(value, path, self._subject, self._problems)

    @property
    def absent(self) -> bool:
        return self.value is None or self.value in ("", [], {})

    def mapping(self) -> Mapping[str, Any]:
        if isinstance(self.value, Mapping):
            return self.value
        self._absent_or_wrong("object")
        return {}

    def items(self) -> list[_Node]:
        if isinstance(self.value, list):
            return [self._below(item, f"{self.path}[{index}]") for index, item in enumerate(self.value)]
        self._absent_or_wrong("array")
        return []

    def text(self) -> str:
        if isinstance(self.value, str):
            return self.value
        self._absent_or_wrong("string")
        return ""

    def integer(self, default: int) -> int:
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return self.value
        self._absent_or_wrong("integer")
        return default

    def strings(self) -> dict[str, str]:
        """A map from strings to strings, such as labels."""
        return {key: self[key].text() for key in self.mapping()}

    def _absent_or_wrong(self, wanted: str) -> None:
        if self.value is not None:
            self._say(fields.wrong_type(self.path, self.value, wanted))

    def required(self, detail: str = "") -> None:
        self._say(fields.required(self.path, detail))

    def invalid(self, detail: str, value: object = None) -> None:
        self._say(fields.invalid(self.path, self.value if value is None else value, detail))

    def duplicate(self) -> None:
        self._say(fields.duplicate(self.path, self.value))

    def forbidden(self, detail: str) -> None:
        self._say(fields.forbidden(self.path, detail))

    def one_of(self, supported: Sequence[str]) -> str:
        """The value, by default the first of ``supported`` and else one of them."""
        value = self.text()
        if value and value not in supported:
            self._say(fields.unsupported(self.path, value, supported))
        return value or supported[0]

    def check(self, wrong: Sequence[str], value: object = None) -> bool:
        for detail in wrong:
            self.invalid(detail, value)
        return not wrong

    def _say(self, problem: str) -> None:
        self._problems.append(self._subject + problem)


# --- metadata -------------------------------------------------------------------------------------------


def _declared_namespaces(documents: Sequence[Document]) -> Iterator[str]:
    """Names of namespaces that are written down; one that is wrong otherwise still counts as known."""
    for document in documents:
        metadata = document.body.get("metadata")
        if document.body.get("kind") == "Namespace" and isinstance(metadata, Mapping):
            name = metadata.get("name")
            if isinstance(name, str) and not names.dns1123_label(name):
                yield name


def _name(root: _Node, check: Callable[[str], list[str]]) -> str:
    """``metadata.name``, or nothing where it cannot be used to tell objects apart."""
    node = root["metadata"]["name"]
    name = node.text()
    if name:
        return name if node.check(check(name)) else ""
    if node.absent and root["metadata"]["generateName"].absent:  # which the table of fields refuses
        node.required("name or generateName is required")
    return ""


def _labels(node: _Node) -> dict[str, str]:
    """A map of labels, checked."""
    labels = node.strings()
    for key, value in labels.items():
        node.check(names.qualified_name(key), key)
        node.check(names.label_value(value), value)
    return labels


def _annotations(node: _Node) -> dict[str, str]:
    annotations = node.strings()
    for key in annotations:
        node.check(names.qualified_name(key.lower()), key)  # capitals are allowed in the prefix as well
    return annotations


def _origin(pod: Pod) -> str:
    return f"{pod.where} as a replica of {pod.owner}" if pod.owner else pod.where


# --- Deployment -----------------------------------------------------------------------------------------


def _replicas(node: _Node) -> int:
    replicas = node.integer(1)
    if replicas < 0:
        node.invalid("must be greater than or equal to 0")
    elif replicas > MOST_REPLICAS:
        node.invalid(f"must be less than or equal to {MOST_REPLICAS}")
        return 0
    return replicas


def _selector(node: _Node, template_labels: _Node, labels: Mapping[str, str]) -> dict[str, str]:
    """``spec.selector`` checked against the ``labels`` of the template; its ``matchLabels``."""
    match_labels = _labels(node["matchLabels"])
    expressions = node["matchExpressions"].items()
    if node.value is None:
        node.required()
    elif node["matchLabels"].absent and node["matchExpressions"].absent:
        node.invalid("empty selector is invalid for deployment")
    # Every expression is looked at, also after one that does not match, for what is wrong with it.
    matched = [_matches(expression, labels) for expression in expressions]
    if not (match_labels.items() <= labels.items() and all(matched)):
        template_labels.invalid("`selector` does not match template `labels`")
    return match_labels


def _matches(expression: _Node, labels: Mapping[str, str]) -> bool:
    """One of ``matchExpressions``: does it hold for ``labels``? One that is wrong in itself does."""
    key = expression["key"].text()
    expression["key"].check(names.qualified_name(key), key)
    forbids = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
    values = [value.text() for value in expression["values"].items()]
    operator = expression["operator"].text()
    if operator in ("In", "NotIn"):
        if not values:
            expression["values"].required("must be specified when `operator` is 'In' or 'NotIn'")
            return True
        return (labels.get(key) in values) == (operator == "In")
    if operator in ("Exists", "DoesNotExist"):
        if values:
            expression["values"].forbidden(forbids)
        return (key in labels) == (operator == "Exists")
    expression["operator"].invalid("not a valid selector operator", operator)
    return True


def _template_hash(template: Any) -> str:
    """The same ten characters for the same template, in whatever order its fields are written."""
    return names.short_hash(json.dumps(template, sort_keys=True, separators=(",", ":")), 10)


# --- pods -----------------------------------------------------------------------------------------------


def _pod_template(node: _Node, images: Mapping[str, Image], restart_policies: Sequence[str]) -> PodTemplate:
    """The part that a Pod and a Deployment's ``template`` share: ``metadata`` and ``spec``."""
    metadata, spec = node["metadata"], node["spec"]
    labels = _labels(metadata["labels"])
    annotations = _annotations(metadata["annotations"])
    containers = _containers(spec["containers"], images)
    for field, check in (("hostname", names.dns1123_label), ("nodeName", names.dns1123_subdomain)):
        if value := spec[field].text():
            spec[field].check(check(value))
    return PodTemplate(
        containers=containers,
        labels=labels,
        annotations=annotations,
        node_name=spec["nodeName"].text() or None,
        node_selector=_labels(spec["nodeSelector"]),
        restart_policy=spec["restartPolicy"].one_of(restart_policies),
        hostname=spec["hostname"].text() or None,
        spec=spec.mapping(),
    )


def _containers(node: _Node, images: Mapping[str, Image]) -> tuple[Container, ...]:
    written = node.items()
    if node.absent:
        node.required()
    seen: set[str] = set()
    for container in written:
        name = container["name"].text()
        if container["name"].absent:
            container["name"].required()
        elif name and container["name"].check(names.dns1123_label(name)) and name in seen:
            container["name"].duplicate()
        seen.add(name)
    return tuple(_container(container, images) for container in written)


def _container(node: _Node, images: Mapping[str, Image]) -> Container:
    image = node["image"].text()
    if node["image"].absent:
        node["image"].required()
    elif image != image.strip():
        node["image"].invalid("must not have leading or trailing whitespace")
    _check_ports(node["ports"])
    env = _environment(node["env"])
    known = images.get(image_name(image.strip()))
    return Container(
        name=node["name"].text(),
        image=image,
        argv=_argv(node, env, known, images),
        env=env,
        working_dir=_working_dir(node["workingDir"]),
        path=known.path if known else "",
    )


def _check_ports(node: _Node) -> None:
    seen: set[str] = set()
    for port in node.items():
        name = port["name"].text()
        if name and port["name"].check(names.port_name(name)):
            # Unique in its container only: the API server lets two containers share a port's name.
            if name in seen:
                port["name"].duplicate()
            seen.add(name)
        number = port["containerPort"].integer(1)
        if port["containerPort"].absent or number == 0:
            port["containerPort"].required()
        elif not 1 <= number <= 65535:
            port["containerPort"].invalid("must be between 1 and 65535, inclusive")
        if port["protocol"].value is not None:
            port["protocol"].one_of(("SCTP", "TCP", "UDP"))


def _environment(node: _Node) -> dict[str, str]:
    """``env`` with each ``$(VAR)`` replaced; a variable sees those written before it, a later one wins."""
    env: dict[str, str] = {}
    for variable in node.items():
        name = variable["name"].text()
        value = variable["value"]
        if variable["name"].absent:
            variable["name"].required()
        elif name and variable["name"].check(names.environment_name(name)):
            env[name] = expand(value.text(), env)
            _check_argument(value, f"{name}={env[name]}")
    return env


def _working_dir(node: _Node) -> str:
    directory = node.text() or "/"
    if not directory.startswith("/"):
        node.invalid("must be an absolute path")
    _check_argument(node, directory)
    return directory


def _argv(node: _Node, env: Mapping[str, str], known: Image | None, images: Mapping[str, Image]) -> tuple[str, ...]:
    """What is executed: ``command`` and ``args`` where given, else what the image brings.

    A ``command`` drops the image's entrypoint and cmd, ``args`` alone its cmd only (Kubernetes, "Define
    a Command and Arguments for a Container").
    """
    command, args = _arguments(node["command"], env), _arguments(node["args"], env)
    image = node["image"].text()
    if not node["command"].absent:
        argv = command + args
    elif known:
        argv = known.entrypoint + (args or known.cmd)
    else:
        if image:
            node["image"].invalid(_unknown_image(image, images))
        return ()
    if (not argv or not argv[0]) and not isinstance(node["command"].value, str):
        node["command"].required("there is nothing to run")
    return argv


def _arguments(node: _Node, env: Mapping[str, str]) -> tuple[str, ...]:
    arguments = []
    for item in node.items():
        arguments.append(expand(item.text(), env))
        _check_argument(item, arguments[-1])
    return tuple(arguments)


def _check_argument(node: _Node, argument: str) -> None:
    """Can execve(2) carry it? ``argument`` is one element of argv or one ``NAME=value``."""
    if "\0" in argument:
        node.invalid("must not contain NUL")
        return
    try:
        length = len(argument.encode())
    except UnicodeEncodeError:
        node.invalid("must be valid UTF-8")
        return
    if length > _LONGEST_ARGUMENT:
        node.invalid(f"must be no more than {_LONGEST_ARGUMENT} bytes for the kernel to pass it on")


# "$$" is a "$"; "$(" up to the next ")" is a variable; a "$" before anything else is itself.
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, env: Mapping[str, str]) -> str:
    """``text`` with every ``$(VAR)`` that ``env`` knows replaced; others stay, ``$$(VAR)`` is ``$(VAR)``.

    The rules are those of Kubernetes (``third_party/forked/golang/expansion``). What is put in is
    not expanded again.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return env.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


# --- images ---------------------------------------------------------------------------------------------


def image_name(reference: str) -> str:
    """The name in an image reference, as the catalogue has it: no digest, tag or Docker Hub prefix.

    >>> image_name("docker.io/library/nginx:1.27@sha256:00")
    'nginx'
    >>> image_name("localhost:5000/team/web:2")
    'localhost:5000/team/web'
    """
    name, _, _ = reference.partition("@")
    directory, slash, last = name.rpartition("/")
    name = directory + slash + last.partition(":")[0]  # a colon before the last slash is a registry's port
    return name.removeprefix("docker.io/").removeprefix("library/")


def _unknown_image(reference: str, images: Mapping[str, Image]) -> str:
    """What is wrong and how to mend it; the example stands on lines of its own, to be copied."""
    known = ", ".join(sorted(images)) or "nothing"
    return (
        f"the catalogue has {known}, but not this image; give the container a command, or add the "
        "image to cluster.images in the inventory:\n"
        "    images:\n"
        f'      {image_name(reference)}: {{entrypoint: [/usr/bin/program], cmd: ["--option"]}}'
    )
