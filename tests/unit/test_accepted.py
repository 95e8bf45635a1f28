"""What the API server takes, podlab takes as it is written; what it does not do is told once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from podlab.controller import manifests, schema
from podlab.planner.manifests import objects
from podlab.planner.model import Document
from tests.unit.bodies import IMAGES, NOT_YET

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: busybox}]}\n"
RICH = Path(__file__).parent / "every-field.yml"


@pytest.fixture
def survey(tmp_path: Path) -> Any:
    def read(text: str) -> list[str]:
        (tmp_path / "m.yaml").write_bytes(text.encode())
        _, problems = manifests.survey(str(tmp_path), IMAGES)
        return [line.partition("m.yaml:")[2].partition(": ")[2] for line in problems]

    return read


def spec(**fields: str) -> str:
    written = ", ".join(f"{name}: {text}" for name, text in fields.items())
    return POD.replace("spec: {", f"spec: {{{written}, ")


def container(text: str) -> str:
    return POD.replace("image: busybox", f"image: busybox, {text}")


DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: d, creationTimestamp: null, labels: , annotations: }
spec:
  replicas:
  strategy: {}
  selector: {matchLabels: {a: b}, matchExpressions: }
  template:
    metadata: {creationTimestamp: null, labels: {a: b}}
    spec:
      containers: [{name: c, image: busybox, resources: {}, ports: , env: , command: , args: , securityContext: {}, volumeMounts: , lifecycle: , livenessProbe: }]
      volumes:
      nodeSelector:
      tolerations:
      affinity: {}
      initContainers:
      securityContext:
status: {}
"""

DUMPED = """apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    creationTimestamp: "2024-01-01T00:00:00Z"
    generateName: web-
    managedFields: [{manager: kubectl, operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:spec": {}}}]
    name: web-x7z2k
    namespace: default
    resourceVersion: "3"
    uid: 5f0c2a4e-0000-4000-8000-000000000000
  spec:
    containers:
    - image: busybox
      imagePullPolicy: Always
      name: c
      resources: {}
      terminationMessagePath: /dev/termination-log
      terminationMessagePolicy: File
      volumeMounts:
      - {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, name: kube-api-access-x7z2k, readOnly: true}
    dnsPolicy: ClusterFirst
    enableServiceLinks: true
    preemptionPolicy: PreemptLowerPriority
    priority: 0
    restartPolicy: Always
    schedulerName: default-scheduler
    securityContext: {}
    serviceAccount: default
    serviceAccountName: default
    terminationGracePeriodSeconds: 30
    tolerations:
    - {effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}
    volumes:
    - name: kube-api-access-x7z2k
      projected:
        defaultMode: 420
        sources:
        - serviceAccountToken: {expirationSeconds: 3607, path: token}
        - configMap: {items: [{key: ca.crt, path: ca.crt}], name: kube-root-ca.crt}
        - downwardAPI: {items: [{fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}, path: namespace}]}
  status: {phase: Running, podIP: 10.0.0.1}
- apiVersion: v1
  kind: Service
  metadata: {name: web, uid: x, resourceVersion: "4", creationTimestamp: "2024-01-01T00:00:00Z"}
  spec:
    clusterIP: 10.96.0.10
    clusterIPs: [10.96.0.10]
    internalTrafficPolicy: Cluster
    ipFamilies: [IPv4]
    ipFamilyPolicy: SingleStack
    ports: [{port: 80, protocol: TCP, targetPort: 80}]
    selector: {app: web}
    sessionAffinity: None
    type: ClusterIP
  status: {loadBalancer: {}}
kind: List
metadata: {resourceVersion: ""}
"""


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + POD,
        ("---\n" + POD + "---\n\n---\n# nothing\n---\n").replace("\n", "\r\n"),
        "%YAML 1.1\n---\n" + POD + "...\n",
        POD.replace("kind: Pod", "kind: Pod\t"),
        POD.replace("[{name: c", "[&c {name: c").replace("busybox}", "busybox}, {<<: *c, name: d}"),
        POD.replace("{name: p}", "{name: p, generateName: p-}"),
        POD.replace("{name: p}", "{generateName: p-}"),
        POD.replace("{name: p}", "{name: p, namespace: , labels: {a: }, annotations: {b: }}"),
        "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: p}, spec: {containers: [{name: c, image: busybox}]}}]\n",
        "apiVersion: v1\nkind: ConfigMapList\nitems: []\n",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: cafe, namespace: cafe}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: , b: x}\nbinaryData:\nimmutable: true\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata:\n  a: |\n    YWFh\n    YWFh\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: '', type: '', selector: , ports: [{port: 80, nodePort: 0, targetPort: }], externalIPs: , sessionAffinity: }\n",
        container("command: [sh, null], args: ['']"),
        container("resources: {limits: {cpu: 0.5, memory: 1e3, ephemeral-storage: 100M}, requests: {cpu: 100m}}"),
        container("securityContext: {capabilities: {add: [net_admin, Sys_Time], drop: [all]}}"),
        container("env: [{name: 1st.of-all, value: ''}, {name: B, value: }]"),
        container("restartPolicy: Always"),
        spec(hostNetwork="no", shareProcessNamespace="yes"),
        spec(volumes="[{name: a}, {name: b, emptyDir: }, {name: c, configMap: {name: x, optional: true, defaultMode: 0644}}]"),
        spec(imagePullSecrets="[{}]", securityContext="{supplementalGroupsPolicy: Merge}", resources="{limits: {cpu: 1}}"),
        DEPLOYMENT,
        DUMPED,
    ],
)  # fmt: skip
def test_it_is_taken(survey, text):
    assert survey(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n", 'The Deployment "d" is invalid: spec: Required value'),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {selector: {matchLabels: {a: b}}}\n", 'The Deployment "d" is invalid: spec.template: Required value'),
        (
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {podFailurePolicy: {rules: [{onPodConditions: [{}]}]}, template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}\n",
            f'The Job "j" is invalid: spec.podFailurePolicy: {NOT_YET} backoffLimit alone says how often a Job may fail',
        ),
        (spec(hostAliases="[{hostnames: [a]}]"), 'The Pod "p" is invalid: spec.hostAliases[0].ip: Required value'),
        (spec(hostnameOverride="x"), f'The Pod "p" is invalid: spec.hostnameOverride: {NOT_YET} use hostname, and subdomain with setHostnameAsFQDN for a longer one'),
        (container("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}]"), f'The Pod "p" is invalid: spec.containers[0].env[0].valueFrom.fileKeyRef: {NOT_YET} use configMapKeyRef or secretKeyRef'),
        (container("image: busybox"), 'mapping key "image" already defined at line 4'),
        (spec(foo="1"), 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"'),
    ],
)  # fmt: skip
def test_one_thing_is_said_once(survey, text, expected):
    assert survey(text) == [expected]


