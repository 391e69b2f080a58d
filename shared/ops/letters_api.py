"""`/ops/dead-letters`: list, show, replay, discard."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from shared.database import transaction
from shared.ops import letters, views
from shared.ops.operator import Operator
from shared.ops.replay import Replayer
from shared.runtime import Runtime
from shared.web import Json, decode_cursor, encode_cursor, page

State = Literal["waiting", "replayed", "discarded", "all"]


class Note(BaseModel):
    note: Annotated[str, Field(max_length=500)] = ""


class Chosen(BaseModel):
    """Several dead letters at once."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=500)]
    note: Annotated[str, Field(max_length=500)] = ""


def routes(runtime: Runtime, replayer: Replayer) -> APIRouter:
    router = APIRouter(prefix="/dead-letters")

    @router.get("")
    async def list_letters(
        who: Operator,
        state: State = "waiting",
        account: str = "",
        cursor: str = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """The latest first. `reason` says what was wrong; the bytes are at `/{id}`."""
        before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
        async with transaction(runtime.engine) as connection:
            wanted = "" if state == "all" else state
            found = await letters.page_of(connection, wanted, account, before, limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        following = encode_cursor(shown[-1].last_at, shown[-1].id) if more else None
        return Json(page([views.letter(each) for each in shown], following))

    @router.post("/replay")
    async def replay_all(who: Operator, chosen: Chosen) -> Response:
        """Each in turn; the first that cannot be replayed ends it, with its problem."""
        for letter_id in chosen.ids:
            await replayer.replay(letter_id)
        return Json({"replayed": chosen.ids})

    @router.post("/discard")
    async def discard_all(who: Operator, chosen: Chosen) -> Response:
        for letter_id in chosen.ids:
            await replayer.discard(letter_id, chosen.note)
        return Json({"discarded": chosen.ids})

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
        await replayer.replay(letter_id)
        return Json({"id": letter_id, "state": "replayed"})

    @router.post("/{letter_id}/discard")
    async def discard(letter_id: UUID, who: Operator, body: Note | None = None) -> Response:
        """Keeps it, and takes it off the list."""
        await replayer.discard(letter_id, body.note if body else "")
        return Json({"id": letter_id, "state": "discarded"})

    return router
