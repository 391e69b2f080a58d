"""PostgreSQL of our own, in the data directory, for one Regie at a time."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sqlalchemy import URL

from shared.embedded.account import choose
from shared.embedded.cluster import ROLE, check_version, create, serve
from shared.embedded.errors import DirectoryInUse, EmbeddedError, advise
from shared.embedded.folder import PORT, Folder
from shared.embedded.install import find
from shared.embedded.leftovers import end_leftovers
from shared.embedded.log import Log
from shared.embedded.process import Process
from shared.embedded.ready import DATABASE, until_ready

__all__ = ["DirectoryInUse", "EmbeddedError", "EmbeddedPostgres"]


class EmbeddedPostgres:
    """One server on one directory. It ends with us, however we end."""

    def __init__(self, directory: Path) -> None:
        self._folder = Folder(directory)
        self._lock: int | None = None
        self._server: Process | None = None

    async def start(self) -> str:
        """Makes the database if there is none, starts it, and returns its SQLAlchemy URL.

        Waits for a recovery as long as it takes; cancelling stops the server again. Call it on
        the main thread, or one that lives as long. Raises DirectoryInUse while another Regie
        holds the directory, and EmbeddedError for all else that a person has to put right.
        """
        if sys.platform == "win32":
            raise EmbeddedError("no embedded PostgreSQL on Windows. Set REGIE_DATABASE_URL.")
        if self._lock is not None:
            raise EmbeddedError("this embedded PostgreSQL was started already. Stop it first.")
        try:
            await self._start()
        except OSError as error:
            await self.stop()
            raise EmbeddedError(f"{error}. {advise(str(error))}") from error
        except BaseException:
            await self.stop()
            raise
        return self._url()

    async def stop(self) -> None:
        """Stops the server, within 20 s, and lets the directory go. Harmless if repeated."""
        if self._server is not None:
            await self._server.stop()
        self._server = None
        lock, self._lock = self._lock, None
        if lock is not None:
            self._folder.leave()
            os.close(lock)

    @property
    def pid(self) -> int | None:
        """The server's process, None when it does not run."""
        return self._server.pid if self._server and self._server.running else None

    async def wait(self) -> int:
        """Returns the exit status when the server has ended: by itself, or through `stop`."""
        if self._server is None:
            raise EmbeddedError("this embedded PostgreSQL does not run. Start it first.")
        return await self._server.wait()

    async def _start(self) -> None:
        folder = self._folder
        self._lock = folder.hold()
        account = choose(folder.directory, folder.data)
        folder.prepare(account)
        install = await asyncio.to_thread(find, account)
        await end_leftovers(folder.data)
        with Log(folder.log, account) as log:
            if not folder.data.exists():
                await create(folder, install, account, log)
            check_version(folder)
            self._server = serve(folder, install, account, log)
            await until_ready(self._server, folder, log)

    def _url(self) -> str:
        return URL.create(
            "postgresql+asyncpg",
            username=ROLE,
            password=self._folder.read_password(),
            database=DATABASE,
            query={"host": str(self._folder.socket), "port": str(PORT)},
        ).render_as_string(hide_password=False)
