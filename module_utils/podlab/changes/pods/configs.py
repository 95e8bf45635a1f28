"""What a person says of a pod, completed with what has a default.

The plan hands over the same inputs with all of them filled in, so ``complete`` and ``item`` are inverse to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...configs import ContainerConfig, PodConfig
from ..network import defaults

Item = Mapping[str, Any]
"""An entry of ``pods_list``."""

NAMESPACE = "default"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's, as in most images
LONGEST_HOSTNAME = 63  # of one part of a name (RFC 1123), where the kubelet cuts as well
NO_NAME_SERVER = "# no name server: etc has no resolv.conf\n"


def namespace_of(item: Item) -> str:
    return _or(item.get("namespace"), NAMESPACE)


def netns_of(item: Item) -> str:
    """The name of its network namespace, and of its files: no Kubernetes name contains ``_``."""
    return _or(item.get("netns"), f"{namespace_of(item)}_{item['name']}")


def complete(item: Item, mtu_of: Callable[[str], int] = lambda bridge: defaults.ETHERNET) -> PodConfig:
    """:param item: one that ``problems`` finds nothing wrong with.
    :param mtu_of: of a bridge, by its name.
    """
    given = {key: value for key, value in item.items() if value is not None}
    name, address, bridge = item["name"], item["address"], given.get("bridge", defaults.BRIDGE)
    hostname = given.get("hostname", name[:LONGEST_HOSTNAME].rstrip("-."))
    made: Any = {
        "gateway": given.get("gateway") or defaults.gateway(address),
        "mac": given.get("mac") or defaults.mac(address),
        "mtu": given.get("mtu") or mtu_of(bridge),
        "bridge": bridge,
        "hostname": hostname,
        "restart_policy": "Always",
        "object": given.get("object") or _object(given),
        **{key: value for key, value in given.items() if key not in ("name", "namespace")},
        "netns": netns_of(item),
        "etc": _etc(address, hostname) | given.get("etc", {}),
        "containers": {container["name"]: _container(container) for container in item["containers"]},
    }
    return made  # type: ignore[no-any-return]


def _or(value: Any, default: str) -> str:
    return default if value is None else value


def item(config: PodConfig) -> Item:
    """All of it as inputs of the role."""
    meta = config["object"]["metadata"]
    containers = [_container_item(name, container) for name, container in config["containers"].items()]
    return {"name": meta["name"], "namespace": meta["namespace"], **config, "containers": containers}


def _container(given: Mapping[str, Any]) -> ContainerConfig:
    said = {key: value for key, value in given.items() if value is not None and key not in ("name", "command")}
    env = {"PATH": PATH, **said.pop("env", {})}
    made: Any = {"image": "", "argv": list(given["command"]), "env": env, "working_dir": "/", **said}
    return made  # type: ignore[no-any-return]


def _container_item(name: str, config: ContainerConfig) -> Mapping[str, Any]:
    extras = {key: value for key, value in config.items() if key != "argv"}
    return {"name": name, "command": config["argv"], **extras}


def _etc(address: str, hostname: str) -> dict[str, str]:
    ip = address.partition("/")[0]
    return {
        "hostname": f"{hostname}\n",
        "hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost\n{ip}\t{hostname}\n",
        "resolv.conf": NO_NAME_SERVER,
    }


def _object(item: Item) -> dict[str, Any]:
    """The pod as Kubernetes has it, as far as the item says so."""
    fields = ("name", "image", "command")
    containers = [{key: one[key] for key in fields if one.get(key)} for one in item["containers"]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": item["name"], "namespace": namespace_of(item)},
        "spec": {"containers": containers, "restartPolicy": item.get("restart_policy", "Always")},
    }
