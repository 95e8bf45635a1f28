#!/usr/bin/python3 -IS
"""The kubelet of a host: what a pod needs beyond a supervisor. Order of init containers, probes, lifecycle hooks.

s6 starts containers, watches them and starts them again. This program tells it when a container's turn has come
(``s6-svc -u``), asks containers how they are, ends those that are ill, and leaves what it knows in files:
``health`` beside a container's service, ``events`` beside a pod's row. It keeps nothing that is not in files, so
it may be killed at any time and goes on from what is there. Semantics are those of release 1.30: pkg/kubelet/prober
(worker.go, prober.go), pkg/kubelet/lifecycle, pkg/kubelet/kuberuntime (computePodActions, killContainer);
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ tells them.

A program in one file, as a service of s6 has it: ``/usr/bin/python3 -IS kubelet``. podlab's modules import it, too:
containers that a change takes away end by the same rules (``terminate_all``).

One thread, and no asyncio, socket or subprocess: each of them is larger than all of this. Whatever takes time is a
generator that yields what it waits for, so who is slow makes only itself wait.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import _socket as socket
import contextlib
import errno
import json
import marshal
import os
import select
import sys
import time

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from typing import Any

    Wait = tuple[dict[int, int], float]  # file descriptors with the events that are waited for, and until when
    Steps = Generator[Wait, int | None, Any]  # is told which descriptor it was, or None when the time was over
    Row = Mapping[str, Any]
    Answer = tuple[bool, str]  # whether a probe or a hook succeeded, and what was said

RUN = os.environ.get("PODLAB_RUN", "/run/podlab")
PODS = f"{RUN}/pods"
SERVICES = f"{RUN}/services"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PROBES = ("startup", "readiness", "liveness")
MOST_OUTPUT = 10 * 1024  # bytes of a probe's answer that are kept, as in the kubelet
MOST_EVENTS = 100
STARTING = ("bwrap", "envfile", "fdclose")  # names of what becomes the container's process 1
DEAD = ("", "Z", "X")  # states of a process, as proc(5) has them
BAD_STATUS = "HTTP probe failed with statuscode: "
DEFAULT_GRACE = 30.0  # seconds, as terminationGracePeriodSeconds has it
SHORTEST_GRACE = 2.0  # seconds that a container gets after its preStop hook took all
LOOK = 1.0  # seconds between two looks at the directory of pods
SOON, LATER = 0.05, 0.5  # seconds between two looks at something that is about to start
NEVER = float("inf")


# --- the loop --------------------------------------------------------------------------------------


class Task:
    """A generator on its way, and what it waits for."""

    __slots__ = ("fds", "steps", "until")

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.fds: tuple[int, ...] = ()
        self.until = NEVER


class Loop:
    """Gives every task its turn."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.tasks: dict[int, Task] = {}  # by id
        self.waiting: dict[int, Task] = {}  # by file descriptor

    def spawn(self, steps: Steps) -> Task:
        task = Task(steps)
        self.tasks[id(task)] = task
        task.until = 0.0  # it begins in the next round, so whoever spawns it need not expect anything
        return task

    def cancel(self, task: Task | None) -> None:
        """End a task where it stands; what it holds is let go in its ``finally``."""
        if task and self.tasks.pop(id(task), None):
            self._forget(task)
            task.steps.close()

    def _forget(self, task: Task) -> None:
        for fd in task.fds:
            del self.waiting[fd]
            self.epoll.unregister(fd)
        task.fds = ()

    def _advance(self, task: Task, fd: int | None) -> None:
        self._forget(task)
        try:
            fds, task.until = task.steps.send(fd)
        except StopIteration:
            del self.tasks[id(task)]
            return
        except Exception as error:  # one pod's bad luck is not the others'
            del self.tasks[id(task)]
            complain(f"{type(error).__name__}: {error}")
            return
        for number, events in fds.items():
            self.epoll.register(number, events)
            self.waiting[number] = task
        task.fds = tuple(fds)

    def run(self) -> None:
        """Until no task is left."""
        while self.tasks:
            until = min(task.until for task in self.tasks.values())
            timeout = None if until == NEVER else max(0.0, until - time.monotonic())
            for fd, _ in self.epoll.poll(timeout, 64):
                if fd in self.waiting:  # else its task was cancelled in this very round
                    self._advance(self.waiting[fd], fd)
            now = time.monotonic()
            for task in [task for task in self.tasks.values() if task.until <= now]:
                if id(task) in self.tasks:
                    self._advance(task, None)
            bury()


