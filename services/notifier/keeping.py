"""What the notifier forgets, and when."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.notifier import limits, queries
from shared.database import transaction
from shared.errors import RegieError
from shared.runtime import Runtime
from shared.telemetry import describe

KEPT: Final = timedelta(days=30)  # longer than any event can come again
QUIET: Final = timedelta(days=1)  # no rate counts over longer
_EVERY: Final = 3600.0
_BATCH: Final = 5_000

log = structlog.get_logger("notifier")


async def keep_house(runtime: Runtime) -> None:
    """Once an hour; a failure waits for the next hour."""
    while True:
        try:
            while await forget(runtime) == _BATCH:
                pass
        except RegieError as error:
            log.warning("house keeping waits", error=describe(error))
        await asyncio.sleep(_EVERY)


async def forget(runtime: Runtime) -> int:
    """One batch of deliveries that ended long ago, with their attempts; how many."""
    async with transaction(runtime.engine) as connection:
        await limits.forget(connection, runtime.now() - QUIET)
        return await queries.forget(connection, runtime.now() - KEPT, _BATCH)
