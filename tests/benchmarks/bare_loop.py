"""The yardstick of the second figure: read a batch, COPY rows, move the positions, commit.

It decodes nothing and decides nothing; the rows are those the router made of the same messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from shared.broker import Broker, Range, TopicPartition
from shared.broker.kafka_options import consumer_options
from shared.sessions import Session, close_session, open_session
from shared.settings import Settings
from shared.topics import MESSAGES_RECEIVED

Rows = dict[tuple[str, tuple[str, ...]], list[tuple[Any, ...]]]
Places = Mapping[TopicPartition, int]
GetMany = Callable[[int], Awaitable[tuple[int, Places]]]

GROUP: Final = "bench.bare"
BATCH: Final = 500

_ELSEWHERE: Final = (
    "log_partition", "log_record", "log_commit", "positions", "policies", "clock", "ledger_key",
    "link_key", "feed_position",
    "alembic_version",
)  # fmt: skip
# Without what the database fills in by itself and refuses to be told.
_COLUMNS: Final = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> ALL ($1)
    AND is_identity = 'NO'
GROUP BY table_name ORDER BY table_name
"""
_BEGIN: Final = """
INSERT INTO positions (grp, cluster, topic, partition, next)
SELECT $1, 'bench', topic, partition, next
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS p (topic, partition, next)
"""
_MOVE: Final = """
UPDATE positions p SET next = m.next, moved_at = clock_timestamp()
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS m (topic, partition, next)
WHERE p.grp = $1 AND p.cluster = 'bench' AND p.topic = m.topic AND p.partition = m.partition
"""


async def rows_of(url: str) -> Rows:
    """What a router's run left behind, by table and its columns."""
    session = await open_session(url, "bench", statement_timeout="60s")
    try:
        tables = await session.fetch(_COLUMNS, list(_ELSEWHERE))
        rows: Rows = {}
        for table, columns in tables:
            # Ordered as it was written: later batches hold later rows.
            found = await session.fetch(
                f"SELECT {', '.join(columns)} FROM {table} ORDER BY ctid", timeout=60
            )
            if found:
                rows[table, tuple(columns)] = [tuple(row) for row in found]
        return rows
    finally:
        await close_session(session)


async def begin_at(session: Session, ranges: Mapping[TopicPartition, Range]) -> None:
    await session.execute(_BEGIN, GROUP, *_columns({tp: at.start for tp, at in ranges.items()}))


async def copy_all(session: Session, getmany: GetMany, rows: Rows, count: int) -> int:
    """Until `count` messages were read and all rows written. How many batches it took."""
    read = batches = 0
    while read < count:
        size, places = await getmany(BATCH)
        if not size:
            continue
        async with session.transaction():
            await session.execute(_MOVE, GROUP, *_columns(places))
            for (table, columns), every in rows.items():
                part = every[len(every) * read // count : len(every) * (read + size) // count]
                if part:
                    await session.copy_records_to_table(table, records=part, columns=columns)
        read += size
        batches += 1
    return batches


@asynccontextmanager
async def kafka_reader(
    broker: Broker, settings: Settings, ranges: Mapping[TopicPartition, Range]
) -> AsyncIterator[GetMany]:
    """aiokafka as Regie sets it, used directly."""
    consumer = AIOKafkaConsumer(MESSAGES_RECEIVED, **consumer_options(settings, GROUP))
    await consumer.start()

    async def getmany(most: int) -> tuple[int, Places]:
        found = await consumer.getmany(timeout_ms=1000, max_records=most)
        places = {TopicPartition(*tp): records[-1].offset + 1 for tp, records in found.items()}
        return sum(map(len, found.values())), places

    try:
        for tp, at in ranges.items():
            consumer.seek(KafkaPartition(*tp), at.start)
        yield getmany
    finally:
        await consumer.stop()


@asynccontextmanager
async def postgres_reader(
    broker: Broker, settings: Settings, ranges: Mapping[TopicPartition, Range]
) -> AsyncIterator[GetMany]:
    """The log in PostgreSQL, by its own consumer: there is nothing barer to read it with."""
    async with broker.consumer(GROUP, (MESSAGES_RECEIVED,)) as consumer:

        async def getmany(most: int) -> tuple[int, Places]:
            batch = await consumer.fetch(most, 1.0)
            places = {record.tp: record.offset + 1 for record in batch.records}
            return len(batch.records), places

        await consumer.fetch(1, 0.0)  # joins; what it may bring is fetched again
        await consumer.seek({tp: at.start for tp, at in ranges.items()})
        yield getmany


def _columns(places: Places) -> tuple[list[str], list[int], Sequence[int]]:
    return [tp.topic for tp in places], [tp.partition for tp in places], list(places.values())
