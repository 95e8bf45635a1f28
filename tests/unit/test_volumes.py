"""Volumes, what is in them, where they are mounted; ConfigMaps and Secrets."""

from __future__ import annotations

import pytest

from podlab.planner.manifests.environment import resolved
from podlab.planner.model import FieldRef, File, Mount, Volume
from tests.unit.bodies import NOT_YET, C, container_of, data, desired, pod, template_of, wrong

SITE = data("ConfigMap", "site", data={"index.html": "hello", "a": "1"}, binaryData={"icon": "/w=="})
TOKEN = data("Secret", "token", data={"key": "czNjcjN0"}, stringData={"plain": "p"})
V = "spec.volumes[0]"
MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def volume(name: str = "v", **source) -> dict:
    return {"name": name, **source}


def with_volume(**source):
    return pod(volumes=[volume(**source)])


def made(*documents, **source) -> Volume:
    return template_of(with_volume(**source), SITE, TOKEN, *documents).volumes["v"]


# --- volumes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, Volume("emptyDir")),
        ({"sizeLimit": "1Gi"}, Volume("emptyDir")),
        ({"medium": "Memory"}, Volume("emptyDir", "Memory")),
        ({"medium": "Memory", "sizeLimit": "1.5Ki"}, Volume("emptyDir", "Memory", 1536)),
        ({"medium": "Memory", "sizeLimit": 100.5}, Volume("emptyDir", "Memory", 101)),
        ({"medium": "Memory", "sizeLimit": 0}, Volume("emptyDir", "Memory")),
    ],
)
def test_an_empty_directory(source, expected):
    assert made(emptyDir=source) == expected


@pytest.mark.parametrize("source", [{}, {"emptyDir": None}, {"hostPath": None}])
def test_a_volume_of_nothing_is_an_empty_directory(source):
    assert made(**source) == Volume("emptyDir")


def files(**written: File) -> Volume:
    return Volume("files", files={name.replace("__", "/").replace("_", "."): file for name, file in written.items()})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"configMap": {"name": "site"}}, files(index_html=File(b"hello"), a=File(b"1"), icon=File(b"\xff"))),
        ({"configMap": {"name": "none", "optional": True}}, files()),
        (
            {"configMap": {"name": "site", "defaultMode": 0o400, "items": [{"key": "a", "path": "etc//x"}, {"key": "icon", "path": "y", "mode": 0}]}},
            files(etc__x=File(b"1", 0o400), y=File(b"\xff", 0)),
        ),
        ({"configMap": {"name": "site", "optional": True, "items": [{"key": "none", "path": "x"}]}}, files()),
        ({"secret": {"secretName": "token"}}, files(key=File(b"s3cr3t"), plain=File(b"p"))),
        (
            {"downwardAPI": {"defaultMode": 0o640, "items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "app", "mode": 0o600, "fieldRef": {"fieldPath": "metadata.labels['app']"}},
                {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "requests.cpu"}},
            ]}},
            files(labels=File(FieldRef("metadata.labels"), 0o640), app=File(FieldRef("metadata.labels['app']"), 0o600), cpu=File(b"0", 0o640)),
        ),
        (
            {"projected": {"defaultMode": 0o444, "sources": [
                {"configMap": {"name": "site", "items": [{"key": "a", "path": "a"}]}},
                {"secret": {"name": "token", "items": [{"key": "key", "path": "s/key", "mode": 0o400}]}},
                {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                {"configMap": {"name": "none", "optional": True}},
            ]}},
            files(a=File(b"1", 0o444), s__key=File(b"s3cr3t", 0o400), name=File(FieldRef("metadata.name"), 0o444)),
        ),
    ],
)  # fmt: skip
def test_a_volume_of_files(source, expected):
    assert made(**source) == expected


def test_a_directory_of_the_node_has_to_be_allowed():
    document = with_volume(hostPath={"path": "/srv", "type": "DirectoryOrCreate"})
    (wait,) = template_of(document).waits
    assert (wait.reason, wait.message) == (
        "FailedMount",
        'MountVolume.SetUp failed for volume "v" : hostPath /srv is not allowed: podlab_allow_host_path is false',
    )
    allowed = template_of(document, allowed=["host_path"])
    assert (allowed.waits, allowed.volumes) == ((), {"v": Volume("hostPath", path="/srv", type="DirectoryOrCreate")})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"persistentVolumeClaim": {"claimName": "x"}}, Volume("claim", claim="x")),
        ({"persistentVolumeClaim": {"claimName": "x", "readOnly": True}}, Volume("claim", claim="x", read_only=True)),
        ({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}, Volume("emptyDir")),
        ({"csi": {"driver": "x"}}, Volume("emptyDir")),
        ({"nfs": {"server": "x", "path": "/", "readOnly": True}}, Volume("emptyDir", read_only=True)),
    ],
)  # fmt: skip
def test_storage_is_a_directory_of_the_node_which_a_note_tells(source, expected):
    wanted = desired(with_volume(**source))
    assert wanted.pods[0].template.volumes == {"v": expected}
    (kind,) = source
    assert [note.partition(": ")[2] for note in wanted.notes] == [f"spec.volumes[*].{kind}: {PLACE[kind]}"]


