"""What the router forgets, and when: keys of deduplication, wrong codes, unmatched statuses."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import text

from services.router.policies import Policies
from shared import idempotency
from shared.database import transaction
from shared.errors import RegieError
from shared.runtime import Runtime

_LOG = structlog.get_logger()
_EVERY: Final = 3600.0
_FORGET: Final = (
    ("dedupe", "seen_at", timedelta(days=9)),  # WhatsApp repeats for 7 days
    ("wrong_codes", "at", timedelta(days=1)),
    ("pending_statuses", "created_at", timedelta(days=9)),
)


async def keep_house(runtime: Runtime, policies: Policies) -> None:
    """Once an hour; a failure waits for the next hour."""
    while True:
        try:
            await _forget(runtime)
            await _trim_log(runtime, policies)
        except RegieError as error:
            _LOG.warning("house keeping waits", reason=str(error))
        await asyncio.sleep(_EVERY)


async def _forget(runtime: Runtime) -> None:
    now = runtime.now()
    async with transaction(runtime.engine) as connection:
        for table, column, age in _FORGET:
            await connection.execute(
                text(f"DELETE FROM {table} WHERE {column} < :before"),  # noqa: S608 - our own names
                {"before": now - age},
            )
        await idempotency.forget_old(connection)


async def _trim_log(runtime: Runtime, policies: Policies) -> None:
    """What the policy keeps; a heartbeat says nothing any more after an hour."""
    if policies.loaded:
        now = runtime.now()
        kept_since = policies.current.retention.log.before(now)
        await runtime.broker.trim(kept_since, now - timedelta(hours=1))
