"""Variables of a container: what they are made of, what they become, and what is said about a bad one."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.changes.pods import containers, execline
from podlab.planner.manifests.environment import escaped, expand, fact, resolved
from podlab.planner.manifests.names import uncarried_name
from podlab.planner.manifests.objects import desired as read
from podlab.planner.model import Container, FieldRef, Image, Mount
from tests.unit.bodies import NOT_YET, C, container_of, data, desired, pod, problems_of, wrong

FACTS = {
    "metadata.name": "p",
    "metadata.labels['app']": "web",
    "spec.nodeName": "node1",
    "status.podIP": "10.1.1.2",
}
SETTINGS = data("ConfigMap", "settings", data={"A": "1", "B": "$(A)", "2nd": "x"}, binaryData={"bin": "/w=="})
TOKEN = data("Secret", "token", data={"key": "czNjcjN0"}, stringData={"plain": "p"})
RAW = data("Secret", "raw", data={"key": "/w=="})


def ref(path: str) -> dict:
    return {"fieldRef": {"fieldPath": path}}


def env(*written: tuple[str, object], **container) -> dict:
    """A container with these variables; a text is a value, anything else a source of one."""
    variables = [
        {"name": name, **({"valueFrom": value} if isinstance(value, dict) else {"value": value})}
        for name, value in written
    ]
    return {"env": variables, **container}


# --- $(VAR) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "a"),
        ("-$(A)-$(B)-", "-a-b-"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$(EMPTY)x", "x"),
        ("$(NESTED)", "$(A)"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$A ${A} $?", "$A ${A} $?"),
        ("$(A", "$(A"),
        ("$($(A)", "$($(A)"),
        ("$((A))", "$((A))"),
        ("$()", "$()"),
        ("$", "$"),
        ("x$$", "x$"),
        ("\\$(A)", "\\a"),
        ("$(A)\n$(B)", "a\nb"),
    ],
)
def test_expansion(text, expected):
    assert expand(text, {"A": "a", "B": "b", "EMPTY": "", "NESTED": "$(A)"}) == expected


@given(st.text("$()A\\", max_size=12))
def test_an_escaped_text_means_itself(text):
    assert expand(escaped(text), {"A": "a", "": "b"}) == text


TEXTS = st.text("$()AB ", max_size=8)


@given(st.lists(st.tuples(st.sampled_from("AB"), TEXTS | st.just(FieldRef("metadata.name"))), max_size=4), TEXTS)
def test_expanding_in_two_steps_is_expanding_at_once(variables, argument):
    """What is known is put in when the manifest is read, the rest when the pod has its place."""
    at_once: dict[str, str] = {}
    for name, value in variables:
        at_once[name] = "$" if isinstance(value, FieldRef) else expand(value, at_once)
    written = [(name, ref(value.path) if isinstance(value, FieldRef) else value) for name, value in variables]
    container = container_of(pod(container=env(*written, command=["x", argument])))
    made = resolved(container, {"metadata.name": "$"})
    assert made.env == at_once
    assert made.argv == ("x", expand(argument, at_once))


# --- what a container gets ------------------------------------------------------------------------------


def test_a_variable_sees_those_before_it_and_the_last_of_a_name_wins():
    written = [("A", "1"), ("B", "$(A)$(C)"), ("C", "x"), ("A", "$(A)2"), ("D", "$(B)"), ("E", None)]
    made = resolved(container_of(pod(container=env(*written))), {})
    assert made.env == {"A": "12", "B": "1$(C)", "C": "x", "D": "1$(C)", "E": ""}


def test_fields_of_the_pod_are_put_in_when_it_has_its_place():
    written = [
        ("IP", ref("status.podIP")),
        ("URL", "http://$(IP):80/$$(IP)"),
        ("APP", ref("metadata.labels['app']")),
        ("NONE", ref("metadata.annotations['nothing']")),
        ("IP", ref("spec.nodeName")),
    ]
    container = container_of(pod(container=env(*written, command=["serve", "$(URL)", "$(IP)", "cost $5 $(WHO)"])))
    assert container.env["IP"] == FieldRef("spec.nodeName")
    made = resolved(container, FACTS)
    assert made.env == {
        **{"IP": "node1", "URL": "http://10.1.1.2:80/$(IP)", "APP": "web"},
        "NONE": "",
    }
    assert made.argv == ("serve", "http://10.1.1.2:80/$(IP)", "node1", "cost $5 $(WHO)")


def test_a_container_whose_variables_are_as_written_is_expanded_as_well():
    container = Container(
        "c",
        "x",
        ("$(URL)",),
        {"IP": FieldRef("status.podIP"), "URL": "http://$(IP)"},
        mounts=(Mount("v", "/v", "$(IP)"),),
    )
    made = resolved(container, FACTS)
    assert (made.env["URL"], made.argv, made.sub_paths) == ("http://10.1.1.2", ("http://10.1.1.2",), ("$(IP)",))


def test_a_fact_that_nobody_has_is_an_error_and_a_label_that_is_not_there_is_empty():
    assert fact("metadata.labels['x']", FACTS) == ""
    with pytest.raises(KeyError):
        fact("status.hostIP", FACTS)


def test_values_of_config_maps_and_secrets_are_put_in_as_they_stand():
    written = [
        ("A", {"configMapKeyRef": {"name": "settings", "key": "B"}}),
        ("S", {"secretKeyRef": {"name": "token", "key": "key"}}),
        ("P", {"secretKeyRef": {"name": "token", "key": "plain"}}),
        ("NONE", {"configMapKeyRef": {"name": "nothing", "key": "x", "optional": True}}),
        ("NO_KEY", {"secretKeyRef": {"name": "token", "key": "x", "optional": True}}),
        ("TWO", "$(A)-$(S)-$(NONE)"),
    ]
    made = resolved(container_of(pod(container=env(*written)), SETTINGS, TOKEN), {})
    assert made.env == {"A": "$(A)", "S": "s3cr3t", "P": "p", "TWO": "$(A)-s3cr3t-$(NONE)"}


def test_all_of_a_config_map_comes_before_what_is_written_out():
    sources = [
        {"configMapRef": {"name": "settings"}},
        {"prefix": "T_", "secretRef": {"name": "token"}},
        {"configMapRef": {"name": "nothing", "optional": True}},
    ]
    container = env(("A", "$(A)$(T_key)"), ("C", "$(B)"), envFrom=sources)
    made = resolved(container_of(pod(container=container), SETTINGS, TOKEN), {})
    # Since Kubernetes 1.34 "2nd" is a name of a variable; what is binary is none at all.
    assert made.env == {"A": "1s3cr3t", "2nd": "x", "B": "$(A)", "T_key": "s3cr3t", "T_plain": "p", "C": "$(A)"}


def test_a_config_map_may_be_written_after_the_pod_and_one_of_another_namespace_is_not_meant():
    space = data("Namespace", "n")
    there = data("ConfigMap", "settings", metadata={"namespace": "n"}, data={"A": "there"})
    reader = env(("A", {"configMapKeyRef": {"name": "settings", "key": "A"}}))
    for documents in ([pod(container=reader), SETTINGS, there, space], [there, SETTINGS, space, pod(container=reader)]):
        assert container_of(*documents).env == {"A": "1"}


def test_resources_are_counted_in_divisors_and_rounded_up():
    resources = {"limits": {"cpu": "1500m", "memory": "1.5Gi"}, "requests": {"cpu": 0.25, "ephemeral-storage": "1e3"}}
    asked = {
        "CPU": ("limits.cpu", None),
        "MILLI": ("limits.cpu", "1m"),
        "MEMORY": ("limits.memory", "1Gi"),
        "BYTES": ("limits.memory", "0"),
        "REQUEST": ("requests.cpu", "1m"),
        "AS_LIMIT": ("requests.memory", "1Mi"),
        "DISK": ("requests.ephemeral-storage", "1k"),
        "NOTHING": ("requests.hugepages-2Mi", None),
    }
    written = [
        (name, {"resourceFieldRef": {"resource": resource, "divisor": divisor}})
        for name, (resource, divisor) in asked.items()
    ]
    assert container_of(pod(container=env(*written, resources=resources))).env == {
        **{"CPU": "2", "MILLI": "1500", "MEMORY": "2", "BYTES": "1610612736", "REQUEST": "250"},
        **{"AS_LIMIT": "1536", "DISK": "1", "NOTHING": "0"},
    }


def test_the_resources_of_another_container_are_meant_where_it_is_named():
    other = {"name": "init", "image": "busybox", "resources": {"limits": {"cpu": 3}}}
    asked = {"resourceFieldRef": {"containerName": "init", "resource": "limits.cpu"}}
    assert container_of(pod(container=env(("CPU", asked)), initContainers=[other])).env == {"CPU": "3"}


# --- what is executed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "command", "args", "expected"),
    [
        ("nginx", None, None, ("/entrypoint.sh", "nginx", "-g", "daemon off;")),
        ("nginx", None, ["-t"], ("/entrypoint.sh", "-t")),
        ("nginx", [], [], ("/entrypoint.sh", "nginx", "-g", "daemon off;")),
        ("nginx", ["sleep"], None, ("sleep",)),
        ("nginx", ["sleep"], ["1", None], ("sleep", "1", "")),
        ("busybox", None, ["sleep", "1"], ("sleep", "1")),
        ("unknown:1", ["sleep"], ["1"], ("sleep", "1")),
        ("docker.io/library/nginx@sha256:00", None, ["$(A)$(B)", "$$(A)"], ("/entrypoint.sh", "1$(B)", "$(A)")),
    ],
)
def test_command_and_args_meet_the_image(image, command, args, expected):
    container = {"image": image, "command": command, "args": args, "env": [{"name": "A", "value": "1"}]}
    assert resolved(container_of(pod(container=container)), {}).argv == expected


def test_the_words_of_an_image_are_taken_as_they_stand():
    catalogue = {"busybox": Image(("$(A)",), ("$$",))}
    made = read([pod(container=env(("A", "1")))], catalogue).pods[0].template.containers[0]
    assert resolved(made, {}).argv == ("$(A)", "$$")


def test_an_argument_too_long_for_the_kernel_is_an_error():
    fits, too_long = "x" * 131071, "x" * 131072
    assert desired(pod(container={"command": ["a", fits]})).pods
    (problem,) = problems_of(desired, pod(container={"command": ["a", too_long]}))
    assert problem.endswith("must be no more than 131071 bytes for the kernel to pass it on")
    (problem,) = problems_of(desired, pod(container={"env": [{"name": "A", "value": too_long[2:]}]}))
    assert ".env[0].value: " in problem  # execve counts NAME= as well
    (problem,) = problems_of(desired, pod(container=env(("A", "x" * 70000), command=["a", "$(A)$(A)"])))
    assert ".command[1]: " in problem


def test_half_a_character_cannot_be_an_argument():
    (problem,) = problems_of(desired, pod(container={"command": ["\ud83d"]}))
    assert problem.endswith("must be valid UTF-8")


# --- what is said about a bad one -----------------------------------------------------------------------

V = f"{C}.env[0].valueFrom"
FIELDS = (
    'supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", '
    '"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'
)
KEY = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
MEMORY = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
LIMITS = {"limits": {"cpu": "much", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, [f'{V}: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`']),
        ({**ref("metadata.name"), "secretKeyRef": {"name": "token", "key": "key"}}, [f'{V}: Invalid value: "": may not have more than one field specified at a time']),
        (ref(""), [f"{V}.fieldRef.fieldPath: Required value"]),
        (ref("spec.hostname"), [f'{V}.fieldRef.fieldPath: Invalid value: "spec.hostname": error converting fieldPath: field label not supported: spec.hostname']),
        (ref("status.phase"), [f'{V}.fieldRef.fieldPath: Unsupported value: "status.phase": {FIELDS}']),
        (ref("metadata.labels"), [f'{V}.fieldRef.fieldPath: Unsupported value: "metadata.labels": {FIELDS}']),
        (ref("spec['x']"), [f"{V}.fieldRef.fieldPath: Invalid value: \"spec['x']\": error converting fieldPath: field label does not support subscript: spec['x']"]),
        (ref("metadata.labels['a b']"), [f'{V}.fieldRef: Invalid value: "a b": name part {KEY}']),
        ({"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v2"}}, [f'{V}.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2']),
        ({"configMapKeyRef": {"key": "A"}}, [f"{V}.configMapKeyRef.name: Required value"]),
        ({"configMapKeyRef": {"name": "settings"}}, [f"{V}.configMapKeyRef.key: Required value"]),
        ({"configMapKeyRef": {"name": "settings", "key": "a b"}}, [
            f"{V}.configMapKeyRef.key: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ]),
        ({"secretKeyRef": {"name": "raw", "key": "key"}}, [f'{V}.secretKeyRef.key: Invalid value: "key": must be valid UTF-8 to be an environment variable; mount it as a file']),
        ({"resourceFieldRef": {"divisor": "1"}}, [f"{V}.resourceFieldRef.resource: Required value"]),
        ({"resourceFieldRef": {"resource": "limits.disk"}}, [f'{V}.resourceFieldRef.resource: Unsupported value: "limits.disk": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"']),
        ({"resourceFieldRef": {"resource": "limits.ephemeral-storage"}}, [f"{V}.resourceFieldRef.resource: {NOT_YET} podlab sets no limits of its own; write resources.limits.ephemeral-storage of container c"]),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, [f"{C}.resources.limits.cpu: Invalid value: \"much\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"]),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "3"}}, [f'{V}.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor\'s values {MEMORY} are supported with the memory resource']),
        ({"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1k"}}, [
            f'{V}.resourceFieldRef.divisor: Invalid value: "requests.cpu": only divisor\'s values 1m and 1 are supported with the cpu resource',
            f"{C}.resources.limits.cpu: Invalid value: \"much\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ]),
        ({"resourceFieldRef": {"resource": "limits.cpu", "containerName": "d"}}, [f'{V}.resourceFieldRef.containerName: Not found: "d": the pod has no container of this name']),
    ],
)  # fmt: skip
def test_a_bad_source_of_a_value(source, expected):
    assert wrong(pod(container=env(("A", source), resources=LIMITS)), SETTINGS, TOKEN, RAW) == expected


def test_a_value_and_a_source_of_one():
    variable = {"name": "A", "value": "x", "valueFrom": ref("metadata.name")}
    assert wrong(pod(container={"env": [variable]})) == [
        f'{V}: Invalid value: "": may not be specified when `value` is not empty'
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, [f'{C}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`']),
        ({"configMapRef": {"name": "settings"}, "secretRef": {"name": "token"}}, [f'{C}.envFrom: Invalid value: "": may not have more than one field specified at a time']),
        ({"configMapRef": {}}, [f"{C}.envFrom[0].configMapRef.name: Required value"]),
        ({"secretRef": {"name": "raw"}}, [f'{C}.envFrom[0].secretRef: Invalid value: "key": must be valid UTF-8 to be an environment variable; mount it as a file']),
        ({"prefix": "a=", "configMapRef": {"name": "settings"}}, [f"{C}.envFrom[0].prefix: Invalid value: \"a=\": a valid environment variable name must consist only of printable ASCII characters other than '='"]),
    ],
)  # fmt: skip
def test_a_bad_source_of_many(source, expected):
    assert wrong(pod(container={"envFrom": [source]}), SETTINGS, TOKEN, RAW) == expected


# --- names that the way into a container does not carry ---------------------------------------------------

ENVFILE = f"{execline.EXECLINE}/envfile"


def carried(names: list[str]) -> bool:
    """Whether variables of these names come out of ``envfile`` as they went in."""
    row: Any = {"env": dict.fromkeys(names, "v"), "services": {}}
    wanted = {f"{name}={value}" for name, value in containers.environment("web", row).items()}
    reading, writing = os.pipe()
    with open(writing, "w") as pipe:
        pipe.write(containers.environment_file("web", row))
    argv = [ENVFILE, f"/proc/self/fd/{reading}", "/usr/bin/env", "-0"]
    done = subprocess.run(argv, env={}, pass_fds=[reading], capture_output=True, text=True, check=False)
    os.close(reading)
    return done.returncode == 0 and {*done.stdout.split("\0")} - {""} == wanted


@pytest.mark.skipif(not os.path.exists(ENVFILE), reason="execline is not installed")
def test_every_name_that_is_not_refused_comes_in_and_every_other_one_does_not():
    letters = [chr(number) for number in range(ord(" "), ord("~") + 1) if chr(number) != "="]
    every = [name for letter in letters for name in (letter, f"{letter}A", f"A{letter}B", f"A{letter}")]
    fine = [name for name in every if not uncarried_name(name)]
    assert carried(fine)
    assert [name for name in every if name not in fine and carried([name])] == []


@pytest.mark.parametrize("name", ["C D", "A\\B", 'A"B', "'q", "A?B", "#A", " A", "A "])
def test_a_name_that_has_no_way_into_a_container_is_refused(name):
    (problem,) = wrong(pod(container=env((name, "x"))))
    shown = json.dumps(name)
    assert problem.startswith(f"{C}.env[0].name: Invalid value: {shown}: has no way into a container here: ")
    source = {"prefix": name, "configMapRef": {"name": "settings"}}
    (problem,) = wrong(pod(container={"envFrom": [source]}), SETTINGS)
    assert problem.startswith(f"{C}.envFrom[0].prefix: Invalid value: {shown}: has no way into a container here: ")


def test_a_number_sign_inside_of_a_name_is_nothing_special():
    assert desired(pod(container=env(("A#", "x"), ("%-:{}", "x")))).pods