def pause(seconds: float) -> Steps:
    yield {}, time.monotonic() + seconds


# --- commands --------------------------------------------------------------------------------------

children: set[int] = set()  # leaders of the process groups that this program has started
dying: set[int] = set()  # killed, and yet to be reaped


def bury() -> None:
    for pid in list(dying):
        if os.waitpid(pid, os.WNOHANG)[0]:
            dying.discard(pid)


def execute(argv: list[str], until: float) -> Generator[Wait, int | None, tuple[int | None, str]]:
    """Run a command: its exit code (None if it was not over in time) and the beginning of what it printed.

    :raises OSError: it cannot be started.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    pid, handle, code, output = 0, -1, None, b""
    try:
        nothing = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        both = [(os.POSIX_SPAWN_DUP2, writing, fd) for fd in (1, 2)]
        os.set_blocking(writing, True)
        try:
            # A group of its own, so that it can be ended with all that it has started.
            pid = os.posix_spawn(
                argv[0], argv, {"PATH": PATH, "LC_ALL": "C.UTF-8"}, file_actions=[nothing, *both], setsid=True,
                setsigdef=[signal.SIGPIPE],
            )  # fmt: skip
        finally:
            os.close(writing)
        children.add(pid)
        handle = os.pidfd_open(pid)
        waited = {handle: select.EPOLLIN, reading: select.EPOLLIN}
        while (ready := (yield waited, until)) != handle and ready is not None:
            # Everything is read and most of it thrown away: a full pipe would make the command wait.
            more = _read(reading)
            output = (output + more)[:MOST_OUTPUT]
            if not more:
                waited.pop(reading)  # it has closed its output, and goes on
        output = (output + _read(reading))[:MOST_OUTPUT]
        if ready is None:
            # First those inside of the container: nsenter then takes its child's leave, as somebody must.
            for child in _text(f"/proc/{pid}/task/{pid}/children").split():
                with contextlib.suppress(OSError):
                    os.kill(int(child), signal.SIGKILL)
            yield {handle: select.EPOLLIN}, time.monotonic() + 1.0
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            children.discard(pid)
            pid = 0
    finally:
        os.close(reading)
        if handle >= 0:
            os.close(handle)
        if pid:
            end_group(pid)
    return code, output.decode(errors="replace")


def end_group(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    children.discard(pid)
    dying.add(pid)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


# --- what a container is asked ---------------------------------------------------------------------


def ask(service: str, pid: int, handler: Row, until: float, agent: str) -> Generator[Wait, int | None, Answer]:
    """Carry out the handler of a probe or a hook against the container whose process 1 is ``pid``."""
    try:
        if "exec" in handler:
            return (yield from _ask_command(service, pid, handler["exec"], until))
        if "http" in handler:
            return (yield from _ask_http(handler["http"], until, agent))
        if "tcp" in handler:
            sock = yield from _dial(handler["tcp"]["host"], handler["tcp"]["port"], until)
            sock.close()
            return True, ""
        yield {}, min(until, time.monotonic() + handler["sleep"])
        return True, ""
    except OSError as error:
        return False, str(error)


def do_hook(service: str, pid: int, hook: Row, until: float) -> Generator[Wait, int | None, Answer]:
    """Carry out a lifecycle hook. As with the kubelet an answer over HTTP will do, whatever it says."""
    fine, message = yield from ask(service, pid, hook, until, "kube-lifecycle/1.30")
    return (True, "") if message.startswith(BAD_STATUS) else (fine, message)


def _ask_command(service: str, pid: int, command: Sequence[str], until: float) -> Generator[Wait, int | None, Answer]:
    code, output = yield from execute([f"{service}/enter", str(pid), *command], until)
    if code is None:
        return False, f'command "{" ".join(command)}" timed out'
    return code == 0, output.rstrip("\n")


def _dial(host: str, port: int, until: float) -> Generator[Wait, int | None, socket.socket]:
    """A connection. :raises OSError: in the words of Go's net package."""
    address = host
    if not _is_numeric(host):
        # A child asks: the resolver of this process would make all others wait.
        code, output = yield from execute(["/usr/bin/getent", "ahostsv4", host], until)
        if not code and output:
            address = output.split()[0]
        else:
            raise OSError(f"dial tcp: lookup {host}: {'i/o timeout' if code is None else 'no such host'}")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        failure = sock.connect_ex((address, port))
        if failure == errno.EINPROGRESS:
            if (yield {sock.fileno(): select.EPOLLOUT}, until) is None:
                raise OSError(f"dial tcp {address}:{port}: i/o timeout")
            failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(f"dial tcp {address}:{port}: connect: {os.strerror(failure).lower()}")
    except BaseException:
        sock.close()
        raise
    return sock


