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
ENTER = "/var/lib/podlab/images/enter"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PROBES = ("startup", "readiness", "liveness")
MOST_OUTPUT = 10 * 1024  # bytes of a probe's answer that are kept, as in the kubelet
MOST_EVENTS = 100
STARTING = ("bwrap", "envfile", "fdclose")  # names of what becomes the container's process 1
DEAD = ("", "Z", "X")  # states of a process, as proc(5) has them
MOST_REQUESTS = 10  # of one probe that is redirected
MOST_HEADERS = 1 << 20  # bytes
MOST_INFORMATIONAL = 5  # answers which say that the answer is yet to come
LONGEST_CHUNK_LINE = 4096  # bytes
MOST_NON_DATA = 16 * 1024  # bytes of chunks beyond what comes with their data
PROBE_AGENT, HOOK_AGENT = "kube-probe/1.30", "kube-lifecycle/1.30"
BAD_STATUS = "HTTP probe failed with statuscode: "
BROKEN = "net/http: HTTP/1.x transport connection broken: "
DEFAULT_GRACE = 30.0  # seconds, as terminationGracePeriodSeconds has it
SHORTEST_GRACE = 2.0  # seconds that a container gets after its preStop hook took all
LOOK = 1.0  # seconds between two looks at the directory of pods
SOON, LATER = 0.05, 0.5  # seconds between two looks at something that is about to start
NEVER = float("inf")
BEGAN = "began"  # of a pod with a deadline: when this program met it first
ENDS = frozenset((int(signal.SIGTERM), int(signal.SIGINT)))
TOO_LONG = "Pod was active on the node longer than the specified deadline"


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
            # All events at once, not the first few: a task whose event is left behind would be told that it is late.
            events = self.epoll.poll(timeout, len(self.waiting) or 1)
            now = time.monotonic()
            # One turn for each task, and no look at ``waiting`` in between: a descriptor that a turn closes leaves its
            # number to the next one that is opened, which would pass for ready.
            ready: dict[Task, int] = {}
            for fd, _ in events:
                ready.setdefault(self.waiting[fd], fd)
            for task, fd in ready.items():
                if id(task) in self.tasks:  # else it was cancelled in this very round
                    self._advance(task, fd)
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


def execute(start: Callable[[int], int], until: float) -> Generator[Wait, int | None, tuple[int | None, str]]:
    """Run a command: its exit code (None if it was not over in time) and the beginning of what it printed.

    :param start: starts it, with this descriptor for what it prints, in a group of its own, so that it can be ended
        with all that it has started; the pid.
    :raises OSError: it cannot be started.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    pid, handle, code, output = 0, -1, None, b""
    try:
        os.set_blocking(writing, True)
        try:
            pid = start(writing)
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
            # First those inside of the container: their parent then takes their leave, as somebody must.
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


def _program(*argv: str) -> Callable[[int], int]:
    def start(writing: int) -> int:
        nothing = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        both = [(os.POSIX_SPAWN_DUP2, writing, fd) for fd in (1, 2)]
        return os.posix_spawn(
            argv[0], argv, {"PATH": PATH, "LC_ALL": "C.UTF-8"}, file_actions=[nothing, *both], setsid=True,
            setsigdef=[signal.SIGPIPE],
        )  # fmt: skip

    return start


def _in_container(service: str, pid: int, command: Sequence[str]) -> Callable[[int], int]:
    """What the service's ``enter`` does, without the start of Python that it is: in a child of this process."""
    if not os.path.exists(f"{service}/identity"):  # a service from before there was such a file
        return _program(f"{service}/enter", str(pid), *command)

    def start(writing: int) -> int:
        enter = _enter_program()
        wanted = enter["Wanted"](service)
        if child := os.fork():
            return child
        try:
            signal.set_wakeup_fd(-1)
            os.setsid()
            for source, stream in ((os.open("/dev/null", os.O_RDONLY), 0), (writing, 1), (writing, 2)):
                os.dup2(source, stream)
            enter["enter"](wanted, pid, command)
        finally:
            os._exit(125)

    return start


