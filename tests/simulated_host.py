"""A host in memory: it takes the very lines that podlab would type, and tells what ``observe`` would see.

It refuses what the kernel refuses (a second link of a name, a route that is not there), because one failed
line ends a whole batch. It knows the few words of iproute2 and iptables-restore that podlab uses, no more.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from podlab.changes.actions import Action, Bridge, Ip, NetnsIp, Sysctl
from podlab.changes.kube_proxy import services
from podlab.changes.netfilter import iptables_save, rules
from podlab.changes.network import bridge, routes, vxlan
from podlab.changes.network.link_state import knob
from podlab.changes.pods import actions, pods
from podlab.changes.system import sysctls
from podlab.planner.configs.services import digest_of

BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


NEVER_STARTED = {
    **{"pid": None, "started": None, "restarts": 0, "last": None, "backoff": 0},
    **{"health": None, "down": False},
}
RUNNING = {**NEVER_STARTED, "pid": 100, "started": 0.0}


class Refused(Exception):
    """What the kernel would say no to."""


class Namespace:
    """Links and routes of one network namespace."""

    def __init__(self) -> None:
        self.links: dict[str, dict[str, Any]] = {}
        self.routes: list[dict[str, Any]] = []
        self.neighbours: dict[str, Namespace] = {}  # by name, for "netns NAME"
        self.tunnels: dict[str, vxlan.Tunnel] = {}
        self.add("lo", kind=None, mtu=65536, mac="00:00:00:00:00:00")

    # --- links

    def add(self, name: str, **facts: Any) -> dict[str, Any]:
        if name in self.links:
            raise Refused(f"link {name}: File exists")
        sound = {"alias": "", "mac": "", "mtu": 1500, "up": False, "master": None, "hairpin": False, "addresses": []}
        self.links[name] = {**sound, "peer": None, **facts}
        return self.links[name]

    def wire(self, name: str, other: Namespace, end: str) -> None:
        """Lay a veth pair from here to there."""
        if end in other.links:
            raise Refused(f"link {end}: File exists")
        near, far = self.add(name, kind="veth"), other.add(end, kind="veth")
        near["peer"], far["peer"] = (other, far), (self, near)

    def delete(self, name: str) -> None:
        link = self._link(name)
        self._forget(name)
        if link["peer"]:
            there, end = link["peer"]
            for other in [other for other, facts in there.links.items() if facts is end]:
                there._forget(other)

    def _forget(self, name: str) -> None:
        del self.links[name]
        self.tunnels.pop(name, None)
        self.routes = [route for route in self.routes if route["dev"] != name]
        for link in self.links.values():
            if link["master"] == name:
                link.update(master=None, hairpin=False)

    def _forget_neighbours(self, name: str) -> None:
        if name in self.tunnels:
            self.tunnels[name]["neighbours"].clear()

    def move(self, name: str, other: Namespace) -> None:
        """What drift does; podlab itself never moves a link."""
        link = self._link(name)
        self._forget(name)
        link.update(up=False, master=None, hairpin=False, addresses=[])
        other.links[name] = link

    def _link(self, name: str) -> dict[str, Any]:
        if name not in self.links:
            raise Refused(f"Cannot find device {name}")
        return self.links[name]

    # --- addresses and routes

    def add_address(self, address: str, name: str) -> None:
        link = self._link(name)
        if address in link["addresses"]:
            raise Refused("Address already assigned")
        link["addresses"].append(address)
        if link["up"]:
            self._connect(name, address)

    def _connect(self, name: str, address: str) -> None:
        if address.endswith("/32"):
            return  # there is nobody else in it
        route = {"to": _network(address), "via": None, "dev": name, "protocol": "kernel"}
        if route not in self.routes:
            self.routes.append(route)

    def delete_address(self, address: str, name: str) -> None:
        """With promote_secondaries off, the first address of a subnet takes the others along."""
        link = self._link(name)
        if address not in link["addresses"]:
            raise Refused("Cannot assign requested address")
        subnet = [other for other in link["addresses"] if _network(other) == _network(address)]
        gone = subnet if subnet[0] == address else [address]
        link["addresses"] = [other for other in link["addresses"] if other not in gone]
        if gone == subnet:
            connected = {"to": _network(address), "via": None, "dev": name, "protocol": "kernel"}
            self.routes = [route for route in self.routes if route != connected]
        if not link["addresses"]:
            self.routes = [route for route in self.routes if route["dev"] != name]
            self._forget_neighbours(name)

    def route(self, verb: str, to: str, words: dict[str, str]) -> None:
        to = "0.0.0.0/0" if to == "default" else to
        metric = int(words.get("metric", 0))
        if verb == "del":
            for route in self.routes:
                asked = {"to": to} | {{"proto": "protocol"}.get(key, key): word for key, word in words.items()}
                if metric:
                    asked["metric"] = metric
                if asked.items() <= route.items():
                    self.routes.remove(route)
                    return
            raise Refused("No such process")
        new = {"to": to, "via": words.get("via"), "dev": words.get("dev") or self._way_to(words["via"])}
        new["protocol"] = words.get("proto", "boot")
        if metric:
            new["metric"] = metric
        same = [route for route in self.routes if route["to"] == to and route.get("metric", 0) == metric]
        if verb == "replace" and same:
            self.routes[self.routes.index(same[0])] = new
        elif verb == "add" and same:
            raise Refused("File exists")
        else:
            self.routes.append(new)

    def _way_to(self, gateway: str) -> str:
        for name, link in self.links.items():
            if link["up"] and any(IPv4Address(gateway) in IPv4Interface(own).network for own in link["addresses"]):
                return name
        raise Refused("Nexthop has invalid gateway")

    # --- ip(8)

    def ip(self, lines: list[str]) -> None:
        """One ``ip -batch``: the first line that is refused ends it."""
        for line in lines:
            words = shlex.split(line)
            verb = words[:2]
            if verb == ["link", "add"]:
                self._link_add(words[2], words[3:])
            elif verb == ["link", "set"]:
                self._link_set(words[2], words[3:])
            elif verb == ["link", "del"]:
                self.delete(words[2])
            elif words[0] == "addr":
                self._addr(words[1], words[2], words[words.index("dev") + 1])
            elif words[0] == "route":
                self.route(words[1], words[2], _pairs([word for word in words[3:] if word != "onlink"]))
            elif words[0] == "neigh":
                self._neigh(words[1], words[2], _pairs(words[3:]))
            else:
                raise Refused(f"Object {words[0]!r} is unknown")

    def _neigh(self, verb: str, address: str, words: dict[str, str]) -> None:
        entries = self.tunnels.setdefault(self._link(words["dev"]) and words["dev"], _empty_tunnel())["neighbours"]
        if verb == "del":
            del entries[address]
        else:
            entries[address] = words["lladdr"]

    def bridge(self, lines: list[str]) -> None:
        """One ``bridge -batch``."""
        for line in lines:
            _, verb, mac, *words = line.split()
            facts = _pairs([word for word in words if word not in ("self", "permanent")])
            entries = self.tunnels.setdefault(self._link(facts["dev"]) and facts["dev"], _empty_tunnel())["forwarding"]
            node = facts["dst"] + (f" port {facts['port']}" if "port" in facts else "")
            if verb == "del":
                found = [entry for entry in entries if entry[:2] == (mac, node)]
                if not found:
                    raise Refused("No such file or directory")
                entries.remove(found[0])
            elif any(entry[:2] == (mac, node) for entry in entries):
                raise Refused("File exists")
            else:
                entries.append((mac, node, "permanent" in words))

    def _link_add(self, name: str, words: list[str]) -> None:
        kind = words[words.index("type") + 1]
        own, far = words, []
        if kind == "veth":
            at = words.index("peer")
            own, far = words[:at], words[at + 1 :]
            other = _pairs(far)
            self.wire(name, self.neighbours[other["netns"]], other["name"])
            self.neighbours[other["netns"]].links[other["name"]].update(mac=other["address"], mtu=int(other["mtu"]))
        else:
            self.add(name, kind=kind)
        if kind == "vxlan":
            at = words.index("type")
            own, more = words[:at], words[at + 2 :]
            asked = _pairs([word for word in more if word != "nolearning"])
            overlay = {"id": int(asked["id"]), "port": int(asked["dstport"])}
            if any(overlay.items() <= link.get("vxlan", {}).items() for link in self.links.values()):
                raise Refused("A VXLAN device with the specified VNI already exists.")
            self.links[name]["vxlan"] = {
                **overlay,
                **{"local": asked["local"], "link": asked["dev"], "learning": "nolearning" not in more},
            }
        facts = _pairs(own)
        self.links[name].update(mtu=int(facts["mtu"]), mac=facts.get("address", self.links[name]["mac"]))

    def _link_set(self, name: str, words: list[str]) -> None:
        link = self._link(name)
        if words[:2] == ["type", "bridge_slave"]:
            if link["master"] is None:
                raise Refused("Operation not supported")
            link["hairpin"] = words[2:] == ["hairpin", "on"]
            return
        while words:
            word = words.pop(0)
            if word in ("up", "down"):
                self._switch(name, word == "up")
            elif word == "nomaster":
                link.update(master=None, hairpin=False)
            elif word == "name":
                self._rename(name, words.pop(0))
            else:
                key = {"address": "mac"}.get(word, word)
                value = words.pop(0)
                if key == "master" and self._link(value)["kind"] != "bridge":
                    raise Refused("Operation not supported")
                link[key] = int(value) if key == "mtu" else value
                if key == "master":
                    link["hairpin"] = False
                if key == "mac":
                    self._forget_neighbours(name)

    def _rename(self, name: str, new: str) -> None:
        if self._link(name)["up"]:
            raise Refused("Device or resource busy")  # before Linux 6.2
        if new in self.links:
            raise Refused("File exists")
        self.links[new] = self.links.pop(name)
        if name in self.tunnels:
            self.tunnels[new] = self.tunnels.pop(name)

    def _switch(self, name: str, up: bool) -> None:
        link = self.links[name]
        link["up"] = up
        if up:
            for address in link["addresses"]:
                self._connect(name, address)
        else:
            self.routes = [route for route in self.routes if route["dev"] != name]
            self._forget_neighbours(name)

    def _addr(self, verb: str, address: str, name: str) -> None:
        if verb == "del":
            self.delete_address(address, name)
        elif verb == "add" or address not in self._link(name)["addresses"]:
            self.add_address(address, name)

    def facts(self) -> dict[str, bridge.Link]:
        hidden = {name: {**link} for name, link in self.links.items()}
        for link in hidden.values():
            link.pop("peer")
        return copy.deepcopy(hidden)  # type: ignore[arg-type]


def _empty_tunnel() -> vxlan.Tunnel:
    return copy.deepcopy(vxlan.EMPTY)


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def _network(address: str) -> str:
    return str(IPv4Interface(address).network)


class SimulatedHost:
    """A host with one uplink, as Debian leaves it behind: bare, or with what drift and others put there."""

    def __init__(self, address: str, *, gateway: str | None = None, **more_interfaces: str) -> None:
        self.root = Namespace()
        self.root.links["lo"]["up"] = True
        self.pods: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, list[str]]] = {
            table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()
        }
        self.sysctls = {
            "net.ipv4.ip_forward": "0",
            "net.ipv4.conf.default.forwarding": "0",
            "net.bridge.bridge-nf-call-iptables": "1",
            "net.ipv4.conf.all.rp_filter": "0",
            "net.ipv4.conf.all.send_redirects": "1",
            "net.ipv4.conf.all.route_localnet": "0",
        }
        self.record: dict[str, Any] | None = None
        self.programs: dict[str, str] = {}
        self.services = {"row": "", "sound": False}
        self.claims: set[str] = set()  # directories
        self.ids = [[0, 65536]]
        self.resolv_conf = ""
        self.missing: dict[str, str] = {}
        self.policy_rules: list[str] = []
        self.kubernetes = ""
        self.observe_as: dict[str, Any] = {}  # what stands in for a part of the observation
        self.kernel: dict[str, Any] = {"loadable": [], "missing": [], "may_load": False}
        for name, interface in {"eth0": address, **more_interfaces}.items():
            self.link(name, interface)
        if gateway:
            self.root.route("add", "default", {"via": gateway})

    def link(self, name: str, address: str, **facts: Any) -> None:
        """Something of the host's own, such as docker0."""
        self.root.add(name, **{"kind": "veth", "up": True, **facts})
        self.root.add_address(address, name)
        self.sysctls |= {knob(name, "rp_filter"): "0", knob(name, "send_redirects"): "1", knob(name, "forwarding"): "0"}

    def observe(self) -> dict[str, Any]:
        """What ``podlab.host.observe`` would tell. Later changes of the host do not reach into it."""
        return copy.deepcopy(
            {
                "record": self.record,
                "links": self.root.facts(),
                # ip does not print the protocol of a route that somebody typed.
                "routes": [
                    {**route, "protocol": {"boot": "None"}.get(route["protocol"], route["protocol"])}
                    for route in self.root.routes
                ],
                "tunnels": {
                    name: {
                        **self.root.tunnels.get(name, vxlan.EMPTY),
                        "settings": {
                            key: self.sysctls.get(knob(name, key), first)
                            for key, first in {"rp_filter": "0", "forwarding": "1"}.items()
                        },
                    }
                    for name in vxlan.may_be_ours(self.root.facts())
                },
                "rules": self.rules,
                "sysctls": self.sysctls,
                "pods": {netns: self._pod(netns) for netns in sorted(self.pods)},
                "programs": self.programs,
                "missing": self.missing,
                "policy_rules": self.policy_rules,
                "kernel": self.kernel,
                "machine": "x86_64",
                "ids": {"uid": self.ids, "gid": self.ids},
                "resolv_conf": self.resolv_conf,
                "services": self.services,
                "claims": sorted(self.claims),
                "kubernetes": self.kubernetes,
                **self.observe_as,
            }
        )

    def _pod(self, netns: str) -> dict[str, Any]:
        pod = self.pods[netns]
        facts = pod["namespace"].facts() if pod["sandbox"] else {}
        containers = pod["row"]["containers"] if pod["row"] else {}
        return {
            "sandbox": pod["sandbox"],
            "row": pod["row"],
            "services": sorted(pod["services"]),
            "facts": {name: RUNNING if name in pod["services"] else NEVER_STARTED for name in containers},
            "eth0": facts.get("eth0"),
            "lo_up": facts.get("lo", {}).get("up", False),
            "routes": [
                f"{'default' if route['to'] == '0.0.0.0/0' else route['to']} "
                + (f"via {route['via']} " if route["via"] else "")
                + f"dev {route['dev']}"
                for route in (pod["namespace"].routes if pod["sandbox"] else [])
                if route["protocol"] != "kernel"
            ],
            "connected": [
                route["to"]
                for route in (pod["namespace"].routes if pod["sandbox"] else [])
                if route["protocol"] == "kernel" and route["dev"] == "eth0"
            ],
        }

    def apply(self, rows: dict[str, Any], pending: list[str]) -> None:
        """Run the components that have anything to do, as the modules do."""
        for component in pending:
            if component in ("rollout", "services_first", "services_finalize", "record"):
                continue  # here every pod is ready as soon as it runs, and nobody calls it in between
            getattr(self, f"_apply_{component}")(copy.deepcopy(rows[component]))

    def _apply_node(self, row: dict[str, Any]) -> None:
        recorded = (self.record or {}).get("sysctls", row.get("assumed", {}))
        originals = sysctls.originals(self.sysctls, row["sysctls"], recorded)
        for key, value in sysctls.changes(self.sysctls, row["sysctls"], recorded).items():
            self.write(key, value)
        self.record = {**row["record"], "sysctls": originals}

    def write(self, key: str, value: str) -> None:
        """One setting. That of ``ip_forward`` is given to every link."""
        self.sysctls[key] = value
        if key == "net.ipv4.ip_forward":
            self.sysctls |= {other: value for other in self.sysctls if sysctls.is_forwarding(other)}

    def _apply_bridge(self, row: bridge.BridgeConfig) -> None:
        self.take(bridge.actions(self.root.facts(), row, self.root.routes))

    def _apply_routes(self, row: routes.RoutesConfig) -> None:
        seen = self.observe()
        self.take(routes.steps(seen["links"], seen["tunnels"], seen["routes"], row).actions())

    def _apply_egress(self, row: dict[str, rules.TableConfig]) -> None:
        for table, wanted in row.items():
            restore(self.rules[table], rules.changes(self.rules[table], wanted))
        self.sysctls |= sysctls.opening(self.sysctls, rules.sysctls(row))

    def _apply_services(self, row: dict[str, Any]) -> None:
        """The chains are not written here: the rules have a simulation of their own."""
        self.services = {"row": digest_of(row), "sound": True}
        self.sysctls |= sysctls.opening(self.sysctls, services.sysctls_of(row))  # type: ignore[arg-type]

    def _apply_pods(self, row: dict[str, Any]) -> None:
        seen = self.observe()
        self.programs = dict(row["programs"])
        self.take(pods.changes(seen["links"], seen["pods"], row["pods"]))
        self.claims -= {*row.get("drop_claims", ())}

    def take(self, todo: Iterable[Action]) -> None:
        """What ``podlab.host.actions.apply`` does."""
        for action in todo:
            run = TAKEN.get(type(action))
            if run:
                run(self, action)

    def _end_containers(self, action: actions.EndContainers) -> None:
        for netns, name in action.supervised:
            self.pods[netns]["services"].discard(name)

    def _remove_pod(self, action: actions.RemovePod) -> None:
        pod = self.pods.pop(action.netns)
        if pods.veth_name(action.netns) in self.root.links:
            self.root.delete(pods.veth_name(action.netns))
        for name in [name for name, link in self.root.links.items() if link["peer"]]:
            if self.root.links[name]["peer"][0] is pod["namespace"]:
                self.root.delete(name)
        del self.root.neighbours[action.netns]

    def _make_sandbox(self, action: actions.MakeSandbox) -> None:
        netns = action.row["netns"]
        if netns in self.pods:
            raise Refused(f"netns {netns}: File exists")
        namespace = self.root.neighbours[netns] = Namespace()
        self.pods[netns] = {"namespace": namespace, "sandbox": True, "row": None, "services": set()}

    def _make_volume(self, action: actions.MakeVolume) -> None:
        volume = action.row.get("volumes", {})[action.name]
        if volume["kind"] == "claim":
            self.claims.add(volume["directory"])

    def _start_container(self, action: actions.StartContainer) -> None:
        self.pods[action.row["netns"]]["services"].add(action.name)

    def _record_pod(self, action: actions.RecordPod) -> None:
        self.pods[action.row["netns"]]["row"] = copy.deepcopy(action.row)

    def reboot(self) -> None:
        """Only files outlive it."""
        for netns in list(self.pods):
            self.take([actions.RemovePod(netns, None, comes_back=False)])
        uplinks = {name: link for name, link in self.root.links.items() if link["kind"] != "bridge"}
        default = [route for route in self.root.routes if route["to"] == "0.0.0.0/0"]
        self.root.links, self.root.routes = {}, []
        for name, link in uplinks.items():
            addresses, link["addresses"] = link["addresses"], []
            self.root.links[name] = link
            for address in addresses:
                self.root.add_address(address, name)
        self.root.routes += default
        self.rules = {table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()}
        self.services["sound"] = False
        for key, value in (self.record or {}).get("sysctls", {}).items():
            self.write(key, value)


