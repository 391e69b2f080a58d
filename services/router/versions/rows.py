"""The stored versions of the policy: rows that are only ever added, numbered from 1 on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver

Origin = Literal["built-in", "file", "api", "rollback"]
_LOCK: Final = 7_233_011


@dataclass(frozen=True, slots=True)
class Version:
    """One stored policy, without its text.

    author, reason  who put it in force, and why
    origin          the file of a start, PUT, or a rollback
    sha256          of the text, in hex
    """

    version: int
    author: str
    reason: str
    origin: str
    created_at: datetime
    sha256: str


async def alone(connection: AsyncConnection) -> None:
    """Until this transaction ends nobody else stores a version."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


async def newest(connection: AsyncConnection) -> int:
    """Its number; 0 while there is none. One step down an index: asked by every batch."""
    found = await (await driver(connection)).fetchval(_NEWEST)
    return int(found or 0)


async def store(
    connection: AsyncConnection, source: str, *, origin: Origin, author: str, reason: str
) -> Version:
    """Adds the next version. The caller has called `alone` in this transaction."""
    values = {
        "source": source, "sha256": digest(source), "origin": origin, "author": author,
        "reason": reason,
    }  # fmt: skip
    return _version((await connection.execute(_INSERT, values)).one())


async def find(connection: AsyncConnection, version: int) -> tuple[Version, str] | None:
    """A version and its text."""
    row = (await connection.execute(_FIND, {"version": version})).one_or_none()
    return None if row is None else (_version(row), row.source)


async def page(connection: AsyncConnection, before: int | None, most: int) -> list[Version]:
    """The latest first; `before`: only older ones."""
    rows = await connection.execute(_PAGE, {"before": before, "most": most})
    return [_version(row) for row in rows]


async def since(connection: AsyncConnection, version: int) -> list[int]:
    """The numbers after this one, the latest first."""
    return list((await connection.execute(_SINCE, {"version": version})).scalars())


async def of_files(connection: AsyncConnection) -> list[int]:
    """The versions that came from operators' files, each text once, the latest first."""
    return list((await connection.execute(_OF_FILES)).scalars())


async def last_loaded(connection: AsyncConnection) -> str | None:
    """The digest of the last one that came from a file; not the one in force, which may be
    newer."""
    digest: str | None = await connection.scalar(_LAST_LOADED)
    return digest


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _version(row: object) -> Version:
    return Version(**{name: getattr(row, name) for name in Version.__slots__})


_COLUMNS: Final = ", ".join(Version.__slots__)
_NEWEST: Final = "SELECT version FROM policies ORDER BY version DESC LIMIT 1"
_FIND: Final = text(f"SELECT {_COLUMNS}, source FROM policies WHERE version = :version")  # noqa: S608 - our own names
_PAGE: Final = text(
    f"SELECT {_COLUMNS} FROM policies "  # noqa: S608 - our own names
    "WHERE CAST(:before AS int) IS NULL OR version < :before ORDER BY version DESC LIMIT :most"
)
_SINCE: Final = text("SELECT version FROM policies WHERE version > :version ORDER BY version DESC")
_OF_FILES: Final = text(
    "SELECT max(version) AS version FROM policies WHERE origin = 'file' "
    "GROUP BY sha256 ORDER BY version DESC"
)
_LAST_LOADED: Final = text(
    "SELECT sha256 FROM policies WHERE origin = 'file' ORDER BY version DESC LIMIT 1"
)
# The moment of the insert, not of the transaction's start: it may have waited, and checked.
_INSERT: Final = text(
    "INSERT INTO policies (version, source, sha256, author, reason, origin, created_at) "  # noqa: S608 - our own names
    "SELECT coalesce(max(version), 0) + 1, :source, :sha256, :author, :reason, :origin, "
    f"clock_timestamp() FROM policies RETURNING {_COLUMNS}"
)
