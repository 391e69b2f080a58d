"""The log as the services see it: publish durably, fetch in order, know where each end is.

Two implementations stand behind these protocols, `kafka` and `postgres`; both pass
`tests/contracts/test_broker.py` against real servers. Positions live in our database
(`shared.positions`), so a consumer here only fetches, seeks and leaves a hint of its progress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

Headers = tuple[tuple[str, bytes], ...]

# The most a message's value may hold; larger things belong in the blob store.
MESSAGE_BYTES: Final = 8 << 20


class TopicPartition(NamedTuple):
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. `partition` None lets the key decide (murmur2, as Kafka's own clients)."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is fetched. `timestamp` is the broker's append time."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp: datetime

    @property
    def tp(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Batch:
    """One fetch. A new `generation` means the assignment changed: positions must be claimed again
    (and sought) before any record of this consumer may be handled."""

    generation: int
    assigned: frozenset[TopicPartition]
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """The log's first kept offset and the offset the next record will get."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GroupCommits:
    """What the broker itself was told of a group's progress: a hint, for operators' tools."""

    offsets: Mapping[TopicPartition, int] = field(default_factory=dict)


class Consumer(Protocol):
    """One member of a group. Used by one task. Entering joins the group, leaving leaves it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def fetch(self, most: int, wait: float) -> Batch:
        """Up to `most` records in order per partition; waits up to `wait` seconds for the first.

        Raises BrokerUnavailable when the log does not answer; the consumer stays usable.
        """

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """The next fetch of these partitions starts here; what was buffered is forgotten."""

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """No record of exactly these partitions is fetched until the next call."""

    async def hint(self, positions: Mapping[TopicPartition, int]) -> None:
        """Tells the broker how far we are. Never raises; never relied upon."""


class Broker(Protocol):
    """The log. `cluster` names it in the positions table, so that a new log starts anew."""

    @property
    def cluster(self) -> str: ...

    async def start(self) -> None:
        """Connects and creates missing topics (12 partitions, log-append time)."""

    async def stop(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once every message is durable (acks=all; committed with fsync).

        Raises BrokerUnavailable within 10 s otherwise; then any part may have been published.
        Order per key follows the order of calls that have returned.
        """

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer: ...

    async def ranges(self, topics: Sequence[str]) -> Mapping[TopicPartition, Range]: ...

    async def commits(self, group: str, topics: Sequence[str]) -> GroupCommits: ...

    async def peek(
        self, positions: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record]:
        """The first record at or after each position, where there is one: outside any group."""

    async def trim(self, before: datetime, keyless_before: datetime | None = None) -> int:
        """Forgets what was written before this instant, where the log does not do so by itself;
        how many records. What has no key (heartbeats) may go earlier."""

    async def ping(self) -> None:
        """Raises BrokerUnavailable when the log does not answer within 5 s."""