def _enter_program() -> dict[str, Any]:
    """Its text, run once. It brings ctypes along, which is large: only who has such a probe needs it."""
    if not _entering:
        with open(ENTER, encoding="utf-8") as file:
            code = compile(file.read(), ENTER, "exec")
        _entering["__name__"] = "enter"
        exec(code, _entering)
    return _entering


_entering: dict[str, Any] = {}


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
    except Exception as error:  # a task that ends of it would never ask again
        words = f"{type(error).__name__}: {error}"
        complain(words)
        return False, words


def do_hook(service: str, pid: int, hook: Row, until: float) -> Generator[Wait, int | None, Answer]:
    """Carry out a lifecycle hook. As with the kubelet an answer over HTTP will do, whatever it says."""
    fine, message = yield from ask(service, pid, hook, until, HOOK_AGENT)
    return (True, "") if message.startswith(BAD_STATUS) or isinstance(message, ProbeError) else (fine, message)


def _ask_command(service: str, pid: int, command: Sequence[str], until: float) -> Generator[Wait, int | None, Answer]:
    code, output = yield from execute(_in_container(service, pid, command), until)
    if code is None:
        return False, f'command "{" ".join(command)}" timed out'
    return code == 0, output.rstrip("\n")


def _dial(host: str, port: int, until: float) -> Generator[Wait, int | None, socket.socket]:
    """A connection. :raises OSError: in the words of Go's net package."""
    addresses = [host]
    if _family(host) is None:
        # A child asks: the resolver of this process would make all others wait.
        code, output = yield from execute(_program("/usr/bin/getent", "ahosts", host), until)
        addresses = list(dict.fromkeys(line.split()[0] for line in output.splitlines() if line.strip()))
        if code or not addresses:
            raise OSError(f"dial tcp: lookup {host}: {'i/o timeout' if code is None else 'no such host'}")
    failure: OSError | None = None
    for address in addresses:
        try:
            return (yield from _connect(address, port, until))
        except OSError as error:
            failure = failure or error
    assert failure
    raise failure


def _connect(address: str, port: int, until: float) -> Generator[Wait, int | None, socket.socket]:
    if port > 65535:  # an answer's, which may write what it likes
        raise OSError(f"dial tcp: address {port}: invalid port")
    there = host_and_port(address, port)
    family = _family(address)
    sock = socket.socket(family or socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        failure = sock.connect_ex((address, port))
        if failure == errno.EINPROGRESS:
            if (yield {sock.fileno(): select.EPOLLOUT}, until) is None:
                raise OSError(f"dial tcp {there}: i/o timeout")
            failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(f"dial tcp {there}: connect: {os.strerror(failure).lower()}")
    except BaseException:
        sock.close()
        raise
    return sock


def _family(host: str) -> int | None:
    """Of an address; None of a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return int(family)
    return None


def host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# --- URLs ------------------------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
PLAIN = frozenset(f"{LETTERS}{DIGITS}-_.~$&+,/:;=@")  # what stands in a path for itself (Go: shouldEscape)
WRITTEN = PLAIN | frozenset("!'()*[]%")  # what is left alone where somebody has written it so (validEncoded)
DEFAULT_PORTS = {"http": 80, "https": 443}


class Url:
    """A URL by the rules of Go's net/url, as far as a request needs it. ``path`` is as it goes over the wire."""

    def __init__(self, path: str = "") -> None:
        self.scheme = self.user = self.host = self.opaque = self.fragment = ""
        self.reference = ""  # how an answer has written it
        self.port = 0
        self.path = path
        self.query: str | None = None

    def __str__(self) -> str:
        """As it is told: without a password."""
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        user, has_password, _ = self.user.partition(":")
        words = f"{user}:***@" if has_password else f"{user}@" if user else ""
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}://{words}{self.authority}{self.path}{self._tail}{fragment}"

    @property
    def authority(self) -> str:
        if not self.port:
            return f"[{self.host}]" if ":" in self.host else self.host
        return host_and_port(self.host, self.port)

    @property
    def target(self) -> str:
        """What stands in a request line."""
        return (self.path or "/") + self._tail

    @property
    def _tail(self) -> str:
        return "" if self.query is None else f"?{self.query}"

    def resolved(self, reference: str) -> Url:
        """Where a ``Location`` leads from here. :raises ValueError: it is no URL."""
        found = parse_url(reference)
        if not found.scheme and not found.host and not found.opaque:
            found.host, found.port, found.user = self.host, self.port, self.user
            if not found.path and found.query is None:
                found.query = self.query
                found.fragment = found.fragment or self.fragment
            if not found.path.startswith("/"):
                found.path = (self.path.rpartition("/")[0] + "/" + found.path) if found.path else self.path
        found.scheme = found.scheme or self.scheme
        found.path = _without_dots(found.path)
        found.reference = reference
        return found


