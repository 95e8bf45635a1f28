"""Groups that plays are for, and that an inventory need not have."""

from __future__ import annotations

OPTIONAL = ("embedded", "gateways", "external")
# What a host has to do; the plan sorts hosts into these.
PENDING = (
    *("system", "node", "bridge", "record", "pods", "services_first", "services_finalize", "routes", "egress"),
    *("rollout", "services"),
)
MAY_BE_EMPTY = (*OPTIONAL, *(f"pending_{component}" for component in PENDING))
