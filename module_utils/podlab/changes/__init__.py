"""What separates a host from its rows, as the lines that a person would type.

One pure function a kernel table: observation and rows in, lines out. The planner asks it whether a
component has anything to do on a host, the module asks it what to apply, so the two cannot disagree.
"""

MARK = "podlab"
"""Link alias (or its first word) of everything that podlab makes."""

ROUTE_PROTOCOL = 117
"""Routing protocol number of podlab's routes; none of iproute2's rt_protos has it."""

CHAIN_PREFIX = "PODLAB-"
"""First letters of podlab's own iptables chains. KUBE-* belongs to the service layer."""

MAC_PREFIX = "0a:58:"
"""What podlab's MAC addresses begin with, as those of the CNI plugins; an IPv4 address follows."""
