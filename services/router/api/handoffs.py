"""Handoffs: offering a channel switch or a team transfer, accepting and declining it."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, Field, field_serializer, model_validator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router import commands as cmd
from services.router import lookup, partners, redeeming
from services.router.api import views
from services.router.api.acting import Action, act
from services.router.api.actions import Body, ReasonBody
from services.router.handlers import Handlers
from shared import codes
from shared.database import transaction
from shared.errors import Forbidden, Invalid, NotFound
from shared.events import Channel
from shared.ids import new_id
from shared.security import Caller, caller
from shared.web import Json, etag

Agent = Annotated[Caller, Depends(caller("agent"))]


class Consent(Body):
    """That the customer agreed: to whom, when, and how."""

    by: Annotated[str, Field(max_length=200)]
    at: AwareDatetime
    how: Annotated[str, Field(max_length=1000)]

    def given(self, now: datetime) -> dict[str, Any]:
        """As it goes into events. Raises Invalid for one that nobody can have given yet."""
        if self.at > now + timedelta(minutes=5):  # their clock may be ahead of ours
            raise Invalid(
                "`consent.at` lies in the future: give the time at which the customer agreed"
            )
        return self.model_dump()

    @field_serializer("at")
    def _as_written(self, at: datetime) -> str:
        """RFC 3339: consent goes into events and answers as it stands."""
        return at.isoformat().replace("+00:00", "Z")


class HandoffBody(Body):
    """A switch (`to_channel`) or a transfer (`to_team`); `address`: where the customer will be."""

    to_channel: Channel | None = None
    to_team: Annotated[str, Field(max_length=200)] | None = None
    reason: Annotated[str, Field(max_length=100)] = "agent"
    address: Annotated[str, Field(max_length=320)] = ""
    consent: Consent | None = None
    results: Annotated[list[str], Field(max_length=50)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_of_both(self) -> HandoffBody:
        if (self.to_channel is None) == (self.to_team is None):
            raise ValueError("give either `to_channel` or `to_team`")
        return self


class AcceptBody(Body):
    """`code`: `R-7K4Q-2M9X`, or its nine digits."""

    code: Annotated[str, Field(max_length=40)] = ""


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["handoffs"])

    @router.post("/cases/{case_id}/handoffs", status_code=201)
    async def offer(case_id: UUID, who: Agent, request: Request, body: HandoffBody) -> Response:
        """Offers a handoff. A switch invites the customer with a resume code; the case stays
        where it is, clocks and all, until the code is used or the team accepts."""
        command = _command(handlers, who, body)

        def render(shown: str) -> Any:
            return lambda _, item: {
                "id": command.handoff_id, "code": shown or None, "case": item.model_dump(),
            }  # fmt: skip

        action = Action(
            lambda *_: command,
            versioned=True,
            status=201,
            render=render(command.code),
            stored=render(codes.masked(command.code)),
        )
        return await act(handlers, request, who, case_id, action)

    @router.post("/handoffs/{handoff_id}/accept")
    async def accept(
        handoff_id: UUID, who: Agent, request: Request, body: AcceptBody | None = None
    ) -> Response:
        """Takes the case over. A channel switch is accepted with the `code` the customer told."""
        case_id = await _case_of(handlers, handoff_id, who)
        told = body.code if body else ""
        by_code = await _is_code(handlers, handoff_id, told, who)
        command = cmd.AcceptHandoff(handoff_id, who.actor, by_code)
        action = Action(lambda *_: command, versioned=False, scoped=False)
        try:
            return await act(handlers, request, who, case_id, action)
        except NotFound:
            again = await _accepted_before(handlers, handoff_id, case_id, who)
            if again is None:
                raise
            return again

    @router.post("/handoffs/{handoff_id}/decline")
    async def decline(
        handoff_id: UUID, who: Agent, request: Request, body: ReasonBody | None = None
    ) -> Response:
        """Refuses it; the case stays with its team, its age and clocks unchanged."""
        case_id = await _case_of(handlers, handoff_id, who)
        reason = body.reason if body else ""
        action = Action(
            lambda *_: cmd.DeclineHandoff(handoff_id, who.actor, reason),
            versioned=False,
            scoped=False,
        )
        return await act(handlers, request, who, case_id, action)

    return router


def _command(handlers: Handlers, who: Caller, body: HandoffBody) -> cmd.OfferHandoff:
    channel = body.to_channel or ""
    token = partners.drawn() if body.to_team else ""
    return cmd.OfferHandoff(
        handoff_id=new_id(),
        agent=who.actor,
        reason=body.reason,
        to_team=body.to_team or "",
        to_channel=channel,
        address=_address(handlers, channel, body.address.strip()),
        consent=body.consent.given(handlers.runtime.now()) if body.consent else None,
        results=tuple(body.results),
        code=codes.drawn(secrets.randbits) if channel else "",
        way=handlers.offers.way(channel) if channel else cmd.NO_WAY,
        invitation_id=new_id(),
        senders=handlers.senders,
        supervisor=who.may("supervisor"),
        partner_token=token,
        answer_url=partners.link(handlers.runtime.settings.public_url, token),
    )


_BY_CHANNEL: Final = {"email": "email", "phone": "e164", "sms": "e164", "whatsapp": "e164"}


def _address(handlers: Handlers, channel: str, written: str) -> str:
    """As the channel writes it, so that the message that comes from there is recognised."""
    scheme = _BY_CHANNEL.get(channel)
    if scheme is None or not written:
        return written
    regions = (str(a.settings.get("region", "")) for a in handlers.runtime.accounts)
    known = tuple(dict.fromkeys(filter(None, regions)))
    identity = lookup.identity(f"{scheme}:{written}", known)
    if identity in handlers.own:
        raise Invalid(f"{written} is an address of ours: name the customer's", name="own-address")
    return identity.value


async def _is_code(handlers: Handlers, handoff_id: UUID, told: str, who: Caller) -> bool:
    if not told:
        return False
    now = handlers.runtime.now()
    async with transaction(handlers.runtime.engine) as connection:
        if await redeeming.opens(connection, told, handoff_id, now):
            return True
        if await _was_accepted(connection, handoff_id, who):
            return True  # by this agent: the code is spent, and the answer the same
    raise Invalid(
        "this is not the code of this handoff, or it is spent: have the customer read it again, "
        "or offer the switch anew",
        name="wrong-code",
    )


async def _was_accepted(connection: AsyncConnection, handoff_id: UUID, who: Caller) -> bool:
    """By the same agent: who sends it again did not hear the answer."""
    found = await connection.scalar(
        text("SELECT state = 'accepted' AND ended_by = :by FROM handoffs WHERE id = :id"),
        {"id": handoff_id, "by": who.actor},
    )
    return bool(found)


async def _accepted_before(
    handlers: Handlers, handoff_id: UUID, case_id: UUID, who: Caller
) -> Response | None:
    """The case, as the first time; None where it was not this agent who accepted."""
    async with transaction(handlers.runtime.engine) as connection:
        if not await _was_accepted(connection, handoff_id, who):
            return None
        item = await views.one(connection, case_id, handlers, None)
    seen = views.may_see(who, item.team, handlers.policies.current)
    content = item.model_dump() if seen else {"id": case_id}
    return Json(content, 200, {"ETag": etag(item.version)} if seen else {})


async def _case_of(handlers: Handlers, handoff_id: UUID, who: Caller) -> UUID:
    """The case on offer. The receiving team answers for it, not the one that still has it."""
    async with transaction(handlers.runtime.engine) as connection:
        found = await connection.execute(
            text("SELECT case_id, to_team, from_team FROM handoffs WHERE id = :id"),
            {"id": handoff_id},
        )
        row = found.one_or_none()
        if row is None:
            raise NotFound("there is no such handoff: read the case for those on offer")
        team = row.to_team or row.from_team
        if not views.may_see(who, team, handlers.policies.current):
            raise NotFound("there is no such handoff: read the case for those on offer")
        if not who.writes_team(team):
            raise Forbidden(f"only team {team} can answer this handoff")
    return UUID(str(row.case_id))
