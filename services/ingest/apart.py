"""A thread of its own for what blocks, which never holds up the end of the process.

The loop's own threads are few, and a mailbox that waits for mail would keep one for ever; and they
are joined at the end, so that one that hangs in a name look-up would hang the process with it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Apart:
    """Calls functions one after the other, in its thread."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What the function returns or raises. Cancelled, the thread still goes to its end."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = function(*args, **named)
            except Exception as error:
                _tell(loop, done, error=error)
            else:
                _tell(loop, done, result=result)

        self._calls.put(work)
        return await done

    def end(self, last: Callable[[], object] | None = None) -> None:
        """The thread ends when it has done what was asked of it, and `last`. Does not wait."""
        if last is not None:
            self._calls.put(lambda: _quietly(last))
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Any],
    *,
    result: Any = None,
    error: Exception | None = None,
) -> None:
    def settle() -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    with suppress(RuntimeError):  # the loop has gone: nobody waits any more
        loop.call_soon_threadsafe(settle)


def _quietly(last: Callable[[], object]) -> None:
    with suppress(Exception):
        last()
