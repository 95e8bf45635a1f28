"""The life of a pod as its manifest tells it: ports, probes, hooks, who it is, where it wants to run."""

from __future__ import annotations

import pytest

from podlab.changes.pods.identity import CAPABILITIES
from podlab.planner.configs.containers import container_rows
from podlab.planner.manifests.scheduling_fields import taint
from podlab.planner.model import Dns, Handler, Port, Probe, Security
from podlab.planner.scheduler.model import NodeAffinity, NodeSelectorTerm, PodAffinityTerm, Selector, Spread, Toleration
from tests.unit.bodies import NOT_YET, C, container_of, pod, template_of, wrong

POSITIVE = "must be greater than zero"
RANGE = "must be between 1 and 65535, inclusive"
ID = "must be between 0 and 2147483647, inclusive"
NON_NEGATIVE = "must be greater than or equal to 0"


# --- ports ----------------------------------------------------------------------------------------------


def test_ports():
    ports = [
        {"name": "http", "containerPort": 80, "hostPort": 8080},
        {"containerPort": 53, "protocol": "UDP", "hostPort": 53, "hostIP": "10.100.0.2"},
        {"containerPort": 9, "protocol": "SCTP"},
    ]
    assert container_of(pod(container={"ports": ports})).ports == (
        Port(80, name="http", host_port=8080),
        Port(53, "UDP", host_port=53, host_ip="10.100.0.2"),
        Port(9, "SCTP"),
    )


def test_on_the_network_of_the_node_every_port_is_one_of_the_node():
    container = {"ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]}
    template = template_of(pod(container=container, hostNetwork=True))
    assert template.host_network
    assert template.containers[0].ports == (Port(80, host_port=80), Port(81, host_port=81))


P = f"{C}.ports"
BOTH = {"containerPort": 1, "hostPort": 8080}


@pytest.mark.parametrize(
    ("ports", "spec", "expected"),
    [
        ([{"containerPort": 80, "hostPort": 65536}], {}, [f"{P}[0].hostPort: Invalid value: 65536: {RANGE}"]),
        ([{"containerPort": 80, "hostPort": 80, "hostIP": "::1"}], {}, [f'{P}[0].hostIP: Invalid value: "::1": must be a valid IP address, (e.g. 10.9.8.7)']),
        ([{"containerPort": 80, "hostPort": 80, "hostIP": "node"}], {}, [f'{P}[0].hostIP: Invalid value: "node": must be a valid IP address, (e.g. 10.9.8.7)']),
        ([BOTH, BOTH], {}, [f'{P}[1].hostPort: Duplicate value: "TCP//8080"']),
        ([BOTH, {**BOTH, "protocol": "UDP"}, {**BOTH, "hostIP": "10.0.0.1"}, {**BOTH, "hostIP": "10.0.0.1"}], {}, [f'{P}[3].hostPort: Duplicate value: "TCP/10.0.0.1/8080"']),
        ([{"containerPort": 80, "hostPort": 8080}], {"hostNetwork": True}, [f"{P}[0].hostPort: Invalid value: 8080: must match `containerPort` when `hostNetwork` is true"]),
    ],
)  # fmt: skip
def test_bad_ports(ports, spec, expected):
    assert wrong(pod(container={"ports": ports}, **spec)) == expected


def test_two_containers_may_not_have_one_port_of_the_node_and_init_containers_run_one_by_one():
    def container(name: str) -> dict:
        return {"name": name, "image": "busybox", "ports": [{**BOTH, "name": "http"}]}

    two = pod(containers=[container("a"), container("b")])
    assert wrong(two) == ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//8080"']
    assert wrong(pod(initContainers=[container("a"), container("b")], containers=[container("d")])) == []


# --- probes and hooks -----------------------------------------------------------------------------------

HTTP = [{"name": "http", "containerPort": 80}]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"exec": {"command": ["cat", "x"]}}, Probe(Handler("exec", ("cat", "x")))),
        ({"httpGet": {"port": 80}}, Probe(Handler("http", port=80))),
        ({"grpc": {"port": 80}}, Probe(Handler("grpc", port=80))),
        ({"grpc": {"port": 80, "service": "a"}}, Probe(Handler("grpc", port=80, service="a"))),
        ({"httpGet": {"port": "http", "path": "ready", "scheme": "HTTPS", "host": "example.com", "httpHeaders": [{"name": "X-A", "value": "b"}]}}, Probe(Handler("http", host="example.com", port=80, path="ready", scheme="HTTPS", headers=(("X-A", "b"),)))),
        ({"tcpSocket": {"port": "http", "host": "127.0.0.1"}}, Probe(Handler("tcp", host="127.0.0.1", port=80))),
        (
            {"tcpSocket": {"port": 1}, "initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 3, "successThreshold": 1, "failureThreshold": 5, "terminationGracePeriodSeconds": 6},
            Probe(Handler("tcp", port=1), 1, 2, 3, 1, 5, 6),
        ),
        ({"tcpSocket": {"port": 1}, "periodSeconds": 0, "timeoutSeconds": 0, "successThreshold": 0, "failureThreshold": 0}, Probe(Handler("tcp", port=1))),
    ],
)  # fmt: skip
def test_a_probe(written, expected):
    made = container_of(pod(container={"ports": HTTP, "livenessProbe": written, "startupProbe": written}))
    assert (made.liveness, made.startup, made.readiness) == (expected, expected, None)


