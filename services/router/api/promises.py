"""Promises: making one, keeping it by hand, agreeing on another time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router import commands as cmd
from services.router.api import views
from services.router.api.acting import Action, act
from services.router.api.actions import Body
from services.router.api.handoffs import Consent
from services.router.case import Case
from services.router.handlers import Handlers
from shared.database import transaction
from shared.durations import Duration
from shared.errors import NotFound
from shared.ids import new_id
from shared.security import Caller, caller

Agent = Annotated[Caller, Depends(caller("agent"))]


class PromiseView(BaseModel):
    """Something agreed with the customer.

    state     `broken` stays so, also when it was kept late; `ended_at`: since then nobody owes it
    attempts  tries to reach them, of `most`
    reason    how it was kept, or why it is broken: `late`, `unreached`
    replaces  the promise it renegotiates
    """

    id: UUID
    kind: str
    what: str
    by: str
    team: str
    state: str
    made_at: datetime
    due_at: datetime
    attempts: int
    most: int
    ended_at: datetime | None
    reason: str | None
    replaces: UUID | None
    consent: dict[str, Any] | None


class PromiseBody(Body):
    """By when: `due_at`, or `within` of the calendar that the policy's `promises` name."""

    kind: Literal["call_back", "answer", "other"]
    what: Annotated[str, Field(max_length=500)] = ""
    due_at: AwareDatetime | None = None
    within: Duration | None = None

    @model_validator(mode="after")
    def _one_time(self) -> PromiseBody:
        if (self.due_at is None) == (self.within is None):
            raise ValueError("give either `due_at` or `within`")
        if self.kind == "other" and not self.what.strip():
            raise ValueError("kind other needs `what`: say what was promised")
        return self


class PromisePatch(Body):
    """Kept (`state`, with `how`), or another time; a later one with the customer's `consent`."""

    state: Literal["kept"] | None = None
    how: Annotated[str, Field(max_length=500)] = ""
    due_at: AwareDatetime | None = None
    within: Duration | None = None
    consent: Consent | None = None

    @model_validator(mode="after")
    def _one_change(self) -> PromisePatch:
        if sum(each is not None for each in (self.state, self.due_at, self.within)) != 1:
            raise ValueError('give one of {"state": "kept"}, `due_at` and `within`')
        return self


_PROMISES: Final = text(
    "SELECT id, kind, what, by, team, state, made_at, due_at, attempts, most, ended_at, "
    "nullif(reason, '') AS reason, replaces, consent FROM promises WHERE case_id = :id "
    "ORDER BY made_at, id"
)


async def promises_of(connection: AsyncConnection, case_id: UUID) -> list[PromiseView]:
    """All of a case, open and ended, in the order they were made."""
    rows = await connection.execute(_PROMISES, {"id": case_id})
    return [PromiseView(**row) for row in rows.mappings()]


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["promises"])

    @router.post("/cases/{case_id}/promises", status_code=201)
    async def make(case_id: UUID, who: Agent, request: Request, body: PromiseBody) -> Response:
        """Promises the customer something by a time: it stands in the inbox, reminds, and is kept
        by the call or the reply that it is about. 422 `closed-then` names the next opening."""
        promise_id = new_id()
        command = cmd.MakePromise(
            promise_id, who.agent, body.kind, body.what.strip(), body.due_at, body.within
        )
        return await act(handlers, request, who, case_id, _action(command, promise_id, 201))

    @router.patch("/promises/{promise_id}")
    async def change(
        promise_id: UUID, who: Agent, request: Request, body: PromisePatch
    ) -> Response:
        """Keeps it by hand, or moves it: earlier freely, later with the customer's consent (422
        `consent-missing`). Another time is another promise; its `id` is in the answer."""
        case_id = await _case_of(handlers, promise_id, who)
        if body.state == "kept":
            kept = cmd.KeepPromise(promise_id, who.actor, body.how)
            return await act(handlers, request, who, case_id, _action(kept, promise_id))
        new = new_id()
        command = cmd.RenegotiatePromise(
            promise_id, new, who.agent, body.due_at, body.within,
            body.consent.given(handlers.runtime.now()) if body.consent else None,
        )  # fmt: skip
        return await act(handlers, request, who, case_id, _action(command, new))

    return router


def _action(command: cmd.Command, promise_id: UUID, status: int = 200) -> Action:
    def render(case: Case, item: views.Item) -> Any:
        due = next((p.due_at for p in case.promises if p.id == promise_id), None)
        return {"id": promise_id, "due_at": due, "case": item.model_dump()}

    return Action(lambda *_: command, versioned=True, status=status, render=render)


async def _case_of(handlers: Handlers, promise_id: UUID, who: Caller) -> UUID:
    async with transaction(handlers.runtime.engine) as connection:
        found = await connection.execute(
            text(
                "SELECT cases.id, cases.team FROM promises JOIN cases ON cases.id = case_id "
                "WHERE promises.id = :id"
            ),
            {"id": promise_id},
        )
        row = found.one_or_none()
    if row is None or not views.may_see(who, row.team, handlers.policies.current):
        raise NotFound("there is no such promise: read the case for those it has")
    return UUID(str(row.id))
