"""Names of settings: which there are, which there were, and what hosts have to agree on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from podlab.controller import settings
from podlab.planner.inputs.settings import SETTINGS, Cluster, setting_of
from podlab.planner.inputs.variables import cluster_settings, misnamed

GROUPS = {"nodes": ["node1", "node2"], "gateways": ["gateway"], "external": ["outside"]}


def hosts(**variables: Any) -> dict[str, dict[str, Any]]:
    """The sample's hosts; what is given all of them have."""
    return {name: {"ansible_host": "10.100.0.2", **variables} for group in GROUPS.values() for name in group}


def test_a_cluster_has_an_attribute_for_each_of_its_settings() -> None:
    named = {setting_of(attribute.name) for attribute in fields(Cluster)} | {"podlab_manifests"}
    assert named == {setting.name for setting in SETTINGS.values() if setting.of == "cluster"}


def test_every_setting_by_its_name_is_sound() -> None:
    known = {name: setting.default for name, setting in SETTINGS.items()}
    assert (
        misnamed(hosts(**known, podlab_plan={}, ansible_user="admin", node_purpose="a word of the user's"), GROUPS)
        == {}
    )


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        pytest.param(
            {"cluster": {"cidr": "10.1.0.0/16", "pod_routing": "vxlan"}},
            [
                "cluster.cidr: renamed; write podlab_cluster_cidr",
                "cluster.pod_routing: renamed; write podlab_pod_routing",
            ],
            id="each member of cluster",
        ),
        pytest.param(
            {"cluster": {"pod_rooting": "vxlan"}},
            ["cluster.pod_rooting: unknown setting; did you mean podlab_pod_routing?"],
            id="a member misspelt",
        ),
        *(
            pytest.param(
                {"cluster": value},
                [
                    "cluster: settings are variables of their own; write podlab_cluster_cidr for cluster.cidr, and so on",
                ],
                id=f"cluster {value!r}",
            )
            for value in ({}, "{{ all_of_it }}")
        ),
        pytest.param(
            {"manifests": "mine", "keep_power": True, "scripts": "/tmp"},
            [
                "manifests: renamed; write podlab_manifests",
                "keep_power: renamed; write podlab_keep_power",
                "scripts: renamed; write podlab_scripts",
            ],
            id="without prefix",
        ),
        pytest.param(
            {"legs": ["10.100.0.2/24"]},
            ["legs: renamed; write interfaces (node1, node2, gateway and 1 more)"],
            id="of hosts",
        ),
        pytest.param(
            {"podlab_service_cdr": "10.96.0.0/16"},
            ["podlab_service_cdr: unknown setting; did you mean podlab_service_cidr?"],
            id="misspelt",
        ),
        pytest.param(
            {"podlab_cidr": "10.1.0.0/16"},
            ["podlab_cidr: unknown setting; did you mean podlab_cluster_cidr?"],
            id="prefix before the old name",
        ),
    ],
)
def test_a_name_that_is_none_is_an_error_with_the_one_to_write(variables: dict[str, Any], lines: list[str]) -> None:
    assert list(misnamed(hosts(**variables), GROUPS)) == lines


def test_a_name_like_no_other_gets_the_list() -> None:
    (line,) = misnamed(hosts(podlab_colour="red"), GROUPS)
    assert line.startswith(
        "podlab_colour: unknown setting; there are: podlab_affinity_by_ipset, podlab_allow_host_ipc, "
    )


def test_the_group_outsiders_is_a_child_of_external_or_an_error() -> None:
    without = {"nodes": ["node1"], "outsiders": ["outside", "other"]}
    words = "outsiders: the group is renamed; write external, or make it a child of external (outside, other)"
    assert list(misnamed({}, without)) == [words]
    assert list(misnamed({}, {**without, "external": ["outside", "other"]})) == []
    assert list(misnamed({}, {"nodes": ["node1"], "outsiders": []})) == []


def test_one_setting_may_stand_with_one_group() -> None:
    found = hosts(podlab_pod_routing="vxlan")
    found["node1"]["podlab_vxlan_id"] = found["node2"]["podlab_vxlan_id"] = 7
    assert cluster_settings(found) == ({"podlab_pod_routing": "vxlan", "podlab_vxlan_id": 7}, [])


def test_hosts_that_disagree_on_a_setting_of_the_cluster_are_named() -> None:
    found = hosts(podlab_vxlan_id=1, podlab_boot=True)
    found["node2"] |= {"podlab_vxlan_id": 7, "podlab_boot": False}
    assert cluster_settings(found)[1] == [
        "podlab_vxlan_id: Invalid value: the hosts of a cluster have one value, not "
        "1 (node1, gateway, outside); 7 (node2)"
    ]


def test_a_plays_own_variable_holds_for_all_hosts() -> None:
    """No host has it, and it wins over what the inventory says, even where hosts disagree."""
    found = hosts(podlab_vxlan_id=1, podlab_bridge="br0")
    found["node2"]["podlab_vxlan_id"] = 7
    task_vars = {**found["node1"], "podlab_vxlan_id": "{{ 8 }}", "inventory_hostname": "node1", "groups": GROUPS}
    directory, read, problems = settings.of_cluster(task_vars, found, lambda value: 8 if value == "{{ 8 }}" else value)
    assert (directory, read, problems) == (["manifests"], {"podlab_vxlan_id": 8, "podlab_bridge": "br0"}, [])


def test_names_and_values_are_wrong_at_once() -> None:
    found = hosts(podlab_manifests=3)
    task_vars = {**found["node1"], "manifests": "x", "inventory_hostname": "node1", "groups": GROUPS}
    assert settings.of_cluster(task_vars, found, lambda value: value) == (
        ["manifests"],
        {"podlab_manifests": 3},
        ["manifests: renamed; write podlab_manifests", "podlab_manifests: Invalid value: 3: must be of type string"],
    )
