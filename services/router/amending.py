"""Later word of messages, in a batch: what is stored of them, what becomes of it, one write.

Word may come before its message. Then it stands in a row of its own, under the id it is about
(`messages_target`), and takes effect when the message comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import amended, heard_rows
from services.router.amended import Standing, Word
from services.router.queries import Ref
from shared.database import driver
from shared.events import MessageReceived

if TYPE_CHECKING:
    from services.router.desk import Desk

_ABOUT: Final = frozenset(("edit", "revoke", "reaction"))
_ENCODER: Final = msgspec.json.Encoder()


class Early(NamedTuple):
    """Word of a message that had not come: what it said, by whom, where it went."""

    word: Word
    case_id: UUID
    customer_id: UUID


class Amendments:
    """Those of one batch."""

    def __init__(self) -> None:
        self._early: dict[Ref, list[Early]] = defaultdict(list)
        self._stored: dict[UUID, Standing] = {}
        self._places: dict[UUID, int] = {}
        self._changed: dict[UUID, str] = {}

    async def read_early(
        self, connection: AsyncConnection, batch: Iterable[MessageReceived]
    ) -> set[UUID]:
        """Word that is stored of messages that come only now, or still have not; the cases it went
        to."""
        wanted = sorted({ref for message in batch for ref in _subject(message)})
        if not wanted:
            return set()
        rows = await (await driver(connection)).fetch(_EARLY, *zip(*wanted, strict=True))
        for row in rows:
            said = amended.word(
                row["kind"], row["text"], row["occurred_at"], row["channel"], row["text_missing"]
            )
            early = Early(said, row["case_id"], row["customer_id"])
            self._early[row["account"], row["target"]].append(early)
        return {row["case_id"] for row in rows}

    async def read(self, connection: AsyncConnection, ids: Collection[UUID]) -> None:
        """The rows of messages that this batch says more of, locked: a file of theirs may be noted
        at the same time (`attaching`), which takes no case's lock."""
        if not ids:
            return
        for row in await (await driver(connection)).fetch(_STORED, sorted(ids)):
            self._stored[row["id"]] = Standing(
                row["kind"], row["text"], row["occurred_at"], msgspec.json.decode(row["data"])
            )

    def early(self, message: MessageReceived) -> Sequence[Early]:
        found = (self._early.get(ref, ()) for ref in _subject(message))
        return [early for each in found for early in each]

    def note_early(self, message: MessageReceived, case_id: UUID, customer: UUID) -> None:
        """Its message has not come yet; perhaps it comes in this very batch."""
        if message.kind in _ABOUT:
            ref = (message.account, message.thread.target)
            self._early[ref].append(Early(amended.word_of(message), case_id, customer))

    def place(self, id: UUID, index: int) -> None:
        """A new row, by its place among those of the desk."""
        self._places[id] = index

    def standing(self, desk: Desk, id: UUID) -> Standing | None:
        """None for a message that is gone."""
        if id not in self._places:
            return self._stored.get(id)
        row = desk.messages[self._places[id]]
        data = msgspec.json.decode(row.data)
        return Standing(row.kind, row.text, row.occurred_at, data)  # type: ignore[arg-type]

    def change(self, desk: Desk, id: UUID, new: Standing) -> None:
        if id not in self._places:
            self._stored[id] = new
            self._changed.setdefault(id, "")
            return
        index = self._places[id]
        desk.messages[index] = desk.messages[index]._replace(
            kind=new.kind, text=new.text, occurred_at=new.occurred_at,
            data=_ENCODER.encode(new.data).decode(),
        )  # fmt: skip

    def mark(self, desk: Desk, id: UUID, marked: str) -> None:
        """After `change`: why it is to be shown with care; nothing leaves that as it was."""
        if id in self._places:
            index = self._places[id]
            old = desk.messages[index]
            desk.messages[index] = old._replace(marked=marked or old.marked)
        elif marked:
            self._changed[id] = marked

    async def store(self, connection: AsyncConnection) -> None:
        if self._changed:
            rows = list(self._rows())
            await (await driver(connection)).execute(_STORE, *zip(*rows, strict=True))

    def _rows(self) -> Iterator[tuple[UUID, str, str, datetime, str, str]]:
        for id, marked in sorted(self._changed.items()):
            new = self._stored[id]
            data = _ENCODER.encode(new.data).decode()
            yield id, new.kind, new.text, new.occurred_at, data, marked


def telling(message: MessageReceived) -> Mapping[str, Any]:
    """The rest of a message as its row would have it."""
    found: dict[str, Any] = msgspec.to_builtins(heard_rows.data(message))
    return found


def _subject(message: MessageReceived) -> Iterator[Ref]:
    """The message that word may have come of: itself, or the one it is word of too."""
    thread = message.thread
    named = thread.target if message.kind in _ABOUT else thread.message_id
    if named and not message.echo:
        yield message.account, named


# Bounded for each of them, which also keeps it from reading the whole index for a few.
_EARLY: Final = """
SELECT wanted.account, wanted.target, word.*
FROM unnest($1::text[], $2::text[]) AS wanted (account, target), LATERAL (
    SELECT kind, text, occurred_at, channel, case_id, customer_id,
        coalesce(data -> 'attributes' ->> 'text_missing' = 'true', false) AS text_missing
    FROM messages
    WHERE account = wanted.account AND data -> 'thread' ->> 'target' = wanted.target
        AND kind IN ('edit', 'revoke', 'reaction') AND direction = 'in' AND NOT data ? 'forgotten'
    ORDER BY occurred_at, id LIMIT 100
) AS word
ORDER BY word.occurred_at
"""
_STORED: Final = """
SELECT id, kind, text, occurred_at, data::text AS data FROM messages WHERE id = ANY($1)
ORDER BY id FOR UPDATE
"""
_STORE: Final = """
UPDATE messages SET kind = new.kind, text = new.text, occurred_at = new.occurred_at,
    data = new.data, marked = CASE WHEN new.marked = '' THEN messages.marked ELSE new.marked END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[], $6::text[])
    AS new (id, kind, text, occurred_at, data, marked)
WHERE messages.id = new.id
"""
