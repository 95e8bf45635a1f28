"""Kernel settings of a host."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping

LOCALNET = "net.ipv4.conf.all.route_localnet"
"""With it a packet from 127.0.0.1 may leave for a pod, and neighbours may send to this host's 127.0.0.0/8."""

FORWARD = "net.ipv4.ip_forward"

BRIDGE_CALLS = ("iptables", "ip6tables", "arptables")

GUARDED = (LOCALNET,)
"""Settings that open what a rule of iptables has to guard. The component of that rule makes them, right after it: the
rule comes late in a run, or never where a component is left out. The component *node* remembers what was before, and
gives it back before the rule goes."""


def changes(observed: Mapping[str, str], wanted: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """Key -> value to write: what is wanted and not so, but for ``GUARDED``, and old values of what is wanted no more.

    ``recorded`` holds what the host had before podlab came, for every key that podlab ever changed.
    """
    settled = {
        key: value
        for key, value in {**recorded, **wanted}.items()
        if not (key in GUARDED and key in wanted)
        and (key in wanted or key in observed)  # a link may have gone, and its settings with it
    }
    differing = {key: value for key, value in settled.items() if observed.get(key) != value}
    if FORWARD not in differing:
        return differing
    # It comes first, and the kernel gives its value to all links then.
    value = differing.pop(FORWARD)
    kept = {key: it for key, it in settled.items() if is_forwarding(key) and it != value}
    return {FORWARD: value} | kept | {key: it for key, it in differing.items() if not is_forwarding(key) or it != value}


def is_forwarding(key: str) -> bool:
    """Whether it is the setting of a single link that ``ip_forward`` is for all."""
    return key.startswith("net.ipv4.conf.") and key.endswith(".forwarding")


def switched_on_by(modules: Collection[str]) -> dict[str, str]:
    """Settings that come with kernel modules and are on from then on, as what they were without them: off.

    Without ``br_netfilter`` no frame of a bridge passes iptables. The kernel's own value of these settings is 1, for
    all bridges of the host, ARP and IPv6 too; taken for what was before, podlab would leave that behind.
    """
    return {f"net.bridge.bridge-nf-call-{kind}": "0" for kind in BRIDGE_CALLS} if "br_netfilter" in modules else {}


def opening(observed: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """What the component that guards them has to make of these settings, once its rules stand."""
    return {key: value for key, value in wanted.items() if key in GUARDED and observed.get(key) != value}


def closing(observed: Mapping[str, str], wanted: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """And before, where it will not guard them any more."""
    old = {key: value for key, value in recorded.items() if key in GUARDED and key not in wanted}
    return {key: value for key, value in old.items() if observed.get(key) != value}


def originals(observed: Mapping[str, str], wanted: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """What the record has to remember: the first value that was seen of every wanted key."""
    known = {**observed, **recorded}
    return {key: known[key] for key in wanted if key in known}


KERNELS = {
    FORWARD: "0",
    LOCALNET: "0",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.netfilter.nf_conntrack_tcp_be_liberal": "0",
    "net.ipv4.conf.all.send_redirects": "1",
}
"""What the kernel itself gives to the settings that podlab makes, once the modules are there that bring them."""

PODLABS = {
    **{"ip_forward": "1", "route_localnet": "1", "bridge-nf-call-iptables": "1", "nf_conntrack_tcp_be_liberal": "1"},
    **{"forwarding": "1", "send_redirects": "0", "rp_filter": "2"},
}
"""What podlab makes of them, and of those of single links (``net.ipv4.conf.LINK``), by the last word."""

OF_LINKS = ("forwarding", "send_redirects", "rp_filter")


def forgotten(observed: Mapping[str, str]) -> dict[str, str]:
    """What stands in for the lost record of a host that podlab has been to: the kernel's default, for each of these
    settings that is what podlab makes of it. What somebody else has set so cannot be told from that."""
    asked = [key for key, value in observed.items() if PODLABS.get(_kind(key)) == value and _may_be_podlabs(key)]
    return {key: default for key in asked if (default := kernels(key, observed)) != observed[key]}


def _may_be_podlabs(key: str) -> bool:
    """Of what is for new links podlab makes ``forwarding`` alone, and of what is for all, what is in ``KERNELS``."""
    link = key.split(".")[-2]
    return key in KERNELS or _kind(key) == "forwarding" or link not in ("all", "default")


def _kind(key: str) -> str:
    return key.rpartition(".")[2]


def candidates(links: Iterable[str]) -> list[str]:
    """The settings that podlab may have made on a host with these links."""
    return [
        *KERNELS,
        *(f"net.ipv4.conf.{name.replace('.', '/')}.{key}" for name in ("default", *links) for key in OF_LINKS),
    ]


def kernels(key: str, observed: Mapping[str, str]) -> str:
    """The kernel's default for a setting of podlab's; of a link that of new links, as it is now."""
    if key in KERNELS:
        return KERNELS[key]
    kind = _kind(key)
    if kind == "forwarding":  # that of "default" is podlab's as well
        return KERNELS[FORWARD]
    fallback = {"send_redirects": "1"}.get(kind, "0")
    return observed.get(f"net.ipv4.conf.default.{kind}", fallback)


def line(key: str, value: str) -> str:
    """The command for one setting."""
    return shlex.join(["sysctl", "-w", f"{key}={value}"])
