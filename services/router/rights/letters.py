"""What of erased people stands among the dead letters: records nobody could handle, bodies nobody
could read. They have no customer, so they are recognised by the marks of what is written in them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.router.rights import scope
from shared import ledger, parking
from shared.blobs import Blobs
from shared.broker.headers import pack
from shared.database import driver, transaction
from shared.ledger import Key, Marks

_AT_ONCE: Final = 20
_NOTE: Final = "erased"
_FIRST: Final = UUID(int=0)
_MAIL: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")
_WORD: Final = re.compile(r"[\w.:+-]{6,80}")
_DIGITS: Final = re.compile(r"\d{6,20}")


@dataclass(frozen=True, slots=True)
class Found:
    """A letter that holds what was erased, and the blobs it points at."""

    id: UUID
    refs: tuple[str, ...] = ()


async def find(
    engine: AsyncEngine, blobs: Blobs, marks: Marks | None = None, after: UUID = _FIRST
) -> AsyncIterator[Found]:
    """The letters that one of these marks (None: any of the ledger) recognises, a few at a time,
    each in a transaction of its own; none is open while files are read."""
    while True:
        async with transaction(engine) as connection:
            key = await ledger.key(connection)
            rows = await (await driver(connection)).fetch(_SOME, after, _AT_ONCE)
        if not rows:
            return
        read = [await _read(row, blobs, key) for row in rows]
        barred = marks
        if barred is None:
            async with transaction(engine) as connection:
                barred = await ledger.known(connection, {m for _, found in read for m in found})
        for row, (refs, found) in zip(rows, read, strict=True):
            if _holds(barred, found, row["first_at"]):
                yield Found(row["id"], refs)
        after = rows[-1]["id"]


def _holds(barred: Marks, marks: Iterable[bytes], at: datetime) -> bool:
    return any(at <= barred[mark] for mark in marks if mark in barred)


async def _read(
    row: Mapping[str, Any], blobs: Blobs, key: Key
) -> tuple[tuple[str, ...], set[bytes]]:
    refs = _refs(row)
    bodies = [bytes(row["value"]), bytes(row["headers"])]
    bodies += [body for ref in refs if (body := await blobs.get(ref)) is not None]
    return refs, {bytes(row["key"])} | await asyncio.to_thread(marks_in, bodies, key)


def _refs(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Of what a door parked: the item, and the request it came in."""
    if row["type"] != parking.TYPE:
        return ()
    try:
        parked = parking.read(bytes(row["value"]))
    except msgspec.MsgspecError:
        return (row["raw_ref"],) if row["raw_ref"] else ()
    return tuple(dict.fromkeys((parked.raw.ref, parked.body.ref)))


def marks_in(bodies: Sequence[bytes], key: Key) -> set[bytes]:
    """The marks of every address, number and id written in these bytes."""
    words = {word for body in bodies for word in _words_in(body)}
    return {key.token(word) for word in words} | {id.bytes for id in _ids(words)}


def _words_in(body: bytes) -> Iterator[str]:
    text = body.decode(errors="replace")
    if "%" in text:
        text = f"{text}\n{unquote_plus(text)}"  # a form, as Twilio and Mailgun post it
    for match in _MAIL.finditer(text):
        yield scope.normal(match[0])
    for match in _WORD.finditer(text):
        yield scope.normal(match[0].strip(".:-"))
        for number in _DIGITS.finditer(match[0]):
            yield number[0]


def _ids(words: Iterable[str]) -> Iterator[UUID]:
    for word in words:
        if len(word) == 36:
            try:
                yield UUID(word)
            except ValueError:
                continue


async def wipe(connection: AsyncConnection, found: Sequence[Found]) -> None:
    """The rows stay, since they are counted; nothing can be replayed from them."""
    if found:
        await (await driver(connection)).execute(
            "UPDATE dead_letters SET key = '', value = '', headers = $2, reason = $3, note = $3, "
            "raw_ref = '', state = 'discarded' WHERE id = ANY($1)",
            [each.id for each in found], pack(()), _NOTE,
        )  # fmt: skip


_SOME: Final = f"""
SELECT id, key, value, headers, type, raw_ref, first_at FROM dead_letters
WHERE id > $1 AND note <> '{_NOTE}' ORDER BY id LIMIT $2
"""  # noqa: S608 - our own word
