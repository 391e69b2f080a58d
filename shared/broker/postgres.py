"""The log in PostgreSQL: the same promises as Kafka's, for one machine or a few processes.

log_partition   one row a partition: the next offset and the first one kept
log_record      the records, by (topic, partition, offset)
log_commit      hints of the groups' progress
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker import GroupCommits, Message, Range, Record, TopicPartition
from shared.broker.answering import answering
from shared.broker.placing import place
from shared.broker.postgres_consumer import PostgresConsumer, record_of
from shared.broker.postgres_writer import Writer
from shared.errors import BrokerUnavailable
from shared.sessions import AWAY, Session, open_session, session_arguments
from shared.topics import DEAD_LETTER_TOPICS, TOPICS, partitions_of

CALL_SECONDS: Final = 8.0
PING_SECONDS: Final = 5.0
TRIM_ROWS: Final = 5_000
TRIM_SECONDS: Final = 60.0

_CREATE: Final = """
INSERT INTO log_partition (topic, partition)
SELECT * FROM unnest($1::text[], $2::int[]) ON CONFLICT DO NOTHING
"""
_RANGES: Final = "SELECT topic, partition, start, next FROM log_partition WHERE topic = ANY ($1)"
_COMMITS: Final = (
    "SELECT topic, partition, next FROM log_commit WHERE grp = $1 AND topic = ANY ($2)"
)
_COMMIT: Final = """
INSERT INTO log_commit (grp, topic, partition, next)
SELECT $1, h.topic, h.partition, h.next FROM unnest($2::text[], $3::int[], $4::bigint[])
    AS h (topic, partition, next) ORDER BY 2, 3
