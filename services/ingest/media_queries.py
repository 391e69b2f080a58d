"""The table `media`: files that stay with their provider, one row each, and how fetching goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.events import Attachment, Blob

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file to be fetched: the `number`th of its message, from 1.

    key    of the message on its topic, and so whose the bytes are
    tries  with this one
    """

    message_id: UUID
    number: int
    account: str
    reference: str
    key: bytes
    file: Attachment
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: with `blob`, or with the reason why not."""

    waiting: Waiting
    at: datetime
    blob: Blob | None = None
    content_type: str = ""
    code: str = ""
    reason: str = ""


async def note(connection: AsyncConnection, files: Sequence[Waiting], now: datetime) -> list[Ended]:
    """Notes what is new; returns what has ended before, since whoever sends a message again may
    have missed how."""
    raw = await driver(connection)
    await raw.execute(_NOTE, *_columns(files), now)
    rows = await raw.fetch(_ENDED, [f.message_id for f in files], [f.number for f in files])
    return [_ended(row) for row in rows]


async def ask_again(connection: AsyncConnection, files: Sequence[Waiting], now: datetime) -> None:
    """What was lost, or is known no longer, is tried from the beginning."""
    await (await driver(connection)).execute(_AGAIN, *_columns(files), now)


async def claim(
    connection: AsyncConnection, now: datetime, lease: timedelta, most: int
) -> list[Waiting]:
    """The longest due. Whoever claimed one and dies leaves it to others after the lease."""
    rows = await (await driver(connection)).fetch(_CLAIM, now, now + lease, most)
    return [_waiting(row) for row in rows]


async def postpone(
    connection: AsyncConnection, waiting: Waiting, until: datetime, code: str, reason: str
) -> None:
    await (await driver(connection)).execute(
        _POSTPONE, waiting.message_id, waiting.number, until, code, reason
    )


async def end(connection: AsyncConnection, ended: Ended) -> bool:
    """Whether it is to be told: not where another was quicker. Where an erasure has removed the
    row it is, so that the router can remove the bytes as well."""
    raw, waiting = await driver(connection), ended.waiting
    place = (waiting.message_id, waiting.number)
    state = await raw.fetchval(_STATE, *place)
    if state is None or state != "waiting":
        return state is None
    await raw.execute(
        _END, *place, "fetched" if ended.blob else "lost", ended.at,
        _json(ended.blob) if ended.blob else None, ended.content_type, ended.code, ended.reason,
    )  # fmt: skip
    return True


async def forget(connection: AsyncConnection, before: datetime) -> None:
    """Rows that ended so long ago that no repeat of their message comes any more."""
    await (await driver(connection)).execute(_FORGET, before)


def _columns(files: Sequence[Waiting]) -> list[list[Any]]:
    rows = [(f.message_id, f.number, f.account, f.reference, f.key, _json(f.file)) for f in files]
    return [list(column) for column in zip(*rows, strict=True)]


def _waiting(row: Any) -> Waiting:
    return Waiting(
        message_id=row["message_id"], number=row["number"], account=row["account"],
        reference=row["reference"], key=bytes(row["key"]),
        file=msgspec.json.decode(row["file"], type=Attachment), tries=row["tries"],
    )  # fmt: skip


def _ended(row: Any) -> Ended:
    blob = msgspec.json.decode(row["blob"], type=Blob) if row["blob"] else None
    return Ended(
        _waiting(row), row["ended_at"], blob, row["content_type"], row["code"], row["reason"]
    )


def _json(value: Attachment | Blob) -> str:
    return _ENCODER.encode(value).decode()


_GIVEN: Final = """
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::bytea[], $6::jsonb[])
    AS new (message_id, number, account, reference, key, file)
"""
_COLUMNS: Final = "message_id, number, account, reference, key, file"
_NOTE: Final = f"""
INSERT INTO media ({_COLUMNS}, next_at, noted_at)
SELECT {_COLUMNS}, $7, $7 {_GIVEN} ORDER BY message_id, number ON CONFLICT DO NOTHING
"""
_AGAIN: Final = f"""
INSERT INTO media AS m ({_COLUMNS}, next_at, noted_at)
SELECT {_COLUMNS}, $7, $7 {_GIVEN} ORDER BY message_id, number
ON CONFLICT (message_id, number) DO UPDATE SET state = 'waiting', tries = 0, next_at = $7,
    ended_at = NULL WHERE m.state = 'lost'
"""
_READ: Final = f"{_COLUMNS.replace('file', 'file::text')}, tries"
_ENDED: Final = f"""
SELECT {_READ}, ended_at, blob::text, content_type, code, reason FROM media
JOIN unnest($1::uuid[], $2::smallint[]) AS wanted (message_id, number)
USING (message_id, number) WHERE state <> 'waiting'
"""  # noqa: S608 - our own names
_CLAIM: Final = f"""
UPDATE media SET next_at = $2, tries = tries + 1, code = '', reason = ''
WHERE (message_id, number) IN (
    SELECT message_id, number FROM media WHERE state = 'waiting' AND next_at <= $1
    ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING {_READ}
"""  # noqa: S608 - our own names
_POSTPONE: Final = """
UPDATE media SET next_at = $3, code = $4, reason = $5
WHERE message_id = $1 AND number = $2 AND state = 'waiting'
"""
_STATE: Final = "SELECT state FROM media WHERE message_id = $1 AND number = $2 FOR UPDATE"
_END: Final = """
UPDATE media SET state = $3, ended_at = $4, blob = $5, content_type = $6, code = $7, reason = $8
WHERE message_id = $1 AND number = $2
"""
_FORGET: Final = "DELETE FROM media WHERE ended_at < $1"
