"""Manifests: what is read, what is said about a bad one, and the pods that a good one becomes."""

from __future__ import annotations

import json
import re
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.controller import manifests, schema
from podlab.planner.manifests import fields, images, names, objects
from podlab.planner.model import Container, Desired, Document, Image, Invalid, Pod, PodTemplate, Port, Workload
from podlab.planner.scheduler.model import Selector
from tests.unit.bodies import IMAGES, NOT_YET, C, data, desired, pod, problems_of, workload

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
    "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
KEY = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A place to work in, so that messages show the path as a user gives it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    return tmp_path / "m"


def write(directory, text: str, name: str = "a.yaml"):
    (directory / name).write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


# --- files ----------------------------------------------------------------------------------------------


def test_a_missing_directory_is_reported_as_kubectl_does():
    assert problems_of(manifests.load, "nowhere") == ['error: the path "nowhere" does not exist']


def test_a_directory_without_manifests_is_reported_as_kubectl_does(here):
    write(here, "kind: Pod", ".hidden.yaml")
    write(here, "kind: Pod", "README.md")
    assert problems_of(manifests.load, "m") == ["error reading [m]: recognized file extensions are [.json .yaml .yml]"]


def test_files_come_by_name_and_documents_know_their_lines(here):
    write(
        here,
        """
        # a comment first

        apiVersion: v1
        kind: A
        ---
        # nothing but a comment
        ---
        ---
        apiVersion: v1
        kind: B
        """,
        "b.yml",
    )
    write(
        here,
        '{\n\t"apiVersion": "v1",\n\t"kind": "C"\n}\n\n{"apiVersion": "v1", "kind": "D"}{"apiVersion": "v1", "kind": "E"}',
        "a.json",
    )
    (here / "dir.yaml").mkdir()
    write(here / "dir.yaml", "broken: [")
    found = [(document.body["kind"], document.where) for document in manifests.load("m")]
    assert found == [
        ("C", "m/a.json:1"),
        ("D", "m/a.json:6"),
        ("E", "m/a.json:7"),
        ("A", "m/b.yml:3"),
        ("B", "m/b.yml:9"),
    ]


def test_a_path_may_be_a_single_file(here):
    write(here, "apiVersion: v1\nkind: A", "one.txt")
    assert [document.where for document in manifests.load("m/one.txt")] == ["m/one.txt:1"]


def test_a_list_stands_for_its_items_each_with_its_line(here):
    write(
        here,
        """
        apiVersion: v1
        kind: List
        items:
        - apiVersion: v1
          kind: A
        - {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: B},
           {apiVersion: v1, kind: C}]}
        """,
    )
    found = [(document.body["kind"], document.line) for document in manifests.load("m")]
    assert found == [("A", 4), ("B", 6), ("C", 7)]


@pytest.mark.parametrize("items", ["", "items:", "items: []"])
def test_an_empty_list_is_no_mistake(here, items):
    write(here, f"apiVersion: v1\nkind: List\n{items}\n")
    assert manifests.load("m") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n", ["m/a.yaml:2: error converting YAML to JSON: yaml: did not find expected ',' or ']' (while parsing a flow sequence)"]),
        ("a: b\n\tc: d\n", ["m/a.yaml:2: error converting YAML to JSON: yaml: found a tab character that violates indentation (while scanning a plain scalar)"]),
        ("a: *x\n", ["m/a.yaml:1: error converting YAML to JSON: yaml: found undefined alias"]),
        ("a: &a [*a]\n", ["m/a.yaml:1: error converting YAML to JSON: yaml: anchor value contains itself"]),
        ("a: {[b]: c}\n", ['m/a.yaml:1: error converting YAML to JSON: yaml: invalid map key: ["b"]']),
        ("\na: {<<: 1}\n", ["m/a.yaml:2: error converting YAML to JSON: yaml: map merge requires map or sequence of maps as the value"]),
        ("a: 1\nb: '\x01'\n", ["m/a.yaml:2: error converting YAML to JSON: yaml: control characters are not allowed"]),
        ("[" * 3000 + "]" * 3000, ["m/a.yaml:1: error converting YAML to JSON: yaml: exceeded max depth"]),
        ("- a\n", ["m/a.yaml:1: json: cannot unmarshal array into Go value of type unstructured.detector"]),
        ("text\n", ["m/a.yaml:1: json: cannot unmarshal string into Go value of type unstructured.detector"]),
        ("kind: Pod\n", ["m/a.yaml:1: Object 'apiVersion' is missing in '{\"kind\":\"Pod\"}'"]),
        ("\nb: 1\na: {}\n", ["m/a.yaml:2: Object 'Kind' is missing in '{\"a\":{},\"b\":1}'", "m/a.yaml:2: Object 'apiVersion' is missing in '{\"a\":{},\"b\":1}'"]),
        ("apiVersion: v1\nkind: List\nitems: 3\n", ["m/a.yaml:1: json: cannot unmarshal number into Go struct field List.items"]),
        ("apiVersion: v1\nkind: List\nitems:\n- 5\n", ["m/a.yaml:4: json: cannot unmarshal number into Go value of type unstructured.detector"]),
        (
            "apiVersion: v1\nkind: A\nkind: B\nmetadata:\n  name: a\n  'name': b\n",
            ['m/a.yaml:3: mapping key "kind" already defined at line 2', 'm/a.yaml:6: mapping key "name" already defined at line 5'],
        ),
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_reported_with_its_line(here, text, expected):
    (here / "a.yaml").write_text(text)
    assert problems_of(manifests.load, "m") == expected


