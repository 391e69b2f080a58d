"""The consumer loop on both logs: each record has its effect once, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import positions
from shared.accounts import Accounts
from shared.blobs import FolderBlobs
from shared.broker import Broker, Message, Range, TopicPartition
from shared.broker.headers import unpack
from shared.broker.kafka import KafkaBroker
from shared.broker.postgres import PostgresBroker
from shared.cloudevents import Received, encode
from shared.consuming import consume
from shared.database import connect, copy, transaction
from shared.errors import BlobsUnavailable
from shared.events import HeartbeatSent
from shared.progress import Progress
from shared.runtime import Handler, Runtime, Subscription
from shared.settings import Settings
from tests.waiting import until

TABLES = (
    "CREATE TABLE effect (number int NOT NULL, part int NOT NULL, at bigint NOT NULL)",
    "CREATE TABLE contended (id int PRIMARY KEY, hits int NOT NULL DEFAULT 0)",
    "INSERT INTO contended (id) VALUES (1), (2)",
)
AT = datetime(2025, 3, 4, tzinfo=UTC)


async def note(conn: AsyncConnection, batch: Sequence[Received]) -> None:
    """The effect of an event here: a row with its number and its place."""
    rows = [(number(item), item.record.partition, item.record.offset) for item in batch]
    await copy(conn, "effect", ("number", "part", "at"), rows)


def number(item: Received) -> int:
    assert isinstance(item.body, HeartbeatSent)
    return item.body.partition


class Line:
    """A log, a database and any number of processes that consume for one group."""

    def __init__(self, make: Callable[[str], Broker], url: str, folder: Path) -> None:
        self.topic = f"test-{uuid4().hex[:8]}"
        self.group = f"group-{uuid4().hex[:8]}"
        self.engine = connect(url)
        self._folder = folder
        self._make = make
        self._stack = AsyncExitStack()
        self.broker: Broker

    async def __aenter__(self) -> Line:
        self._stack.push_async_callback(self.engine.dispose)
        async with transaction(self.engine) as conn:
            for statement in TABLES:
                await conn.execute(text(statement))
        self.broker = await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self) -> Broker:
        broker = self._make(self.topic)
        await broker.start()
        self._stack.push_async_callback(broker.stop)
        return broker

    def member(self, handle: Handler = note, **more: Any) -> Member:
        return Member(self, handle, **more)

    def event(self, n: int, partition: int | None = None) -> Message:
        body = HeartbeatSent(partition=n, sent_at=AT)
        key = f"key-{n % 20}".encode()
        return encode(self.topic, key, body, id=str(n), source="/test", partition=partition)

    async def publish(self, numbers: Sequence[int], partition: int | None = None) -> None:
        await self.broker.publish([self.event(n, partition) for n in numbers])

    async def effects(self) -> Counter[int]:
        async with transaction(self.engine) as conn:
            rows = await conn.execute(text("SELECT number FROM effect"))
            return Counter(row[0] for row in rows)

    async def has_effects(self, count: int) -> None:
        async def enough() -> bool:
            return (await self.effects()).total() >= count

        await until(enough)

    async def dead_letters(self) -> list[Message]:
        rows = "SELECT topic, key, value, headers FROM outbox ORDER BY id"
        async with transaction(self.engine) as conn:
            found = [tuple(row) for row in await conn.execute(text(rows))]
        return [Message(t, k, v, unpack(h)) for t, k, v, h in found]

    async def places(self) -> dict[TopicPartition, positions.Listed]:
        async with transaction(self.engine) as conn:
            return {row.tp: row for row in await positions.listing(conn)}


class Member:
    """One process of the group, while it is entered."""

    def __init__(self, line: Line, handle: Handler, broker: Broker | None = None) -> None:
        self.progress = Progress()
        self.stop = asyncio.Event()
        self._subscription = Subscription(line.group, [line.topic], handle)
        self._runtime = Runtime(
            Settings(), line.engine, broker or line.broker, FolderBlobs(line._folder), Accounts({})
        )

    @property
    def state(self) -> str:
        return self.progress.of(self._subscription.group).state

    async def is_in(self, *states: str) -> None:
        async def there() -> bool:
            return self.state in states

        await until(there)

    async def __aenter__(self) -> Member:
        work = consume(self._runtime, self._subscription, progress=self.progress, stop=self.stop)
        self.task = asyncio.create_task(work)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        async with asyncio.timeout(30):
            await self.task


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def make(request: pytest.FixtureRequest, database_url: str) -> Callable[[str], Broker]:
    if request.param == "postgres":
        return lambda topic: PostgresBroker(database_url, (topic,))
    settings = Settings(kafka_bootstrap=request.getfixturevalue("kafka"))
    return lambda topic: KafkaBroker(settings, (topic,))


@pytest.fixture
async def line(
    make: Callable[[str], Broker], database_url: str, tmp_path: Path
) -> AsyncIterator[Line]:
    async with Line(make, database_url, tmp_path) as line:
        yield line


async def test_every_record_has_its_effect_once(line: Line) -> None:
    await line.publish(range(1_200))
    async with line.member() as member:
        await line.has_effects(1_200)
        assert member.state == "running"
    assert await line.effects() == Counter(range(1_200))
    ends = {tp: kept.end for tp, kept in (await line.broker.ranges([line.topic])).items()}
    assert {tp: row.next for tp, row in (await line.places()).items()} == ends
    hints = (await line.broker.commits(line.group, [line.topic])).offsets
    assert hints == {tp: end for tp, end in ends.items() if end}


async def test_the_next_process_goes_on_where_the_database_says(line: Line) -> None:
    await line.publish(range(100))
    async with line.member():
        await line.has_effects(100)
    await line.publish(range(100, 150))
    async with line.member(broker=await line.open()):
        await line.has_effects(150)
    assert await line.effects() == Counter(range(150))


async def test_poison_is_found_among_five_hundred_and_the_others_handled_once(line: Line) -> None:
    async def handle(conn: AsyncConnection, batch: Sequence[Received]) -> None:
        await note(conn, batch)
        if any(number(item) == 321 for item in batch):
            raise ZeroDivisionError

    await line.publish(range(500), partition=4)
    async with line.member(handle):
        await line.has_effects(499)
        await line.publish([500], partition=4)
        await line.has_effects(500)
    assert await line.effects() == Counter(set(range(501)) - {321})
    (letter,) = await line.dead_letters()
    bad = line.event(321)
    assert (letter.topic, letter.key, letter.value) == (f"{line.topic}.dlq", bad.key, bad.value)
    headers = dict(letter.headers)
    assert headers["ce_id"] == b"321"
    assert headers["dlq_reason"] == b"ZeroDivisionError"
    assert headers["dlq_topic"] == line.topic.encode()
    assert (headers["dlq_partition"], headers["dlq_offset"]) == (b"4", b"321")


async def test_what_cannot_be_decoded_is_a_dead_letter_at_once(line: Line) -> None:
    junk = [
        Message(line.topic, b"k", b"{not json", (("ce_id", b"1"),), 0),
        Message(line.topic, b"k", b'{"type":"nobody.knows"}', (("ce_id", b"2"),), 0),
        Message(line.topic, b"k", b"{}", (), 0),
        Message(line.topic, b"", b"", (("ce_id", b"\xff"),), 0),
    ]
    await line.broker.publish([line.event(1, 0), *junk, line.event(2, 0)])
    async with line.member():
        await line.has_effects(2)
    assert await line.effects() == Counter([1, 2])
    letters = await line.dead_letters()
    assert [letter.value for letter in letters] == [message.value for message in junk]
    assert all(dict(letter.headers)["dlq_reason"] for letter in letters)


async def test_too_many_dead_letters_in_a_row_stop_the_consumer(line: Line) -> None:
    junk = [Message(line.topic, b"k", b"junk", partition=0) for _ in range(30)]
    await line.broker.publish([line.event(1, 0), *junk, line.event(2, 0)])
    async with line.member() as member:
        await member.is_in("stopped")
        place = (await line.places())[TopicPartition(line.topic, 0)]
        assert place.next == 21  # the good one and twenty dead letters
        assert "too many dead letters" in place.stopped
        assert len(await line.dead_letters()) == 20
        assert not member.task.done()
        # A person skips what is left of them.
        await set_position(line, 0, 31)
        await line.has_effects(2)
        assert member.progress.of(line.group).stopped.keys() == {
            TopicPartition(line.topic, n) for n in range(1, 12)
        }
    assert await line.effects() == Counter([1, 2])


async def test_a_new_process_tries_poison_again(line: Line) -> None:
    junk = [Message(line.topic, b"k", b"junk", partition=0) for _ in range(25)]
    await line.broker.publish([*junk, line.event(2, 0)])
    async with line.member() as member:
        await member.is_in("stopped")
    async with line.member():
        await line.has_effects(1)
    assert len(await line.dead_letters()) == 25


async def set_position(line: Line, partition: int, next: int) -> None:
    async with transaction(line.engine) as conn:
        at = TopicPartition(line.topic, partition)
        await positions.set_position(conn, line.group, line.broker.cluster, at, next)


async def test_a_lost_position_stops_its_partition_only(line: Line) -> None:
    await line.publish(range(10), partition=0)
    await line.publish(range(10, 20), partition=1)
    async with line.member():
        await line.has_effects(20)
    await set_position(line, 0, 1_000)
    await line.publish([20], partition=1)
    async with line.member() as member:
        await line.has_effects(21)
        place = (await line.places())[TopicPartition(line.topic, 0)]
        assert (place.next, "above the log's end" in place.stopped) == (1_000, True)
        assert member.state == "running"
        await set_position(line, 0, 7)
        await line.has_effects(24)
    assert await line.effects() == Counter([*range(21), 7, 8, 9])


async def test_a_position_below_the_logs_start_is_never_reset(
    database_url: str, tmp_path: Path
) -> None:
    async with Line(
        lambda topic: PostgresBroker(database_url, (topic,)), database_url, tmp_path
    ) as line:
        await line.publish(range(10), partition=0)
        async with line.member():
            await line.has_effects(10)
        await set_position(line, 0, 3)
        assert isinstance(line.broker, PostgresBroker)
        assert await line.broker.trim(datetime.now(UTC)) == 10
        assert (await line.broker.ranges([line.topic]))[TopicPartition(line.topic, 0)] == Range(
            10, 10
        )
        await line.publish([10], partition=0)

        async def stopped() -> bool:
            place = (await line.places())[TopicPartition(line.topic, 0)]
            return "below the log's first" in place.stopped

        async with line.member():
            await until(stopped)
        assert await line.effects() == Counter(range(10))


async def test_a_deadlock_is_repeated_then_halved_and_loses_nothing(line: Line) -> None:
    hit = text("UPDATE contended SET hits = hits + 1 WHERE id = :id")
    sizes: list[int] = []

    async def deadlock(conn: AsyncConnection) -> None:
        """Somebody else holds what we want next and wants what we hold; we are the victim."""
        async with transaction(line.engine) as other:
            await other.execute(text("SET LOCAL deadlock_timeout = '30s'"))
            await conn.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
            await other.execute(hit, {"id": 2})
            await conn.execute(hit, {"id": 1})
            blocked = asyncio.create_task(other.execute(hit, {"id": 1}))
            try:
                await conn.execute(hit, {"id": 2})
            finally:
                await conn.rollback()
                await blocked

    async def handle(conn: AsyncConnection, batch: Sequence[Received]) -> None:
        await note(conn, batch)
        sizes.append(len(batch))
        if len(sizes) <= 3:
            await deadlock(conn)

    await line.publish(range(40), partition=0)
    async with line.member(handle):
        await line.has_effects(40)
    assert sizes == [40, 40, 20, 20, 20]
    assert await line.effects() == Counter(range(40))
    assert await line.dead_letters() == []


async def test_a_stale_consumer_has_no_effect_and_claims_again(line: Line) -> None:
    """Somebody else takes a partition over while we stand between the fetch and the effect."""
    waiting = text(
        "SELECT count(*) > 0 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    at = TopicPartition(line.topic, 0)

    async def we_wait() -> bool:
        async with transaction(line.engine) as conn:
            return bool((await conn.execute(waiting)).scalar_one())

    async with line.member() as member:
        await line.publish([100], partition=1)
        await line.has_effects(1)
        async with transaction(line.engine) as other:
            names = (other, line.group, line.broker.cluster)
            epoch = (await positions.claim(*names, "another", {at: Range(0, 0)}))[at].epoch
            await line.publish(range(10), partition=0)
            await until(we_wait)
            # The other one handles five of the records, commits and goes away.
            await positions.advance(*names, {at: positions.Move(0, 5, epoch, AT)})
            await copy(other, "effect", ("number", "part", "at"), [(n, 0, n) for n in range(5)])
        await line.has_effects(11)
        assert not member.task.done()
    assert await line.effects() == Counter([100, *range(10)])
    assert (await line.places())[at].owner == Settings().instance


async def test_a_rebalance_under_load_loses_and_repeats_nothing(line: Line) -> None:
    total = 3_000
    published = asyncio.Event()

    async def load() -> None:
        for at in range(0, total, 50):
            await line.publish(range(at, at + 50))
        published.set()

    loading = asyncio.create_task(load())
    async with line.member(broker=await line.open()):
        await line.has_effects(100)
        for _ in range(3):
            async with line.member(broker=await line.open()) as other:
                await other.is_in("running", "standby")
        async with line.member(broker=await line.open()):
            await published.wait()
            await line.has_effects(total)
    await loading
    assert await line.effects() == Counter(range(total))
    await in_order(line.engine)


async def in_order(engine: AsyncEngine) -> None:
    """The effects of each partition were committed in the log's order."""
    rows = text("SELECT part, at FROM effect ORDER BY part, xmin::text::bigint, ctid")
    async with transaction(engine) as conn:
        seen = [tuple(row) for row in await conn.execute(rows)]
    assert seen == sorted(seen)


