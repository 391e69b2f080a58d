"""What an agent does with a case: claim, release, reply, note, pause, close, reopen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from starlette.responses import Response

from services.router import commands as cmd
from services.router.api.acting import Action, act
from services.router.api.documents import read_document
from services.router.api.enclosing import Enclosed, enclosed, unfit
from services.router.api.views import Item
from services.router.case import Case
from services.router.handlers import Handlers
from shared.events import Channel, Priority
from shared.ids import new_id
from shared.security import Caller, caller
from shared.web import if_match
from shared.web.schemas import request_schema

Agent = Annotated[Caller, Depends(caller("agent"))]
Text = Annotated[str, Field(max_length=100_000)]


def _plausible(at: datetime) -> datetime:
    if at.year < 2000:
        raise ValueError("lies before the year 2000: give the time of the call, with its zone")
    return at


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("holds a NUL character, which no text may: leave it out")
        return value


class ReplyBody(Body):
    """An answer, or (with `outcome`) the record of a call. `attachments` are files in base64, or
    the ids of those that were handed in before; 25 MB together, and what the channel takes."""

    text: Text = ""
    channel: Channel | None = None
    template: Annotated[str, Field(max_length=512)] = ""
    outcome: Literal["", "reached", "no_answer", "voicemail"] = ""
    occurred_at: Annotated[AwareDatetime, AfterValidator(_plausible)] | None = None
    attachments: Enclosed = Field(default_factory=list)

    @model_validator(mode="after")
    def _says_something(self) -> ReplyBody:
        if not (self.text.strip() or self.template or self.outcome or self.attachments):
            raise ValueError("give `text`, a `template`, `attachments`, or the `outcome` of a call")
        if self.attachments and (self.outcome or self.template):
            raise ValueError("`attachments` go with a `text`, not with a call or a template")
        return self


class NoteBody(Body):
    text: Annotated[str, Field(min_length=1, max_length=100_000)]


class ReasonBody(Body):
    reason: Annotated[str, Field(max_length=1000)] = ""


class PauseBody(Body):
    """Whom the case waits for, why, and when it comes back by itself."""

    state: Literal["waiting_customer", "waiting_internal"] = "waiting_internal"
    reason: Annotated[str, Field(max_length=1000)] = ""
    until: AwareDatetime | None = None


Name = Annotated[str, Field(max_length=100)]


class PatchBody(Body):
    """What the case is about; what is left out stays as it is."""

    product: Name | None = None
    priority: Priority | None = None
    tags: Annotated[list[Name], Field(max_length=50)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PatchBody:
        if self.product is None and self.priority is None and self.tags is None:
            raise ValueError("give `product`, `priority` or `tags`")
        return self


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/cases/{case_id}", tags=["cases"])

    @router.post("/claim", response_model=Item)
    async def claim(case_id: UUID, who: Agent, request: Request) -> Response:
        """Takes the case, for the policy's `claim_lease`; 409 names the owner when it is taken."""
        action = Action(lambda *_: cmd.Claim(who.actor), versioned=False)
        return await act(handlers, request, who, case_id, action)

    @router.post("/release", response_model=Item)
    async def release(case_id: UUID, who: Agent, request: Request) -> Response:
        """Gives the case back to its team. A supervisor may release anyone's."""
        others = who.may("supervisor")
        action = Action(lambda *_: cmd.Release(who.actor, others), versioned=False)
        return await act(handlers, request, who, case_id, action)

    @router.post("/replies", status_code=202, openapi_extra=request_schema(ReplyBody))
    async def reply(case_id: UUID, who: Agent, request: Request) -> Response:
        """Answers the customer; 202 once it is certain to be sent or reported failed."""
        body = await read_document(request, ReplyBody)
        files = await enclosed(handlers, who, case_id, body.attachments) if body.attachments else ()
        runtime = handlers.runtime
        refusals = unfit(runtime.accounts, files, runtime.settings.public_url)
        seen = if_match(request.headers.get("if-match"))
        message_id = new_id()

        def make(case: Case, arrived: int) -> cmd.Command:
            return cmd.Reply(
                message_id=message_id,
                agent=who.actor,
                text=body.text,
                answers=arrived if seen is None else seen,
                channel=body.channel,
                template=body.template,
                outcome=body.outcome,
                occurred_at=body.occurred_at,
                attachments=files,
                senders=handlers.senders,
                unfit=refusals,
            )

        def render(case: Case, item: Item) -> dict[str, Any]:
            leaves = any(pending.message_id == message_id for pending in case.pending)
            state = "pending" if leaves else "recorded"
            return {"id": message_id, "state": state, "case": item.model_dump()}

        action = Action(make, versioned=True, status=202, render=render)
        return await act(handlers, request, who, case_id, action)

    @router.post("/notes", status_code=201)
    async def note(case_id: UUID, who: Agent, request: Request, body: NoteBody) -> Response:
        """Writes an internal note; the customer never sees it."""
        note_id = new_id()
        action = Action(
            lambda *_: cmd.TakeNote(note_id, who.actor, body.text),
            versioned=False,
            status=201,
            render=lambda _, item: {"id": note_id, "case": item.model_dump()},
        )
        return await act(handlers, request, who, case_id, action)

    _add_states(router, handlers)
    return router


def _add_states(router: APIRouter, handlers: Handlers) -> None:
    """Pausing, closing, opening again; and the priority."""

    @router.post("/pause", response_model=Item)
    async def pause(case_id: UUID, who: Agent, request: Request, body: PauseBody) -> Response:
        """Lets the case wait. Only waiting for the customer stops a clock: the resolution's."""
        command = cmd.Pause(who.actor, body.state, body.until, body.reason)
        return await act(
            handlers, request, who, case_id, Action(lambda *_: command, versioned=True)
        )

    @router.post("/close", response_model=Item)
    async def close(
        case_id: UUID, who: Agent, request: Request, body: ReasonBody | None = None
    ) -> Response:
        """Ends the case; the customer's next word within `joining.reopen` opens it again."""
        reason = body.reason if body else ""
        action = Action(lambda *_: cmd.Close(who.actor, reason), versioned=True)
        return await act(handlers, request, who, case_id, action)

    @router.post("/reopen", response_model=Item)
    async def reopen(
        case_id: UUID, who: Agent, request: Request, body: ReasonBody | None = None
    ) -> Response:
        """Opens a closed case again, or ends a pause."""
        reason = body.reason if body else ""
        action = Action(lambda *_: cmd.Reopen(who.actor, reason), versioned=True)
        return await act(handlers, request, who, case_id, action)

    @router.patch("", response_model=Item)
    async def patch(case_id: UUID, who: Agent, request: Request, body: PatchBody) -> Response:
        """Corrects product, priority, tags; what is promised may become earlier, never later."""
        tags = None if body.tags is None else tuple(filter(None, map(str.strip, body.tags)))
        product = None if body.product is None else body.product.strip()
        command = cmd.ReviseCase(who.actor, product, body.priority, tags)
        return await act(
            handlers, request, who, case_id, Action(lambda *_: command, versioned=True)
        )
