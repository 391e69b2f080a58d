"""Letting a case go on that went to and fro until it was frozen."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from services.router import commands as cmd
from services.router.api.acting import Action, act
from services.router.api.actions import ReasonBody
from services.router.api.views import Item
from services.router.handlers import Handlers
from shared.security import Caller, caller

Supervisor = Annotated[Caller, Depends(caller("supervisor"))]


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/cases/{case_id}", tags=["handoffs"])

    @router.post("/thaw", response_model=Item)
    async def thaw(
        case_id: UUID, who: Supervisor, request: Request, body: ReasonBody | None = None
    ) -> Response:
        """Ends the freeze: people may hand the case on again, and its hops are counted anew."""
        command = cmd.Thaw(who.actor, body.reason if body else "")
        return await act(
            handlers, request, who, case_id, Action(lambda *_: command, versioned=False)
        )

    return router
