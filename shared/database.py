"""PostgreSQL: the engine, its bounds, and the migrations.

One dialect, so its own means are used freely: COPY, `unnest`, SKIP LOCKED, advisory locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.errors import DatabaseUnavailable

_MIGRATION_LOCK: Final = 7_233_001
_DEADLOCKS: Final = {"40P01", "40001", "55P03"}
_DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError)
_AWAY: Final = ("08", "57P", "53")


def connect(url: str, *, name: str = "regie", pool: int = 10) -> AsyncEngine:
    """An engine whose sessions are bounded: a lost client cannot hold a lock for ever."""
    return create_async_engine(
        url,
        pool_size=pool,
        max_overflow=pool,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # an error must not carry a customer's words into a log
        connect_args={
            "timeout": 5,
            "server_settings": {
                "application_name": name,
                "idle_in_transaction_session_timeout": "60s",
                "lock_timeout": "20s",
                "timezone": "UTC",
                "jit": "off",
            },
        },
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction, committed at the end. Raises DatabaseUnavailable when PostgreSQL is away."""
    try:
        async with engine.begin() as connection:
            yield connection
    except (OSError, DBAPIError, PoolTimeout, *_DRIVER) as error:
        if is_away(error):
            raise DatabaseUnavailable(f"PostgreSQL does not answer: {error}") from error
        if isinstance(error, asyncpg.PostgresError):  # raised below SQLAlchemy: one family for all
            raise DBAPIError("a statement", None, error, hide_parameters=True) from error
        raise


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's error code, or an empty string."""
    original = getattr(error, "orig", error)
    return str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")


def is_deadlock(error: BaseException) -> bool:
    """Whether the transaction merely met another one: the same work may succeed if repeated."""
    return sqlstate(error) in _DEADLOCKS


def is_away(error: BaseException) -> bool:
    """Whether the server, not the statement, is the cause."""
    if isinstance(error, PoolTimeout):  # every connection is waiting for something
        return True
    if isinstance(error, ValueError):  # asyncpg's own DataError: a parameter it cannot encode
        return False
    away = DatabaseUnavailable | OSError | TimeoutError
    if isinstance(error, away | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = sqlstate(error)
    if isinstance(error, InterfaceError | OperationalError) and not state:
        return True
    return state.startswith(_AWAY)


async def driver(connection: AsyncConnection) -> asyncpg.Connection[Any]:
    """The asyncpg connection below, inside the transaction: for COPY and array parameters.

    SQLAlchemy sends BEGIN with its first statement only; without one, ours would commit alone.
    """
    raw: asyncpg.Connection[Any] = (await connection.get_raw_connection()).driver_connection
    if not raw.is_in_transaction():
        await connection.execute(text("SELECT"))
    return raw


async def copy(
    connection: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """COPY rows into a table, inside the connection's transaction. jsonb columns take str."""
    if not rows:
        return
    raw = await driver(connection)
    await raw.copy_records_to_table(table, records=rows, columns=list(columns))


async def upsert(
    connection: AsyncConnection,
    table: str,
    columns: Mapping[str, str],
    key: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Inserts or overwrites rows by their key, in one statement. `columns`: name to SQL type."""
    if not rows:
        return
    raw = await driver(connection)
    statement = _upsert_sql(table, tuple(columns.items()), tuple(key))
    await raw.execute(statement, *zip(*rows, strict=True))


@cache
def _upsert_sql(table: str, columns: tuple[tuple[str, str], ...], key: tuple[str, ...]) -> str:
    names = ", ".join(name for name, _ in columns)
    arrays = ", ".join(f"${i}::{kind}[]" for i, (_, kind) in enumerate(columns, 1))
    changes = ", ".join(f"{name} = excluded.{name}" for name, _ in columns if name not in key)
    return (
        f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) "  # noqa: S608 - our own names
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


async def migrate(url: str) -> None:
    """Brings the schema to this version; several processes may call it at once."""
    engine = connect(url, name="regie-migrate", pool=1)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET lock_timeout = 0"))
            await connection.execute(text(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})"))
            await connection.commit()
            await connection.run_sync(_upgrade)
            await connection.commit()
            await connection.execute(text(f"SELECT pg_advisory_unlock({_MIGRATION_LOCK})"))
            await connection.commit()
    finally:
        await asyncio.shield(engine.dispose())


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
