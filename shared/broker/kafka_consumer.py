"""A member of a Kafka group. It reports each change of the assignment and decides nothing.

`earliest` must not hide a lost position: aiokafka would go on at the log's first record without
a word. So each fetch is checked against the offset that had to come next; a jump that the log's
start explains, or one backwards, opens a new generation, and whoever claims the positions then
finds the lost one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition

from shared.broker import Batch, Record, TopicPartition
from shared.broker.answering import answering
from shared.broker.kafka_options import AWAY
from shared.broker.kafka_reader import close_consumer, record_of
from shared.errors import BrokerUnavailable

JOIN_SECONDS: Final = 90.0  # more than a rebalance may take; see aiokafka's #1154
SILENCE_SECONDS: Final = 5.0
HINT_SECONDS: Final = 5.0
HINT_PAUSE_SECONDS: Final = 10.0

log = structlog.get_logger("kafka")


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """What the group gave us. aiokafka calls it inside a rebalance: it only notes, never waits."""

    def __init__(self) -> None:
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.changes = 0
        self.unsettled_since: float | None = time.monotonic()

    def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        self.partitions = frozenset()
        self.changes += 1
        self.unsettled_since = time.monotonic()

    def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        self.partitions = frozenset(TopicPartition(*tp) for tp in assigned)
        self.changes += 1
        self.unsettled_since = None


class KafkaConsumer:
    """See `shared.broker.Consumer`. `alive` raises BrokerUnavailable when Kafka is away, `starts`
    tells the first kept offsets."""

    def __init__(
        self,
        options: Mapping[str, Any],
        topics: Sequence[str],
        alive: Callable[[], Awaitable[None]],
        starts: Callable[[Iterable[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]],
    ) -> None:
        self._options = options
        self._topics = topics
        self._alive = alive
        self._starts = starts
        self._consumer: AIOKafkaConsumer | None = None
        self._joining: asyncio.Task[AIOKafkaConsumer] | None = None
        self._assignment = _Assignment()
        self._generation = 0
        self._changes_told = 0
        self._next: dict[TopicPartition, int] = {}
        self._heard = time.monotonic()
        self._hint_after = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave()

    async def fetch(self, most: int, wait: float) -> Batch:
        try:
            consumer = await self._member(wait)
            if consumer is None or self._assignment.changes != self._changes_told:
                return self._new_generation()
            async with answering("Kafka gave an error instead of records", wait + 30, AWAY):
                records = await self._records(consumer, most, wait)
            self._check_settled()
        except BrokerUnavailable:
            await self._leave()
            raise
        if self._assignment.changes != self._changes_told or await self._lost(records):
            return self._new_generation()
        await self._check_silence(bool(records))
        self._next.update({record.tp: record.offset + 1 for record in records})
        return Batch(self._generation, self._assignment.partitions, tuple(records))

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._next.update(positions)
        for tp, at in positions.items():
            self._tell("seek", KafkaPartition(*tp), at)

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        for tp in self._assignment.partitions:
            self._tell("pause" if tp in partitions else "resume", KafkaPartition(*tp))

    async def hint(self, positions: Mapping[TopicPartition, int]) -> None:
        if self._consumer is None or not positions or time.monotonic() < self._hint_after:
            return
        offsets = {KafkaPartition(*tp): at for tp, at in positions.items()}
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), HINT_SECONDS)
        except (*AWAY, TimeoutError, ValueError) as error:
            self._hint_after = time.monotonic() + HINT_PAUSE_SECONDS
            log.info("no hint", error=type(error).__name__)

    def _tell(self, method: str, *args: Any) -> None:
        """What is meant for a partition we no longer have is dropped: a new generation follows."""
        try:
            getattr(self._consumer, method)(*args)
        except AWAY:
            pass

    def _new_generation(self) -> Batch:
        if self._changes_told != self._assignment.changes or self._generation == 0:
            self._changes_told = self._assignment.changes
            self._generation += 1
            self._next.clear()
        return Batch(self._generation, self._assignment.partitions)

    async def _member(self, wait: float) -> AIOKafkaConsumer | None:
        """The consumer once it is in the group; None while it still waits to be."""
        if self._consumer is None:
            if self._joining is None:
                self._joining = asyncio.create_task(self._join(), name="kafka-join")
            await asyncio.wait({self._joining}, timeout=wait)
            if not self._joining.done():
                return None
            joining, self._joining = self._joining, None
            self._consumer = joining.result()
        return self._consumer

    async def _join(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options)
        consumer.subscribe(self._topics, listener=self._assignment)
        try:
            async with answering("Kafka's group did not take us in", JOIN_SECONDS, AWAY):
                await consumer.start()
        except BaseException:
            await close_consumer(consumer)
            raise
        self._heard = time.monotonic()
        return consumer

    async def _leave(self) -> None:
        """Out of the group, so that the next fetch joins it afresh."""
        joining, self._joining = self._joining, None
        consumer, self._consumer = self._consumer, None
        changes = self._assignment.changes
        self._assignment = _Assignment()  # the old one may still be called
        self._assignment.changes = changes + 1
        if joining is not None:
            joining.cancel()
            await asyncio.wait({joining}, timeout=10)
        if consumer is not None:
            await close_consumer(consumer)

    async def _records(self, consumer: AIOKafkaConsumer, most: int, wait: float) -> list[Record]:
        try:
            async with asyncio.timeout(wait + 1):
                found = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=most)
        except TimeoutError:
            return []  # a rebalance is under way
        return [record_of(record) for records in found.values() for record in records]

    async def _lost(self, records: Sequence[Record]) -> bool:
        """Whether the log does not go on where we were. Holes that are none are left by
        transactions, which others may write."""
        firsts = {record.tp: record.offset for record in reversed(records)}
        jumps = {tp for tp, at in firsts.items() if at != self._next.get(tp, at)}
        if not jumps:
            return False
        if not any(firsts[tp] < self._next[tp] for tp in jumps):
            starts = await self._starts(jumps)
            if not any(starts[tp] > self._next[tp] for tp in jumps):
                return False
        self._assignment.changes += 1
        return True

    def _check_settled(self) -> None:
        """A rebalance of aiokafka's can be stuck for ever; joining afresh ends that."""
        since = self._assignment.unsettled_since
        if since is not None and time.monotonic() - since > JOIN_SECONDS:
            raise BrokerUnavailable(f"the group did not settle within {JOIN_SECONDS:.0f} s")

    async def _check_silence(self, heard: bool) -> None:
        """aiokafka says nothing while Kafka is away: an idle log and a dead one look alike."""
        if not heard:
            if time.monotonic() - self._heard < SILENCE_SECONDS:
                return
            await self._alive()
        self._heard = time.monotonic()
