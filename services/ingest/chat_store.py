"""What ingest reads and writes of web chats. See `shared.chat` for the order of locks."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import chat
from shared.channels.webchat import Visitor
from shared.chat import files_of
from shared.database import driver
from shared.events import Attachment


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor's session as it stands. `thread`: the name of their last line."""

    visitor: Visitor
    account: str
    expires_at: datetime
    ended_at: datetime | None
    last: int
    delivered: int
    read: int
    next_seq: int
    thread: str
    seen_at: datetime | None
    typing_until: datetime | None

    def over(self, now: datetime) -> bool:
        return self.ended_at is not None or self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Line:
    """One line as the visitor's page is shown it; `human` False: we wrote it by ourselves."""

    session: UUID
    n: int
    message_id: UUID
    out: bool
    at: datetime
    text: str
    seq: int | None
    files: tuple[Attachment, ...]
    human: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A visitor's number for a line, and the body it stands for. `n` None: not accepted yet."""

    at: datetime
    fingerprint: bytes
    n: int | None


async def begin(
    connection: AsyncConnection,
    visitor: Visitor,
    account: str,
    token: bytes,
    now: datetime,
    expires_at: datetime,
) -> None:
    """`token`: its hash."""
    v = visitor
    await (await driver(connection)).execute(
        _BEGIN, v.session, account, token, v.name, v.email, v.language, v.page, v.customer_ref,
        v.email_proven, now, expires_at,
    )  # fmt: skip


async def find(
    connection: AsyncConnection, session: UUID, token: bytes | None, *, lock: bool = False
) -> Session | None:
    """The session, if `token` hashes to its own (None: not asked). `lock`: until the end of the
    transaction nobody else writes in it."""
    row = await (await driver(connection)).fetchrow(_FIND_LOCKED if lock else _FIND, session)
    if row is None or (token is not None and not hmac.compare_digest(bytes(row["token"]), token)):
        return None
    visitor = Visitor(
        row["id"], row["name"], row["email"], row["language"], row["page"], row["customer_ref"],
        row["email_proven"],
    )  # fmt: skip
    return Session(
        visitor, row["account"], row["expires_at"], row["ended_at"], row["last"],
        row["delivered"], row["read"], row["next_seq"], row["thread"], row["seen_at"],
        row["typing_until"],
    )  # fmt: skip


async def claim_line(
    connection: AsyncConnection,
    session: UUID,
    seq: int,
    *,
    message_id: UUID,
    print_: bytes,
    at: datetime,
    text: str,
    files: Sequence[Attachment],
) -> Claim:
    """What the number stands for: this line, or the one that came under it first."""
    raw = await driver(connection)
    stored = msgspec.json.encode(files).decode()
    await raw.execute(_CLAIM, message_id, session, seq, print_, at, text, stored)
    row = await raw.fetchrow(_CLAIMED, message_id)
    return Claim(row["at"], bytes(row["fingerprint"]), row["n"])


async def accept_line(
    connection: AsyncConnection, session: UUID, message_id: UUID, name: str, until: datetime
) -> int:
    """The line is in the log: it gets its place, in a session the caller has locked."""
    raw = await driver(connection)
    n: int | None = await raw.fetchval("SELECT n FROM chat_lines WHERE message_id = $1", message_id)
    if n is None:
        n = await raw.fetchval(_PLACE, session, name, until)
        await raw.execute("UPDATE chat_lines SET n = $2 WHERE message_id = $1", message_id, n)
        seq = "SELECT seq FROM chat_lines WHERE message_id = $1"
        await raw.execute(_NUMBER, session, await raw.fetchval(seq, message_id))
        await chat.hint(connection, session)
    return int(n or 0)


async def lines_after(connection: AsyncConnection, session: UUID, n: int, most: int) -> list[Line]:
    rows = await (await driver(connection)).fetch(_LINES, [session], [n], most)
    return [line_of(row) for row in rows]


async def answers_within(
    connection: AsyncConnection, session: UUID, after: int, upto: int
) -> list[UUID]:
    """Our messages numbered so, oldest first."""
    rows = await (await driver(connection)).fetch(_ANSWERS, session, after, upto)
    return [row["message_id"] for row in rows]


async def mark(
    connection: AsyncConnection, session: UUID, *, delivered: int, read: int, until: datetime
) -> None:
    """How far the page has come; never back. What was read needs no mail."""
    raw = await driver(connection)
    await raw.execute(_MARK, session, delivered, read, until)
    await raw.execute(_UNMAILED, session, read)
    await chat.hint(connection, session)


async def introduce(connection: AsyncConnection, session: UUID, name: str, email: str) -> None:
    """What the visitor said of themselves."""
    raw = await driver(connection)
    await raw.execute("UPDATE chat_sessions SET name = $2, email = $3 WHERE id = $1",
                      session, name, email)  # fmt: skip


async def follow_up(connection: AsyncConnection, session: UUID, at: datetime | None) -> None:
    """When the answers that are unread now go by mail; None: never."""
    await (await driver(connection)).execute(_FOLLOW, session, at)


