"""The loop of a consumer: what is fetched is handled once, whatever fails and whoever else reads.

a new assignment   claim the positions in the database, seek there, drop what was fetched
a batch            one transaction (`shared.carrying`), then a hint to the broker
Fenced             somebody newer has the partition: claim again
a dependency away  wait, for ever, alive and unready
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from shared import positions
from shared.broker import Batch, Consumer, Range, TopicPartition
from shared.carrying import Carrier, Patience, Stopping, TooManyDeadLetters, is_dependency, unbroken
from shared.database import transaction
from shared.errors import Fenced
from shared.positions import Position
from shared.progress import Progress
from shared.runtime import Runtime, Subscription
from shared.telemetry import describe

FETCH_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 2.0
HINT_SECONDS: Final = 1.0
# A reason that begins so binds only the process that gave up: a newer program, or one with
# better luck, may try these records again.
POISON: Final = "too many dead letters"

log = structlog.get_logger("consume")


async def consume(
    runtime: Runtime, subscription: Subscription, *, progress: Progress, stop: asyncio.Event
) -> None:
    """Works for the group until `stop`; then the batch in hand is finished, or rolled back
    within 10 s. Raises only what no repetition can mend."""
    await _Member(runtime, subscription, progress, stop).run()


class _Member:
    """One member of a group. `generation` is the assignment whose positions we hold."""

    def __init__(
        self, runtime: Runtime, subscription: Subscription, progress: Progress, stop: asyncio.Event
    ) -> None:
        self._runtime = runtime
        self._group = subscription.group
        self._topics = subscription.topics
        self._most = subscription.batch
        self._stop = stop
        self._progress = progress.of(subscription.group)
        self._progress.measure = self._waiting
        self._positions: dict[TopicPartition, Position] = {}
        self._carrier = Carrier(runtime, subscription, self._positions, self._progress, stop)
        self._patience = Patience(stop)
        self._generation: int | None = None
        self._giving_up = ""  # why, until all partitions are marked as stopped
        self._gave_up = False
        self._next_look = 0.0
        self._next_hint = 0.0
        self._hints: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        while not self._stop.is_set():
            try:
                async with self._runtime.broker.consumer(self._group, self._topics) as consumer:
                    while not self._stop.is_set():
                        await self._step(consumer)
                    await consumer.hint(self._hints)
            except Exception as error:  # joining or leaving the group
                await self._wait_for(error)

    async def _step(self, consumer: Consumer) -> None:
        try:
            await self._turn(consumer)
            self._patience.restored()
        except Stopping:
            pass
        except Fenced as error:
            log.info("claiming again", group=self._group, reason=str(error))
            self._generation = None
        except TooManyDeadLetters as error:
            self._giving_up = f"{POISON}: {error}"
            self._generation = None
        except Exception as error:
            self._generation = None
            await self._wait_for(error)

    async def _turn(self, consumer: Consumer) -> None:
        wait = 0.0 if self._generation is None else FETCH_SECONDS
        batch = await consumer.fetch(self._most, wait)
        if batch.generation != self._generation:
            await unbroken(self._claim(consumer, batch), self._stop)
            return
        if batch.records:
            await self._carrier.carry(batch.records)
            self._hints.update((record.tp, record.offset + 1) for record in batch.records)
        await self._hint(consumer)
        await self._look()

    async def _claim(self, consumer: Consumer, batch: Batch) -> None:
        broker, engine = self._runtime.broker, self._runtime.engine
        claimed: dict[TopicPartition, Position] = {}
        stopped: dict[TopicPartition, str] = {}
        if batch.assigned:
            ranges = await broker.ranges(self._topics)
            owned = {tp: ranges.get(tp, Range(0, 0)) for tp in sorted(batch.assigned)}
            owner = self._runtime.settings.instance
            async with transaction(engine) as conn:
                claimed = await positions.claim(conn, self._group, broker.cluster, owner, owned)
                reasons = {tp: self._reason(at, ranges.get(tp)) for tp, at in claimed.items()}
                await positions.stop(conn, self._group, broker.cluster, reasons)
            stopped = {tp: reason for tp, reason in reasons.items() if reason}
        self._hints.clear()
        self._positions.clear()
        self._positions.update(claimed)
        # Every partition, so that none is left where the broker's hint put it.
        await consumer.seek({tp: at.next for tp, at in claimed.items()})
        self._pause(consumer, stopped)
        self._generation = batch.generation
        self._gave_up = self._gave_up or bool(self._giving_up)
        self._giving_up = ""
        self._progress.moved()

    def _reason(self, position: Position, kept: Range | None) -> str:
        """Why a claimed partition stands still; empty when it goes on."""
        if position.stopped and (self._gave_up or not position.stopped.startswith(POISON)):
            return position.stopped
        return positions.lost(position.next, kept) or self._giving_up

    def _pause(self, consumer: Consumer, stopped: Mapping[TopicPartition, str]) -> None:
        for reason in dict.fromkeys(stopped.values()):
            log.error(
                "stopped",
                group=self._group,
                partitions=[
                    f"{tp.topic}/{tp.partition}" for tp in stopped if stopped[tp] == reason
                ],
                reason=reason,
                do="look at /ops/lag and /ops/dead-letters, then `regie positions resume` or `set`",
            )
        consumer.pause(frozenset(stopped))
        self._progress.owns(frozenset(self._positions), stopped)

    async def _hint(self, consumer: Consumer) -> None:
        """Tells the broker, after the commit and at most once a second, for operators' tools."""
        now = asyncio.get_running_loop().time()
        if self._hints and now >= self._next_hint:
            hints, self._hints = self._hints, {}
            await consumer.hint(hints)
            self._next_hint = now + HINT_SECONDS

    async def _look(self) -> None:
        """Now and then: does the database answer, and has a person moved one of our positions?"""
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            await unbroken(self._compare_epochs(), self._stop)
            self._progress.resumed()
            self._next_look = now + LOOK_SECONDS

    async def _compare_epochs(self) -> None:
        async with transaction(self._runtime.engine) as conn:
            cluster = self._runtime.broker.cluster
            known = await positions.epochs(conn, self._group, cluster, self._topics)
        if any(known.get(tp) != at.epoch for tp, at in self._positions.items()):
            raise Fenced("a position was set, or another consumer took it")

    async def _wait_for(self, error: Exception) -> None:
        if not is_dependency(error):
            raise error
        log.warning("waiting", group=self._group, error=describe(error))
        self._progress.waits(describe(error))
        await self._patience.wait()

    async def _waiting(self) -> int:
        """How many records wait for us. Raises when the log or the database is away."""
        ranges = await self._runtime.broker.ranges(self._topics)
        async with transaction(self._runtime.engine):
            pass
        stopped = self._progress.stopped
        return sum(
            max(ranges[tp].end - at.next, 0)
            for tp, at in self._positions.items()
            if tp in ranges and tp not in stopped
        )
