"""A member of a group on the PostgreSQL log: one is active, by advisory lock, others stand by.

The session that holds the lock also does the reading. Losing it therefore ends both at once, and
what an old owner still has in hand is fenced by its epoch in the positions table.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from shared.broker import Batch, Record, TopicPartition
from shared.broker.answering import answering
from shared.broker.headers import unpack
from shared.errors import BrokerUnavailable
from shared.sessions import AWAY, Session, close_session, lock_number

FETCH_BYTES: Final = 16 << 20
POLL_SECONDS: Final = (0.02, 0.25)  # how often an idle consumer looks: at first, at most
STANDBY_SECONDS: Final = 0.5
CALL_SECONDS: Final = 8.0

_LOCKS: Final = 7_233_002  # the first key of this file's advisory locks
_LOCK: Final = "SELECT pg_try_advisory_lock($1, $2)"
_START: Final = """
SELECT p.topic, p.partition, greatest(coalesce(c.next, p.start), p.start) AS next
FROM log_partition p
LEFT JOIN log_commit c ON c.grp = $1 AND c.topic = p.topic AND c.partition = p.partition
WHERE p.topic = ANY ($2)
"""
_ENDS: Final = "SELECT topic, partition, start, next FROM log_partition WHERE topic = ANY ($1)"
# `ahead` bounds the bytes of one fetch: a partition gives records until those before have filled
# its part, and at least one.
_READ: Final = """
SELECT r.topic, r.partition, r."offset", r.key, r.value, r.headers, r.at
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::int[]) AS p (topic, partition, next, most)
CROSS JOIN LATERAL (
    SELECT l.*, sum(octet_length(l.value)) OVER (ORDER BY l."offset") - octet_length(l.value)
        AS ahead
    FROM (
        SELECT * FROM log_record s
        WHERE s.topic = p.topic AND s.partition = p.partition AND s."offset" >= p.next
        ORDER BY s."offset" LIMIT p.most
    ) l
) r
WHERE r.ahead < $5
ORDER BY r.topic, r.partition, r."offset"
"""


class PostgresConsumer:
    """See `shared.broker.Consumer`. `commit` writes a hint; `nudge` is set when topics grow."""

    def __init__(
        self,
        group: str,
        topics: Sequence[str],
        connect: Callable[[], Awaitable[Session]],
        commit: Callable[[Mapping[TopicPartition, int]], Awaitable[None]],
        listeners: set[PostgresConsumer],
    ) -> None:
        self.topics = frozenset(topics)
        self.nudge = asyncio.Event()
        self._group = group
        self._connect = connect
        self._commit = commit
        self._listeners = listeners
        self._session: Session | None = None
        self._generation = 0
        self._next: dict[TopicPartition, int] = {}
        self._paused: frozenset[TopicPartition] = frozenset()
        self._ahead: asyncio.Task[list[Record]] | None = None
        self._ahead_holds = False  # False: what is read ahead is no longer what comes next

    async def __aenter__(self) -> Self:
        self._listeners.add(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listeners.discard(self)
        await self._leave()

    async def fetch(self, most: int, wait: float) -> Batch:
        clock = asyncio.get_running_loop().time
        until, pause = clock() + wait, POLL_SECONDS[0]
        generation = self._generation
        try:
            async with answering("PostgreSQL did not answer the consumer", CALL_SECONDS, AWAY):
                active = await self._active()
            if not active:
                await asyncio.sleep(min(wait, STANDBY_SECONDS))
            while active and generation == self._generation:
                self.nudge.clear()
                async with answering("PostgreSQL did not give records", CALL_SECONDS, AWAY):
                    records = await self._next_records(most)
                if records or clock() >= until:
                    return self._hand_out(records, most)
                await self._rest(min(pause, until - clock()))
                pause = min(2 * pause, POLL_SECONDS[1])
        except BrokerUnavailable:
            await self._leave()
            raise
        return self._hand_out([], most)

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._ahead_holds = False
        self._next.update({tp: at for tp, at in positions.items() if tp in self._next})

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        self._ahead_holds = False
        self._paused = partitions

    async def hint(self, positions: Mapping[TopicPartition, int]) -> None:
        if not positions:
            return
        try:
            await self._commit(positions)
        except BrokerUnavailable:
            pass  # the truth is in the positions table

    def _hand_out(self, records: list[Record], most: int) -> Batch:
        self._next.update({record.tp: record.offset + 1 for record in records})
        if len(records) == most:
            # More waits: PostgreSQL reads it while these are handled.
            self._ahead = asyncio.create_task(self._read(most), name=f"{self._group}-ahead")
            self._ahead_holds = True
        return Batch(self._generation, frozenset(self._next), tuple(records))

    async def _next_records(self, most: int) -> list[Record]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            records = await ahead
            if self._ahead_holds and len(records) <= most:
                return records
        return await self._read(most)

    async def _active(self) -> bool:
        """Whether we are the group's one reader; becoming it opens a new generation."""
        if self._session is not None and self._session.is_closed():
            await self._leave()
        if self._next:
            return True
        if self._session is None:
            self._session = await self._connect()
        if not await self._session.fetchval(_LOCK, _LOCKS, lock_number(self._group)):
            return False
        rows = await self._session.fetch(_START, self._group, list(self.topics))
        self._next = {TopicPartition(row["topic"], row["partition"]): row["next"] for row in rows}
        self._paused = frozenset()
        self._generation += 1
        return True

    async def _leave(self) -> None:
        session, self._session = self._session, None
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait({ahead}, timeout=CALL_SECONDS)
        if self._next:
            self._next = {}
            self._generation += 1
        await close_session(session)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self.nudge.wait()
        except TimeoutError:
            pass  # the hint is not needed: polling suffices

    async def _read(self, most: int) -> list[Record]:
        assert self._session is not None
        waiting: dict[TopicPartition, int] = {}
        for topic, partition, start, end in await self._session.fetch(_ENDS, list(self.topics)):
            tp = TopicPartition(topic, partition)
            if (at := self._next.get(tp)) is None or tp in self._paused:
                continue
            if not start <= at <= end:
                self._generation += 1  # whoever claims again will find the position lost
                return []
            if at < end:
                waiting[tp] = end - at
        return await self._take(shares(waiting, most)) if waiting else []

    async def _take(self, takes: Mapping[TopicPartition, int]) -> list[Record]:
        assert self._session is not None
        rows = await self._session.fetch(
            _READ,
            [tp.topic for tp in takes],
            [tp.partition for tp in takes],
            [self._next[tp] for tp in takes],
            list(takes.values()),
            FETCH_BYTES // len(takes),
        )
        return [record_of(row) for row in rows]


def record_of(row: Any) -> Record:
    topic, partition, offset, key, value, headers, at = row
    return Record(topic, partition, offset, key, value, unpack(headers), at)


def shares(waiting: Mapping[TopicPartition, int], most: int) -> dict[TopicPartition, int]:
    """`most`, divided so that nobody waits because another partition has much."""
    chosen = list(waiting)
    if len(chosen) > most:
        chosen = random.sample(chosen, most)
    taken: dict[TopicPartition, int] = {}
    for tp in sorted(chosen, key=lambda tp: waiting[tp]):
        part = (most - sum(taken.values())) // (len(chosen) - len(taken))
        taken[tp] = min(waiting[tp], part)
    return taken
