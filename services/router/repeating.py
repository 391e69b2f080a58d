"""Work that is done again and again, and whose failure waits for the next time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import DBAPIError

from shared.errors import RegieError

_LOG = structlog.get_logger()


async def repeatedly(name: str, work: Callable[[], Awaitable[None]], every: float) -> None:
    """Never ends. An outage, a lock that was not had, a policy nobody can read: said in the log,
    tried again after `every` seconds. Anything else is a fault of ours and ends the process."""
    while True:
        try:
            await work()
        except (RegieError, DBAPIError) as error:
            _LOG.warning("waits for the next round", work=name, reason=type(error).__name__)
        await asyncio.sleep(every)