def _is_numeric(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return False
    return True


def _ask_http(request: Row, until: float, agent: str) -> Generator[Wait, int | None, Answer]:
    """A redirect counts as success wherever it leads: the kubelet follows it on the same host alone."""
    host, port, scheme = request["host"], request["port"], request.get("scheme", "HTTP").lower()
    path = _escaped("/" + request.get("path", "/").lstrip("/"))
    url = f"{scheme}://{host}:{port}{path}"
    # Names as written, and each that the user gives in place of ours; an empty Accept is none.
    headers = {"host": ("Host", f"{host}:{port}"), "user-agent": ("User-Agent", agent), "accept": ("Accept", "*/*")}
    more = [(name, value) for name, value in request.get("headers", ()) if name.lower() not in headers]
    headers |= {name.lower(): (name, value) for name, value in request.get("headers", ()) if name.lower() in headers}
    lines = [f"{name}: {value}" for name, value in (*headers.values(), *more) if value or name.lower() != "accept"]
    text = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""])
    late = "(Client.Timeout exceeded while awaiting headers)"
    try:
        sock = yield from _dial(host, port, until)
    except OSError as error:
        return False, f'Get "{url}": {error}' + (f" {late}" if str(error).endswith("i/o timeout") else "")
    try:
        if scheme == "https":
            sock = _in_tls(sock, headers["host"][1])
            yield from _patiently(sock.do_handshake, False, sock, select.EPOLLIN, until)  # type: ignore[attr-defined]
        rest = memoryview(text.encode(errors="surrogateescape"))
        while rest:
            rest = rest[(yield from _patiently(sock.send, rest, sock, select.EPOLLOUT, until)) :]
        received, more_bytes = b"", b"-"
        while more_bytes and b"\n" not in received and len(received) < MOST_OUTPUT:
            more_bytes = yield from _patiently(sock.recv, 16384, sock, select.EPOLLIN, until)
            received += more_bytes
        while more_bytes and len(received) < MOST_OUTPUT:
            # The rest of the answer is read, or the server would be told that its client broke off.
            try:
                more_bytes = yield from _patiently(sock.recv, 16384, sock, select.EPOLLIN, until)
            except OSError:
                break
            received += more_bytes
    except TimeoutError:
        return False, f'Get "{url}": context deadline exceeded {late}'
    except OSError as error:
        return False, f'Get "{url}": {_tls_words(error)}'
    finally:
        sock.close()
    first = received.partition(b"\n")[0].decode(errors="replace").strip()
    words = first.split(" ")
    if not received:
        return False, f'Get "{url}": EOF'
    if not first.startswith("HTTP/") or len(words) < 2 or not (words[1].isdigit() and len(words[1]) == 3):
        return False, f'Get "{url}": net/http: HTTP/1.x transport connection broken: malformed HTTP response "{first}"'
    code = int(words[1])
    return (True, "") if 200 <= code < 400 else (False, f"{BAD_STATUS}{code}")


def _in_tls(sock: socket.socket, name: str) -> socket.socket:
    """A client's end of TLS, which believes any certificate, as the kubelet's does."""
    import socket as large  # these two make the program half as large again, which only those pay who ask
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    server = name.rpartition(":")[0] or name
    plain = large.socket(fileno=sock.detach())
    return context.wrap_socket(
        plain, do_handshake_on_connect=False, server_hostname=None if _is_numeric(server) else server
    )


def _patiently(
    act: Callable[[Any], Any], argument: Any, sock: socket.socket, events: int, until: float
) -> Generator[Wait, int | None, Any]:
    """Do something with a socket as soon as it can be done. :raises TimeoutError: it cannot until then."""
    while True:
        try:
            return act(argument)
        except OSError as error:
            wanted = {
                "BlockingIOError": events,
                "SSLWantReadError": select.EPOLLIN,
                "SSLWantWriteError": select.EPOLLOUT,
            }
            if type(error).__name__ not in wanted:
                raise
            mask = wanted[type(error).__name__]
        if (yield {sock.fileno(): mask}, until) is None:
            raise TimeoutError


