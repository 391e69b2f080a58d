"""What ingest reads of the router's tables, and the row it keeps for `POST /v1/messages`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.idempotency import reused


@dataclass(frozen=True)
class Use:
    """What a caller names a message by, the body it sent under that name, and the id it gets.

    again  the id of a new message once the name is 24 h old and free again; None: never free
    """

    key: str
    caller: str
    fingerprint: bytes
    message_id: UUID
    again: UUID | None = None


async def first_use(connection: AsyncConnection, use: Use) -> UUID:
    """The message id this name stands for. Raises Invalid when it stands for another body.

    The row comes before the message, so that of two bodies at once only one can be accepted.
    """
    values = {
        "key": use.key,
        "caller": use.caller,
        "fingerprint": use.fingerprint,
        "body": str(use.message_id).encode(),
        "again": str(use.again).encode() if use.again else None,
    }
    row = (await connection.execute(_CLAIM, values)).one_or_none()
    if row is None:
        row = (await connection.execute(_FIRST, {"key": use.key, "caller": use.caller})).one()
        if bytes(row.fingerprint) != use.fingerprint:
            raise reused()
    return UUID(bytes(row.body).decode())


async def find_message(
    connection: AsyncConnection, message_id: UUID, now: datetime
) -> dict[str, Any] | None:
    """A routed message, its case and the switches on offer there; None while it is not routed."""
    values = {"id": message_id, "now": now}
    row = (await connection.execute(_MESSAGE, values)).mappings().one_or_none()
    return dict(row) if row else None


@dataclass(frozen=True)
class Resumable:
    """A resume code on record, and the case it goes on with."""

    handoff_id: UUID
    channel: str
    subject: str
    expires_at: datetime
    redeemed_at: datetime | None
    offered: bool

    def state(self, now: datetime) -> str:
        if self.redeemed_at is not None:
            return "spent"
        return "open" if self.offered and self.expires_at > now else "over"


async def find_code(connection: AsyncConnection, hash: bytes) -> Resumable | None:
    row = (await connection.execute(_CODE, {"hash": hash})).one_or_none()
    return None if row is None else Resumable(*row)


async def wrong_codes(connection: AsyncConnection, sender: str, since: datetime) -> int:
    values = {"sender": sender, "since": since}
    return int(await connection.scalar(_WRONG, values) or 0)


async def note_wrong_code(connection: AsyncConnection, sender: str, now: datetime) -> None:
    await connection.execute(_GUESS, {"sender": sender, "at": now})


_CODE: Final = text(
    "SELECT c.handoff_id, c.channel, cases.subject, c.expires_at, c.redeemed_at, "
    "h.state = 'offered' FROM resume_codes AS c JOIN handoffs AS h ON h.id = c.handoff_id "
    "JOIN cases ON cases.id = c.case_id WHERE c.hash = :hash"
)
_WRONG: Final = text("SELECT count(*) FROM wrong_codes WHERE sender = :sender AND at > :since")
_GUESS: Final = text("INSERT INTO wrong_codes (sender, at) VALUES (:sender, :at)")

_CLAIM: Final = text(
    "INSERT INTO idempotency AS i (key, caller, route, fingerprint, status, headers, body)"
    " VALUES (:key, :caller, 'POST /v1/messages', :fingerprint, 202, '{}', :body)"
    " ON CONFLICT (caller, route, key) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " body = CAST(:again AS bytea), created_at = now()"
    " WHERE i.created_at < now() - interval '24 hours' AND CAST(:again AS bytea) IS NOT NULL"
    " RETURNING fingerprint, body"
)
_FIRST: Final = text(
    "SELECT fingerprint, body FROM idempotency"
    " WHERE caller = :caller AND route = 'POST /v1/messages' AND key = :key"
)
_MESSAGE: Final = text(
    "SELECT m.id, m.account, m.channel, m.kind, m.state, m.occurred_at, m.received_at,"
    " m.processed_at, m.case_id, c.state AS case_state, c.team, c.priority, c.due_at,"
    " (SELECT coalesce(jsonb_agg(jsonb_build_object('id', h.id, 'to_channel', h.to_channel,"
    " 'expires_at', h.expires_at) ORDER BY h.offered_at, h.id), '[]') FROM handoffs h"
    " WHERE h.case_id = c.id AND h.state = 'offered' AND h.to_channel <> ''"
    " AND h.expires_at > :now) AS offers"
    " FROM messages m JOIN cases c ON c.id = m.case_id WHERE m.id = :id"
)