TAKEN: dict[type[Action], Callable[[SimulatedHost, Any], None]] = {
    Ip: lambda host, action: host.root.ip([action.words]),
    Bridge: lambda host, action: host.root.bridge([action.words]),
    Sysctl: lambda host, action: host.write(action.key, action.value),
    NetnsIp: lambda host, action: host.pods[action.netns]["namespace"].ip([action.words]),
    actions.EndContainers: SimulatedHost._end_containers,
    actions.RemovePod: SimulatedHost._remove_pod,
    actions.MakeSandbox: SimulatedHost._make_sandbox,
    actions.MakeVolume: SimulatedHost._make_volume,
    actions.StartContainer: SimulatedHost._start_container,
    actions.RecordPod: SimulatedHost._record_pod,
}
"""The kinds that this host knows of; what the others are about it has not."""


def restore(table: dict[str, list[str]], lines: list[str]) -> None:
    """``iptables-restore --noflush`` of one table: all of it or nothing."""
    new = {name: list(chain) for name, chain in table.items()}
    for line in lines:
        verb, _, rest = line.partition(" ")
        name, _, rule = rest.partition(" ")
        if verb.startswith(":"):
            new[verb[1:]] = []
        elif verb == "-A":
            target = iptables_save.target(rule)
            if target.startswith("PODLAB-") and target not in new:
                raise Refused(f"chain {target} does not exist")
            new[name].append(rule)
        elif verb == "-I":
            number, _, rule = rule.partition(" ")
            new[name].insert(int(number) - 1, rule)
        elif verb == "-D":
            if rule not in new[name]:
                raise Refused("does a matching rule exist in that chain?")
            new[name].remove(rule)
        elif verb == "-X":
            used = any(iptables_save.target(rule) == name for chain in new.values() for rule in chain)
            if used or new[name]:
                raise Refused("Directory not empty")
            del new[name]
        else:
            raise Refused(f"unknown line: {line}")
    table.clear()
    table.update(new)
