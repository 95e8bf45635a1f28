"""Thirty manifests of the kinds that Kubernetes' documentation shows, in one lab: each keeps what it promises.

The lab is lit twice: by root, and by an ordinary user, whose user namespace has one id. There, where root asks about
all of them, only what hangs on ids, rights, mounts and settings is asked once more. What is seen is what a reader would
see: ``./lab get``, ``exec``, ``logs``, ``node``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from podlab.planner.manifests.fields import TABLE, Outcome
from tests import preforked

from .conftest import ROOT, as_nobody

THIRTY = ROOT / "tests" / "manifests"
FILES = sorted(THIRTY.glob("*.yml"))

INVENTORY = """
all:
  vars:
    ansible_connection: embedded
    ansible_python_interpreter: /usr/bin/python3
    podlab_pod_routing: gateway
  children:
    embedded:
      children:
        gateways:
          hosts:
            gateway: {ansible_host: 10.100.0.1, interfaces: [10.100.0.1/24, 198.51.100.1/24]}
        nodes:
          hosts:
            node1: {ansible_host: 10.100.0.2}
            node2: {ansible_host: 10.100.0.3}
            node3:
              ansible_host: 10.100.0.4
              node_labels: {disktype: ssd}
              node_taints: ["dedicated=batch:NoSchedule"]
        external:
          hosts:
            outside: {ansible_host: 198.51.100.10}
"""

T = TypeVar("T")
Object = dict[str, Any]


def documents(file: Path) -> list[Object]:
    return list(yaml.safe_load_all(file.read_text("utf-8")))


def wait(condition: Callable[[], T], seconds: float = 90.0) -> T:
    """What the condition says as soon as it says anything true. A deadline, so that a broken promise ends the test."""
    deadline = time.monotonic() + seconds
    while not (said := condition()) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert said, "what was waited for has not come"
    return said


@dataclass
class Lab:
    """A lab of three nodes, and its user at the command line."""

    home: Path
    prefix: list[str]  # makes a command an ordinary user's
    environment: Mapping[str, str]
    verbs: preforked.Loaded

    @property
    def manifests(self) -> Path:
        return self.home / "manifests"

    def try_(self, *argv: str) -> subprocess.CompletedProcess[str]:
        if argv[0] == "./lab" and argv[1] in preforked.QUICK:
            return self.verbs.run(*argv[1:])
        command = [*self.prefix, *argv]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )

    def run(self, *argv: str) -> str:
        done = self.try_(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout[-4000:]}{done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> str:
        return self.run("./lab", "up", "--manifests", str(self.manifests), "--skip-tags", "verify")

    def get(self, kind: str, name: str = "") -> Any:
        """An object, or all of a kind."""
        said = json.loads(self.run("./lab", "get", kind, *([name] if name else []), "-o", "json"))
        return said if name else said["items"]

    def pod(self, name: str) -> Object:
        found: Object = self.get("pods", name)
        return found

    def pods_of(self, app: str, key: str = "app") -> list[Object]:
        return [pod for pod in self.get("pods") if pod["metadata"].get("labels", {}).get(key) == app]

    def exec(self, pod: str, *argv: str, container: str = "") -> str:
        return self.run("./lab", "exec", pod, *(["-c", container] if container else []), "--", *argv).strip()

    def sh(self, pod: str, script: str, container: str = "") -> str:
        return self.exec(pod, "sh", "-c", script, container=container)

    def env(self, pod: str) -> dict[str, str]:
        lines = self.exec(pod, "env").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def logs(self, pod: str, container: str = "") -> str:
        return self.run("./lab", "logs", pod, *(["-c", container] if container else []))

    def node(self, host: str, *argv: str) -> str:
        return self.run("./lab", "node", host, "--", *argv).strip()

    def page(self, host: str, url: str) -> str:
        return self.node(host, "curl", "-sfm", "5", url)


def address(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def is_ready(pod: Object) -> bool:
    return any((item["type"], item["status"]) == ("Ready", "True") for item in pod["status"]["conditions"])


def status(pod: Object, container: str = "") -> Object:
    """Of a container, or of the only one."""
    of = pod["status"]
    found = [*of.get("initContainerStatuses", []), *of["containerStatuses"]]
    if not container:
        assert len(found) == 1
        return found[0]
    return next(item for item in found if item["name"] == container)


def started_at(pod: Object) -> str:
    return str(status(pod)["state"]["running"]["startedAt"])


USERS = ["root", "an ordinary user"] if os.getuid() == 0 else ["an ordinary user"]
# Manifests, by their numbers, of which an ordinary user's kernel makes something else, or might.
HANG_ON_THE_USER = {"04", "10", "20", "21", "22", "23", "24", "25"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lab" in metafunc.fixturenames:
        number = metafunc.function.__name__.split("_")[1]
        metafunc.parametrize("lab", USERS if number in HANG_ON_THE_USER else USERS[:1], indirect=True, scope="module")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    is_root = request.param == "root"
    # Not pytest's own directory: that is closed to everybody else.
    with tempfile.TemporaryDirectory(prefix="podlab-thirty-") as directory:
        home = Path(directory)
        home.chmod(0o755)
        (home / "hosts.yml").write_text(INVENTORY, "utf-8")
        (home / "manifests").mkdir()
        for file in FILES:
            (home / "manifests" / file.name).write_text(file.read_text("utf-8"), "utf-8")
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PODLAB_LAB": f"thirty-{uuid.uuid4().hex[:8]}",
            "ANSIBLE_INVENTORY": str(home / "hosts.yml"),
            "ANSIBLE_NOCOLOR": "1",
        }
        prefix: list[str] = []
        if os.getuid() == 0 and not is_root:
            prefix, words = as_nobody(home)
            environment |= words
        with preforked.lab(environment, prefix, directory) as verbs:
            made = Lab(home, prefix, environment, verbs)
            try:
                made.up()
                yield made
            finally:
                made.try_("./lab", "down")


# --- the table of fields ----------------------------------------------------------------------------------


def paths(value: object, path: str = "") -> Iterator[str]:
    """The path of every value, as the table writes it."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from paths(below, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}[*]")
    else:
        yield path


