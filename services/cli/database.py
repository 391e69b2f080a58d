"""The database of a command that needs one: REGIE_DATABASE_URL, or the data directory's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from services.cli.running import run, settings_of
from shared.database import connect
from shared.database import migrate as migrate_to_head
from shared.embedded import DirectoryInUse, EmbeddedPostgres
from shared.embedded.cluster import ROLE
from shared.embedded.folder import PORT, Folder
from shared.embedded.ready import DATABASE
from shared.settings import Settings

DataDir = Annotated[Path | None, typer.Option(help="Default: REGIE_DATA_DIR, or .regie.")]


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version. `serve` does it too."""

    async def work() -> None:
        async with database(settings_of(data_dir)):
            pass

    run(work())
    typer.echo("the database is at this version")


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database. Where a `serve` holds the data directory, it is that
    one's server, by its socket; else one is started for the length of the command."""
    async with _url(settings) as url:
        await migrate_to_head(url)
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
