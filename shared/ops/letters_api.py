"""`/ops/dead-letters`: list, show, replay, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from shared.database import transaction
from shared.ops import letters, letters_chosen, views
from shared.ops.letters_chosen import Filter, Place
from shared.ops.operator import Operator
from shared.ops.replay import Replayer, one_by_one
from shared.runtime import Runtime
from shared.web import Json, decode_cursor, encode_cursor, page

State = Literal["waiting", "replayed", "discarded", "all"]
Word = Annotated[str, Field(max_length=200)]
_MOST = 500


class Note(BaseModel):
    note: Annotated[str, Field(max_length=500)] = ""


class Wanted(BaseModel):
    """Those that wait and are like this; what is left out is not asked about."""

    model_config = ConfigDict(extra="forbid")

    account: Word = ""
    topic: Word = ""
    type: Word = ""
    reason: Word = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Chosen(BaseModel):
    """Several dead letters at once: by their ids, or those that wait and fit `filter` (all of
    them, where it is empty), `limit` at a time: `next_cursor` of the answer goes on."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=_MOST)] | None = None
    filter: Wanted | None = None
    cursor: Annotated[str, Field(max_length=500)] = ""
    limit: Annotated[int, Field(ge=1, le=_MOST)] = 100

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either `ids` or `filter`")
        return self


class Discarded(Chosen, Note):
    pass


def routes(runtime: Runtime, replayer: Replayer) -> APIRouter:
    router = APIRouter(prefix="/dead-letters")

    @router.get("")
    async def list_letters(
        who: Operator,
        wanted: Annotated[Filter, Depends(_wanted)],
        state: State = "waiting",
        cursor: str = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """The latest first. `reason` says what was wrong; the bytes are at `/{id}`."""
        before = _place(cursor)
        async with transaction(runtime.engine) as connection:
            of = "" if state == "all" else state
            found = await letters_chosen.listed(connection, of, wanted, before, limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        following = encode_cursor(shown[-1].last_at, shown[-1].id) if more else None
        return Json(page([views.letter(each) for each in shown], following))

    @router.post("/replay")
    async def replay_all(who: Operator, chosen: Chosen) -> Response:
        """Each by itself: `replayed` are those that went, `refused` says of the others why."""
        return await _each(
            runtime, chosen, "replayed", lambda letter: replayer.replay(letter, who.actor)
        )

    @router.post("/discard")
    async def discard_all(who: Operator, chosen: Discarded) -> Response:
        """Each by itself, as with `/replay`."""
        return await _each(
            runtime, chosen, "discarded",
            lambda letter: replayer.discard(letter, chosen.note, who.actor),
        )  # fmt: skip

    @router.get("/{letter_id}")
    async def show(letter_id: UUID, who: Operator) -> Response:
        """With its raw bytes in base64, and as text where they are text."""
        async with transaction(runtime.engine) as connection:
            found = await letters.find(connection, letter_id)
        raw = await runtime.blobs.get(found.raw_ref) if found.raw_ref else found.value
        return Json(views.letter_whole(found, raw))

    @router.post("/{letter_id}/replay")
    async def replay(letter_id: UUID, who: Operator) -> Response:
        """Once more, as a late arrival: to its topic, or through its account's parser."""
        await replayer.replay(letter_id, who.actor)
        return Json({"id": letter_id, "state": "replayed"})

    @router.post("/{letter_id}/discard")
    async def discard(letter_id: UUID, who: Operator, body: Note | None = None) -> Response:
        """Keeps it, and takes it off the list."""
        await replayer.discard(letter_id, body.note if body else "", who.actor)
        return Json({"id": letter_id, "state": "discarded"})

    return router


def _wanted(
    account: Word = "",
    topic: Word = "",
    type: Word = "",
    reason: Word = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Filter:
    return Filter(account, topic, type, reason, since, until)


async def _each(
    runtime: Runtime, chosen: Chosen, done: str, settle: Callable[[UUID], Awaitable[None]]
) -> Response:
    ids, following = await _ids(runtime, chosen)
    went, refused = await one_by_one(ids, settle)
    said: dict[str, Any] = {done: went, "refused": [asdict(each) for each in refused]}
    return Json(said | {"next_cursor": following})


async def _ids(runtime: Runtime, chosen: Chosen) -> tuple[Sequence[UUID], str | None]:
    if chosen.filter is None:
        return list(dict.fromkeys(chosen.ids or ())), None
    wanted = Filter(**chosen.filter.model_dump())
    async with transaction(runtime.engine) as connection:
        found = await letters_chosen.waiting(
            connection, wanted, _place(chosen.cursor), chosen.limit + 1
        )
    here = found[: chosen.limit]
    following = encode_cursor(*here[-1]) if len(found) > chosen.limit else None
    return [id for _, id in here], following


def _place(cursor: str) -> Place | None:
    return decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
