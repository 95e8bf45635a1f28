"""Which pod an endpoint is, and in which network namespace its program listens."""

from __future__ import annotations

from typing import Any

from podlab.planner.model import Pod, PodTemplate
from podlab.planner.services.endpoint_pods import PodPlace, PodPlaces
from podlab.planner.services.model import Endpoint, Slice

TEMPLATE: Any = PodTemplate.__new__(PodTemplate)
WEB, ONE, OTHER = (Pod("default", name, TEMPLATE, "a.yml:1") for name in ("web", "one", "other"))
PLACED = {"default/web": "node1", "default/one": "node1", "default/other": "node1"}
ADDRESSES = {"default/web": "10.1.1.2", "default/one": "10.100.0.2", "default/other": "10.100.0.2"}


def places(*targets: str) -> PodPlaces:
    endpoints = tuple(Endpoint("10.100.0.2", "node1", target=target) for target in targets)
    slices = {"default/there": [Slice("default", "there-abc", "there", endpoints=endpoints)]}
    return PodPlaces([WEB, ONE, OTHER], PLACED, ADDRESSES, {"default/one", "default/other"}, slices)


def endpoint(address: str) -> Any:
    return {"address": address, "port": 80, "node": "node1"}


def test_a_pod_listens_in_its_own_network_namespace():
    assert places().of("default/web", endpoint("10.1.1.2")) == PodPlace("node1", "default_web", "default/web")


def test_of_the_pods_on_a_nodes_network_the_slice_knows_which():
    found = places("default/other").of("default/there", endpoint("10.100.0.2"))
    assert found == PodPlace("node1", None, "default/other")


def test_what_is_no_pod_of_the_plan_is_nowhere():
    assert places().of("default/web", endpoint("192.0.2.1")) is None
