"""Group commit: whoever publishes while a round is being committed shares the next one.

A single-message transaction costs one fsync; sixty-four concurrent ones cost sixty-four, or, in
one round, still one. One task writes, so that within a process rounds never wait for each other.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.broker import Message, TopicPartition
from shared.broker.answering import answering
from shared.broker.headers import pack
from shared.errors import BrokerUnavailable
from shared.sessions import AWAY, Session, close_session

ROUND_MESSAGES: Final = 2_000
ROUND_BYTES: Final = 4 << 20
CALL_SECONDS: Final = 9.5  # a caller hears within 10 s, whatever stands before it in the queue
ROUND_SECONDS: Final = 8.0

# One statement, thus one short transaction: the partitions' rows are locked in sorted order (two
# processes never deadlock here), the offsets taken, the records written. `at` is read after the
# lock, so timestamps never run backwards within a partition. A partition that has no row finds no
# partner in the LEFT JOIN and fails the statement: nothing is dropped silently.
_WRITE: Final = """
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::int[])
        WITH ORDINALITY AS w (topic, partition, n, place)
), locked AS MATERIALIZED (
    SELECT p.topic, p.partition FROM log_partition p JOIN wanted w USING (topic, partition)
    ORDER BY p.topic, p.partition FOR NO KEY UPDATE OF p
), moved AS (
    UPDATE log_partition p SET next = p.next + w.n
    FROM wanted w JOIN locked l USING (topic, partition)
    WHERE p.topic = w.topic AND p.partition = w.partition
    RETURNING w.place, p.topic, p.partition, p.next - w.n AS base, clock_timestamp() AS at
)
INSERT INTO log_record (topic, partition, "offset", at, key, value, headers)
SELECT m.topic, m.partition, m.base + r.ordinal, m.at, r.key, r.value, r.headers
FROM unnest($4::bigint[], $5::int[], $6::bytea[], $7::bytea[], $8::bytea[])
    AS r (place, ordinal, key, value, headers)
LEFT JOIN moved m USING (place)
"""

Placed = tuple[TopicPartition, Message]


@dataclass(slots=True)
class _Call:
    messages: Sequence[Placed]
    size: int
    done: asyncio.Future[None]


class Writer:
    """The one task that writes the log; `written` hears the topics of each committed round."""

    def __init__(
        self, connect: Callable[[], Awaitable[Session]], written: Callable[[set[str]], None]
    ) -> None:
        self._connect = connect
        self._written = written
        self._calls: deque[_Call] = deque()
        self._wanted = asyncio.Event()
        self._session: Session | None = None

    async def write(self, messages: Sequence[Placed]) -> None:
        """Returns once they are committed. Raises BrokerUnavailable within 10 s otherwise."""
        size = sum(len(message.value) for _, message in messages)
        call = _Call(messages, size, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        self._wanted.set()
        async with answering("the log did not take the messages", CALL_SECONDS, ()):
            await call.done

    async def run(self) -> None:
        """Writes round after round, until it is cancelled. A failed round ends only that round."""
        try:
            while True:
                await self._wanted.wait()
                if not (calls := self._next_round()):
                    self._wanted.clear()
                    continue
                await self._attempt(calls)
        finally:
            self._refuse(list(self._calls))
            await close_session(self._session)

    def _next_round(self) -> list[_Call]:
        calls: list[_Call] = []
        messages = size = 0
        while self._calls:
            call = self._calls[0]
            if not call.done.done():  # otherwise its caller has given up
                messages, size = messages + len(call.messages), size + call.size
                if calls and (messages > ROUND_MESSAGES or size > ROUND_BYTES):
                    break
                calls.append(call)
            self._calls.popleft()
        return calls

    async def _attempt(self, calls: list[_Call]) -> None:
        messages = [placed for call in calls for placed in call.messages]
        try:
            async with answering("PostgreSQL did not take the messages", ROUND_SECONDS, AWAY):
                await self._commit_over_restarts(messages)
        except BrokerUnavailable as error:
            _settle(calls, error)
            await self._drop_session()
        except BaseException:
            self._refuse(calls)
            raise
        else:
            _settle(calls, None)
            self._written({tp.topic for tp, _ in messages})

    async def _commit_over_restarts(self, messages: Sequence[Placed]) -> None:
        """A session may have died since the last round; that alone is no reason to refuse. Should
        the first attempt have been committed after all, the repeat is what consumers dedupe."""
        used_before = self._session is not None
        try:
            await self._commit(messages)
        except AWAY:
            if not used_before:
                raise
            await self._drop_session()
            await self._commit(messages)

    async def _drop_session(self) -> None:
        session, self._session = self._session, None
        await close_session(session)

    async def _commit(self, messages: Sequence[Placed]) -> None:
        if self._session is None or self._session.is_closed():
            self._session = await self._connect()
        counts = Counter(tp for tp, _ in messages)
        places = {tp: place for place, tp in enumerate(counts, start=1)}
        seen: Counter[TopicPartition] = Counter()
        ordinals = []
        for tp, _ in messages:
            ordinals.append(seen[tp])
            seen[tp] += 1
        await self._session.execute(
            _WRITE,
            [tp.topic for tp in counts],
            [tp.partition for tp in counts],
            list(counts.values()),
            [places[tp] for tp, _ in messages],
            ordinals,
            [message.key for _, message in messages],
            [message.value for _, message in messages],
            [pack(message.headers) for _, message in messages],
        )

    def _refuse(self, calls: list[_Call]) -> None:
        _settle(calls, BrokerUnavailable("the log is being closed; send it again"))


def _settle(calls: list[_Call], error: BaseException | None) -> None:
    for call in calls:
        if call.done.done():
            continue
        if error is None:
            call.done.set_result(None)
        else:
            call.done.set_exception(error)
