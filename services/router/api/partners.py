"""The door for chain partners: a team without keys reads its pack and answers by its link.

GET  /v1/partner/{token}   the pack, as JSON or, in a browser, as a page with three buttons
POST /v1/partner/{token}   accept, decline, or answer
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import HTMLResponse, Response

from services.router import commands as cmd
from services.router import partners
from services.router.api.actions import Body
from services.router.case import Case
from services.router.handlers import Handlers
from shared.channels.posted import Object
from shared.channels.wire import load
from shared.database import transaction
from shared.errors import Invalid, NotFound, Unreadable
from shared.ids import new_id
from shared.web import Json, read_body

_LARGEST: Final = 200_000
_SAFE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}
_HANDOFF: Final = text(
    "SELECT id, case_id, state, reason, from_team, to_team, pack, offered_at, expires_at "
    "FROM handoffs WHERE id = :id"
)


class PartnerView(BaseModel):
    """A handoff to a partner and its pack. After `accepted` it can be answered."""

    handoff_id: UUID
    case_id: UUID
    state: str
    reason: str
    from_team: str
    to_team: str
    offered_at: datetime
    expires_at: datetime
    pack: dict[str, Any]


class PartnerResult(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    data: Object = Field(default_factory=dict)


class PartnerBody(Body):
    """`answer` gives the case back with `text` and, where asked for, `results`."""

    action: Literal["accept", "decline", "answer"]
    text: Annotated[str, Field(max_length=100_000)] = ""
    results: Annotated[list[PartnerResult], Field(max_length=20)] = Field(default_factory=list)


@dataclass(frozen=True)
class Partners:
    handlers: Handlers

    async def show(self, token: str, request: Request) -> Response:
        async with transaction(self.handlers.runtime.engine) as connection:
            view = await self._view(connection, token)
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_page(view), headers=_SAFE)
        return Json(view.model_dump(), headers=_SAFE)

    async def act(self, token: str, request: Request) -> Response:
        """Everything in one transaction: what was answered is recorded whole, or not at all."""
        body = await _read(request)
        async with transaction(self.handlers.runtime.engine) as connection:
            view = await self._view(connection, token)
            for command in _commands(view, body):
                await self.handlers.on_command(connection, view.case_id, _always(command))
            view = await self._view(connection, token)
        self.handlers.runtime.written.set()
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_page(view), headers=_SAFE)
        return Json(view.model_dump(), headers=_SAFE)

    async def _view(self, connection: AsyncConnection, token: str) -> PartnerView:
        now = self.handlers.runtime.now()
        link = await partners.find(connection, token, now)
        if link is None:
            raise NotFound("this link is not ours, or its time is over: ask the sender for another")
        row = (await connection.execute(_HANDOFF, {"id": link.handoff_id})).mappings().one()
        shown = {name: row[name] for name in PartnerView.model_fields if name != "handoff_id"}
        return PartnerView(handoff_id=row["id"], **shown)


def _always(command: cmd.Command) -> Any:
    def choose(case: Case) -> cmd.Command:
        return command

    return choose


def _commands(view: PartnerView, body: PartnerBody) -> list[cmd.Command]:
    who = f"partner:{view.to_team}"
    if body.action == "accept":
        return [cmd.AcceptHandoff(view.handoff_id, who)]
    if body.action == "decline":
        return [cmd.DeclineHandoff(view.handoff_id, who, body.text)]
    if not (body.text.strip() or body.results):
        raise Invalid("give the answer's `text`, or `results`")
    results = [cmd.RecordResult(who, each.name, "final", each.data) for each in body.results]
    return [*results, cmd.GiveBack(who, view.to_team, view.from_team, new_id(), body.text)]


async def _read(request: Request) -> PartnerBody:
    """JSON from a system, a form from the page."""
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            return PartnerBody.model_validate(load(await read_body(request, _LARGEST)))
        form: Mapping[str, Any] = await request.form(max_fields=10, max_files=0)
        return PartnerBody.model_validate(dict(form))
    except Unreadable as error:
        raise Invalid(str(error), name="not-json") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "body"
        raise Invalid(f"{field}: {first['msg']}; `action` is accept, decline or answer") from None


def _page(view: PartnerView) -> str:
    """Without script: a form and the pack, every word of it escaped."""
    pack = view.pack
    said = "".join(
        f"<li><b>{html.escape(str(line['author'] or line['direction']))}</b>: "
        f"{html.escape(str(line['text']))}</li>"
        for line in pack.get("conversation", [])
    )
    buttons = {"offered": ("accept", "decline"), "accepted": ("answer",)}.get(view.state, ())
    form = "".join(f"<button name=action value={each}>{each}</button> " for each in buttons)
    missing = html.escape(", ".join(pack.get("missing", [])) or "nothing")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Handoff</title>"
        f"<h1>{html.escape(str(pack.get('subject', '')))}</h1>"
        f"<p>From {html.escape(view.from_team)}, state {html.escape(view.state)}, "
        f"due {html.escape(str(pack.get('due_at') or 'not set'))}. Missing: {missing}.</p>"
        f"<ol>{said}</ol><form method=post><p><label>Your answer, or why not<br>"
        f"<textarea name=text rows=6 cols=60></textarea></label></p><p>{form}</p></form></html>"
    )


def routes(handlers: Handlers) -> APIRouter:
    door = Partners(handlers)
    router = APIRouter(prefix="/v1/partner", tags=["handoffs"])

    @router.get("/{token}", response_model=PartnerView)
    async def show(token: str, request: Request) -> Response:
        """The pack of a handoff to an external team."""
        return await door.show(token[:100], request)

    @router.post("/{token}", response_model=PartnerView)
    async def act(token: str, request: Request) -> Response:
        """Accepts it, declines it, or answers what was asked and gives the case back."""
        return await door.act(token[:100], request)

    return router
