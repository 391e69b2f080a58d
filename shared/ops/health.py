"""Alive and ready: what a supervisor restarts by, and what a balancer routes by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from shared.database import transaction
from shared.errors import BlobsUnavailable, Unavailable
from shared.progress import Progress
from shared.runtime import Runtime

_BOUND: Final = 3.0  # s for all checks together
_FRESH: Final = timedelta(seconds=1)  # the route is open: asking often must cost nothing
INGEST: Final = "ingest"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not as it should be."""

    what: str
    reason: str


@dataclass
class Health:
    """`services` are the rooms of this process, by name, with the groups they consume as."""

    runtime: Runtime
    services: Mapping[str, Sequence[str]]
    progress: Progress
    prepared: asyncio.Event
    _found: tuple[datetime, dict[str, str]] | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reasons(self, service: str = "") -> list[Reason]:
        """Why this process, or one room of it, should get no work; empty when it is ready."""
        if service and service not in self.services:
            return [Reason(service, "is not run by this process")]
        away = await self._away()
        if not self.prepared.is_set():
            away.pop("log", None)  # it cannot be asked before it is started
            return _listed(away | {"start": "not finished yet"})
        if service == INGEST or set(self.services) == {INGEST}:
            # Providers' webhooks need the log and the blob store only (DESIGN 5).
            away.pop("database", None)
        return _listed(away | self._unready(service))

    def stopped(self, service: str = "") -> list[Reason]:
        """The groups that gave up on partitions. A person's matter: what else this process does is
        as well as ever, so it is ready for work."""
        named = [service] if service in self.services else self.services
        own = {group for name in named for group in self.services[name]}
        return [
            Reason(
                each.group,
                f"stands still in {len(each.stopped)} of {len(each.assigned)} partitions: "
                "`regie lag` says why, and what to do",
            )
            for each in self.progress.groups()
            if each.stopped and each.group in own
        ]

    def _unready(self, service: str) -> dict[str, str]:
        groups = {group for name in self.services for group in self.services[name]}
        # Without a group that counts, what leaves by the outbox does not either.
        own = set(self.services[service]) if service else groups | ({"outbox"} if groups else set())
        unready = self.progress.unready()
        return {name: why.partition(":")[0] for name, why in unready.items() if name in own}

    async def _away(self) -> dict[str, str]:
        async with self._asking:
            if self._found is None or self.runtime.now() - self._found[0] >= _FRESH:
                found = await self._ask()
                # Aged from when it came, or a slow answer would be asked for again by each room.
                self._found = (self.runtime.now(), found)
            return dict(self._found[1])

    async def _ask(self) -> dict[str, str]:
        checks: dict[str, Callable[[], Awaitable[object]]] = {
            "database": self._database,
            "log": self.runtime.broker.ping,
            "blobs": self.runtime.blobs.ping,
        }
        answers = await asyncio.gather(*(_fault(check) for check in checks.values()))
        return {name: fault for name, fault in zip(checks, answers, strict=True) if fault}

    async def _database(self) -> None:
        async with transaction(self.runtime.engine) as connection:
            await connection.execute(text("SELECT 1"))


async def _fault(check: Callable[[], Awaitable[object]]) -> str:
    task = asyncio.ensure_future(check())
    # Not cancelled when it is late: a database call that is broken off leaks its connection.
    done, _ = await asyncio.wait({task}, timeout=_BOUND)
    if not done:
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        return f"no answer within {_BOUND:.0f} s"
    return _words(task.exception())


def _words(error: BaseException | None) -> str:
    """Open to everybody, so without addresses."""
    if error is None:
        return ""
    if isinstance(error, BlobsUnavailable):
        return "cannot be written"
    return "does not answer" if isinstance(error, Unavailable) else type(error).__name__


def _listed(reasons: dict[str, str]) -> list[Reason]:
    return [Reason(what, why) for what, why in sorted(reasons.items())]