def test_a_readiness_probe_may_ask_for_more_than_one_success():
    made = container_of(pod(container={"readinessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 3}}))
    assert made.readiness == Probe(Handler("tcp", port=1), success=3)


def test_a_probe_sees_variables_as_they_are_written_and_a_hook_none():
    env = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    command = {"exec": {"command": ["$(A)", "$(B)", "$(IP)x", "$(C)", "$$(A)"]}}
    made = container_of(pod(container={"env": env, "livenessProbe": command, "lifecycle": {"preStop": command}}))
    assert made.liveness
    assert made.liveness.handler.command == ("a", "$(A)", "x", "$(C)", "$(A)")
    assert made.pre_stop
    assert made.pre_stop.command == ("$(A)", "$(B)", "$(IP)x", "$(C)", "$$(A)")


def test_hooks():
    hooks = {"postStart": {"httpGet": {"port": 80, "path": "/up"}}, "preStop": {"sleep": {"seconds": 5}}}
    made = container_of(pod(container={"lifecycle": hooks}))
    assert made.post_start == Handler("http", port=80, path="/up")
    assert made.pre_stop == Handler("sleep", seconds=5)


TCP = {"tcpSocket": {"port": 1}}


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("livenessProbe", {}, [": Required value: must specify a handler type"]),
        ("livenessProbe", {**TCP, "exec": {"command": ["x"]}}, [".tcpSocket: Forbidden: may not specify more than 1 handler type"]),
        ("livenessProbe", {"grpc": {"port": 0}}, [".grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
        ("livenessProbe", {"grpc": {}}, [".grpc.port: Required value"]),
        ("livenessProbe", {"grpc": {"port": 1}, **TCP}, [".grpc: Forbidden: may not specify more than 1 handler type"]),
        ("livenessProbe", {"exec": {}}, [".exec.command: Required value"]),
        ("livenessProbe", {"exec": {"command": ["a\0"]}}, ['.exec.command[0]: Invalid value: "a\\u0000": must not contain NUL']),
        ("livenessProbe", {"tcpSocket": {}}, [".tcpSocket.port: Required value"]),
        ("livenessProbe", {"tcpSocket": {"port": 0}}, [f".tcpSocket.port: Invalid value: 0: {RANGE}"]),
        ("livenessProbe", {"tcpSocket": {"port": ""}}, [
            '.tcpSocket.port: Invalid value: "": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
            '.tcpSocket.port: Invalid value: "": must contain at least one letter (a-z)',
        ]),
        ("livenessProbe", {"tcpSocket": {"port": [1]}}, [".tcpSocket.port: Invalid value: [1]: must be of type string or integer"]),
        ("livenessProbe", {"tcpSocket": {"port": "no_name"}}, ['.tcpSocket.port: Invalid value: "no_name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)']),
        ("livenessProbe", {"httpGet": {"port": 1, "scheme": "http"}}, ['.httpGet.scheme: Unsupported value: "http": supported values: "HTTP", "HTTPS"']),
        ("livenessProbe", {"httpGet": {"port": 1, "host": "a b"}}, ['.httpGet.host: Invalid value: "a b": must be a host name or a valid IP address, (e.g. 10.9.8.7)']),
        ("livenessProbe", {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": "x"}]}}, [".httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"]),
        ("livenessProbe", {"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "x\r\nB: c"}]}}, ['.httpGet.httpHeaders[0].value: Invalid value: "x\\r\\nB: c": must be a single line']),
        ("livenessProbe", {**TCP, **{f"{field}Seconds": -1 for field in ("initialDelay", "period", "timeout")}}, [f".{field}Seconds: Invalid value: -1: {NON_NEGATIVE}" for field in ("initialDelay", "period", "timeout")]),
        ("readinessProbe", {**TCP, "successThreshold": -1, "failureThreshold": -1}, [f".{field}Threshold: Invalid value: -1: {NON_NEGATIVE}" for field in ("success", "failure")]),
        ("livenessProbe", {**TCP, "successThreshold": 2}, [".successThreshold: Invalid value: 2: must be 1"]),
        ("startupProbe", {**TCP, "successThreshold": 2}, [".successThreshold: Invalid value: 2: must be 1"]),
        ("livenessProbe", {**TCP, "terminationGracePeriodSeconds": 0}, [".terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"]),
        ("readinessProbe", {**TCP, "terminationGracePeriodSeconds": 1}, [".terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes"]),
    ],
)  # fmt: skip
def test_a_bad_probe(name, written, expected):
    assert wrong(pod(container={name: written, "ports": HTTP})) == [f"{C}.{name}{line}" for line in expected]


@pytest.mark.parametrize("kind", ["tcpSocket", "httpGet"])
def test_a_port_that_the_container_lacks_is_for_the_kubelet_to_miss(kind):
    document = pod(container={"livenessProbe": {kind: {"port": "other"}}, "lifecycle": {"postStart": {kind: {"port": "none"}}}, "ports": HTTP})  # fmt: skip
    assert wrong(document) == []
    (container,) = template_of(document).containers
    assert (container.liveness.handler.lacks, container.post_start.lacks) == ("other", "none")
    (row,) = container_rows(template_of(document), {"status.podIP": "10.1.1.2"}, {}).values()
    assert (row["liveness"]["lacks"], row["post_start"]) == ("other", {"lacks": "none"})


@pytest.mark.parametrize("seconds", [-1, 31])
def test_a_hook_that_sleeps_longer_than_the_pod_may_take_to_go(seconds):
    hook = {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}}
    (problem,) = wrong(pod(container=hook))
    assert problem == (
        f"{C}.lifecycle.preStop.sleep: Invalid value: {seconds}: "
        "must be non-negative and less than terminationGracePeriodSeconds (30)"
    )
    if seconds > 0:
        assert wrong(pod(container=hook, terminationGracePeriodSeconds=60)) == []


@pytest.mark.parametrize(("written", "expected"), [({}, None), ({"terminationGracePeriodSeconds": 0}, 0), ({"terminationGracePeriodSeconds": -5}, 1)])  # fmt: skip
def test_the_time_that_a_pod_is_given_to_go(written, expected):
    assert template_of(pod(**written)).grace == expected


# --- init containers ------------------------------------------------------------------------------------


def test_init_containers_and_sidecars():
    init = [
        {"name": "first", "image": "busybox"},
        {"name": "side", "image": "busybox", "restartPolicy": "Always", "readinessProbe": TCP, "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}},
    ]  # fmt: skip
    first, side = template_of(pod(initContainers=init)).init_containers
    assert (first.name, first.restart_policy) == ("first", "")
    assert (side.restart_policy, side.readiness, side.pre_stop) == (
        *("Always", Probe(Handler("tcp", port=1))),
        Handler("sleep", seconds=1),
    )


I = "spec.initContainers[0]"  # noqa: E741
LIFE = {"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}, **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe"), TCP)}  # fmt: skip


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ({"name": "c"}, [f'{I}.name: Duplicate value: "c"']),
        ({"restartPolicy": "Never"}, [f'{I}.restartPolicy: Unsupported value: "Never": supported values: "Always"']),
        (LIFE, [f"{I}.{field}: Forbidden: may not be set for init containers" for field in LIFE]),
        ({"restartPolicy": "Always", "startupProbe": {**TCP, "successThreshold": 2}}, [f"{I}.startupProbe.successThreshold: Invalid value: 2: must be 1"]),
    ],
)  # fmt: skip
def test_a_bad_init_container(init, expected):
    assert wrong(pod(initContainers=[{"name": "i", "image": "busybox", **init}])) == expected


def test_a_regular_container_has_the_restart_policy_of_its_pod():
    assert wrong(pod(container={"restartPolicy": "Always"})) == []
    assert wrong(pod(container={"restartPolicy": "Never"}, restartPolicy="Never")) == []
    assert wrong(pod(container={"restartPolicy": "Never"})) == [
        f"{C}.restartPolicy: {NOT_YET} containers have the restartPolicy of their pod, which is Always"
    ]


# --- security -------------------------------------------------------------------------------------------


def secured(container: dict | None = None, **pods) -> Security:
    return container_of(pod(container={"securityContext": container}, securityContext=pods)).security


def test_a_container_says_who_it_is_and_else_its_pod_does():
    assert secured() == Security()
    assert secured(runAsUser=1, runAsGroup=2, supplementalGroups=[3, 4, 3], fsGroup=5) == Security(1, 2, (3, 4, 5))
    own = secured({"runAsUser": 0, "readOnlyRootFilesystem": True}, runAsUser=1, runAsGroup=2)
    assert own == Security(0, 2, read_only_root=True)
    assert template_of(pod(securityContext={"fsGroup": 5})).fs_group == 5


DEFAULT = set(CAPABILITIES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT),
        (["NET_ADMIN"], [], DEFAULT | {"NET_ADMIN"}),
        ([], ["CHOWN", "SYS_TIME"], DEFAULT - {"CHOWN"}),
        (["NET_BIND_SERVICE", "SYS_TIME"], ["ALL"], {"NET_BIND_SERVICE", "SYS_TIME"}),
        (["CHOWN"], ["CHOWN"], DEFAULT - {"CHOWN"}),
        (["ALL"], ["ALL"], set()),
        (["net_bind_service", "Sys_Time"], ["all"], {"NET_BIND_SERVICE", "SYS_TIME"}),
        ([], ["Chown"], DEFAULT - {"CHOWN"}),
    ],
)
def test_capabilities(add, drop, expected):
    assert secured({"capabilities": {"add": add, "drop": drop}}).capabilities == tuple(sorted(expected))


def test_all_capabilities():
    made = secured({"capabilities": {"add": ["ALL"], "drop": ["SYS_ADMIN"]}}).capabilities
    assert made
    assert {"NET_ADMIN", "SYS_PTRACE", *DEFAULT} <= set(made)
    assert not {"SYS_ADMIN", "ALL"} & set(made)


@pytest.mark.parametrize(
    ("path", "context", "expected"),
    [
        (C, {"runAsUser": -1, "runAsGroup": 2**31}, [f".runAsUser: Invalid value: -1: {ID}", f".runAsGroup: Invalid value: 2147483648: {ID}"]),
        ("spec", {"runAsUser": -1, "runAsGroup": -2, "fsGroup": -3, "supplementalGroups": [-4]}, [
            *(f".{field}: Invalid value: {value}: {ID}" for field, value in (("runAsUser", -1), ("runAsGroup", -2), ("fsGroup", -3))),
            f".supplementalGroups[0]: Invalid value: -4: {ID}",
        ]),
        ("spec", {"runAsNonRoot": True, "runAsUser": 1}, []),
        (C, {"capabilities": {"add": ["CAP_NET_ADMIN"], "drop": ["cap_net_raw", "FLY"]}}, [
            '.capabilities.add[0]: Invalid value: "CAP_NET_ADMIN": write NET_ADMIN, as Kubernetes has it',
            '.capabilities.drop[0]: Invalid value: "cap_net_raw": write NET_RAW, as Kubernetes has it',
            '.capabilities.drop[1]: Invalid value: "FLY": no capability of Linux has this name (capabilities(7))',
        ]),
        (C, {"privileged": False, "procMount": "Default"}, []),
    ],
)  # fmt: skip
def test_a_bad_security_context(path, context, expected):
    document = pod(securityContext=context) if path == "spec" else pod(container={"securityContext": context})
    assert wrong(document) == [f"{path}.securityContext{line}" for line in expected]


def waits_of(document) -> list[tuple[str, str, str]]:
    return [(wait.reason, wait.container, wait.message) for wait in template_of(document).waits]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"runAsNonRoot": True}, "Error: container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True, "runAsUser": 0}, "Error: container's runAsUser breaks non-root policy"),
        ({"privileged": True}, "Error: privileged is not allowed: podlab_allow_privileged is false"),
    ],
)
def test_what_a_container_must_not_be_it_waits_for(context, message):
    assert waits_of(pod(container={"securityContext": context})) == [("Failed", "c", message)]


