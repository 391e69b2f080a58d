"""Checking policies one after the other: a check takes the core that the router needs too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import TooMany


class Turns:
    """One at a time in a process, whoever asks; the others wait, `most` seconds at the longest."""

    def __init__(self, most: float = 10.0) -> None:
        self.most = most
        self._taken = asyncio.Lock()
        self.waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises TooMany. Wait for it without a database connection: others need those."""
        self.waiting += 1
        try:
            async with asyncio.timeout(self.most):
                await self._taken.acquire()
        except TimeoutError:
            raise TooMany(
                "other policies are being checked in this process, one at a time: nothing was "
                "changed, try again when they are done",
                headers={"Retry-After": "10"},
            ) from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._taken.release()
