"""The pod template: what a Pod and every workload's ``template`` share, ``metadata`` and ``spec``.

The rules and their words are those of the API server (``pkg/apis/core/validation`` of Kubernetes 1.30).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..model import Container, Dns, PodTemplate, Port, Volume
from . import names, scheduling_fields
from .environment import Environment, check_argument, environment
from .images import argv_of, known_image, may_be_missing
from .probes import Probes, check_host_ports, ports
from .reading import Field, annotations_of, is_address, labels_of
from .references import Scope
from .security import pod_security, security, sysctls
from .stand_ins import NON_ROOT, stand_in
from .volumes import mounts, volumes

ALWAYS = ("Always",)
ANY_POLICY = ("Always", "OnFailure", "Never")


NAMES = {
    "hostname": names.dns1123_label,
    "subdomain": names.dns1123_label,
    "nodeName": names.dns1123_subdomain,
    "serviceAccountName": names.dns1123_subdomain,
}


def pod_template(
    node: Field,
    scope: Scope,
    restart_policies: Sequence[str] = ALWAYS,
    claims: Sequence[str] = (),
    of_job: bool = False,
) -> PodTemplate:
    """Reads ``metadata`` and ``spec`` below ``node``.

    :param restart_policies: those that the kind allows, the default first.
    :param claims: names of the volumes that ``volumeClaimTemplates`` bring.
    :param of_job: whether its containers do some work and end.
    """
    metadata, spec = node["metadata"], node["spec"]
    own_labels, own_annotations = labels_of(metadata["labels"]), annotations_of(metadata["annotations"])
    pod = _Pod(spec, scope, own_labels, own_annotations, claims, of_job)
    containers, init = pod.containers()
    for field, check in NAMES.items():
        if value := spec[field].text():
            spec[field].check(check(value))
    context = spec["securityContext"]
    return PodTemplate(
        containers=containers,
        init_containers=init,
        labels=own_labels,
        annotations=own_annotations,
        volumes=pod.volumes,
        restart_policy=spec["restartPolicy"].one_of(restart_policies),
        grace=pod.grace,
        deadline=_deadline(spec["activeDeadlineSeconds"]),
        **_placing(spec, scope.namespace),
        hostname=spec["hostname"].text() or None,
        subdomain=spec["subdomain"].text() or None,
        fqdn_as_hostname=spec["setHostnameAsFQDN"].boolean(),
        host_aliases=_host_aliases(spec["hostAliases"]),
        dns=_dns(spec),
        host_network=pod.host_network,
        share_processes=spec["shareProcessNamespace"].boolean(),
        host_pid=spec["hostPID"].boolean(),
        host_ipc=spec["hostIPC"].boolean(),
        sysctls=sysctls(context["sysctls"], pod.host_network),
        fs_group=pod_security(context),
        service_account=spec["serviceAccountName"].text() or spec["serviceAccount"].text() or "default",
        service_links=spec["enableServiceLinks"].boolean(True),
        waits=tuple(scope.waits),
        spec=spec.mapping(),
    )


def _placing(spec: Field, namespace: str) -> dict[str, Any]:
    """Where it may run."""
    affinity = spec["affinity"]
    return {
        "node_name": spec["nodeName"].text() or None,
        "node_selector": labels_of(spec["nodeSelector"]),
        "tolerations": scheduling_fields.tolerations(spec["tolerations"]),
        "spread": scheduling_fields.spread(spec["topologySpreadConstraints"]),
        "node_affinity": scheduling_fields.node_affinity(affinity["nodeAffinity"]),
        "affinity": scheduling_fields.pod_affinity(affinity["podAffinity"], namespace),
        "anti_affinity": scheduling_fields.pod_affinity(affinity["podAntiAffinity"], namespace),
    }


def _grace(node: Field) -> int | None:
    """Seconds. Kubernetes takes a negative number for one second (``pkg/registry/core/pod``)."""
    if not node.given:
        return None
    seconds = node.integer(30)
    return 1 if seconds < 0 else seconds


def _deadline(node: Field) -> int | None:
    return node.between(0, 1, 2**31 - 1) if node.given else None


# --- containers -----------------------------------------------------------------------------------------


class _Pod:
    """A pod's containers, and what each of them may need to know of the others."""

    def __init__(
        self,
        spec: Field,
        scope: Scope,
        own_labels: Mapping[str, str],
        own_annotations: Mapping[str, str],
        claims: Sequence[str],
        of_job: bool,
    ) -> None:
        self.spec = spec
        self.of_job = of_job
        self.scope = scope
        self.host_network = spec["hostNetwork"].boolean()
        self.grace = _grace(spec["terminationGracePeriodSeconds"])
        self.known = {"metadata.namespace": scope.namespace, "spec.nodeName": spec["nodeName"].text()}
        for kind, values in (("labels", own_labels), ("annotations", own_annotations)):
            self.known.update({f"metadata.{kind}['{key}']": value for key, value in values.items()})
        self.regular, self.init = spec["containers"].items(), spec["initContainers"].items()
        self.named = {node["name"].text(): node for node in (*self.init, *self.regular)}
        for field, setting in (("hostPID", "host_pid"), ("hostIPC", "host_ipc")):
            if spec[field].boolean():
                scope.needs(setting, field)
        if name := spec["runtimeClassName"].text():
            scope.lacks_runtime(name)
        if spec["hostPID"].boolean() and spec["shareProcessNamespace"].boolean():
            spec["shareProcessNamespace"].invalid("ShareProcessNamespace and HostPID cannot both be enabled")
        self.volumes: dict[str, Volume] = volumes(spec["volumes"], scope, self.named)
        # They take precedence. Which claim it is depends on the pod (controllers/stateful_sets.py).
        self.volumes |= dict.fromkeys(claims, Volume("claim"))

    def containers(self) -> tuple[tuple[Container, ...], tuple[Container, ...]]:
        """The regular ones and the init containers."""
        if self.spec["containers"].absent:
            self.spec["containers"].required()
        seen: set[str] = set()
        regular = [self._regular(node, seen) for node in self.regular]
        check_host_ports((node, made.ports) for node, made in zip(self.regular, regular, strict=True))
        init = [self._init(node, seen) for node in self.init]
        return tuple(regular), tuple(init)

    def _regular(self, node: Field, seen: set[str]) -> Container:
        own, pods = node["restartPolicy"].text(), self.spec["restartPolicy"].text() or "Always"
        if own not in ("", pods):
            node["restartPolicy"].refuse(f"containers have the restartPolicy of their pod, which is {pods}")
        return self._container(node, seen, ends=self.of_job)

    def _init(self, node: Field, seen: set[str]) -> Container:
        """A plain one runs to its end before the next one starts; a sidecar has a life like a regular container's."""
        policy = node["restartPolicy"].one_of(("Always",), "")
        if policy != "Always":
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
                if node[field].given:
                    node[field].forbidden("may not be set for init containers")
        made = self._container(node, seen, ends=policy != "Always", restart_policy=policy, is_init=True)
        check_host_ports([(node, made.ports)])  # for itself: plain ones run one by one
        return made

    def _container(
        self, node: Field, seen: set[str], *, ends: bool, restart_policy: str = "", is_init: bool = False
    ) -> Container:
        name = node["name"].text()
        if node["name"].absent:
            node["name"].required()
        elif name and node["name"].check(names.dns1123_label(name)) and name in seen:
            node["name"].duplicate()
        seen.add(name)
        image = known_image(node, self.scope.images)
        own_ports: tuple[Port, ...] = ports(node["ports"], self.host_network)
        own_scope = self.scope.of_container(name)
        env = environment(node, self.scope, self.named, self.known)
        command, args = ([env.argument(word) for word in node[field].items()] for field in ("command", "args"))
        argv = argv_of(node, command, args, image, self.scope)
        life = {} if is_init and ends else self._life(node, own_ports, env)
        standing_in = None
        if may_be_missing(node, image, self.scope):
            standing_in = stand_in(node["image"].text(), argv, own_ports, life.values(), image, ends=ends)
        return Container(
            name=name,
            image=node["image"].text(),
            argv=argv,
            env=env.values(),
            working_dir=_working_dir(node["workingDir"]),
            path=image.path if image else "",
            ports=own_ports,
            mounts=mounts(node["volumeMounts"], self.volumes, env, own_scope),
            binds=image.binds if image else {},
            security=security(
                *(node["securityContext"], self.spec["securityContext"], own_scope),
                non_root=NON_ROOT if standing_in else None,
            ),
            restart_policy=restart_policy,
            stand_in=standing_in,
            **life,
        )

    def _life(self, node: Field, own_ports: Sequence[Port], env: Environment) -> dict[str, Any]:
        """How it is asked for its health, and told of its beginning and end."""
        probes = Probes(node, own_ports, env.static, self.grace)
        return {
            "readiness": probes.probe("readinessProbe"),
            "liveness": probes.probe("livenessProbe"),
            "startup": probes.probe("startupProbe"),
            "post_start": probes.hook("postStart"),
            "pre_stop": probes.hook("preStop"),
        }