@pytest.mark.parametrize(("field", "setting"), [("hostPID", "host_pid"), ("hostIPC", "host_ipc")])
def test_a_namespace_of_the_node_has_to_be_allowed(field, setting):
    words = f"{field} is not allowed: podlab_allow_{setting} is false"
    assert waits_of(pod(**{field: True})) == [("FailedCreatePodSandBox", "", words)]
    assert waits_of(pod(**{field: False})) == []


def test_what_is_allowed_is_done():
    allowed = ["host_pid", "host_ipc", "privileged"]
    document = pod(container={"securityContext": {"privileged": True}}, hostPID=True, hostIPC=True)
    made = template_of(document, allowed=allowed)
    assert (made.waits, made.host_pid, made.host_ipc) == ((), True, True)
    assert made.containers[0].security.privileged
    assert {"SYS_ADMIN", "NET_ADMIN"} <= set(made.containers[0].security.capabilities or ())


def test_a_pod_has_one_place_for_its_processes():
    (problem,) = wrong(pod(hostPID=True, shareProcessNamespace=True))
    words = "ShareProcessNamespace and HostPID cannot both be enabled"
    assert problem == f"spec.shareProcessNamespace: Invalid value: true: {words}"


def test_what_is_not_built_waits_though_it_is_allowed():
    mount = {"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}
    document = pod(container={"volumeMounts": [mount]}, volumes=[{"name": "v"}])
    (wait,) = template_of(document, allowed=["mount_propagation"]).waits
    assert wait.message == "Error: mountPropagation Bidirectional: podlab does not do this yet, allowed or not"


def test_what_is_mounted_meanwhile_has_to_be_allowed():
    mount = {"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}
    words = "Error: mountPropagation HostToContainer is not allowed: podlab_allow_mount_propagation is false"
    assert waits_of(pod(container={"volumeMounts": [mount]}, volumes=[{"name": "v"}])) == [("Failed", "c", words)]


def test_a_container_may_run_as_root_where_its_pod_may_not():
    document = pod(container={"securityContext": {"runAsNonRoot": False}}, securityContext={"runAsNonRoot": True})
    assert (wrong(document), template_of(document).waits) == ([], ())


# --- sysctls --------------------------------------------------------------------------------------------


def test_sysctls():
    made = [
        {"name": "net.core.somaxconn", "value": "1024"},
        {"name": "kernel.shm_rmid_forced", "value": "0"},
        {"name": "kernel.sem", "value": "250 32000"},
        {"name": "net/ipv4/conf/eth0.1/forwarding", "value": "1"},
        {"name": "fs.mqueue.msg_max", "value": "9"},
    ]
    assert template_of(pod(securityContext={"sysctls": made})).sysctls == {
        "net.core.somaxconn": "1024",
        "kernel.shm_rmid_forced": "0",
        "kernel.sem": "250 32000",
        "net.ipv4.conf.eth0/1.forwarding": "1",
        "fs.mqueue.msg_max": "9",
    }


S = "spec.securityContext.sysctls[0]"
OWN = "a pod may set what its own namespaces have: net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", [f"{S}.name: Required value"]),
        *((name, [f'{S}.name: Invalid value: "{name}": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$']) for name in ("net..x", "net/../vm", "Net.x", "net.x ")),
        *((name, [f"{S}.name: Forbidden: {OWN}"]) for name in ("vm.swappiness", "kernel.semi", "kernel.hostname", "network.x", "net")),
    ],
)  # fmt: skip
def test_a_bad_sysctl(name, expected):
    assert wrong(pod(securityContext={"sysctls": [{"name": name, "value": "1"}]})) == expected