async def end(connection: AsyncConnection, session: UUID, now: datetime) -> None:
    """The visitor left: nobody waits for unread answers to be read any more."""
    raw = await driver(connection)
    await raw.execute(_END, session, now)
    await raw.execute(_FOLLOW_SOON, session, now)
    await chat.hint(connection, session)


async def type_(connection: AsyncConnection, session: UUID, until: datetime) -> None:
    await (await driver(connection)).execute(
        "UPDATE chat_sessions SET typing_until = $2 WHERE id = $1", session, until
    )


async def agent_types(
    connection: AsyncConnection, account: str, session: UUID, until: datetime
) -> bool:
    """False where there is no such session."""
    found = await (await driver(connection)).fetchval(_AGENT_TYPES, session, account, until)
    if found is not None:
        await chat.hint(connection, session)
    return found is not None


async def unread(connection: AsyncConnection, session: UUID) -> tuple[int, datetime | None]:
    """How many of our lines the visitor has not read, and when the last of them was mailed."""
    row = await (await driver(connection)).fetchrow(_UNREAD, session)
    return row["count"], row["mailed_at"]


async def file_of(
    connection: AsyncConnection, session: UUID, message_id: UUID, number: int
) -> Attachment | None:
    """A file of a line of this session, from 1 on."""
    raw = await driver(connection)
    stored = await raw.fetchval(_FILES, session, message_id)
    files = files_of(stored) if stored is not None else ()
    return files[number - 1] if 0 < number <= len(files) else None


def line_of(row: Any) -> Line:
    return Line(
        row["session_id"], row["n"], row["message_id"], row["direction"] == "out", row["at"],
        row["text"], row["seq"], files_of(row["files"]), row["human"],
    )  # fmt: skip


_BEGIN: Final = """
INSERT INTO chat_sessions (id, account, token, name, email, language, page, customer_ref,
    email_proven, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_FIND: Final = "SELECT * FROM chat_sessions WHERE id = $1"
_FIND_LOCKED: Final = f"{_FIND} FOR UPDATE"
_CLAIM: Final = """
INSERT INTO chat_lines (message_id, session_id, direction, seq, fingerprint, at, text, files)
VALUES ($1, $2, 'in', $3, $4, $5, $6, $7::jsonb) ON CONFLICT DO NOTHING
"""
_CLAIMED: Final = "SELECT at, fingerprint, n FROM chat_lines WHERE message_id = $1"
_PLACE: Final = """
UPDATE chat_sessions SET last = last + 1, rev = rev + 1, thread = $2, typing_until = NULL,
    expires_at = greatest(expires_at, $3)
WHERE id = $1 RETURNING last
"""
_NUMBER: Final = "UPDATE chat_sessions SET next_seq = greatest(next_seq, $2 + 1) WHERE id = $1"
LINES: Final = """
SELECT l.* FROM unnest($1::uuid[], $2::int[]) AS w (session_id, after) CROSS JOIN LATERAL (
    SELECT message_id, session_id, direction, n, seq, at, text, files, human FROM chat_lines
    WHERE chat_lines.session_id = w.session_id AND n > w.after ORDER BY n LIMIT $3
) AS l
"""
_LINES: Final = LINES
_ANSWERS: Final = """
SELECT message_id FROM chat_lines
WHERE session_id = $1 AND direction = 'out' AND n > $2 AND n <= $3 ORDER BY n
"""
_MARK: Final = """
UPDATE chat_sessions SET delivered = greatest(delivered, $2), read = greatest(read, $3),
    rev = rev + 1, expires_at = greatest(expires_at, $4)
WHERE id = $1
"""
_UNMAILED: Final = """
UPDATE chat_lines SET follow_up_at = NULL
WHERE session_id = $1 AND n <= $2 AND follow_up_at IS NOT NULL
"""
_FOLLOW: Final = """
UPDATE chat_lines SET follow_up_at = $2::timestamptz WHERE mailed_at IS NULL
    AND message_id IN (SELECT message_id FROM chat_unread WHERE session_id = $1)
"""
_FOLLOW_SOON: Final = """
UPDATE chat_lines SET follow_up_at = $2 WHERE session_id = $1 AND follow_up_at IS NOT NULL
"""
_END: Final = """
UPDATE chat_sessions SET ended_at = coalesce(ended_at, $2), rev = rev + 1 WHERE id = $1
"""
_AGENT_TYPES: Final = """
UPDATE chat_sessions SET agent_typing_until = $3, rev = rev + 1 WHERE id = $1 AND account = $2
RETURNING id
"""
_UNREAD: Final = """
SELECT count(*), max(mailed_at) AS mailed_at FROM chat_unread JOIN chat_lines USING (message_id)
WHERE chat_unread.session_id = $1
"""
_FILES: Final = "SELECT files FROM chat_lines WHERE session_id = $1 AND message_id = $2"
