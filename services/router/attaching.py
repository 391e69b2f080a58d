"""What became of files that had stayed with their provider, put into the messages that name them.

The message stands in the log before the news of its file, and in one partition with it; both may
come in one batch, so this comes after the batch's rows are written. No case is locked and none
changes: who reads the message sees the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.rights import files
from shared import ledger
from shared.database import driver
from shared.events import AttachmentFetched, AttachmentLost

News = AttachmentFetched | AttachmentLost
_ENCODER: Final = msgspec.json.Encoder()


async def take(connection: AsyncConnection, news: Sequence[News]) -> None:
    """Applies them; bytes whose message was erased meanwhile are doomed. May be repeated."""
    if not news:
        return
    erased = await _erased(connection, news)
    await _doom(connection, [each for each in news if each.message_id in erased])
    left = [each for each in news if each.message_id not in erased]
    rows = await _rows(connection, left)
    changed: dict[UUID, list[Any]] = {}
    for each in left:
        found = [row for row in rows if _is_of(row, each)]
        for row in found:
            before = changed.get(row["id"], row["attachments"])
            changed[row["id"]] = [_after(file, each) for file in before]
        if found and not any(_names(changed[row["id"]], each) for row in found):
            # The message lost its words meanwhile, or says something else now.
            await _doom(connection, [each])
    await _store(connection, rows, changed)


async def _erased(connection: AsyncConnection, news: Sequence[News]) -> set[UUID]:
    key = await ledger.obey(connection)
    marks = {
        each.message_id: {each.message_id.bytes, key.provider(each.account, each.reference)}
        for each in news
    }
    barred = await ledger.known(connection, set().union(*marks.values()))
    return {id for id, each in marks.items() if each & barred.keys()}


async def _rows(connection: AsyncConnection, news: Sequence[News]) -> list[dict[str, Any]]:
    """The messages they are about, locked in order of id."""
    found = await (await driver(connection)).fetch(
        _ROWS, [n.message_id for n in news], [n.account for n in news], [n.reference for n in news]
    )
    return [dict(row) | {"attachments": msgspec.json.decode(row["attachments"])} for row in found]


def _is_of(row: Mapping[str, Any], news: News) -> bool:
    if row["id"] == news.message_id:
        return True
    # A call that tells its outcome in several messages stands in one row.
    return bool(news.reference) and (row["account"], row["provider_id"]) == (
        news.account, news.reference,
    )  # fmt: skip


def _after(file: dict[str, Any], news: News) -> dict[str, Any]:
    """The file as it is now; another one stays as it was."""
    if not _is_same(file, news) or file.get("blob"):
        return file
    if isinstance(news, AttachmentLost):
        return file | {"lost": f"{news.code}: {news.reason}"}
    kept = {name: value for name, value in file.items() if name not in ("url", "lost")}
    blob = msgspec.to_builtins(news.blob)
    return kept | {
        "blob": blob,
        "size": news.blob.size,
        "sha256": news.blob.sha256,
        "content_type": news.content_type,
    }


def _is_same(file: Mapping[str, Any], news: News) -> bool:
    named = (news.file.url, news.file.media_id)
    return (file.get("url", ""), file.get("media_id", "")) == named


def _names(attachments: Sequence[Mapping[str, Any]], news: News) -> bool:
    if isinstance(news, AttachmentLost):
        return True
    refs = [(file.get("blob") or {}).get("ref") for file in attachments]
    return news.blob.ref in refs


async def _doom(connection: AsyncConnection, news: Sequence[News]) -> None:
    refs = [each.blob.ref for each in news if isinstance(each, AttachmentFetched)]
    await files.doom(connection, refs)


async def _store(
    connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], changed: Mapping[UUID, Any]
) -> None:
    before = {row["id"]: row["attachments"] for row in rows}
    new = {id: files for id, files in changed.items() if files != before[id]}
    if new:
        written = [_ENCODER.encode(each).decode() for each in new.values()]
        await (await driver(connection)).execute(_STORE, list(new), written)


_ROWS: Final = """
SELECT id, account, provider_id, coalesce(data -> 'attachments', '[]')::text AS attachments
FROM messages WHERE id = ANY($1) OR (provider_id <> '' AND (account, provider_id) IN (
    SELECT * FROM unnest($2::text[], $3::text[])))
ORDER BY id FOR UPDATE
"""
_STORE: Final = """
UPDATE messages SET data = jsonb_set(data, '{attachments}', new.attachments)
FROM unnest($1::uuid[], $2::jsonb[]) AS new (id, attachments) WHERE messages.id = new.id
"""
