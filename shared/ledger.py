"""The erasure ledger: by what consumers recognise what an erased person left in the log (DESIGN 3).

The log keeps content for days, a backup for longer; both still hold what was erased elsewhere. The
ledger knows it by marks only: ids of cases and messages as they are, which say nothing of anybody,
and addresses as an HMAC under a key of this installation. A mark holds for what is older than it.

A consumer looks here after `obey`, in its own transaction: whoever is about to erase waits for the
batches under way (`alone`), so that none of them can bring back what it read before.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.events import Identity

_LOCK: Final = 7_233_004
# An id is never used again, so its mark holds for ever.
ALWAYS: Final = datetime.fromisoformat("9999-01-01T00:00:00+00:00")

Marks = Mapping[bytes, datetime]  # mark -> what it recognises must not be newer than this


@dataclass(frozen=True, slots=True)
class Key:
    """Makes the marks of one installation."""

    secret: bytes

    def identity(self, identity: Identity) -> bytes:
        """A sender's."""
        return self._mark(f"identity\x1f{identity}")

    def token(self, word: str) -> bytes:
        """A word of a body that nobody could parse: an address or number, whatever its scheme."""
        return self._mark(f"token\x1f{word}")

    def provider(self, account: str, provider_id: str) -> bytes:
        """A provider's name for one message: WhatsApp's holds the number."""
        return self._mark(f"provider\x1f{account}\x1f{provider_id}")

    def _mark(self, words: str) -> bytes:
        return hmac.digest(self.secret, words.encode(), "sha256")


async def obey(connection: AsyncConnection) -> Key:
    """Until this transaction ends, nobody writes a mark: what `known` says then, holds."""
    raw = await driver(connection)
    return Key(await raw.fetchval(_OBEY, _LOCK))


async def alone(connection: AsyncConnection) -> None:
    """Waits until no batch is under way; the next ones see what this transaction writes."""
    await (await driver(connection)).execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def key(connection: AsyncConnection) -> Key:
    return Key(await (await driver(connection)).fetchval("SELECT key FROM ledger_key"))


async def known(connection: AsyncConnection, marks: Collection[bytes]) -> dict[bytes, datetime]:
    """Those of these marks that stand in the ledger."""
    if not marks:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT mark, max(at) AS at FROM erased WHERE mark = ANY($1) GROUP BY mark", list(marks)
    )
    return {bytes(row["mark"]): row["at"] for row in rows}


async def known_cases(connection: AsyncConnection, cases: Iterable[UUID]) -> set[UUID]:
    """Those of these cases that were erased."""
    return {UUID(bytes=m) for m in await known(connection, {case.bytes for case in cases})}


async def write(connection: AsyncConnection, erasure: UUID, marks: Marks) -> None:
    """Adds marks; one that stands already holds for what is newer, too."""
    if marks:
        await (await driver(connection)).execute(
            "INSERT INTO erased AS e (mark, erasure_id, at) "
            "SELECT mark, $3, at FROM unnest($1::bytea[], $2::timestamptz[]) AS new (mark, at) "
            "ON CONFLICT (mark, erasure_id) DO UPDATE SET at = greatest(e.at, excluded.at)",
            list(marks), list(marks.values()), erasure,
        )  # fmt: skip


_OBEY: Final = "SELECT key FROM ledger_key, (SELECT pg_advisory_xact_lock_shared($1)) AS held"
