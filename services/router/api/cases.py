"""Reading a case: itself, its deadlines, its one timeline, and why it is as it is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.api import views
from services.router.api.families import Waiting, family_of
from services.router.api.file_views import shown
from services.router.api.promises import PromiseView, promises_of
from services.router.api.results import ResultView, results_of
from services.router.api.views import Item
from services.router.handlers import Handlers
from shared.database import transaction
from shared.security import Caller, caller
from shared.web import decode_cursor, encode_cursor, etag

Reader = Annotated[Caller, Depends(caller("agent"))]
Limit = Annotated[int, Query(ge=1, le=500)]


class DeadlineView(BaseModel):
    """One clock of the case. `due_at` is the service level's alone."""

    metric: str
    state: str
    started_at: datetime
    due_at: datetime
    warn_at: datetime | None
    at_risk: bool
    reason: str | None
    rule: str
    policy_version: int
    words: str


class HandoffView(BaseModel):
    id: UUID
    state: str
    reason: str
    from_team: str
    to_team: str | None
    from_channel: str
    to_channel: str | None
    address: str | None
    pack: dict[str, Any]
    offered_at: datetime
    expires_at: datetime


class CaseView(Item):
    """A case with its clocks and what is agreed on it."""

    deadlines: list[DeadlineView]
    promises: list[PromiseView]
    results: list[ResultView]
    handoffs: list[HandoffView]
    parent: UUID | None
    waits_on: list[Waiting]


class Entry(BaseModel):
    """One line of the timeline: a message in or out, a note, or an event of the case. `data` of a
    message lists its `attachments`, each with its `state` and, once it is here, its `url`."""

    id: str
    type: str
    at: datetime
    actor: str
    channel: str | None = None
    direction: str | None = None
    kind: str | None = None
    state: str | None = None
    authentication: str | None = None
    marked: str | None = None
    subject: str | None = None
    text: str | None = None
    data: dict[str, Any]


class Timeline(BaseModel):
    items: list[Entry]
    next_cursor: str | None


class Trial(BaseModel):
    """One rule that was tried: whether it matched, and why or why not."""

    name: str
    matched: bool
    why: str


class DecisionView(BaseModel):
    """Why one thing is as it is.

    version  the case's, right after it
    rule     that decided; empty where none matched
    policy   where the text of `policy_version` can be read
    words    the outcome, with the calendar's arithmetic where it is a deadline
    inputs   what the rules knew, but for the customer's own words
    trail    the rules tried, in the policy's order, up to the one that matched
    """

    id: UUID
    version: int
    at: datetime
    kind: str
    rule: str
    policy_version: int
    policy: str
    words: str
    inputs: dict[str, Any]
    trail: list[Trial]


class Decisions(BaseModel):
    items: list[DecisionView]
    next_cursor: str | None


_DEADLINES: Final = text(
    "SELECT metric, state, started_at, due_at, warn_at, at_risk, rule, policy_version, words "
    "FROM deadlines WHERE case_id = :id AND (:history OR state <> 'superseded') ORDER BY number"
)
_HANDOFFS: Final = text("SELECT * FROM handoffs WHERE case_id = :id ORDER BY offered_at, id")
# Messages come from their own table: the event of one holds a preview only.
_TIMELINE: Final = text("""
    SELECT * FROM (
        SELECT id::text, 'message' AS type, occurred_at AS at, author AS actor, channel, direction,
               kind, state, authentication, marked, subject, text, data
        FROM messages WHERE case_id = :id
        UNION ALL
        SELECT case_id || ':' || seq, type, at, actor, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               data ->> 'text', data - 'type' - 'text'
        FROM case_events WHERE case_id = :id AND type NOT IN
            ('message.added', 'reply.requested', 'reply.recorded', 'delivery.status_changed')
        UNION ALL
        SELECT messages.id::text, 'child.reply', occurred_at, author, messages.channel, direction,
               kind, messages.state, authentication, marked, messages.subject, text,
               jsonb_build_object('case', case_id)
        FROM cases JOIN messages ON case_id = cases.id
        WHERE parent_id = :id AND direction = 'out'
    ) AS line
    WHERE CAST(:at AS timestamptz) IS NULL OR (at, id) > (:at, :last)
    ORDER BY at, id LIMIT :most
""")
_DECISIONS: Final = text(
    "SELECT id, version, at, kind, rule, policy_version, data FROM decisions "
    "WHERE case_id = :id AND (CAST(:after AS uuid) IS NULL OR id > :after) ORDER BY id LIMIT :most"
)


