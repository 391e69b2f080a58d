"""What leaves the blob store. Equal bytes share one file, so a file goes when no row names it.

Refs are doomed in the transaction that takes them out of the rows; the file goes after its commit,
and a crash in between loses nothing. Ingest may be putting the same bytes right now: `put` touches
or copies what it finds, and `Blobs.remove` spares what came since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver, transaction
from shared.runtime import Runtime

_AT_ONCE: Final = 200


async def doom(connection: AsyncConnection, refs: Collection[str], *, sure: bool = False) -> None:
    """`sure`: it holds what was erased, and goes whoever else names it."""
    if refs:
        await (await driver(connection)).execute(
            "INSERT INTO doomed_blobs AS d (ref, sure) SELECT ref, $2 FROM unnest($1::text[]) "
            "AS ref ON CONFLICT (ref) DO UPDATE SET sure = d.sure OR excluded.sure, at = now()",
            list(dict.fromkeys(refs)), sure,
        )  # fmt: skip


async def remove_doomed(runtime: Runtime) -> int:
    """All there are, a bounded part a transaction; how many files went."""
    gone = 0
    while (part := await _remove_some(runtime)) is not None:
        gone += part
    return gone


async def _remove_some(runtime: Runtime) -> int | None:
    async with transaction(runtime.engine) as connection:
        raw = await driver(connection)
        rows = await raw.fetch(_DUE, _AT_ONCE)
        if not rows:
            return None
        named = await named_in(connection, [row["ref"] for row in rows])
        going = [row for row in rows if row["sure"] or row["ref"] not in named]
        kept = [
            row["ref"]
            for row in going
            if not await runtime.blobs.remove(row["ref"], row["at"].timestamp())
        ]
        await raw.execute(_DONE, [r["ref"] for r in rows if r["ref"] not in kept])
        # Somebody sends the same bytes: once the log has forgotten it, a row names them, or none.
        await raw.execute(_LATER, kept)
    return len(going) - len(kept)


async def named_in(connection: AsyncConnection, refs: Sequence[str]) -> set[str]:
    """Those of these that a row still names."""
    rows = await (await driver(connection)).fetch(_NAMED, list(refs))
    return {row["ref"] for row in rows}


_DUE: Final = """
SELECT ref, sure, at FROM doomed_blobs WHERE at <= now() ORDER BY at LIMIT $1
FOR UPDATE SKIP LOCKED
"""
_DONE: Final = "DELETE FROM doomed_blobs WHERE ref = ANY($1)"
_LATER: Final = """
UPDATE doomed_blobs SET at = now() + CASE WHEN sure THEN interval '1 hour' ELSE interval '8 days'
END WHERE ref = ANY($1::text[])
"""
_NAMED: Final = """
SELECT DISTINCT ref FROM unnest($1::text[]) AS ref WHERE
    EXISTS (SELECT FROM messages
        WHERE jsonb_path_query_array(data, '$.**.ref') ? ref
        AND data ?| ARRAY['attachments', 'text_blob', 'html_blob', 'raw_blob'])
    OR EXISTS (SELECT FROM results
        WHERE jsonb_path_query_array(files, '$.**.ref') ? ref AND files <> '[]')
    OR EXISTS (SELECT FROM dead_letters
        WHERE raw_ref = ref OR position(convert_to(ref, 'UTF8') IN value) > 0)
"""
