"""Apache Kafka through aiokafka: `KafkaBroker`. How its clients are set: `kafka_options`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from shared.broker import GroupCommits, Message, Range, Record, TopicPartition
from shared.broker.kafka_consumer import KafkaConsumer
from shared.broker.kafka_options import (
    connection_options,
    consumer_options,
    producer_options,
    reader_options,
)
from shared.broker.kafka_producer import Producer
from shared.broker.kafka_reader import Reader
from shared.broker.kafka_topics import Administrator
from shared.broker.placing import place
from shared.errors import BrokerUnavailable
from shared.settings import Settings
from shared.topics import DEAD_LETTER_TOPICS, TOPICS, partitions_of

PING_SECONDS: Final = 5.0


class KafkaBroker:
    """See `shared.broker.Broker`.

    topics  those that exist; publishing to another one is a mistake in the program
    """

    def __init__(
        self, settings: Settings, topics: Sequence[str] = (*TOPICS, *DEAD_LETTER_TOPICS)
    ) -> None:
        """Raises Misconfigured when the settings' certificates cannot be read."""
        self._settings = settings
        self._partitions = {topic: partitions_of(topic) for topic in topics}
        self._administrator = Administrator(connection_options(settings))
        self._producer = Producer(producer_options(settings))
        self._reader = Reader(reader_options(settings))
        self._cluster = ""

    @property
    def cluster(self) -> str:
        """Kafka's own cluster id. Raises BrokerUnavailable before the first start."""
        if not self._cluster:
            raise BrokerUnavailable("Kafka has not answered yet")
        return self._cluster

    async def start(self) -> None:
        """Raises BrokerUnavailable when Kafka does not answer, and may be called again;
        Misconfigured when a topic is there but not as it must be."""
        self._cluster = await self._administrator.prepare(self._partitions)
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self._reader.close()
        await self._administrator.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        placed = [(place(message, self._partitions), message) for message in messages]
        if placed:
            await self._producer.write(placed)

    def consumer(self, group: str, topics: Sequence[str]) -> KafkaConsumer:
        options = consumer_options(self._settings, group)
        return KafkaConsumer(options, topics, self.ping, self._starts)

    async def ranges(self, topics: Sequence[str]) -> Mapping[TopicPartition, Range]:
        wanted = [
            TopicPartition(topic, p) for topic in topics for p in range(self._partitions[topic])
        ]
        return await self._reader.ranges(wanted)

    async def commits(self, group: str, topics: Sequence[str]) -> GroupCommits:
        return await self._administrator.commits(group, topics)

    async def peek(
        self, positions: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record]:
        return await self._reader.peek(positions) if positions else {}

    async def trim(self, before: datetime, keyless_before: datetime | None = None) -> int:
        """Nothing to do: the topics were made with their retention."""
        return 0

    async def ping(self) -> None:
        await self._administrator.ping(list(self._partitions), PING_SECONDS)

    async def _starts(self, wanted: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {tp: kept.start for tp, kept in (await self._reader.ranges(wanted)).items()}
