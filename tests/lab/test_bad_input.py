"""Mistakes are reported together, and nothing is written before."""

from __future__ import annotations

import json
import os
import uuid

from podlab.embedded import Lab

from .conftest import ROOT, TestLab, pod

BARE = "ip -o link; ip route; iptables-save | grep -v '^#'; sysctl net.ipv4.ip_forward; ls /var/lib/podlab /run/podlab 2>&1; true"


def message(done):
    assert done.returncode == 2
    return done.stdout


def test_everything_wrong_is_said_at_once_and_nothing_is_written(lab):
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    lab.sh("node2", "ip link add cbr0 type bridge")
    before = lab.sh("node1", BARE)
    lab.write(
        a=pod("lost", {"name": "c", "image": "busybox"}, nodeName="No De"),
        b=pod("Bad_Name", {"name": "c", "image": "no/where:1"}),
        c="kind: Pod\napiVersion: v1\nmetadata: {name: '../../etc/passwd'}\nspec: {containers: [{name: '$(reboot)', image: busybox}]}\n",
        d=pod("again", {"name": "c", "image": "busybox"}, restartPolicy="Sometimes"),
    )
    said = message(lab.play("-e", '{"podlab_service_cidr": "10.1.0.0/20", "podlab_unknown_images": "refuse"}'))
    for words in (
        "podlab_cluster_cidr 10.1.0.0/16 overlaps with podlab_service_cidr 10.1.0.0/20",
        'spec.nodeName: Invalid value: "No De"',
        'metadata.name: Invalid value: "Bad_Name"',
        "no/where:1",
        "../../etc/passwd",
        "$(reboot)",
        'spec.restartPolicy: Unsupported value: "Sometimes"',
        "node2: link cbr0 is in the way",
    ):
        assert words in said, words
    assert lab.sh("node1", BARE) == before
    lab.sh("node2", "ip link del cbr0")


def test_old_names_of_settings_are_told_with_the_new_ones_before_a_host_is_made(tmp_path):
    """A variable that nothing reads any more would pass for the default."""
    text = (ROOT / "inventory" / "embedded" / "hosts.yml").read_text("utf-8")
    old = text.replace("interfaces:", "legs:").replace("external:", "outsiders:")
    old = old.replace(
        "podlab_pod_routing: gateway", "cluster: {pod_routing: vxlan, vxlan_id: 7}\n    podlab_dsn: 10.96.0.10"
    )
    (tmp_path / "hosts.yml").write_text(old, "utf-8")
    unlit = TestLab(f"test-{uuid.uuid4().hex[:8]}", tmp_path / "hosts.yml", ROOT / "manifests")
    said = message(unlit.play("-e", "keep_power=true"))
    for line in (
        "cluster.pod_routing: renamed; write podlab_pod_routing",
        "cluster.vxlan_id: renamed; write podlab_vxlan_id",
        "keep_power: renamed; write podlab_keep_power",
        "legs: renamed; write interfaces (gateway)",
        "outsiders: the group is renamed; write external, or make it a child of external (outside)",
        "podlab_dsn: unknown setting; did you mean podlab_dns?",
    ):
        assert f"\n{line}\n" in said
    assert Lab(str(ROOT), unlit.name).lab_init() is None


def test_teardown_takes_no_old_name_for_its_setting(lab):
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    said = message(lab.play("-e", "keep_power=true", playbook="playbooks/teardown.yml"))
    assert "keep_power: renamed; write podlab_keep_power" in said
    assert lab.on("node1", "hostname") == "node1"


