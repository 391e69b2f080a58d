"""The dead-letter table: filled from the `*.dlq` topics, read and settled by an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import parking
from shared.broker import Headers, Record
from shared.broker.headers import pack, unpack
from shared.errors import NotFound
from shared.ids import new_id
from shared.runtime import Runtime, Subscription
from shared.topics import DEAD_LETTER_TOPICS

GROUP: Final = "regie.dead-letters"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: a record no consumer could handle, or an item no parser could read.

    topic  the dead-letter topic it came from;  type its `ce_type`, empty when it has none
    count  how often it was seen;  state waiting, replayed or discarded
    """

    id: UUID
    topic: str
    key: bytes
    value: bytes
    headers: Headers
    account: str
    type: str
    reason: str
    raw_ref: str
    count: int
    first_at: datetime
    last_at: datetime
    state: str
    note: str

    @property
    def parked(self) -> parking.ParkedItem | None:
        """What a door could not read; None when it is a record that a consumer gave up."""
        return parking.read(self.value) if self.type == parking.TYPE else None


def dead_letter_subscription(runtime: Runtime) -> Subscription:
    """Copies every dead-letter topic into the table; wanted once an installation, in the process
    that runs the router."""

    async def copy(connection: AsyncConnection, records: Sequence[Record]) -> None:
        await store(connection, runtime.broker.cluster, records)

    return Subscription(GROUP, DEAD_LETTER_TOPICS, copy, decode=lambda record: record)


async def store(connection: AsyncConnection, cluster: str, records: Sequence[Record]) -> None:
    """One row a letter: a repeat counts, and makes a replayed one wait again."""
    for record in records:
        await connection.execute(_STORE, _row(record, cluster))


async def find(connection: AsyncConnection, letter_id: UUID, *, lock: bool = False) -> Letter:
    """Raises NotFound. With `lock`, nobody else settles it meanwhile."""
    statement = text(f"{_SELECT} WHERE id = :id {'FOR UPDATE' if lock else ''}")
    row = (await connection.execute(statement, {"id": letter_id})).one_or_none()
    if row is None:
        raise NotFound("no dead letter of this id: `regie dead-letters list` names them")
    return _letter(row)


async def page_of(
    connection: AsyncConnection,
    state: str,
    account: str,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Letter]:
    """The latest first; `before` is the place of the last one shown."""
    at, id = before or (None, None)
    values = {"state": state, "account": account, "at": at, "id": id, "limit": limit}
    return [_letter(row) for row in await connection.execute(_PAGE, values)]


async def settle(connection: AsyncConnection, letter_id: UUID, state: str, note: str) -> None:
    await connection.execute(_SETTLE, {"id": letter_id, "state": state, "note": note})


def _row(record: Record, cluster: str) -> dict[str, object]:
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    place = f"{cluster}/{headers.get('dlq_topic')}/{headers.get('dlq_partition')}"
    kind = headers.get("ce_type", "")
    parked = kind == parking.TYPE
    return {
        "id": new_id(),
        "topic": record.topic,
        "dedupe": headers["ce_id"] if parked else f"{place}/{headers.get('dlq_offset')}",
        "key": record.key,
        "value": record.value,
        "headers": pack(record.headers),
        "account": headers.get("dlq_account") or _account_in(headers.get("ce_source", "")),
        "type": kind,
        "reason": headers.get("dlq_reason", "").replace("\0", ""),
        "raw_ref": _raw_ref(record.value) if parked else "",
        "at": record.timestamp,
    }


def _account_in(source: str) -> str:
    return source.removeprefix("/ingest/") if source.startswith("/ingest/") else ""


def _raw_ref(value: bytes) -> str:
    try:
        return parking.read(value).raw.ref
    except msgspec.MsgspecError:
        return ""


def _letter(row: Row[tuple[object, ...]]) -> Letter:
    columns = dict(row._mapping)
    columns["headers"] = unpack(bytes(row.headers))
    return Letter(**columns)


_COLUMNS: Final = (
    "id, topic, key, value, headers, account, type, reason, raw_ref, count, first_at, last_at,"
    " state, note"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM dead_letters"  # noqa: S608 - no input in it
_STORE: Final = text(
    "INSERT INTO dead_letters AS d (id, topic, dedupe, key, value, headers, account, type, reason,"
    " raw_ref, first_at, last_at)"
    " VALUES (:id, :topic, :dedupe, :key, :value, :headers, :account, :type, :reason, :raw_ref,"
    " :at, :at)"
    " ON CONFLICT (dedupe) DO UPDATE SET count = d.count + 1,"
    " reason = CASE d.value WHEN '' THEN d.reason ELSE excluded.reason END,"
    " last_at = greatest(d.last_at, excluded.last_at),"
    " state = CASE d.state WHEN 'replayed' THEN 'waiting' ELSE d.state END"
)
_PAGE: Final = text(
    f"{_SELECT} WHERE (:state = '' OR state = :state) AND (:account = '' OR account = :account)"
    " AND (CAST(:at AS timestamptz) IS NULL"
    "  OR (last_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid)))"
    " ORDER BY last_at DESC, id DESC LIMIT :limit"
)
_SETTLE: Final = text("UPDATE dead_letters SET state = :state, note = :note WHERE id = :id")
