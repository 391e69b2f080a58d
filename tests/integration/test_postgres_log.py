"""What only the log in PostgreSQL does: group commit, standing by, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker import Batch, Consumer, Message, Range, TopicPartition
from shared.broker.postgres import PostgresBroker
from shared.broker.postgres_consumer import FETCH_BYTES
from shared.database import connect, transaction
from shared.errors import BrokerUnavailable
from shared.topics import CASES_CHANGED
from tests.waiting import BOUND, until

LOCK = text("SELECT 1 FROM log_partition WHERE topic = :topic AND partition = :p FOR UPDATE")
KILL = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = :name"
)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def broker(database_url: str) -> AsyncIterator[PostgresBroker]:
    broker = PostgresBroker(database_url)
    await broker.start()
    yield broker
    await broker.stop()


def message(value: bytes, partition: int = 0) -> Message:
    return Message(CASES_CHANGED, b"key", value, (), partition)


def at(partition: int) -> TopicPartition:
    return TopicPartition(CASES_CHANGED, partition)


async def scalar(engine: AsyncEngine, query: str) -> object:
    async with transaction(engine) as conn:
        return (await conn.execute(text(query))).scalar_one()


async def kill(engine: AsyncEngine, name: str) -> None:
    async with transaction(engine) as conn:
        assert (await conn.execute(KILL, {"name": name})).scalar_one() == 1


async def blocked(engine: AsyncEngine) -> None:
    """Waits until the writer waits for a lock."""
    query = (
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'regie-log-writer' AND wait_event_type = 'Lock'"
    )

    async def waits() -> bool:
        return bool(await scalar(engine, query))

    await until(waits)


async def active(consumer: Consumer) -> Batch:
    async with asyncio.timeout(BOUND):
        while not (batch := await consumer.fetch(1, 0.1)).assigned:
            pass
    return batch


async def test_concurrent_callers_share_transactions(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    await asyncio.gather(*(broker.publish([message(b"x", n % 12)]) for n in range(500)))
    assert await scalar(engine, "SELECT count(*) FROM log_record") == 500
    rounds = await scalar(engine, "SELECT count(DISTINCT xmin::text) FROM log_record")
    assert isinstance(rounds, int)
    assert rounds <= 5


async def test_a_failed_round_fails_its_own_callers_only(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    await broker.publish([message(b"before")])
    async with transaction(engine) as holder:
        await holder.execute(LOCK, {"topic": CASES_CHANGED, "p": 0})
        first = [asyncio.create_task(broker.publish([message(b"first")])) for _ in range(3)]
        await blocked(engine)
        second = [asyncio.create_task(broker.publish([message(b"second")])) for _ in range(3)]
        # A round survives the loss of one session, not that of the next as well.
        await kill(engine, "regie-log-writer")
        await blocked(engine)
        await kill(engine, "regie-log-writer")
        async with asyncio.timeout(BOUND):
            outcomes = await asyncio.gather(*first, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BrokerUnavailable] * 3
        assert not any(task.done() for task in second)
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*second)
    values = "SELECT string_agg(convert_from(value, 'UTF8'), ' ') FROM log_record"
    assert await scalar(engine, values) == "before second second second"


@pytest.mark.slow
async def test_nobody_waits_longer_than_ten_seconds(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    clock = asyncio.get_running_loop().time
    async with transaction(engine) as holder:
        await holder.execute(LOCK, {"topic": CASES_CHANGED, "p": 0})
        start = clock()
        one = asyncio.create_task(broker.publish([message(b"one")]))
        await blocked(engine)
        two = asyncio.create_task(broker.publish([message(b"two")]))
        outcomes = await asyncio.gather(one, two, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BrokerUnavailable] * 2
        assert clock() - start < 11
    await broker.publish([message(b"three")])


async def test_after_stop_nothing_is_taken(broker: PostgresBroker) -> None:
    await broker.publish([message(b"x")])
    await broker.stop()
    with pytest.raises(BrokerUnavailable):
        await broker.publish([message(b"y")])
    await broker.start()
    await broker.publish([message(b"z")])
    assert (await broker.ranges([CASES_CHANGED]))[at(0)] == Range(0, 2)


async def test_a_database_that_is_away_is_said_at_once(database_url: str) -> None:
    broker = PostgresBroker("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await broker.start()
    await broker.stop()


async def test_who_stands_by_takes_over_when_the_active_session_dies(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    async with (
        broker.consumer("group", [CASES_CHANGED]) as one,
        broker.consumer("group", [CASES_CHANGED]) as two,
    ):
        first = await active(one)
        assert (await two.fetch(1, 0.1)).assigned == frozenset()
        async with transaction(engine) as conn:
            pid = text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " JOIN pg_stat_activity USING (pid)"
                " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
            )
            assert (await conn.execute(pid)).scalar_one() is True
        second = await active(two)
        assert second.assigned == first.assigned
        with suppress(BrokerUnavailable):  # the loss may be seen before, or by, the next call
            await one.fetch(1, 0.1)
        after = await one.fetch(1, 0.1)  # usable, and standing by
        assert (after.assigned, after.generation > first.generation) == (frozenset(), True)


async def test_what_is_read_ahead_is_forgotten_by_a_seek(broker: PostgresBroker) -> None:
    await broker.publish([message(str(n).encode()) for n in range(30)])
    async with broker.consumer("group", [CASES_CHANGED]) as consumer:
        await active(consumer)
        assert [r.offset for r in (await consumer.fetch(10, 1)).records] == [*range(10)]
        await consumer.seek({at(0): 5})
        assert [r.offset for r in (await consumer.fetch(10, 1)).records] == [*range(5, 15)]
        consumer.pause(frozenset({at(0)}))
        assert (await consumer.fetch(10, 0.05)).records == ()
        consumer.pause(frozenset())
        assert [r.offset for r in (await consumer.fetch(10, 1)).records] == [*range(15, 25)]


async def test_a_fetch_is_fair_and_bounded_in_bytes(broker: PostgresBroker) -> None:
    await broker.publish([message(b"x" * (4 << 20)) for _ in range(8)])
    await broker.publish([message(b"small", 1) for _ in range(3)])
    async with broker.consumer("group", [CASES_CHANGED]) as consumer:
        await active(consumer)
        records = (await consumer.fetch(500, 1)).records
        assert [r.value for r in records if r.partition == 1] == [b"small"] * 3
        assert 0 < sum(len(r.value) for r in records) <= FETCH_BYTES + (4 << 20)
        seen = len(records)
        while seen < 11:
            seen += len((await consumer.fetch(500, 1)).records)
        assert seen == 11


async def test_trimming_forgets_the_old_and_keeps_counting(broker: PostgresBroker) -> None:
    await broker.publish([message(b"old", n % 2) for n in range(10)])
    between = datetime.now(UTC)
    await broker.publish([message(b"new", 0)])
    assert await broker.trim(between) == 10
    ranges = await broker.ranges([CASES_CHANGED])
    assert (ranges[at(0)], ranges[at(1)], ranges[at(2)]) == (Range(5, 6), Range(5, 5), Range(0, 0))
    assert (await broker.peek({at(0): 0}))[at(0)].offset == 5
    assert await broker.trim(between) == 0
    await broker.publish([message(b"newer", 1)])
    assert (await broker.ranges([CASES_CHANGED]))[at(1)] == Range(5, 6)


async def test_heartbeats_are_forgotten_earlier(broker: PostgresBroker) -> None:
    beat = Message(CASES_CHANGED, b"", b"beat", partition=0)
    await broker.publish([beat, message(b"kept", 0), beat])
    assert await broker.trim(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC)) == 2
    async with broker.consumer("group", [CASES_CHANGED]) as consumer:
        await active(consumer)
        records = (await consumer.fetch(500, 1)).records
    assert [(record.offset, record.value) for record in records] == [(1, b"kept")]


async def test_a_busy_application_does_not_starve_the_log(
    database_url: str, broker: PostgresBroker
) -> None:
    busy = connect(database_url, pool=1)
    async with busy.connect(), busy.connect():
        async with asyncio.timeout(BOUND):
            await broker.publish([message(b"x")])
    await busy.dispose()
