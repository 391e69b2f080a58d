"""Requests to erase a person: asked, withdrawn, looked up. The doing stands in `erasing`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import customers
from shared.database import driver
from shared.errors import Conflict, NotFound
from shared.ids import new_id


async def ask(
    connection: AsyncConnection, customer: UUID, by: str, reason: str, now: datetime, due: datetime
) -> Any:
    """The request's row: the one that waits already, or a new one. Raises NotFound."""
    standing = await _standing(connection, customer)
    raw = await driver(connection)
    await raw.execute(_ASK, new_id(), standing, by, reason, now, due)
    return await raw.fetchrow(_LATEST, standing)


async def keep(connection: AsyncConnection, customer: UUID, by: str, now: datetime) -> Any:
    """Withdraws it. Raises NotFound, and Conflict where it is done, or never was asked."""
    raw = await driver(connection)
    standing = (await customers.roots(connection, [customer])).get(customer)
    row = None if standing is None else await raw.fetchrow(f"{_LATEST} FOR UPDATE", standing)
    if row is None:
        raise _unknown(customer)
    if row["done_at"] is not None:
        raise Conflict("it is done: nothing is left to be kept", name="erased")
    if row["withdrawn_at"] is None:
        await raw.execute("DELETE FROM erased WHERE erasure_id = $1", row["id"])
        await raw.execute(
            "UPDATE erasures SET withdrawn_at = $2, withdrawn_by = $3 WHERE id = $1",
            row["id"], now, by,
        )  # fmt: skip
    return await raw.fetchrow(_LATEST, standing)


async def latest(connection: AsyncConnection, customer: UUID) -> Any:
    """The newest request about this record. Raises NotFound."""
    standing = (await customers.roots(connection, [customer])).get(customer)
    row = await (await driver(connection)).fetchrow(_LATEST, standing)
    if row is None:
        raise _unknown(customer)
    return row


async def _standing(connection: AsyncConnection, customer: UUID) -> UUID:
    """The record itself, locked, so that it is not merged in this moment."""
    found = await customers.lock_standing(connection, [customer])
    raw = await driver(connection)
    alive = await raw.fetchval(
        "SELECT id FROM customers WHERE id = $1 AND erased_at IS NULL", found.get(customer)
    )
    if alive is None:
        raise NotFound(f"there is no customer {customer}: find them by GET /v1/customers?identity=")
    return found[customer]


def _unknown(customer: UUID) -> NotFound:
    return NotFound(f"nobody asked to erase customer {customer}: DELETE /v1/customers/{{id}} does")


_ASK: Final = """
INSERT INTO erasures (id, customer_id, by, reason, asked_at, due_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (customer_id) WHERE done_at IS NULL AND withdrawn_at IS NULL DO NOTHING
"""
_LATEST: Final = (
    "SELECT * FROM erasures WHERE customer_id = $1 ORDER BY asked_at DESC, id DESC LIMIT 1"
)
