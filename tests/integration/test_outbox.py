"""The outbox relay: everything committed is published, in order per key, whatever is away."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import outbox
from shared.broker import MESSAGE_BYTES, Message, TopicPartition
from shared.broker.postgres import PostgresBroker
from shared.database import connect, transaction
from shared.errors import BrokerUnavailable
from shared.outbox import SLOTS, Relay
from shared.progress import Progress
from shared.topics import CASES_CHANGED
from tests.waiting import BOUND, until


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


class Fickle(PostgresBroker):
    """The real log behind a line that can be cut."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.cut = True
        self.refused = asyncio.Event()

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.cut:
            self.refused.set()
            raise BrokerUnavailable("the line is cut")
        await super().publish(messages)


@asynccontextmanager
async def relaying(*relays: Relay) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for relay in relays:
            tasks.create_task(relay.run(stop))
        try:
            async with asyncio.timeout(BOUND):
                yield
        finally:
            stop.set()


def message(key: str, value: int) -> Message:
    return Message(CASES_CHANGED, key.encode(), str(value).encode(), (("ce_id", b"x"),))


async def save(engine: AsyncEngine, *messages: Message) -> None:
    async with transaction(engine) as conn:
        await outbox.enqueue(conn, messages)


async def emptied(engine: AsyncEngine) -> None:
    async def empty() -> bool:
        async with transaction(engine) as conn:
            return (await outbox.pending(conn)).count == 0

    await until(empty)


async def published(engine: AsyncEngine) -> dict[bytes, list[int]]:
    """The values in the log, by key, in its order."""
    rows = 'SELECT key, value FROM log_record ORDER BY topic, partition, "offset"'
    found = defaultdict(list)
    async with transaction(engine) as conn:
        for key, value in await conn.execute(text(rows)):
            found[key].append(int(value))
    return dict(found)


async def test_what_is_committed_is_published_whole(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    await save(engine, message("a", 1), Message(CASES_CHANGED, b"b", b"2", (("h", b"\xff"),), 11))
    async with relaying(Relay(engine, broker, Progress())):
        await emptied(engine)
    first = await broker.peek({TopicPartition(CASES_CHANGED, 11): 0})
    record = first[TopicPartition(CASES_CHANGED, 11)]
    assert (record.key, record.value, record.headers) == (b"b", b"2", (("h", b"\xff"),))
    assert (await published(engine))[b"a"] == [1]


async def test_what_is_rolled_back_is_not(engine: AsyncEngine, broker: PostgresBroker) -> None:
    async def fail() -> None:
        async with transaction(engine) as conn:
            await outbox.enqueue(conn, [message("a", 1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await save(engine, message("a", 2))
    async with relaying(Relay(engine, broker, Progress())):
        await emptied(engine)
    assert await published(engine) == {b"a": [2]}


async def test_a_long_transaction_loses_nothing(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    """Its ids are lower than those published while it was open: a cursor would pass them by."""
    async with relaying(Relay(engine, broker, Progress())):
        async with transaction(engine) as slow:
            await outbox.enqueue(slow, [message("slow", n) for n in range(3)])
            for n in range(20):
                await save(engine, message(f"quick-{n % 3}", n))
            await emptied(engine)
            before = await published(engine)
        await emptied(engine)
    assert sum(map(len, before.values())) == 20
    after = await published(engine)
    assert after == {**before, b"slow": [0, 1, 2]}
    assert all(values == sorted(values) for values in after.values())


async def test_two_relays_keep_the_order_of_each_key(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    async def write(key: str) -> None:
        for n in range(40):
            await save(engine, message(key, n))

    relays = [Relay(engine, broker, Progress()) for _ in range(2)]
    async with relaying(*relays):
        await asyncio.gather(*(write(f"key-{n}") for n in range(12)))
        await emptied(engine)
    assert await published(engine) == {f"key-{n}".encode(): list(range(40)) for n in range(12)}


async def test_slots_of_a_relay_that_ends_move_over(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    one, two = Relay(engine, broker, Progress()), Relay(engine, broker, Progress())
    async with relaying(two):
        async with relaying(one):
            await save(engine, *(message(f"key-{n}", 1) for n in range(50)))
            await emptied(engine)
        await save(engine, *(message(f"key-{n}", 2) for n in range(50)))
        await emptied(engine)
    assert await published(engine) == {f"key-{n}".encode(): [1, 2] for n in range(50)}


async def test_a_relay_whose_session_is_killed_goes_on(
    engine: AsyncEngine, broker: PostgresBroker
) -> None:
    kill = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'regie-outbox' AND datname = current_database()"
    )
    async with relaying(Relay(engine, broker, Progress())):
        for n in range(3):
            await save(engine, message("a", n))
            await emptied(engine)
            async with transaction(engine) as conn:
                assert (await conn.execute(kill)).scalar_one() == 1
        await save(engine, message("a", 3))
        await emptied(engine)
    # A row whose deletion was lost may come twice; never out of order, never not at all.
    assert sorted(set((await published(engine))[b"a"])) == [0, 1, 2, 3]


async def test_while_the_log_is_away_it_waits_and_says_so(
    engine: AsyncEngine, database_url: str
) -> None:
    broker, progress = Fickle(database_url), Progress()
    await broker.start()
    await save(engine, *(message("a", n) for n in range(5)))
    async with relaying(Relay(engine, broker, progress)):
        await broker.refused.wait()
        assert progress.unready() == {"outbox": "the line is cut"}
        async with transaction(engine) as conn:
            waiting = await outbox.pending(conn)
        broker.cut = False
        await emptied(engine)
        assert progress.unready() == {}
    await broker.stop()
    assert waiting.count == 5
    assert 0 < waiting.oldest_age < BOUND
    assert await published(engine) == {b"a": [0, 1, 2, 3, 4]}


async def test_a_nudge_saves_the_wait(engine: AsyncEngine, broker: PostgresBroker) -> None:
    written = asyncio.Event()
    async with relaying(Relay(engine, broker, Progress(), written, poll=10 * BOUND)):
        for n in range(3):
            await save(engine, message("a", n))
            written.set()
            await emptied(engine)
        written.set()  # so that it sees the end
    assert (await published(engine))[b"a"] == [0, 1, 2]


async def test_no_message_is_saved_that_no_log_takes(engine: AsyncEngine) -> None:
    with pytest.raises(ValueError, match="blob store"):
        await save(engine, Message(CASES_CHANGED, b"a", b"x" * (MESSAGE_BYTES + 1)))


def test_every_key_has_a_slot() -> None:
    slots = {outbox.slot_of(f"key-{n}".encode()) for n in range(1_000)}
    assert slots == set(range(SLOTS))
