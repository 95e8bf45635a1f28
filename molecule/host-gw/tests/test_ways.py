"""From every way to every other on a cluster that stands: one run, and nothing of the old way is left on any host."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from podlab.embedded import Lab
from tests.lab.conftest import ROOT, TestLab
from tests.picture import picture

HOSTS = ("gateway", "node1", "node2")
ORDER = ("gateway", "vxlan", "host-gw", "gateway")


def choose(way):
    return "-e", json.dumps({"podlab_pod_routing": way})


@pytest.fixture(scope="session")
def labs(lab):
    """A lab for each way that was built that way from nothing."""
    inventory = lab.inventory.with_name("ways.yml")
    built = {way: TestLab(f"{lab.name}-{way}", inventory, lab.manifests) for way in set(ORDER)}
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda way: built[way].converge(*choose(way), "--skip-tags", "verify"), built))
        yield built
    finally:
        for each in built.values():
            Lab(str(ROOT), each.name).power_off()


def test_one_run_converts_it_and_leaves_nothing_of_the_old_way(labs, talk):
    pictures = {way: {host: picture(built, host) for host in HOSTS} for way, built in labs.items()}
    assert pictures["gateway"] != pictures["host-gw"] != pictures["vxlan"] != pictures["gateway"]
    changing = labs[ORDER[0]]
    conversation = talk(changing, ("node1", "calm"), ("node1", "worn"))
    for way in ORDER[1:]:
        assert "connections are as planned" in changing.converge(*choose(way))
        for host in HOSTS:
            assert picture(changing, host) == pictures[way][host], f"{host} after {way}"
        assert conversation.goes_on()
