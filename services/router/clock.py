"""Time becomes input: cases whose timer is due are decided with PassTime, in batches.

A timer never stands in the past when it is written (`firing.next_fire`), so everything older than
the longest transaction is gone: the scan starts at a persisted floor and does not wade through
what earlier rounds deleted, even while another session holds an old snapshot (DESIGN 10).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import agents, queries, survey_rows
from services.router.commands import Asking, PassTime
from services.router.desk import Desk
from services.router.firing import RECHECK, next_fire
from services.router.handlers import Handlers
from services.router.repeating import repeatedly
from services.router.rules.people import Notify
from shared import positions
from shared.cloudevents import encode
from shared.database import driver, is_deadlock, transaction
from shared.errors import Unavailable
from shared.events import HeartbeatSent
from shared.ids import new_id
from shared.topics import MESSAGES_RECEIVED, PARTITIONS

GROUP: Final = "regie.router"
_BATCH: Final = 500
_IDLE: Final = 0.5
_SET_ASIDE: Final = timedelta(hours=1)
_HEARTBEAT: Final = 5.0
# Longer than any transaction of ours may live (idle sessions are ended after 60 s).
_FLOOR_TRAILS: Final = timedelta(minutes=15)
_FLOOR_EVERY: Final = 60.0
_LOG = structlog.get_logger()


class Clock:
    """Fires timers. Several processes may run one; SKIP LOCKED shares the work."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._runtime = handlers.runtime

    async def run(self) -> None:
        while True:
            try:
                fired = await self.fire()
            except Unavailable:
                fired = 0  # readiness tells of it; the timers wait
            except Exception as error:
                if not is_deadlock(error):
                    raise
                fired = _BATCH
            if fired < _BATCH:
                await asyncio.sleep(_IDLE)

    async def fire(self) -> int:
        """Decides one batch of due cases; returns how many timers were due."""
        runtime = self._runtime
        async with transaction(runtime.engine) as connection:
            due = await self._due(connection)
            if due:
                watermark = await positions.watermark(
                    connection, GROUP, runtime.broker.cluster, MESSAGES_RECEIVED
                )
                await self._decide(connection, due, PassTime(watermark))
        if due:
            runtime.written.set()
        return len(due)

    async def _due(self, connection: AsyncConnection) -> list[UUID]:
        rows = await (await driver(connection)).fetch(
            "SELECT case_id FROM timers WHERE fire_at <= $1 "
            "AND fire_at >= (SELECT floor FROM clock) "
            "ORDER BY fire_at, case_id LIMIT $2 FOR UPDATE SKIP LOCKED",
            self._runtime.now(),
            _BATCH,
        )
        return [row["case_id"] for row in rows]

    async def _decide(
        self, connection: AsyncConnection, due: list[UUID], command: PassTime
    ) -> None:
        """Cases somebody is changing are left for the next round: waiting here could deadlock,
        since they lock the case first and the timer after."""
        desk = await self._handlers.desk(connection)
        desk.seat(await queries.lock_idle_cases(connection, due))
        asking = await survey_rows.asking(desk)
        own = await agents.own_addresses(connection, {c.agent for c in desk.cases.values()})
        broken = [
            case_id
            for case_id, case in list(desk.cases.items())
            if not self._fire(desk, case_id, _of(command, asking.get(case_id), own.get(case.agent)))
        ]
        await desk.save()
        await self._rearm(connection, broken, _SET_ASIDE)
        await self._disarm(connection, desk)
        await self._rearm(connection, due, RECHECK)

    def _fire(self, desk: Desk, case_id: UUID, command: PassTime) -> bool:
        """One case that cannot be decided must not keep all others from being."""
        try:
            desk.decide(case_id, command)
        except Exception:
            _LOG.exception("a timer is set aside", case=str(case_id))
            return False
        return True

    async def _rearm(self, connection: AsyncConnection, due: list[UUID], later: timedelta) -> None:
        """A timer whose case did not change must still move on, or it would fire for ever."""
        await (await driver(connection)).execute(
            "UPDATE timers SET fire_at = $2 WHERE case_id = ANY($1) AND fire_at <= $3",
            due,
            self._runtime.now() + later,
            self._runtime.now(),
        )

    async def _disarm(self, connection: AsyncConnection, desk: Desk) -> None:
        """A timer that found nothing to do goes to where its case wants it, or away: the policy
        may have moved since it was set."""
        fires = [(c.id, next_fire(c, desk.policy, desk.now)) for c in desk.untouched()]
        raw = await driver(connection)
        if idle := [id for id, at in fires if at is None]:
            await raw.execute("DELETE FROM timers WHERE case_id = ANY($1)", idle)
        if later := [(id, at) for id, at in fires if at is not None and at > desk.now]:
            await raw.execute(
                "UPDATE timers SET fire_at = new.at FROM unnest($1::uuid[], $2::timestamptz[]) "
                "AS new (id, at) WHERE case_id = new.id",
                *zip(*later, strict=True),
            )

    async def raise_floor(self) -> None:
        """The earliest timer there is, but never so high that an open transaction's could lie
        below it."""
        async with transaction(self._runtime.engine) as connection:
            await connection.execute(
                text(
                    "UPDATE clock SET floor = greatest(floor, least(:trail, (SELECT "
                    "coalesce(min(fire_at), :trail) FROM timers WHERE fire_at >= clock.floor)))"
                ),
                {"trail": self._runtime.now() - _FLOOR_TRAILS},
            )

    async def keep_floor(self) -> None:
        await repeatedly("clock floor", self.raise_floor, _FLOOR_EVERY)

    async def beat(self) -> None:
        """Writes a heartbeat to each partition, so that an idle one's watermark advances."""
        while True:
            now = self._runtime.now()
            beats = [
                encode(
                    MESSAGES_RECEIVED, b"", HeartbeatSent(partition=partition, sent_at=now),
                    id=str(new_id()), source="/router", partition=partition,
                )
                for partition in range(PARTITIONS)
            ]  # fmt: skip
            try:
                await self._runtime.broker.publish(beats)
            except Unavailable:
                pass  # no heartbeat: the watermark stands still, and nothing is called breached
            await asyncio.sleep(_HEARTBEAT)


def _of(command: PassTime, asking: Asking | None, own: tuple[Notify, ...] | None) -> PassTime:
    if asking is None and own is None:
        return command
    return replace(command, asking=asking, own=own or ())
