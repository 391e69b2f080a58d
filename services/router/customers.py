"""Which record is whose: the standing one behind an id, its lock, its cases.

A customer that was merged points at another by `merged_into`; several merges make a chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver

_ROOTS: Final = """
WITH RECURSIVE chain (asked, id, merged_into) AS (
    SELECT id, id, merged_into FROM customers WHERE id = ANY($1)
    UNION ALL
    SELECT asked, customers.id, customers.merged_into
    FROM chain JOIN customers ON customers.id = chain.merged_into
)
SELECT asked, id FROM chain WHERE merged_into IS NULL
"""
# Of one standing record: itself, and all that was merged into it.
FAMILY: Final = """
WITH RECURSIVE family (member) AS (
    SELECT CAST(:id AS uuid)
    UNION
    SELECT customers.id FROM family JOIN customers ON merged_into = member
)
"""


async def roots(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The record that stands for each of these; unknown ids are left out. Locks nothing."""
    rows = await (await driver(connection)).fetch(_ROOTS, list(ids))
    return {row["asked"]: row["id"] for row in rows}


async def lock_standing(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The same, with the standing records locked in order of id."""
    while True:
        found = await roots(connection, ids)
        rows = await (await driver(connection)).fetch(
            "SELECT id, merged_into FROM customers WHERE id = ANY($1) ORDER BY id FOR UPDATE",
            list(set(found.values())),
        )
        if all(row["merged_into"] is None for row in rows):
            return found


async def cases_of(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Every case of these customers → whose it is. Under their lock: then no other is opened."""
    if not ids:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT id, customer_id FROM cases WHERE customer_id = ANY($1)", list(ids)
    )
    return {row["id"]: row["customer_id"] for row in rows}