ON CONFLICT (grp, topic, partition) DO UPDATE SET next = excluded.next
"""
_PEEK: Final = """
SELECT r.topic, r.partition, r."offset", r.key, r.value, r.headers, r.at
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS p (topic, partition, next)
CROSS JOIN LATERAL (
    SELECT * FROM log_record s
    WHERE s.topic = p.topic AND s.partition = p.partition AND s."offset" >= p.next
    ORDER BY s."offset" LIMIT 1
) r
"""
# The records go first and the start is moved last, so that the partition's row, which every
# publisher needs, is locked for no longer than a commit takes.
_TRIM: Final = """
WITH old AS (
    SELECT r."offset", r.at FROM log_partition p
    JOIN log_record r ON r.topic = p.topic AND r.partition = p.partition AND r."offset" >= p.start
    WHERE p.topic = $1 AND p.partition = $2 ORDER BY r."offset" LIMIT $4
)
DELETE FROM log_record r USING old
WHERE r.topic = $1 AND r.partition = $2 AND r."offset" = old."offset" AND old.at < $3
RETURNING r."offset"
"""
_THIN: Final = "DELETE FROM log_record WHERE key = '' AND at < $1 RETURNING partition"
_MOVE_START: Final = "UPDATE log_partition SET start = $3 WHERE topic = $1 AND partition = $2"


class PostgresBroker:
    """See `shared.broker.Broker`. Uses sessions of its own: a busy application cannot starve it.

    where   the database's URL, or an engine whose URL is taken
    topics  those that exist; publishing to another one is a mistake in the program
    """

    def __init__(
        self,
        where: str | URL | AsyncEngine,
        topics: Sequence[str] = (*TOPICS, *DEAD_LETTER_TOPICS),
    ) -> None:
        self._url = where.url if isinstance(where, AsyncEngine) else where
        self._partitions = {topic: partitions_of(topic) for topic in topics}
        self._consumers: set[PostgresConsumer] = set()
        self._writer = Writer(lambda: self._session("regie-log-writer"), self._nudge)
        self._writing: asyncio.Task[None] | None = None
        self._pool: asyncpg.Pool | None = None

    @property
    def cluster(self) -> str:
        """The log shares the database of the positions, so one name is enough."""
        return "postgres"

    async def start(self) -> None:
        """Raises BrokerUnavailable when PostgreSQL does not answer; may be called again."""
        if self._pool is None:
            # All it writes may be lost in a crash: hints, and the trimming of old records.
            arguments = session_arguments(self._url, "regie-log", synchronous_commit="off")
            self._pool = await asyncpg.create_pool(**arguments, min_size=0, max_size=3)
        every = [(topic, p) for topic, count in self._partitions.items() for p in range(count)]
        await self._query(_CREATE, [topic for topic, _ in every], [p for _, p in every])
        if self._writing is None:
            self._writing = asyncio.create_task(self._writer.run(), name="log-writer")

    async def stop(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.wait({writing}, timeout=5)
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), timeout=2)
            except TimeoutError:
                pool.terminate()

    async def publish(self, messages: Sequence[Message]) -> None:
        placed = [(place(message, self._partitions), message) for message in messages]
        if self._writing is None or self._writing.done():
            raise BrokerUnavailable("the log is not open: it has not started yet, or was stopped")
        if placed:
            await self._writer.write(placed)

    def consumer(self, group: str, topics: Sequence[str]) -> PostgresConsumer:
        async def commit(positions: Mapping[TopicPartition, int]) -> None:
            await self._query(_COMMIT, group, *_columns(positions))

        return PostgresConsumer(
            group, topics, lambda: self._session(f"regie-{group}"), commit, self._consumers
        )

    async def ranges(self, topics: Sequence[str]) -> Mapping[TopicPartition, Range]:
        rows = await self._query(_RANGES, list(topics))
        return {TopicPartition(row[0], row[1]): Range(row[2], row[3]) for row in rows}

    async def commits(self, group: str, topics: Sequence[str]) -> GroupCommits:
        rows = await self._query(_COMMITS, group, list(topics))
        return GroupCommits({TopicPartition(row[0], row[1]): row[2] for row in rows})

    async def peek(
        self, positions: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record]:
        records = map(record_of, await self._query(_PEEK, *_columns(positions)))
        return {record.tp: record for record in records}

    async def ping(self) -> None:
        await self._query("SELECT 1", within=PING_SECONDS)

    async def trim(self, before: datetime, keyless_before: datetime | None = None) -> int:
        """Forgets the records written before this instant, in chunks; how many they were.

        Heartbeats (no key) would fill an idle log: they may go while what lies around them stays.
        """
        trimmed = 0
        if keyless_before is not None:
            trimmed += len(await self._query(_THIN, keyless_before, within=TRIM_SECONDS))
        for topic, count in self._partitions.items():
            for partition in range(count):
                while chunk := await self._trim_chunk(topic, partition, before):
                    trimmed += chunk
        return trimmed

    async def _trim_chunk(self, topic: str, partition: int, before: datetime) -> int:
        async with (
            answering("the log could not be trimmed", TRIM_SECONDS, AWAY),
            self._open_pool.acquire() as session,
            session.transaction(),
        ):
            arguments = (topic, partition, before, TRIM_ROWS)
            rows = await session.fetch(_TRIM, *arguments, timeout=TRIM_SECONDS)
            if rows:
                start = max(row[0] for row in rows) + 1
                await session.execute(_MOVE_START, topic, partition, start)
        return len(rows)

    def _nudge(self, topics: set[str]) -> None:
        for consumer in self._consumers:
            if not topics.isdisjoint(consumer.topics):
                consumer.nudge.set()

    async def _session(self, name: str) -> Session:
        # What publish calls durable is on disk, whatever the server's own default says.
        return await open_session(self._url, name, synchronous_commit="on")

    @property
    def _open_pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise BrokerUnavailable("the log is not open: it has not started yet, or was stopped")
        return self._pool

    async def _query(self, sql: str, *args: Any, within: float = CALL_SECONDS) -> list[Any]:
        async with answering("the log in PostgreSQL does not answer", within, AWAY):
            rows: list[Any] = await self._open_pool.fetch(sql, *args)
            return rows


def _columns(positions: Mapping[TopicPartition, int]) -> tuple[list[str], list[int], list[int]]:
    return [tp.topic for tp in positions], [tp.partition for tp in positions], [*positions.values()]