def probe_url(request: Row) -> Url:
    """What a probe asks for: its path read as a URL, at its own host and port. What is no URL is a path letter by
    letter (pkg/probe/http, formatURL)."""
    path = request.get("path", "/")
    try:
        url = parse_url(path)
    except ValueError:
        url = Url(_quoted(path))
    url.scheme = request.get("scheme", "HTTP").lower()
    url.host, url.port = request["host"], request["port"]
    if url.path and not url.path.startswith("/"):
        url.path = f"/{url.path}"
    return url


def parse_url(text: str) -> Url:
    """:raises ValueError: in Go's words."""
    url = Url()
    rest, _, fragment = text.partition("#")
    if any(letter < " " or letter == "\x7f" for letter in rest):
        raise ValueError("net/url: invalid control character in URL")
    head, colon, tail = rest.partition(":")
    if colon and not head:
        raise ValueError("missing protocol scheme")
    if colon and head[0] in LETTERS and all(letter in f"{LETTERS}{DIGITS}+-." for letter in head):
        url.scheme, rest = head.lower(), tail
    rest, mark, query = rest.partition("?")
    url.query = query if mark else None
    if not rest.startswith("/"):
        if url.scheme:
            url.opaque = rest + url._tail
            return url
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (url.scheme or not rest.startswith("///")):
        authority, slash, tail = rest[2:].partition("/")
        rest = slash + tail
        url.user, _, there = authority.rpartition("@")
        url.host, url.port = _host_of(there)
    url.path = _in_path(rest)
    url.fragment = _in_path(fragment)
    return url


def _host_of(text: str) -> tuple[str, int]:
    """Host and port (0 where there is none) of an authority."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket:
            raise ValueError("missing ']' in host")
    else:
        host, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
        port = colon + port
    number = port.removeprefix(":")
    if port and not (port.startswith(":") and all(letter in DIGITS for letter in number)):
        raise ValueError(f'invalid port "{port}" after host')
    for letter in host:
        if letter < "\x80" and letter not in WRITTEN - frozenset("/@%"):
            raise ValueError(f'invalid character "{letter}" in host name')
    return host, int(number.lstrip("0")[:9] or 0)  # more digits make a port no better


def _in_path(text: str) -> str:
    """A path as it is sent: left alone if it can be, or else with percent signs. :raises ValueError: a wrong one."""
    data, at = bytearray(), 0
    while at < len(text):
        if text[at] == "%":
            digits = text[at + 1 : at + 3]
            if len(digits) < 2 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                raise ValueError(f'invalid URL escape "{text[at : at + 3]}"')
            data.append(int(digits, 16))
            at += 3
        else:
            data += text[at].encode(errors="surrogateescape")
            at += 1
    return text if WRITTEN.issuperset(text) else _quoted(data.decode(errors="surrogateescape"))


def _quoted(path: str) -> str:
    data = path.encode(errors="surrogateescape")
    return "".join(chr(byte) if chr(byte) in PLAIN else f"%{byte:02X}" for byte in data)


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4."""
    if not path:
        return ""
    segments = path.split("/")[1 if path.startswith("/") else 0 :]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, *([""] if segments[-1] in (".", "..") else [])])


# --- HTTP ------------------------------------------------------------------------------------------


class ProbeError(str):
    """Why there is no whole answer. The kubelet says ``errored`` of it and not ``failed``."""


class HttpFailure(Exception):
    """What Go's client would return as an error of a request, without the words ``Get "URL"``."""


