"""``./lab describe``: one object after another, told at length in kubectl's layout.

Of a pod there is a section more, of what podlab alone knows: the kernel objects that it is made of, and the
commands that show them. The layout is that of kubectl's own pkg/describe/describe.go; what is printed is
made here from the same objects that ``get`` shows.
"""

from __future__ import annotations

import contextlib
import datetime
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podlab import packed, records
from podlab.changes.pods.pods import veth_name
from podlab.phases import timestamp
from podlab.shapes import misfit

from .. import inventory
from ..failure import Failure
from ..hosts import STATUS, Host, Silent, ask
from ..output import say
from . import objects, services, workloads
from .columns import KINDS, node_roles, selector_text, some
from .get import LISTS, must_be_known, must_be_on, not_found, parse, parse_selector, selected
from .table import NONE, age, aligned, moment, since

Object = objects.Object
Event = Mapping[str, Any]
KNOWN = ("pods", "services", "nodes", "deployments")
Lines = list[str]
"""Text whose columns are still to be lined up: tabs stand between them."""


def describe(words: Sequence[str], *, namespace: str, selector: str, sources: Sequence[str]) -> None:
    """Print at length what was asked for.

    :raises Failure: in kubectl's words.
    """
    wanted = parse(words)
    if unknown := [plural for plural in wanted if plural not in KNOWN]:
        raise Failure(
            f"error: describe knows pods, services, nodes and deployments; try ./lab get {unknown[0]} -o yaml"
        )
    requirements = parse_selector(selector)
    hosts = inventory.read(sources)
    must_be_on(hosts)
    answers = ask([host for host in hosts if host.role in ("node", "gateway")])
    state = objects.state_of(answers, [host.name for host in hosts if host.role == "node"])
    chosen, missing = [], []
    for plural, names in wanted.items():
        items = [
            item
            for item in LISTS[plural](state)
            if item["metadata"].get("namespace", namespace) == namespace
            and selected(item["metadata"].get("labels", {}), requirements)
        ]
        known = {item["metadata"]["name"]: item for item in items}
        missing += [not_found(KINDS[plural].plural, name) for name in names if name not in known]
        chosen += [known[name] for name in names if name in known] if names else items
    if not chosen:
        must_be_known(state, missing)
    if not chosen and not missing:
        everywhere = not all(KINDS[plural].is_namespaced for plural in wanted)
        raise Failure("No resources found" if everywhere else f"No resources found in {namespace} namespace.", 0)
    now = datetime.datetime.now(datetime.timezone.utc)
    more = _more(state, chosen, {host.name: host for host in hosts})
    pages = []
    for at, item in enumerate(chosen):
        try:
            pages.append(text(state, item, now, *more[at]))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # one object hides no other
            words = f"what is recorded of it is damaged: {type(error).__name__}: {error}"
            missing.append(f"error: {item['kind'].lower()} {item['metadata']['name']} cannot be described: {words}")
    say("\n\n".join(pages), end="")
    if missing:
        raise Failure("\n".join(missing))


def text(state: objects.State, item: Object, now: datetime.datetime, events: Sequence[Event], pause: str) -> str:
    """One object. Pure.

    :param events: of a pod, the oldest first.
    :param pause: pid of the process that holds a pod's namespaces, or nothing.
    """
    if item["kind"] == "Pod":
        row = _live(state, item).get("row")
        lines = _pod(item, row, now) + (_podlab(item, row, pause) if row else []) + _events(events, now)
    elif item["kind"] == "Node":
        lines = _node(state, item, now)
    elif item["kind"] == "Service":
        lines = _service(state, item)
    else:
        lines = _deployment(state, item)
    return aligned("\n".join(lines))


def _live(state: objects.State, pod: Object) -> Mapping[str, Any]:
    for live in (state.nodes.get(pod["spec"].get("nodeName", "")) or {}).get("pods", []):
        if live["row"]["object"]["metadata"] == pod["metadata"]:
            return dict(live)
    return {}


