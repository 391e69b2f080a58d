"""The real servers that tests run against, and how they are started."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deploy.kafka import runners
from deploy.kafka.kafka import KafkaServer


@functools.cache
def kafka_missing() -> str | None:
    """What this machine lacks to run Kafka; None when nothing."""
    return runners.missing()


@asynccontextmanager
async def running_kafka(brokers: int = 1) -> AsyncIterator[KafkaServer]:
    server = KafkaServer(brokers)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def running_postgres() -> AsyncIterator[str]:
    """A PostgreSQL of its own; its URL names a database that tests leave alone."""
    # Inside, for those who want the rest of this module without the embedded engine.
    from shared.embedded import EmbeddedPostgres

    folder = Path(tempfile.mkdtemp(prefix="regie-tests-"))
    # Started by root, the server runs as another user, who has to get through here.
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "data")
    try:
        yield await server.start()
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def fresh_database(server: str, *, template: str | None = None) -> AsyncIterator[str]:
    """The URL of a new database on `server`, dropped at the end whoever is still connected."""
    name = f"test_{uuid4().hex[:12]}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def migrated_template(server: str) -> AsyncIterator[str]:
    """The name of a database with the whole schema: copying it is quicker than migrating."""
    from shared.database import migrate

    async with fresh_database(server) as url:
        await migrate(url)
        yield str(make_url(url).database)


async def _execute(url: str, statement: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()
