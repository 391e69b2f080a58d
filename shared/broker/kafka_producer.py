"""The producer: idempotent, bounded, and made anew when Kafka no longer takes its word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.broker import Message, TopicPartition
from shared.broker.answering import answering
from shared.broker.kafka_options import AWAY
from shared.errors import BrokerUnavailable

CALL_SECONDS: Final = 9.5  # a caller hears within 10 s
SILENCE_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0

log = structlog.get_logger("kafka")


class Producer:
    """Any number of tasks may write at once; what they write meanwhile shares requests."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._last_success = time.monotonic()

    async def start(self) -> None:
        """Raises BrokerUnavailable; may be called again."""
        async with answering("Kafka does not answer", CALL_SECONDS, AWAY):
            await self._ready()

    async def stop(self) -> None:
        self._retire()
        if self._closing:
            await asyncio.wait(self._closing, timeout=3 * STOP_SECONDS)

    async def write(self, messages: Sequence[tuple[TopicPartition, Message]]) -> None:
        """Returns once every replica in sync has them. Raises BrokerUnavailable within 10 s."""
        producer: AIOKafkaProducer | None = None
        try:
            async with answering("Kafka did not take the messages", CALL_SECONDS, AWAY):
                producer = await self._ready()
                await asyncio.gather(*[await _send(producer, tp, m) for tp, m in messages])
        except BrokerUnavailable as error:
            if producer is self._producer and self._is_beyond_repair(error.__cause__):
                log.warning("new producer", cause=type(error.__cause__).__name__)
                self._retire()
            raise
        self._last_success = time.monotonic()

    def _is_beyond_repair(self, cause: BaseException | None) -> bool:
        """An idempotent producer whose sequence broke refuses everything from then on."""
        if isinstance(cause, KafkaError) and not cause.retriable:
            return True
        return time.monotonic() - self._last_success > SILENCE_SECONDS

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(**self._options)
                try:
                    await producer.start()
                except BaseException:
                    await _close(producer)
                    raise
                self._producer = producer
                self._last_success = time.monotonic()
            return self._producer

    def _retire(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            task = asyncio.create_task(_close(producer), name="kafka-producer-close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _send(producer: AIOKafkaProducer, tp: TopicPartition, m: Message) -> Any:
    return await producer.send(
        tp.topic, m.value, m.key, partition=tp.partition, headers=list(m.headers)
    )


async def _close(producer: AIOKafkaProducer) -> None:
    """Flushes and closes; where Kafka is away, which `stop` would wait out, it is cut off."""
    try:
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
    except (*AWAY, TimeoutError):
        sender = producer._sender  # its task would retry for ever
        for rest in (sender.close, producer.client.close):
            try:
                await asyncio.wait_for(rest(), STOP_SECONDS)
            except (*AWAY, TimeoutError):
                pass
