"""Replaying a dead letter: once more to its topic, or once more through its account's parser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import outbox
from shared.broker import Message
from shared.channels import Parsed, WebhookRequest
from shared.cloudevents import REPLAYED, replayed
from shared.database import transaction
from shared.errors import Conflict, NotFound, ProviderUnavailable, Refused, Unavailable
from shared.events import MessageReceived
from shared.ops import letters
from shared.ops.letters import Letter
from shared.parking import ParkedItem, id_of
from shared.runtime import Replay, Runtime

_NOTES: Final = "dlq_"


class Reader(Protocol):
    """A door's second half, handed in by the composition root: shared imports no service."""

    async def parse(self, account: str, request: WebhookRequest) -> Parsed:
        """What the account's parser makes of the request now; its signature was checked then.

        Raises NotFound when the account is gone from the channels file, ProviderUnavailable where
        a part of the request lies with its provider and cannot be fetched now.
        """

    async def accept(self, parsed: Parsed, account: str) -> None: ...


@dataclass(frozen=True)
class Replayer:
    """`reader` is None in a process without doors: then only records can be replayed."""

    runtime: Runtime
    reader: Reader | None
    replays: Mapping[str, Replay] = field(default_factory=dict)

    async def replay(self, letter_id: UUID, by: str) -> None:
        """Brings the letter back as a late arrival, on the word of `by`. Raises NotFound, and
        Conflict when it was settled before or still cannot be read."""
        async with transaction(self.runtime.engine) as connection:
            letter = await letters.find(connection, letter_id, lock=True)
            _must_wait(letter)
            parked = _parked(letter)
            if parked is None:
                again = self.replays.get(letter.topic)
                if again is not None:
                    await again(connection, letter_id, self.runtime.now())
                elif not letter.topic.endswith(".dlq"):
                    raise Conflict(f"this process cannot replay letters of {letter.topic!r}")
                else:
                    await outbox.enqueue(connection, [_original(letter, self.runtime.now())])
                await self._settle(connection, letter_id, "replayed", "", by)
                return
        await self._read_again(letter, parked, by)

    async def discard(self, letter_id: UUID, note: str, by: str) -> None:
        """Keeps the letter, out of the list of those that wait, with why and by whom."""
        async with transaction(self.runtime.engine) as connection:
            _must_wait(await letters.find(connection, letter_id, lock=True))
            await self._settle(connection, letter_id, "discarded", note, by)

    async def _settle(
        self, connection: AsyncConnection, letter_id: UUID, state: str, note: str, by: str
    ) -> None:
        await letters.settle(connection, letter_id, state, note, by, self.runtime.now())

    async def _read_again(self, letter: Letter, parked: ParkedItem, by: str) -> None:
        if self.reader is None:
            raise Conflict("this process has no doors: replay it where `ingest` runs")
        body = await self.runtime.blobs.get(parked.body.ref)
        if body is None:
            raise NotFound("its bytes are gone from the blob store: discard it")
        parsed = await self.reader.parse(parked.account, parked.request(body))
        for item in parsed.parked:
            if str(id_of(item, parked.account)) == _id(letter):
                raise Conflict(f"it still cannot be read: {item.reason}", name="still-unreadable")
        # What else the body holds was taken, or is listed, already.
        async with transaction(self.runtime.engine) as connection:
            fresh = await _unrouted(connection, parsed)
        await self.reader.accept(replace(parsed, messages=fresh, parked=()), parked.account)
        async with transaction(self.runtime.engine) as connection:
            await self._settle(connection, letter.id, "replayed", "", by)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One of several that was left as it was; `status` as it would have been for it alone."""

    id: UUID
    status: int
    name: str
    detail: str


async def one_by_one(
    ids: Sequence[UUID], settle: Callable[[UUID], Awaitable[None]]
) -> tuple[list[UUID], list[Refusal]]:
    """Each by itself: what one is refused for holds up no other. Once a dependency is away, the
    rest is left alone."""
    went: list[UUID] = []
    refused: list[Refusal] = []
    away = ""
    for letter_id in ids:
        if away:
            refused.append(Refusal(letter_id, 503, "not-tried", away))
            continue
        try:
            await settle(letter_id)
        except Refused as error:
            refused.append(Refusal(letter_id, error.status, error.problem, error.detail))
        except ProviderUnavailable as error:
            refused.append(Refusal(letter_id, 503, "unavailable", str(error)))
        except Unavailable as error:
            away = f"{error}: what follows was not tried, repeat it later"
            refused.append(Refusal(letter_id, 503, "unavailable", str(error)))
        else:
            went.append(letter_id)
    return went, refused


async def _unrouted(connection: AsyncConnection, parsed: Parsed) -> tuple[MessageReceived, ...]:
    ids = [message.id for message in parsed.messages]
    rows = await connection.execute(_ROUTED, {"ids": ids})
    known = {row[0] for row in rows}
    return tuple(message for message in parsed.messages if message.id not in known)


def _parked(letter: Letter) -> ParkedItem | None:
    try:
        return letter.parked
    except msgspec.MsgspecError as error:
        raise Conflict(f"it is no parked item of ours ({error}): discard it") from error


def _must_wait(letter: Letter) -> None:
    if letter.state != "waiting":
        raise Conflict(f"this dead letter was {letter.state} before", state=letter.state)


def _original(letter: Letter, now: datetime) -> Message:
    """The record as it stood in its own topic, without what was noted on it there, and under what
    it is known should it fail again."""
    headers = tuple(pair for pair in letter.headers if not pair[0].startswith((_NOTES, REPLAYED)))
    headers = (*headers, replayed(now), (letters.DEDUPE, letter.dedupe.encode()))
    return Message(letter.topic.removesuffix(".dlq"), letter.key, letter.value, headers)


def _id(letter: Letter) -> str:
    return next((value.decode() for name, value in letter.headers if name == "ce_id"), "")


_ROUTED: Final = text("SELECT id FROM messages WHERE id = ANY (:ids)")
