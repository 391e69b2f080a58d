"""What every log promises (`shared.broker`), against real servers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from shared.broker import (
    MESSAGE_BYTES,
    Batch,
    Broker,
    Consumer,
    Message,
    Range,
    Record,
    TopicPartition,
)
from shared.broker.kafka import KafkaBroker
from shared.broker.partitioner import partition_for
from shared.broker.postgres import PostgresBroker
from shared.settings import Settings

BOUND = 45.0  # s for anything here; a rebalance takes the most of it


class Log:
    """One log with one topic of the test's own; `open` is another process that uses it."""

    def __init__(self, make: Callable[[str], Broker], stack: AsyncExitStack) -> None:
        self.topic = f"test-{uuid4().hex[:8]}"
        self.group = f"group-{uuid4().hex[:8]}"
        self._make = make
        self.stack = stack

    async def open(self) -> Broker:
        broker = self._make(self.topic)
        await broker.start()
        self.stack.push_async_callback(broker.stop)
        return broker

    async def join(self, broker: Broker) -> Consumer:
        return await self.stack.enter_async_context(broker.consumer(self.group, [self.topic]))

    def messages(self, count: int, *, at: int = 0) -> list[Message]:
        return [self.message(str(n), f"key-{n % 7}") for n in range(at, at + count)]

    def message(self, value: str, key: str = "key", partition: int | None = None) -> Message:
        return Message(self.topic, key.encode(), value.encode(), partition=partition)

    def at(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def make(request: pytest.FixtureRequest) -> Callable[[str], Broker]:
    if request.param == "postgres":
        url = request.getfixturevalue("database_url")
        return lambda topic: PostgresBroker(url, (topic,))
    settings = Settings(kafka_bootstrap=request.getfixturevalue("kafka"))
    return lambda topic: KafkaBroker(settings, (topic,))


@pytest.fixture
async def log(make: Callable[[str], Broker]) -> AsyncIterator[Log]:
    async with AsyncExitStack() as stack:
        yield Log(make, stack)


async def assigned(consumer: Consumer, count: int = 12) -> Batch:
    """Fetches until the group has given us so many partitions."""
    async with asyncio.timeout(BOUND):
        while True:
            batch = await consumer.fetch(1, 0.2)
            if len(batch.assigned) == count:
                return batch


async def collect(consumer: Consumer, count: int, most: int = 500) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(BOUND):
        while len(records) < count:
            records += (await consumer.fetch(most, 1.0)).records
    return records


def values_by_key(records: Sequence[Record]) -> dict[bytes, list[int]]:
    found = defaultdict(list)
    for record in records:
        found[record.key].append(int(record.value))
    return dict(found)


async def test_records_come_in_order_per_key(log: Log) -> None:
    broker = await log.open()
    for at in range(0, 60, 20):
        await broker.publish(log.messages(20, at=at))
    consumer = await log.join(broker)
    await assigned(consumer)
    records = await collect(consumer, 60)
    assert len(records) == 60
    for key, values in values_by_key(records).items():
        assert values == [n for n in range(60) if f"key-{n % 7}".encode() == key]


async def test_a_partition_numbers_its_records_one_by_one(log: Log) -> None:
    broker = await log.open()
    await broker.publish([log.message(str(n), partition=3) for n in range(5)])
    await broker.publish([log.message("5", partition=3)])
    consumer = await log.join(broker)
    await assigned(consumer)
    records = await collect(consumer, 6)
    assert [(r.partition, r.offset) for r in records] == [(3, n) for n in range(6)]


async def test_the_key_decides_the_partition_as_in_kafka(log: Log) -> None:
    broker = await log.open()
    await broker.publish(log.messages(14))
    consumer = await log.join(broker)
    await assigned(consumer)
    for record in await collect(consumer, 14):
        assert record.partition == partition_for(record.key, 12)


async def test_what_publish_returned_for_is_there_after_a_reconnect(log: Log) -> None:
    first = await log.open()
    await first.publish(log.messages(10))
    await first.stop()
    consumer = await log.join(await log.open())
    await assigned(consumer)
    assert len(await collect(consumer, 10)) == 10


async def test_two_thousand_messages_at_once(log: Log) -> None:
    broker = await log.open()
    await broker.publish(log.messages(2_000))
    consumer = await log.join(broker)
    await assigned(consumer)
    found = values_by_key(await collect(consumer, 2_000))
    assert sum(map(len, found.values())) == 2_000
    assert all(values == sorted(values) for values in found.values())


async def test_concurrent_publishers_of_two_processes_lose_nothing(log: Log) -> None:
    one, two = await log.open(), await log.open()

    async def speak(broker: Broker, key: str) -> None:
        for n in range(25):
            await broker.publish([log.message(str(n), key)])

    async with asyncio.timeout(BOUND):
        await asyncio.gather(*(speak((one, two)[n % 2], f"speaker-{n}") for n in range(32)))
    consumer = await log.join(one)
    await assigned(consumer)
    found = values_by_key(await collect(consumer, 800))
    assert found == {f"speaker-{n}".encode(): list(range(25)) for n in range(32)}
    assert sum(kept.end for kept in (await one.ranges([log.topic])).values()) == 800


async def test_headers_and_empty_parts_come_back_as_they_were(log: Log) -> None:
    broker = await log.open()
    headers = (("ce_id", b"1"), ("twice", b""), ("twice", b"\x00\xff"), ("näme", "ü".encode()))
    await broker.publish(
        [
            Message(log.topic, b"", b"", headers, 0),
            Message(log.topic, b"\x00k", b"\xff" * 100_000, (), 1),
        ]
    )
    consumer = await log.join(broker)
    await assigned(consumer)
    first, second = sorted(await collect(consumer, 2), key=lambda record: record.partition)
    assert (first.key, first.value, first.headers) == (b"", b"", headers)
    assert (second.key, second.value, second.headers) == (b"\x00k", b"\xff" * 100_000, ())


async def test_timestamps_are_the_logs_own_and_never_run_backwards(log: Log) -> None:
    broker = await log.open()
    before = datetime.now(UTC)
    for n in range(20):
        await broker.publish([log.message(str(n), partition=0)])
    consumer = await log.join(broker)
    await assigned(consumer)
    times = [record.timestamp for record in await collect(consumer, 20)]
    assert all(earlier <= later for earlier, later in pairwise(times))
    slack = timedelta(seconds=1)
    assert before - slack <= times[0] <= times[-1] <= datetime.now(UTC) + slack


async def test_no_more_records_than_asked_for(log: Log) -> None:
    broker = await log.open()
    await broker.publish(log.messages(30))
    consumer = await log.join(broker)
    await assigned(consumer)
    sizes: list[int] = []
    async with asyncio.timeout(BOUND):
        while sum(sizes) < 30:
            sizes.append(len((await consumer.fetch(7, 1.0)).records))
    assert max(sizes) <= 7


async def test_an_idle_fetch_ends_and_a_new_record_ends_it_sooner(log: Log) -> None:
    broker = await log.open()
    consumer = await log.join(broker)
    generation = (await assigned(consumer)).generation
    async with asyncio.timeout(10):
        assert await consumer.fetch(10, 0.1) == Batch(generation, partitions(log))
    waiting = asyncio.create_task(consumer.fetch(10, BOUND))
    await broker.publish([log.message("now")])
    async with asyncio.timeout(10):
        assert [record.value for record in (await waiting).records] == [b"now"]


def partitions(log: Log) -> frozenset[TopicPartition]:
    return frozenset(log.at(partition) for partition in range(12))


async def test_seek_goes_back_and_forth(log: Log) -> None:
    broker = await log.open()
    await broker.publish([log.message(str(n), partition=2) for n in range(10)])
    consumer = await log.join(broker)
    await assigned(consumer)
    assert len(await collect(consumer, 10)) == 10
    await consumer.seek({log.at(2): 4})
    assert [r.offset for r in await collect(consumer, 6)] == [4, 5, 6, 7, 8, 9]
    await consumer.seek({log.at(2): 9})
    assert [r.offset for r in await collect(consumer, 1)] == [9]


async def test_a_paused_partition_gives_nothing_until_it_is_resumed(log: Log) -> None:
    broker = await log.open()
    consumer = await log.join(broker)
    await assigned(consumer)
    consumer.pause(frozenset({log.at(0)}))
    await broker.publish([log.message("held", partition=0), log.message("free", partition=1)])
    assert [r.value for r in await collect(consumer, 1)] == [b"free"]
    assert (await consumer.fetch(10, 0.5)).records == ()
    consumer.pause(frozenset())
    await consumer.seek({log.at(0): 0})
    assert [r.value for r in await collect(consumer, 1)] == [b"held"]


async def test_a_group_is_handed_over_with_a_new_generation(log: Log) -> None:
    broker, other = await log.open(), await log.open()
    await broker.publish(log.messages(20))
    async with broker.consumer(log.group, [log.topic]) as first:
        before = await assigned(first)
        assert len(await collect(first, 20)) == 20
        second = await log.join(other)
        await asyncio.gather(first.fetch(1, 0.1), second.fetch(1, 0.1))
    after = await assigned(second)
    assert before.generation >= 1
    assert after.generation >= 1
    assert after.records == ()  # its positions have to be claimed first
    await second.seek(dict.fromkeys(after.assigned, 0))
    assert len(await collect(second, 20)) == 20


async def test_members_of_a_group_never_share_a_partition(log: Log) -> None:
    one, two = await log.join(await log.open()), await log.join(await log.open())
    seen: dict[Consumer, frozenset[TopicPartition]] = {}
    settled = asyncio.Event()

    async def attend(consumer: Consumer) -> None:
        while not settled.is_set():
            seen[consumer] = (await consumer.fetch(1, 0.2)).assigned
            if len(seen) == 2 and sum(map(len, seen.values())) == 12:
                settled.set()

    async with asyncio.timeout(BOUND):
        await asyncio.gather(attend(one), attend(two))
    assert not seen[one] & seen[two]


async def test_a_position_outside_the_log_opens_a_new_generation(log: Log) -> None:
    broker = await log.open()
    await broker.publish([log.message(str(n), partition=0) for n in range(5)])
    consumer = await log.join(broker)
    known = await assigned(consumer)
    await consumer.seek(dict.fromkeys(known.assigned, 0))
    await consumer.seek({log.at(0): 50})
    async with asyncio.timeout(BOUND):
        while (batch := await consumer.fetch(10, 0.5)).generation == known.generation:
            assert batch.records == ()
    assert batch.records == ()


async def test_ranges_tell_both_ends(log: Log) -> None:
    broker = await log.open()
    empty = await broker.ranges([log.topic])
    assert empty == dict.fromkeys(partitions(log), Range(0, 0))
    await broker.publish([log.message(str(n), partition=5) for n in range(3)])
    assert await broker.ranges([log.topic]) == {**empty, log.at(5): Range(0, 3)}


async def test_peek_shows_what_waits_first(log: Log) -> None:
    broker = await log.open()
    await broker.publish([log.message(f"a{n}", partition=0) for n in range(3)])
    await broker.publish([log.message("b0", partition=1)])
    found = await broker.peek({log.at(0): 1, log.at(1): 1, log.at(2): 0})
    assert {tp: record.value for tp, record in found.items()} == {log.at(0): b"a1"}
    assert found[log.at(0)].offset == 1
    again = await broker.peek({log.at(0): 0, log.at(1): 0})
    assert {tp: record.value for tp, record in again.items()} == {
        log.at(0): b"a0",
        log.at(1): b"b0",
    }
    assert await broker.peek({}) == {}


async def test_a_hint_is_shown_to_operators_and_moves_nobody(log: Log) -> None:
    broker = await log.open()
    assert (await broker.commits(log.group, [log.topic])).offsets == {}
    await broker.publish([log.message(str(n), partition=0) for n in range(4)])
    consumer = await log.join(broker)
    await assigned(consumer)
    await collect(consumer, 4)
    await consumer.hint({log.at(0): 2})
    assert (await broker.commits(log.group, [log.topic])).offsets == {log.at(0): 2}
    await broker.publish([log.message("4", partition=0)])
    assert [r.offset for r in await collect(consumer, 1)] == [4]


async def test_groups_do_not_disturb_each_other(log: Log) -> None:
    broker = await log.open()
    await broker.publish(log.messages(10))
    first = await log.join(broker)
    await assigned(first)
    assert len(await collect(first, 10)) == 10
    async with broker.consumer(f"{log.group}-other", [log.topic]) as other:
        await assigned(other)
        assert len(await collect(other, 10)) == 10


@pytest.mark.parametrize(
    ("topic", "partition", "size"),
    [("unknown", None, 1), (None, 12, 1), (None, -1, 1), (None, None, MESSAGE_BYTES + 1)],
)
async def test_a_message_no_log_would_take_is_refused_at_once(
    log: Log, topic: str | None, partition: int | None, size: int
) -> None:
    broker = await log.open()
    good = log.message("good", partition=0)
    bad = Message(topic or log.topic, b"k", b"x" * size, partition=partition)
    with pytest.raises(ValueError):
        await broker.publish([good, bad])
    assert all(kept.end == 0 for kept in (await broker.ranges([log.topic])).values())


async def test_the_largest_message_passes(log: Log) -> None:
    broker = await log.open()
    await broker.publish([Message(log.topic, b"k", b"x" * MESSAGE_BYTES, partition=0)])
    consumer = await log.join(broker)
    await assigned(consumer)
    assert len((await collect(consumer, 1))[0].value) == MESSAGE_BYTES


async def test_it_answers_and_has_a_name(log: Log) -> None:
    broker = await log.open()
    await broker.ping()
    assert broker.cluster == (await log.open()).cluster != ""


async def test_publishing_nothing_is_nothing(log: Log) -> None:
    await (await log.open()).publish([])
