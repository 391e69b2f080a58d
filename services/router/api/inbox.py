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

from services.router import agents
from services.router.agents import Profile
from services.router.api import views
from services.router.api.views import Item
from services.router.case import PRIORITIES
from services.router.commands import Claim
from services.router.handlers import Handlers
from services.router.policy import Policy
from services.router.queries import QUEUE
from services.router.reach import Reach, reach
from shared import idempotency
from shared.database import transaction
from shared.errors import Conflict, Invalid
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, etag, unchanged

Agent = Annotated[Caller, Depends(caller("agent"))]
State = Literal["open", "waiting_customer", "waiting_internal", "closed"]
WAITING: Final = ("open", "waiting_internal")
_POLL: Final = 0.5


class Page(BaseModel):
    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True)
class Filters:
    """What a list shows. Only teams in the caller's scope are ever listed.

    frozen    only cases that went to and fro, or only others
    takeable  only what `POST /v1/inbox/next` would give the caller, in that order
    """

    team: Annotated[list[str] | None, Query()] = None
    agent: str | None = None
    channel: Annotated[list[str] | None, Query()] = None
    state: Annotated[list[str] | None, Query(description=", ".join(get_args(State)))] = None
    priority: Annotated[list[Literal["urgent", "high", "normal", "low"]] | None, Query()] = None
    customer: UUID | None = None
    q: Annotated[str | None, Query(max_length=200)] = None
    due_before: datetime | None = None
    frozen: bool | None = None
    takeable: bool = False

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
            ("frozen", self.frozen, "(frozen <> '') = :frozen"),
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
            where += f" AND ({QUEUE}) > (:due, :rank, :opened, :id)"
            values |= dict(zip(("due", "rank", "opened", "id"), key, strict=True))
        async with transaction(self._engine) as connection:
            if filters.takeable:
                taking = await self._reach(connection, who)
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
        await agents.seize(connection, who.actor)
        mine = await self._reach(connection, who)
        if mine.agent.presence == "away":
            raise Conflict(
                'you are away: PATCH /v1/agents/me with {"presence": "online"}, then ask again',
                name="agent-away",
            )
        where, values = Filters(state=["open"]).where(who, views.hidden_teams(who, policy))
        where, values = f"{where} AND {mine.where}", values | mine.values
        query = (
            f"SELECT id FROM cases WHERE {where} {'AND' if mine.room else ''} {mine.room} "  # noqa: S608 - values are bound
            f"ORDER BY {QUEUE} LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        case_id = await connection.scalar(text(query), values)
        if case_id is None:
            if mine.room:
                await _refuse_the_full(connection, mine, where, values, policy)
            return Response(status_code=204)
        await handlers.on_command(connection, case_id, lambda _: Claim(who.actor))
        await agents.note_given(connection, [who.actor], handlers.runtime.now())
        item = await views.one(connection, case_id, handlers, who)
        return Json(item.model_dump(), headers={"ETag": etag(item.version)})

    async def _reach(self, connection: AsyncConnection, who: Caller) -> Reach:
        known = await agents.named(connection, self._handlers.runtime.now(), [who.actor])
        agent = known.get(who.actor, Profile(who.actor))
        return await reach(connection, agent, self._handlers.policies.current)


async def _refuse_the_full(
    connection: AsyncConnection, mine: Reach, where: str, values: dict[str, Any], policy: Policy
) -> None:
    """Raises Conflict when a case waits that only lacks room: 204 says that none does."""
    query = (
        f"SELECT team FROM cases WHERE {where} AND NOT ({mine.room}) "  # noqa: S608 - values are bound
        f"ORDER BY {QUEUE} LIMIT 1"
    )
    team = await connection.scalar(text(query), values)
    if team is None:
        return
    capacity = mine.agent.capacity_in(policy, team)
    raise Conflict(
        f"you have {mine.load:g} of at most {capacity}: answer or release one of your cases first",
        name="at-capacity",
        load=mine.load,
        capacity=capacity,
    )


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
        """Claims the most urgent free case this agent may take; 204 when there is none.

        It asks for no skill they lack. 409 `agent-away` for who is away, `at-capacity` (`load`,
        `capacity`) when something waits and they have too much already.
        """
        return await inbox.next(who, idempotency_key)

    return router
