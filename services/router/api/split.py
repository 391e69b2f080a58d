"""Splitting: messages that were joined wrongly go to a case of their own, or back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.api import views
from services.router.api.acting import Action, act
from services.router.api.actions import Body
from services.router.case import Case
from services.router.commands import Command, LeaveCase
from services.router.decide import Decided
from services.router.handlers import Handlers
from services.router.splits import Split
from shared.ids import new_id
from shared.security import Caller, caller

Agent = Annotated[Caller, Depends(caller("agent"))]


class SplitBody(Body):
    """The customer's messages that go; `into`: another case of theirs, else a new one."""

    messages: Annotated[list[UUID], Field(min_length=1, max_length=100)]
    subject: Annotated[str, Field(max_length=200)] = ""
    into: UUID | None = None


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/cases/{case_id}", tags=["cases"])

    @router.post("/split", status_code=201)
    async def split(case_id: UUID, who: Agent, request: Request, body: SplitBody) -> Response:
        """Moves messages to a new case, whose clocks count from the oldest of them, or to `into`:
        that undoes a split. Their threads go with them. What was answered stays answered."""
        leave = LeaveCase(who.actor, tuple(dict.fromkeys(body.messages)), body.into or new_id())
        asked = Split(leave, exists=body.into is not None, subject=body.subject.strip())
        action = Action(
            lambda *_: leave,
            versioned=True,
            status=201,
            render=lambda _, item: {"id": leave.to_case, "case": item.model_dump()},
            carry=partial(_carry, handlers, who, asked),
        )
        return await act(handlers, request, who, case_id, action)

    return router


async def _carry(
    handlers: Handlers,
    who: Caller,
    asked: Split,
    connection: AsyncConnection,
    case_id: UUID,
    choose: Callable[[Case], Command],
) -> Decided:
    def allow(other: Case) -> None:
        views.check_writes(who, other, handlers.policies.current)

    return await handlers.on_split(connection, case_id, asked, choose, allow)
