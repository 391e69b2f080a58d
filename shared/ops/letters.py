"""The dead-letter table: filled from the `*.dlq` topics, read and settled by an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
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
# What a replayed record carries, so that it is known for the same one when it fails again.
DEDUPE: Final = "dlq_dedupe"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: a record no consumer could handle, or an item no parser could read.

    topic    the dead-letter topic it came from;  type its `ce_type`, empty when it has none
    dedupe   under which its repeats are known, one that failed again after a replay too
    count    how often it was seen;  state waiting, replayed or discarded
    settled  by whom and when it was last replayed or discarded
    """

    id: UUID
    topic: str
    dedupe: str
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
    settled_by: str
    settled_at: datetime | None

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
    statement = text(f"{SELECT} WHERE id = :id {'FOR UPDATE' if lock else ''}")
    row = (await connection.execute(statement, {"id": letter_id})).one_or_none()
    if row is None:
        raise NotFound("no dead letter of this id: `regie dead-letters list` names them")
    return letter_of(row)


async def settle(
    connection: AsyncConnection, letter_id: UUID, state: str, note: str, by: str, now: datetime
) -> None:
    values = {"id": letter_id, "state": state, "note": note, "by": by, "at": now}
    await connection.execute(_SETTLE, values)


def letter_of(row: Row[Any]) -> Letter:
    columns = dict(row._mapping)
    columns["headers"] = unpack(bytes(row.headers))
    return Letter(**columns)


def _row(record: Record, cluster: str) -> dict[str, object]:
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    place = f"{cluster}/{headers.get('dlq_topic')}/{headers.get('dlq_partition')}"
    kind = headers.get("ce_type", "")
    parked = kind == parking.TYPE
    return {
        "id": new_id(),
        "topic": record.topic,
        "dedupe": headers["ce_id"]
        if parked
        else headers.get(DEDUPE) or f"{place}/{headers.get('dlq_offset')}",
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


_COLUMNS: Final = (
    "id, topic, dedupe, key, value, headers, account, type, reason, raw_ref, count, first_at,"
    " last_at, state, note, settled_by, settled_at"
)
SELECT: Final = f"SELECT {_COLUMNS} FROM dead_letters"  # noqa: S608 - no input in it
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
_SETTLE: Final = text(
    "UPDATE dead_letters SET state = :state, note = :note, settled_by = :by, settled_at = :at"
    " WHERE id = :id"
)
