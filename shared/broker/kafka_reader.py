"""Reading Kafka outside any group: where the ends are, and which record waits first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition

from shared.broker import Range, Record, TopicPartition
from shared.broker.answering import answering
from shared.broker.kafka_options import AWAY
from shared.errors import BrokerUnavailable

CALL_SECONDS: Final = 10.0
PEEK_SECONDS: Final = 5.0


class Reader:
    """One client, opened on first use and again after it failed; one question at a time."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def ranges(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Range]:
        wanted = [KafkaPartition(*tp) for tp in partitions]
        try:
            async with answering("Kafka does not answer", CALL_SECONDS, AWAY), self._turn:
                consumer = await self._open()
                starts = await consumer.beginning_offsets(wanted)
                ends = await consumer.end_offsets(wanted)
        except BrokerUnavailable:
            await self.close()
            raise
        return {TopicPartition(*tp): Range(starts[tp], ends[tp]) for tp in wanted}

    async def peek(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, Record]:
        ranges = await self.ranges(positions)
        starts = {
            KafkaPartition(*tp): max(at, ranges[tp].start)
            for tp, at in positions.items()
            if at < ranges[tp].end
        }
        try:
            async with answering("Kafka does not answer", CALL_SECONDS, AWAY), self._turn:
                return await _first_records(await self._open(), starts) if starts else {}
        except BrokerUnavailable:
            await self.close()
            raise

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close_consumer(consumer)

    async def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self._options)
            try:
                await consumer.start()
            except BaseException:
                await close_consumer(consumer)
                raise
            self._consumer = consumer
        return self._consumer


async def _first_records(
    consumer: AIOKafkaConsumer, starts: Mapping[KafkaPartition, int]
) -> dict[TopicPartition, Record]:
    """Ends early where a partition gives nothing: its last records may be a producer's markers."""
    consumer.assign(list(starts))
    for tp, at in starts.items():
        consumer.seek(tp, at)
    found: dict[TopicPartition, Record] = {}
    clock = asyncio.get_running_loop().time
    until = clock() + PEEK_SECONDS
    while len(found) < len(starts) and clock() < until:
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            found.setdefault(TopicPartition(*tp), record_of(records[0]))
            consumer.pause(tp)
    return found


def record_of(record: ConsumerRecord) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key or b"",
        record.value or b"",
        tuple(record.headers),
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
    )


async def close_consumer(consumer: AIOKafkaConsumer, seconds: float = 5.0) -> None:
    """Bounded, because aiokafka's own `stop` can hang while Kafka is away. Never raises."""
    try:
        await asyncio.wait_for(consumer.stop(), seconds)
    except (*AWAY, TimeoutError):
        pass
