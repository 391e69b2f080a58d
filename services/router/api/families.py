"""On whom a case waits: its internal requests, and the case that waits for it."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Waiting(BaseModel):
    """An internal request that is not finished: the team that has it, and since when it waits."""

    case: UUID
    team: str
    since: datetime


class Family(BaseModel):
    parent: UUID | None
    waits_on: list[Waiting]


_PARENT: Final = text("SELECT parent_id FROM cases WHERE id = :id")
_CHILDREN: Final = text("""
    SELECT child.id AS case, child.team, CAST(told ->> 'since' AS timestamptz) AS since
    FROM cases JOIN jsonb_array_elements(coalesce(doc -> 'children', '[]')) AS told ON true
    JOIN cases AS child ON child.id = CAST(told ->> 'case_id' AS uuid)
    WHERE cases.id = :id ORDER BY since, child.id
""")


async def family_of(connection: AsyncConnection, case_id: UUID) -> Family:
    waiting = (await connection.execute(_CHILDREN, {"id": case_id})).mappings()
    return Family(
        parent=await connection.scalar(_PARENT, {"id": case_id}),
        waits_on=[Waiting(**row) for row in waiting],
    )