def test_there_are_thirty_and_each_has_its_test():
    assert len(FILES) == 30
    tested = {match[1] for name in globals() if (match := re.fullmatch(r"test_(\d\d)_\w+", name))}
    assert {file.name[:2] for file in FILES} == tested


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_becomes_of_every_field_is_in_the_table(file):
    """Honoured or listed as ignored: not one of the thirty asks for what is refused, or for what nobody thought of."""
    for body in documents(file):
        rules = TABLE[body["kind"]]
        for path in paths(body):
            parts = [path[:at] for at in [*(found.start() for found in re.finditer(r"\.|\[", path)), len(path)]]
            rule = next((rules[part] for part in reversed(parts) if part in rules), None)
            assert rule, f"{body['kind']}: {path} is not in the table"
            assert rule.outcome is not Outcome.REFUSED, f"{body['kind']}: {path}: {rule.why}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_says_in_two_lines_what_it_shows(file):
    lines = file.read_text("utf-8").splitlines()
    assert 1 <= next(at for at, line in enumerate(lines) if not line.startswith("# ")) <= 3


# --- commands and variables -------------------------------------------------------------------------------


def test_01_command_and_arguments(lab):
    wait(lambda: lab.pod("command-args")["status"]["phase"] == "Succeeded")
    assert lab.logs("command-args").splitlines() == [
        "http://localhost:8080",
        "$(LATER)",
        "$(SCHEME)",
        "$(PORT)",
        "$(NOBODY)",
    ]
    assert status(lab.pod("command-args"))["restartCount"] == 0


