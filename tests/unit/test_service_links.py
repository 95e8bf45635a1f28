"""The variables by which containers find Services: what they are called, who gets them, and when they change."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from podlab.changes.pods import containers as changes
from podlab.planner.model import Desired, Document
from podlab.planner.services import links as service_links
from podlab.planner.services.links import Links
from tests.unit.bodies import data, desired
from tests.unit.test_plan import Lab, pending

COMMAND = ["serve", "$(LEDGER_DB_SERVICE_HOST)", "$(NO_SERVICE_HOST)", "$$(LEDGER_DB_SERVICE_HOST)", "$(OTHER)"]


def service(name: str, *ports: dict[str, Any], namespace: str = "default", **spec: Any) -> dict[str, Any]:
    spec = {"ports": list(ports) or [{"port": 80}], "selector": {"app": "x"}, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


LEDGER = service(
    "ledger-db",
    {"name": "sql", "port": 5432},
    {"name": "log-in", "port": 514, "protocol": "UDP"},
    clusterIP="10.96.7.7",
)


def pod(name: str, namespace: str = "default", *, container: Any = None, **spec: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "busybox", "command": COMMAND, **(container or {})}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [main], **spec}}


def env(**values: str) -> dict[str, Any]:
    return {"env": [{"name": name, "value": value} for name, value in values.items()]}


def wish(*bodies: dict[str, Any]) -> Desired:
    elsewhere = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}
    return desired(*(Document(body, "m/x.yaml", 1) for body in (elsewhere, *bodies)))


def containers(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Pod -> its one container's row."""
    rows = [row for host in result["hosts"].values() for row in host.get("pods", {}).get("pods", ())]
    return {row["object"]["metadata"]["name"]: row["containers"]["main"] for row in rows}


def planned(*bodies: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return containers(Lab().plan(wish(*bodies)))


def test_their_names_and_values_are_the_kubelets():
    assert planned(LEDGER, pod("a"))["a"]["services"] == {
        "LEDGER_DB_SERVICE_HOST": "10.96.7.7",
        "LEDGER_DB_SERVICE_PORT": "5432",
        "LEDGER_DB_SERVICE_PORT_SQL": "5432",
        "LEDGER_DB_SERVICE_PORT_LOG_IN": "514",
        "LEDGER_DB_PORT": "tcp://10.96.7.7:5432",
        "LEDGER_DB_PORT_5432_TCP": "tcp://10.96.7.7:5432",
        "LEDGER_DB_PORT_5432_TCP_PROTO": "tcp",
        "LEDGER_DB_PORT_5432_TCP_PORT": "5432",
        "LEDGER_DB_PORT_5432_TCP_ADDR": "10.96.7.7",
        "LEDGER_DB_PORT_514_UDP": "udp://10.96.7.7:514",
        "LEDGER_DB_PORT_514_UDP_PROTO": "udp",
        "LEDGER_DB_PORT_514_UDP_PORT": "514",
        "LEDGER_DB_PORT_514_UDP_ADDR": "10.96.7.7",
    }


def test_arguments_and_values_may_name_them():
    written = env(URL="db://$(LEDGER_DB_SERVICE_HOST):$(LEDGER_DB_SERVICE_PORT)/$$(URL)", NONE="$(NO_PORT_80_TCP)")
    made = planned(LEDGER, pod("a", container=written))["a"]
    assert made["argv"] == ["serve", "10.96.7.7", "$(NO_SERVICE_HOST)", "$(LEDGER_DB_SERVICE_HOST)", "$(OTHER)"]
    assert made["env"]["URL"] == "db://10.96.7.7:5432/$(URL)"
    assert made["env"]["NONE"] == "$(NO_PORT_80_TCP)"


def test_what_a_container_sets_itself_wins_from_where_it_stands_on():
    written = env(BEFORE="$(LEDGER_DB_SERVICE_HOST)", LEDGER_DB_SERVICE_HOST="mine", AFTER="$(LEDGER_DB_SERVICE_HOST)")
    made = planned(LEDGER, pod("a", container=written))["a"]
    assert (made["env"]["BEFORE"], made["env"]["AFTER"], made["argv"][1]) == ("10.96.7.7", "mine", "mine")
    settings = data("ConfigMap", "settings", data={"LEDGER_DB_SERVICE_HOST": "theirs"}).body
    made = planned(LEDGER, settings, pod("a", container={"envFrom": [{"configMapRef": {"name": "settings"}}]}))["a"]
    assert (made["env"]["LEDGER_DB_SERVICE_HOST"], made["argv"][1]) == ("theirs", "theirs")


@pytest.mark.parametrize(
    "other",
    [
        service("ledger-db", clusterIP="None"),
        service("ledger-db", type="ExternalName", externalName="db.example.com"),
        service("ledger-db", namespace="elsewhere"),
    ],
    ids=["headless", "ExternalName", "another namespace"],
)
def test_services_that_have_none(other):
    made = planned(other, pod("a"))["a"]
    assert "services" not in made
    assert made["argv"][1] == "$(LEDGER_DB_SERVICE_HOST)"


def test_a_pod_that_wants_none_gets_none():
    made = planned(LEDGER, pod("a", enableServiceLinks=False), pod("b", enableServiceLinks=True))
    assert "services" not in made["a"]
    assert made["a"]["argv"][1] == "$(LEDGER_DB_SERVICE_HOST)"
    assert "services" in made["b"]


def test_those_of_the_api_servers_service_are_everywhere():
    master = service("kubernetes", {"name": "https", "port": 443}, clusterIP="10.96.0.1")
    made = planned(master, LEDGER, pod("a", "elsewhere", enableServiceLinks=False), pod("b", "elsewhere"), pod("c"))
    assert {name: row["services"]["KUBERNETES_SERVICE_HOST"] for name, row in made.items()} == dict.fromkeys(
        "abc", "10.96.0.1"
    )
    assert ["LEDGER_DB_PORT" in made[name]["services"] for name in "abc"] == [False, False, True]


# --- later ----------------------------------------------------------------------------------------------


def test_a_service_that_comes_goes_or_changes_restarts_nothing():
    lab, web = Lab(), service("web", clusterIP="10.96.7.8")
    before = containers(lab.run(wish(LEDGER, pod("a"))))
    moved = json.loads(json.dumps(LEDGER).replace("5432", "5433"))
    for bodies in ([LEDGER, web], [moved], [web], []):
        result = lab.run(wish(*bodies, pod("a")))
        assert containers(result) == before
        assert not any("pods" in components for components in pending(result).values())


def test_whoever_is_started_later_gets_what_there_is_then():
    lab, web = Lab(), service("web", clusterIP="10.96.7.8")
    lab.run(wish(LEDGER, pod("a"), pod("b")))
    changed = pod("b", container=env(A="1"))
    made = containers(lab.run(wish(LEDGER, web, pod("a"), changed, pod("c"))))
    assert {name: "WEB_SERVICE_HOST" in row["services"] for name, row in made.items()} == {
        "a": False,
        "b": True,
        "c": True,
    }
    switched_off = pod("a", enableServiceLinks=False)
    assert "services" not in containers(lab.run(wish(LEDGER, web, switched_off, changed, pod("c"))))["a"]


def test_a_pod_of_a_podlab_that_knew_of_no_such_variables_stays_as_it_is():
    lab = Lab()
    before = containers(lab.run(wish(pod("a"))))
    assert "services" not in before["a"]
    assert containers(lab.run(wish(LEDGER, pod("a")))) == before


def test_the_names_of_replicas_do_not_depend_on_addresses():
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod("x")["spec"]}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "replicas": 2, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
    elsewhere = service("ledger-db", {"name": "sql", "port": 5432}, clusterIP="10.96.7.9")
    with_links, without, other = planned(LEDGER, web), planned(web), planned(elsewhere, web)
    assert with_links.keys() == without.keys() == other.keys()
    assert len(with_links) == 2


