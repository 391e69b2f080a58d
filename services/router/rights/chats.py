"""What the chat store holds of a person. It is forgotten two days after a session expired; who is
erased, or asks what is held, does not wait for that.

A session is theirs by its own identity, by the mail address they left, or by the customer number
that the integrator vouched for. One in which nothing was ever said belongs to no customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.rights import files
from services.router.rights.scope import Scope
from shared.database import driver

# $1 their `chat` identities, $2 mail addresses, $3 customer numbers, $4 cases, $5 messages
_THEIRS: Final = "id::text = ANY($1) OR email = ANY($2) OR customer_ref = ANY($3)"
_LINES: Final = f"""
session_id IN (SELECT id FROM chat_sessions WHERE {_THEIRS})
OR case_id = ANY($4) OR message_id = ANY($5)
"""  # noqa: S608 - our own names
_COLUMNS: Final = """
id, account, name, email, language, page, customer_ref, created_at, expires_at, ended_at, seen_at
"""
SESSIONS: Final = f"""
SELECT to_jsonb(row)::text FROM (SELECT {_COLUMNS} FROM chat_sessions WHERE {_THEIRS}
    ORDER BY created_at, id) AS row
"""  # noqa: S608 - our own names
LINES: Final = f"""
SELECT to_jsonb(row)::text FROM (SELECT session_id, n, direction, at, text, message_id, mailed_at
    FROM chat_lines WHERE {_LINES} ORDER BY session_id, n) AS row
"""  # noqa: S608 - our own names


def of_sessions(scope: Scope) -> tuple[list[str], ...]:
    """What SESSIONS asks for."""
    return tuple(
        sorted(each.value for each in scope.identities if each.scheme == scheme)
        for scheme in ("chat", "email", "customer_no")
    )


def of_lines(scope: Scope) -> tuple[Sequence[str | UUID], ...]:
    """What LINES asks for."""
    return (*of_sessions(scope), sorted(scope.cases), sorted(scope.messages))


async def wipe(connection: AsyncConnection, scope: Scope) -> None:
    raw = await driver(connection)
    await raw.fetch(_LOCK, *of_sessions(scope))  # no line comes any more
    rows = await raw.fetch(_REFS, *of_lines(scope))
    await files.doom(connection, [row["ref"] for row in rows])
    await raw.execute(_DELETE_LINES, *of_lines(scope))
    await raw.execute(_DELETE_SESSIONS, *of_sessions(scope))


async def forget(connection: AsyncConnection, before: datetime, most: int) -> int:
    """Sessions that expired before, with their lines; how many."""
    rows = await (await driver(connection)).fetch(_FORGET, before, most)
    return len(rows)


_LOCK: Final = f"SELECT id FROM chat_sessions WHERE {_THEIRS} ORDER BY id FOR UPDATE"  # noqa: S608
_DELETE_LINES: Final = f"DELETE FROM chat_lines WHERE {_LINES}"  # noqa: S608 - our own names
_DELETE_SESSIONS: Final = f"DELETE FROM chat_sessions WHERE {_THEIRS}"  # noqa: S608 - our own names
_REFS: Final = f"""
SELECT DISTINCT jsonb_array_elements_text(jsonb_path_query_array(files, '$.**.ref')) AS ref
FROM chat_lines WHERE {_LINES}
"""  # noqa: S608 - our own names
_FORGET: Final = """
WITH gone AS (
    DELETE FROM chat_sessions WHERE id IN (SELECT id FROM chat_sessions
        WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id
), lines AS (DELETE FROM chat_lines WHERE session_id IN (SELECT id FROM gone))
SELECT id FROM gone
"""
