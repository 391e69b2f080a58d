"""Erasing a person: asked for, withdrawn or waited for, done when due.

    1  the marks go into the ledger, alone: no consumer brings back from then on what it had read
    2  the dead letters are looked through, without a transaction
    3  everything goes in one transaction, in the one order of locks; what had come in between and
       has no mark yet sends it back to 1
    4  the files go (`files`), and what is still in the log is dropped wherever it is read

Each step may be repeated, by this process or another.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import queries
from services.router.commands import Forget
from services.router.handlers import Handlers
from services.router.repeating import repeatedly
from services.router.rights import chats, files, letters, passing, scope, wiping
from services.router.rights.letters import Found
from services.router.rights.scope import Scope
from shared import ledger
from shared.database import driver, is_deadlock, transaction
from shared.errors import Unavailable

KAFKA_KEEPS: Final = timedelta(days=7)  # the topics' own retention, whatever the policy says
_EVERY: Final = 5.0
_SET_ASIDE: Final = timedelta(hours=1)
_LOG: Final = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Erasure:
    """One that is due. `cutoff`: what is newer is a new customer's; None: this moment."""

    id: UUID
    customer: UUID
    cutoff: datetime | None


@dataclass
class Erasing:
    """Any number of processes may do this."""

    handlers: Handlers
    _aside: dict[UUID, datetime] = field(default_factory=dict)

    async def run(self) -> None:
        await repeatedly("erasures", self.work, _EVERY)

    async def catch_up(self) -> None:
        """Before anything is read: who was erased, and stands in a restored database again."""
        while True:
            try:
                return await self.work()
            except (Unavailable, DBAPIError):
                await asyncio.sleep(1)

    async def work(self) -> None:
        """Everything that is due, and the files of what was erased before."""
        while await self.erase_one():
            pass
        await files.remove_doomed(self.handlers.runtime)

    async def erase_one(self) -> bool:
        """The one due longest; False when there is none, or all of them have to wait."""
        runtime = self.handlers.runtime
        now = runtime.now()
        self._aside = {id: until for id, until in self._aside.items() if until > now}
        async with transaction(runtime.engine) as connection:
            due = await _due(connection, now, list(self._aside))
        if due is None:
            return False
        try:
            if not await self._erase(due):
                self._aside[due.id] = now + timedelta(seconds=_EVERY)
        except Exception as error:
            if isinstance(error, Unavailable) or is_deadlock(error):
                raise
            # One that cannot be done must not keep the others, or the process, from their work.
            _LOG.exception("an erasure is set aside", erasure=str(due.id))
            self._aside[due.id] = now + _SET_ASIDE
        return True

    async def _erase(self, due: Erasure) -> bool:
        """Whether it is done; else something of it is on its way out right now."""
        runtime = self.handlers.runtime
        while True:
            marked = await self._mark(due)
            if marked is None:
                return True
            among = letters.find(runtime.engine, runtime.blobs, marked.marks)
            found = [each async for each in among]
            async with transaction(runtime.engine) as connection:
                outcome = await self._wipe(connection, due, marked, found)
            runtime.written.set()
            if outcome is not None:
                return outcome

    async def _mark(self, due: Erasure) -> _Marked | None:
        """None where it was done, or withdrawn, meanwhile."""
        runtime = self.handlers.runtime
        async with transaction(runtime.engine) as connection:
            if not await _lock(connection, due.id):
                return None
            policy = (await self.handlers.desk(connection)).policy
            found = await scope.find(connection, policy, self.handlers.own, due.customer)
            key = await ledger.key(connection)
            marks = found.marks(key, due.cutoff or runtime.now())
            await ledger.alone(connection)
            await ledger.write(connection, due.id, marks)
        return _Marked(found, marks)

    async def _wipe(
        self, connection: AsyncConnection, due: Erasure, marked: _Marked, found: list[Found]
    ) -> bool | None:
        """None: there is more than was marked; False: a reply or notice is being sent."""
        if not await _lock(connection, due.id):
            return True
        desk = await self.handlers.desk(connection)
        await scope.lock(connection, due.customer)
        all = await scope.find(connection, desk.policy, self.handlers.own, due.customer)
        if not all.within(marked.scope):
            return None
        cases = await queries.lock_cases(connection, all.cases | set(all.guests.values()))
        if await _is_sending(connection, all, desk.now):
            return False
        desk.seat(cases)
        for case_id in sorted(all.cases):
            desk.decide(case_id, Forget("erasure"))
        await desk.save()
        key = await ledger.key(connection)
        marks = all.marks(key, due.cutoff or desk.now)
        await ledger.write(connection, due.id, marks)
        await wiping.wipe_cases(connection, all.cases, desk.now)
        await wiping.wipe_messages(connection, all.guests)
        await wiping.wipe_people(connection, all, desk.now)
        await chats.wipe(connection, all)
        await passing.wipe_outbox(connection, all, key, marks)
        await passing.wipe_answers(connection, all)
        await letters.wipe(connection, found)
        await files.doom(connection, [ref for each in found for ref in each.refs], sure=True)
        await _done(connection, due.id, all, desk.now, log_forgets(self.handlers, desk.now))
        return True


def log_forgets(handlers: Handlers, at: datetime) -> datetime:
    """When the log has forgotten what is in it at this instant."""
    kept = handlers.policies.current.retention.log.after(at)
    return max(kept, at + KAFKA_KEEPS) if handlers.runtime.settings.kafka_bootstrap else kept


@dataclass(frozen=True, slots=True)
class _Marked:
    scope: Scope
    marks: ledger.Marks


async def _due(connection: AsyncConnection, now: datetime, aside: list[UUID]) -> Erasure | None:
    row = await (await driver(connection)).fetchrow(_DUE, now, aside)
    return None if row is None else Erasure(row["id"], row["customer_id"], row["done_at"])


async def _lock(connection: AsyncConnection, id: UUID) -> bool:
    """Whether it is still to be done; nobody withdraws it, or does it too, in this transaction."""
    return await (await driver(connection)).fetchval(_STILL, id) is not None


async def _is_sending(connection: AsyncConnection, all: Scope, now: datetime) -> bool:
    """A call's answer is written down once it returns, and would come after us."""
    return bool(await (await driver(connection)).fetchval(_SENDING, list(all.cases), now))


async def _done(
    connection: AsyncConnection, id: UUID, all: Scope, now: datetime, log_gone_at: datetime
) -> None:
    values: list[Any] = [id, now, log_gone_at, list(all.customers)]
    raw = await driver(connection)
    await raw.execute(_DONE, *values)
    # People write names into reasons, those of what was withdrawn earlier too.
    await raw.execute(_NO_REASONS, list(all.customers))


_DUE: Final = """
SELECT id, customer_id, done_at FROM erasures
WHERE (again OR (done_at IS NULL AND withdrawn_at IS NULL)) AND due_at <= $1 AND id <> ALL($2)
ORDER BY due_at LIMIT 1
"""
_STILL: Final = """
SELECT id FROM erasures WHERE id = $1 AND (again OR (done_at IS NULL AND withdrawn_at IS NULL))
FOR UPDATE
"""
_SENDING: Final = """
SELECT EXISTS (SELECT FROM deliveries
    WHERE case_id = ANY($1) AND state = 'sending' AND lease_until > $2)
"""
_DONE: Final = """
UPDATE erasures SET done_at = coalesce(done_at, $2), again = false, log_gone_at = $3, customers = $4
WHERE id = $1
"""
_NO_REASONS: Final = "UPDATE erasures SET reason = '' WHERE customer_id = ANY($1) AND reason <> ''"
