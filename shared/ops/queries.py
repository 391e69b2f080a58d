"""What the operator's routes read in the database, across all rooms."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ops.lag import AtRisk


class OpenDeadlines(NamedTuple):
    team: str
    channel: str
    running: int


class Heartbeat(NamedTuple):
    """The slowest partition's last heartbeat at one stage; both in seconds."""

    stage: str
    roundtrip: float
    age: float


async def deadlines_at_risk(
    connection: AsyncConnection, until: datetime, *, lagging: bool
) -> list[AtRisk]:
    """Running deadlines due by `until`; without lag, those only that the clock itself marked.

    A range of the partial index on due_at, so open deadlines further ahead cost nothing.
    """
    rows = await connection.execute(_AT_RISK, {"until": until, "lagging": lagging})
    return [AtRisk(row.team, row.channel, row.number, row.earliest) for row in rows]


async def open_deadlines(connection: AsyncConnection) -> list[OpenDeadlines]:
    """Counts all running deadlines: seconds of work where there are millions."""
    return [OpenDeadlines(*row) for row in await connection.execute(_OPEN)]


async def waiting_dead_letters(connection: AsyncConnection) -> list[tuple[str, int]]:
    return [(row[0], row[1]) for row in await connection.execute(_DEAD)]


async def heartbeats(connection: AsyncConnection) -> list[Heartbeat]:
    rows = await connection.execute(_HEARTBEATS)
    return [Heartbeat(row[0], float(row[1]), float(row[2])) for row in rows]


async def oldest_timer(connection: AsyncConnection) -> float:
    """How many seconds ago the first timer that is due should have fired; 0 where none is due."""
    return float(await connection.scalar(_TIMER) or 0)


async def newest_policy(connection: AsyncConnection) -> int | None:
    """The version in force; None before the first."""
    version: int | None = await connection.scalar(_POLICY)
    return version


async def waiting_by_account(connection: AsyncConnection) -> dict[str, int]:
    """How many dead letters wait for a person, by account."""
    return {row[0]: row[1] for row in await connection.execute(_WAITING)}


_AT_RISK: Final = text(
    "SELECT team, channel, count(*) AS number, min(due_at) AS earliest FROM deadlines"
    " WHERE state = 'running' AND due_at <= :until AND (:lagging OR at_risk <> '')"
    " GROUP BY team, channel ORDER BY earliest, team, channel"
)
_OPEN: Final = text(
    "SELECT team, channel, count(*) FROM deadlines WHERE state = 'running' GROUP BY team, channel"
)
_DEAD: Final = text(
    "SELECT topic, count(*) FROM dead_letters WHERE state = 'waiting' GROUP BY topic"
)
_HEARTBEATS: Final = text(
    "SELECT stage, max(extract(epoch FROM seen_at - sent_at)),"
    " max(extract(epoch FROM clock_timestamp() - seen_at)) FROM heartbeats GROUP BY stage"
)
# Begins at the clock's floor, as the clock itself does: below it lies only what was deleted.
_TIMER: Final = text(
    "SELECT extract(epoch FROM clock_timestamp() - min(fire_at)) FROM timers"
    " WHERE fire_at <= clock_timestamp() AND fire_at >= (SELECT floor FROM clock)"
)
_POLICY: Final = text("SELECT max(version) FROM policies")
_WAITING: Final = text(
    "SELECT account, count(*) FROM dead_letters WHERE state = 'waiting' AND account <> ''"
    " GROUP BY account"
)
