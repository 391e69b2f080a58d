"""Where each group stands, in our database: the one truth, moved first in every transaction.

A row is (group, cluster, topic, partition). `next` is the offset that comes next; `epoch` grows
with each owner, so that the transaction of an old one finds no row to move and fails before it
has locked anything; `last_at` is the log's timestamp of the last record behind us; `stopped` says
why nothing goes on here, until `regie positions set`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.broker import Range, TopicPartition
from shared.errors import Fenced, NotFound
from shared.topics import partitions_of


class Position(NamedTuple):
    next: int
    epoch: int
    stopped: str = ""


class Move(NamedTuple):
    """From `old` to `new` under `epoch`; `last_at` is the last moved record's timestamp."""

    old: int
    new: int
    epoch: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """One row, for /ops."""

    group: str
    cluster: str
    tp: TopicPartition
    next: int
    epoch: int
    owner: str
    last_at: datetime | None
    moved_at: datetime
    stopped: str


# Sorted before it locks: two owners that claim at once wait for each other in one order.
_CLAIM: Final = text("""
INSERT INTO positions (grp, cluster, topic, partition, next, owner)
SELECT :grp, :cluster, c.topic, c.partition, c.start, :owner
FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:starts AS bigint[]))
    AS c (topic, partition, start)
ORDER BY c.topic, c.partition
ON CONFLICT (grp, cluster, topic, partition)
DO UPDATE SET epoch = positions.epoch + 1, owner = excluded.owner
RETURNING topic, partition, next, epoch, stopped
""")
_ADVANCE: Final = text("""
WITH moves AS (
    SELECT * FROM unnest(
        CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:olds AS bigint[]),
        CAST(:news AS bigint[]), CAST(:epochs AS bigint[]), CAST(:ats AS timestamptz[])
    ) AS m (topic, partition, old, new, epoch, last_at)
), locked AS MATERIALIZED (
    SELECT p.topic, p.partition FROM positions p JOIN moves m USING (topic, partition)
    WHERE p.grp = :grp AND p.cluster = :cluster AND p.next = m.old AND p.epoch = m.epoch
    ORDER BY p.topic, p.partition FOR NO KEY UPDATE OF p
)
UPDATE positions p
SET next = m.new, last_at = greatest(p.last_at, m.last_at), moved_at = clock_timestamp()
FROM moves m JOIN locked l USING (topic, partition)
WHERE p.grp = :grp AND p.cluster = :cluster AND p.topic = m.topic AND p.partition = m.partition
    AND p.next = m.old AND p.epoch = m.epoch
""")
_STOP: Final = text("""
UPDATE positions p SET stopped = s.reason
FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:reasons AS text[]))
    AS s (topic, partition, reason)
WHERE p.grp = :grp AND p.cluster = :cluster AND p.topic = s.topic AND p.partition = s.partition
""")
_SET: Final = text("""
UPDATE positions
SET next = :next, epoch = epoch + 1, stopped = '', moved_at = clock_timestamp()
WHERE grp = :grp AND cluster = :cluster AND topic = :topic AND partition = :partition
""")
_RESUME: Final = text("""
UPDATE positions SET epoch = epoch + 1, stopped = '', moved_at = clock_timestamp()
WHERE grp = :grp AND cluster = :cluster AND stopped <> ''
RETURNING topic, partition, next
""")
_EPOCHS: Final = text("""
SELECT topic, partition, epoch FROM positions
WHERE grp = :grp AND cluster = :cluster AND topic = ANY (CAST(:topics AS text[]))
""")
_WATERMARK: Final = text("""
SELECT min(last_at), count(last_at) FROM positions
WHERE grp = :grp AND cluster = :cluster AND topic = :topic
""")
_LIST: Final = text("""
SELECT grp, cluster, topic, partition, next, epoch, owner, last_at, moved_at, stopped
FROM positions ORDER BY grp, cluster, topic, partition
""")