# --- what is asked beyond the status of all hosts -------------------------------------------------


def _more(
    state: objects.State, items: Sequence[Object], hosts: Mapping[str, Host]
) -> list[tuple[Sequence[Event], str]]:
    """Events and pause of each pod, asked side by side; nothing of what is no pod that is there."""

    def of(item: Object) -> tuple[Sequence[Event], str]:
        row = _live(state, item).get("row") if item["kind"] == "Pod" else None
        if row is None:
            return [], ""
        host = hosts[item["spec"]["nodeName"]]
        program = STATUS.read_text("utf-8")
        said = _output(host, [host.python, "-IS", "-", "events", row["netns"]], program)
        pid = _output(host, [host.python, "-IS", "-", "pause", row["netns"]], program).strip()
        return _parsed(said), pid if pid.isdigit() else ""

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(of, items))


def _output(host: Host, command: Sequence[str], program: str = "") -> str:
    try:
        return host.question(command).ask(program, patience=host.patience).out
    except (OSError, Silent):
        return ""


def _parsed(said: str) -> list[Event]:
    """Events, one a line; what is none is passed over, or an old host could not be described."""
    events = []
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            found = packed.loads(line)
            told = found if isinstance(found, list) else [found]
            events += [event for event in told if not misfit(event, records.Event)]
    return events


# --- a pod ----------------------------------------------------------------------------------------


def _pod(pod: Object, row: Mapping[str, Any] | None, now: datetime.datetime) -> Lines:
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    address = status.get("podIP", "")
    lines = [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        f"Service Account:\t{spec.get('serviceAccountName') or 'default'}",
        f"Node:\t{spec['nodeName']}/{status.get('hostIP', '')}" if spec.get("nodeName") else f"Node:\t{NONE}",
        *([f"Start Time:\t{_time(status['startTime'])}"] if "startTime" in status else []),
        *_labels("Labels", metadata.get("labels")),
        *_annotations(metadata.get("annotations")),
        f"Status:\t{status['phase']}",
        *([f"Reason:\t{status['reason']}"] if status.get("reason") else []),
        *([f"Message:\t{status['message']}"] if status.get("message") else []),
        f"IP:\t{address}",
        *(
            ["IPs:", *(f"  IP:\t{item['ip']}" for item in status["podIPs"])]
            if status.get("podIPs")
            else ["IPs:\t" + NONE]
        ),
    ]
    kind, name = workloads.owner(pod)
    if kind:
        lines.append(f"Controlled By:\t{kind}/{name}")
    values = (row or {}).get("containers", {})
    if spec.get("initContainers"):
        lines.append("Init Containers:")
        for container in spec["initContainers"]:
            lines += _container(container, status.get("initContainerStatuses", []), values)
    lines.append("Containers:")
    for container in spec["containers"]:
        lines += _container(container, status.get("containerStatuses", []), values)
    if status.get("conditions"):
        lines += ["Conditions:", "  Type\tStatus"]
        lines += [f"  {condition['type']} \t{condition['status']} " for condition in status["conditions"]]
    lines += _volumes(spec.get("volumes") or [])
    lines += _labels("Node-Selectors", spec.get("nodeSelector"))
    lines += _tolerations(spec.get("tolerations") or [])
    return lines