def test_a_file_that_is_not_utf8_is_reported_with_its_line(here):
    (here / "a.yaml").write_bytes(b"kind: Pod\nname: \xff\n")
    assert problems_of(manifests.load, "m") == [
        "m/a.yaml:2: error converting YAML to JSON: yaml: invalid UTF-8: invalid start byte 0xff"
    ]


def test_json_is_read_strictly(here):
    write(here, '{"a": 1,}', "a.json")
    write(here, '{"a": 1}\n{a: 1}', "b.json")
    first, second = problems_of(manifests.load, "m")
    assert first.startswith("m/a.json:1: error converting YAML to JSON: json: ")
    assert second.startswith("m/b.json:2: error converting YAML to JSON: json: ")


def test_json_escapes_of_two_halves_are_one_character(here):
    write(here, r'{"apiVersion": "v1", "kind": "\ud83d\ude00", "x": "\\ud83d\\ude00\/"}', "a.json")
    assert manifests.load("m")[0].body == {"apiVersion": "v1", "kind": "\U0001f600", "x": r"\ud83d\ude00/"}


def test_aliases_that_multiply_are_refused(here):
    lines = ["v0: &v0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"v{n}: &v{n} [{', '.join([f'*v{n - 1}'] * 9)}]" for n in range(1, 9)]
    write(here, "\n".join(lines))
    (problem,) = problems_of(manifests.load, "m")
    assert problem.endswith("error converting YAML to JSON: yaml: document contains excessive aliasing")


def test_every_broken_file_is_reported_together_with_the_schema_of_the_others(here):
    write(here, "a: [", "b.yaml")
    write(here, "a: }", "c.yaml")
    write(here, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: foo}\nspec: {nose: 1}", "a.yaml")
    found = problems_of(manifests.read, "m", IMAGES)
    assert [line.split(":")[0] for line in found] == ["m/b.yaml", "m/c.yaml", "m/a.yaml", "m/a.yaml"]
    assert not any("not found" in line for line in found)  # b.yaml may well declare the namespace


def test_a_broken_file_may_well_declare_what_others_miss(here):
    write(here, "a: [", "b.yaml")
    volume = "volumes: [{name: v, configMap: {name: c}}, {name: w, secret: {secretName: s}}]"
    write(here, POD.replace("spec: {", f"spec: {{{volume}, "))
    assert len(problems_of(manifests.read, "m", IMAGES)) == 1


# What kubectl 1.32 made of "v: TEXT", recorded.
RECORDED = {
    "y": True, "Y": True, "yes": True, "on": True, "TRUE": True, "n": False, "Off": False, "NO": False,
    "tRUE": "tRUE", "nO": "nO", "~": None, "": None, "Null": None, '""': "", "0777": 511, "0o777": 511,
    "0O7": 7, "0x1F": 31, "0X1f": 31, "-0x1F": -31, "0b11": 3, "+0b1": 1, "-0o17": -15, "0_7": 7, "00": 0,
    "089": 89, "0o8": "0o8", "0b2": "0b2", "0x": "0x", "0x_1": 1, "1_000": 1000, "1__0": 10, "_1": "_1",
    "+1": 1, "-0": 0, "1e3": 1000, "1E5": 100000, "1e+3": 1000, "-1.5E+3": -1500, "1e-2": 0.01, "1.0": 1,
    "1.": 1, "1.50": 1.5, ".5": 0.5, "-.5": -0.5, "+.5e1": 5, "._5": "._5", ".5.": ".5.", ".": ".", "+": "+",
    "1e400": "1e400", "12:30": "12:30", "1:20:30": "1:20:30", "2001-01-01": "2001-01-01",
    "2001-01-01T00:00:00Z": "2001-01-01T00:00:00Z", "=": "=", "<<": "<<", "NaN": "NaN", '"1"': "1",
    "!!str 1": "1", '!!int "3"': 3, "!!float 1": 1, "!!bool yes": True, "!foo bar": "bar",
    "!!timestamp 2001-01-01": "2001-01-01", '"\\x41"': "A", "123456789012345678901234567890": 1.2345678901234568e29,
}  # fmt: skip


@pytest.mark.parametrize("text", RECORDED)
def test_scalars_mean_what_they_mean_to_kubectl(here, text):
    write(here, f"apiVersion: v1\nkind: A\nv: {text}\n")
    value = manifests.load("m")[0].body["v"]
    assert (value, type(value)) == (RECORDED[text], type(RECORDED[text]))


def test_keys_and_merges_mean_what_they_mean_to_kubectl(here):
    write(
        here,
        """
        apiVersion: v1
        kind: A
        m: {1: a, true: b, 1.5: c, y2: d}
        n: &n {x: 1, z: 9}
        o: {<<: *n, x: 2}
        p: {<<: [*n, {z: 3, w: 1}]}
        """,
    )
    body = manifests.load("m")[0].body
    assert body["m"] == {"1": "a", "true": "b", "1.5": "c", "y2": "d"}
    assert body["false"] == {"x": 1, "z": 9}  # "n" is a way to say no, as a key as well
    assert (body["o"], body["p"]) == ({"x": 2, "z": 9}, {"x": 1, "z": 9, "w": 1})


# --- bad manifests, and what is said about them ---------------------------------------------------------

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx}]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, image: nginx}]}
"""
THE_DEPLOYMENT = 'm/a.yaml:1: The Deployment "web" is invalid: '
THE_POD = 'm/a.yaml:1: The Pod "p" is invalid: '

BAD_DEPLOYMENTS = [
    # what is replaced in DEPLOYMENT, with what, and the lines
    ("spec:\n  sel", "spec:\n  replicas: x\n  sel", ['spec.replicas: Invalid value: "x": must be of type integer']),
    ("spec:\n  sel", "spec:\n  replicas: -1\n  sel", ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
    ("spec:\n  sel", "spec:\n  replicas: 1000001\n  sel", ["spec.replicas: Invalid value: 1000001: must be less than or equal to 1000000"]),
    ("spec:\n  sel", "spec:\n  paused: true\n  sel", [f"spec.paused: {NOT_YET} a Deployment is always rolled out; set replicas to 0"]),
    ("  selector: {matchLabels: {app: web}}\n", "", ["spec.selector: Required value"]),
    ("{matchLabels: {app: web}}", "{}", ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
    ("{matchLabels: {app: web}}", "{matchLabels: {app: api}}", ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']),
    ("    metadata: {labels: {app: web}}\n", "", ["spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"]),
    ("{matchLabels: {app: web}}", "{matchExpressions: [{key: app, operator: In, values: [api]}]}", ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']),
    ("{matchLabels: {app: web}}", "{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']),
    ("{matchLabels: {app: web}}", "{matchExpressions: [{key: x, operator: Exists}]}", ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']),
    ("{matchLabels: {app: web}}", "{matchExpressions: [{key: app, operator: DoesNotExist}]}", ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']),
    ("{matchLabels: {app: web}}", "{matchExpressions: [{key: app, operator: In}, {key: app, operator: Exists, values: [a]}, {key: b c, operator: in}]}", [
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        f'spec.selector.matchExpressions[2].key: Invalid value: "b c": name part {KEY}',
        'spec.selector.matchExpressions[2].operator: Invalid value: "in": not a valid selector operator',
    ]),
    ("spec: {containers", "spec: {restartPolicy: Never, containers", ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"']),
    ("name: c", "name: C", [f'spec.template.spec.containers[0].name: Invalid value: "C": {LABEL}']),
    ("spec: {containers", "spec: {hostUsers: false, containers", [f"spec.template.spec.hostUsers: {NOT_YET} every pod shares its node's user namespace"]),
]  # fmt: skip

BAD_METADATA = [
    # metadata of POD, the name as it is shown, and the lines
    ("{}", '""', ['metadata.name: Required value: name or generateName is required']),
    ("{name: P_1}", '"P_1"', [f'metadata.name: Invalid value: "P_1": {SUBDOMAIN}']),
    ('{name: "../etc"}', '"../etc"', [f'metadata.name: Invalid value: "../etc": {SUBDOMAIN}']),
    ('{name: "p\\n"}', '"p\\n"', [f'metadata.name: Invalid value: "p\\n": {SUBDOMAIN}']),
    (f"{{name: {'a' * 254}}}", f'"{"a" * 199}...', [f'metadata.name: Invalid value: "{"a" * 199}...: must be no more than 253 characters']),
    ("{name: p, namespace: A}", '"p"', [f'metadata.namespace: Invalid value: "A": {LABEL}']),
    ("{name: p, namespace: a.b}", '"p"', ['metadata.namespace: Invalid value: "a.b": must not contain dots']),
    ("{name: p, labels: {a/b/c: x, /a: x, '': x, x: 'a b', v: 1.10}}", '"p"', [
        "metadata.labels.v: Invalid value: 1.1: must be of type string",
        f"metadata.labels: Invalid value: \"a/b/c\": a qualified name {KEY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        'metadata.labels: Invalid value: "/a": prefix part must be non-empty',
        'metadata.labels: Invalid value: "": name part must be non-empty',
        f'metadata.labels: Invalid value: "": name part {KEY}',
        f'metadata.labels: Invalid value: "a b": {LABEL_VALUE}',
    ]),
    ("{name: p, annotations: {a b: x, Example.com/ok: ''}}", '"p"', [f'metadata.annotations: Invalid value: "a b": name part {KEY}']),
]  # fmt: skip

BAD_PODS = [
    # what is replaced in POD, with what, and the lines
    ("{name: c, image: nginx}", "", ["spec.containers: Required value"]),
    ("spec: {containers: [{name: c, image: nginx}]}", "", ["spec.containers: Required value"]),
    ("{name: c, image: nginx}", "{}", [f"{C}.name: Required value", f"{C}.image: Required value"]),
    ("{name: c, image: nginx}", "{name: c, image: nginx}, {name: c, image: nginx}", ['spec.containers[1].name: Duplicate value: "c"']),
    ("image: nginx", "image: ' nginx'", [f'{C}.image: Invalid value: " nginx": must not have leading or trailing whitespace']),
    ("spec: {", "spec: {restartPolicy: Sometimes, ", ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"']),
    ("spec: {", "spec: {hostname: a.b, nodeName: X, nodeSelector: {a: b c}, ", [
        'spec.hostname: Invalid value: "a.b": must not contain dots',
        f'spec.nodeName: Invalid value: "X": {SUBDOMAIN}',
        f'spec.nodeSelector: Invalid value: "b c": {LABEL_VALUE}',
    ]),
    ("image: nginx", "image: nginx, command: sleep 1", [f'{C}.command: Invalid value: "sleep 1": must be of type array']),
    ("image: nginx", 'image: nginx, command: [""]', [f"{C}.command: Required value: there is nothing to run"]),
    ("image: nginx", 'image: nginx, workingDir: etc', [f'{C}.workingDir: Invalid value: "etc": must be an absolute path']),
    ("image: nginx", 'image: nginx, command: [a, "b\\0c"], env: [{name: A, value: "\\0"}]', [
        f'{C}.env[0].value: Invalid value: "\\u0000": must not contain NUL',
        f'{C}.command[1]: Invalid value: "b\\u0000c": must not contain NUL',
    ]),
    ("image: nginx", "image: nginx, env: [{value: x}, {name: 1a}, {name: a=b}, {name: ..}, {name: A, value: 80}]", [
        f"{C}.env[0].name: Required value",
        f"{C}.env[4].value: Invalid value: 80: must be of type string",
        f"{C}.env[2].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
    ]),
    ("image: nginx", "image: nginx, ports: [{containerPort: 0}, {containerPort: 70000}, {containerPort: -1}, {name: x}]", [
        f"{C}.ports[3].containerPort: Required value",
        f"{C}.ports[0].containerPort: Required value",
        f"{C}.ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        f"{C}.ports[2].containerPort: Invalid value: -1: must be between 1 and 65535, inclusive",
    ]),
    ("image: nginx", "image: nginx, ports: [{containerPort: 80, protocol: tcp}, {containerPort: 81, protocol: ''}]", [f'{C}.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"']),
    ("image: nginx", "image: nginx, ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]", [f'{C}.ports[1].name: Duplicate value: "a"']),
    ("image: nginx", "image: nginx, ports: [{containerPort: 80, name: -1--A-abcdefghij}]", [
        f'{C}.ports[0].name: Invalid value: "-1--A-abcdefghij": must be no more than 15 characters',
        f'{C}.ports[0].name: Invalid value: "-1--A-abcdefghij": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        f'{C}.ports[0].name: Invalid value: "-1--A-abcdefghij": must not contain consecutive hyphens',
        f'{C}.ports[0].name: Invalid value: "-1--A-abcdefghij": must not begin or end with a hyphen',
    ]),
    ("image: nginx", "image: nginx, ports: [{containerPort: 80, name: '80'}]", [f'{C}.ports[0].name: Invalid value: "80": must contain at least one letter (a-z)']),
    ("image: nginx", "image: nginx, resources: {limits: {cpu: [1], memory: null}}", [f"{C}.resources.limits.cpu: Invalid value: [1]: must be of type string or number"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), BAD_DEPLOYMENTS)
def test_a_bad_deployment(here, old, new, expected):
    assert DEPLOYMENT.count(old) == 1
    write(here, DEPLOYMENT.replace(old, new))
    assert problems_of(manifests.read, "m", IMAGES) == [THE_DEPLOYMENT + line for line in expected]


@pytest.mark.parametrize(("old", "new", "expected"), BAD_PODS)
def test_a_bad_pod(here, old, new, expected):
    assert POD.count(old) == 1
    write(here, POD.replace(old, new))
    assert problems_of(manifests.read, "m", IMAGES) == [THE_POD + line for line in expected]


@pytest.mark.parametrize(("metadata", "name", "expected"), BAD_METADATA)
def test_bad_metadata(here, metadata, name, expected):
    write(here, POD.replace("{name: p}", metadata))
    the_pod = THE_POD.replace('"p"', name)
    assert problems_of(manifests.read, "m", IMAGES) == [the_pod + line for line in expected]


def test_an_unknown_field_is_reported_as_strict_decoding_does(here):
    write(here, DEPLOYMENT.replace("containers", "contaners") + "top: 1\n")
    decoding = 'm/a.yaml:1: Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
    assert sorted(problems_of(manifests.read, "m", IMAGES)) == [
        decoding + 'unknown field "spec.template.spec.contaners"',
        decoding + 'unknown field "top"',
        THE_DEPLOYMENT + "spec.template.spec.containers: Required value",
    ]


def test_an_unknown_image_names_the_catalogue_and_shows_how_to_add_to_it(here):
    write(here, POD.replace("nginx", "quay.io:443/me/tool:v1"))
    assert problems_of(manifests.read, "m", IMAGES, unknown_images="refuse") == [
        THE_POD + 'spec.containers[0].image: Invalid value: "quay.io:443/me/tool:v1": the catalogue has busybox, '
        "nginx, nicolaka/netshoot, but not this image, and podlab_unknown_images is refuse; give the container a "
        "command, or add the image to podlab_images in the inventory:\n"
        "    images:\n"
        '      quay.io:443/me/tool: {entrypoint: [/usr/bin/program], cmd: ["--option"]}'
    ]


def test_args_alone_do_not_make_an_unknown_image_run():
    document = pod(container={"image": "tool", "args": ["-v"]})
    (problem,) = problems_of(desired, document, unknown_images="refuse")
    assert "but not this image" in problem


def test_an_image_without_anything_to_run_is_an_error():
    with pytest.raises(Invalid, match=re.escape(f"{C}.command: Required value: there is nothing to run")):
        objects.desired([pod()], {"busybox": Image()})


def test_the_same_object_twice_is_taken_as_it_stands_last(here):
    write(here, POD + "---" + DEPLOYMENT)
    write(here, POD.replace("name: p", "name: p, labels: {a: b}"), "b.yaml")
    wanted = manifests.read("m", IMAGES)
    assert [one.template.labels for one in wanted.pods] == [{"a": "b"}]
    first = manifests.load("m")[0].where
    assert wanted.notes == (f'pods "p" stands at {first} and again at m/b.yaml:1, which counts, as with kubectl apply',)


def test_of_two_config_maps_pods_get_the_last():
    old, new = data("ConfigMap", "site", data={"a": "old"}), data("ConfigMap", "site", data={"a": "new"})
    reading = pod(container={"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "a"}}}]})
    made = desired(old, reading, new)
    assert made.pods[0].template.containers[0].env == {"A": "new"}
    assert made.objects["ConfigMap/default/site"]["data"] == {"a": "new"}


def test_objects_of_two_kinds_or_namespaces_may_share_a_name():
    space = Document({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}, "m/n.yaml", 1)
    other = pod("web", metadata={"namespace": "n"})
    kinds = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job")
    made = desired(other, pod("web"), *map(workload, kinds), data("ConfigMap", "web"), data("Secret", "web"), space)
    assert [one.key for one in made.pods] == ["n/web", "default/web"]
    assert [one.key for one in made.workloads] == [f"{kind}/default/web" for kind in kinds]
    assert list(made.objects) == ["ConfigMap/default/web", "Secret/default/web"]
    assert made.namespaces == ("default", "kube-system", "kube-public", "kube-node-lease", "n")


@pytest.mark.parametrize(
    ("document", "resource"),
    [
        (workload("ReplicaSet"), "replicasets.apps"),
        (workload("DaemonSet"), "daemonsets.apps"),
        (workload("StatefulSet"), "statefulsets.apps"),
        (workload("Job"), "jobs.batch"),
        (data("ConfigMap", "web"), "configmaps"),
        (data("Secret", "web"), "secrets"),
    ],
)
def test_a_name_that_is_taken(document, resource):
    (note,) = desired(document, Document(document.body, "m/z.yaml", 7)).notes
    assert (
        note
        == f'{resource} "web" stands at {document.where} and again at m/z.yaml:7, which counts, as with kubectl apply'
    )


def test_a_bad_declaration_of_a_namespace_is_one_problem_not_two(here):
    write(here, POD.replace("{name: p}", "{name: p, namespace: foo}"))
    write(here, POD.replace("{name: p}", "{name: p, namespace: bar}"), "b.yaml")
    write(here, "apiVersion: v1\nkind: Namespace\nmetadata: {name: bar, labels: {a b: c}}", "c.yaml")
    assert problems_of(manifests.read, "m", IMAGES) == [
        'm/c.yaml:1: The Namespace "bar" is invalid: metadata.labels: Invalid value: "a b": name part must consist of '
        "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ]


def test_a_namespace_on_what_has_none_is_passed_over(here):
    write(here, "apiVersion: v1\nkind: Namespace\nmetadata: {name: cafe, namespace: cafe}")
    assert "cafe" in manifests.read("m", IMAGES).namespaces


def test_problems_of_schema_and_objects_come_by_document(here):
    write(here, POD.replace("nginx", "x") + "---\n" + POD.replace("name: p", "name: q, nose: 1"))
    write(here, POD.replace("name: p", "name: '',"), "b.yaml")
    places = [line.split(": ")[0] for line in problems_of(manifests.read, "m", IMAGES, unknown_images="refuse")]
    assert places == ["m/a.yaml:1", "m/a.yaml:7", "m/b.yaml:1"]


def test_values_of_the_wrong_type_are_reported_by_both_checks_in_the_same_words():
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": 5, "labels": ["a"]},
        "spec": {
            "replicas": True,
            "selector": {"matchLabels": {"app": 1}},
            "template": {"spec": {"containers": [{"name": {}, "image": 7, "args": [1], "env": "A=1"}, 5]}},
        },
    }
    document = Document(body, "m/a.yaml", 1)
    by_schema = {line for line in manifests.schema_problems([document]) if "must be of type" in line}
    by_objects = {line for line in problems_of(desired, document) if "must be of type" in line}
    assert len(by_schema) == 9
    assert by_objects == by_schema


# --- the table of fields --------------------------------------------------------------------------------


def schema_at(kind: str, version: str, path: str) -> dict | None:
    """The schema of a field, or None where the API has none."""
    definitions = schema._schema("_definitions")["$defs"]
    node = schema._schema(f"{kind.lower()}-{version}")
    for part in path.replace("[*]", ".[*]").split("."):
        node = node["items"] if part == "[*]" else node.get("properties", {}).get(part)
        if node is None:
            return None
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]]
    return node


@pytest.mark.parametrize("kind", fields.TABLE)
def test_every_line_of_the_table_is_a_field_of_the_api(kind):
    version = {api_kind: api.replace(".k8s.io", "").replace("/", "-") for api, api_kind in objects.KINDS}[kind]
    # DROPPED may name what an older API had; a line with another outcome must mean something.
    lines = [path for path, rule in fields.TABLE[kind].items() if rule.outcome is not fields.Outcome.DROPPED]
    assert [path for path in lines if schema_at(kind, version, path) is None] == []


def body_with(path: str, value: object) -> dict:
    """A body with ``value`` at ``path``, lists of one item each."""
    body: object = value
    for part in reversed(path.replace("[*]", ".[*]").split(".")):
        body = [body] if part == "[*]" else {part: body}
    assert isinstance(body, dict)
    return body


TABLE_LINES = [(kind, path) for kind, rules in fields.TABLE.items() for path in rules]


@pytest.mark.parametrize(("kind", "path"), TABLE_LINES)
def test_the_table_is_kept_line_by_line(kind, path):
    rule = fields.TABLE[kind][path]
    found = [(verdict.path, verdict.pattern) for verdict in fields.judge(kind, body_with(path, "something"))]
    if rule.outcome in (fields.Outcome.REFUSED, fields.Outcome.REPLACED, fields.Outcome.IGNORED):
        assert found == [(path.replace("*", "0"), path)]
    else:
        assert found == []
    for harmless in (*rule.harmless, None, "", [], {}):
        assert [v for v in fields.judge(kind, body_with(path, harmless)) if v.rule.why] == []


def generated(**changes) -> list[str]:
    bare = pod(**changes)
    one = Document({**bare.body, "metadata": {"generateName": "check-"}}, "m/a.yaml", 1)
    return [made.name for made in desired(one, one).pods]


def test_a_generated_name_is_the_same_in_every_run_and_another_for_another_object():
    first, second = generated()
    assert re.fullmatch("check-[a-z0-9]{5}", first)
    assert [first, second] == generated()
    changed = generated(container={"args": ["-v"]})
    assert len({first, second, *changed}) == 4


def test_what_is_ignored_is_listed_once_by_path():
    first = pod("a", container={"resources": {"limits": {"cpu": 1}}, "novel": 1, "tty": None})
    second = pod("b", container={"resources": {"limits": {"cpu": 2}}})
    assert desired(first, second, workload()).ignored == (
        "Pod: spec.containers[*].resources",
        "Pod: spec.containers[*].novel",
    )


def test_what_the_api_server_sets_itself_is_not_worth_a_word():
    body = {**pod().body, "status": {"phase": "Running"}}
    body["metadata"] = {"name": "p", "uid": "x", "resourceVersion": "1", "creationTimestamp": None}
    assert desired(Document(body, "m/a.yaml", 1)).ignored == ()


# --- good manifests -------------------------------------------------------------------------------------


def test_a_directory_becomes_pods(here):
    write(
        here,
        POD.replace("nginx", "nicolaka/netshoot:v0.13, args: ['-c', 'echo $(A)'], env: [{name: A, value: b}]"),
    )
    write(
        here,
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop, labels: {team: x}}
        spec:
          replicas: 2
          strategy: {type: Recreate}
          minReadySeconds: 5
          selector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}
          template:
            metadata: {labels: {app: web}, annotations: {note: hi}}
            spec:
              nodeSelector: {disk: ssd}
              hostname: web
              containers:
              - {name: web, image: 'nginx:1.27', workingDir: /srv, ports: [{name: http, containerPort: 80}]}
        ---
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        """,
        "b.yaml",
    )
    spec = {
        "containers": [
            {
                "name": "web",
                "image": "nginx:1.27",
                "workingDir": "/srv",
                "ports": [{"name": "http", "containerPort": 80}],
            }
        ]
    }
    nginx = Container(
        name="web",
        image="nginx:1.27",
        argv=("/entrypoint.sh", "nginx", "-g", "daemon off;"),
        working_dir="/srv",
        ports=(Port(80, name="http"),),
        binds={"/etc/nginx": "/srv/nginx"},
    )
    web = PodTemplate(
        containers=(nginx,),
        labels={"app": "web"},
        annotations={"note": "hi"},
        node_selector={"disk": "ssd"},
        hostname="web",
        spec={"nodeSelector": {"disk": "ssd"}, "hostname": "web", **spec},
    )
    shell = Container("c", "nicolaka/netshoot:v0.13", ("bash", "-c", "echo b"), {"A": "b"}, "/", "/opt/netshoot/bin")
    bare = PodTemplate(
        (shell,),
        spec={
            "containers": [
                {
                    "name": "c",
                    "image": "nicolaka/netshoot:v0.13",
                    "args": ["-c", "echo $(A)"],
                    "env": [{"name": "A", "value": "b"}],
                }
            ]
        },
    )
    assert manifests.read("m", IMAGES) == Desired(
        pods=(Pod("default", "p", bare, "m/a.yaml:1"),),
        workloads=(
            Workload(
                kind="Deployment",
                namespace="shop",
                name="web",
                replicas=2,
                template=web,
                template_hash="7mjbznrlxl",
                where="m/b.yaml:1",
                labels={"team": "x"},
                selector=Selector({"app": "web"}, (("tier", "NotIn", ("back",)),)),
                strategy="Recreate",
                min_ready=5,
            ),
        ),
        namespaces=("default", "kube-system", "kube-public", "kube-node-lease", "shop"),
    )


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("nginx:1.27@sha256:0123", "nginx"),
        ("library/nginx", "nginx"),
        ("docker.io/library/nginx:1", "nginx"),
        ("docker.io/nicolaka/netshoot", "nicolaka/netshoot"),
        ("localhost:5000/x:tag", "localhost:5000/x"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("registry.k8s.io/e2e-test-images/agnhost:2.39", "registry.k8s.io/e2e-test-images/agnhost"),
    ],
)
def test_image_names(reference, name):
    assert images.image_name(reference) == name