async def claim(
    conn: AsyncConnection,
    group: str,
    cluster: str,
    owner: str,
    ranges: Mapping[TopicPartition, Range],
) -> dict[TopicPartition, Position]:
    """Takes these partitions over: from here on their old owner's transactions fail.

    A group that never stood here starts at the log's first kept record.
    """
    values = {**_keys(ranges), "starts": [at.start for at in ranges.values()], "owner": owner}
    rows = await conn.execute(_CLAIM, {"grp": group, "cluster": cluster, **values})
    return {TopicPartition(row[0], row[1]): Position(row[2], row[3], row[4]) for row in rows}


async def advance(
    conn: AsyncConnection, group: str, cluster: str, moves: Mapping[TopicPartition, Move]
) -> None:
    """Moves the positions; must be the first statement of its transaction.

    Raises Fenced when any of them is not where, or not whose, the caller thinks.
    """
    values = {
        **_keys(moves),
        "olds": [move.old for move in moves.values()],
        "news": [move.new for move in moves.values()],
        "epochs": [move.epoch for move in moves.values()],
        "ats": [move.last_at for move in moves.values()],
    }
    moved = await conn.execute(_ADVANCE, {"grp": group, "cluster": cluster, **values})
    if moved.rowcount != len(moves):
        raise Fenced(f"{group}: {len(moves) - moved.rowcount} of {len(moves)} partitions are taken")


async def stop(
    conn: AsyncConnection, group: str, cluster: str, reasons: Mapping[TopicPartition, str]
) -> None:
    """Marks the partitions as stopped, or, with an empty reason, as going on again."""
    values = {**_keys(reasons), "reasons": list(reasons.values())}
    await conn.execute(_STOP, {"grp": group, "cluster": cluster, **values})


async def set_position(
    conn: AsyncConnection, group: str, cluster: str, tp: TopicPartition, next: int
) -> None:
    """A person's decision: the partition goes on from `next`; its owner has to claim it again.

    Raises NotFound when the group has never claimed it.
    """
    values = {"topic": tp.topic, "partition": tp.partition, "next": next}
    done = await conn.execute(_SET, {"grp": group, "cluster": cluster, **values})
    if done.rowcount != 1:
        raise NotFound(f"group {group} has no position in {tp.topic}/{tp.partition} on {cluster}")


async def resume(conn: AsyncConnection, group: str, cluster: str) -> dict[TopicPartition, int]:
    """A person's decision: what stands still goes on where it stands; its owner has to claim it
    again. Where that is, for each partition."""
    rows = await conn.execute(_RESUME, {"grp": group, "cluster": cluster})
    return {TopicPartition(row[0], row[1]): row[2] for row in rows}


async def epochs(
    conn: AsyncConnection, group: str, cluster: str, topics: Iterable[str]
) -> dict[TopicPartition, int]:
    values = {"grp": group, "cluster": cluster, "topics": list(topics)}
    return {TopicPartition(row[0], row[1]): row[2] for row in await conn.execute(_EPOCHS, values)}


async def watermark(conn: AsyncConnection, group: str, cluster: str, topic: str) -> datetime | None:
    """Everything the log took before this instant is behind the group, on every partition.

    None while a partition has not moved yet: then nothing can be said.
    """
    values = {"grp": group, "cluster": cluster, "topic": topic}
    least, known = (await conn.execute(_WATERMARK, values)).one()
    return least if known == partitions_of(topic) else None


async def listing(conn: AsyncConnection) -> list[Listed]:
    return [
        Listed(row[0], row[1], TopicPartition(row[2], row[3]), *row[4:])
        for row in await conn.execute(_LIST)
    ]


def lost(next: int, kept: Range | None) -> str:
    """Why a position cannot be read from, in words for the operator; empty when it can."""
    if kept is None:
        return "the log has no such partition"
    if next < kept.start:
        return f"position {next} is below the log's first kept offset {kept.start}"
    if next > kept.end:
        return f"position {next} is above the log's end {kept.end}"
    return ""


def _keys(partitions: Mapping[TopicPartition, object]) -> dict[str, Any]:
    return {
        "topics": [tp.topic for tp in partitions],
        "partitions": [tp.partition for tp in partitions],
    }
