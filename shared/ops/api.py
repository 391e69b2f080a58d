"""`/ops/…`: the operator's routes, served by every process."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from shared import positions
from shared.broker import TopicPartition
from shared.database import transaction
from shared.errors import Invalid
from shared.ops import letters, views
from shared.ops.board import Board
from shared.ops.lag import report
from shared.ops.replay import Replayer
from shared.runtime import Runtime
from shared.security import Caller, caller
from shared.topics import partitions_of
from shared.web import Json, decode_cursor, encode_cursor, page

Operator = Annotated[Caller, Depends(caller("operator"))]
State = Literal["waiting", "replayed", "discarded", "all"]

_FRESH: Final = timedelta(seconds=1)


class NewPosition(BaseModel):
    """Where a group goes on: an offset, or the `start` or `end` of what the log keeps."""

    group: str
    topic: str
    partition: Annotated[int, Field(ge=0)]
    next: Annotated[int, Field(ge=0)] | Literal["start", "end"]


class Note(BaseModel):
    note: Annotated[str, Field(max_length=500)] = ""


class Chosen(BaseModel):
    """Several dead letters at once."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=500)]
    note: Annotated[str, Field(max_length=500)] = ""


def routes(runtime: Runtime, board: Board, replayer: Replayer) -> APIRouter:
    router = APIRouter(prefix="/ops", tags=["operations"])
    router.include_router(_lag_routes(board))
    router.include_router(_letter_routes(runtime, replayer))
    router.include_router(_position_routes(runtime))

    @router.get("/accounts")
    async def accounts(who: Operator) -> Response:
        """Every account of the channels file, and when its last event came in here."""
        items = [views.account(account) for account in runtime.accounts]
        return Json(page(items, None))

    return router


def _lag_routes(board: Board) -> APIRouter:
    router = APIRouter()

    @router.get("/lag")
    async def lag(who: Operator) -> Response:
        """How far behind every group is, and which reply deadlines that puts at risk."""
        view = await board.view(_FRESH)
        return Json(report(view.seen, view.at_risk))

    return router


def _letter_routes(runtime: Runtime, replayer: Replayer) -> APIRouter:
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


def _position_routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/positions")

    @router.get("")
    async def list_positions(who: Operator) -> Response:
        """Every group's place in every partition: the truth, not the log's hint."""
        async with transaction(runtime.engine) as connection:
            found = await positions.listing(connection)
        here = [each for each in found if each.cluster == runtime.broker.cluster]
        return Json(page([views.position(each) for each in here], None))

    @router.put("")
    async def set_position(who: Operator, wanted: NewPosition) -> Response:
        """A person's decision where a group goes on. What it skips is not handled; what it goes
        back over is recognised for 8 days."""
        tp = TopicPartition(wanted.topic, wanted.partition)
        following = await _offset(runtime, tp, wanted.next)
        async with transaction(runtime.engine) as connection:
            cluster = runtime.broker.cluster
            await positions.set_position(connection, wanted.group, cluster, tp, following)
        shown: dict[str, Any] = wanted.model_dump() | {"next": following}
        return Json(shown)

    return router


async def _offset(runtime: Runtime, tp: TopicPartition, wanted: int | str) -> int:
    if tp.partition >= partitions_of(tp.topic):
        raise Invalid(f"{tp.topic} has partitions 0 to {partitions_of(tp.topic) - 1}")
    kept = (await runtime.broker.ranges((tp.topic,))).get(tp)
    if kept is None:
        raise Invalid(f"the log has no topic {tp.topic}: see /ops/lag for what there is")
    if isinstance(wanted, str):
        return kept.start if wanted == "start" else kept.end
    if not kept.start <= wanted <= kept.end:
        raise Invalid(
            f"{tp.topic}/{tp.partition} keeps {kept.start} to {kept.end}: choose a place in it",
            start=kept.start,
            end=kept.end,
        )
    return wanted