def test_02_variables_from_config_maps(lab):
    env = lab.env("config-env")
    assert env["LOG_LEVEL"] == env["SHOP_LOG_LEVEL"] == "info"
    assert (env["SHOP_REGION"], env["REGION"]) == ("north", "south")
    assert env["APPLES"] == "3"
    assert "PEARS" not in env


def test_03_variables_from_secrets(lab):
    env = lab.env("secret-env")
    assert (env["BACK_END_user"], env["BACK_END_password"]) == ("bobby", "c0rrect h0rse")
    assert lab.logs("secret-env") == "signing in as bobby\n"


def test_07_a_pod_knows_itself_by_variables(lab):
    env, pod = lab.env("downward-env"), lab.pod("downward-env")
    assert env["NODE_NAME"] == pod["spec"]["nodeName"]
    assert (env["POD_NAME"], env["POD_NAMESPACE"]) == ("downward-env", "default")
    assert (env["POD_IP"], env["HOST_IP"]) == (address(pod), pod["status"]["hostIP"])
    assert (env["SERVICE_ACCOUNT"], env["TIER"], env["BUILD"]) == ("default", "back", "two")
    assert env["ME"] == f"downward-env@{address(pod)}"
    assert (env["CPU_REQUEST"], env["CPU_LIMIT"]) == ("1", "250")  # without a divisor whole cores, rounded up
    assert (env["MEMORY_REQUEST"], env["MEMORY_LIMIT"]) == ("32", str(64 * 2**20))


# --- files ------------------------------------------------------------------------------------------------


def test_04_a_secret_as_files(lab):
    modes = lab.sh(
        "secret-volume", "cd /etc/keys && stat -L -c '%a %n' *; cd /etc/public && stat -L -c '%a %n' of/this/host"
    )
    assert modes.splitlines() == ["400 id_ed25519", "400 id_ed25519.pub", "440 of/this/host"]
    assert lab.sh("secret-volume", "cat /etc/keys/id_ed25519 /etc/public/of/this/host; ls /etc/public") == (
        "not much of a keynor is thisof"
    )
    assert lab.sh("secret-volume", "touch /etc/keys/mine 2>/dev/null || echo read-only") == "read-only"


def test_05_config_maps_as_files(lab):
    pod = lab.pod("config-map-volume")
    assert lab.page("node1", f"http://{address(pod)}:8080/") == "from a ConfigMap"
    said = lab.sh(
        "config-map-volume", "ls /etc/nginx/conf.d /etc/notes; cat /etc/nginx/today.txt; od -An -tx1 /etc/notes/raw"
    )
    assert said.split() == [
        *("/etc/nginx/conf.d:", "greeting.conf", "/etc/notes:", "raw", "today", "tomorrow"),
        *("milk", "00", "ff"),
    ]


def test_06_several_sources_in_one_directory(lab):
    said = lab.sh("projected-volume", "cd /all; stat -L -c '%a %n' my-group/user colour labels cpu-limit")
    assert said.splitlines() == ["400 my-group/user", "444 colour", "444 labels", "444 cpu-limit"]
    assert lab.sh(
        "projected-volume", "cd /all; for f in my-group/user colour labels cpu-limit; do cat $f; echo; done"
    ) == ('admin\ngreen\ntier="front"\n500')
    assert lab.sh("projected-volume", "ls /all") == "colour\ncpu-limit\nlabels\nmy-group"


def test_08_a_pod_knows_itself_by_files(lab):
    said = lab.sh(
        "downward-volume", "cd /etc/podinfo; cat labels; echo; cat annotations; echo; cat limits/memory; echo"
    )
    assert said.splitlines() == ['rack="rack-22"', 'zone="east"', r'builder="jane \"the fast\" doe"', "65536"]
    assert lab.sh("downward-volume", "stat -L -c %a /etc/podinfo/limits/memory") == "400"


def test_09_nginx_serves_what_its_neighbour_writes(lab):
    wait(lambda: "terminated" in status(lab.pod("shared-volume"), "writer")["state"])
    pod = lab.pod("shared-volume")
    assert lab.page("node2", f"http://{address(pod)}/") == "written next door"
    assert status(pod, "writer")["state"]["terminated"]["reason"] == "Completed"
    assert status(pod, "writer")["restartCount"] == 0
    assert pod["status"]["phase"] == "Running"