def test_what_a_pod_may_not_set_twice_nor_for_its_node():
    twice = [{"name": "net.a", "value": "1"}, {"name": "net/a", "value": "2\n"}]
    assert wrong(pod(securityContext={"sysctls": twice})) == [
        'spec.securityContext.sysctls[1].name: Duplicate value: "net/a"',
        'spec.securityContext.sysctls[1].value: Invalid value: "2\\n": must be a single line',
    ]
    of_the_node = pod(hostNetwork=True, securityContext={"sysctls": twice[:1]})
    assert wrong(of_the_node) == [f"{S}.name: Forbidden: it is the node's when `hostNetwork` is true"]


# --- names and name servers -----------------------------------------------------------------------------


def test_who_a_pod_is():
    made = template_of(
        pod(
            hostname="h",
            subdomain="s",
            setHostnameAsFQDN=True,
            shareProcessNamespace=True,
            serviceAccountName="robot",
            hostAliases=[{"ip": "10.0.0.9", "hostnames": ["a", "b.example"]}, {"ip": "::9", "hostnames": ["c"]}],
            dnsPolicy="None",
            dnsConfig={"nameservers": ["10.96.0.10"], "searches": ["a.b.", "_tcp.a_b", "."], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]},
        )
    )  # fmt: skip
    assert (made.hostname, made.subdomain, made.fqdn_as_hostname, made.share_processes) == ("h", "s", True, True)
    assert made.service_account == "robot"
    assert made.host_aliases == (("10.0.0.9", ("a", "b.example")), ("::9", ("c",)))
    assert made.dns == Dns("None", ("10.96.0.10",), ("a.b.", "_tcp.a_b", "."), ("ndots:2", "edns0"))
    assert template_of(pod()).dns == Dns()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"subdomain": "a.b"}, ['.subdomain: Invalid value: "a.b": must not contain dots']),
        ({"dnsPolicy": "Mine"}, ['.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"']),
        ({"dnsPolicy": "None"}, [".dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]),
        ({"dnsPolicy": "None", "dnsConfig": {"searches": ["a"]}}, [".dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"]),
        ({"dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]}}, ['.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]: must not have more than 3 nameservers']),
        ({"dnsConfig": {"nameservers": ["ns"]}}, ['.dnsConfig.nameservers[0]: Invalid value: "ns": must be valid IP address']),
        ({"dnsConfig": {"options": [{"value": "x"}, {"name": "a b"}]}}, [".dnsConfig.options[0]: Required value: must not be empty", '.dnsConfig.options[1].name: Invalid value: "a b": must be a single word']),
        ({"hostAliases": [{"hostnames": ["a"]}]}, [".hostAliases[0].ip: Required value"]),
        ({"hostAliases": [{"ip": "a"}]}, ['.hostAliases[0].ip: Invalid value: "a": must be valid IP address']),
    ],
)  # fmt: skip
def test_bad_names(spec, expected):
    assert wrong(pod(**spec)) == [f"spec{line}" for line in expected]


def test_a_name_in_hosts_or_a_search_list_is_a_dns_name():
    (alias,) = wrong(pod(hostAliases=[{"ip": "10.0.0.9", "hostnames": ["a\n10.0.0.1 bank"]}]))
    assert alias.startswith(
        'spec.hostAliases[0].hostnames[0]: Invalid value: "a\\n10.0.0.1 bank": a lowercase RFC 1123'
    )
    (search,) = wrong(pod(dnsConfig={"searches": ["a b"]}))
    assert search.startswith('spec.dnsConfig.searches[0]: Invalid value: "a b": a lowercase RFC 1123 subdomain must')


def test_a_search_list_has_an_end():
    (many,) = wrong(pod(dnsConfig={"searches": [f"a{index}" for index in range(33)]}))
    assert many.endswith("must not have more than 32 search paths")
    long = [".".join(["x" * 60] * 4)] * 9
    (chars,) = wrong(pod(dnsConfig={"searches": long}))
    assert chars.endswith("must not have more than 2048 characters (including spaces) in the search list")


# --- where it wants to run ------------------------------------------------------------------------------


def test_tolerations():
    written = [
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "a", "operator": "Exists"},
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
    ]
    assert template_of(pod(tolerations=written)).tolerations == (
        Toleration("a", "Equal", "b", "NoSchedule"),
        Toleration("a", "Exists"),
        Toleration("", "Exists", "", "NoExecute"),
    )


T = "spec.tolerations[0]"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"value": "x"}, [f'{T}.operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"']),
        ({"key": "a", "tolerationSeconds": 1}, [f"{T}.effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"]),
        ({"key": "a", "operator": "Exists", "value": "x"}, [f"{T}.operator: Invalid value: {{\"key\":\"a\",\"operator\":\"Exists\",\"value\":\"x\"}}: value must be empty when `operator` is 'Exists'"]),
        ({"key": "a", "operator": "In"}, [f'{T}.operator: Unsupported value: "In": supported values: "Equal", "Exists"']),
        ({"key": "a", "effect": "Never"}, [f'{T}.effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"']),
    ],
)  # fmt: skip
def test_a_bad_toleration(written, expected):
    assert wrong(pod(tolerations=[written])) == expected


