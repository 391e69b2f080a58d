"""When each account last had something come in, go out, or fail: one row an account, whatever the
number of processes, and kept over restarts.

The router notes what came in and the notifier what went out, each once a batch and at the end of
its own transaction. Nobody waits for a row of it: who finds one locked leaves it to the
transaction that holds it, which notes the same moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver

_LONGEST: Final = 300
# An address of a person has no place in a row that outlives their messages.
_ADDRESS: Final = re.compile(
    r"""[^\s@<>"',;:]+@[^\s@<>"',;:]+|(?<![0-9A-Za-z])\+?\d(?:[ ().-]?\d){7,}(?![0-9A-Za-z])"""
)


class Activity(NamedTuple):
    """What is known of one account; None where it never happened.

    code, reason  of the last failure, in words: a try that failed, though it may go again
    """

    last_in: datetime | None = None
    last_out: datetime | None = None
    failed_at: datetime | None = None
    code: str = ""
    reason: str = ""


class Gone(NamedTuple):
    """A message that left by an account, or did not: then it has a `code`."""

    account: str
    at: datetime
    code: str = ""
    reason: str = ""


async def came_in(connection: AsyncConnection, heard: Iterable[tuple[str, datetime]]) -> None:
    """Notes (account, received at) in one statement."""
    latest: dict[str, datetime] = {}
    for account, at in heard:
        latest[account] = max(at, latest.get(account, at))
    await _note(connection, {account: Activity(last_in=at) for account, at in latest.items()})


async def went_out(connection: AsyncConnection, gone: Iterable[Gone]) -> None:
    """Notes what was sent and what failed, in one statement."""
    latest: dict[str, Activity] = {}
    for each in gone:
        known = latest.get(each.account, Activity())
        if each.code:
            reason = _ADDRESS.sub("…", each.reason)[:_LONGEST]
            known = known._replace(failed_at=each.at, code=each.code, reason=reason)
        else:
            known = known._replace(last_out=each.at)
        latest[each.account] = known
    await _note(connection, latest)


async def read(connection: AsyncConnection) -> dict[str, Activity]:
    """By account."""
    rows = await (await driver(connection)).fetch(_READ)
    return {row["account"]: Activity(*list(row)[1:]) for row in rows}


async def _note(connection: AsyncConnection, latest: Mapping[str, Activity]) -> None:
    if latest:
        rows = [(account, *latest[account]) for account in sorted(latest) if account]
        await (await driver(connection)).execute(_NOTE, *zip(*rows, strict=True))


_READ: Final = "SELECT account, last_in, last_out, failed_at, code, reason FROM account_activity"
# `greatest` ignores NULL. Only what is not there is inserted: a conflict with a row in somebody's
# hands waits for them, whatever is done about it. Those who make a first row do wait: so in order.
_NOTE: Final = """
WITH news AS (
    SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[],
        $5::text[], $6::text[]) AS n (account, last_in, last_out, failed_at, code, reason)
), made AS (
    INSERT INTO account_activity (account, last_in, last_out, failed_at, code, reason)
    SELECT * FROM news WHERE account NOT IN (SELECT account FROM account_activity)
    ORDER BY account ON CONFLICT DO NOTHING
), free AS (
    SELECT a.account FROM account_activity a JOIN news USING (account)
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE account_activity a SET
    last_in = greatest(a.last_in, n.last_in),
    last_out = greatest(a.last_out, n.last_out),
    code = CASE WHEN n.failed_at >= coalesce(a.failed_at, '-infinity') THEN n.code ELSE a.code END,
    reason =
        CASE WHEN n.failed_at >= coalesce(a.failed_at, '-infinity') THEN n.reason ELSE a.reason END,
    failed_at = greatest(a.failed_at, n.failed_at)
FROM news n JOIN free USING (account) WHERE a.account = n.account
"""
