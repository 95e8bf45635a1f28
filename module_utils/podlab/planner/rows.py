"""The rows of a host: what each chapter shall make true there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ..changes.bridge import BridgeRow
from ..changes.pods import PodRow
from ..changes.routes import RouteRow
from .addresses import gateway, pod_mac
from .allocations import newest_record
from .cluster import Cluster, Host
from .fitness import BRIDGE_NETFILTER, uplink
from .model import Desired, Pod
from .names import file_name, pod_hostname
from .schedule import Placement

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's, as in most images


def shared_record(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    cidrs: Mapping[str, str],
    placement: Placement,
    addresses: Mapping[str, str | None],
    now: str,
) -> dict[str, Any]:
    """What every host is told about the cluster, so that a run that sees only some of them renumbers nobody."""
    newest = newest_record(hosts)
    created = newest.get("created", {})
    keys = [f"pod/{pod.key}" for pod in desired.pods]
    keys += [f"deployment/{item.namespace}/{item.name}" for item in desired.deployments]
    keys += [f"node/{node}" for node in cidrs]
    keys += [f"namespace/{name}" for name in desired.namespaces]
    record: dict[str, Any] = {
        "cidr": cluster.cidr,
        "podCIDRs": dict(cidrs),
        "pods": {key: [node, addresses.get(key)] for key, node in placement.nodes.items()},
        "nodes": {
            host.name: {"address": host.address, "labels": host.all_labels()} for host in hosts if host.role == "node"
        },
        "namespaces": list(desired.namespaces),
        "deployments": [
            {
                "namespace": item.namespace,
                "name": item.name,
                "replicas": item.replicas,
                "templateHash": item.template_hash,
                "labels": dict(item.labels),
                "selector": dict(item.selector),
                "containers": list(item.containers),
                "images": list(item.images),
            }
            for item in desired.deployments
        ],
        "created": {key: created.get(key, now) for key in keys},
        "waiting": list(placement.waiting),
    }
    same = {key: value for key, value in newest.items() if key != "generation"} == record
    record["generation"] = newest.get("generation", 0) + (not same)
    return record


def sysctls_of(host: Host, cluster: Cluster) -> dict[str, str]:
    """Kernel settings that a host needs to carry packets that are not its own."""
    device = uplink(host)
    wanted = {"net.ipv4.ip_forward": "1"}
    if host.role == "node":
        # Without it a pod's answer to a pod of the same node passes the bridge unseen by iptables,
        # and a service address is never turned back.
        wanted[BRIDGE_NETFILTER] = "1"
    if host.role == "gateway":
        # It sends packets out where they came in; told so, nodes would go past it.
        wanted["net.ipv4.conf.all.send_redirects"] = "0"
        wanted[f"net.ipv4.conf.{_slashed(device)}.send_redirects"] = "0"
    loose = f"net.ipv4.conf.{_slashed(device)}.rp_filter"
    seen, recorded = (host.observation or {})["sysctls"], host.record.get("sysctls", {})
    strict = "1" in (seen.get("net.ipv4.conf.all.rp_filter"), seen.get(loose)) and seen.get(loose) != "2"
    if strict or loose in recorded:
        # Packets of the outside come through the gateway, whatever way this host would send them itself.
        wanted[loose] = "2"
    return wanted


def _slashed(device: str | None) -> str:
    return str(device).replace(".", "/")


def bridge_row(host: Host, cluster: Cluster, cidr: str) -> BridgeRow:
    address, length = gateway(cidr), cidr.partition("/")[2]
    mtu: int = (host.observation or {})["links"][uplink(host)]["mtu"]
    return {"name": cluster.bridge, "address": f"{address}/{length}", "mac": pod_mac(address), "mtu": mtu}


def ways_of(cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteRow]]:
    """Role -> routes. Nodes send what is not theirs to the gateway, which alone knows whose it is."""
    gateways = [host for host in hosts if host.role == "gateway"]
    return {
        "node": [{"to": cluster.cidr, "via": way.address} for way in gateways[:1]],
        "gateway": [{"to": cidrs[node.name], "via": node.address} for node in hosts if node.role == "node"],
    }


def pod_row(
    pod: Pod,
    node: str,
    cluster: Cluster,
    frame: BridgeRow,
    address: str | None,
    shared: Mapping[str, Any],
) -> PodRow:
    assert address is not None  # pods of a node that is seen all have one
    netns = file_name(pod.namespace, pod.name)
    hostname = pod.template.hostname or pod_hostname(pod.name)
    way, length = frame["address"].split("/")
    containers: dict[str, Any] = {}
    for container in pod.template.containers:
        own = container.path + ":" if container.path else ""
        containers[container.name] = {
            "image": container.image,
            "argv": list(container.argv),
            "env": {"PATH": own + PATH, **container.env},
            "working_dir": container.working_dir,
        }
    return {
        "netns": netns,
        "address": f"{address}/{length}",
        "gateway": way,
        "mac": pod_mac(address),
        "mtu": frame["mtu"],
        "bridge": frame["name"],
        "hostname": hostname,
        "restart_policy": pod.template.restart_policy,
        "etc": {
            "hostname": f"{hostname}\n",
            "hosts": f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{hostname}\n",
            "resolv.conf": _resolv_conf(pod.namespace, cluster),
        },
        "containers": containers,
        "object": _object(pod, node, shared["created"][f"pod/{pod.key}"]),
    }


def _resolv_conf(namespace: str, cluster: Cluster) -> str:
    """What the kubelet writes for dnsPolicy ClusterFirst, as far as the cluster has a name server."""
    server = f"nameserver {cluster.dns}\n" if cluster.dns else "# no name server: cluster.dns is not set\n"
    domain = cluster.domain
    return f"{server}search {namespace}.svc.{domain} svc.{domain} {domain}\noptions ndots:5\n"


def _object(pod: Pod, node: str, created: str) -> dict[str, Any]:
    """The pod as ``kubectl get -o yaml`` would show it, without its status."""
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{pod.name}.{pod.namespace}.{created}")),
        "creationTimestamp": created,
    }
    if pod.template.labels:
        metadata["labels"] = dict(pod.template.labels)
    if pod.template.annotations:
        metadata["annotations"] = dict(pod.template.annotations)
    if pod.owner:
        _, kind, name = pod.owner.split("/", 2)
        metadata["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**pod.template.spec, "nodeName": node, "restartPolicy": pod.template.restart_policy},
    }
