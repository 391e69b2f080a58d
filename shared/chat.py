"""The store between the two sides of a web chat: the notifier writes the agent's lines, ingest the
visitor's, and ingest shows both to the visitor's page.

A session's row is locked before its lines are touched. `n` numbers the lines of both sides without
a gap, in the order of their commits, so that a page resumes after the last one it has. `rev` grows
with whatever a page has to show; NOTIFY says so at once, and who misses it finds it by looking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.events import Attachment

HINT: Final = "regie_chat"


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom a line is for: what of a session decides whether it can still be read.

    over  the visitor left, or the session expired
    """

    account: str
    email: str
    over: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A line of ours. `human`: typed by a person; `secret`: it holds a code."""

    message_id: UUID
    session: UUID
    case_id: UUID
    text: str
    subject: str = ""
    files: tuple[Attachment, ...] = ()
    human: bool = True
    secret: bool = False


async def reader(connection: AsyncConnection, session: UUID, now: datetime) -> Reader | None:
    """The session, locked until the transaction ends; None where there is none."""
    row = await (await driver(connection)).fetchrow(_READER, session, now)
    return None if row is None else Reader(row["account"], row["email"], row["over"])


async def say(
    connection: AsyncConnection, answer: Answer, now: datetime, follow_up_at: datetime | None
) -> None:
    """Adds our line to a session that the caller has locked, once whatever is repeated.

    follow_up_at  when it goes by mail unless it was read; None: never
    """
    raw = await driver(connection)
    if await raw.fetchval(_SAID, answer.message_id) is not None:
        return
    n = await raw.fetchval(_NEXT, answer.session)
    files = msgspec.json.encode(answer.files).decode()
    await raw.execute(
        _SAY, answer.message_id, answer.session, n, now, answer.text, files, answer.subject,
        answer.case_id, answer.human, answer.secret, follow_up_at,
    )  # fmt: skip
    await hint(connection, answer.session)


async def hint(connection: AsyncConnection, session: UUID) -> None:
    """Once this transaction has committed, whoever shows the session looks at it."""
    await (await driver(connection)).execute("SELECT pg_notify($1, $2)", HINT, str(session))


def files_of(stored: Any) -> tuple[Attachment, ...]:
    """A row's `files`."""
    text = stored if isinstance(stored, str | bytes) else msgspec.json.encode(stored)
    return msgspec.json.decode(text, type=tuple[Attachment, ...])


_READER: Final = """
SELECT account, email, ended_at IS NOT NULL OR expires_at <= $2 AS over FROM chat_sessions
WHERE id = $1 FOR UPDATE
"""
_SAID: Final = "SELECT message_id FROM chat_lines WHERE message_id = $1"
_NEXT: Final = """
UPDATE chat_sessions SET last = last + 1, rev = rev + 1, agent_typing_until = NULL WHERE id = $1
RETURNING last
"""
_SAY: Final = """
INSERT INTO chat_lines (message_id, session_id, direction, n, at, text, files, subject, case_id,
    human, secret, follow_up_at)
VALUES ($1, $2, 'out', $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11)
"""