def _container(container: Object, statuses: Sequence[Object], values: Mapping[str, Any]) -> Lines:
    status = next((item for item in statuses if item["name"] == container["name"]), None)
    ports = container.get("ports") or []
    several = "s" if len(ports) > 1 else ""
    protocols = [f"{port['containerPort']}/{port.get('protocol', 'TCP')}" for port in ports]
    on_host = [f"{port.get('hostPort', 0)}/{port.get('protocol', 'TCP')}" for port in ports]
    lines = [f"  {container['name']}:"]
    if status:
        lines.append(f"    Container ID:\t{status.get('containerID', '')}")
    lines.append(f"    Image:\t{container.get('image', '')}")
    if status:
        lines.append(f"    Image ID:\t{status.get('imageID', '')}")
    lines += [
        f"    Port{several}:\t{', '.join(protocols) or NONE}",
        f"    Host Port{several}:\t{', '.join(on_host) or NONE}",
        *_words("Command", container.get("command")),
        *_words("Args", container.get("args")),
    ]
    if status:
        lines += _state("State", status["state"])
        if status["lastState"]:
            lines += _state("Last State", status["lastState"])
        lines += [f"    Ready:\t{status['ready']}", f"    Restart Count:\t{status['restartCount']}"]
    resources = container.get("resources") or {}
    for head, key in (("Limits", "limits"), ("Requests", "requests")):
        if resources.get(key):
            lines += [f"    {head}:", *(f"      {name}:\t{value}" for name, value in sorted(resources[key].items()))]
    for head, key in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
        if container.get(key):
            lines.append(f"    {head}:\t{_probe(container[key])}")
    return lines + _environment(container, values.get(container["name"], {}).get("env", {})) + _mounts(container)


def _words(head: str, words: Sequence[str] | None) -> Lines:
    """A command, a word a line; the lines of a word are kept below one another."""
    if not words:
        return []
    return [f"    {head}:", *(f"      {line}" for word in words for line in str(word).split("\n"))]


def _state(head: str, state: Object) -> Lines:
    if "running" in state:
        lines = [f"    {head}:\tRunning"]
        if "startedAt" in state["running"]:
            lines.append(f"      Started:\t{_time(state['running']['startedAt'])}")
        return lines
    if "terminated" in state:
        end = state["terminated"]
        return [
            f"    {head}:\tTerminated",
            *([f"      Reason:\t{end['reason']}"] if end.get("reason") else []),
            *([f"      Message:\t{end['message']}"] if end.get("message") else []),
            f"      Exit Code:\t{end['exitCode']}",
            *([f"      Signal:\t{end['signal']}"] if end.get("signal") else []),
            f"      Started:\t{_time(end['startedAt'])}",
            f"      Finished:\t{_time(end['finishedAt'])}",
        ]
    # kubectl prints the message of a waiting container nowhere but in -o yaml.
    reason = state.get("waiting", {}).get("reason")
    return [f"    {head}:\tWaiting", *([f"      Reason:\t{reason}"] if reason else [])]


def _probe(probe: Object) -> str:
    times = [
        f"delay={probe.get('initialDelaySeconds', 0)}s",
        f"timeout={probe.get('timeoutSeconds', 1)}s",
        f"period={probe.get('periodSeconds', 10)}s",
        f"#success={probe.get('successThreshold', 1)}",
        f"#failure={probe.get('failureThreshold', 3)}",
    ]
    if "exec" in probe:
        what = f"exec [{' '.join(probe['exec'].get('command', []))}]"
    elif "httpGet" in probe:
        http = probe["httpGet"]
        path = "/" + str(http.get("path", "/")).lstrip("/")
        what = f"http-get {http.get('scheme', 'HTTP').lower()}://{http.get('host', '')}:{http['port']}{path}"
    elif "tcpSocket" in probe:
        what = f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket']['port']}"
    else:
        what = "unknown"
    return " ".join([what, *times])