def test_10_a_volume_in_memory_and_parts_of_volumes(lab):
    mounted = lab.sh("memory-volume", "grep ' /cache ' /proc/mounts", "writer").split()
    assert mounted[2] == "tmpfs"
    assert "size=8192k" in mounted[3].split(",")
    lab.sh("memory-volume", "echo shared > /cache/note", "writer")
    # workingDir is /whole
    assert (
        lab.sh("memory-volume", "cat by/name/file pods/memory-volume/file /cache/note", "reader") == "one\ntwo\nshared"
    )
    assert lab.sh("memory-volume", "touch mine 2>/dev/null || echo read-only", "reader") == "read-only"


# --- order and health -------------------------------------------------------------------------------------


def test_11_init_containers_one_after_the_other(lab):
    pod = lab.pod("init-containers")
    assert lab.page("node1", f"http://{address(pod)}/") == "fetched, rendered"
    ends = [item["state"]["terminated"] for item in pod["status"]["initContainerStatuses"]]
    assert [end["reason"] for end in ends] == ["Completed", "Completed"]
    assert ends[0]["finishedAt"] <= ends[1]["startedAt"]
    assert ends[1]["finishedAt"] <= status(pod, "web")["state"]["running"]["startedAt"]
    assert {"type": "Initialized", "status": "True"}.items() <= pod["status"]["conditions"][0].items()


def test_12_sidecars_run_beside_the_others(lab):
    (pod,) = lab.pods_of("shipper")
    wait(lambda: "logging" in lab.logs(pod["metadata"]["name"], "ship-logs"))
    pod = lab.pod(pod["metadata"]["name"])
    assert is_ready(pod)
    assert status(pod, "ship-logs")["started"]
    assert status(pod, "app")["restartCount"] == 0  # it would have ended without the file that the sidecar makes
    assert (
        status(pod, "ship-logs")["state"]["running"]["startedAt"] <= status(pod, "app")["state"]["running"]["startedAt"]
    )
    wait(lambda: lab.get("jobs", "shipped")["status"].get("succeeded") == 1)
    (done,) = lab.pods_of("shipped", "job-name")
    assert done["status"]["phase"] == "Succeeded"
    assert "terminated" in status(done, "ship-logs")["state"]


def test_13_who_fails_its_liveness_command_is_started_anew(lab):
    before = address(lab.pod("exec-liveness"))
    pod = wait(lambda: next((p for p in [lab.pod("exec-liveness")] if status(p)["restartCount"] >= 1), None))
    assert address(pod) == before
    assert status(pod)["lastState"]["terminated"]["exitCode"] == 137  # a shell as process 1 does not hear TERM
    told = lab.run("./lab", "describe", "pod", "exec-liveness")
    assert "Liveness probe failed: " in told
    assert "/tmp/healthy" in told


def test_14_who_fails_its_liveness_page_is_started_anew(lab):
    wait(lambda: status(lab.pod("http-liveness"))["restartCount"] >= 1)
    told = lab.run("./lab", "describe", "pod", "http-liveness")
    assert "Liveness probe failed: HTTP probe failed with statuscode: 500" in told
    assert "statuscode: 403" not in told  # the header was there


def test_15_who_takes_no_connection_is_not_ready_and_runs_on(lab):
    assert is_ready(lab.pod("tcp-readiness"))
    lab.sh("tcp-readiness", "touch /tmp/closed; killall httpd")
    pod = wait(lambda: next((p for p in [lab.pod("tcp-readiness")] if not is_ready(p)), None))
    assert "running" in status(pod)["state"]
    assert not status(pod)["ready"]
    lab.sh("tcp-readiness", "rm /tmp/closed")
    pod = wait(lambda: next((p for p in [lab.pod("tcp-readiness")] if is_ready(p)), None))
    assert status(pod)["restartCount"] == 0


