"""What the router forgets, and when: keys of deduplication, wrong codes, unmatched statuses,
chats that are over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from services.router.repeating import repeatedly
from services.router.rights import chats
from services.router.versions.policies import Policies
from shared import idempotency
from shared.database import transaction
from shared.runtime import Runtime

_EVERY: Final = 3600.0
_AT_ONCE: Final = 10_000
_CHATS: Final = timedelta(days=2)  # after they expired; their mails have left by then
_FORGET: Final = (
    ("dedupe", "seen_at", timedelta(days=9)),  # WhatsApp repeats for 7 days
    ("wrong_codes", "at", timedelta(days=1)),
    ("resume_codes", "expires_at", timedelta(days=400)),  # spent ones still name their thread
    ("pending_statuses", "created_at", timedelta(days=9)),
)


async def keep_house(runtime: Runtime, policies: Policies) -> None:
    """Once an hour; a failure waits for the next hour."""

    async def work() -> None:
        await _forget(runtime)
        await _trim_log(runtime, policies)

    await repeatedly("house keeping", work, _EVERY)


async def _forget(runtime: Runtime) -> None:
    now = runtime.now()
    for table, column, age in _FORGET:
        while await _forget_some(runtime, table, column, now - age) == _AT_ONCE:
            pass
    async with transaction(runtime.engine) as connection:
        await idempotency.forget_old(connection)
    await _forget_chats(runtime, now - _CHATS)


async def _forget_chats(runtime: Runtime, before: datetime) -> None:
    forgotten = _AT_ONCE
    while forgotten == _AT_ONCE:
        async with transaction(runtime.engine) as connection:
            forgotten = await chats.forget(connection, before, _AT_ONCE)


async def _forget_some(runtime: Runtime, table: str, column: str, before: datetime) -> int:
    """A bounded part, past whatever another process is deleting right now."""
    async with transaction(runtime.engine) as connection:
        done = await connection.execute(
            text(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} "  # noqa: S608 - our own names
                f"WHERE {column} < :before LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED))"
            ),
            {"before": before},
        )
    return done.rowcount


async def _trim_log(runtime: Runtime, policies: Policies) -> None:
    """What the policy keeps; a heartbeat says nothing any more after an hour."""
    if policies.loaded:
        now = runtime.now()
        kept_since = policies.current.retention.log.before(now)
        await runtime.broker.trim(kept_since, now - timedelta(hours=1))