def test_the_catalogue_may_name_an_image_in_full():
    catalogue = {"docker.io/library/busybox:1.36": Image(cmd=("sh",))}
    assert objects.desired([pod()], catalogue).pods[0].template.containers[0].argv == ("sh",)


# --- names ----------------------------------------------------------------------------------------------


def test_golden_names_of_replicas():
    assert [names.replica_name("default", "web", "wn85gmzb89", ordinal) for ordinal in range(3)] == [
        "web-wn85gmzb89-t5jjw",
        "web-wn85gmzb89-vfdw6",
        "web-wn85gmzb89-vd26v",
    ]
    assert names.replica_name("default", "x" * 60, "wn85gmzb89", 0) == "x" * 58 + "t966m"


def test_the_order_of_fields_makes_no_other_template():
    shuffled = workload()
    shuffled.body["spec"]["template"] = {
        "spec": {"containers": [{"image": "nginx", "name": "c"}]},
        "metadata": {"labels": {"app": "web"}},
    }
    (first,), (second,) = desired(workload()).workloads, desired(shuffled).workloads
    assert first.template_hash == second.template_hash == "wn85gmzb89"
    (other,) = desired(workload(template={"hostname": "h"})).workloads
    assert other.template_hash != first.template_hash


@given(
    workload=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?", fullmatch=True),
    ordinal=st.integers(0, 10_000),
    attempt=st.integers(0, 9),
)
def test_replicas_have_names_that_fit(workload, ordinal, attempt):
    made = names.replica_name("default", workload, "wn85gmzb89", ordinal, attempt)
    assert names.dns1123_subdomain(made) == []
    assert len(made) <= 63
    assert made.startswith(workload[:58])


@settings(deadline=None)
@given(st.text(max_size=70))
def test_a_name_that_passes_can_do_no_harm(text):
    if not names.dns1123_label(text):
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text)
        assert len(text) <= 63
    if not names.dns1123_subdomain(text):
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert ".." not in text


@pytest.mark.parametrize(
    ("name", "hostname"),
    [("web", "web"), ("a" * 64, "a" * 63), ("a" * 62 + "-b", "a" * 62), ("a.b", "a.b")],
)
def test_host_names(name, hostname):
    assert names.pod_hostname(name) == hostname


def test_file_names_are_short_and_their_own():
    long = "a" * 253
    made = {names.file_name(*parts) for parts in [("n", long), ("n", long[:-1]), ("n", "a"), ("n-a",)]}
    assert len(made) == 4
    assert max(map(len, made)) <= 200
    assert names.file_name("default", "web") == "default_web"
    with pytest.raises(ValueError, match="cannot be part of a file name"):
        names.file_name("..", "web")


def test_the_words_of_a_value_are_not_longer_than_a_screen():
    assert len(fields.show(["x" * 5000])) < 250
    assert json.loads(fields.show({"b": [1, "é"], "a": None})) == {"a": None, "b": [1, "é"]}
