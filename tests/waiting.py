"""Waiting for an outcome, with a bound. Tests do nothing else with time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

BOUND = 30.0  # s; generous, because only a failing test ever waits for it


async def until(condition: Callable[[], Awaitable[bool]], bound: float = BOUND) -> None:
    """Returns once the condition holds. Raises TimeoutError when it does not within `bound`."""
    async with asyncio.timeout(bound):
        while not await condition():  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0.02)
