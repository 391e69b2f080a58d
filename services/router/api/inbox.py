"""The inbox: what waits for an answer, most urgent first; and the next one to take."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import text

from services.router.api import views
from services.router.api.filters import Filters
from services.router.api.once import once
from services.router.api.taking import Taking, within_reach
from services.router.api.views import Item
from services.router.handlers import Handlers
from services.router.queries import QUEUE
from shared.database import transaction
from shared.security import Caller, caller
from shared.web import decode_cursor, encode_cursor, etag, unchanged

Agent = Annotated[Caller, Depends(caller("agent"))]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
_POLL: Final = 0.5


class Page(BaseModel):
    items: list[Item]
    next_cursor: str | None


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
            where += f" AND ({QUEUE}) > (:due, :rank, :opened, :id)"
            values |= dict(zip(("due", "rank", "opened", "id"), key, strict=True))
        async with transaction(self._engine) as connection:
            if filters.takeable:
                taking = await within_reach(connection, self._handlers, who)
                where = " AND ".join(filter(None, (where, taking.where, taking.room)))
                values |= taking.values
            query = f"SELECT {views.COLUMNS} FROM cases WHERE {where} ORDER BY {QUEUE} LIMIT :most"  # noqa: S608 - names are ours, values are bound
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

    _add_next(router, handlers)
    return router


def _add_next(router: APIRouter, handlers: Handlers) -> None:
    @router.post("/next", response_model=Item, responses={204: {"description": "nothing waits"}})
    async def next_case(who: Agent, request: Request, _: Key = None) -> Response:
        """Claims the most urgent free case this agent may take; 204 when there is none.

        It asks for no skill they lack. 409 `agent-away` for who is away, `at-capacity` (`load`,
        `capacity`) when something waits and they have too much already.
        """
        return await once(handlers, request, who, Taking(handlers, who).take, given=b"")