def test_16_a_slow_starter_is_given_its_time(lab):
    pod = lab.pod("startup-probe")
    assert status(pod)["restartCount"] == 0
    assert status(pod)["started"] and status(pod)["ready"]
    assert lab.sh("startup-probe", "test -e /tmp/started && echo started") == "started"


def test_17_a_hook_runs_when_the_container_has_started(lab):
    assert lab.exec("lifecycle-hooks", "cat", "/tmp/message", container="web") == "hello from postStart"
    assert is_ready(lab.pod("lifecycle-hooks"))


# --- who it is --------------------------------------------------------------------------------------------


def test_18_names_of_its_own(lab):
    wait(lambda: lab.pod("host-aliases-dns")["status"]["phase"] == "Succeeded")
    lines = lab.logs("host-aliases-dns").splitlines()
    assert "127.0.0.1\tfoo.local\tbar.local" in lines
    assert "192.0.2.7\tprinter.example" in lines
    assert "127.0.0.1\tlocalhost" in lines
    words = [line for line in lines if line.partition(" ")[0] in ("nameserver", "search", "options")]
    assert words == ["nameserver 192.0.2.53", "search lab.example example", "options ndots:2 edns0"]


def test_19_a_name_and_a_domain(lab):
    assert lab.sh("hostname-subdomain", "hostname; hostname -f") == "first\nfirst.family.default.svc.cluster.local"
    assert lab.sh("hostname-as-fqdn", "hostname") == "second.family.default.svc.cluster.local"


def test_20_containers_see_each_others_processes(lab):
    find = (
        "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in 'nginx: master'*) echo ${p#/proc/};; esac; done"
    )
    pid = wait(lambda: lab.sh("share-process-namespace", find, "shell"))
    assert pid != "1"
    assert "conf.d" in lab.sh("share-process-namespace", f"cat /proc/{pid}/root/etc/nginx/nginx.conf", "shell")
    lab.exec("share-process-namespace", "kill", "-HUP", pid, container="shell")
    wait(lambda: "reconfiguring" in lab.logs("share-process-namespace", "web"))


def test_21_processes_and_files_of_somebody_else(lab):
    # An ordinary user's lab has one id: each container has its own in a user namespace, and no groups besides.
    is_single = bool(lab.prefix or os.getuid())
    ids = lab.sh("security-context", "id -u; id -g; id -G", "pod-user").splitlines()
    assert ids[:2] == ["1000", "3000"]
    assert set(ids[2].split()) == ({"3000"} if is_single else {"3000", "2000", "4000"})
    assert lab.sh("security-context", "id -u; id -g", "own-user") == "2001\n3000"
    write = "echo x > /data/demo/{0}; stat -c '%u %g' /data/demo/{0}"
    group = "3000" if is_single else "2000"
    assert lab.sh("security-context", write.format("file"), "pod-user") == f"1000 {group}"
    assert lab.sh("security-context", write.format("other"), "own-user") == f"2001 {group}"
    assert lab.sh("security-context", "cat /proc/1/status | grep Uid", "pod-user").split()[1] == "1000"


def test_22_few_rights_and_one_more(lab):
    pod = lab.pod("read-only-root")
    assert is_ready(pod)
    assert "Welcome to nginx" in lab.page("node1", f"http://{address(pod)}/")
    for path in ("/mark", "/tmp/mark"):
        assert lab.sh("read-only-root", f"touch {path} 2>/dev/null || echo read-only", "web") == "read-only"
    assert lab.sh("read-only-root", "ls /var/run", "web") == "nginx.pid"
    effective = lab.sh("read-only-root", "grep CapEff /proc/1/status", "web").split()[1]
    assert int(effective, 16) == 1 << 10  # CAP_NET_BIND_SERVICE
    lab.sh("read-only-root", "ip addr add 192.0.2.99/32 dev lo", "router")
    assert "192.0.2.99/32" in lab.sh("read-only-root", "ip -br addr show lo", "router").split()
    assert "failed" in lab.sh("config-env", "busybox ip addr add 192.0.2.99/32 dev lo 2>&1 || echo failed")


