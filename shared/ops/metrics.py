"""The gauges that are true at the moment of a scrape: lag, outbox, deadlines, dead letters, and
whether this process is ready."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import outbox
from shared.consuming import POISON
from shared.database import transaction
from shared.errors import Unavailable
from shared.ops import queries
from shared.ops.board import Board, View
from shared.ops.health import Health
from shared.ops.lag import Seen, rates
from shared.ops.status import Sample, judge
from shared.runtime import Runtime
from shared.telemetry import METRICS, describe
from shared.topics import DEAD_LETTER_TOPICS

_FRESH: Final = timedelta(seconds=5)
_BOUND: Final = 3.0  # s, as for readiness beside it: a scrape has five, or ten
_COUNT_EVERY: Final = timedelta(seconds=60)  # counting all open deadlines is a scan

log = structlog.get_logger("ops")


def _gauge(name: str, words: str, *labels: str) -> Gauge:
    return Gauge(f"regie_{name}", words, labels, registry=METRICS)


_PLACE: Final = ("group", "topic", "partition")
LAG: Final = _gauge("consumer_lag_messages", "Records that wait for a group.", *_PLACE)
LAG_SECONDS: Final = _gauge("consumer_lag_seconds", "Age of the oldest one.", *_PLACE)
ETA: Final = _gauge("consumer_drain_eta_seconds", "Until none waits, at this pace.", *_PLACE)
STATUS: Final = _gauge(
    "consumer_status",
    "1 for the status of a group in a partition; a STOP has a cause.",
    *_PLACE, "status", "cause",
)  # fmt: skip
OUTBOX: Final = _gauge("outbox_pending", "Events that wait to be published.")
OUTBOX_AGE: Final = _gauge("outbox_oldest_age_seconds", "Age of the oldest one.")
TIMERS: Final = _gauge("timer_oldest_age_seconds", "How late the first timer is that is due.")
OPEN: Final = _gauge("deadlines_open", "Running deadlines.", "team", "channel")
AT_RISK: Final = _gauge("deadlines_at_risk", "Deadlines that lag may make late.", "team", "channel")
LETTERS: Final = _gauge("dlq_messages", "Dead letters that wait for a person.", "topic")
HEARTBEAT: Final = _gauge("heartbeat_roundtrip_seconds", "Router to this stage.", "stage")
HEARTBEAT_AGE: Final = _gauge("heartbeat_age_seconds", "Since the last one came.", "stage")
READY: Final = _gauge("ready", "1 while a room of this process is ready for work, else 0.", "room")
UNREADY: Final = _gauge("unready", "1 for each thing that keeps a room from it.", "room", "what")
UP: Final = _gauge("measured", "Whether the gauges of this scrape are true (1) or old (0).")


@dataclass
class Measures:
    """Refreshes the gauges, at most every 5 s, and writes all metrics out."""

    runtime: Runtime
    board: Board
    health: Health
    _at: datetime | None = None
    _counted_at: datetime | None = None
    _reading: asyncio.Task[None] | None = None
    _counting: asyncio.Task[None] | None = None
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def exposition(self) -> bytes:
        """Prometheus' text format. While a dependency is away, counters and old gauges, within
        the time that a scrape has."""
        async with self._busy:
            now = self.runtime.now()
            if self._at is None or now - self._at >= _FRESH:
                self._at = now
                await asyncio.gather(self._show_ready(), self._measure(now))
        return generate_latest(METRICS)

    async def _measure(self, now: datetime) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._refresh(now), name="measures")
        # Not cancelled when it is late: a database call that is broken off leaks its connection.
        done, _ = await asyncio.wait({self._reading}, timeout=_BOUND)
        if done:
            self._reading.result()
        else:
            log.info("gauges not measured", error=f"no answer within {_BOUND:g} s")
            UP.set(0)

    async def _refresh(self, now: datetime) -> None:
        try:
            view = await self.board.view(_FRESH)
            async with transaction(self.runtime.engine) as connection:
                await _read(connection)
        except Unavailable as error:
            log.info("gauges not measured", error=describe(error))
            UP.set(0)
        else:
            _show_lag(view)
            UP.set(1)
            await self._count(now)

    async def _count(self, now: datetime) -> None:
        """Where it takes long, the scrape does not wait for it, and a later one shows it."""
        if self._counting is not None and not self._counting.done():
            return
        if self._counted_at is None or now - self._counted_at >= _COUNT_EVERY:
            self._counted_at = now
            counting = _count_open(self.runtime.engine)
            self._counting = asyncio.create_task(counting, name="open deadlines")
            await asyncio.wait({self._counting}, timeout=1)

    async def _show_ready(self) -> None:
        rooms = {room: await self.health.reasons(room) for room in self.health.services}
        READY.clear()
        UNREADY.clear()
        for room, reasons in rooms.items():
            READY.labels(room).set(not reasons)
            for each in reasons:
                UNREADY.labels(room, each.what).set(1)


async def _read(connection: AsyncConnection) -> None:
    pending = await outbox.pending(connection)
    OUTBOX.set(pending.count)
    OUTBOX_AGE.set(pending.oldest_age)
    TIMERS.set(await queries.oldest_timer(connection))
    waiting = dict(await queries.waiting_dead_letters(connection))
    LETTERS.clear()
    for topic in {*DEAD_LETTER_TOPICS, *waiting}:
        LETTERS.labels(topic).set(waiting.get(topic, 0))
    HEARTBEAT.clear()
    HEARTBEAT_AGE.clear()
    for beat in await queries.heartbeats(connection):
        HEARTBEAT.labels(beat.stage).set(beat.roundtrip)
        HEARTBEAT_AGE.labels(beat.stage).set(beat.age)


async def _count_open(engine: AsyncEngine) -> None:
    try:
        async with transaction(engine) as connection:
            await connection.execute(text("SET LOCAL statement_timeout = '20s'"))
            counts = await queries.open_deadlines(connection)
    except (Unavailable, DBAPIError) as error:
        log.info("open deadlines not counted", error=describe(error))
        return
    OPEN.clear()
    for team, channel, count in counts:
        OPEN.labels(team, channel).set(count)


def _show_lag(view: View) -> None:
    # Cleared first, so that a series ends with its group or topic.
    for gauge in (LAG, LAG_SECONDS, ETA, STATUS, AT_RISK):
        gauge.clear()
    for seen in view.seen:
        now = seen.samples[-1]
        place = (seen.group, seen.tp.topic, str(seen.tp.partition))
        if now.lag is not None:
            LAG.labels(*place).set(now.lag)
            LAG_SECONDS.labels(*place).set(now.lag_seconds or 0.0)
        STATUS.labels(*place, *_status(seen)).set(1)
        eta = rates(seen.samples).eta
        if eta is not None:
            ETA.labels(*place).set(eta)
    for each in view.at_risk:
        AT_RISK.labels(each.team, each.channel).set(each.count)


def _status(seen: Seen) -> tuple[str, str]:
    status = judge(seen.samples).status
    return status, _cause(seen.samples[-1]) if status == "STOP" else ""


def _cause(now: Sample) -> str:
    """Too many dead letters and a position outside of the log want a person, `nobody` a process."""
    if now.stopped.startswith(POISON):
        return "dead_letters"
    outside = now.committed is not None and not now.start <= now.committed <= now.end
    return "position" if now.stopped or outside else "nobody"
