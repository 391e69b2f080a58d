"""Where a message goes, checked before anything is sent: alike on both brokers."""

from __future__ import annotations

from collections.abc import Mapping

from shared.broker import MESSAGE_BYTES, Message, TopicPartition
from shared.broker.partitioner import partition_for


def place(message: Message, topics: Mapping[str, int]) -> TopicPartition:
    """`topics` is name to number of partitions. Raises ValueError for what no retry would mend."""
    count = topics.get(message.topic)
    if count is None:
        raise ValueError(f"topic {message.topic!r} is none of this log's")
    if len(message.value) > MESSAGE_BYTES:
        raise ValueError(f"{len(message.value)} bytes are too many: use the blob store")
    if message.partition is None:
        return TopicPartition(message.topic, partition_for(message.key, count))
    if not 0 <= message.partition < count:
        raise ValueError(f"{message.topic} has no partition {message.partition}")
    return TopicPartition(message.topic, message.partition)