def test_23_kernel_settings_of_the_pods_own(lab):
    read = "cd /proc/sys; cat net/ipv4/ip_local_port_range net/core/somaxconn kernel/shm_rmid_forced"
    assert lab.sh("sysctls", read).split() == ["40000", "40099", "1024", "1"]
    here = lab.pod("sysctls")["spec"]["nodeName"]
    assert lab.node(here, "cat", "/proc/sys/net/ipv4/ip_local_port_range").split() != ["40000", "40099"]


# --- ports and networks of the node -----------------------------------------------------------------------


def test_24_a_port_of_the_node(lab):
    node1 = lab.pod("host-port")["status"]["hostIP"]
    lab.node("outside", "curl", "-sm", "5", f"http://{node1}:8080/from-outside")
    assert re.search(r"^198\.51\.100\.10 .*/from-outside", lab.logs("host-port"), re.MULTILINE)
    client = lab.pod("read-only-root")
    lab.exec("read-only-root", "curl", "-sm", "5", f"http://{node1}:8080/from-a-pod", container="router")
    assert re.search(rf"^{re.escape(address(client))} .*/from-a-pod", lab.logs("host-port"), re.MULTILINE)
    for url in ("http://127.0.0.1:8080/", "http://127.0.0.1:8081/"):
        assert "Welcome to nginx" in lab.page("node1", url)
    assert lab.try_("./lab", "node", "outside", "--", "curl", "-sm", "5", f"http://{node1}:8081/").returncode != 0
    # hairpin: the pod's own port, round through the node
    assert "Welcome to nginx" in lab.exec("host-port", "curl", "-sm", "5", f"http://{node1}:8080/")


def test_25_on_the_nodes_network(lab):
    pod = lab.pod("host-network")
    assert address(pod) == pod["status"]["hostIP"] == "10.100.0.3"
    assert lab.page("outside", "http://10.100.0.3:8087/hostname") == "node2"
    assert lab.sh("host-network", "readlink /proc/self/ns/net") == lab.node("node2", "readlink", "/proc/self/ns/net")
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in lab.exec(
        "host-network", "cat", "/etc/resolv.conf"
    )


# --- where it runs, and how many --------------------------------------------------------------------------


def nodes_of(pods: list[Object]) -> list[str]:
    return sorted(pod["spec"].get("nodeName", "") for pod in pods)


def test_26_wishes_about_nodes(lab):
    assert lab.pod("tolerations")["spec"]["nodeName"] == "node3"
    assert nodes_of(lab.pods_of("agent")) == ["node1", "node2", "node3"]
    assert nodes_of(lab.pods_of("picky-agent")) == ["node1", "node2"]
    counts = lab.get("daemonsets", "agent")["status"]
    assert counts["desiredNumberScheduled"] == counts["numberReady"] == 3


def test_27_replicas_keep_apart(lab):
    nodes = nodes_of(lab.pods_of("spread"))
    assert sorted(nodes.count(name) for name in ("node1", "node2", "node3")) == [1, 1, 2]
    assert nodes_of(lab.pods_of("apart")) == ["node1", "node2"]


def test_28_a_place_in_line(lab):
    ordered = sorted(lab.pods_of("ordered"), key=lambda pod: pod["metadata"]["name"])
    assert [pod["metadata"]["name"] for pod in ordered] == ["ordered-0", "ordered-1", "ordered-2"]
    assert all(map(is_ready, ordered))
    # Each takes two seconds to be ready, and times are whole seconds.
    starts = [started_at(pod) for pod in ordered]
    assert starts[0] < starts[1] < starts[2]
    parallel = lab.pods_of("parallel")
    assert {pod["metadata"]["name"] for pod in parallel} == {"parallel-0", "parallel-1"}
    # Made in one step of the run; the others were made in three.
    assert len({pod["metadata"]["creationTimestamp"] for pod in parallel}) == 1
    assert len({pod["metadata"]["creationTimestamp"] for pod in ordered}) == 3
    assert lab.env("parallel-1")["ORDINAL"] == "1"
    assert ordered[2]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "ordered-2"
    assert lab.exec("ordered-1", "hostname") == "ordered-1"


