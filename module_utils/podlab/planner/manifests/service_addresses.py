"""Addresses in a Service as it is written: its own, external ones, and those of a load balancer."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from ..services.model import EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, Ingress
from . import fields, ip_parsing, names
from .reading import Field

Ignore = Callable[[str], None]
"""Takes the path of what has no meaning here."""

FAMILIES = ("IPv4", "IPv6")
BAD_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"

_BAD_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def cluster_ip_of(spec: Field, kind: str) -> str:
    """``clusterIP`` and ``clusterIPs``, which say the same, and the families of both.

    ``ValidateServiceClusterIPsRelatedFields``, then what the allocator says of families (``initIPFamilyFields``).
    """
    if not any(spec[name].given for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")):
        return ""
    one, written = spec["clusterIP"].text(), spec["clusterIPs"]
    ips = written.texts() or ((one,) if one else ())
    many = written.holding(list(ips))
    families, policy = spec["ipFamilies"], spec["ipFamilyPolicy"]
    if kind == EXTERNAL_NAME:
        for node in (many, families, policy):
            if not node.absent:
                node.forbidden("may not be set for ExternalName services")
        return ""
    shown = fields.go_strings(ips)
    if one and ips[0] != one:
        many.invalid("first value must match `clusterIP`", shown)
    elif ips and not one:
        many.invalid("must be empty when `clusterIP` is not specified", shown)
    wanted = _families(families)
    policy.one_of(("PreferDualStack", "RequireDualStack", "SingleStack"), "SingleStack")
    found = _addresses_of(many, shown)
    if found is None:
        return ""
    for index, (item, ip, family) in enumerate(zip(many.items(), found, wanted, strict=False)):
        if ip is not None and family in FAMILIES and family != f"IPv{ip.version}":
            item.invalid(f"expected an {family} value as indicated by `ipFamilies[{index}]`")
    is_headless = ips[:1] == (HEADLESS,)
    _check_stack(spec, many, found, is_headless and spec["selector"].absent)
    if is_headless:
        return HEADLESS
    first = found[0] if found else None
    return str(first) if isinstance(first, IPv4Address) else ""


def _families(node: Field) -> list[str]:
    seen: list[str] = []
    for item in node.items():
        family = item.text()
        if family not in FAMILIES:
            item.unsupported(family, FAMILIES)
        if family in seen:
            item.duplicate()
        seen.append(family)
    return seen


def _addresses_of(many: Field, shown: fields.GoText) -> list[ip_parsing.Address | None] | None:
    """The addresses of ``clusterIPs``; None in the place of 'None', and for all of them where one is wrong."""
    found: list[ip_parsing.Address | None] = []
    sound = True
    items = many.items()
    for index, item in enumerate(items):
        if index == 0 and item.text() == HEADLESS:
            if len(items) > 1:
                many.invalid("'None' must be the first and only value", shown)
                sound = False
            found.append(None)
            continue
        found.append(ip_parsing.address(item.text()))
        if found[-1] is None:
            item.invalid(BAD_IP)
            sound = False
    if len(items) > 2:
        many.invalid("may only hold up to 2 values", shown)
    if not sound:
        return None
    if len(items) > 1 and {ip.version for ip in found if ip} != {4, 6}:
        many.invalid("may specify no more than one IP for each IP family", shown)
    return found


def _check_stack(spec: Field, many: Field, found: list[ip_parsing.Address | None], may_be_dual: bool) -> None:
    """The lab is IPv4; a headless Service without selector may say what it likes."""
    families, policy = spec["ipFamilies"], spec["ipFamilyPolicy"]
    stack = policy.text() or "SingleStack"
    wrong = False
    if policy.text() in ("", "SingleStack"):
        for count, what in ((len(found), "cluster IPs"), (len(families.items()), "IP families")):
            if count == 2:
                words = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                policy.invalid(words, stack)
                wrong = True
    for item, ip in list(zip(many.items(), found, strict=True))[len(families.items()) :]:
        if ip is not None and ip.version == 6:
            item.invalid("IPv6 is not configured on this cluster", fields.go_strings(many.texts()))
            wrong = True
    if wrong or may_be_dual:
        return
    if stack == "RequireDualStack":
        policy.invalid("this cluster is not configured for dual-stack services")
    for item in families.items():
        if item.text() == "IPv6":
            item.invalid("not configured on this cluster")


def external_ips_of(node: Field, ignore: Ignore) -> tuple[str, ...]:
    found = []
    for item in node.items():
        ip = ip_parsing.address(item.text())
        if ip is None:
            item.invalid(BAD_IP)
            continue
        ip_parsing.check_usable(item, ip, item.text())
        if isinstance(ip, IPv4Address):
            found.append(str(ip))
        else:
            ignore("spec.externalIPs[*] of IPv6")
    return tuple(dict.fromkeys(found))


def source_ranges_of(spec: Field, kind: str, ignore: Ignore) -> tuple[str, ...]:
    """Blanks around a range are allowed, because an annotation once held them all in one line."""
    if not spec["loadBalancerSourceRanges"].given:
        return ()
    ranges = spec["loadBalancerSourceRanges"].texts()
    # With the capital letter that it has in the API server's words.
    told = spec["LoadBalancerSourceRanges"].holding(list(ranges))
    if ranges and kind != LOAD_BALANCER:
        told.forbidden(ONLY_BALANCED)
    found = []
    for item in told.items():
        text = item.text().strip()
        network = ip_parsing.network(text)
        if network is None:
            item.invalid(_BAD_CIDR, text)
        elif isinstance(network, IPv4Network):
            found.append(str(network))
        else:
            ignore("spec.loadBalancerSourceRanges[*] of IPv6")
    return tuple(dict.fromkeys(found))


def ingress_of(status: Field, kind: str, ignore: Ignore) -> tuple[Ingress, ...]:
    """Addresses that a load balancer was given elsewhere (``ValidateLoadBalancerStatus``)."""
    if not status.given:
        return ()
    node = status["loadBalancer"]["ingress"]
    items = node.items()
    if items and kind != LOAD_BALANCER:
        node.forbidden('may only be used when `spec.type` is "LoadBalancer"')
        return ()
    found = []
    for item in items:
        text, hostname, mode = item["ip"].text(), item["hostname"].text(), item["ipMode"].text()
        ip = ip_parsing.address(text)
        if text and ip is None:
            item["ip"].invalid("must be a valid IP address")
        if mode and not text:
            item["ipMode"].forbidden("may not be set when `ip` is not set")
        elif mode not in ("", "Proxy", "VIP"):
            item["ipMode"].unsupported(mode, ("Proxy", "VIP"))
        if hostname:
            item["hostname"].check(names.dns1123_subdomain(hostname))
            if ip_parsing.address(hostname):
                item["hostname"].invalid("must be a DNS name, not an IP address")
        if ip is not None and ip.version == 6:
            ignore("status.loadBalancer.ingress[*].ip of IPv6")
        elif ip is not None or hostname:
            found.append(Ingress(str(ip or ""), hostname, mode or "VIP"))
    return tuple(found)


def load_balancer_ip_of(node: Field, kind: str) -> str:
    text = node.text()
    if not text or kind != LOAD_BALANCER:
        return ""
    ip = ip_parsing.address(text)
    if not isinstance(ip, IPv4Address):
        node.invalid("must be a valid IP address, (e.g. 10.9.8.7)")
        return ""
    return str(ip)
