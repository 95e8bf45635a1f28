"""The roles in a playbook that a person writes by hand: outside of this directory, without a plan and manifests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import preforked

from .conftest import ROOT, TestLab
from .test_namespaces import flat
from .test_reboot import tables

BY_HAND = """
- name: "Two nodes: pods, and the ways between them"
  hosts: node1:node2
  roles:
    - role: node
    - role: bridge
      bridge_address: "{{ {'node1': '10.1.1.1/24', 'node2': '10.1.2.1/24'}[inventory_hostname] }}"
    - role: pods
      pods_list: "{{ {'node1': on_node1, 'node2': on_node2}[inventory_hostname] }}"
    - role: routes
      routes_list: "{{ {'node1': to_node2, 'node2': to_node1}[inventory_hostname] }}"
      routes_within: 10.1.0.0/16
    - role: egress
      egress_cluster_cidr: 10.1.0.0/16
    - role: services
      services_cluster_cidr: 10.1.0.0/16
      services_objects: "{{ [web, web_endpoints] }}"
    - role: namespaces
      namespaces_list:
        - {name: near, mode: host-only, address: 192.168.202.11/24, host_address: 192.168.202.1}
  vars:
    web:
      apiVersion: v1
      kind: Service
      metadata: {name: web}
      spec: {clusterIP: 10.96.0.10, type: NodePort, ports: [{port: 80, nodePort: 30080}]}
    web_endpoints:
      apiVersion: discovery.k8s.io/v1
      kind: EndpointSlice
      metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
      addressType: IPv4
      ports: [{port: 80}]
      endpoints:
        - {addresses: [10.1.1.2], nodeName: node1}
        - {addresses: [10.1.2.2], nodeName: node2}
    to_node1: [{to: 10.1.1.0/24, via: 10.100.0.2}]
    to_node2: [{to: 10.1.2.0/24, via: 10.100.0.3}]
    on_node1:
      - name: web
        address: 10.1.1.2/24
        containers:
          - {name: web, command: [/agnhost, netexec, --http-port=80]}
      - name: toolbox
        address: 10.1.1.3/24
        containers:
          - {name: toolbox, command: [sleep, infinity], env: {WORD: two words}}
    on_node2:
      - name: web
        address: 10.1.2.2/24
        gateway: 10.1.2.1
        bridge: cbr0
        containers:
          - {name: web, command: [/agnhost, netexec, --http-port=80]}
"""


class Person:
    """Who stands in a directory that has nothing but a playbook, and sets ``ANSIBLE_CONFIG`` alone."""

    def __init__(self, lab: TestLab, home: Path) -> None:
        self.lab, self.home = lab, home

    def play(self, book: str, *options: str) -> subprocess.CompletedProcess[str]:
        (self.home / "book.yml").write_text(book)
        argv = ["ansible-playbook", "-i", str(self.lab.inventory), "book.yml", *options]
        environment = {**self.lab.environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        if "--check" in options:  # the program itself, which has loaded nothing of podlab's before it reads a setting
            return subprocess.run(argv, cwd=self.home, env=environment, capture_output=True, text=True)
        return preforked.play(argv, environment, self.home)

    def types(self, book: str, *options: str) -> dict[str, list[str]]:
        """The lines that a run shows, by host; it has to succeed."""
        done = self.play(book, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        typed = self.lab.typed(done.stdout)
        changed = re.findall(r"^(\S+) .*changed=[1-9]", done.stdout, re.MULTILINE)
        assert sorted(typed) == sorted(changed), done.stdout
        return typed


@pytest.fixture(scope="module")
def person(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Person:
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    return Person(lab, tmp_path_factory.mktemp("elsewhere"))


HOSTS = ("node1", "node2")
TEARDOWN = yaml.safe_dump([{"hosts": ":".join(HOSTS), "roles": ["teardown"]}])


def kept(lab: TestLab) -> list[str]:
    """All that a host has of podlab's in its kernel, and in its files."""
    files = "ls -d /run/netns /run/podlab /var/lib/podlab /var/log/pods 2>/dev/null"
    return [flat(tables(lab, host)) + lab.sh(host, files, check=False) for host in HOSTS]


