"""Which containers something stands in for, and where it listens."""

from __future__ import annotations

import pytest
from bodies import IMAGES, container_of, desired, document, pod, service, template_of, workload, workload_of

from cli.look.stand_ins import note
from podlab.changes.pods.stand_ins import IMAGE_ID, image_id
from podlab.planner.configs.containers import container_rows
from podlab.planner.manifests import objects
from podlab.planner.manifests.stand_ins import StoodInFor, notes, stand_ins
from podlab.planner.model import Image, StandIn

SHOP = "example.com/shop:1"


def unknown(**fields):
    return pod(container={"image": SHOP, **fields})


def probe(kind, **fields):
    return {kind: {"port": 8080, **fields}}


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "nginx"},
        {"image": "busybox", "command": ["/app/serve"]},
        {"command": ["sh", "-c", "exit"]},
        {"command": ["/bin/sleep", "9"]},
        {"command": ["/usr/bin/python3"]},
    ],
)
def test_what_the_catalogue_or_every_node_has_is_run(fields):
    assert container_of(unknown(**fields)).stand_in is None


@pytest.mark.parametrize("fields", [{}, {"args": ["--port=1"]}])
def test_an_unknown_image_without_a_command_is_stood_in_for(fields):
    container = container_of(unknown(**fields))
    assert (container.argv, container.stand_in) == ((), StandIn(SHOP))


@pytest.mark.parametrize("program", ["/app/serve", "java", "/app/sh", "./sleep"])
def test_a_program_that_a_node_may_lack_is_looked_for_when_the_container_starts(program):
    container = container_of(unknown(command=[program], args=["-v"]))
    assert (container.argv, container.stand_in) == ((program, "-v"), StandIn(SHOP))