def _ask_http(request: Row, until: float, agent: str) -> Generator[Wait, int | None, Answer]:
    """Redirects are followed on the same host, up to ten requests. One to another host is a success with a warning: the
    only success with a message. A hook's are followed everywhere."""
    url = first = probe_url(request)
    headers = _headers(request.get("headers", ()), agent)
    host = next(iter(headers.pop("Host", [])), "")
    for number in range(1, MOST_REQUESTS + 1):

        def follow(code: int, answered: Mapping[str, str], url: Url = url) -> Url | None:
            location = answered.get("location", "")
            if code not in (301, 302, 303, 307, 308) or not location:
                return None
            try:
                found = url.resolved(location)
            except ValueError as error:
                raise HttpFailure(f'failed to parse Location header "{location}": {error}') from error
            return found if found.host == first.host or agent == HOOK_AGENT else None

        try:
            code, following, body = yield from _exchange(url, host, headers, until, follow)
        except HttpFailure as error:
            return False, f'Get "{url}": {error}'
        if isinstance(body, ProbeError):
            return False, body
        if following is None:
            break
        if number == MOST_REQUESTS:
            return False, f'Get "{following.reference}": stopped after {MOST_REQUESTS} redirects'
        if parse_url(following.reference).scheme:
            host = ""  # the manifest's is not for an address that the answer has spelled out
        if not (url.scheme == "https" and following.scheme == "http"):
            headers["Referer"] = [str(url)]
        url = following
    if 300 <= code < 400:
        return True, f"Probe terminated redirects, Response body: {body}"
    return (True, "") if 200 <= code < 300 else (False, f"{BAD_STATUS}{code}")


def _headers(given: Iterable[Sequence[str]], agent: str) -> dict[str, list[str]]:
    """Name in its canonical form -> values, in the order in which they are sent."""
    found: dict[str, list[str]] = {}
    for name, value in given:
        canonical = "-".join(word[:1].upper() + word[1:].lower() for word in name.split("-"))
        found.setdefault(canonical, []).append(value)
    agents = found.pop("User-Agent", [agent])[:1]
    if not found.setdefault("Accept", ["*/*"])[0]:
        del found["Accept"]
    for name in ("Content-Length", "Transfer-Encoding", "Trailer"):
        found.pop(name, None)  # there is no body
    host = {"Host": found.pop("Host")} if "Host" in found else {}
    return {**host, **({"User-Agent": agents} if agents[0] else {}), **dict(sorted(found.items()))}


def _request(url: Url, host: str, headers: Mapping[str, Sequence[str]]) -> bytes:
    lines = [f"GET {url.target} HTTP/1.1", f"Host: {host or url.authority}"]
    lines += [f"{name}: {value}" for name, values in headers.items() for value in values]
    if url.user and "Authorization" not in headers:
        import binascii

        lines.append(f"Authorization: Basic {binascii.b2a_base64(url.user.encode(), newline=False).decode()}")
    if not any(word in value.lower() for value in headers.get("Connection", ()) for word in ("close", "upgrade")):
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")


def _exchange(
    url: Url,
    host: str,
    headers: Mapping[str, Sequence[str]],
    until: float,
    follow: Callable[[int, Mapping[str, str]], Url | None],
) -> Generator[Wait, int | None, tuple[int, Url | None, str]]:
    """Ask once: the status, where to go on, and the body where that is nowhere. :raises HttpFailure: no answer."""
    late = "(Client.Timeout exceeded while awaiting headers)"
    if url.opaque or not url.host:
        raise HttpFailure("http: no Host in request URL")
    if url.scheme not in DEFAULT_PORTS:
        raise HttpFailure(f'unsupported protocol scheme "{url.scheme}"')
    try:
        sock = yield from _dial(url.host, url.port or DEFAULT_PORTS[url.scheme], until)
    except OSError as error:
        raise HttpFailure(f"{error} {late}" if str(error).endswith("i/o timeout") else str(error)) from error
    try:
        if url.scheme == "https":
            sock = _in_tls(sock, url.host)
            yield from _patiently(sock.do_handshake, False, sock, select.EPOLLIN, until)  # type: ignore[attr-defined]
        rest = memoryview(_request(url, host, headers))
        while rest:
            rest = rest[(yield from _patiently(sock.send, rest, sock, select.EPOLLOUT, until)) :]
        code, answered, received = yield from _head(sock, until)
        following = follow(code, answered)
        if following is None:
            return code, None, (yield from _body(sock, code, answered, received, until))
        return code, following, ""
    except TimeoutError as error:
        raise HttpFailure(f"context deadline exceeded {late}") from error
    except OSError as error:
        raise HttpFailure(_broken(sock, error)) from error
    finally:
        sock.close()


