"""What is new in the feed: one look a process for all who wait for it, and one read for all
streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier import feed
from services.notifier.audience import Audience
from services.notifier.feed import Event
from shared.database import transaction
from shared.errors import Unavailable
from shared.security import Caller
from shared.telemetry import describe

POLL_SECONDS: Final = 0.25
RECENT: Final = 1_000  # events in memory; who is further behind reads by itself
# What is erased is not in memory for longer.
_RECENT_SECONDS: Final = 30.0
_BEHIND: Final = 4  # at a time
_AWAY_SECONDS: Final = 1.0
_EVERYTHING: Final = Audience(Caller("admin", "watch"))

log = structlog.get_logger("notifier")


class Watch:
    """Looks only while somebody waits. `poll`: seconds from one look to the next."""

    def __init__(self, engine: AsyncEngine, *, poll: float = POLL_SECONDS) -> None:
        self._engine = engine
        self._poll = poll
        self._waiting = 0
        self._streams = 0
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()
        self._next = 0  # 0: never looked
        self._recent: list[Event] = []
        self._since = 0  # `_recent` is whole from here on
        self._taken = 0.0
        self._behind = asyncio.Semaphore(_BEHIND)

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._look()
            except (Unavailable, PoolTimeout) as error:
                log.warning("the feed is not watched", error=describe(error))
                await asyncio.sleep(_AWAY_SECONDS)
            await asyncio.sleep(self._poll)

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """While within, what comes is kept at hand."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1
            if not self._streams:
                self._forget()

    @property
    def streams(self) -> int:
        return self._streams

    async def beyond(self, position: int, seconds: float, over: Callable[[], bool]) -> bool:
        """Whether the feed has gone beyond `position`: waits for it at most so long, or until it
        is `over`, which is asked at every look."""
        self._waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                while self._next <= position + 1 and not over():
                    await self._moved.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._wanted.clear()
        return self._next > position + 1

    async def after(self, position: int, audience: Audience, limit: int) -> tuple[list[Event], int]:
        """The next events of this audience, and the position from which to go on. From memory
        where they are. Raises Gone, and what a look at the database may."""
        if self._since and self._since <= position + 1 < self._next:
            upto = self._next - 1
            found = [e for e in self._recent if e.position > position and audience.takes(e)]
            return found[:limit], found[limit - 1].position if len(found) >= limit else upto
        async with self._behind, transaction(self._engine) as connection:
            return await feed.look(connection, audience, position, limit)

    async def _look(self) -> None:
        async with transaction(self._engine) as connection:
            reach = await feed.reach(connection)
            if time.monotonic() - self._taken > _RECENT_SECONDS:
                self._forget()
            if reach.next != self._next:
                await self._take(connection, reach.next)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _forget(self) -> None:
        self._recent, self._since = [], 0

    async def _take(self, connection: AsyncConnection, following: int) -> None:
        before, self._next = self._next, following
        if not self._streams or not before or following < before:
            self._forget()
            return
        start = max(before, following - RECENT)
        if start > before or not self._since:
            self._recent, self._since, self._taken = [], start, time.monotonic()
        self._recent += await feed.read(connection, _EVERYTHING, start - 1, following - 1, RECENT)
        if len(self._recent) > 2 * RECENT:
            self._recent = self._recent[-RECENT:]
            self._since = self._recent[0].position
