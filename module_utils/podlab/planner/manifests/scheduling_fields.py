"""Where a pod wants to run: tolerations, spreading, and which other pods it keeps away from."""

from __future__ import annotations

from ..scheduler.model import AntiAffinity, Selector, Spread, Toleration
from . import names
from .field_table import NAMESPACE_SELECTOR
from .reading import Field, selector

HOSTNAME = "kubernetes.io/hostname"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_EMPTY = "can not be empty"
_POSITIVE = "must be greater than zero"


# --- taints ---------------------------------------------------------------------------------------------


def tolerations(node: Field) -> tuple[Toleration, ...]:
    return tuple(map(_toleration, node.items()))


def _toleration(node: Field) -> Toleration:
    key, operator, value = node["key"].text(), node["operator"].text(), node["value"].text()
    effect = node["effect"].text()
    if key:
        node["key"].check(names.qualified_name(key))
    elif operator != "Exists":
        node["operator"].invalid(
            'operator must be Exists when `key` is empty, which means "match all values and all keys"', operator
        )
    if node["tolerationSeconds"].given and effect != "NoExecute":
        node["effect"].invalid("effect must be 'NoExecute' when `tolerationSeconds` is set", effect)
    if operator in ("", "Equal"):
        if wrong := names.label_value(value):
            node["operator"].invalid(";".join(wrong), value)
    elif operator == "Exists":
        if value:
            node["operator"].invalid("value must be empty when `operator` is 'Exists'", node.value)
    else:
        node["operator"].unsupported(operator, ("Equal", "Exists"))
    if effect and effect not in _EFFECTS:
        node["effect"].unsupported(effect, _EFFECTS)
    return Toleration(key, operator or "Equal", value, effect)


def taint(text: str) -> tuple[str, str, str] | str:
    """A taint as ``kubectl taint`` has it, ``key=value:effect`` or ``key:effect``; or what is wrong with it."""
    left, colon, effect = text.rpartition(":")
    key, _, value = left.partition("=")
    if not colon:
        return "must be key=value:effect or key:effect"
    if effect not in _EFFECTS:
        return f"invalid taint effect: {effect}, unsupported taint effect; there are: {', '.join(_EFFECTS)}"
    wrong = names.qualified_name(key) + names.label_value(value)
    return wrong[0] if wrong else (key, value, effect)


# --- spreading ------------------------------------------------------------------------------------------


def spread(node: Field) -> tuple[Spread, ...]:
    made = []
    seen: set[tuple[str, str]] = set()
    for item in node.items():
        one, when = _spread(item), item["whenUnsatisfiable"].text()
        if one.key and (one.key, when) in seen:
            item["{topologyKey, whenUnsatisfiable}"].duplicate(f"{{{one.key}, {when}}}")
        seen.add((one.key, when))
        made.append(one)
    return tuple(made)


def _spread(node: Field) -> Spread:
    skew, key, when = node["maxSkew"].integer(0), node["topologyKey"].text(), node["whenUnsatisfiable"].text()
    if skew <= 0:
        node["maxSkew"].invalid(_POSITIVE, skew)
    _check_topology(node["topologyKey"], key)
    if when not in ("DoNotSchedule", "ScheduleAnyway"):
        node["whenUnsatisfiable"].unsupported(when, ("DoNotSchedule", "ScheduleAnyway"))
    domains = node["minDomains"].integer(1)
    if node["minDomains"].given:
        if domains <= 0:
            node["minDomains"].invalid(_POSITIVE)
        if when == "ScheduleAnyway":
            node["minDomains"].invalid(
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway", domains
            )
    return Spread(key, skew, when == "DoNotSchedule", _own_selector(node["labelSelector"]), domains)


def _own_selector(node: Field) -> Selector:
    """A selector of pods. One that is not written selects none of them, unlike an empty one, which selects all."""
    return selector(node) if node.given else _NONE


# "is there, and is not": nothing is both.
_NONE = Selector(expressions=((HOSTNAME, "Exists", ()), (HOSTNAME, "DoesNotExist", ())))


def _check_topology(node: Field, key: str) -> None:
    if node.absent:
        node.required(_EMPTY)
    elif key:
        node.check(names.qualified_name(key))


# --- keeping away ---------------------------------------------------------------------------------------

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def anti_affinity(node: Field, namespace: str) -> tuple[AntiAffinity, ...]:
    """``podAntiAffinity`` between nodes; ``namespace`` is the pod's own, meant where a term names none."""
    if not node.given:
        return ()
    made = [_term(term, namespace, 0) for term in node[_REQUIRED].items()]
    for item in node[_PREFERRED].items():
        weight = item["weight"].integer(0)
        if not 1 <= weight <= 100:
            item["weight"].invalid("must be in the range 1-100", weight)
        made.append(_term(item["podAffinityTerm"], namespace, weight))
    return tuple(made)


def _term(node: Field, namespace: str, weight: int) -> AntiAffinity:
    key = node["topologyKey"].text()
    _check_topology(node["topologyKey"], key)
    if key and key != HOSTNAME:
        node["topologyKey"].refuse(f"use {HOSTNAME}, or topologySpreadConstraints with this key")
    for item in node["namespaces"].items():
        item.check(names.dns1123_label(item.text()))
    node["namespaceSelector"].refuse_empty(NAMESPACE_SELECTOR.why)  # all of them
    return AntiAffinity(_own_selector(node["labelSelector"]), node["namespaces"].texts() or (namespace,), weight)