def test_a_toleration_has_a_label_for_a_key_and_a_value():
    key, value = wrong(pod(tolerations=[{"key": "a b", "value": "c d"}]))
    assert key.startswith(f'{T}.key: Invalid value: "a b": name part must consist of')
    assert value.startswith(f'{T}.operator: Invalid value: "c d": a valid label must be an empty string or consist of')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b:NoSchedule", ("a", "b", "NoSchedule")),
        ("example.com/a:NoExecute", ("example.com/a", "", "NoExecute")),
        ("a=:PreferNoSchedule", ("a", "", "PreferNoSchedule")),
        ("a=b", "must be key=value:effect or key:effect"),
        ("a=b:Never", "invalid taint effect: Never, unsupported taint effect; there are: NoSchedule, PreferNoSchedule, NoExecute"),
        (":NoSchedule", "name part must be non-empty"),
    ],
)  # fmt: skip
def test_taints(text, expected):
    assert taint(text) == expected


def test_spreading():
    written = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3}
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]}
    soft = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "nodeAffinityPolicy": "Honor",
        "labelSelector": {},
    }
    hard, preferred = template_of(pod(topologySpreadConstraints=[{**written, "labelSelector": selector}, soft])).spread
    assert hard == Spread("zone", 2, True, Selector({"a": "b"}, (("c", "In", ("d",)),)), 3)
    assert preferred == Spread("zone", 1, False, Selector())