async def test_while_a_dependency_is_away_it_waits_and_loses_nothing(line: Line) -> None:
    away, tried = True, asyncio.Event()

    async def handle(conn: AsyncConnection, batch: Sequence[Received]) -> None:
        if away:
            tried.set()
            raise BlobsUnavailable("the blob store is full")
        await note(conn, batch)

    await line.publish(range(50))
    async with line.member(handle) as member:
        await tried.wait()
        await member.is_in("waiting_dependency")
        assert "the blob store is full" in member.progress.unready()[line.group]
        assert await line.effects() == Counter()
        away = False
        await line.has_effects(50)
        await member.is_in("running")
    assert await line.effects() == Counter(range(50))
    assert await line.dead_letters() == []


async def test_the_database_may_throw_everybody_out_at_any_moment(line: Line) -> None:
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with line.member():
        for at in range(0, 1_000, 100):
            await line.publish(range(at, at + 100))
            await line.has_effects(at + 1)
            async with transaction(line.engine) as conn:
                await conn.execute(kill)
        await line.has_effects(1_000)
    assert await line.effects() == Counter(range(1_000))


async def test_a_stop_lets_the_batch_in_hand_end(line: Line) -> None:
    begun = asyncio.Event()

    async def handle(conn: AsyncConnection, batch: Sequence[Received]) -> None:
        await note(conn, batch)
        begun.set()
        await conn.execute(text("SELECT pg_sleep(0.3)"))

    await line.publish(range(10), partition=0)
    async with line.member(handle):
        await begun.wait()
    assert await line.effects() == Counter(range(10))


async def test_a_cancellation_does_not_break_into_a_transaction(line: Line) -> None:
    begun = asyncio.Event()

    async def handle(conn: AsyncConnection, batch: Sequence[Received]) -> None:
        await note(conn, batch)
        begun.set()
        await conn.execute(text("SELECT pg_sleep(0.3)"))

    await line.publish(range(10), partition=0)
    member = line.member(handle)
    await member.__aenter__()
    await begun.wait()
    member.task.cancel()
    await asyncio.wait({member.task})
    assert member.task.cancelled()
    assert await line.effects() == Counter(range(10))
    assert (await line.places())[TopicPartition(line.topic, 0)].next == 10


async def test_records_may_be_handled_as_they_are(line: Line) -> None:
    seen: list[bytes] = []

    async def handle(conn: AsyncConnection, batch: Sequence[Any]) -> None:
        seen.extend(record.value for record in batch)

    member = line.member(handle)
    member._subscription = Subscription(
        line.group, [line.topic], handle, decode=lambda record: record
    )
    await line.broker.publish([Message(line.topic, b"k", b"no event", partition=0)])
    async with member:
        await until(lambda: _holds(seen))
    assert seen == [b"no event"]


async def _holds(seen: list[bytes]) -> bool:
    return bool(seen)
