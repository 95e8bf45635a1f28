"""Tasks and deadlines of asyncio. A deadline is a time of ``time.monotonic``, which is the event loop's clock."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from .files import log

T = TypeVar("T")
NEVER = math.inf


class DeadlineExceeded(Exception):
    """Not ``TimeoutError``, which is also what the kernel says of a peer that has fallen silent."""


_tasks: set[asyncio.Task[None]] = set()  # the event loop itself refers weakly to its tasks


def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run it beside everything else. What goes wrong in it is logged and ends nothing else."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and (error := task.exception()):
        log(f"{type(error).__name__}: {error}")


async def before(deadline: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine. :raises DeadlineExceeded: it was not there in time.

    Either way, and where this is cancelled itself, the coroutine is over when this is.

    Not ``asyncio.wait_for``: before Python 3.12 it swallows a cancellation that comes together with the result, and a
    probe would go on after its container.
    """
    task = asyncio.create_task(work)
    try:
        timeout = None if deadline == NEVER else max(0.0, deadline - time.monotonic())
        await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            raise DeadlineExceeded
        return task.result()
    finally:
        if task.cancel():
            await asyncio.wait({task})


async def sleep_until(deadline: float) -> None:
    await asyncio.sleep(max(0.0, deadline - time.monotonic()))


async def readable(fd: int, deadline: float = NEVER) -> bool:
    """Wait until there is something to read; False if the time is over first. A pidfd is readable when its process
    has ended."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[bool] = loop.create_future()

    def resolve(value: bool) -> None:
        if not result.done():
            result.set_result(value)

    loop.add_reader(fd, resolve, True)
    timer = None if deadline == NEVER else loop.call_at(deadline, resolve, False)
    try:
        return await result
    finally:
        loop.remove_reader(fd)
        if timer:
            timer.cancel()