def test_a_selector_that_is_not_written_selects_nothing_and_an_empty_one_everything():
    without = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    (nothing,) = template_of(pod(topologySpreadConstraints=[without])).spread
    (everything,) = template_of(pod(topologySpreadConstraints=[{**without, "labelSelector": {}}])).spread
    for labels in ({}, {"a": "b"}, {"kubernetes.io/hostname": "x"}):
        assert not nothing.selector.matches(labels)
        assert everything.selector.matches(labels)


SPREAD = "spec.topologySpreadConstraints[0]"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"maxSkew": 0}, [f"{SPREAD}.maxSkew: Invalid value: 0: {POSITIVE}"]),
        ({"topologyKey": ""}, [f"{SPREAD}.topologyKey: Required value: can not be empty"]),
        ({"whenUnsatisfiable": "Maybe"}, [f'{SPREAD}.whenUnsatisfiable: Unsupported value: "Maybe": supported values: "DoNotSchedule", "ScheduleAnyway"']),
        ({"minDomains": 0}, [f"{SPREAD}.minDomains: Invalid value: 0: {POSITIVE}"]),
        ({"minDomains": 2, "whenUnsatisfiable": "ScheduleAnyway"}, [f"{SPREAD}.minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"]),
        ({"matchLabelKeys": ["a"]}, [f"{SPREAD}.matchLabelKeys: {NOT_YET} write the labels into labelSelector"]),
        ({"nodeAffinityPolicy": "Ignore"}, [f"{SPREAD}.nodeAffinityPolicy: {NOT_YET} nodes that nodeSelector leaves out do not count"]),
        ({"nodeTaintsPolicy": "Honor"}, [f"{SPREAD}.nodeTaintsPolicy: {NOT_YET} nodes with taints count as the others do"]),
    ],
)  # fmt: skip
def test_a_bad_spreading(change, expected):
    sound = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    assert wrong(pod(topologySpreadConstraints=[{**sound, **change}])) == expected