def _head(sock: socket.socket, until: float) -> Generator[Wait, int | None, tuple[int, dict[str, str], bytes]]:
    """Status, headers by their names in small letters, and what was read of the body."""
    received, looked, begun, informational = bytearray(), 0, False, 0
    while True:
        if ended := _end_of_head(received, looked):
            code, headers = parse_head(bytes(received[:ended]))
            del received[:ended]
            if not 100 <= code < 200 or code == 101:
                return code, headers, bytes(received)
            looked, begun, informational = 0, False, informational + 1
            if informational > MOST_INFORMATIONAL:
                raise HttpFailure(f"{BROKEN}net/http: too many 1xx informational responses")
            continue
        if not begun and (newline := received.find(b"\n", looked)) >= 0:
            parse_status(bytes(received[:newline]))  # of what is no HTTP nothing more is waited for
            begun = True
        looked = max(0, len(received) - 3)  # the empty line may have begun
        more = yield from _receive(sock, until)
        if not more:
            parse_status(bytes(received.partition(b"\n")[0])) if received else None
            raise HttpFailure(f"{BROKEN}unexpected EOF" if received else "EOF")
        received += more
        if len(received) > MOST_HEADERS:
            raise HttpFailure(f"net/http: server response headers exceeded {MOST_HEADERS} bytes; aborted")


def _end_of_head(data: bytearray, start: int) -> int:
    """Where the empty line is over; 0 if it has not come."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (at := data.find(mark, start)) >= 0]
    return min(ends, default=0)


def _receive(sock: socket.socket, until: float) -> Generator[Wait, int | None, bytes]:
    """What comes next, nothing at the end. Who always has more makes only itself wait, and is late some time."""
    yield {}, 0.0
    if time.monotonic() >= until:
        raise TimeoutError
    more: bytes = yield from _patiently(sock.recv, 16384, sock, select.EPOLLIN, until)
    return more


def parse_status(line: bytes) -> int:
    """:raises HttpFailure: this is no status line."""
    text = line.decode(errors="replace").rstrip("\r\n")
    protocol, blank, rest = text.partition(" ")
    if not blank:
        raise HttpFailure(f'{BROKEN}malformed HTTP response "{text}"')
    code = rest.lstrip(" ").partition(" ")[0]
    if len(code) != 3 or not all(letter in DIGITS for letter in code):
        raise HttpFailure(f'{BROKEN}malformed HTTP status code "{code}"')
    number = protocol.removeprefix("HTTP/")
    if number == protocol or len(number) != 3 or number[1] != "." or not (number[0] + number[2]).isdigit():
        raise HttpFailure(f'{BROKEN}malformed HTTP version "{protocol}"')
    return int(code)


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.split(b"\n")
    code, headers = parse_status(first), dict[str, str]()
    for raw in lines:
        line = raw.decode("latin-1").rstrip("\r")
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t"):
            continue  # the rest of a long line, which means nothing to us
        if line and (not colon or not name or name != name.strip()):
            raise HttpFailure(f"{BROKEN}malformed MIME header line: {line}")
        if line:
            headers.setdefault(name.lower(), value.strip())
    return code, headers


def _body(
    sock: socket.socket, code: int, headers: Mapping[str, str], received: bytes, until: float
) -> Generator[Wait, int | None, str]:
    """The beginning of the body, or a ProbeError if it breaks off before its end."""
    if code < 200 or code in (204, 304):
        return ""
    length = headers.get("content-length")
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    if length is not None and not chunked and not (length.isascii() and length.isdigit()):
        raise HttpFailure(f'{BROKEN}bad Content-Length "{length}"')
    data = Chunks() if chunked else Plain(None if length is None else int(length))
    more = received
    while True:
        try:
            data.take(more)
        except ValueError as error:
            return ProbeError(str(error))
        if data.over or len(data.content) >= MOST_OUTPUT:
            return data.content[:MOST_OUTPUT].decode(errors="replace")
        try:
            more = yield from _receive(sock, until)
        except TimeoutError:
            words = "(Client.Timeout or context cancellation while reading body)"
            return ProbeError(f"context deadline exceeded {words}")
        except OSError as error:
            return ProbeError(_broken(sock, error))
        if not more:
            ended = length is None and not chunked
            return data.content.decode(errors="replace") if ended else ProbeError("unexpected EOF")


class Plain:
    """A body as it is."""

    def __init__(self, length: int | None) -> None:
        self.content = bytearray()
        self.length = length
        self.over = length == 0

    def take(self, more: bytes) -> None:
        self.content += more
        if self.length is not None:
            del self.content[self.length :]
            self.over = len(self.content) == self.length


class Chunks:
    """A body in chunks, decoded as they come. What is no data has the limits of Go's net/http/internal/chunked.go:
    all that a pod answers is read by the one thread that looks after the others, too."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.over = False
        self.rest = b""  # a line that has begun
        self.left = 0  # bytes of a chunk that are yet to come
        self.inside = False  # an empty line ends the chunk
        self.non_data = 0

    def take(self, more: bytes) -> None:
        """:raises ValueError: these are no chunks, or hardly anything in them is data."""
        received, at = self.rest + more, 0
        while not self.over and len(self.content) < MOST_OUTPUT:
            data = received[at : at + self.left]
            self.content += data
            self.left -= len(data)
            at += len(data)
            end = received.find(b"\n", at, at + LONGEST_CHUNK_LINE)
            if self.left or end < 0:
                break
            self._line(received[at : end + 1])
            at = end + 1
        self.rest = received[at:]
        if len(self.rest) >= LONGEST_CHUNK_LINE and len(self.content) < MOST_OUTPUT:
            raise ValueError("header line too long")

    def _line(self, line: bytes) -> None:
        if self.inside:
            if line.strip():
                raise ValueError("malformed chunked encoding")
            self.inside = False
            return
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 16 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
            raise ValueError("invalid byte in chunk length")
        self.left = int(digits, 16)
        self.inside, self.over = True, not self.left
        self.non_data = max(0, self.non_data + len(line) + 2 - 16 - 2 * self.left)
        if self.non_data > MOST_NON_DATA:
            raise ValueError("chunked encoding contains too much non-data")


