"""Which dead letters are meant: by what is known of them, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ops.letters import SELECT, Letter, letter_of

Place = tuple[datetime, UUID]  # of the last one of the page before


@dataclass(frozen=True, slots=True)
class Filter:
    """What is empty is not asked about.

    topic   with or without its `.dlq`;  reason a part of it, in any case
    since   seen last at this instant or later;  until before it
    """

    account: str = ""
    topic: str = ""
    type: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self != Filter()


async def listed(
    connection: AsyncConnection, state: str, wanted: Filter, before: Place | None, limit: int
) -> list[Letter]:
    """The one seen last first. `state` may be empty."""
    values = _values(wanted, before, limit) | {"state": state}
    return [letter_of(row) for row in await connection.execute(_LATEST, values)]


async def waiting(
    connection: AsyncConnection, wanted: Filter, after: Place | None, limit: int
) -> Sequence[Place]:
    """The oldest first, by when it was first seen. That never changes: whoever goes on from the
    last meets none twice, though it fail again meanwhile."""
    rows = await connection.execute(_OLDEST, _values(wanted, after, limit))
    return [(row.first_at, row.id) for row in rows]


def _values(wanted: Filter, place: Place | None, limit: int) -> dict[str, object]:
    at, id = place or (None, None)
    values = asdict(wanted) | {"topic": wanted.topic.removesuffix(".dlq")}
    return values | {"at": at, "id": id, "limit": limit}


_WANTED: Final = (
    " AND (:account = '' OR account = :account) AND (:type = '' OR type = :type)"
    " AND (:topic = '' OR topic IN (:topic, :topic || '.dlq'))"
    " AND (:reason = '' OR strpos(lower(reason), lower(:reason)) > 0)"
    " AND (CAST(:since AS timestamptz) IS NULL OR last_at >= :since)"
    " AND (CAST(:until AS timestamptz) IS NULL OR last_at < :until)"
)
_LATEST: Final = text(
    f"{SELECT} WHERE (:state = '' OR state = :state){_WANTED}"
    " AND (CAST(:at AS timestamptz) IS NULL"
    "  OR (last_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)))"
    " ORDER BY last_at DESC, id DESC LIMIT :limit"
)
_OLDEST: Final = text(
    f"SELECT first_at, id FROM dead_letters WHERE state = 'waiting'{_WANTED}"  # noqa: S608
    " AND (CAST(:at AS timestamptz) IS NULL"
    "  OR (first_at, id) > (CAST(:at AS timestamptz), CAST(:id AS uuid)))"
    " ORDER BY first_at, id LIMIT :limit"
)