def test_one_spreading_is_written_once():
    sound = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    assert wrong(pod(topologySpreadConstraints=[sound, sound])) == [
        'spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"'
    ]


REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
HOST = "kubernetes.io/hostname"


def apart(**terms) -> dict:
    return {"podAntiAffinity": terms}


def test_pods_to_be_near_to_and_away_from():
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"a": "b"}}}
    wish = apart(
        **{REQUIRED: [term], PREFERRED: [{"weight": 7, "podAffinityTerm": {**term, "namespaces": ["x", "y"]}}]}
    )
    assert template_of(pod(affinity=wish)).anti_affinity == (
        PodAffinityTerm(Selector({"a": "b"}), ("default",)),
        PodAffinityTerm(Selector({"a": "b"}), ("x", "y"), 7),
    )


def test_nodes_to_be_on():
    wish = nodes(matchExpressions=[{"key": "disk", "operator": "In", "values": ["ssd"]}])
    wish["nodeAffinity"][PREFERRED] = [
        {
            "weight": 7,
            "preference": {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node1"]}]},
        }
    ]
    assert template_of(pod(affinity=wish)).node_affinity == NodeAffinity(
        (NodeSelectorTerm((("disk", "In", ("ssd",)),)),),
        ((7, NodeSelectorTerm(fields=(("metadata.name", "NotIn", ("node1",)),))),),
    )
    near = {"podAffinity": {REQUIRED: [{**TERM, "topologyKey": "zone"}]}}
    assert template_of(pod(affinity=near)).affinity == (PodAffinityTerm(Selector(), ("default",), key="zone"),)


def nodes(**term) -> dict:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term] if term else []}}}


N = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms"
A = f"spec.affinity.podAntiAffinity.{REQUIRED}[0]"
TERM = {"topologyKey": HOST, "labelSelector": {}}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (apart(**{REQUIRED: [{**TERM, "topologyKey": ""}]}), [f"{A}.topologyKey: Required value: can not be empty"]),
        (apart(**{REQUIRED: [{**TERM, "namespaceSelector": {"matchLabels": {"a": "b"}}}]}), [f"{A}.namespaceSelector: {NOT_YET} write the names into namespaces"]),
        (apart(**{REQUIRED: [{**TERM, "namespaceSelector": {}}]}), [f"{A}.namespaceSelector: {NOT_YET} write the names into namespaces"]),
        (apart(**{REQUIRED: [{**TERM, "matchLabelKeys": ["a"], "mismatchLabelKeys": ["a"]}]}), [f"{A}.{field}: {NOT_YET} write the labels into labelSelector" for field in ("matchLabelKeys", "mismatchLabelKeys")]),
        (apart(**{PREFERRED: [{"weight": 0, "podAffinityTerm": TERM}]}), [f"spec.affinity.podAntiAffinity.{PREFERRED}[0].weight: Invalid value: 0: must be in the range 1-100"]),
        ({"podAffinity": {PREFERRED: [{"weight": 101, "podAffinityTerm": TERM}]}}, [f"spec.affinity.podAffinity.{PREFERRED}[0].weight: Invalid value: 101: must be in the range 1-100"]),
        (nodes(), [f"{N}: Required value: must have at least one node selector term"]),
        (nodes(matchExpressions=[{"key": "a", "operator": "In"}]), [f"{N}[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"]),
        (nodes(matchExpressions=[{"key": "a", "operator": "Exists", "values": ["b"]}]), [f"{N}[0].matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"]),
        (nodes(matchExpressions=[{"key": "a", "operator": "Gt", "values": ["1", "2"]}]), [f"{N}[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"]),
        (nodes(matchExpressions=[{"key": "a", "operator": "in", "values": ["b"]}]), [f'{N}[0].matchExpressions[0].operator: Invalid value: "in": not a valid selector operator']),
        (nodes(matchFields=[{"key": "metadata.name", "operator": "Exists"}]), [f'{N}[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator']),
        (nodes(matchFields=[{"key": "metadata.name", "operator": "In", "values": ["a", "b"]}]), [f"{N}[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector"]),
        (nodes(matchFields=[{"key": "spec.x", "operator": "In", "values": ["a"]}]), [f'{N}[0].matchFields[0].key: Invalid value: "spec.x": not a valid field selector key']),
        ({"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {}}]}}, [f"spec.affinity.nodeAffinity.{PREFERRED}[0].weight: Invalid value: 0: must be in the range 1-100"]),
    ],
)  # fmt: skip
def test_a_bad_affinity(wish, expected):
    assert wrong(pod(affinity=wish)) == expected


def test_a_namespace_of_a_term_is_a_name():
    (problem,) = wrong(pod(affinity=apart(**{REQUIRED: [{**TERM, "namespaces": ["A"]}]})))
    assert problem.startswith(f'{A}.namespaces[0]: Invalid value: "A": a lowercase RFC 1123 label must consist')