def _in_tls(sock: socket.socket, host: str) -> socket.socket:
    """A client's end of TLS, which believes any certificate, as the kubelet's does."""
    import socket as large  # these two make the program half as large again, which only those pay who ask
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT@SECLEVEL=1")  # Debian's own level refuses keys that Go takes
    plain = large.socket(fileno=sock.detach())
    name = host if _family(host) is None else None
    return context.wrap_socket(plain, do_handshake_on_connect=False, server_hostname=name)


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


def _broken(sock: socket.socket, error: OSError) -> str:
    """Why a connection has ended, in the words of Go's net package."""
    reason: str | None = getattr(error, "reason", None)  # of an error of TLS
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "http: server gave HTTP response to HTTPS client"
    if reason or not error.errno:
        return str(error)
    verb = "write" if error.errno == errno.EPIPE else "read"
    ends = ""
    with contextlib.suppress(OSError):
        ends = "->".join(host_and_port(*end[:2]) for end in (sock.getsockname(), sock.getpeername()))
    return f"{verb} tcp{' ' if ends else ''}{ends}: {verb}: {os.strerror(error.errno).lower()}"


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
    """Whether the container is on its way out for good: nothing of it is started, probed or ended by others then."""
    return os.path.exists(f"{service}/ending") or os.path.exists(f"{service}/failed")


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
            fine, message = yield from ask(self.service, pid, probe, began + probe["timeout"], PROBE_AGENT)
            if self.condemned or is_going(self.service) or not is_alive(pid):
                return  # what it answers on its way out means nothing
            self._tell_of(kind, fine, message)
            times, before = (times + 1 if fine == before else 1), fine
            found: dict[str, Any] = {kind: {"ok": fine, "message": message[:1024] if not fine else ""}}
            if times >= probe["success" if fine else "failure"]:
                if kind == "readiness":
                    found["ready"] = fine
                    if fine and not self.health["ready"]:
                        found["ready_at"] = time.time()
                elif kind == "startup" and fine:
                    found |= {"started": True, "ready": "readiness" not in self.row, "ready_at": time.time()}
                self._learn(found)
                if kind == "startup" and fine:
                    return
                if kind != "readiness" and not fine:
                    yield from self.condemn(kind, probe)
                    return
            self._learn(found)
            began += probe["period"]

    def _tell_of(self, kind: str, fine: bool, message: str) -> None:
        """The kubelet's events. A success with words is a warning over HTTP; of a command it is what it printed."""
        if not fine:
            how = "errored and resulted in Failure state" if isinstance(message, ProbeError) else "failed"
            tell(self.pod["netns"], self.name, "Warning", "Unhealthy", f"{kind.title()} probe {how}: {message}")
        elif message and "http" in self.row[kind]:
            tell(self.pod["netns"], self.name, "Warning", "ProbeWarning", f"{kind.title()} probe warning: {message}")

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
        self.deadline = loop.spawn(self.keep_deadline()) if "deadline" in row else None

    def cancel(self) -> None:
        self.loop.cancel(self.task)
        self.loop.cancel(self.deadline)
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

    def keep_deadline(self) -> Steps:
        """End a pod that has been active for as long as it may: it has failed then, however its containers end."""
        start = began(self.row["netns"]) or time.time()
        _write(f"{PODS}/{self.row['netns']}/{BEGAN}", f"{start}")
        yield {}, time.monotonic() + max(0.0, start + self.row["deadline"] - time.time())
        services = {name: service_of(self.row["netns"], name) for name in self.row["containers"]}
        if self.is_over() or all(os.path.exists(f"{service}/failed") for service in services.values()):
            return
        tell(self.row["netns"], "", "Normal", "DeadlineExceeded", TOO_LONG)
        for service in services.values():  # all of them before the first ends: none is to start in between
            why = json.dumps({"reason": "DeadlineExceeded", "message": TOO_LONG})
            _write(f"{service}/logs/failed", why)  # where a reboot leaves it
            _write(f"{service}/failed", why)
            _write(f"{service}/down", "")
            tell_supervisor(service, b"O")
        for name in services:
            self.loop.spawn(ending(self.row, name, None, f"Stopping container {name}"))

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