def calls(lab: TestLab, host: str, pod: str, url: str) -> str:
    """What a pod gets from there; it may have to wait until it is answered at all."""
    again = "--retry 9 --retry-connrefused --retry-delay 1 --max-time 30"
    return lab.sh(host, f"ip netns exec default_{pod} curl -s {again} {url}")


def test_a_playbook_by_hand_makes_it_once(person: Person) -> None:
    lab = person.lab
    before = kept(lab)
    foretold = person.types(BY_HAND, "--check")
    assert kept(lab) == before
    typed = person.types(BY_HAND)
    assert typed == foretold
    assert person.types(BY_HAND) == {}
    assert calls(lab, "node1", "toolbox", "http://10.1.1.2/hostname") == "web"
    assert calls(lab, "node1", "toolbox", "http://10.1.2.2/clientip").startswith("10.1.1.3:"), "not translated"
    lab.sh("node1", "ip netns exec default_toolbox ping -c1 -W9 198.51.100.1")  # which knows the node's address alone
    for _ in range(9):  # the pod that is called first may be the caller's neighbour, whose answer passes the bridge
        assert calls(lab, "node1", "toolbox", "http://10.96.0.10/hostname") == "web"
    lab.sh("gateway", "curl -s --retry 9 --retry-connrefused --max-time 9 http://10.100.0.2:30080/hostname")
    assert lab.sh("node1", "ip netns exec near ping -c1 -W9 192.168.202.1 >/dev/null; echo $?") == "0"
    assert person.types(TEARDOWN, "--check") == person.types(TEARDOWN)
    assert kept(lab) == before
    assert person.types(TEARDOWN) == {}


def test_a_cluster_takes_the_place_of_what_was_made_by_hand(person: Person) -> None:
    lab = person.lab
    before = kept(lab)
    person.types(BY_HAND)
    lab.converge("--skip-tags", "verify")
    assert "default_web " not in lab.sh("node1", "ip netns")
    assert not lab.lines(lab.converge("--skip-tags", "verify"))
    person.types(TEARDOWN)
    assert kept(lab) == before


