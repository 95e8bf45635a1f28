"""``./lab port-forward``: ports of this machine's loopback that lead into a pod.

Every connection gets a process of its own on the pod's node (``relay.py``), between two pipes. So nothing has
to be open in the lab without a connection, and the lab stays isolated: what crosses its border are bytes in a pipe,
never a packet. Closed pipes end that process, however this one ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from podlab.planner.services.model import HEADLESS

from .. import arguments
from ..errors import CommandError
from ..hosts import Call, HostUnreachable
from ..look import objects
from ..output import print_error, print_text
from .target import Target, find

LOOPBACK = "127.0.0.1"
RELAY = Path(__file__).with_name("relay.py")
BLOCK = 65536  # no relay sends more at once
MOST_WORDS = 4096
TIMEOUT = 5.0


@dataclass(frozen=True)
class Mapping:
    """``local`` 0 is whichever port is free."""

    local: int
    remote: int


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "port-forward",
        "[-n NS] POD [LOCAL:]REMOTE...",
        "Open ports of this machine's loopback, 127.0.0.1, that lead into a pod, until Ctrl-C.\n"
        "80 is the same port on both sides, :80 any free port here. Of svc/NAME, REMOTE is a port of the Service.",
        inventory=arguments.INVENTORY,
    )
    arguments.pod(parser)
    parser.add_argument("ports", metavar="[LOCAL:]REMOTE", nargs="+", help="numbers; REMOTE may be a port's name")
    arguments.namespace(parser)
    known = parser.parse_intermixed_args([*words, *command])
    port_forward(known.pod, known.ports, namespace=known.namespace, sources=known.sources)


def port_forward(word: str, ports: Sequence[str], *, namespace: str, sources: Sequence[str]) -> NoReturn:
    """Carry connections until Ctrl-C.

    :param ports: ``8080:80``, ``80``, ``:80``; the port of the pod, or of the Service, may be a name.
    :raises CommandError: in kubectl's words.
    """
    target = find(word, namespace, sources)
    mappings = [parse(port, target.pod, target.service) for port in ports]
    if (phase := target.pod["status"]["phase"]) != "Running":
        raise CommandError(f"error: unable to forward port because pod is not running. Current status={phase}")
    Forwarder(target.name, target.row["netns"], _relay(target)).serve(mappings)


def parse(word: str, pod: objects.Object, service: objects.Object | None = None) -> Mapping:
    """One mapping of ports. Where a Service was asked for, the far port is the Service's, and leads to the pod's.

    :raises CommandError: no such thing, in the words of client-go's portforward and of kubectl.
    """
    local, sign, remote = word.rpartition(":")
    if ":" in local or not remote:
        raise CommandError(f"error: invalid port format '{word}'")
    if service:
        near, far = _behind(remote, service, pod)
    else:
        near = far = _number(remote, "remote") if remote.isdigit() else _named(remote, pod)
    if not far:
        raise CommandError("error: remote port must be > 0")
    return Mapping(_number(local or "0", "local") if sign else near, far)


def _behind(remote: str, service: objects.Object, pod: objects.Object) -> tuple[int, int]:
    """The number of a Service's port, and that of the pod's port behind it."""
    name, ports = service["metadata"]["name"], service["spec"].get("ports", [])
    found = [port for port in ports if remote in (str(port["port"]), port.get("name"))]
    if not found and not remote.isdigit():
        raise CommandError(f"error: Service '{name}' does not have a named port '{remote}'")
    if not found:
        raise CommandError(f"error: Service {name} does not have a service port {remote}")
    port = next((port for port in found if port["protocol"] == "TCP"), found[0])
    if port["protocol"] == "UDP":
        raise CommandError(f"error: UDP protocol is not supported for {remote}")
    number, target = int(port["port"]), port["targetPort"]
    if service["spec"].get("clusterIP") == HEADLESS:  # who calls a pod by its name gets no other port
        return number, number
    return number, _named(target, pod) if isinstance(target, str) else int(target)


def _number(word: str, side: str) -> int:
    if not word.isdigit() or int(word) > 65535:
        raise CommandError(f"error: error parsing {side} port '{word}': it is no number from 0 to 65535")
    return int(word)


def _named(name: str, pod: objects.Object) -> int:
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        for port in container.get("ports", []):
            if port.get("name") == name:
                return int(port["containerPort"])
    raise CommandError(f"error: Pod '{pod['metadata']['name']}' does not have a named port '{name}'")


def _relay(target: Target) -> Callable[[int], Call]:
    """What to run here for a connection to a port of the pod."""
    inside = [] if target.row.get("host_network") else ["ip", "netns", "exec", target.row["netns"]]
    # Its text is a word of the command line: its input is the connection's.
    program = [*inside, target.host.python, "-IS", "-c", RELAY.read_text("utf-8")]
    return lambda port: target.host.call([*program, str(port)])


class Forwarder:
    """All ports that lead into one pod.

    :param relay: port -> the call that connects its input and output to that port of the pod.
    """

    def __init__(self, pod: str, netns: str, relay: Callable[[int], Call]) -> None:
        self.pod, self.netns, self.relay = pod, netns, relay

    def serve(self, mappings: Sequence[Mapping]) -> NoReturn:
        """Carry connections for ever, each in threads of its own.

        :raises CommandError: none of the ports can be listened on.
        """
        listeners = selectors.DefaultSelector()
        for mapping in mappings:
            if listener := _listen(mapping):
                listeners.register(listener, selectors.EVENT_READ, mapping.remote)
        if not listeners.get_map():
            pairs = " ".join(f"{{{mapping.local} {mapping.remote}}}" for mapping in mappings)
            raise CommandError(f"error: unable to listen on any of the requested ports: [{pairs}]")
        while True:
            for key, _ in listeners.select():
                assert isinstance(key.fileobj, socket.socket)
                client, _ = key.fileobj.accept()
                local = key.fileobj.getsockname()[1]
                print_text(f"Handling connection for {local}", flush=True)
                threading.Thread(target=self._carry, args=(client, local, key.data), daemon=True).start()

    def _carry(self, client: socket.socket, local: int, far: int) -> None:
        """One connection, from its first byte to the last one of either side."""
        pipe = subprocess.PIPE
        with client:
            try:
                # In a session of its own: Ctrl-C is meant for us.
                process = self.relay(far).start(stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True)
            except (OSError, HostUnreachable) as error:
                return self._tell(local, far, str(error))
            assert process.stdin
            assert process.stdout
            assert process.stderr
            sender = threading.Thread(target=_send, args=(client, process.stdin), daemon=True)
            sender.start()
            try:
                _receive(process.stdout.fileno(), client)
                sender.join()
            except EOFError:
                if words := _last_words(process.stderr):
                    self._tell(local, far, words)
            except OSError:
                pass  # the client has broken off
            finally:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)  # so that the sender waits for nothing more
                sender.join()
                # The relay ends as its pipes are closed. What leads to it, nsenter or ssh, follows it, if the host is
                # not one that keeps it.
                process.stdout.close()
                process.stderr.close()
                try:
                    process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(TIMEOUT)
        return None

    def _tell(self, local: int, far: int, words: str) -> None:
        print_error(
            f"an error occurred forwarding {local} -> {far}: error forwarding port {far} to pod {self.pod}: "
            f'failed to connect to localhost:{far} inside namespace "{self.netns}": {words}'
        )


def _listen(mapping: Mapping) -> socket.socket | None:
    try:
        listener = socket.create_server((LOOPBACK, mapping.local))
    except OSError as error:
        print_error(
            f"Unable to listen on port {mapping.local}: Listeners failed to create with the following errors: "
            f"[unable to create listener: Error listen tcp4 {LOOPBACK}:{mapping.local}: bind: "
            f"{os.strerror(error.errno or errno.EADDRINUSE).lower()}]"
        )
        return None
    print_text(f"Forwarding from {LOOPBACK}:{listener.getsockname()[1]} -> {mapping.remote}", flush=True)
    return listener


def _send(client: socket.socket, relay: IO[bytes]) -> None:
    """Hand on until the end, and the end as well: the other direction stays open."""
    with contextlib.suppress(OSError), relay:
        while block := client.recv(BLOCK):
            while block:
                block = block[relay.write(block) :]


def _receive(relay: int, client: socket.socket) -> None:
    """The blocks of ``relay.py``, up to the server's last word. Its host may make it say anything.

    :raises EOFError: it ended without one, or is not that program.
    :raises OSError: the client has broken off.
    """
    poller = select.poll()
    poller.register(relay, select.POLLIN)
    poller.register(client, 0)  # tells when it is gone for both directions
    while True:
        if any(descriptor == client.fileno() for descriptor, _ in poller.poll()):
            raise ConnectionResetError
        length = int.from_bytes(_exactly(relay, 4), "big")
        if not length:
            return client.shutdown(socket.SHUT_WR)
        if length > BLOCK:
            raise EOFError
        client.sendall(_exactly(relay, length))


def _last_words(stderr: IO[bytes]) -> str:
    """What a relay that has ended before its time has said. Nothing is waited for: its host may hold the pipe open."""
    os.set_blocking(stderr.fileno(), False)
    words = (stderr.read(MOST_WORDS) or b"").decode(errors="replace").strip()
    return words.splitlines()[-1] if words else ""


def _exactly(pipe: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        block = os.read(pipe, count - len(found))
        if not block:
            raise EOFError
        found += block
    return found