def _tls_words(error: OSError) -> str:
    if getattr(error, "reason", "") in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "http: server gave HTTP response to HTTPS client"
    return (error.strerror or str(error)).lower() if error.errno else str(error)


def _escaped(path: str) -> str:
    """What may not stand in a request line as percent signs (RFC 3986, 2.1)."""
    data = path.encode(errors="surrogateescape")
    return "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in data)


# --- services of s6 --------------------------------------------------------------------------------


def service_of(netns: str, name: str) -> str:
    return f"{SERVICES}/{netns}.{name}"


def running(service: str) -> int | None:
    """Pid of a container's process 1, once it has a root of its own and runs what it shall.

    bubblewrap reports the pid before it has built that root. Whoever entered then would stand in the host's.
    """
    facts: dict[str, Any] = {}
    for line in _text(f"{service}/status").splitlines():
        try:
            facts.update(json.loads(line))
        except ValueError:
            return None  # a line that is still being written
    pid = facts.get("child-pid")
    if not pid or "exit-code" in facts:
        return None
    name, state = _process(pid)
    return int(pid) if state not in DEAD and name not in STARTING else None


def last_end(service: str) -> dict[str, int] | None:
    """How a container's latest start ended, if it has."""
    try:
        return dict(
            zip(("exit", "signal", "started", "ended"), map(int, _text(f"{service}/last").split()), strict=True)
        )
    except ValueError:
        return None


def stays_down(policy: str, last: Mapping[str, int]) -> bool:
    return policy == "Never" or (policy == "OnFailure" and last["exit"] == 0)


