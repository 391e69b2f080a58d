"""Whether the installation itself is whole: what `regie doctor` shows above the accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import migrations
from shared.channels import Finding
from shared.channels.table import provider_of
from shared.database import transaction
from shared.errors import RegieError
from shared.ops import queries
from shared.ops.board import Board
from shared.ops.lag import Seen
from shared.ops.status import judge, worst
from shared.runtime import Runtime
from shared.telemetry import describe
from shared.topics import TOPICS, partitions_of

_BOUND: Final = 10.0  # seconds for each look
_FRESH: Final = timedelta(seconds=1)
_SILENT: Final = 60.0  # seconds; a heartbeat is written every 5
_BAD: Final = ("WARN", "STALL", "STOP")

Look = Callable[[], Awaitable[Sequence[Finding]]]


class Installation:
    """The dependencies, the policy and the groups, as this process sees them."""

    def __init__(self, runtime: Runtime, board: Board) -> None:
        self._runtime, self._board = runtime, board

    async def look(self) -> list[Finding]:
        """Raises nothing: what cannot be asked is a finding."""
        looks: dict[str, Look] = {
            "database": self._database,
            "log": self._log,
            "blob store": self._blobs,
            "groups": self._groups,
        }
        found = await asyncio.gather(*(_bounded(what, look) for what, look in looks.items()))
        return [each for listed in found for each in listed] + [self._public_url()]

    async def _database(self) -> Sequence[Finding]:
        async with transaction(self._runtime.engine) as connection:
            version = await _schema(connection)
            policy = await queries.newest_policy(connection)
        advice = f"its schema is {version or 'missing'}, wanted is {_head()}: run `regie migrate`"
        rule = "none is in force: start a router, with REGIE_POLICY_FILE where you have one"
        return [
            Finding("database", version == _head(), "" if version == _head() else advice),
            Finding("policy", policy is not None, "" if policy is not None else rule),
        ]

    async def _log(self) -> Sequence[Finding]:
        ranges = await self._runtime.broker.ranges(TOPICS)
        wrong = []
        for topic in TOPICS:
            count = sum(tp.topic == topic for tp in ranges)
            if count != partitions_of(topic):
                wrong.append(f"{topic} has {count} partitions, not {partitions_of(topic)}")
        advice = f"{', '.join(wrong)}: make it anew ('Kafka' in docs/operations.md)"
        return [Finding("log", not wrong, advice if wrong else "")]

    async def _blobs(self) -> Sequence[Finding]:
        await self._runtime.blobs.ping()
        return [Finding("blob store", True)]

    async def _groups(self) -> Sequence[Finding]:
        view = await self._board.view(_FRESH)
        ordered = sorted(view.seen, key=lambda each: each.group)
        found = [
            _group(name, list(members)) for name, members in groupby(ordered, lambda x: x.group)
        ]
        async with transaction(self._runtime.engine) as connection:
            found.append(_heartbeat(await queries.heartbeats(connection)))
        return found

    def _public_url(self) -> Finding:
        names = [] if self._runtime.settings.public_url else sorted(self._by_links())
        advice = (
            f"files of replies by {', '.join(names)} are fetched from us: set it to the address "
            "at which the world reaches Regie, https://…"
        )
        return Finding("REGIE_PUBLIC_URL", not names, advice if names else "")

    def _by_links(self) -> Iterator[str]:
        for account in self._runtime.accounts:
            files = provider_of(account).files
            if files is not None and files.links:
                yield account.name


async def _bounded(what: str, look: Look) -> Sequence[Finding]:
    task = asyncio.ensure_future(look())
    # Not cancelled when it is late: a database call that is broken off leaks its connection.
    done, _ = await asyncio.wait({task}, timeout=_BOUND)
    if not done:
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        return [Finding(what, False, f"no answer within {_BOUND:g} s: look at it and the network")]
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, RegieError):
        raise error
    return [Finding(what, False, f"{describe(error)}. Look at it, and at its REGIE_ variables")]


async def _schema(connection: AsyncConnection) -> str:
    there = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not there:
        return ""
    return str(await connection.scalar(text("SELECT version_num FROM alembic_version")) or "")


@cache
def _head() -> str:
    """The newest migration of this version of Regie."""
    [folder] = migrations.__path__
    return str(ScriptDirectory(str(Path(folder))).get_current_head())


def _group(name: str, members: Sequence[Seen]) -> Finding:
    judged = [judge(each.samples) for each in members]
    status = worst([each.status for each in judged])
    reason = next((each.reason for each in judged if each.status == status), "")
    ok = status not in _BAD
    return Finding(f"group {name}", ok, "" if ok else f"{status}: {reason}. See `regie lag`")


def _heartbeat(beats: Sequence[queries.Heartbeat]) -> Finding:
    """From a router through its outbox to a notifier."""
    what = "router and notifier at work"
    if not beats:
        return Finding(what, False, "no heartbeat came through yet: start router and notifier")
    age = max(beat.age for beat in beats)
    advice = f"the last heartbeat came through {age:.0f} s ago: is either down? See `regie lag`"
    return Finding(what, age < _SILENT, "" if age < _SILENT else advice)
