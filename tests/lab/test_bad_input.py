"""Mistakes are reported together, and nothing is written before."""

from __future__ import annotations

from .conftest import pod

BARE = "ip -o link; ip route; iptables-save | grep -v '^#'; sysctl net.ipv4.ip_forward; ls /var/lib/podlab /run/podlab 2>&1; true"


def message(done):
    assert done.returncode == 2
    return done.stdout


def test_everything_wrong_is_said_at_once_and_nothing_is_written(lab):
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    lab.sh("node2", "ip link add cbr0 type bridge")
    before = lab.sh("node1", BARE)
    lab.write(
        a=pod("lost", {"name": "c", "image": "busybox"}, nodeName="node9"),
        b=pod("Bad_Name", {"name": "c", "image": "nowhere/to/be:found"}),
        c="kind: Pod\napiVersion: v1\nmetadata: {name: '../../etc/passwd'}\nspec: {containers: [{name: '$(reboot)', image: busybox}]}\n",
        d=pod("twice", {"name": "c", "image": "busybox"}),
        e=pod("twice", {"name": "c", "image": "busybox"}),
    )
    said = message(lab.play("-e", '{"cluster": {"service_cidr": "10.1.0.0/20"}}'))
    for words in (
        "cluster.cidr 10.1.0.0/16 overlaps with cluster.service_cidr 10.1.0.0/20",
        'spec.nodeName: Invalid value: "node9"',
        "nowhere/to/be:found",
        "../../etc/passwd",
        "$(reboot)",
        'pods "twice" already exists',
        "node2: link cbr0 is in the way",
    ):
        assert words in said, words
    assert lab.sh("node1", BARE) == before
    lab.sh("node2", "ip link del cbr0")


def test_broken_yaml_is_named_by_file_and_line(lab):
    lab.write(broken="apiVersion: v1\nkind: Pod\nmetadata: {name: x\n")
    assert "broken.yml:4:" in message(lab.play())


def test_no_directory_and_an_empty_one_are_errors_an_empty_list_is_not(lab, tmp_path):
    assert "does not exist" in message(lab.play("-e", f"manifests={tmp_path}/none"))
    assert "recognized file extensions are [.json .yaml .yml]" in message(lab.play("-e", f"manifests={tmp_path}"))
    lab.write(empty={"apiVersion": "v1", "kind": "List", "items": []})
    lab.converge("--skip-tags", "verify")


def test_a_node_cidr_of_28_fills_to_13_pods_and_says_so(lab):
    lab.play("-e", "keep_power=true", playbook="playbooks/teardown.yml")
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

    small = ["--skip-tags", "verify", "-e", '{"cluster": {"node_prefix": 28}}']
    lab.write(many=deployment(13))
    lab.converge(*small)
    assert lab.sh("node1", "ls /run/netns | wc -l") == "13"
    lab.write(many=deployment(14))
    assert "no IP addresses available in range set" in message(lab.play(*small))