def test_a_token_is_left_out_with_a_note_and_what_stands_beside_it_is_there():
    site = {"configMap": {"name": "site", "items": [{"key": "a", "path": "x"}]}}
    wanted = desired(with_volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}, site]}), SITE)
    (found,) = wanted.pods[0].template.volumes.values()
    assert [*found.files] == ["x"]
    (note,) = wanted.notes
    assert note.endswith("sources[*].serviceAccountToken: no file: there is no API server to show a token to")


ON_NODE = "an empty directory on the pod's node, which goes with the pod"
PLACE = {
    "persistentVolumeClaim": "a directory on the node of its first pod, which all of its pods run on",
    **dict.fromkeys(("ephemeral", "csi", "nfs"), ON_NODE),
}


def test_what_is_read_only_as_a_volume_is_so_wherever_it_is_mounted():
    source = {"persistentVolumeClaim": {"claimName": "x", "readOnly": True}}
    document = with_volume(**source)
    document.body["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    assert container_of(document).mounts[0].read_only


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"emptyDir": {"mode": 0o700}}, [f".emptyDir.mode: {NOT_YET} every user may write to an emptyDir; use securityContext.fsGroup"]),
        ({"image": {"reference": "busybox"}}, [f".image: {NOT_YET} there is no registry; put the files into a ConfigMap"]),
        ({"configMap": {"name": "site", "defaultUser": 7, "items": [{"key": "a", "path": "x", "user": 7}]}}, [f".configMap.{field}: {NOT_YET} files of a volume are root's; use securityContext.fsGroup" for field in ("defaultUser", "items[0].user")]),
        ({"emptyDir": {}, "configMap": {"name": "site"}}, [".configMap: Forbidden: may not specify more than 1 volume type"]),
        ({"emptyDir": {"medium": "HugePages"}}, [f".emptyDir.medium: {NOT_YET} use Memory, or leave it out for the node's disk"]),
        ({"emptyDir": {"sizeLimit": "big"}}, [".emptyDir.sizeLimit: Invalid value: \"big\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"]),
        ({"emptyDir": {"sizeLimit": "-1"}}, [".emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"]),
        ({"configMap": {}}, [".configMap.name: Required value"]),
        ({"secret": {"optional": False}}, [".secret.secretName: Required value"]),
        ({"configMap": {"name": "site", "defaultMode": 512}}, [f".configMap.defaultMode: Invalid value: 512: {MODE}"]),
        ({"configMap": {"name": "site", "items": [{"path": "x"}, {"key": "a"}, {"key": "a", "path": "z", "mode": -1}]}}, [
            ".configMap.items[0].key: Required value",
            ".configMap.items[1].path: Required value",
            f".configMap.items[2].mode: Invalid value: -1: {MODE}",
        ]),
        ({"configMap": {"name": "site", "items": [{"key": "a", "path": path} for path in ("/x", "a/../b", "..data", ".", "x\0")]}}, [
            '.configMap.items[0].path: Invalid value: "/x": must be a relative path',
            ".configMap.items[1].path: Invalid value: \"a/../b\": must not contain '..'",
            ".configMap.items[2].path: Invalid value: \"..data\": must not start with '..'",
            '.configMap.items[3].path: Invalid value: ".": must be the path of a file',
            '.configMap.items[4].path: Invalid value: "x\\u0000": must not contain NUL',
        ]),
        ({"configMap": {"name": "site", "items": [{"key": "a", "path": "x"}, {"key": "a", "path": "x/y/z"}]}}, [': Invalid value: "x/y/z": a part of this path is a file of the volume itself']),
        ({"downwardAPI": {"items": [{"path": "x"}]}}, [".downwardAPI.items[0]: Required value: one of fieldRef and resourceFieldRef is required"]),
        ({"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.uid"}, "resourceFieldRef": {"containerName": "c", "resource": "requests.cpu"}}]}}, ['.downwardAPI.items[0]: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously']),
        ({"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "status.podIP"}}]}}, ['.downwardAPI.items[0].fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"']),
        ({"downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "requests.cpu"}}]}}, [".downwardAPI.items[0].resourceFieldRef.containerName: Required value"]),
        ({"projected": {"sources": [{"configMap": {"name": "site"}, "secret": {"name": "token"}}]}}, [".projected.sources[0]: Forbidden: may not specify more than 1 volume type"]),
        ({"projected": {"sources": [{"configMap": {"name": "site", "items": [{"key": "a", "path": "x"}]}}, {"secret": {"name": "token", "items": [{"key": "key", "path": "x"}]}}]}}, ['.projected: Invalid value: "token": conflicting duplicate paths']),
        ({"projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}, [f".projected.sources[0].clusterTrustBundle: {NOT_YET} there is no API server; put the file into a ConfigMap"]),
        ({"persistentVolumeClaim": {}}, [".persistentVolumeClaim.claimName: Required value"]),
    ],
)  # fmt: skip
def test_a_bad_volume(source, expected):
    assert wrong(with_volume(**source), SITE, TOKEN) == [V + line for line in expected if line]


def test_a_bad_directory_of_the_node():
    sources = [{}, {"path": "srv"}, {"path": "/srv/../etc"}, {"path": "/srv", "type": "Dir"}, {"path": "/a\0"}]
    document = pod(volumes=[volume(f"v{index}", hostPath=source) for index, source in enumerate(sources)])
    kinds = '"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"'
    lines = [line for line in wrong(document) if "a pod could write" not in line]
    assert lines == [
        "spec.volumes[0].hostPath.path: Required value",
        'spec.volumes[1].hostPath.path: Invalid value: "srv": must be an absolute path',
        "spec.volumes[2].hostPath.path: Invalid value: \"/srv/../etc\": must not contain '..'",
        f'spec.volumes[3].hostPath.type: Unsupported value: "Dir": supported values: {kinds}',
        'spec.volumes[4].hostPath.path: Invalid value: "/a\\u0000": must not contain NUL',
    ]


def test_names_of_volumes():
    made = [{"emptyDir": {}}, volume("A", emptyDir={}), volume("v", emptyDir={}), volume("v", emptyDir={})]
    first, second, third = wrong(pod(volumes=made))
    assert first == "spec.volumes[0].name: Required value"
    assert second.startswith('spec.volumes[1].name: Invalid value: "A": a lowercase RFC 1123 label must consist')
    assert third == 'spec.volumes[3].name: Duplicate value: "v"'


# --- mounts ---------------------------------------------------------------------------------------------


def mounting(*mounts: dict, env: list[dict] | None = None, metadata: dict | None = None):
    container = {"volumeMounts": [{"name": "v", **mount} for mount in mounts], "env": env}
    return pod(container=container, metadata=metadata, volumes=[volume(emptyDir={})])


def test_mounts():
    names = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "A", "value": "a"},
    ]
    made = container_of(
        mounting(
            {"mountPath": "/data", "readOnly": True},
            {"mountPath": "/sub", "subPath": "x/$(A)"},
            {"mountPath": "/known", "subPathExpr": "$(A)/$$(A)"},
            {"mountPath": "/late", "subPathExpr": "$(POD)/$(A)"},
            env=names,
        )
    )
    assert made.mounts == (
        Mount("v", "/data", read_only=True),
        Mount("v", "/sub", "x/$(A)"),
        Mount("v", "/known", "a/$(A)"),
        Mount("v", "/late", "$(metadata.name)/a", expand=True),
    )
    assert resolved(made, {"metadata.name": "p"}).sub_paths == ("", "x/$(A)", "a/$(A)", "p/a")


M = f"{C}.volumeMounts[0]"


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ({"name": ""}, [".mountPath: Required value", ".name: Required value"]),
        ({"name": "w", "mountPath": "/x"}, ['.name: Not found: "w": the pod has no volume of this name']),
        ({"mountPath": "data"}, []),
        ({"mountPath": "//"}, ['.mountPath: Invalid value: "//": must not be the root of the container']),
        ({"mountPath": "/a:b"}, [".mountPath: Invalid value: \"/a:b\": must not contain ':'"]),
        ({"mountPath": "/a/../b"}, [".mountPath: Invalid value: \"/a/../b\": must not contain '..'"]),
        ({"mountPath": "/a\0"}, ['.mountPath: Invalid value: "/a\\u0000": must not contain NUL']),
        ({"mountPath": "/a", "subPath": "/x"}, ['.subPath: Invalid value: "/x": must be a relative path']),
        ({"mountPath": "/a", "subPath": "x/.."}, [".subPath: Invalid value: \"x/..\": must not contain '..'"]),
        ({"mountPath": "/a", "subPathExpr": "/x"}, ['.subPathExpr: Invalid value: "/x": must be a relative path']),
        ({"mountPath": "/a", "subPathExpr": "$(NONE)"}, ['.subPathExpr: Invalid value: "$(NONE)": missing value for "NONE"']),
        ({"mountPath": "/a", "subPathExpr": "x/$(UP)"}, [".subPathExpr: Invalid value: \"x/../y\": must not contain '..'"]),
        ({"mountPath": "/a", "subPathExpr": "$(NOTE)"}, ['.subPathExpr: Invalid value: "/etc": must be a relative path']),
        ({"mountPath": "/a", "subPath": "x", "subPathExpr": "y"}, ['.subPathExpr: Invalid value: "y": subPathExpr and subPath are mutually exclusive']),
        ({"mountPath": "/a", "mountPropagation": "Both"}, ['.mountPropagation: Unsupported value: "Both": supported values: "None", "HostToContainer", "Bidirectional"']),
        ({"mountPath": "/a", "recursiveReadOnly": "Enabled"}, [f".recursiveReadOnly: {NOT_YET} readOnly covers what is mounted"]),
    ],
)  # fmt: skip
def test_a_bad_mount(mount, expected):
    env = [
        {"name": "UP", "value": "../y"},
        {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['note']"}}},
    ]
    document = mounting(mount, env=env, metadata={"annotations": {"note": "/etc"}})
    assert wrong(document) == [M + line for line in expected]


def test_a_mount_at_a_relative_path_is_at_the_root():
    assert container_of(mounting({"mountPath": "data"})).mounts[0].path == "/data"


def test_two_mounts_in_one_place():
    assert wrong(mounting({"mountPath": "/a"}, {"mountPath": "/a"})) == [
        f'{C}.volumeMounts[1].mountPath: Invalid value: "/a": must be unique'
    ]


# --- ConfigMaps and Secrets -----------------------------------------------------------------------------


def test_they_are_kept_as_they_are_written_and_a_secret_as_the_api_server_keeps_it():
    kept = desired(SITE, TOKEN, data("Secret", "typed", type="example.com/x")).objects
    assert kept["ConfigMap/default/site"] == SITE.body
    assert kept["Secret/default/token"] == {
        **{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "type": "Opaque"},
        "data": {"key": "czNjcjN0", "plain": "cA=="},
    }
    assert kept["Secret/default/typed"]["type"] == "example.com/x"


def test_string_data_wins():
    document = data("Secret", "s", data={"a": "YQ=="}, stringData={"a": "b"})
    assert desired(document).objects["Secret/default/s"]["data"] == {"a": "Yg=="}
    assert template_of(pod(volumes=[volume(secret={"secretName": "s"})]), document).volumes["v"].files == {
        "a": File(b"b")
    }


LARGE = "x" * (1 << 20)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (data("ConfigMap", "m", data={"..": "x"}), ["data[..]: Invalid value: \"..\": must not be '..'"]),
        (data("ConfigMap", "m", binaryData={"..a": "eA=="}), ["binaryData[..a]: Invalid value: \"..a\": must not start with '..'"]),
        (data("ConfigMap", "m", data={"k" * 254: ""}), [f'data[{"k" * 254}]: Invalid value: "{"k" * 199}...: must be no more than 253 characters']),
        (data("ConfigMap", "m", data={"a": "x"}, binaryData={"a": "eA=="}), ['data[a]: Invalid value: "a": duplicate of key present in binaryData']),
        (data("ConfigMap", "m", data={"a": LARGE}), []),
        (data("ConfigMap", "m", data={"a": LARGE}, binaryData={"b": "eA=="}), ["data: Too long: must have at most 1048576 bytes"]),
        (data("ConfigMap", "m", data={"a": 1}), ["data.a: Invalid value: 1: must be of type string"]),
        (data("ConfigMap", "m", binaryData={"a": "no base64"}), ['binaryData[a]: Invalid value: "": illegal base64 data']),
        (data("Secret", "s", data={"a": "hunter2"}), ['data[a]: Invalid value: "": illegal base64 data']),
        (data("Secret", "s", data={"a": "YQ==\n"}), []),
        (data("Secret", "s", stringData={"a": LARGE + "x"}), ["data: Too long: must have at most 1048576 bytes"]),
        (data("Secret", "s", type="kubernetes.io/tls", data={"tls.crt": ""}), ["data[tls.key]: Required value"]),
        (data("Secret", "s", type="kubernetes.io/ssh-auth"), ["data[ssh-privatekey]: Required value"]),
        (data("Secret", "s", type="kubernetes.io/basic-auth", stringData={"username": "u"}), []),
        (data("Secret", "s", type="kubernetes.io/basic-auth"), ["data[username]: Required value", "data[password]: Required value"]),
    ],
)  # fmt: skip
def test_what_may_be_kept(document, expected):
    assert wrong(document) == expected
