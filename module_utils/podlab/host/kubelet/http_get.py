"""GET as Kubernetes' probes and hooks do it: pkg/probe/http and Go's net/http."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .config import HttpGet
from .http_connection import connection
from .http_response import BodyError, Head, RequestError
from .url import Url, parse_url, probe_url

MAX_REQUESTS = 10  # with those that redirects lead to
REDIRECTS = (301, 302, 303, 307, 308)
PROBE_AGENT, HOOK_AGENT = "kube-probe/1.30", "kube-lifecycle/1.30"
BAD_STATUS = "HTTP probe failed with statuscode: "

Headers = Mapping[str, Sequence[str]]


class Result(NamedTuple):
    """Of a probe or a hook. ``is_error``: there is no whole answer; Kubernetes calls it ``errored``, not ``failed``."""

    ok: bool
    message: str = ""
    is_error: bool = False


async def http_get(request: HttpGet, deadline: float, agent: str, *, any_host: bool = False) -> Result:
    """Redirects are followed on the same host, or with ``any_host`` everywhere. One to another host is a success with a
    warning: the only success with a message."""
    url = first = probe_url(request)
    headers = request_headers(request.get("headers", ()), agent)
    host = next(iter(headers.pop("Host", [])), "")
    for number in range(1, MAX_REQUESTS + 1):
        try:
            status, following, body = await _exchange(url, host, headers, deadline, None if any_host else first.host)
        except RequestError as error:
            return Result(False, f'Get "{url}": {error}')
        except BodyError as error:
            return Result(False, str(error), is_error=True)
        if following is None:
            return _result(status, body)
        if number == MAX_REQUESTS:
            return Result(False, f'Get "{following.reference}": stopped after {MAX_REQUESTS} redirects')
        if parse_url(following.reference).scheme:
            host = ""  # the manifest's is not for an address that the answer has spelled out
        if not (url.scheme == "https" and following.scheme == "http"):
            headers["Referer"] = [str(url)]
        url = following
    raise AssertionError("unreachable")


def _result(status: int, body: str) -> Result:
    if 300 <= status < 400:
        return Result(True, f"Probe terminated redirects, Response body: {body}")
    return Result(True) if 200 <= status < 300 else Result(False, f"{BAD_STATUS}{status}")


def request_headers(given: Iterable[Sequence[str]], agent: str) -> dict[str, list[str]]:
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


def _request_bytes(url: Url, host: str, headers: Headers) -> bytes:
    lines = [f"GET {url.target} HTTP/1.1", f"Host: {host or url.authority}"]
    lines += [f"{name}: {value}" for name, values in headers.items() for value in values]
    if url.user and "Authorization" not in headers:
        lines.append(f"Authorization: Basic {base64.b64encode(url.user.encode()).decode()}")
    if not any(word in value.lower() for value in headers.get("Connection", ()) for word in ("close", "upgrade")):
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")


async def _exchange(
    url: Url, host: str, headers: Headers, deadline: float, only_host: str | None
) -> tuple[int, Url | None, str]:
    """One request: the status, where to go on, and the body where that is nowhere.

    :raises RequestError: there is no answer.
    :raises BodyError: its body breaks off.
    """
    async with connection(url, deadline) as opened:
        head = await opened.send(_request_bytes(url, host, headers))
        following = _redirect(url, head, only_host)
        return head.status, following, "" if following else await opened.body(head)


def _redirect(url: Url, head: Head, only_host: str | None) -> Url | None:
    location = head.headers.get("location", "")
    if head.status not in REDIRECTS or not location:
        return None
    try:
        found = url.resolve(location)
    except ValueError as error:
        raise RequestError(f'failed to parse Location header "{location}": {error}') from error
    return found if only_host in (None, found.host) else None