def _working_dir(node: Field) -> str:
    directory = node.text() or "/"
    if not directory.startswith("/"):
        node.invalid("must be an absolute path")
    check_argument(node, directory)
    return directory


# --- names and name servers -----------------------------------------------------------------------------


def _host_aliases(node: Field) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Lines of ``/etc/hosts``."""
    made = []
    for item in node.items():
        address = item["ip"].text()
        if not item["ip"].absent and not is_address(address):
            item["ip"].invalid("must be valid IP address", address)
        for name in item["hostnames"].items():
            name.check(names.dns1123_subdomain(name.text()))
        made.append((address, item["hostnames"].texts()))
    return tuple(made)


# Restrictions of the resolver in libc (pkg/apis/core/validation).
_MOST_NAMESERVERS = 3
_MOST_SEARCHES = 32
_LONGEST_SEARCHES = 2048


_CLUSTER_FIRST = Dns()


def _dns(spec: Field) -> Dns:
    if not (spec["dnsPolicy"].given or spec["dnsConfig"].given):
        return _CLUSTER_FIRST
    policy = spec["dnsPolicy"].one_of(("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"), "ClusterFirst")
    node = spec["dnsConfig"]
    nameservers, searches = node["nameservers"].texts(), node["searches"].texts()
    if policy == "None" and not node.given:
        node.required("must provide `dnsConfig` when `dnsPolicy` is None")
    elif policy == "None" and not nameservers:
        node["nameservers"].required("must provide at least one DNS nameserver when `dnsPolicy` is None")
    if len(nameservers) > _MOST_NAMESERVERS:
        node["nameservers"].invalid(f"must not have more than {_MOST_NAMESERVERS} nameservers")
    for server in node["nameservers"].items():
        if not is_address(server.text()):
            server.invalid("must be valid IP address")
    if len(searches) > _MOST_SEARCHES:
        node["searches"].invalid(f"must not have more than {_MOST_SEARCHES} search paths")
    if len(" ".join(searches)) > _LONGEST_SEARCHES:
        node["searches"].invalid(
            f"must not have more than {_LONGEST_SEARCHES} characters (including spaces) in the search list"
        )
    for search in node["searches"].items():
        search.check(names.search_domain(search.text()))
    return Dns(policy, nameservers, searches, tuple(map(_option, node["options"].items())))


def _option(node: Field) -> str:
    name, value = node["name"].text(), node["value"].text()
    if node["name"].absent:
        node.required("must not be empty")
    for part in (node["name"], node["value"]):
        if any(letter.isspace() or letter == "\0" for letter in part.text()):
            part.invalid("must be a single word")
    return f"{name}:{value}" if value else name
