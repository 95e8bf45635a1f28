"""Single network namespaces, isolated, host-only or bridged: the lesson before pods. They are no part of a cluster."""

NAMESPACE_MARK = "podlab-namespace"
"""Alias of each namespace's ``lo`` and of its links on the host, and comment of its iptables rules. It differs from the
mark of a cluster's objects, so a cluster on the same host takes none of them for its own. ``lo`` bears it for the
namespace, whose name cannot, since no other link of a namespace is sure to stay."""
