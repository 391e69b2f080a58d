"""Tasks with a name and a watcher: one that ends, by an error or quietly, ends the process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from shared.database import is_away
from shared.errors import RegieError, Unavailable
from shared.telemetry import LOOP_LAG, describe

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0

log = structlog.get_logger("serve")


class TaskEnded(RegieError):
    """A task that should run as long as the process returned by itself."""


async def watched(
    name: str, run: Callable[[], Awaitable[object]], stop: asyncio.Event, fatal: Callable[[], None]
) -> None:
    """Runs it. Before `stop`, any end of it raises, which ends its siblings and the process."""
    try:
        await run()
    except Exception as error:
        log.exception("task died", task=name, error=describe(error))
        fatal()
        raise
    if not stop.is_set():
        log.error("task ended", task=name)
        fatal()
        raise TaskEnded(f"the task {name!r} ended, though nothing asked it to")


async def measure_loop() -> None:
    """Blocking code shows here first: it makes everything else late."""
    clock = asyncio.get_running_loop().time
    while True:
        asked = clock()
        await asyncio.sleep(1)
        LOOP_LAG.set(max(clock() - asked - 1, 0))


async def until_there(name: str, call: Callable[[], Awaitable[object]]) -> None:
    """Calls until the dependency behind it answers; other errors are raised at once."""
    pause = _FIRST_PAUSE
    while True:
        try:
            await call()
        except Exception as error:
            if not (isinstance(error, Unavailable) or is_away(error)):
                raise
            log.warning("waiting", dependency=name, error=describe(error))
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def finish(tasks: Iterable[asyncio.Task[None]], seconds: float) -> None:
    """Waits for them, and cancels what has not ended in time."""
    waiting = set(tasks)
    if not waiting:
        return
    _, late = await asyncio.wait(waiting, timeout=seconds)
    for task in late:
        log.warning("task cut off", task=task.get_name())
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=2)


def end_within(seconds: float, code: int) -> threading.Timer:
    """The last resort: a thread that ends the process, though its loop may be stuck."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
    return timer