@pytest.mark.parametrize(
    ("fields", "ports"),
    [
        ({"ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}, {"tcp": (80,), "udp": (53,)}),
        ({"ports": [{"containerPort": 9, "protocol": "SCTP"}]}, {}),
        ({"ports": [{"containerPort": 8443, "name": "https"}]}, {"tls": (8443,)}),
        ({"ports": [{"containerPort": 8443, "name": "https"}], "readinessProbe": {"httpGet": {"port": "https"}}}, {"tcp": (8443,)}),
        ({"livenessProbe": probe("httpGet", scheme="HTTPS")}, {"tls": (8080,)}),
        ({"startupProbe": probe("tcpSocket"), "ports": [{"containerPort": 8080}]}, {"tcp": (8080,)}),
        ({"readinessProbe": probe("httpGet", host="10.0.0.1")}, {}),
        ({"readinessProbe": {"exec": {"command": ["true"]}}}, {}),
        ({"lifecycle": {"preStop": probe("httpGet")}}, {"tcp": (8080,)}),
    ],
)  # fmt: skip
def test_it_listens_where_the_container_says_that_something_does(fields, ports):
    assert container_of(unknown(**fields)).stand_in == StandIn(SHOP, **ports)


@pytest.mark.parametrize(
    ("port", "ports"),
    [
        ({"port": 80}, {"tcp": (80,)}),
        ({"port": 80, "targetPort": 8080}, {"tcp": (8080,)}),
        ({"port": 443, "targetPort": 8443, "name": "https"}, {"tls": (8443,)}),
        ({"port": 443, "appProtocol": "https"}, {"tls": (443,)}),
        ({"port": 443, "appProtocol": "kubernetes.io/wss"}, {"tls": (443,)}),
        ({"port": 80, "appProtocol": "kubernetes.io/ws"}, {"tcp": (80,)}),
        ({"port": 53, "protocol": "UDP"}, {"udp": (53,)}),
    ],
)
def test_it_listens_where_a_service_leads_to(port, ports):
    found = desired(workload(template={"containers": [{"name": "c", "image": SHOP}]}), service(ports=[port]))
    assert found.workloads[0].template.containers[0].stand_in == StandIn(SHOP, **ports)


@pytest.mark.parametrize(
    "service_",
    [service("other"), service(metadata={"namespace": "kube-system"}), service(selector=None), service(ports=[{"port": 1, "targetPort": 70}])],
)  # fmt: skip
def test_a_service_of_others_or_to_a_declared_port_adds_none(service_):
    container = {"name": "c", "image": SHOP, "ports": [{"containerPort": 70, "name": "https"}]}
    found = desired(workload(template={"containers": [container]}), service_)
    assert found.workloads[0].template.containers[0].stand_in == StandIn(SHOP, tls=(70,))


SERVED = {"port": 443, "targetPort": 70, "name": "https"}
GET = {"readinessProbe": {"httpGet": {"port": 70}}}


@pytest.mark.parametrize(
    ("fields", "ports", "is_tls"),
    [
        ({"ports": [{"containerPort": 70}]}, [SERVED], True),
        ({"ports": [{"containerPort": 70, "name": "web"}]}, [{**SERVED, "targetPort": "web"}], True),
        (
            {"ports": [{"containerPort": 70, "name": "web"}], "readinessProbe": {"tcpSocket": {"port": 70}}},
            [SERVED],
            True,
        ),
        ({"ports": [{"containerPort": 70, "name": "http"}]}, [{**SERVED, "targetPort": "http"}], False),
        ({"ports": [{"containerPort": 70}], **GET}, [SERVED], False),
        ({"ports": [{"containerPort": 70}]}, [SERVED, {**SERVED, "port": 80, "name": "web"}], False),
        ({"ports": [{"containerPort": 70, "name": "a"}]}, [{**SERVED, "targetPort": "b"}], False),
    ],
)
def test_a_declared_port_that_services_call_https_is_one_of_tls(fields, ports, is_tls):
    container = {"name": "c", "image": SHOP, **fields}
    found = desired(workload(template={"containers": [container]}), service(ports=ports))
    expected = StandIn(SHOP, **{"tls" if is_tls else "tcp": (70,)})
    assert found.workloads[0].template.containers[0].stand_in == expected
    second = [{"name": "first", "image": "nginx"}, container]
    found = desired(workload(template={"containers": second}), service(ports=ports))
    assert found.workloads[0].template.containers[1].stand_in == expected


def test_what_no_container_declares_is_the_first_ones():
    own, beside = {"name": "a", "image": SHOP}, {"name": "b", "image": SHOP, "ports": [{"containerPort": 80}]}
    targets = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    for containers, expected in (
        ([own, beside], [(81,), (80,)]),
        ([beside, own], [(80, 81), ()]),
        ([{"name": "x", "image": "nginx"}, own], [None, ()]),
    ):
        found = desired(workload(template={"containers": containers}), service(ports=targets))
        template = found.workloads[0].template
        assert [one.stand_in and one.stand_in.tcp for one in template.containers] == expected


def test_a_service_of_one_pod_of_a_stateful_set_is_led_to_all_of_them():
    selector = {"app": "web", "statefulset.kubernetes.io/pod-name": "web-0"}
    found = desired(
        workload("StatefulSet", template={"containers": [{"name": "c", "image": SHOP}]}), service(selector=selector)
    )
    assert found.workloads[0].template.containers[0].stand_in == StandIn(SHOP, tcp=(80,))


def test_a_services_port_is_none_of_the_template_that_a_revision_is_made_of():
    document = workload(template={"containers": [{"name": "c", "image": SHOP}]})
    with_service = desired(document, service()).workloads[0]
    assert with_service.template_hash == workload_of(document).template_hash


def test_what_does_some_work_and_ends_ends_at_once():
    job = workload_of(workload("Job", template={"containers": [{"name": "c", "image": SHOP}]}))
    assert job.template.containers[0].stand_in == StandIn(SHOP, ends=True)
    inits = [{"name": "i", "image": SHOP}, {"name": "s", "image": SHOP, "restartPolicy": "Always"}]
    template = template_of(pod(initContainers=inits))
    assert [one.stand_in for one in template.init_containers] == [StandIn(SHOP, ends=True), StandIn(SHOP)]


def test_who_may_not_be_root_and_says_not_who_is_nobody_in_particular():
    asked = {"runAsNonRoot": True}
    assert container_of(unknown(securityContext=asked)).security.user == 65532
    assert container_of(unknown(securityContext={**asked, "runAsUser": 7})).security.user == 7
    assert container_of(unknown()).security.user is None
    assert template_of(unknown(securityContext=asked)).waits == ()
    (wait,) = template_of(unknown(securityContext=asked, command=["sleep", "1"])).waits
    assert wait.message == "Error: container has runAsNonRoot and image will run as root"


def test_the_catalogue_may_say_where_an_image_listens():
    images = {"whoami": Image(ports=(80,)), "redis": Image(cmd=("redis-server",), ports=(6379,))}

    def first(**container):
        wanted = objects.desired([pod(container=container)], images, unknown_images="refuse")
        return wanted.pods[0].template.containers[0]

    assert first(image="whoami", args=["--verbose"]).argv == ()
    assert first(image="whoami").stand_in == StandIn("whoami", tcp=(80,))
    redis = first(image="redis:7", args=["redis-server", "--port", "1"])
    assert (redis.argv, redis.stand_in) == (("redis-server", "--port", "1"), StandIn("redis:7", tcp=(6379,)))


def test_its_command_line():
    fields = {"ports": [{"containerPort": n} for n in (81, 80)], "livenessProbe": probe("httpGet", scheme="HTTPS")}
    template = template_of(unknown(command=["java", "$(X)$$(Y)"], env=[{"name": "X", "value": "x"}], **fields))
    row = container_rows(template, {"status.podIP": "10.1.1.2"}, {})["c"]
    assert row["argv"] == [
        *("/opt/podlab/stand-in", f"--for={SHOP}", "--tcp=80,81", "--tls=8080", "--", "java", "x$(Y)"),
    ]
    template = template_of(pod(initContainers=[{"name": "i", "image": SHOP}]))
    assert container_rows(template, {}, {})["i"]["argv"] == ["/opt/podlab/stand-in", f"--for={SHOP}", "--ends"]


def test_what_is_told_of_them():
    found = desired(
        workload(template={"containers": [{"name": "c", "image": SHOP}, {"name": "n", "image": "nginx"}]}),
        document("Pod", "p", spec={"containers": [{"name": "c", "image": SHOP}], "initContainers": [
            {"name": "i", "image": "x", "command": ["/init"]}]}),
        service(ports=[{"port": 443, "name": "https"}]),
    )  # fmt: skip
    assert stand_ins(found) == [
        StoodInFor("Pod/default/p", "i", "x", (), "/init", True),
        StoodInFor("Pod/default/p", "c", SHOP, (), "", False),
        StoodInFor("Deployment/default/web", "c", SHOP, ("443/TLS",), "", False),
    ]
    assert notes(found) == [
        "a stand-in runs for image x in Pod/default/p, where a node has no /init",
        f"a stand-in runs for image {SHOP} in Pod/default/p, Deployment/default/web",
    ]
    assert notes(objects.desired([pod()], IMAGES)) == []


@pytest.mark.parametrize(
    ("argv", "facts", "expected"),
    [
        (["/opt/podlab/stand-in", "--for=x"], {}, IMAGE_ID),
        (["/opt/podlab/stand-in", "--for=x", "--", "java"], {}, ""),
        (["/opt/podlab/stand-in", "--for=x", "--", "java"], {"stand_in": True}, IMAGE_ID),
        (["sleep", "1"], {}, ""),
    ],
)
def test_the_image_id_tells_what_runs(argv, facts, expected):
    assert image_id({"argv": argv}, facts) == expected


def test_get_says_below_its_table_what_they_run_for():
    def pod_of(*images: str, real: str = "") -> dict:
        statuses = [{"image": image, "imageID": IMAGE_ID} for image in images] + [{"image": real, "imageID": ""}]
        return {"status": {"containerStatuses": statuses}}

    words = "note: stand-ins run for {}; ./lab describe tells of which containers"
    assert note([pod_of(real="nginx"), {"metadata": {}}]) == ""
    assert note([pod_of("a"), pod_of("a", "b")]) == words.format("a, b")
    assert note([pod_of(*"abcde")]) == words.format("a, b, c and 2 more")
