"""The sender: claims what is due, calls, records. No transaction is open during a call.

A claim is a lease. Whoever dies between the call and its record leaves a delivery `sending`; once
the lease is over, a webhook is sent again under its id, and a reply becomes `unknown`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import claiming, digests, metrics, outcomes, queries
from services.notifier.limits import Limits
from services.notifier.models import Delivery
from services.notifier.outcomes import LOST, Outcome
from services.notifier.recording import record
from services.notifier.resting import rests_until
from services.notifier.slots import Slots
from services.notifier.staleness import staleness
from services.notifier.targets import Outlets
from shared.database import is_deadlock, transaction
from shared.errors import SendError, Unavailable
from shared.runtime import Runtime
from shared.telemetry import describe

LEASE: Final = timedelta(seconds=60)
CALL_SECONDS: Final = 25.0  # more than any outlet gives itself, less than the lease
# A provider that answers within this time answers; then the process ends, and what it has not
# answered is a doubtful reply for a person to look at.
DRAIN_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.25
_BATCH: Final = 100
_AWAY_SECONDS: Final = 0.5
_LOST_SECONDS: Final = 1.0

log = structlog.get_logger("notifier")


class Sender:
    """One process's sender; any number share the work.

    chance  a random number in [0, 1), for the jitter
    drain   seconds that calls under way have when the process stops
    """

    def __init__(
        self,
        runtime: Runtime,
        outlets: Outlets,
        *,
        chance: Callable[[], float] = random.random,
        drain: float = DRAIN_SECONDS,
    ) -> None:
        self._runtime = runtime
        self._outlets = outlets
        self._chance = chance
        self._drain = drain
        self._slots = Slots()
        self._limits = Limits.of(list(runtime.accounts))
        self._stopping = asyncio.Event()
        self._nudge = asyncio.Event()
        self._look_for_lost = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._finished: asyncio.Queue[Outcome] = asyncio.Queue()

    async def run(self) -> None:
        """Until cancelled: then nothing new begins, and what is under way may end in time."""
        work = asyncio.create_task(self._work(), name="sender work")
        try:
            # Shielded, because a claim that was cut off would look like a call cut off.
            await asyncio.shield(work)
        finally:
            self._stopping.set()
            self._nudge.set()
            try:
                await asyncio.wait({work}, timeout=self._drain)
            finally:
                work.cancel()
                await asyncio.wait({work}, timeout=self._drain + 1)

    async def _work(self) -> None:
        async with self._outlets, asyncio.TaskGroup() as group:
            recorder = group.create_task(self._record(), name="sender records")
            while not self._stopping.is_set():
                self._nudge.clear()
                if not await self._turn(group):
                    await self._rest(POLL_SECONDS)
            while self._calls:
                await asyncio.wait(self._calls)
            await self._finished.join()
            recorder.cancel()

    async def _turn(self, group: asyncio.TaskGroup) -> int:
        """Begins the calls that are due and have room; how many deliveries it dealt with."""
        try:
            claimed, ready = await self._claim()
        except (Unavailable, PoolTimeout):
            await self._rest(_AWAY_SECONDS)  # readiness tells of it; what is due waits
            return 0
        except Exception as error:
            if not is_deadlock(error):
                raise
            return 0
        for delivery in ready:
            self._slots.take(delivery.target)
            call = group.create_task(self._call(delivery), name=f"delivery {delivery.id}")
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return claimed

    async def _claim(self) -> tuple[int, list[Delivery]]:
        """How many were dealt with, and those whose calls begin: theirs is a lease."""
        now, slots = self._runtime.now(), self._slots
        async with transaction(self._runtime.engine) as connection:
            counted = await record(connection, await self._left_behind(connection, now), now)
            rooms = await self._limits.rooms(connection, slots.rooms(), now)
            claimed = await claiming.claim(connection, now, rooms, slots.free)
            live, over, resting = _sorted_out(claimed, now)
            counted += await record(connection, over, now)
            await queries.put_off(connection, resting)
            alone = await digests.hold(connection, live, now)
            ready = await self._limits.admit(connection, alone, now)
            await queries.mark_sending(connection, [each.id for each in ready], now + LEASE)
        _tell(counted)
        metrics.held(len(live) - len(alone), len(alone) - len(ready))
        return len(claimed), [replace(each, attempts=each.attempts + 1) for each in ready]

    async def _left_behind(self, connection: AsyncConnection, now: datetime) -> list[Outcome]:
        """Once a second: calls whose sender is gone, and replies whose time is over though nobody
        came to them: the account may be silent, or an earlier reply not through."""
        if time.monotonic() < self._look_for_lost:
            return []
        self._look_for_lost = time.monotonic() + _LOST_SECONDS
        lost = await claiming.claim_lost(connection, now, _BATCH)
        over = [outcomes.failed(each, LOST, now, 0.0, now, self._chance()) for each in lost]
        for each in await claiming.claim_expired(connection, now, _BATCH):
            stale = staleness(each, now)
            over += [outcomes.dropped(each, stale)] if stale else []
        return over

    async def _call(self, delivery: Delivery) -> None:
        at, started = self._runtime.now(), time.monotonic()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await self._outlets.send(delivery)
        except SendError as error:
            failure = error
        except TimeoutError:
            failure = _doubtful("timeout", f"no answer within {CALL_SECONDS:g} s")
        except Exception as error:
            log.exception("an outlet failed", target=delivery.kind, delivery=str(delivery.id))
            failure = _doubtful("internal", describe(error))
        else:
            self._end(outcomes.sent(delivery, answer, at, time.monotonic() - started))
            return
        now, took = self._runtime.now(), time.monotonic() - started
        self._end(outcomes.failed(delivery, failure, at, took, now, self._chance()))

    def _end(self, outcome: Outcome) -> None:
        self._finished.put_nowait(outcome)

    async def _record(self) -> None:
        """Many calls end at once: one transaction records them."""
        while True:
            batch = [await self._finished.get()]
            while not self._finished.empty() and len(batch) < _BATCH:
                batch.append(self._finished.get_nowait())
            await self._save(batch)
            for outcome in batch:
                assert outcome.attempt is not None
                self._slots.give(outcome.delivery.target, outcome.attempt.took)
                self._finished.task_done()
            self._nudge.set()

    async def _save(self, batch: Sequence[Outcome]) -> None:
        """However long the database is away: what is known of a call must not be lost."""
        while True:
            try:
                async with transaction(self._runtime.engine) as connection:
                    counted = await record(connection, batch, self._runtime.now())
            except (Unavailable, PoolTimeout) as error:
                log.warning("deliveries not recorded yet", error=describe(error))
                await asyncio.sleep(_AWAY_SECONDS)
            except Exception as error:
                if not is_deadlock(error):
                    raise
            else:
                _tell(counted)
                return

    async def _rest(self, seconds: float) -> None:
        """Until a call ended, or this long."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        except TimeoutError:
            pass


def _sorted_out(
    claimed: Sequence[Delivery], now: datetime
) -> tuple[list[Delivery], list[Outcome], dict[UUID, datetime]]:
    """What may leave, what is over, and what comes when its recipient may be disturbed: whoever
    is left alone at night is so for what is tried again, too."""
    live: list[Delivery] = []
    over: list[Outcome] = []
    resting: dict[UUID, datetime] = {}
    for each in claimed:
        if each.disabled:
            over.append(outcomes.refused(each))
        elif stale := staleness(each, now):
            over.append(outcomes.dropped(each, stale))
        elif until := rests_until(each, now):
            resting[each.id] = until
        else:
            live.append(each)
    return live, over, resting


def _doubtful(code: str, reason: str) -> SendError:
    return SendError(code, reason, again=True, doubtful=True)


def _tell(counted: Sequence[Outcome]) -> None:
    for outcome in counted:
        metrics.count(outcome)
        if outcome.state in ("failed", "unknown"):
            delivery = outcome.delivery
            log.warning(
                "delivery not made",
                delivery=str(delivery.id),
                effect=delivery.effect,
                state=outcome.state,
                code=outcome.code,
                tries=delivery.tries,
            )
