"""What the policy keeps no longer (`retention`): words after a case was closed, files and raw items
after they came, bytes that no row ever named. In bounded parts, past whoever is at work on them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import queries
from services.router.commands import Forget
from services.router.handlers import Handlers
from services.router.repeating import repeatedly
from services.router.rights import files, letters, wiping
from services.router.rights.erasing import KAFKA_KEEPS
from shared.database import driver, transaction
from shared.durations import Duration
from shared.errors import RegieError
from shared.ids import since

_EVERY: Final = 3600.0
_CASES: Final = 50
_MESSAGES: Final = 500
_FOLDERS: Final = [f"{number:02x}" for number in range(256)]
_FOLDERS_AT_ONCE: Final = 2  # all of them in five days
_ASKED_AT_ONCE: Final = 500
_SPARE: Final = timedelta(days=1)
_UPLOADS_KEPT: Final = timedelta(days=1, hours=1)
_LATELY: Final = timedelta(hours=3)
_LOG: Final = structlog.get_logger()


@dataclass
class Retention:
    """One round an hour, in any number of processes."""

    handlers: Handlers
    _folder: int = 0
    _aside: set[UUID] = field(default_factory=set)

    async def run(self) -> None:
        await repeatedly("retention", self.work, _EVERY)

    async def work(self) -> None:
        if not self.handlers.policies.loaded:
            return
        kept = self.handlers.policies.current.retention
        await self._all(self._forget_cases, kept.messages, _CASES)
        await self._all(self._drop_files, kept.attachments, _MESSAGES)
        await self._all(self._drop_raw, kept.raw, _MESSAGES)
        await self._drop_uploads()
        await self._look_at_letters()
        await self._find_orphans()
        await files.remove_doomed(self.handlers.runtime)

    async def _all(
        self, some: Callable[[Any], Awaitable[int]], kept: Duration | None, most: int
    ) -> None:
        if kept is not None:
            before = kept.before(self.handlers.runtime.now())
            while await some(before) == most:
                pass

    async def _forget_cases(self, before: Any) -> int:
        """One that cannot be read must not keep all others from being forgotten."""
        try:
            return await self._forget_some(before, _CASES)
        except (RegieError, DBAPIError):
            raise
        except Exception:
            _LOG.exception("cases are forgotten one by one")
        for _ in range(_CASES):
            await self._forget_one(before)
        return _CASES

    async def _forget_one(self, before: Any) -> None:
        async with transaction(self.handlers.runtime.engine) as connection:
            aside = list(self._aside)
            id = await (await driver(connection)).fetchval(_CLOSED, before, 1, aside)
        try:
            await self._forget_some(before, 1)
        except (RegieError, DBAPIError):
            raise
        except Exception:
            _LOG.exception("a case is not forgotten", case=str(id))
            self._aside.add(id)

    async def _forget_some(self, before: Any, most: int) -> int:
        """As an erasure does, but that the customer, addresses and threads are still known."""
        async with transaction(self.handlers.runtime.engine) as connection:
            desk = await self.handlers.desk(connection)
            aside = list(self._aside)
            rows = await (await driver(connection)).fetch(_CLOSED, before, most, aside)
            cases = await queries.lock_idle_cases(connection, [row["id"] for row in rows])
            closed = {id: case for id, case in cases.items() if case.state == "closed"}
            desk.seat(closed)
            for case_id in closed:
                desk.decide(case_id, Forget("retention"))
            await desk.save()
            await wiping.wipe_cases(connection, closed, desk.now, addresses=False)
        self.handlers.runtime.written.set()
        return len(closed)

    async def _drop_files(self, before: Any) -> int:
        return await self._strip(_FILES, before)

    async def _drop_raw(self, before: Any) -> int:
        return await self._strip(_RAW, before)

    async def _strip(self, statement: str, before: Any) -> int:
        async with transaction(self.handlers.runtime.engine) as connection:
            rows = await (await driver(connection)).fetch(statement, before, _MESSAGES)
            await files.doom(connection, [ref for row in rows for ref in row["refs"]])
        return len(rows)

    async def _drop_uploads(self) -> None:
        """Files handed in for a reply that never went: after a day, as their owner was told."""
        async with transaction(self.handlers.runtime.engine) as connection:
            before = self.handlers.runtime.now() - _UPLOADS_KEPT
            rows = await (await driver(connection)).fetch(_UPLOADS, before)
            await files.doom(connection, [row["ref"] for row in rows])

    async def _look_at_letters(self) -> None:
        """Dead letters that came in since, of people who were erased since: from what the log
        still holds."""
        runtime = self.handlers.runtime
        async with transaction(runtime.engine) as connection:
            if not await _log_remembers(connection, runtime.now()):
                return
        after = since(time.time() - _LATELY.total_seconds())
        found = [each async for each in letters.find(runtime.engine, runtime.blobs, after=after)]
        if found:
            async with transaction(runtime.engine) as connection:
                await letters.wipe(connection, found)
                refs = [ref for each in found for ref in each.refs]
                await files.doom(connection, refs, sure=True)

    async def _find_orphans(self) -> None:
        """Bytes whose event never came, or whose last row went: a few folders an hour. What the log
        may still hold is left alone."""
        runtime = self.handlers.runtime
        keeps = self.handlers.policies.current.retention.log.after(runtime.now()) - runtime.now()
        before = time.time() - (max(keeps, KAFKA_KEEPS) + _SPARE).total_seconds()
        for _ in range(_FOLDERS_AT_ONCE):
            refs = await runtime.blobs.listed(_FOLDERS[self._folder], before)
            self._folder = (self._folder + 1) % len(_FOLDERS)
            for start in range(0, len(refs), _ASKED_AT_ONCE):
                part = refs[start : start + _ASKED_AT_ONCE]
                async with transaction(runtime.engine) as connection:
                    named = await files.named_in(connection, part)
                    await files.doom(connection, [ref for ref in part if ref not in named])


async def _log_remembers(connection: AsyncConnection, now: Any) -> bool:
    found = await (await driver(connection)).fetchval(
        "SELECT EXISTS (SELECT FROM erasures WHERE log_gone_at > $1)", now
    )
    return bool(found)


_CLOSED: Final = """
SELECT id FROM cases WHERE state = 'closed'
    AND (words_gone_at IS NULL OR words_gone_at < closed_at) AND closed_at < $1 AND id <> ALL($3)
ORDER BY closed_at LIMIT $2
"""
_UPLOADS: Final = "DELETE FROM uploads WHERE at < $1 RETURNING file -> 'blob' ->> 'ref' AS ref"
# The names and sizes of files stay; what they held goes.
_FILES: Final = """
UPDATE messages m SET data = jsonb_set(m.data, '{attachments}', (
    SELECT jsonb_agg(file - 'blob') FROM jsonb_array_elements(m.data -> 'attachments') AS file))
FROM (
    SELECT id, jsonb_path_query_array(data, '$.attachments[*].blob.ref') AS refs FROM messages
    WHERE data @> '{"attachments": [{"blob": {}}]}' AND received_at < $1
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS old WHERE m.id = old.id
RETURNING ARRAY(SELECT jsonb_array_elements_text(old.refs)) AS refs
"""
_RAW: Final = """
UPDATE messages m SET data = m.data - ARRAY['raw', 'raw_blob'] FROM (
    SELECT id, data -> 'raw_blob' ->> 'ref' AS ref FROM messages
    WHERE data ?| ARRAY['raw', 'raw_blob'] AND received_at < $1
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS old WHERE m.id = old.id
RETURNING array_remove(ARRAY[old.ref], NULL) AS refs
"""
