"""``./lab up`` and ``./lab down``: the playbooks, with a little around them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence

from podlab.controller.rollout_report import IN_PLACE
from podlab.embedded import Lab
from podlab.planner.services.model import OPT_OUT

from .. import inventory
from ..failure import Failure
from ..hosts import Embedded, Host
from ..look import get, objects
from ..output import complain, say
from ..passwords import KNOWN

LOOKING_ONLY = ("check", "syntax", "listhosts", "listtasks", "listtags")


def up(options: Sequence[str], manifests: str | None, playbook: str = "site.yml") -> int:
    """Run site.yml and show what stands, also where some pods are not ready or calls went astray.

    :param options: for ansible-playbook, as they were written.
    :return: ansible-playbook's exit code.
    """
    words = ["-e", json.dumps({"podlab_manifests": manifests})] if manifests is not None else []
    told, telling = os.pipe()
    os.environ[IN_PLACE] = str(telling)
    code = play(playbook, [*words, *options])
    del os.environ[IN_PLACE]
    os.close(telling)
    os.set_blocking(told, False)
    try:
        is_in_place = code == 0 or os.read(told, 1) != b""
    except BlockingIOError:
        is_in_place = False
    os.close(told)
    from ansible import context

    if is_in_place and not any(context.CLIARGS.get(option) for option in LOOKING_ONLY):
        summary(context.CLIARGS["inventory"])
    return code


def reset(name: str, sources: Sequence[str], options: Sequence[str], manifests: str | None) -> int:
    """Take podlab off a host and put it on again. The playbook says so where there is no such host: once the inventory
    has been read in this process, Ansible knows no options of a run."""
    words = [word for source in sources for word in ("-i", source)]
    words += ["-e", json.dumps({"reset_host": name}), *KNOWN.options()]
    return up([*words, *options], manifests, "playbooks/reset.yml")


def play(name: str, options: Sequence[str]) -> int:
    """What the program ansible-playbook does, but in this process: what it has imported serves the table as well."""
    import ansible.constants  # noqa: F401 - where HOME cannot be written, this says so and the next line bursts
    from ansible.cli.playbook import CLI, PlaybookCLI

    class Playbook(PlaybookCLI):  # type: ignore[misc]
        @staticmethod
        def ask_passwords() -> tuple[str | None, str | None]:
            ssh, become = (None, KNOWN.become) if KNOWN.become else CLI.ask_passwords()
            KNOWN.become = become
            return ssh, become

    CLI.setup_vault_secrets = staticmethod(KNOWN.once(CLI.setup_vault_secrets))
    try:
        Playbook.cli_executor(["ansible-playbook", os.path.join(inventory.ROOT, name), *options])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def summary(sources: Sequence[str]) -> None:
    """Nodes, pods and Services, and what to do with them."""
    hosts = inventory.read(sources)
    state = get.state_of(hosts)
    found = {plural: get.LISTS[plural](state) for plural in ("nodes", "pods", "services")}
    for plural, items in found.items():
        if items:
            say()
            get.show({plural: items}, get.Form("wide", all_namespaces=True))
    say("\nTry next:")
    lines = suggestions(found["pods"], found["services"], [host.name for host in hosts])
    say("".join(f"  ./lab {line}\n" for line in lines), end="")
    sys.stdout.flush()


def suggestions(pods: Sequence[objects.Object], services: Sequence[objects.Object], hosts: Sequence[str]) -> list[str]:
    """Three commands that work with what stands: where a Service leads to a pod, they are about that."""
    ready = [pod for pod in pods if objects.is_ready(pod)]
    if not ready:
        return ["get pods -A", f"node {hosts[0]} -- ip route", "--help"]
    # From the pod that is easiest to name to one on another node, if there is one.
    caller = min(
        ready, key=lambda pod: ("ownerReferences" in pod["metadata"], -len(_word(pod)) if _is_toolbox(pod) else 0)
    )
    others = [pod for pod in ready if pod is not caller] or [caller]
    other = max(
        others, key=lambda pod: (_serves(pod) is not None, pod["spec"]["nodeName"] != caller["spec"]["nodeName"])
    )
    node, address, serving = caller["spec"]["nodeName"], other["status"]["podIP"], _serves(other)
    route = f"node {node} -- ip route get {address}"
    if serving is None:
        return [f"exec {_word(caller)} -- ping -c 3 {address}", route, f"logs -f {_word(other)}"]
    if way := _way(services, other, serving):
        service, port = way
        call = f"exec {_word(caller)} -- {_curl(service['spec']['clusterIP'], port)}"
        return [call, f"rules {node} {_word(service)}", route]
    call = f"exec {_word(caller)} -- {_curl(address, int(serving['containerPort']))}"
    return [call, route, f"logs -f {_word(other)}"]


def _curl(address: str, port: int) -> str:
    return f"curl -s http://{address}{'' if port == 80 else f':{port}'}/clientip"


def _way(
    services: Sequence[objects.Object], pod: objects.Object, serving: objects.Object
) -> tuple[objects.Object, int] | None:
    """The first Service that leads to a port of a pod from a cluster IP, and its port there."""
    labels = pod["metadata"].get("labels", {})
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        selector = spec.get("selector") or {}
        if (
            spec.get("clusterIP", "None") == "None"
            or any(label in metadata.get("labels", {}) for label in OPT_OUT)
            or metadata["namespace"] != pod["metadata"]["namespace"]
            or not selector
            or not selector.items() <= labels.items()
        ):
            continue
        for port in spec["ports"]:
            target = port.get("targetPort", port["port"])
            if port["protocol"] == "TCP" and target in (serving.get("name"), serving["containerPort"]):
                return service, int(port["port"])
    return None


def _word(item: objects.Object) -> str:
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    return name if namespace == "default" else f"-n {namespace} {name}"


def _is_toolbox(pod: objects.Object) -> bool:
    return any("netshoot" in container.get("image", "") for container in pod["spec"]["containers"])


def _serves(pod: objects.Object) -> objects.Object | None:
    """The port of agnhost's web server, as its container has it, if it says so itself."""
    for container in pod["spec"]["containers"]:
        if "agnhost" in container.get("image", "") and "netexec" in container.get("args", []):
            for port in container.get("ports", []):
                if port.get("protocol", "TCP") == "TCP":
                    return dict(port)
    return None


def down(sources: Sequence[str]) -> int:
    """Take everything away.

    An inventory of embedded hosts alone needs no playbook: all that they hold goes with the lab.
    One that cannot be read, or no .venv to read it with, must not keep the lab alight.
    """
    lab = inventory.lab_name()
    try:
        hosts: Sequence[Host] = inventory.read(sources)
    except ImportError:
        return _switch_off([lab])
    except Exception as error:
        _switch_off([lab])
        words = f"the inventory cannot be read, so only the embedded lab was switched off: {error}"
        if sources:
            raise Failure(words) from error
        complain(f"warning: {words}")
        return 0
    if all(isinstance(host, Embedded) for host in hosts):
        return _switch_off(dict.fromkeys(host.lab for host in hosts if isinstance(host, Embedded)))
    return play("playbooks/teardown.yml", [*(word for source in sources for word in ("-i", source)), *KNOWN.options()])


def _switch_off(names: Iterable[str]) -> int:
    for name in names:
        words = "the lab is off" if Lab(inventory.ROOT, name).power_off() else "the lab was off already"
        say(words if name == "default" else f"{words} ({name})")
    return 0