def service(name, **spec):
    ports = [{"port": 80}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


def test_no_rule_is_written_of_a_service_as_long_as_another_one_is_bad(lab):
    """What Kubernetes refuses, and what it lets pass though one of two would never answer."""
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    lab.play("-e", "podlab_keep_power=true", playbook="playbooks/teardown.yml")
    before = lab.sh("node1", BARE)
    good = {"good": service("good"), "outer": service("outer", externalIPs=["203.0.113.5"])}
    lab.write(
        **good,
        port=service("port", type="NodePort", ports=[{"port": 80, "nodePort": 80}]),
        affinity=service("affinity", sessionAffinity="client", ports=[{"port": 0, "protocol": "tcp"}]),
        far=service("far", clusterIP="10.97.0.1"),
        second=service("second", externalIPs=["203.0.113.5"]),
        balanced=service("balanced", type="LoadBalancer"),
        crowded=service("crowded", type="NodePort"),
    )
    settings = {
        "podlab_load_balancer_pool": "10.100.0.2-10.100.0.2",
        "podlab_node_port_range": "30000-30000",
        "podlab_service_cidr": "10.96.0.0/30",
    }
    said = message(lab.play("-e", json.dumps(settings)))
    for words in (
        'port.yml:1: The Service "port" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in',
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        'spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
        'spec.sessionAffinity: Unsupported value: "client": supported values: "ClientIP", "None"',
        "provided IP 10.97.0.1 is not in the valid range",
        'spec.externalIPs[0]: Invalid value: "203.0.113.5": port 80/TCP of this address leads to Service default/outer already',
        "podlab_load_balancer_pool 10.100.0.2-10.100.0.2 overlaps with the address of node1, 10.100.0.2",
        "failed to allocate a nodePort: range is full",
        "failed to allocate a serviceIP: range is full",
    ):
        assert words in said, words
    assert lab.sh("node1", BARE) == before
    lab.write(**good)
    lab.converge("--skip-tags", "verify")
    assert '"default/good has no endpoints"' in lab.sh("node1", "iptables-save")


def test_broken_yaml_is_named_by_file_and_line(lab):
    lab.write(broken="apiVersion: v1\nkind: Pod\nmetadata: {name: x\n")
    assert "broken.yml:4:" in message(lab.play())


def test_no_directory_and_an_empty_one_are_errors_an_empty_list_is_not(lab, tmp_path):
    assert "does not exist" in message(lab.play("-e", f"podlab_manifests={tmp_path}/none"))
    assert "recognized file extensions are [.json .yaml .yml]" in message(
        lab.play("-e", f"podlab_manifests={tmp_path}")
    )
    lab.write(empty={"apiVersion": "v1", "kind": "List", "items": []})
    lab.converge("--skip-tags", "verify")


def test_what_may_not_change_is_told_by_what_the_hosts_remember(lab):
    """And a ReplicaSet adopts what its selector matches, on nodes of the architecture that their machine has."""
    sleep = {"name": "c", "image": "registry.k8s.io/pause"}
    labels, machine = {"app": "tier"}, os.uname().machine
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    wish = {"beta.kubernetes.io/os": "linux", "kubernetes.io/arch": arch}
    stray = pod("stray", sleep, nodeSelector=wish)
    stray["metadata"]["labels"] = labels

    def objects(selector, value):
        template = {"metadata": {"labels": {**labels, "tier": "front"}}, "spec": {"containers": [sleep]}}
        spec = {"replicas": 2, "selector": {"matchLabels": selector}, "template": template}
        return {
            "tier": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "tier"}, "spec": spec},
            "sealed": f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, immutable: true, data: {{a: {value}}}}}",
            "stray": stray,
        }

    lab.write(**objects(labels, "one"))
    lab.converge("--skip-tags", "verify")
    owners = 'cat /run/podlab/pods/*/pod.json | grep -o \'"name": "tier"\' | wc -l'
    assert int(lab.sh("node1", owners)) + int(lab.sh("node2", owners)) == 2
    assert lab.typed(lab.converge("--skip-tags", "verify", "--diff")) == {}
    lab.write(**objects({"tier": "front"}, "two"))
    said = message(lab.play("--skip-tags", "verify"))
    assert 'spec.selector: Invalid value: {"matchLabels":{"tier":"front"}}: field is immutable; to make it anew' in said
    assert "data: Forbidden: field is immutable when `immutable` is set; to make it anew" in said


def test_a_node_cidr_of_28_fills_to_13_pods_and_says_so(lab):
    lab.play("-e", "podlab_keep_power=true", playbook="playbooks/teardown.yml")
    spec = {"containers": [{"name": "c", "image": "registry.k8s.io/pause"}], "nodeName": "node1"}

    def deployment(replicas):
        labels = {"app": "many"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "many"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }

    small = ["--skip-tags", "verify", "-e", '{"podlab_node_prefix": 28}']
    lab.write(many=deployment(13))
    lab.converge(*small)
    assert lab.sh("node1", "ls /run/netns | wc -l") == "13"
    lab.write(many=deployment(14))
    assert "no IP addresses available in range set" in message(lab.play(*small))
