"""The database of a command: REGIE_DATABASE_URL, or the data directory's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.cli.running import run, settings_of
from shared.database import connect, migrate, transaction
from shared.embedded import DirectoryInUse, EmbeddedPostgres
from shared.embedded.cluster import ROLE
from shared.embedded.folder import PORT, Folder
from shared.embedded.ready import DATABASE
from shared.serving import Step
from shared.settings import Settings

T = TypeVar("T")


def in_database(data_dir: Path | None, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """What `work` returns, done in one transaction."""
    settings = settings_of(data_dir)

    async def connected() -> T:
        async with database(settings) as engine, transaction(engine) as connection:
            return await work(connection)

    return run(connected())


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database. Where a `serve` holds the data directory, it is that
    one's server, by its socket; else one is started for the length of the command."""
    async with _url(settings) as url:
        await migrate(url)
        engine = connect(url, name="regie-command", pool=1)
        try:
            yield engine
        finally:
            await engine.dispose()


@asynccontextmanager
async def _url(settings: Settings) -> AsyncIterator[str]:
    if not settings.embedded:
        yield settings.database_url
        return
    server = EmbeddedPostgres(settings.data_dir)
    try:
        url = await server.start()
    except DirectoryInUse:
        yield _running(settings.data_dir)
        return
    try:
        yield url
    finally:
        await server.stop()


def _running(directory: Path) -> str:
    """The URL of the server that another process keeps on this directory."""
    folder = Folder(directory)
    return URL.create(
        "postgresql+asyncpg",
        username=ROLE,
        password=folder.read_password(),
        database=DATABASE,
        query={"host": str(folder.socket), "port": str(PORT)},
    ).render_as_string(hide_password=False)


@dataclass(frozen=True)
class ServingDatabase:
    """Where the database is; as a task, the embedded server's own life."""

    url: str
    tasks: Sequence[Step] = ()


@asynccontextmanager
async def serving_database(
    settings: Settings, stop: asyncio.Event
) -> AsyncIterator[ServingDatabase]:
    """The given database, or the data directory's own, started. A recovery may take its time:
    `stop` ends the wait."""
    if not settings.embedded:
        yield ServingDatabase(settings.database_url)
        return
    server = EmbeddedPostgres(settings.data_dir)
    starting = asyncio.create_task(server.start(), name="postgres")
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        yield ServingDatabase("")
        return
    try:
        yield ServingDatabase(starting.result(), [("postgres", server.wait)])
    finally:
        await server.stop()