async def case_view(
    connection: AsyncConnection, handlers: Handlers, case_id: UUID, who: Caller, history: bool
) -> CaseView:
    item = await views.one(connection, case_id, handlers, who)
    found = await connection.execute(_DEADLINES, {"id": case_id, "history": history})
    deadlines = [
        DeadlineView(reason=row["at_risk"] or None, **{**row, "at_risk": bool(row["at_risk"])})
        for row in found.mappings()
    ]
    handoffs = [
        _handoff(row) for row in (await connection.execute(_HANDOFFS, {"id": case_id})).mappings()
    ]
    return CaseView(
        **item.model_dump(),
        deadlines=deadlines,
        handoffs=handoffs,
        promises=await promises_of(connection, case_id),
        results=await results_of(connection, case_id, history),
        **dict(await family_of(connection, case_id)),
    )


def _handoff(row: Any) -> HandoffView:
    return HandoffView(
        **{**row, "to_team": row["to_team"] or None, "to_channel": row["to_channel"] or None,
           "address": row["address"] or None}
    )  # fmt: skip


def _entry(row: Any) -> Entry:
    if row["type"] != "message":
        return Entry(**row)
    return Entry(**{**row, "data": shown(row["id"], row["data"])})


def _decision(row: Any) -> DecisionView:
    columns = {name: value for name, value in row.items() if name != "data"}
    policy = f"/v1/policy/versions/{row['policy_version']}"
    return DecisionView(policy=policy, **columns, **row["data"])


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/cases/{case_id}", tags=["cases"])

    @router.get("", response_model=CaseView)
    async def get_case(
        case_id: UUID, who: Reader, response: Response, history: bool = False
    ) -> CaseView:
        """The case; `history=true` adds superseded deadlines and the older versions of results.
        Its ETag is its version."""
        async with transaction(handlers.runtime.engine) as connection:
            view = await case_view(connection, handlers, case_id, who, history)
        response.headers["ETag"] = etag(view.version)
        return view

    _add_timeline(router, handlers)
    _add_decisions(router, handlers)
    return router


def _add_timeline(router: APIRouter, handlers: Handlers) -> None:
    @router.get("/timeline")
    async def get_timeline(
        case_id: UUID, who: Reader, cursor: str | None = None, limit: Limit = 200
    ) -> Timeline:
        """Everything said and done on the case, on every channel, oldest first."""
        at, last = decode_cursor(cursor, tuple[datetime, str]) if cursor else (None, "")
        async with transaction(handlers.runtime.engine) as connection:
            await views.one(connection, case_id, handlers, who)
            values = {"id": case_id, "at": at, "last": last, "most": limit + 1}
            rows = (await connection.execute(_TIMELINE, values)).mappings().all()
        items = [_entry(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Timeline(
            items=items, next_cursor=encode_cursor(items[-1].at, items[-1].id) if more else None
        )


def _add_decisions(router: APIRouter, handlers: Handlers) -> None:
    @router.get("/decisions")
    async def get_decisions(
        case_id: UUID, who: Reader, cursor: str | None = None, limit: Limit = 200
    ) -> Decisions:
        """Why: each decision's rule, policy version, inputs and words, oldest first."""
        after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        async with transaction(handlers.runtime.engine) as connection:
            await views.one(connection, case_id, handlers, who)
            values = {"id": case_id, "after": after, "most": limit + 1}
            rows = (await connection.execute(_DECISIONS, values)).mappings().all()
        items = [_decision(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Decisions(items=items, next_cursor=encode_cursor(items[-1].id) if more else None)
