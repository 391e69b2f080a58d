"""Looks at every group's partitions now and then, and remembers the last quarter of an hour."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.broker import Broker, Range, TopicPartition
from shared.database import transaction
from shared.errors import Unavailable
from shared.ops.lag import AtRisk, Seen, horizon
from shared.ops.queries import deadlines_at_risk
from shared.ops.status import STUCK_AFTER, WINDOW, Sample
from shared.positions import Listed, listing
from shared.runtime import Runtime, Subscription
from shared.telemetry import describe
from shared.topics import DEAD_LETTER_TOPICS, TOPICS

EVERY: Final = 10.0  # seconds
FRESH: Final = timedelta(seconds=5)
_MOST_SAMPLES: Final = 120
_KNOWN: Final = frozenset((*TOPICS, *DEAD_LETTER_TOPICS))

log = structlog.get_logger("ops")

Key = tuple[str, TopicPartition]


@dataclass(frozen=True, slots=True)
class View:
    """What one look gave."""

    at: datetime
    seen: Sequence[Seen]
    at_risk: Sequence[AtRisk]


@dataclass
class Board:
    """Kept by one process. `alive` tells whether a group's consumer in this process is at work."""

    runtime: Runtime
    subscriptions: Sequence[Subscription]
    alive: Callable[[str], bool]
    _samples: dict[Key, deque[Sample]] = field(default_factory=dict)
    _last: View | None = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Looks every 10 s, so that a question about the past finds an answer."""
        while True:
            try:
                await self.view(FRESH)
            except Unavailable as error:
                log.info("lag not measured", error=describe(error))
            await asyncio.sleep(EVERY)

    async def view(self, fresh: timedelta = FRESH) -> View:
        """The last look if it is younger than `fresh`, else a new one. Raises Unavailable."""
        async with self._looking:
            now = self.runtime.now()
            if self._last is None or now - self._last.at >= fresh:
                self._last = await self._look(now)
            return self._last

    async def _look(self, now: datetime) -> View:
        async with transaction(self.runtime.engine) as connection:
            rows = await listing(connection)
        broker = self.runtime.broker
        topics = self._topics(rows)
        ranges = await broker.ranges(sorted({topic for each in topics.values() for topic in each}))
        seen = []
        for group, names in sorted(topics.items()):
            own = {tp: at for tp, at in ranges.items() if tp.topic in names}
            placed = {row.tp: row for row in rows if self._counts(row, group)}
            seen += await self._group(group, own, placed, now)
        self._forget(seen, now)
        async with transaction(self.runtime.engine) as connection:
            at_risk = await self._at_risk(connection, seen, now)
        return View(now, seen, at_risk)

    async def _at_risk(
        self, connection: AsyncConnection, seen: Sequence[Seen], now: datetime
    ) -> list[AtRisk]:
        ahead = horizon(seen)
        return await deadlines_at_risk(connection, now + ahead, lagging=bool(ahead))

    async def _group(
        self,
        group: str,
        ranges: Mapping[TopicPartition, Range],
        placed: Mapping[TopicPartition, Listed],
        now: datetime,
    ) -> list[Seen]:
        alive = self.alive(group) or any(
            now - row.moved_at < STUCK_AFTER for row in placed.values()
        )
        samples = {tp: _sample(now, at, placed.get(tp), alive) for tp, at in ranges.items()}
        await self._date(self.runtime.broker, samples)
        hints = await self.runtime.broker.commits(group, sorted({tp.topic for tp in ranges}))
        seen = []
        for tp, sample in samples.items():
            ring = self._samples.setdefault((group, tp), deque(maxlen=_MOST_SAMPLES))
            ring.append(sample)
            owner = placed[tp].owner if tp in placed else ""
            seen.append(Seen(group, tp, tuple(ring), hints.offsets.get(tp), owner))
        return seen

    async def _date(self, broker: Broker, samples: dict[TopicPartition, Sample]) -> None:
        """Adds the oldest waiting record's own timestamp, where one waits."""
        waiting = {
            tp: max(sample.committed or 0, sample.start)
            for tp, sample in samples.items()
            if sample.lag
        }
        if waiting:
            for tp, record in (await broker.peek(waiting)).items():
                samples[tp] = replace(samples[tp], oldest_at=record.timestamp)

    def _topics(self, rows: Iterable[Listed]) -> dict[str, set[str]]:
        topics: dict[str, set[str]] = {}
        for row in rows:
            if row.cluster == self.runtime.broker.cluster and row.tp.topic in _KNOWN:
                topics.setdefault(row.group, set()).add(row.tp.topic)
        for subscription in self.subscriptions:
            topics.setdefault(subscription.group, set()).update(subscription.topics)
        return topics

    def _counts(self, row: Listed, group: str) -> bool:
        return row.group == group and row.cluster == self.runtime.broker.cluster

    def _forget(self, seen: Sequence[Seen], now: datetime) -> None:
        """A group or topic that is gone leaves nothing behind; nor do old samples."""
        current = {(each.group, each.tp) for each in seen}
        for key in [key for key in self._samples if key not in current]:
            del self._samples[key]
        for ring in self._samples.values():
            while ring[0].at < now - WINDOW:
                ring.popleft()


def _sample(now: datetime, kept: Range, row: Listed | None, alive: bool) -> Sample:
    if row is None:
        return Sample(now, kept.start, kept.end, None, alive=alive)
    return Sample(
        at=now,
        start=kept.start,
        end=kept.end,
        committed=row.next,
        moved_at=row.moved_at,
        alive=alive,
        stopped=row.stopped,
    )