# Without these the rest is not what it was.
NEEDED = ("apiVersion", "jobTemplate", "kind", "podAffinityTerm", "preference", "spec", "template")
# Maps of the user's own keys.
MAPS = ("annotations", "binaryData", "data", "labels", "limits", "nodeSelector", "requests", "selector", "stringData")


def without(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """For each field below: its name, the whole without it, and the whole with null in its place."""
    if isinstance(value, dict):
        for key, part in value.items():
            rest = {other: below for other, below in value.items() if other != key}
            yield key, rest, {**value, key: None}
            for name, absent, null in without(part) if key not in MAPS else ():
                yield name, {**value, key: absent}, {**value, key: null}
    elif isinstance(value, list):
        for index, part in enumerate(value):
            for name, *both in without(part):
                yield name, *([*value[:index], below, *value[index + 1 :]] for below in both)


def said(body: Any, others: list[Document]) -> set[str]:
    document = Document(body, "m.yml", 1)
    problems = [*schema.schema_problems([document]), *objects.survey([*others, document], IMAGES, ["host_path"])[1]]
    return set(manifests.without_parts(problems, [document]))


def test_a_field_of_nothing_is_no_field():
    """Kubernetes' decoder takes null for what is not written, and so do the schema and the reader, for every field."""
    bodies = list(yaml.safe_load_all(RICH.read_text("utf-8")))
    stored = [Document(body, "stored.yml", 1) for body in bodies if body["kind"] in ("ConfigMap", "Secret")]
    for body in bodies:
        others = stored if body["kind"] == "Pod" else []
        assert said(body, others) == set()
        for name, absent, null in without(body):
            if name not in NEEDED:
                assert said(null, others) == said(absent, others), (body["kind"], name)
