"""The outbox: events saved with the state they tell of, published after, in order per key.

Rows leave by being deleted once the log has them. There is no cursor: an id is taken before its
transaction commits, so whoever remembered "all up to 7" would never see a 5 that commits later.
Publishing may repeat (a relay can die between the two steps); consumers dedupe on `ce_id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.broker import MESSAGE_BYTES, Broker, Message
from shared.broker.headers import pack, unpack
from shared.database import copy, transaction
from shared.errors import BrokerUnavailable
from shared.progress import GroupProgress, Progress
from shared.sessions import AWAY, Session, close_session, open_session

SLOTS: Final = 16
ROWS: Final = 1_000
POLL_SECONDS: Final = 0.2
SLOT_SECONDS: Final = 1.0

_LOCKS: Final = 7_233_003  # the first key of this file's advisory locks; the second is the slot
_TAKE: Final = "SELECT slot FROM unnest($1::int[]) AS slot WHERE pg_try_advisory_lock($2, slot)"
_READ: Final = """
SELECT id, topic, partition, key, value, headers FROM outbox
WHERE slot = ANY ($1::smallint[]) ORDER BY id LIMIT $2
"""
_DELETE: Final = "DELETE FROM outbox WHERE id = ANY ($1::bigint[])"
_PENDING: Final = text("""
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) FROM outbox
""")
_WAITING: Final = text("""
SELECT count(*) FROM outbox WHERE slot = ANY (CAST(:slots AS smallint[]))
""")


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits to be published; `oldest_age` in seconds."""

    count: int
    oldest_age: float


def slot_of(key: bytes) -> int:
    """One relay owns a slot, so the messages of a key are never published by two at once."""
    return crc32(key) % SLOTS


async def enqueue(conn: AsyncConnection, messages: Sequence[Message]) -> None:
    """Saves messages to be published once the caller's transaction has committed.

    Raises ValueError for one that no log would take: it would stop the relay for ever.
    """
    if any(len(message.value) > MESSAGE_BYTES for message in messages):
        raise ValueError(f"a message holds more than {MESSAGE_BYTES} bytes: use the blob store")
    rows = [
        (slot_of(m.key), m.topic, m.partition, m.key, m.value, pack(m.headers)) for m in messages
    ]
    columns = ("slot", "topic", "partition", "key", "value", "headers")
    await copy(conn, "outbox", columns, rows)


async def pending(conn: AsyncConnection) -> Pending:
    count, age = (await conn.execute(_PENDING)).one()
    return Pending(count, float(age))


class Relay:
    """Publishes what the slots it owns hold. Any number may run; free slots go to whoever asks.

    written  set after a commit (`Runtime.written`): saves the wait for the next look, which alone
             would suffice
    poll     seconds from one look to the next
    """

    def __init__(
        self,
        engine: AsyncEngine,
        broker: Broker,
        progress: Progress,
        written: asyncio.Event | None = None,
        poll: float = POLL_SECONDS,
    ) -> None:
        self._engine = engine
        self._broker = broker
        self._progress: GroupProgress = progress.of("outbox")
        self._progress.measure = self._waiting
        self._nudge = written or asyncio.Event()
        self._poll = poll
        self._slots: set[int] = set()

    def wake(self) -> None:
        self._nudge.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. While PostgreSQL or the log is away it waits and tries again."""
        while not stop.is_set():
            session: Session | None = None
            try:
                # A deletion lost in a crash is published again, which is allowed: no fsync for it.
                session = await open_session(
                    self._engine.url, "regie-outbox", synchronous_commit="off"
                )
                await self._serve(session, stop)
            except (*AWAY, TimeoutError) as error:
                self._progress.waits(f"PostgreSQL does not answer: {error}")
                await _either(stop, SLOT_SECONDS)
            finally:
                self._slots.clear()
                await close_session(session)

    async def _serve(self, session: Session, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        look_for_slots = 0.0
        while not stop.is_set():
            if clock() >= look_for_slots:
                await self._take_slots(session)
                look_for_slots = clock() + SLOT_SECONDS
            self._nudge.clear()
            if not await self._publish(session):
                await _either(self._nudge, self._poll)

    async def _take_slots(self, session: Session) -> None:
        free = [slot for slot in range(SLOTS) if slot not in self._slots]
        if free:
            self._slots.update(row[0] for row in await session.fetch(_TAKE, free, _LOCKS))

    async def _publish(self, session: Session) -> bool:
        """One round: read, publish, delete. Whether there was anything to do and it was done."""
        rows = await session.fetch(_READ, sorted(self._slots), ROWS) if self._slots else []
        if not rows:
            self._progress.runs()
            return False
        messages = [
            Message(topic, key, value, unpack(headers), partition)
            for _, topic, partition, key, value, headers in rows
        ]
        try:
            await self._broker.publish(messages)
        except BrokerUnavailable as error:
            self._progress.waits(str(error))
            return False
        await session.execute(_DELETE, [row[0] for row in rows])
        self._progress.runs()
        self._progress.moved()
        return True

    async def _waiting(self) -> int:
        """How many rows wait in slots of ours. Raises when the database or the log is away."""
        await self._broker.ping()
        async with transaction(self._engine) as conn:
            found = await conn.execute(_WAITING, {"slots": sorted(self._slots)})
            return int(found.scalar_one())


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Waits for the event, at most this long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
