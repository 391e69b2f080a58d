"""PostgreSQL sessions that are kept: one that holds an advisory lock, one that writes the log.

They stand apart from the application's pool, so that a busy pool can starve neither. An advisory
lock lives as long as its session: behind a pooler in transaction mode it would mean nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias
from zlib import crc32

import asyncpg
from sqlalchemy import URL, make_url

Session: TypeAlias = "asyncpg.Connection[Any]"

# What a lost session, a lost server or an unreachable one may raise; the last one, when a session
# is ended from outside while asyncpg's pool is putting it back.
AWAY: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# Words of the SQLAlchemy dialect that asyncpg itself does not know.
_DIALECT_ONLY: Final = (
    "async_fallback",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
)


def session_arguments(url: str | URL, name: str, **settings: str) -> dict[str, Any]:
    """What `asyncpg.connect` and `create_pool` need for this database; 8 s is a call's bound.

    The keepalives make the server notice a vanished machine within half a minute and give its
    locks free.
    """
    parsed = make_url(url)
    _, arguments = parsed.get_dialect()().create_connect_args(parsed)
    for word in _DIALECT_ONLY:
        arguments.pop(word, None)
    return {
        **arguments,
        "timeout": 5,
        "command_timeout": 8,
        "server_settings": {
            "application_name": name,
            "timezone": "UTC",
            "jit": "off",
            "idle_in_transaction_session_timeout": "60s",
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            **settings,
        },
    }


async def open_session(url: str | URL, name: str, **settings: str) -> Session:
    """A session of its own. Raises one of AWAY, or TimeoutError after 5 s."""
    session: Session = await asyncpg.connect(**session_arguments(url, name, **settings))
    return session


async def close_session(session: Session | None) -> None:
    """Ends it politely within 2 s, otherwise by force. Never raises."""
    if session is None:
        return
    try:
        async with asyncio.timeout(2):
            await session.close()
    except (*AWAY, TimeoutError):
        session.terminate()


def lock_number(name: str) -> int:
    """A name as the signed 32 bits of an advisory lock's second key."""
    return crc32(name.encode()) - (1 << 31)
