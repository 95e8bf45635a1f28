"""Services as they are written: what is read, what is said about a bad one, and what a real kube-proxy makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.kube_proxy import services as rules
from podlab.changes.netfilter import iptables_save
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.manifests import ip_parsing, names, objects
from podlab.planner.model import Document
from podlab.planner.services.addresses import allocate
from podlab.planner.services.model import Ingress, Service, ServicePort
from podlab.planner.services.stage import plan_services
from tests.unit.bodies import IMAGES, NOT_YET, desired, problems_of, service, wrong

RECORDED = sorted((Path(__file__).parents[1] / "kube-proxy").glob("*.json"))
DNS_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
PORT_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
    "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
PORT = "must be between 1 and 65535, inclusive"
IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
BALANCED = {"type": "LoadBalancer"}


def made(*documents: Document) -> Service:
    return desired(*documents).services[0]


# --- good ones ------------------------------------------------------------------------------------------


def test_what_is_left_out_has_kubernetes_default():
    document = service()
    assert made(document) == Service(
        namespace="default",
        name="web",
        where="m/s.yaml:1",
        type="ClusterIP",
        ports=(ServicePort(80, "TCP", "", 80),),
        selector={"app": "web"},
        body=document.body,
    )


def test_everything_that_can_be_written():
    document = service(
        metadata={"labels": {"team": "x"}, "namespace": "kube-system"},
        type="LoadBalancer",
        clusterIP="10.96.0.041",
        clusterIPs=["10.96.0.041"],
        ipFamilies=["IPv4"],
        ipFamilyPolicy="PreferDualStack",
        ports=[
            {"name": "dns", "port": 53, "targetPort": "dns-port", "protocol": "UDP", "nodePort": 30053},
            {"name": "dns-tcp", "port": 53, "targetPort": 5353, "protocol": "TCP", "appProtocol": "dns"},
            {"name": "sctp", "port": 9, "targetPort": 0, "protocol": "SCTP"},
        ],
        externalIPs=["203.0.113.7", "172.30.0.041", "2001:db8::1", "203.0.113.7"],
        loadBalancerIP="192.0.2.010",
        loadBalancerSourceRanges=[" 10.0.0.7/8 ", "0.0.0.0/0", "2001:db8::/32"],
        allocateLoadBalancerNodePorts=False,
        externalTrafficPolicy="Local",
        internalTrafficPolicy="Local",
        healthCheckNodePort=30500,
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 600}},
        publishNotReadyAddresses=True,
        trafficDistribution="PreferClose",
        status=[{"ip": "192.0.2.1", "ipMode": "Proxy"}, {"ip": "192.0.2.02"}, {"hostname": "lb.example.com"}],
    )
    assert made(document) == Service(
        namespace="kube-system",
        name="web",
        where="m/s.yaml:1",
        type="LoadBalancer",
        ports=(
            ServicePort(53, "UDP", "dns", "dns-port", 30053),
            ServicePort(53, "TCP", "dns-tcp", 5353, app_protocol="dns"),
            ServicePort(9, "SCTP", "sctp", 9),
        ),
        selector={"app": "web"},
        cluster_ip="10.96.0.41",
        external_ips=("203.0.113.7", "172.30.0.41"),
        ingress=(Ingress("192.0.2.1", mode="Proxy"), Ingress("192.0.2.2"), Ingress(hostname="lb.example.com")),
        load_balancer_ip="192.0.2.10",
        source_ranges=("10.0.0.0/8", "0.0.0.0/0"),
        allocates_node_ports=False,
        external_local=True,
        internal_local=True,
        affinity_seconds=600,
        health_check_node_port=30500,
        publishes_not_ready=True,
        prefers_close=True,
        labels={"team": "x"},
        body=document.body,
    )


@pytest.mark.parametrize(
    ("spec", "has_address", "is_proxied"),
    [
        ({}, True, True),
        ({"clusterIP": "None"}, False, False),
        ({"clusterIP": "None", "ports": None}, False, False),
        ({"clusterIP": "None", "clusterIPs": ["None"], "ports": []}, False, False),
        ({"type": "ExternalName", "externalName": "example.com.", "ports": None}, False, False),
        ({"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "mine"}}}, True, False),
        ({"metadata": {"labels": {"service.kubernetes.io/headless": ""}}}, True, False),
    ],
)
def test_who_has_an_address_and_who_has_rules(spec, has_address, is_proxied):
    found = made(service(**spec))
    assert (found.has_address, found.is_proxied) == (has_address, is_proxied)


def test_external_addresses_make_a_service_one_of_the_outside():
    assert made(service(externalIPs=["203.0.113.5"], externalTrafficPolicy="Local")).external_local


@pytest.mark.parametrize("seconds", [1, 86400])
def test_the_last_second_of_a_day_is_taken(seconds):
    spec = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}
    assert made(service(**spec)).affinity_seconds == seconds


def test_affinity_lasts_three_hours_unless_it_is_written():
    assert made(service(sessionAffinity="ClientIP")).affinity_seconds == 10800


@pytest.mark.parametrize(("written", "target"), [({}, 80), ({"targetPort": 0}, 80), ({"targetPort": ""}, 80)])
def test_a_port_leads_to_itself(written, target):
    assert made(service(ports=[{"port": 80, **written}])).ports[0].target == target


def test_what_has_no_meaning_here_is_said_once_by_path():
    annotations = {"service.kubernetes.io/topology-mode": "Auto", "mine": "x"}
    document = service(
        metadata={"annotations": annotations},
        type="LoadBalancer",
        externalIPs=["2001:db8::1", "2001:db8::2"],
        loadBalancerSourceRanges=["2001:db8::/32"],
        status=[{"ip": "2001:db8::3"}],
    )
    assert desired(document).ignored == (
        "Service: spec.externalIPs[*] of IPv6",
        "Service: metadata.annotations[service.kubernetes.io/topology-mode]",
        "Service: status.loadBalancer.ingress[*].ip of IPv6",
        "Service: spec.loadBalancerSourceRanges[*] of IPv6",
    )


def test_every_way_to_prefer_the_zone():
    assert [desired(service(trafficDistribution=word)).services[0].prefers_close for word in ("PreferClose", "PreferSameZone")] == [True, True]  # fmt: skip


# --- bad ones -------------------------------------------------------------------------------------------

TWO = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]

BAD: list[tuple[dict[str, Any], list[str]]] = [
    # ports
    ({"ports": None}, ["spec.ports: Required value"]),
    ({"ports": [{"port": 80}, {"port": 81}]}, ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]),
    ({"ports": [{"port": 0}]}, [f"spec.ports[0].port: Invalid value: 0: {PORT}"]),
    ({"ports": [{"port": 70000}]}, [f"spec.ports[0].port: Invalid value: 70000: {PORT}"]),
    ({"ports": [{"name": "a"}]}, ["spec.ports[0].port: Required value"]),
    ({"ports": [{"port": "80"}]}, ['spec.ports[0].port: Invalid value: "80": must be of type integer']),
    ({"ports": [{"port": 80, "targetPort": 70000}]}, [f"spec.ports[0].targetPort: Invalid value: 70000: {PORT}"]),
    ({"ports": [{"port": 80, "targetPort": "80"}]}, ['spec.ports[0].targetPort: Invalid value: "80": must contain at least one letter (a-z)']),
    ({"ports": [{"port": 80, "protocol": "tcp"}]}, ['spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"']),
    ({"ports": [{"port": 80, "name": "A_b"}]}, [f'spec.ports[0].name: Invalid value: "A_b": {PORT_LABEL}']),
    ({"ports": [{**TWO[0]}, {**TWO[1], "name": "a"}]}, ['spec.ports[1].name: Duplicate value: "a"']),
    ({"ports": [TWO[0], {**TWO[1], "port": 80}]}, ['spec.ports[1]: Duplicate value: core.ServicePort{Name:"", Protocol:"TCP", AppProtocol:(*string)(nil), Port:80, TargetPort:intstr.IntOrString{Type:0, IntVal:0, StrVal:""}, NodePort:0}']),
    ({"type": "NodePort", "ports": [{**port, "nodePort": 30080} for port in TWO]}, ["spec.ports[1].nodePort: Duplicate value: 30080"]),
    ({"ports": [{"port": 80, "nodePort": 30080}]}, ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    ({**BALANCED, "ports": [{"port": 10250}]}, ["spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet"]),
    # type
    ({"type": "clusterIP"}, ['spec.type: Unsupported value: "clusterIP": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
    ({"type": "NodePort", "clusterIP": "None"}, ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]),
    ({"type": "LoadBalancer", "clusterIP": "None"}, ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"]),
    ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
    ({"type": "ExternalName", "externalName": "Example_com"}, [f'spec.externalName: Invalid value: "Example_com": {names.dns1123_subdomain("Example_com")[0]}']),
    ({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}, [
        "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
        "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
    ]),
    # cluster IPs and families
    ({"clusterIP": "10.96.0"}, [f'spec.clusterIPs[0]: Invalid value: "10.96.0": {IP}']),
    ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.2"]}, ['spec.clusterIPs: Invalid value: []string{"10.96.0.2"}: first value must match `clusterIP`']),
    ({"clusterIPs": ["10.96.0.2"]}, ['spec.clusterIPs: Invalid value: []string{"10.96.0.2"}: must be empty when `clusterIP` is not specified']),
    ({"clusterIP": "None", "clusterIPs": ["None", "10.96.0.2"]}, ["spec.clusterIPs: Invalid value: []string{\"None\", \"10.96.0.2\"}: 'None' must be the first and only value"]),
    ({"clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2", "10.96.0.3"], "ipFamilyPolicy": "PreferDualStack"}, ['spec.clusterIPs: Invalid value: []string{"10.96.0.2", "10.96.0.3"}: may specify no more than one IP for each IP family']),
    ({"clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2", "fd00::1", "fd00::2"], "ipFamilyPolicy": "PreferDualStack"}, [
        'spec.clusterIPs: Invalid value: []string{"10.96.0.2", "fd00::1", "fd00::2"}: may only hold up to 2 values',
        'spec.clusterIPs[1]: Invalid value: []string{"10.96.0.2", "fd00::1", "fd00::2"}: IPv6 is not configured on this cluster',
        'spec.clusterIPs[2]: Invalid value: []string{"10.96.0.2", "fd00::1", "fd00::2"}: IPv6 is not configured on this cluster',
    ]),
    ({"clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2", "fd00::1"]}, [
        "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified",
        'spec.clusterIPs[1]: Invalid value: []string{"10.96.0.2", "fd00::1"}: IPv6 is not configured on this cluster',
    ]),
    ({"clusterIP": "fd00::1"}, ['spec.clusterIPs[0]: Invalid value: []string{"fd00::1"}: IPv6 is not configured on this cluster']),
    ({"clusterIP": "fd00::1", "ipFamilies": ["IPv4"]}, ['spec.clusterIPs[0]: Invalid value: "fd00::1": expected an IPv4 value as indicated by `ipFamilies[0]`']),
    ({"ipFamilies": ["IPv6"]}, ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster']),
    ({"ipFamilies": ["IPv4", "IPv4", "IPX"]}, [
        'spec.ipFamilies[1]: Duplicate value: "IPv4"',
        'spec.ipFamilies[2]: Unsupported value: "IPX": supported values: "IPv4", "IPv6"',
    ]),
    ({"clusterIP": "10.96.0.1", "ipFamilies": ["IPX"]}, ['spec.ipFamilies[0]: Unsupported value: "IPX": supported values: "IPv4", "IPv6"']),
    ({"ipFamilyPolicy": "RequireDualStack"}, ['spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services']),
    ({"ipFamilyPolicy": "Dual"}, ['spec.ipFamilyPolicy: Unsupported value: "Dual": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"']),
    # addresses from outside
    ({"externalIPs": ["a", "0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1"]}, [
        f'spec.externalIPs[0]: Invalid value: "a": {IP}',
        'spec.externalIPs[1]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
        'spec.externalIPs[2]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        'spec.externalIPs[3]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
        'spec.externalIPs[4]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
    ]),
    ({"externalTrafficPolicy": "Local"}, ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services']),
    ({"type": "NodePort", "externalTrafficPolicy": "local"}, ['spec.externalTrafficPolicy: Unsupported value: "local": supported values: "Cluster", "Local"']),
    ({"internalTrafficPolicy": "local"}, ['spec.internalTrafficPolicy: Unsupported value: "local": supported values: "Cluster", "Local"']),
    ({"trafficDistribution": "PreferSameNode"}, [f"spec.trafficDistribution: {NOT_YET} use PreferSameZone, or internalTrafficPolicy: Local"]),
    ({"trafficDistribution": "Far"}, ['spec.trafficDistribution: Unsupported value: "Far": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"']),
    ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, [f"spec.LoadBalancerSourceRanges: Forbidden: {ONLY_BALANCED}"]),
    ({**BALANCED, "loadBalancerSourceRanges": ["10.0.0.0", "x/8", "10.0.0.0/33"]}, [
        f'spec.LoadBalancerSourceRanges[{at}]: Invalid value: "{text}": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'
        for at, text in enumerate(["10.0.0.0", "x/8", "10.0.0.0/33"])
    ]),
    ({"allocateLoadBalancerNodePorts": True}, [f"spec.allocateLoadBalancerNodePorts: Forbidden: {ONLY_BALANCED}"]),
    ({"loadBalancerClass": "a/b"}, [f"spec.loadBalancerClass: Forbidden: {ONLY_BALANCED}"]),
    ({"healthCheckNodePort": 30000}, ["spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"]),
    ({**BALANCED, "externalTrafficPolicy": "Local", "healthCheckNodePort": 70000}, [f"spec.healthCheckNodePort: Invalid value: 70000: {PORT}"]),
    ({**BALANCED, "loadBalancerIP": "lb"}, ['spec.loadBalancerIP: Invalid value: "lb": must be a valid IP address, (e.g. 10.9.8.7)']),
    ({**BALANCED, "status": [{"ip": "a"}, {"ip": "192.0.2.1", "ipMode": "Vip"}, {"hostname": "192.0.2.1", "ipMode": "VIP"}]}, [
        'status.loadBalancer.ingress[0].ip: Invalid value: "a": must be a valid IP address',
        'status.loadBalancer.ingress[1].ipMode: Unsupported value: "Vip": supported values: "Proxy", "VIP"',
        "status.loadBalancer.ingress[2].ipMode: Forbidden: may not be set when `ip` is not set",
        'status.loadBalancer.ingress[2].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address',
    ]),
    ({"status": [{"ip": "192.0.2.1"}]}, ['status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "LoadBalancer"']),
    # affinity
    ({"sessionAffinity": "ip"}, ['spec.sessionAffinity: Unsupported value: "ip": supported values: "ClientIP", "None"']),
    ({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, ["spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None"]),
    *(
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}, [
            f"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: {seconds}: must be greater than 0 and less than 86400"
        ])
        for seconds in (0, -1, 86401)
    ),
    ({"selector": {"a b": "c"}}, [f'spec.selector: Invalid value: "a b": {names.qualified_name("a b")[0]}']),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "expected"), BAD)
def test_a_bad_service(spec, expected):
    assert wrong(service(**spec)) == expected


@pytest.mark.parametrize("name", ["1web", "a.b", "Web", "w" * 64])
def test_the_name_of_a_service(name):
    words = f"must be no more than {63} characters" if len(name) > 63 else DNS_LABEL
    assert problems_of(desired, service(name, selector=None)) == [
        f'm/s.yaml:1: The Service "{name}" is invalid: metadata.name: Invalid value: "{name}": {words}'
    ]


def test_all_of_it_is_said_at_once():
    spec = {"ports": [{"port": 0, "protocol": "x", "nodePort": 1}], "externalIPs": ["a"], "sessionAffinity": "b"}
    lines = problems_of(desired, service("1", **spec), service("web", type="X"))
    assert [line.split(": ")[2] for line in lines] == [
        "metadata.name",
        "spec.ports[0].port",
        "spec.ports[0].protocol",
        "spec.ports[0].nodePort",
        "spec.externalIPs[0]",
        "spec.sessionAffinity",
        "spec.type",
    ]
    assert all(line.startswith("m/s.yaml:1: The Service ") for line in lines)


def test_a_headless_service_without_selector_may_be_of_two_families():
    spec = {"clusterIP": "None", "selector": None, "ipFamilyPolicy": "RequireDualStack"}
    assert made(service(**spec)).is_headless


# --- addresses as Kubernetes reads them -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("172.30.0.041", "172.30.0.41"),
        ("010.000.00.0", "10.0.0.0"),
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        *(
            (bad, None)
            for bad in ("", "1.2.3", "1.2.3.256", "1.2.3.4.5", "1.2.3.x", "fe80::1%eth0", " 1.2.3.4", "0x1.2.3.4")
        ),
    ],
)
def test_leading_zeros_are_no_octal_numbers(text, expected):
    found = ip_parsing.address(text)
    assert (found and str(found)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.7/8", "10.0.0.0/8"),
        ("010.0.0.0/08", "10.0.0.0/8"),
        ("2001:db8::1/32", "2001:db8::/32"),
        *((bad, None) for bad in ("10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/255.0.0.0", "x/8")),
    ],
)
def test_cidrs(text, expected):
    found = ip_parsing.network(text)
    assert (found and str(found)) == expected


@given(st.text(alphabet="0123456789.:/%abcdefx", max_size=20))
def test_no_text_breaks_the_readers(text):
    assert ip_parsing.address(text) is None or "%" not in text
    ip_parsing.network(text)


# --- the recorded cases ---------------------------------------------------------------------------------

NODE = Host("node1", "node", "10.100.0.2")


def read(case: dict[str, Any]) -> Any:
    documents = [Document(body, "case.json", 1) for body in (*case["services"], *case["endpointslices"])]
    return objects.desired(documents, IMAGES)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_manifests_become_what_a_real_kube_proxy_wrote(path):
    wanted = read(json.loads(path.read_text()))
    cluster = Cluster()
    given_ = allocate(cluster, [NODE], wanted.services)
    component = plan_services(cluster, [NODE], wanted, given_, [], {}, {}, {}, "2030-01-01T00:00:00Z")
    written = iptables_save.parsed(path.with_suffix(".save").read_text())
    tables = rules.tables(component.row(NODE, "10.1.1.0/24"))
    for table, parts in tables.items():
        own = {chain: sorted(found) for chain, found in written[table].items() if chain.startswith("KUBE-")}
        assert {chain: sorted(found) for chain, found in parts["chains"].items()} == own


# --- one beside another ---------------------------------------------------------------------------------


def test_a_broken_service_harms_no_other_one():
    wanted, problems = objects.survey([service("a", ports=[{"port": 0}]), service("b")], IMAGES)
    assert len(problems) == 1
    assert [one.name for one in wanted.services] == ["a", "b"]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["type", "clusterIP", "ports", "externalIPs", "selector", "sessionAffinity", "ipFamilies"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=2)),
    )
)
def test_nothing_that_is_written_breaks_the_reader(spec):
    objects.survey([service(**spec)], IMAGES)
