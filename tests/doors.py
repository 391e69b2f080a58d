"""A Regie that serves over a real socket, in this process; and a line to PostgreSQL to cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.rereading import Rereading
from shared import api_keys
from shared.api_keys import Grant
from shared.blobs import FolderBlobs
from shared.broker.postgres import PostgresBroker
from shared.database import connect, transaction
from shared.runtime import Runtime, Service
from shared.serving import address_of, listen, serve
from shared.settings import Settings
from tests.rooms import example_accounts
from tests.waiting import BOUND, until

ADMIN = "an-admin-key-that-is-long-enough-for-regie"


def make_runtime(url: str, folder: Path) -> Runtime:
    """The parts on one database, with the example accounts."""
    return Runtime(
        settings=Settings(admin_key=ADMIN, data_dir=folder, database_url=url),
        engine=connect(url),
        broker=PostgresBroker(url),
        blobs=FolderBlobs(folder / "blobs"),
        accounts=example_accounts(),
    )


@dataclass
class Door:
    """A serving process: speak to it with `http`; ask its database with `rows`."""

    runtime: Runtime
    http: httpx.AsyncClient
    stop: asyncio.Event
    headers: Mapping[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {ADMIN}"})

    async def rows(self, query: str, **values: Any) -> list[Any]:
        return await rows(self.runtime.engine, query, **values)

    async def records(self, topic: str) -> list[Any]:
        query = 'SELECT * FROM log_record WHERE topic = :topic ORDER BY partition, "offset"'
        return await self.rows(query, topic=topic)

    async def clear(self, *tables: str) -> None:
        async with transaction(self.runtime.engine) as connection:
            await connection.execute(text(f"TRUNCATE {', '.join(tables)}"))

    async def key(self, grant: Grant) -> dict[str, str]:
        """The header of a new key."""
        async with transaction(self.runtime.engine) as connection:
            return {"Authorization": f"Bearer {await api_keys.create(connection, grant)}"}


async def rows(engine: AsyncEngine, query: str, **values: Any) -> list[Any]:
    async with transaction(engine) as connection:
        return list((await connection.execute(text(query), values)).all())


@asynccontextmanager
async def open_door(runtime: Runtime, services: Sequence[Service]) -> AsyncIterator[Door]:
    """Serves until the end of the block, and is ready at its beginning."""
    stop = asyncio.Event()
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(
        serve(
            runtime,
            services,
            listener,
            stop=stop,
            prepare=[("log", runtime.broker.start)],
            reader=Rereading.of(runtime),
        )
    )
    async with httpx.AsyncClient(base_url=address_of(listener), timeout=BOUND) as http:

        async def ready() -> bool:
            if serving.done():
                serving.result()
            return (await http.get("/readyz")).status_code == 200

        try:
            await until(ready)
            yield Door(runtime, http, stop)
        finally:
            stop.set()
            await asyncio.wait_for(serving, BOUND)


class Line:
    """A way to a PostgreSQL that can be cut and mended: a socket in front of its socket."""

    def __init__(self, url: str, folder: Path) -> None:
        real = make_url(url)
        self._real = f"{real.query['host']}/.s.PGSQL.{real.query['port']}"
        self._here = folder / ".s.PGSQL.5432"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        query = {"host": str(folder), "port": "5432"}
        self.url = real.set(query=query).render_as_string(hide_password=False)

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self._here)

    async def cut(self) -> None:
        """What is open breaks off, and nothing new gets through."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        self._here.unlink(missing_ok=True)

    def freeze(self) -> None:
        """What is open stays open, and nothing gets through: a server that hangs."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._real)
        self._open |= {writer, back}
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        for each in (writer, back):
            self._open.discard(each)
            each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