def tell_supervisor(service: str, letter: bytes) -> bool:
    """What ``s6-svc -LETTER`` does, without a process for it. False where no supervisor listens."""
    try:
        fifo = os.open(f"{service}/supervise/control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fifo, letter)
    finally:
        os.close(fifo)
    return True


def is_wanted(service: str) -> bool:
    """Whether the supervisor means to keep the service up: a flag in the last byte of its status file."""
    try:
        with open(f"{service}/supervise/status", "rb") as file:
            return bool(file.read()[-1] & 4)
    except (OSError, IndexError):
        return False


def is_going(service: str) -> bool:
    """Whether somebody takes the container away: nothing of it is started, probed or ended by others then."""
    return os.path.exists(f"{service}/ending")


# --- the end of a container ------------------------------------------------------------------------


def terminate(row: Row, name: str, grace: float | None = None) -> None:
    """Take one container away by the rules of ``terminate_all``. ``grace``: seconds, in place of the pod's."""
    terminate_all([(row, name)], grace)


def terminate_all(containers: Iterable[tuple[Row, str]], grace: float | None = None) -> None:
    """End containers for good, all side by side: preStop hook, TERM, a wait, KILL. Returns when all are gone.

    Their supervisors are told not to start them again, and the kubelet leaves them alone (file ``ending``); taking
    the services away is the caller's business. What does not run is none of it.

    :param containers: (the pod's row, the container's name).
    :param grace: seconds for hook and wait together; without it the pod's terminationGracePeriodSeconds. Where
        nobody has asked for a time it is 30 s, but process 1 is not waited for if the kernel would never let it
        hear TERM: that of a PID namespace hears what it has a handler for, and nothing else.
    """
    loop = Loop()
    for row, name in containers:
        service = service_of(row["netns"], name)
        _write(f"{service}/ending", "")
        tell_supervisor(service, b"O")
        loop.spawn(ending(row, name, grace, f"Stopping container {name}"))
    loop.run()


def ending(row: Row, name: str, grace: float | None, why: str) -> Steps:
    """End what runs of a container now; whether it is started again is the supervisor's business."""
    service = service_of(row["netns"], name)
    pid = running(service)
    if pid is None:
        return
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        tell(row["netns"], name, "Normal", "Killing", why)
        asked = grace if grace is not None else row.get("grace")
        deadline = time.monotonic() + (DEFAULT_GRACE if asked is None else asked)
        hook = row["containers"][name].get("pre_stop")
        if hook and asked != 0:
            fine, _ = yield from do_hook(service, pid, hook, deadline)
            if not fine:
                tell(row["netns"], name, "Warning", "FailedPreStopHook", "PreStopHook failed")
            deadline = max(deadline, time.monotonic() + SHORTEST_GRACE)
        hears = asked is not None or (yield from _hears_term(pid))
        _send(handle, signal.SIGTERM)
        if hears:
            yield {handle: select.EPOLLIN}, deadline
        _send(handle, signal.SIGKILL)
        yield {handle: select.EPOLLIN}, time.monotonic() + 10.0
    finally:
        os.close(handle)


def _send(handle: int, number: int) -> None:
    with contextlib.suppress(OSError):  # it has gone by itself
        signal.pidfd_send_signal(handle, number)


def _hears_term(pid: int) -> Steps:
    """Whether SIGTERM means anything to a process. A signal that is blocked may be read from a descriptor, as small
    inits do; but a shell blocks all of them for the moment in which it starts something."""
    attitude = attitude_to_term(pid)
    for _ in range(5):
        if attitude == "blocked":
            yield from pause(0.01)
            attitude = attitude_to_term(pid)
    return attitude != "deaf"


def attitude_to_term(pid: int) -> str:
    """``caught``, ``blocked`` or ``deaf``: proc(5), SigCgt and SigBlk. Who is not process 1 of its namespace dies of
    the signal or has chosen not to, and counts as one who has caught it."""
    facts = dict(line.split(":\t", 1) for line in _text(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    bit = 1 << (int(signal.SIGTERM) - 1)
    if int(facts.get("SigCgt", "0"), 16) & bit or facts.get("NSpid", "1").split()[-1] != "1":
        return "caught"
    return "blocked" if int(facts.get("SigBlk", "0"), 16) & bit else "deaf"


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    return _process(pid)[1] not in DEAD


def _process(pid: int) -> tuple[str, str]:
    """Name and state of a process, empty if there is none; proc(5) puts the name, whatever it holds, in brackets."""
    head, _, tail = _text(f"/proc/{pid}/stat").rpartition(") ")
    return head.partition("(")[2], tail[:1]


# --- files -----------------------------------------------------------------------------------------


def tell(netns: str, container: str, kind: str, reason: str, message: str) -> None:
    """Add an event of a pod. One that is there already is counted: ``count``, ``first`` (its first time), ``time``."""
    path, now = f"{PODS}/{netns}/events", time.time()
    event = {"time": now, "type": kind, "reason": reason, "message": message, "container": container}
    kept = []
    for line in _text(path).splitlines():
        try:
            old = json.loads(line)
            same = all(old[key] == event[key] for key in ("type", "reason", "message", "container"))
        except (ValueError, KeyError, TypeError):
            continue  # whoever damaged it, the pod has other worries
        if same:
            event |= {"count": old.get("count", 1) + 1, "first": old.get("first", old["time"])}
        else:
            kept.append(line)
    _write(path, "".join(f"{line}\n" for line in [*kept, json.dumps(event)][-MOST_EVENTS:]))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    """Put a file in place at once. The directory may have gone: then nobody is left who would read it."""
    try:
        with open(f"{path}.new", "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.rename(f"{path}.new", path)
    except OSError:
        pass


def complain(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="replace"))


# --- one container ---------------------------------------------------------------------------------


class Container:
    """A container of a pod that is looked after: its life, again and again."""

    def __init__(self, loop: Loop, pod: Row, name: str) -> None:
        self.loop = loop
        self.pod = pod
        self.name = name
        self.row: Row = pod["containers"][name]
        self.policy: str = self.row.get("restart_policy") or pod["restart_policy"]
        self.service = service_of(pod["netns"], name)
        self.health: dict[str, Any] = {}
        self.condemned = False  # a probe has ended this life
        self.tasks: list[Task] = []  # of this life
        self.task = loop.spawn(self.live())

    def cancel(self) -> None:
        self.loop.cancel(self.task)

    @property
    def is_started(self) -> bool:
        """Whether the start that runs now is over its hook and its startup probe."""
        return bool(self.health.get("started")) and self.health["pid"] == running(self.service)

    @property
    def has_its_hook_behind(self) -> bool:
        if "post_start" not in self.row:
            return True
        return bool((self.health.get("post_start") or {}).get("ok")) and self.health["pid"] == running(self.service)

    def live(self) -> Steps:
        dead = None
        while True:
            waited = 0.0
            while (pid := running(self.service)) is None or pid == dead:
                nap = min(LATER, max(SOON, waited / 20))
                yield from pause(nap)
                waited += nap
            dead = pid
            try:
                yield from self.one_life(pid)
            finally:
                for task in self.tasks:
                    self.loop.cancel(task)
                self.tasks = []
            if self.condemned and self.policy == "OnFailure":
                yield from self.insist()

    def one_life(self, pid: int) -> Steps:
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return
        try:
            self.condemned = False
            self.health = self._left_behind(pid)
            if not self.health:
                self.health = {"pid": pid, "started": False, "ready": False}
                self.save()
                tell(self.pod["netns"], self.name, "Normal", "Started", f"Started container {self.name}")
            self.tasks = [self.loop.spawn(self.prepare(pid))]
            yield {handle: select.EPOLLIN}, NEVER
        finally:
            os.close(handle)

    def _left_behind(self, pid: int) -> dict[str, Any]:
        """What a kubelet before this one has found out about the same start."""
        try:
            health = json.loads(_text(f"{self.service}/health"))
        except ValueError:
            return {}
        return health if isinstance(health, dict) and health.get("pid") == pid else {}

    def save(self) -> None:
        _write(f"{self.service}/health", json.dumps(self.health))

    def prepare(self, pid: int) -> Steps:
        """First the hook, then the startup probe, then the two that go on as long as the container lives."""
        hook = self.row.get("post_start")
        if hook and not (self.health.get("post_start") or {}).get("ok"):
            fine, message = yield from do_hook(self.service, pid, hook, NEVER)
            if not is_alive(pid):
                return
            self.health["post_start"] = {"ok": fine, "message": "" if fine else message}
            self.save()
            if not fine:
                tell(self.pod["netns"], self.name, "Warning", "FailedPostStartHook", "PostStartHook failed")
                yield from ending(self.pod, self.name, None, "FailedPostStartHook")
                return
        if "startup" in self.row and not self.health["started"]:
            yield from self.probing("startup", pid)
            if not self.health["started"]:
                return
        if not self.health["started"]:
            self.health |= {"started": True, "ready": "readiness" not in self.row}
            self.save()
        self.tasks += [
            self.loop.spawn(self.probing(kind, pid)) for kind in ("readiness", "liveness") if kind in self.row
        ]

    def probing(self, kind: str, pid: int) -> Steps:
        """Ask again and again. Readiness goes on; startup ends with success; both others end with the container."""
        probe, times, before = self.row[kind], 0, None
        began = self._start() + probe["initial_delay"]
        while True:
            yield {}, began
            began = time.monotonic()
            fine, message = yield from ask(self.service, pid, probe, began + probe["timeout"], "kube-probe/1.30")
            if self.condemned or is_going(self.service) or not is_alive(pid):
                return  # what it answers on its way out means nothing
            if not fine:
                tell(self.pod["netns"], self.name, "Warning", "Unhealthy", f"{kind.title()} probe failed: {message}")
            times, before = (times + 1 if fine == before else 1), fine
            found: dict[str, Any] = {kind: {"ok": fine, "message": message[:1024] if not fine else ""}}
            if times >= probe["success" if fine else "failure"]:
                if kind == "readiness":
                    found["ready"] = fine
                elif kind == "startup" and fine:
                    found |= {"started": True, "ready": "readiness" not in self.row}
                self._learn(found)
                if kind == "startup" and fine:
                    return
                if kind != "readiness" and not fine:
                    yield from self.condemn(kind, probe)
                    return
            self._learn(found)
            began += probe["period"]

    def _start(self) -> float:
        """When this start began, on the clock of ``time.monotonic``."""
        now = time.monotonic()
        try:
            return now - max(0.0, time.time() - os.stat(f"{self.service}/started").st_mtime)
        except OSError:
            return now

    def _learn(self, found: Mapping[str, Any]) -> None:
        if any(self.health.get(key) != value for key, value in found.items()):
            self.health |= found
            self.save()

    def condemn(self, kind: str, probe: Row) -> Steps:
        self.condemned = True
        again = ", will be restarted" if self.policy != "Never" else ""
        yield from ending(self.pod, self.name, probe.get("grace"), f"Container {self.name} failed {kind} probe{again}")

    def insist(self) -> Steps:
        """A container that was ended for its health is started again, though it may have left with 0.

        Its finish script takes that for success, and counts no restart.
        """
        while is_wanted(self.service) and running(self.service) is None:
            yield from pause(LATER)
        last = last_end(self.service)
        if last and last["exit"] == 0 and running(self.service) is None and not is_going(self.service):
            _write(f"{self.service}/restarts", f"{int(_text(f'{self.service}/restarts') or 0) + 1}\n")
            tell_supervisor(self.service, b"u")


# --- one pod ---------------------------------------------------------------------------------------


class Pod:
    """A pod that is looked after. ``row`` holds of its PodRow what is of use here."""

    def __init__(self, loop: Loop, row: Row) -> None:
        self.loop = loop
        self.row = row
        self.init: Sequence[str] = row["init"]
        self.regular: list[str] = [name for name in row["containers"] if name not in self.init]
        self.sidecars = [name for name in self.init if row["containers"][name].get("restart_policy") == "Always"]
        self.containers = {
            name: Container(loop, row, name)
            for name, container in row["containers"].items()
            if self.init or needs_care(container)
        }
        self.told: dict[str, float] = {}  # container -> when its supervisor was told to start it
        self.task = loop.spawn(self.keep_order()) if self.init else None

    def cancel(self) -> None:
        self.loop.cancel(self.task)
        for container in self.containers.values():
            container.cancel()

    def keep_order(self) -> Steps:
        """Look whose turn it is, again and again: every step can be told from what is there."""
        while True:
            if self.sidecars and self.is_over():
                yield from self.end_sidecars()
            name = self.turn()
            if name:
                self.start(name)
            yield from pause(LOOK if not name and self.is_initialized() else SOON)

    def turn(self) -> str | None:
        """The container that is to be started now. None if all are, or one is waited for."""
        if not self.is_initialized():
            for name in self.init:
                if not self.has_begun(name):
                    return name
                if not (self.containers[name].is_started if name in self.sidecars else self.has_succeeded(name)):
                    return name if self.is_lost(name) else None
        for name in self.regular:
            if not self.has_begun(name):
                return name
            if running(service_of(self.row["netns"], name)) and not self.containers[name].has_its_hook_behind:
                return None
        lost: list[str] = [name for name in (*self.sidecars, *self.regular) if self.is_lost(name)]
        return lost[0] if lost else None

    def is_initialized(self) -> bool:
        """As the kubelet has it: a regular container was started once, so the init containers have done their work."""
        return any(map(self.has_begun, self.regular))

    def has_begun(self, name: str) -> bool:
        return os.path.exists(f"{service_of(self.row['netns'], name)}/started")

    def has_succeeded(self, name: str) -> bool:
        service = service_of(self.row["netns"], name)
        last = last_end(service)
        return running(service) is None and last is not None and last["exit"] == 0

    def has_ended(self, name: str) -> bool:
        """For good, by its restart policy."""
        service = service_of(self.row["netns"], name)
        last = last_end(service)
        return last is not None and running(service) is None and stays_down(self.policy(name), last)

    def is_lost(self, name: str) -> bool:
        """Whether a container should run, and its supervisor has no such intention: it was killed, and its successor
        goes by the ``down`` file."""
        service = service_of(self.row["netns"], name)
        last = last_end(service)
        if running(service) or is_wanted(service) or not os.path.exists(f"{service}/supervise/control"):
            return False
        if is_going(service) or not os.path.exists(f"{service}/down"):
            return False
        return last is None or not stays_down(self.policy(name), last)

    def policy(self, name: str) -> str:
        policy: str = self.row["containers"][name].get("restart_policy") or self.row["restart_policy"]
        return policy

    def start(self, name: str) -> None:
        service, now = service_of(self.row["netns"], name), time.monotonic()
        if now - self.told.get(name, 0.0) >= LOOK and not is_going(service) and tell_supervisor(service, b"u"):
            self.told[name] = now

    def is_over(self) -> bool:
        """Whether sidecars have nobody left to go beside: all others have ended, or will never begin."""
        others = [name for name in self.init if name not in self.sidecars]
        failed = any(self.has_ended(name) and not self.has_succeeded(name) for name in others)
        return failed or all(map(self.has_ended, self.regular))

    def end_sidecars(self) -> Steps:
        """One after the other, the last one first, so that each may rely on those before it to its end."""
        for name in reversed(self.sidecars):
            service = service_of(self.row["netns"], name)
            if not is_going(service) and self.has_begun(name):
                _write(f"{service}/ending", "")
                tell_supervisor(service, b"O")
                yield from ending(self.row, name, None, f"Stopping container {name}")


def needs_care(container: Row) -> bool:
    return any(key in container for key in (*PROBES, "post_start"))


def of_use(row: Any) -> dict[str, Any] | None:
    """What is of use here of a PodRow, or None if its containers need nothing but their supervisor."""
    care = ("restart_policy", *PROBES, "post_start", "pre_stop")
    containers = {
        name: {key: container[key] for key in care if key in container} for name, container in row["containers"].items()
    }
    if not row.get("init") and not any(map(needs_care, containers.values())):
        return None
    kept = {"netns": row["netns"], "restart_policy": row["restart_policy"], "init": row.get("init", [])}
    return {**kept, "containers": containers, **({"grace": row["grace"]} if "grace" in row else {})}


# --- the host --------------------------------------------------------------------------------------


class Kubelet:
    """All pods of this host that need care, by the name of their network namespace."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.pods: dict[str, Pod] = {}
        self.seen: dict[str, tuple[int, int]] = {}  # the version of each row that was read

    def watch(self, bell: int) -> Steps:
        """Look at the directory of pods every second, and at once when a byte comes through ``bell``."""
        while True:
            self.look()
            if (yield {bell: select.EPOLLIN}, time.monotonic() + LOOK) is not None:
                _read(bell)

    def look(self) -> None:
        present: dict[str, tuple[int, int]] = {}
        try:
            names = os.listdir(PODS)
        except OSError:
            names = []
        for netns in names:
            try:
                facts = os.stat(f"{PODS}/{netns}/pod.json")
            except OSError:
                continue
            present[netns] = facts.st_ino, facts.st_mtime_ns
            if self.seen.get(netns) != present[netns]:
                self.read(netns)
        for netns in [netns for netns in self.pods if netns not in present]:
            self.pods.pop(netns).cancel()
        self.seen = present

    def read(self, netns: str) -> None:
        """Take care of a pod as its row has it now. What cannot be read leaves everything as it is."""
        try:
            row = of_use(json.loads(_text(f"{PODS}/{netns}/pod.json")))
            if row and row["netns"] != netns:
                raise ValueError("the row of another pod")
        except Exception as error:  # whatever stands there, other pods go on
            complain(f"{PODS}/{netns}/pod.json: {type(error).__name__}: {error}")
            return
        before = self.pods.get(netns)
        if before and before.row != row:
            self.pods.pop(netns).cancel()
        if row and netns not in self.pods:
            self.pods[netns] = Pod(self.loop, row)


def main() -> None:
    """Run until SIGTERM. SIGHUP says that something has changed, which would be seen a second later anyway."""
    allow_many_files()
    ringing, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end())
    loop = Loop()
    loop.spawn(Kubelet(loop).watch(ringing))
    loop.run()


def allow_many_files() -> None:
    """Every container that runs costs a descriptor, and what a login may open is not much."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end() -> None:
    for pid in list(children):
        end_group(pid)
    os._exit(0)


def start_compiled() -> None:
    """Begin again with the compiled program in the same process, as agnhost does: Python keeps the syntax tree of a
    script for as long as it runs."""
    program = os.memfd_create("kubelet", 0)
    path = f"/proc/self/fd/{program}"
    # The head of a .pyc file: a magic number, and 12 bytes about a source that nobody shall look for.
    magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
    os.write(program, magic + bytes(12) + marshal.dumps(sys._getframe(1).f_code))
    if os.access(path, os.R_OK):  # else there is no /proc, and it must do as it is
        os.execv(sys.executable, [sys.executable, "-IS", path])


def go_on_compiled() -> None:
    os.close(int(os.path.basename(sys.argv[0])))
    try:
        with open("/proc/self/comm", "w") as name:  # for ps, which would say python3
            name.write("kubelet")
    except OSError:
        pass


if __name__ == "__main__":
    if sys.argv[0].startswith("/proc/self/fd/"):
        go_on_compiled()
    else:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which outlasts what comes: it would be deadly until main
        start_compiled()
    main()
