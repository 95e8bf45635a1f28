"""The row of a pod: its template, made whole by what only the run knows: node, address, name, creation time.

A plain pod has a plain row. What a manifest does not ask for has no key, so rows of a hundred sleeping pods stay small,
and a row of an older podlab equals one of a newer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from ...configs import BridgeConfig, ContainerConfig, PodConfig
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..ipam.pod_addresses import pod_mac
from ..manifests.names import pod_hostname
from ..model import Dns, Pod
from ..preflight.id_mapping import has
from .containers import as_started, container_rows, volume_row
from .pod_object import pod_object, pod_uid

_NONE: Mapping[str, str] = {}

Alike = dict[int, dict[str, ContainerConfig]]  # id of a template -> containers that are the same in all of its pods


def pod_row(
    pod: Pod,
    node: Host,
    cluster: Cluster,
    bridge: BridgeConfig,
    address: str,
    created: str,
    alike: Alike,
    links: Mapping[str, str] = _NONE,
) -> PodConfig:
    """What ``podlab_pods`` shall make true for one pod.

    :param bridge: the row of the node's bridge.
    :param address: the pod's, without prefix length; a pod on the node's network has the node's.
    :param created: RFC 3339.
    :param alike: what this plan knows already of a template's containers. Replicas share it.
    :param links: the variables of Services that it gets if it is started now.
    """
    if pod.pinned:
        # It stays as it was made; the bridge that it hangs on may be another by now.
        pinned: Any = {key: value for key, value in pod.pinned.items() if key != "inputs"}
        return pinned | {"mtu": bridge["mtu"], "bridge": bridge["name"]}  # type: ignore[no-any-return]
    template = pod.template
    way, _, length = bridge["address"].partition("/")
    facts = _Facts(lambda: _facts(pod, node, address, pod_uid(pod, created)))
    hostname, domain = _names(pod, node, cluster)
    containers = alike.get(id(template)) or container_rows(template, facts, links)
    if not facts.asked:
        alike[id(template)] = containers
    containers = as_started(containers, pod, node, facts)
    row: PodConfig = {
        "netns": pod.netns,
        "address": f"{address}/{32 if template.host_network else length}",
        "gateway": way,
        "mac": pod_mac(address),
        "mtu": bridge["mtu"],
        "bridge": bridge["name"],
        "hostname": hostname,
        "restart_policy": template.restart_policy,
        "etc": {
            "hostname": f"{hostname}\n",
            "hosts": _hosts(pod, address, hostname, domain),
            "resolv.conf": _resolv_conf_of(pod, node, cluster),
        },
        "containers": containers,
        "object": pod_object(pod, node.name, created),
    }
    row.update(_extras(pod, node, facts))  # type: ignore[typeddict-item]
    return row


def _extras(pod: Pod, node: Host, facts: Mapping[str, str]) -> dict[str, Any]:
    """What makes it more than a plain pod."""
    template = pod.template
    asked_for: dict[str, Any] = {
        "revision": pod.revision,
        "init": [container.name for container in template.init_containers],
        "host_network": template.host_network,
        "share_processes": template.share_processes,
        "host_pid": template.host_pid,
        "host_ipc": template.host_ipc,
        "sysctls": dict(template.sysctls),
        "volumes": {name: volume_row(volume, pod.namespace, facts) for name, volume in template.volumes.items()},
    }
    fs_group = template.fs_group if template.fs_group is None or has(node, "gid", template.fs_group) else None
    numbers = {"fs_group": fs_group, "grace": template.grace, "deadline": template.deadline}
    return {
        **{key: value for key, value in asked_for.items() if value},
        **{key: value for key, value in numbers.items() if value is not None},
    }


def _names(pod: Pod, node: Host, cluster: Cluster) -> tuple[str, str]:
    """Host name, and the pod's domain where it has one.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-hostname-and-subdomain-fields
    """
    template = pod.template
    if template.host_network:
        return node.name, ""
    name = template.hostname or pod_hostname(pod.name)
    domain = f"{template.subdomain}.{pod.namespace}.svc.{cluster.domain}" if template.subdomain else ""
    if template.fqdn_as_hostname and domain:
        return f"{name}.{domain}", domain
    return name, domain


def _hosts(pod: Pod, address: str, hostname: str, domain: str) -> str:
    """What the kubelet writes (pkg/kubelet/kubelet_pods.go, managedHostsFileContent)."""
    short = hostname.removesuffix(f".{domain}") if domain else hostname
    own = f"{short}.{domain}\t{short}" if domain else short
    text = f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{own}\n"
    if pod.template.host_aliases:
        lines = "".join(f"{where}\t{chr(9).join(names)}\n" for where, names in pod.template.host_aliases)
        text += f"\n# Entries added by HostAliases.\n{lines}"
    return text


def _resolv_conf_of(pod: Pod, node: Host, cluster: Cluster) -> str:
    dns = pod.template.dns
    # Who is on the node's network is taken for a part of the node, unless it says otherwise.
    outside = dns.policy == "ClusterFirst" and pod.template.host_network
    given = node.seen.get("resolv_conf", "") if dns.policy == "Default" or outside else None
    return _resolv_conf(dns, given, pod.namespace, cluster.dns, cluster.domain)


@lru_cache(1024)
def _resolv_conf(dns: Dns, given: str | None, namespace: str, server: str, domain: str) -> str:
    """By ``dnsPolicy``, with what ``dnsConfig`` adds
    (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy).

    :param given: the node's own, where the pod has that.
    """
    servers, searches, options, comments = list[str](), list[str](), list[str](), list[str]()
    if given is not None:
        servers, searches, options, comments = _parsed(given)
    elif dns.policy != "None":
        if server:
            servers = [server]
        else:
            comments = ["# no name server: podlab_dns is not set"]
        searches = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain]
        options = ["ndots:5"]
    servers = list(dict.fromkeys([*servers, *dns.nameservers]))
    searches = list(dict.fromkeys([*searches, *dns.searches]))
    merged = {option.partition(":")[0]: option for option in (*options, *dns.options)}
    lines = [*comments, *(f"nameserver {server}" for server in servers)]
    lines += [f"search {' '.join(searches)}"] if searches else []
    lines += [f"options {' '.join(merged.values())}"] if merged else []
    return "".join(f"{line}\n" for line in lines)


def _parsed(text: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """resolv.conf(5): name servers, search list, options, comments."""
    servers, searches, options, comments = list[str](), list[str](), list[str](), list[str]()
    for line in text.splitlines():
        key, *words = line.split() or [""]
        if key == "nameserver":
            servers += words[:1]
        elif key in ("search", "domain"):
            searches = words
        elif key == "options":
            options += words
        elif key.startswith("#"):
            comments.append(line)
    return servers, searches, options, comments


class _Facts(Mapping[str, str]):
    """Facts of a pod, found when the first of them is asked for: most pods ask for none."""

    def __init__(self, find: Callable[[], dict[str, str]]) -> None:
        self._find = find
        self.asked = False

    @cached_property
    def _all(self) -> dict[str, str]:
        self.asked = True
        return self._find()

    def __getitem__(self, path: str) -> str:
        return self._all[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def _facts(pod: Pod, node: Host, address: str, uid: str) -> dict[str, str]:
    """What ``fieldRef`` may name
    (https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#available-fields)."""
    template = pod.template
    facts = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": uid,
        "metadata.labels": _quoted(template.labels),
        "metadata.annotations": _quoted(template.annotations),
        "spec.nodeName": node.name,
        "spec.serviceAccountName": template.service_account,
        "status.hostIP": node.address,
        "status.hostIPs": node.address,
        "status.podIP": address,
        "status.podIPs": address,
    }
    facts |= {f"metadata.labels['{key}']": value for key, value in template.labels.items()}
    facts |= {f"metadata.annotations['{key}']": value for key, value in template.annotations.items()}
    return facts


def _quoted(values: Mapping[str, str]) -> str:
    """All labels in a file, one a line, as the kubelet writes them: Go's %q."""
    return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(values.items()))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
