"""Waiting until the server answers, however long it needs to recover."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

import asyncpg

from shared.embedded.cluster import ROLE
from shared.embedded.errors import EmbeddedError
from shared.embedded.folder import PORT, Folder
from shared.embedded.log import Log
from shared.embedded.process import Process

logger = logging.getLogger(__name__)

DATABASE: Final = "regie"
_SHORTEST, _LONGEST = 0.01, 0.25  # seconds between two tries
_TELL_EVERY: Final = 10.0
_NOT_YET: Final = (
    ConnectionError,
    FileNotFoundError,  # no socket yet
    TimeoutError,
    asyncpg.CannotConnectNowError,  # starting up, or recovering
    asyncpg.PostgresConnectionError,
)


async def until_ready(server: Process, folder: Folder, log: Log) -> None:
    """Returns once the database `regie` is there and answers.

    A recovery after a crash may take minutes, so the bound is the server's life, not a time.
    Raises EmbeddedError if the server ends.
    """
    started = told = time.monotonic()
    pause = _SHORTEST
    while not await _answers(folder):
        try:
            status = await asyncio.wait_for(server.wait(), pause)
        except TimeoutError:
            pause = min(pause * 1.5, _LONGEST)
        else:
            raise log.failure(f"PostgreSQL ended while it started (exit status {status})")
        if time.monotonic() - told > _TELL_EVERY:
            told = time.monotonic()
            logger.warning("PostgreSQL is recovering, %d s so far: %s", told - started, log.path)


async def _answers(folder: Folder) -> bool:
    try:
        await (await _connect(folder, DATABASE)).close(timeout=5)
    except asyncpg.InvalidCatalogNameError:
        await _create_database(folder)
    except asyncpg.InvalidPasswordError as error:
        raise EmbeddedError(
            f"PostgreSQL refuses the password in {folder.password}. Bring it back from a backup."
        ) from error
    except _NOT_YET:
        return False
    return True


async def _create_database(folder: Folder) -> None:
    connection = await _connect(folder, "postgres")
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    finally:
        await connection.close(timeout=5)


async def _connect(folder: Folder, database: str) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(
        host=str(folder.socket),
        port=PORT,
        user=ROLE,
        password=folder.read_password(),
        database=database,
        timeout=10,
    )