WRONG = """
- hosts: node1
  ignore_errors: true  # each role shall have its say
  roles:
    - role: services
      services_cluster_cidr: ten
      services_objects:
        - {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80000}]}}
        - {apiVersion: v1, kind: Pod, metadata: {name: web}}
        - {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, endpoints: []}
    - role: bridge
      bridge_name: much-too-long-for-a-link
      bridge_address: 10.1.1.0/24
      bridge_mac: 0B:58:0a:01:01:01
      bridge_mtu: 20
    - role: routes
      routes_within: 10.1.0.1/16
      routes_parts: [make]  # each part fails alike
      routes_list:
        - {to: 10.1.1.0/24, via: node1}
        - {to: 10.1.1.0/24, via: 10.100.0.2, dev: much-too-long-for-a-link}
    - role: egress
      egress_non_masquerade_cidrs: [ten]
    - role: pods
      pods_list:
        - name: Web
          address: 10.1.1.2
          containers: [{name: web, command: []}]
        - name: web
          address: 10.1.1.2/24
          gateway: 10.1.2.1
          containers: [{name: web, command: [sleep, infinity]}, {name: web, command: [sleep, infinity]}]
        - name: web
          address: 10.1.1.2/24
          restart_policy: Sometimes
          containers: []
        - name: theirs
          address: 10.1.1.1/24
          containers: [{name: x, command: [sleep, infinity]}]
"""
WORDS = (
    "services_cluster_cidr: 'ten' is none; write an IPv4 network, as 10.1.0.0/16",
    'services_objects:0: The Service "web" is invalid: spec.ports[0].port: Invalid value: 80000',
    "services_objects:1: Pod is none of Service, EndpointSlice, Endpoints, Namespace",
    'services_objects:2: The EndpointSlice "a" is invalid: addressType: Required value',
    "bridge_name: 'much-too-long-for-a-link' is no name of a link",
    "bridge_address: 10.1.1.0 is the network's own address of 10.1.1.0/24",
    "bridge_mac: '0B:58:0a:01:01:01' is no MAC address of one link",
    "bridge_mtu: 20 is not from 68 to 65535",
    "routes_within: '10.1.0.1/16' is none; write 10.1.0.0/16",
    "routes_list[0]: via: 'node1' is none; write the next hop's IPv4 address",
    "routes_list[1]: dev: 'much-too-long-for-a-link' is no name of a link",
    "routes_list: 10.1.1.0/24 is in it 2 times; a network has one next hop",
    "egress_cluster_cidr: it is missing; write an IPv4 network, as 10.1.0.0/16",
    "egress_non_masquerade_cidrs: 'ten' is none; write an IPv4 network, as 10.0.0.0/8",
    "pod Web: name: 'Web' is no name",
    "pod Web: address: '10.1.1.2' is none; write an IPv4 address with prefix length, as 10.1.1.2/24",
    "pod web: gateway: 10.1.2.1 is not in 10.1.1.0/24, the network of address 10.1.1.2/24",
    "pod web: containers: web is the name of 2; give each its own",
    "pod web: restart_policy: 'Sometimes' is none of Always, OnFailure, Never",
    "pod web: containers: write a list with one at least",
    "pod theirs: address: 10.1.1.1 is the gateway's; give the pod another one",
    "pod default/web is in the list 2 times; give each pod a name",
    "pods web, web: address 10.1.1.2 is given to each of them",
)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(person: Person) -> None:
    before = kept(person.lab)
    done = person.play(WRONG)
    assert re.search("changed=0 .*ignored=5", done.stdout), done.stdout
    said = re.sub(r"\s+", " ", done.stdout)
    missing = [words for words in WORDS if said.count(words) != 1]
    assert not missing, f"{missing}\n{done.stdout}"
    assert kept(person.lab) == before


IN_THE_WAY = """
- hosts: node1:node2
  roles:
    - role: bridge
      when: inventory_hostname == "node1"
      bridge_address: 10.1.1.1/24
    - role: pods
      when: inventory_hostname == "node2"
      pods_list:
        - {name: web, address: 10.1.1.2/24, containers: [{name: web, command: [sleep, infinity]}]}
"""


def test_what_podlab_has_not_made_is_in_the_way_and_stays(person: Person) -> None:
    lab = person.lab
    lab.sh("node1", "ip link add cbr0 type bridge; ip link add br1 type bridge; ip addr add 10.1.1.9/16 dev br1")
    lab.sh("node2", "ip netns add default_web")
    before = kept(lab)
    done = person.play(IN_THE_WAY)
    said = re.sub(r"\s+", " ", done.stdout)
    for words in (
        "link cbr0 is in the way: podlab has not made it; remove it, or take another bridge_name",
        "network 10.1.1.0/24 is in use: link br1 has 10.1.1.9/16; take another one",
        "network namespace default_web is in the way: podlab has not made it; remove it, or give pod web another name",
    ):
        assert said.count(words) == 1, done.stdout
    lab.sh("node2", "ip netns del default_web")
    done = person.play(IN_THE_WAY)
    assert "there is no bridge cbr0 for pods default/web; the role bridge makes it" in done.stdout
    lab.sh("node1", "ip link del cbr0; ip link del br1")
    assert "default_web" not in lab.sh("node2", "ip netns; ls /run/podlab/pods 2>/dev/null", check=False)
    person.types(TEARDOWN)
    assert len(before) == len(HOSTS)