def began(netns: str) -> float | None:
    """When a pod with a deadline was met first; None where that is not known, or what stands there is no such time."""
    try:
        found = float(_text(f"{PODS}/{netns}/{BEGAN}"))
    except ValueError:
        return None
    return found if 0 <= found <= time.time() else None  # nan and inf are not


def needs_care(container: Row) -> bool:
    return any(key in container for key in (*PROBES, "post_start"))


def of_use(row: Any) -> dict[str, Any] | None:
    """What is of use here of a PodRow, or None if its containers need nothing but their supervisor."""
    care = ("restart_policy", *PROBES, "post_start", "pre_stop")
    containers = {
        name: {key: container[key] for key in care if key in container} for name, container in row["containers"].items()
    }
    if not row.get("init") and "deadline" not in row and not any(map(needs_care, containers.values())):
        return None
    kept = {"netns": row["netns"], "restart_policy": row["restart_policy"], "init": row.get("init", [])}
    return {**kept, "containers": containers, **{key: row[key] for key in ("grace", "deadline") if key in row}}


# --- the host --------------------------------------------------------------------------------------


class Kubelet:
    """All pods of this host that need care, by the name of their network namespace."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.pods: dict[str, Pod] = {}
        self.seen: dict[str, tuple[int, int]] = {}  # the version of each row that was read

    def watch(self, bell: int) -> Steps:
        """Look at the directory of pods every second, and at once when a signal's number comes through ``bell``."""
        while True:
            self.look()
            if (yield {bell: select.EPOLLIN}, time.monotonic() + LOOK) is not None and ENDS.intersection(_read(bell)):
                _end()

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
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    # The loop ends the program, not a handler: that may run when a child is there and its pid is yet to be noted.
    for number in (signal.SIGHUP, *ENDS):
        signal.signal(number, lambda *_: None)
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
