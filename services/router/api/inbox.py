"""The inbox: what waits for an answer, most urgent first; and the next one to take."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.api import views
from services.router.api.views import Item
from services.router.case import PRIORITIES
from services.router.commands import Claim
from services.router.handlers import Handlers
from shared import idempotency
from shared.database import transaction
from shared.errors import Invalid
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, etag, unchanged

Agent = Annotated[Caller, Depends(caller("agent"))]
State = Literal["open", "waiting_customer", "waiting_internal", "closed"]
WAITING: Final = ("open", "waiting_internal")
_POLL: Final = 0.5
_ORDER: Final = "due_at, priority, opened_at, id"


class Page(BaseModel):
    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True)
class Filters:
    """What a list shows. Only teams in the caller's scope are ever listed."""

    team: Annotated[list[str] | None, Query()] = None
    agent: str | None = None
    channel: Annotated[list[str] | None, Query()] = None
    state: Annotated[list[str] | None, Query(description=", ".join(get_args(State)))] = None
    priority: Annotated[list[Literal["urgent", "high", "normal", "low"]] | None, Query()] = None
    customer: UUID | None = None
    q: Annotated[str | None, Query(max_length=200)] = None
    due_before: datetime | None = None

    def where(self, who: Caller, hidden: Sequence[str]) -> tuple[str, dict[str, Any]]:
        states = views.names(self.state) or list(WAITING)
        if unknown := sorted(set(states) - set(get_args(State))):
            raise Invalid(f"state {unknown[0]!r} is none of {', '.join(get_args(State))}")
        values: dict[str, Any] = {}
        # literals, so that the partial indexes of the waiting states are seen to apply
        parts = ["state IN ({})".format(", ".join(f"'{state}'" for state in states))]
        if who.teams and who.role != "admin":
            values["scope"] = sorted(who.teams)
            parts.append("team = ANY(:scope)")
        if hidden:
            values["hidden"] = list(hidden)
            parts.append("team <> ALL(:hidden)")
        for name, wanted in (("team", self.team), ("channel", self.channel)):
            if wanted:
                values[name] = views.names(wanted)
                parts.append(f"{name} = ANY(:{name})")
        if self.priority:
            values["priority"] = [PRIORITIES.index(p) for p in self.priority]
            parts.append("priority = ANY(:priority)")
        for name, value, test in (
            ("agent", self.agent, "agent = :agent"),
            ("customer", self.customer, "customer_id = :customer"),
            ("due_before", self.due_before, "due_at < :due_before"),
        ):
            if value is not None:
                values[name] = value
                parts.append(test)
        if self.q:
            values["q"] = (
                "%" + self.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            )
            parts.append("(subject ILIKE :q OR preview ILIKE :q)")
        return " AND ".join(parts), values


class Inbox:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._engine = handlers.runtime.engine

    async def page(
        self, who: Caller, filters: Filters, cursor: str | None, limit: int
    ) -> tuple[Page, str]:
        """One page and its ETag."""
        policy = self._handlers.policies.current
        where, values = filters.where(who, views.hidden_teams(who, policy))
        if cursor:
            key = decode_cursor(cursor, tuple[datetime, int, datetime, UUID])
            where += f" AND ({_ORDER}) > (:due, :rank, :opened, :id)"
            values |= dict(zip(("due", "rank", "opened", "id"), key, strict=True))
        query = f"SELECT {views.COLUMNS} FROM cases WHERE {where} ORDER BY {_ORDER} LIMIT :most"  # noqa: S608 - names are ours, values are bound
        async with transaction(self._engine) as connection:
            found = await connection.execute(text(query), {**values, "most": limit + 1})
            rows = found.mappings().all()
            now = self._handlers.runtime.now()
            shown = await views.items(connection, rows[:limit], policy, now)
        last = rows[limit - 1] if len(rows) > limit else None
        following = (
            encode_cursor(last["due_at"], last["priority"], last["opened_at"], last["id"])
            if last
            else None
        )
        state = [following, *((i.id, i.version, i.at_risk_reason) for i in shown)]
        tag = hashlib.sha256(repr(state).encode())
        return Page(items=shown, next_cursor=following), etag(tag.hexdigest()[:16])

    async def next(self, who: Caller, key: str | None) -> Response:
        """Claims the first case of the queue that is free and in this agent's scope."""
        place = (who.key_id, "POST /v1/inbox/next", idempotency.fingerprint(b""))
        async with transaction(self._engine) as connection:
            if key is not None:
                before = await idempotency.begin(connection, key, *place)
                if before is not None:
                    return before.response()
            response = await self._claim_first(connection, who)
            if key is not None:
                await idempotency.finish(connection, key, *place, response)
        self._handlers.runtime.written.set()
        return response

    async def _claim_first(self, connection: AsyncConnection, who: Caller) -> Response:
        handlers, policy = self._handlers, self._handlers.policies.current
        where, values = Filters(state=["open"]).where(who, views.hidden_teams(who, policy))
        query = (
            f"SELECT id FROM cases WHERE {where} AND agent = '' "  # noqa: S608 - values are bound
            f"ORDER BY {_ORDER} LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        case_id = await connection.scalar(text(query), values)
        if case_id is None:
            return Response(status_code=204)
        await handlers.on_command(connection, case_id, lambda _: Claim(who.actor))
        item = await views.one(connection, case_id, handlers, who)
        return Json(item.model_dump(), headers={"ETag": etag(item.version)})


async def _pause(stopping: asyncio.Event) -> None:
    """Until the next look, or until the process is told to stop."""
    try:
        async with asyncio.timeout(_POLL):
            await stopping.wait()
    except TimeoutError:
        return


def routes(handlers: Handlers) -> APIRouter:
    inbox = Inbox(handlers)
    now = handlers.runtime.now
    router = APIRouter(prefix="/v1/inbox", tags=["inbox"])

    @router.get("", response_model=Page, responses={304: {"description": "nothing changed"}})
    async def list_inbox(  # noqa: PLR0917 - FastAPI reads the query's parameters here
        who: Agent,
        filters: Annotated[Filters, Depends()],
        request: Request,
        response: Response,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        wait: Annotated[int, Query(ge=0, le=30, description="seconds to wait for a change")] = 0,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Any:
        """What waits for an answer, most urgent first: effective due, priority, age, id.

        With `wait` and `If-None-Match`, answers as soon as the page changes (long poll).
        """
        until = now() + timedelta(seconds=wait)
        while True:
            page, tag = await inbox.page(who, filters, cursor, limit)
            if not unchanged(if_none_match, tag):
                response.headers["ETag"] = tag
                return page
            if now() >= until or request.app.state.stopping.is_set():
                return Response(status_code=304, headers={"ETag": tag})
            await _pause(request.app.state.stopping)

    @router.post("/next", response_model=Item, responses={204: {"description": "nothing waits"}})
    async def next_case(
        who: Agent, idempotency_key: Annotated[str | None, Header(max_length=255)] = None
    ) -> Response:
        """Claims the most urgent free case this agent may take; 204 when there is none."""
        return await inbox.next(who, idempotency_key)

    return router