def _environment(container: Object, values: Mapping[str, str]) -> Lines:
    lines = []
    if container.get("envFrom"):
        lines.append("    Environment Variables from:")
        for source in container["envFrom"]:
            kind, reference = next(
                (word, source[key])
                for key, word in (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
                if key in source
            )
            prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
            optional = str(bool(reference.get("optional"))).lower()
            lines.append(f"      {reference['name']}\t{kind}{prefix}\tOptional: {optional}")
    if not container.get("env"):
        return [*lines, f"    Environment:\t{NONE}"]
    lines.append("    Environment:")
    for variable in container["env"]:
        first, *others = _value(variable, values).split("\n")
        lines.append(f"      {variable['name']}:\t{first}")
        lines += [f"      \t{line}" for line in others]
    return lines


def _value(variable: Object, values: Mapping[str, str]) -> str:
    """A variable's value, or where it comes from. What a Secret holds is not told."""
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        known = values.get(variable["name"], "")
        return f"{known} ({source['fieldRef'].get('apiVersion', 'v1')}:{source['fieldRef']['fieldPath']})"
    if "resourceFieldRef" in source:
        return f"{values.get(variable['name'], '')} ({source['resourceFieldRef']['resource']})"
    is_public = "configMapKeyRef" in source
    word, reference = (
        ("of config map", source["configMapKeyRef"]) if is_public else ("in secret", source["secretKeyRef"])
    )
    optional = str(bool(reference.get("optional"))).lower()
    return f"<set to the key '{reference['key']}' {word} '{reference['name']}'>\tOptional: {optional}"


def _mounts(container: Object) -> Lines:
    mounts = container.get("volumeMounts") or []
    if not mounts:
        return [f"    Mounts:\t{NONE}"]
    lines = ["    Mounts:"]
    for mount in sorted(mounts, key=lambda mount: str(mount["mountPath"])):
        flags = ["ro" if mount.get("readOnly") else "rw"]
        flags += [f'path="{mount["subPath"]}"'] if mount.get("subPath") else []
        lines.append(f"      {mount['mountPath']} from {mount['name']} ({','.join(flags)})")
    return lines


def _volumes(volumes: Sequence[Object]) -> Lines:
    if not volumes:
        return [f"Volumes:\t{NONE}"]
    lines = ["Volumes:"]
    for volume in volumes:
        lines += [f"  {volume['name']}:", *(f"    {line}" for line in _volume(volume))]
    return lines


def _volume(volume: Object) -> Lines:
    if "emptyDir" in volume:
        directory = volume["emptyDir"] or {}
        return [
            "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)",
            f"Medium:\t{directory.get('medium', '')}",
            f"SizeLimit:\t{directory.get('sizeLimit') or '<unset>'}",
        ]
    if "configMap" in volume:
        source = volume["configMap"]
        return [
            "Type:\tConfigMap (a volume populated by a ConfigMap)",
            f"Name:\t{source.get('name', '')}",
            f"Optional:\t{str(bool(source.get('optional'))).lower()}",
        ]
    if "secret" in volume:
        source = volume["secret"]
        return [
            "Type:\tSecret (a volume populated by a Secret)",
            f"SecretName:\t{source.get('secretName', '')}",
            f"Optional:\t{str(bool(source.get('optional'))).lower()}",
        ]
    if "downwardAPI" in volume:
        return [
            "Type:\tDownwardAPI (a volume populated by information about the pod)",
            "Items:",
            *_items(volume["downwardAPI"]),
        ]
    if "projected" in volume:
        lines = ["Type:\tProjected (a volume that contains injected data from multiple sources)"]
        for source in volume["projected"].get("sources") or []:
            if "secret" in source:
                lines.append(f"SecretName:\t{source['secret']['name']}")
                lines.append(f"SecretOptionalName:\t{_optional(source['secret'])}")
            elif "downwardAPI" in source:
                lines.append("DownwardAPI:\ttrue")
            elif "configMap" in source:
                lines.append(f"ConfigMapName:\t{source['configMap']['name']}")
                lines.append(f"ConfigMapOptional:\t{_optional(source['configMap'])}")
        return lines
    if "hostPath" in volume:
        path = volume["hostPath"]
        return [
            "Type:\tHostPath (bare host directory volume)",
            f"Path:\t{path['path']}",
            f"HostPathType:\t{path.get('type', '')}",
        ]
    return ["<unknown>"]


def _items(source: Object) -> Lines:
    found = []
    for item in source.get("items") or []:
        field = item.get("fieldRef", {}).get("fieldPath") or item.get("resourceFieldRef", {}).get("resource", "")
        found.append(f"  {field} -> {item['path']}")
    return found


def _optional(source: Object) -> str:
    """As kubectl has it here, and here alone: a pointer that is not set."""
    return str(source["optional"]).lower() if "optional" in source else "<nil>"


def _tolerations(tolerations: Sequence[Object]) -> Lines:
    words = []
    for toleration in sorted(tolerations, key=lambda toleration: str(toleration.get("key", ""))):
        word = toleration.get("key") or ""
        if toleration.get("value"):
            word += f"={toleration['value']}"
        if toleration.get("effect"):
            word += f":{toleration['effect']}"
        # There is no operator to say of Equal: the equals sign stands there.
        if toleration.get("operator") == "Exists":
            word = word + " op=Exists" if word else "op=Exists"
        if toleration.get("tolerationSeconds") is not None:
            word += f" for {toleration['tolerationSeconds']}s"
        words.append(word)
    first, *others = words or [NONE]
    return [f"Tolerations:\t{first}", *(f"\t{word}" for word in others)]


def _events(events: Sequence[Event], now: datetime.datetime) -> Lines:
    """Events that say the same are one, with a count, in the order in which they were last seen.

    The host may have counted already: then an event has a ``count``, and ``first``, when it was seen first.
    """
    if not events:
        return [f"Events:\t{NONE}"]
    alike: dict[tuple[str, str, str], tuple[float, float, int]] = {}  # first, last, count
    for event in sorted(events, key=lambda event: float(event["time"])):
        key = (event["type"], event["reason"], event["message"])
        first, _, count = alike.pop(key, (event.get("first", event["time"]), 0, 0))
        alike[key] = (first, event["time"], count + event.get("count", 1))
    lines = ["Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------"]
    for (kind, reason, message), (first, last, count) in alike.items():
        age_of_last = since(timestamp(last), now)
        seen = f"{age_of_last} (x{count} over {since(timestamp(first), now)})" if count > 1 else age_of_last
        lines.append(f"  {kind}\t{reason}\t{seen}\tkubelet\t{message.strip()}")
    return lines


# --- what no cluster tells so plainly -------------------------------------------------------------


def _podlab(pod: Object, row: Mapping[str, Any], pause: str) -> Lines:
    """What the pod is made of, and how to look at it."""
    node, netns = pod["spec"]["nodeName"], row["netns"]
    at = f"./lab node {node} --"
    holder = f"{pause or 'gone'} (holds its namespaces)"
    if row.get("host_network"):
        return [
            "Podlab:",
            f"  Network:\tthat of {node}: hostNetwork",
            f"  Pause:\t{holder}",
            "  To look at it:",
            f"    {at} ip address",
            f"    {at} ss -ltnp",
        ]
    veth = veth_name(netns)
    return [
        "Podlab:",
        f"  Network Namespace:\t{netns}",
        f"  Wire:\teth0 in it, {veth} on {node}, a port of {row['bridge']}",
        f"  MAC:\t{row['mac']}",
        f"  Gateway:\t{row['gateway']}",
        f"  Pause:\t{holder}",
        "  To look at it:",
        f"    {at} ip -n {shlex.quote(netns)} address",
        f"    {at} ip -n {shlex.quote(netns)} route",
        f"    {at} bridge link show dev {veth}",
        f"    {at} ip netns exec {shlex.quote(netns)} ss -ltnp",
        *([f"    {at} lsns -p {pause}"] if pause else []),
    ]


# --- services -------------------------------------------------------------------------------------


def _service(state: objects.State, item: Object) -> Lines:
    metadata, spec = item["metadata"], item["spec"]
    own = [
        found
        for found in services.endpointslices(state)
        if found["metadata"]["namespace"] == metadata["namespace"]
        and found["metadata"].get("labels", {}).get("kubernetes.io/service-name") == metadata["name"]
    ]
    ingress = [
        f"{at.get('ip') or at.get('hostname', '')}{' (' + at['ipMode'] + ')' if at.get('ipMode') else ''}"
        for at in item["status"]["loadBalancer"].get("ingress", [])
    ]
    told = {
        "External IPs": ",".join(spec.get("externalIPs") or []),
        "Desired LoadBalancer IP": spec.get("loadBalancerIP"),
        "External Name": spec.get("externalName"),
        "LoadBalancer Ingress": ", ".join(ingress),
    }
    more = {
        "External Traffic Policy": spec.get("externalTrafficPolicy"),
        "Internal Traffic Policy": spec.get("internalTrafficPolicy"),
        "Traffic Distribution": spec.get("trafficDistribution"),
        "HealthCheck NodePort": spec.get("healthCheckNodePort"),
        "LoadBalancer Source Ranges": ",".join(spec.get("loadBalancerSourceRanges") or []),
    }
    return [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        *_labels("Labels", metadata.get("labels")),
        *_annotations(metadata.get("annotations")),
        f"Selector:\t{selector_text({'matchLabels': spec.get('selector') or {}})}",
        f"Type:\t{spec['type']}",
        *([f"IP Family Policy:\t{spec['ipFamilyPolicy']}"] if spec.get("ipFamilyPolicy") else []),
        f"IP Families:\t{','.join(spec.get('ipFamilies') or []) or NONE}",
        f"IP:\t{spec.get('clusterIP', '')}",
        f"IPs:\t{','.join(spec.get('clusterIPs') or []) or NONE}",
        *(f"{head}:\t{value}" for head, value in told.items() if value),
        *(line for port in spec.get("ports") or [] for line in _service_port(port, own)),
        f"Session Affinity:\t{spec['sessionAffinity']}",
        *(f"{head}:\t{value}" for head, value in more.items() if value),
        f"Events:\t{NONE}",
    ]


def _service_port(port: Object, slices: Sequence[Object]) -> Lines:
    """As kubectl has it, pods that have none of the Service's ports stand at each of them, without a number."""
    name, protocol = port.get("name") or "<unset>", port["protocol"]
    ready = [
        f"{endpoint['addresses'][0]}{number}"
        for part in slices
        for number in _numbers(part.get("ports") or [], port.get("name", ""))
        for endpoint in part.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    return [
        f"Port:\t{name}\t{port['port']}/{protocol}",
        f"TargetPort:\t{port['targetPort']}/{protocol}",
        *([f"NodePort:\t{name}\t{port['nodePort']}/{protocol}"] if port.get("nodePort") else []),
        f"Endpoints:\t{some(ready, '')}",
    ]


def _numbers(ports: Sequence[Object], name: str) -> list[str]:
    """What is written behind an address of a slice with these ports, for the Service's port of that name."""
    if not ports:
        return [""]
    return [f":{port['port']}" for port in ports if port.get("name", "") == name and port.get("port")]


# --- nodes and deployments ------------------------------------------------------------------------


def _node(state: objects.State, node: Object, now: datetime.datetime) -> Lines:
    metadata, spec, status = node["metadata"], node["spec"], node["status"]
    taints = [
        f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"
        for taint in spec.get("taints", [])
    ] or [NONE]
    info = status.get("nodeInfo", {})
    own = [
        pod
        for pod in state.pods
        if pod["spec"].get("nodeName") == metadata["name"] and pod["status"]["phase"] not in ("Succeeded", "Failed")
    ]
    lines = [
        f"Name:\t{metadata['name']}",
        f"Roles:\t{node_roles(node)}",
        *_labels("Labels", metadata.get("labels")),
        *_annotations(metadata.get("annotations")),
        *_created(metadata),
        f"Taints:\t{taints[0]}",
        *(f"\t{taint}" for taint in taints[1:]),
        "Unschedulable:\tfalse",
        "Conditions:",
        "  Type\tStatus\tReason\tMessage",
        "  ----\t------\t------\t-------",
    ]
    lines += [f"  {c['type']} \t{c['status']} \t{c['reason']} \t{c['message']}" for c in status["conditions"]]
    lines += ["Addresses:", *(f"  {address['type']}:\t{address['address']}" for address in status["addresses"])]
    if info:
        lines += [
            "System Info:",
            f"  Kernel Version:\t{info['kernelVersion']}",
            f"  OS Image:\t{info['osImage']}",
            f"  Operating System:\t{info['operatingSystem']}",
            f"  Architecture:\t{info['architecture']}",
            f"  Container Runtime Version:\t{info['containerRuntimeVersion']}",
            f"  Kubelet Version:\t{info['kubeletVersion']}",
        ]
    if "podCIDR" in spec:
        lines += [f"PodCIDR:\t{spec['podCIDR']}", f"PodCIDRs:\t{','.join(spec['podCIDRs'])}"]
    lines.append(f"Non-terminated Pods:\t({len(own)} in total)")
    if own:
        lines += ["  Namespace\tName\tAge", "  ---------\t----\t---"]
        lines += [f"  {pod['metadata']['namespace']}\t{pod['metadata']['name']}\t{age(pod, now)}" for pod in own]
    return lines


def _deployment(state: objects.State, item: Object) -> Lines:
    metadata, spec, status = item["metadata"], item["spec"], item["status"]
    lines = [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        *_created(metadata),
        *_labels("Labels", metadata.get("labels")),
        *_annotations(metadata.get("annotations")),
        f"Selector:\t{selector_text(spec['selector'])}",
        f"Replicas:\t{spec['replicas']} desired | {status['updatedReplicas']} updated | {status['replicas']} total | "
        f"{status['availableReplicas']} available | {status['unavailableReplicas']} unavailable",
        f"StrategyType:\t{spec['strategy']['type']}",
        "Pod Template:",
        *(f"  {line}" for line in _labels("Labels", spec["template"]["metadata"]["labels"])),
        "  Containers:",
    ]
    for container in spec["template"]["spec"]["containers"]:
        lines += [f"   {container['name']}:", f"    Image:\t{container['image']}"]
    own = [
        found
        for found in workloads.replicasets(state)
        if found["metadata"]["namespace"] == metadata["namespace"]
        and any(owner["name"] == metadata["name"] for owner in found["metadata"].get("ownerReferences", []))
    ]
    old = [found for found in own if not found["spec"]["replicas"] and found["status"]["replicas"]]
    new = [found for found in own if found not in old]
    lines += [f"OldReplicaSets:\t{_sets(old)}", f"NewReplicaSet:\t{_sets(new)}"]
    return lines


def _sets(found: Sequence[Object]) -> str:
    words = (
        f"{item['metadata']['name']} ({item['status']['replicas']}/{item['spec']['replicas']} replicas created)"
        for item in found
    )
    return ", ".join(words) or NONE


# --- words ----------------------------------------------------------------------------------------


def _created(metadata: Object) -> Lines:
    return [f"CreationTimestamp:\t{_time(metadata['creationTimestamp'])}"] if "creationTimestamp" in metadata else []


def _labels(head: str, labels: Mapping[str, str] | None) -> Lines:
    first, *others = [f"{key}={value}" for key, value in sorted((labels or {}).items())] or [NONE]
    return [f"{head}:\t{first}", *(f"\t{line}" for line in others)]


def _annotations(annotations: Mapping[str, str] | None) -> Lines:
    """A value of several lines, or one that would not fit beside its key, stands below it."""
    lines = []
    for key, value in sorted((annotations or {}).items()):
        below = value.strip("\n").split("\n")
        if len(below) == 1 and len(value) + len(key) + 2 < 140:
            lines.append(f"{key}: {below[0]}")
        else:
            lines += [f"{key}:", *(f"  {line[:137] + '...' if len(line) > 140 else line}" for line in below)]
    first, *others = lines or [NONE]
    return [f"Annotations:\t{first}", *(f"\t{line}" for line in others)]


def _time(timestamp: str) -> str:
    """RFC 1123 with a numeric zone, which kubectl tells times in; here it is always UTC."""
    return moment(timestamp).strftime("%a, %d %b %Y %H:%M:%S +0000")
