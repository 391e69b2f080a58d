"""Which process reads a mailbox: the one that holds its lock in PostgreSQL.

One session holds the locks of all the mailboxes of this process; losing it loses them all. Two
processes at one mailbox for a moment would do no harm: what both take in has one id.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlalchemy import URL

from shared.sessions import AWAY, Session, close_session, lock_number, open_session
from shared.telemetry import describe

_LOCKS: Final = 7_233_021  # the first key of this file's advisory locks
_LOCK: Final = "SELECT pg_try_advisory_lock($1, $2)"
_BOUND: Final = 8.0

log = structlog.get_logger("ingest")


class Turns:
    """Asked again and again, by many tasks of one loop."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._session: Session | None = None
        self._held: set[str] = set()
        self._asking = asyncio.Lock()

    async def mine(self, name: str) -> bool:
        """Whether this process may read the mailbox now; without a database nobody may."""
        async with self._asking:
            try:
                async with asyncio.timeout(_BOUND):
                    return await self._ask(name)
            except (*AWAY, TimeoutError) as error:
                log.warning("mailboxes wait for the database", error=describe(error))
                await self._leave()
                return False

    async def close(self) -> None:
        await self._leave()

    async def _ask(self, name: str) -> bool:
        if self._session is None or self._session.is_closed():
            self._held.clear()
            self._session = await open_session(self._url, "regie mailboxes")
        if name in self._held:
            await self._session.execute("SELECT")  # an answer: it is still there
            return True
        if await self._session.fetchval(_LOCK, _LOCKS, lock_number(name)):
            self._held.add(name)
        return name in self._held

    async def _leave(self) -> None:
        session, self._session = self._session, None
        self._held.clear()
        await close_session(session)
