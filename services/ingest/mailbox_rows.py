"""What the mailbox reader asks the router's tables, so that no mail is taken twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database import sqlstate, transaction
from shared.errors import DatabaseUnavailable


async def routed(engine: AsyncEngine, ids: Collection[UUID]) -> set[UUID]:
    """Those of these messages that a case holds. The keys that repeats are known by are kept for
    days; a mailbox that forgets its marks shows mails of years. Raises DatabaseUnavailable."""
    if not ids:
        return set()
    async with _reading(engine) as connection:
        found = await connection.execute(_ROUTED, {"ids": list(ids)})
        return {row.id for row in found}


async def began(engine: AsyncEngine, account: str) -> datetime | None:
    """When the account's first message came in; None before it. Raises DatabaseUnavailable."""
    async with _reading(engine) as connection:
        found: datetime | None = await connection.scalar(_BEGAN, {"account": account})
        return found


@asynccontextmanager
async def _reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with transaction(engine) as connection:
            yield connection
    except DBAPIError as error:
        if sqlstate(error) != _NO_TABLE:
            raise
        raise DatabaseUnavailable("the database is not migrated yet: a router does it") from error


_NO_TABLE: Final = "42P01"
_ROUTED: Final = text("SELECT id FROM messages WHERE id = ANY(:ids)")
_BEGAN: Final = text(
    "SELECT min(received_at) FROM messages"
    " WHERE account = :account AND provider_id <> '' AND direction = 'in'"
)