def test_more_than_a_program_can_be_started_with_is_refused():
    many = [service(f"a-service-with-quite-a-long-name-number-{number}") for number in range(3500)]
    [problem] = Lab().problems(wish(*many, pod("a"), pod("b"), pod("c", "elsewhere")))
    assert "Services of the namespace default" in problem
    assert "enableServiceLinks: false" in problem
    planned(*many, pod("a", enableServiceLinks=False))


def test_the_limit_counts_what_the_kernel_counts():
    """Each NAME=value with its NUL and a pointer (execve(2)), and nothing else."""

    def refused(count: int) -> bool:
        links = Links({"default": {f"N{number:07}": "v" * 82 for number in range(count)}}, {})  # 100 bytes each
        return bool(links.too_many(wish(pod("a")).pods))

    most = service_links.MOST_BYTES // 100
    assert (refused(most), refused(most + 1)) == (False, True)


def test_as_many_variables_as_are_let_pass_start_a_program(tmp_path: Path):
    """With the longest line of arguments that is left room for."""
    names = [f"N{number:07}" for number in range(service_links.MOST_BYTES // 100)]
    row: Any = {"env": {}, "services": dict.fromkeys(names, "v" * 82)}
    (tmp_path / "env").write_text(changes.environment_file("web", row))
    argv = [f"{changes.EXECLINE}/envfile", str(tmp_path / "env"), "/usr/bin/printf", "%.1s", "x" * 131071, "y" * 60000]
    if not Path(argv[0]).exists():
        pytest.skip("execline is not installed")
    done = subprocess.run(argv, env={}, capture_output=True, text=True, check=False, preexec_fn=_usual_stack)
    assert (done.returncode, done.stdout) == (0, "xy"), done.stderr


def _usual_stack() -> None:
    resource.setrlimit(resource.RLIMIT_STACK, (8 * 1024 * 1024, resource.getrlimit(resource.RLIMIT_STACK)[1]))