def test_29_work_that_ends(lab):
    for name, completions in (("pi", 1), ("pieces", 3), ("second-try", 1)):
        wait(lambda name=name, completions=completions: lab.get("jobs", name)["status"].get("succeeded") == completions)
    (pi,) = lab.pods_of("pi", "job-name")
    assert lab.logs(pi["metadata"]["name"]) == "3.14159265358979\n"
    pieces = lab.pods_of("pieces", "job-name")
    assert sorted(lab.logs(pod["metadata"]["name"]).strip() for pod in pieces) == [
        "pieces-0 takes the apple",
        "pieces-1 takes the pear",
        "pieces-2 takes the plum",
    ]
    (second,) = lab.pods_of("second-try", "job-name")
    assert status(second)["restartCount"] == 1
    assert lab.logs(second["metadata"]["name"]) == "well\n"


def test_30_replicas(lab):
    front = lab.pods_of("front")
    assert [pod["metadata"]["ownerReferences"][0]["kind"] for pod in front] == ["ReplicaSet", "ReplicaSet"]
    counts = lab.get("deployments", "rolling")["status"]
    assert (counts["readyReplicas"], counts["updatedReplicas"]) == (2, 2)
    assert lab.env(lab.pods_of("rolling")[0]["metadata"]["name"])["VERSION"] == "one"


# --- the second run ---------------------------------------------------------------------------------------


@dataclass
class Change:
    before: dict[str, Object]
    after: dict[str, Object]


@pytest.fixture(scope="module")
def change(lab: Lab) -> Change:
    """A ConfigMap and a template are others, and a pod is no longer wanted. So are those that are down now and then:
    a run would wait for them."""
    before = {pod["metadata"]["name"]: pod for pod in lab.get("pods")}
    for name in ("13-exec-liveness.yml", "14-http-liveness.yml", "17-lifecycle-hooks.yml"):
        (lab.manifests / name).unlink()
    for name, old, new in (
        ("05-config-map-volume.yml", "today: milk", "today: cream"),
        ("30-replicas.yml", "value: one", "value: two"),
    ):
        file = lab.manifests / name
        assert old in file.read_text("utf-8")
        file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    lab.up()
    return Change(before, {pod["metadata"]["name"]: pod for pod in lab.get("pods")})


def test_a_pod_that_goes_runs_its_hook_and_may_finish(lab, change):
    assert "lifecycle-hooks" not in change.after
    said = lab.logs("host-port")
    assert "/hook-has-run" in said
    assert "/has-finished" in said


def test_a_changed_config_map_changes_files_and_restarts_nobody(lab, change):
    assert lab.sh("config-map-volume", "cat /etc/notes/today; echo; cat /etc/nginx/today.txt") == "cream\nmilk"
    assert started_at(change.after["config-map-volume"]) == started_at(change.before["config-map-volume"])


def test_a_changed_template_changes_every_pod_of_it_and_no_other(lab, change):
    pods = lab.pods_of("rolling")
    assert len(pods) == 2
    assert not {pod["metadata"]["name"] for pod in pods} & set(change.before)
    assert [lab.env(pod["metadata"]["name"])["VERSION"] for pod in pods] == ["two", "two"]
    gone = {name for name in set(change.before) - set(change.after) if not name.startswith("rolling-")}
    assert gone == {"exec-liveness", "http-liveness", "lifecycle-hooks"}
    for name in set(change.before) & set(change.after):
        assert change.before[name]["metadata"]["uid"] == change.after[name]["metadata"]["uid"], name
