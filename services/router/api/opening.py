"""`POST /v1/cases`: an agent opens a case. To write or to call first, for somebody at the counter,
or to ask colleagues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, Self, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router import lookup
from services.router.api import views
from services.router.api.actions import Body, Name
from services.router.api.cases import CaseView, case_view
from services.router.case import Case
from services.router.commands import Opening, Reply
from services.router.contacts import Contact
from services.router.decide import gone
from services.router.handlers import Handlers
from shared import idempotency
from shared.accounts import Account
from shared.channels.posted import PostedSender
from shared.channels.posted_sender import sender_of
from shared.channels.wire import text_at
from shared.database import transaction
from shared.errors import Conflict, Forbidden, Invalid
from shared.events import (
    Authentication,
    Channel,
    Identity,
    MessageReceived,
    Priority,
    Sender,
)
from shared.ids import new_id
from shared.security import Caller, caller
from shared.web import Json, etag

Agent = Annotated[Caller, Depends(caller("agent"))]
_NOT_INTERNAL: Final = ("identity", "customer", "name", "verified", "template", "outcome")
_HOUSE: Final[tuple[Channel, ...]] = ("counter", "internal")  # no account has to be named for them


class OpenBody(Body):
    """Whom it is about, on which channel, and what is said first.

    customer, identity  the record; or an address, `e164:+31612345678` or bare, of whoever has it.
                        Both: the record, and where to reach them
    verified            they showed who they are, at the counter
    text                the first message; of a visit or an internal request, what it is about
    outcome             of the call that was just made
    team                instead of the one that the policy's routing names
    parent              the case that waits for this internal request
    """

    channel: Channel | None = None
    account: Name = ""
    kind: Literal["message", "visit"] = "message"
    customer: UUID | None = None
    identity: Annotated[str, Field(max_length=320)] = ""
    name: Annotated[str, Field(max_length=200)] = ""
    verified: bool = False
    subject: Annotated[str, Field(max_length=1000)] = ""
    text: Annotated[str, Field(max_length=100_000)] = ""
    template: Annotated[str, Field(max_length=512)] = ""
    outcome: Literal["", "reached", "no_answer", "voicemail"] = ""
    product: Name = ""
    priority: Priority | Literal[""] = ""
    team: Annotated[str, Field(max_length=200)] = ""
    parent: UUID | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.parent is not None and self.channel not in (None, "internal"):
            raise ValueError("`parent` is for internal requests: leave out `channel`")
        if self.kind == "visit" and self.channel not in (None, "counter"):
            raise ValueError("a visit is at the counter: leave out `channel`")
        if self.channel == "internal" or self.parent is not None:
            self.check_request()
        return self

    def check_request(self) -> None:
        """An internal request is the agent's own, about nobody. Raises ValueError for what it has
        no place for, and where it asks nothing."""
        given = [name for name in _NOT_INTERNAL if name in self.model_fields_set]
        if given := [name for name in given if getattr(self, name) not in ("", None, False)]:
            named = ", ".join(f"`{name}`" for name in given)
            raise ValueError(f"an internal request comes from you: leave out {named}")
        if self.kind == "visit":
            raise ValueError("a visit is at the counter: leave out `parent` and `channel`")
        if not self.text.strip():
            raise ValueError("an internal request needs `text`: say what you ask")


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/cases", tags=["cases"])

    @router.post("", status_code=201, response_model=CaseView)
    async def open_case(
        who: Agent,
        request: Request,
        body: OpenBody,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
    ) -> Response:
        """Opens a case.

        With a customer and a channel the agent begins: nothing is promised yet, and the case is
        theirs. A visit waits for somebody at the desk, and joins what the customer has open. An
        internal request waits for another team; where it names a `parent`, that one waits for it.
        """
        print_ = idempotency.fingerprint(await request.body())
        place = (who.key_id, "POST /v1/cases")
        contact = _contact(handlers, who, body)
        async with transaction(handlers.runtime.engine) as connection:
            if idempotency_key is not None:
                before = await idempotency.begin(connection, idempotency_key, *place, print_)
                if before is not None:
                    return before.response()
            case = await handlers.on_contact(connection, contact, _may_wait(handlers, who))
            response = await _answer(connection, handlers, who, case)
            if idempotency_key is not None:
                await idempotency.finish(connection, idempotency_key, *place, print_, response)
        handlers.runtime.written.set()
        return response

    return router


def _may_wait(handlers: Handlers, who: Caller) -> Callable[[Case], None]:
    """Whether this caller may let that case wait."""

    def allow(parent: Case) -> None:
        views.check_writes(who, parent, handlers.policies.current)
        if parent.erased:
            raise gone()
        if parent.state == "closed":
            raise Conflict("the parent case is closed: reopen it first", name="case-closed")

    return allow


async def _answer(
    connection: AsyncConnection, handlers: Handlers, who: Caller, case: Case
) -> Response:
    """The case, but for what the caller may not read: a request to a confidential team."""
    headers = {"Location": f"/v1/cases/{case.id}", "ETag": etag(case.version)}
    if not views.may_see(who, case.team, handlers.policies.current):
        return Json({"id": case.id}, 201, headers)
    view = await case_view(connection, handlers, case.id, who, history=False)
    return Json(view.model_dump(), 201, headers)


# --- what was asked for --------------------------------------------------------------------------


def _contact(handlers: Handlers, who: Caller, body: OpenBody) -> Contact:
    """The body, checked against accounts and policy. Raises Refused."""
    channel = _channel(handlers, body)
    accounts = _accounts(handlers, who, body, channel)
    begins = channel not in _HOUSE
    if body.team and begins and not who.writes_team(body.team):
        raise Forbidden(
            f"your key is for {', '.join(sorted(who.teams))}, not for team {body.team}: open it "
            "for one of yours, and hand it over"
        )
    return Contact(
        message=_message(handlers, who, body, channel, accounts[0]),
        opening=Opening(who.actor, body.team, body.parent, fresh=channel == "internal"),
        accounts=accounts,
        customer=body.customer if channel != "internal" else None,
        begins=begins,
        reply=_reply(handlers, who, body, channel) if begins else None,
        teams=frozenset() if who.role == "admin" else who.teams,
    )


def _channel(handlers: Handlers, body: OpenBody) -> Channel:
    if body.channel is not None:
        return body.channel
    if body.parent is not None:
        return "internal"
    if body.kind == "visit":
        return "counter"
    account = handlers.runtime.accounts.get(body.account)
    if account is not None:
        if account.channel == "internal":
            _check_request(body)
        return account.channel
    field = {"field": "channel", "message": "is missing"}
    raise Invalid(f"`channel` is missing: one of {', '.join(get_args(Channel))}", errors=[field])


def _check_request(body: OpenBody) -> None:
    """Of one whose account alone shows what it is."""
    try:
        body.check_request()
    except ValueError as error:
        raise Invalid(str(error), errors=[{"field": "body", "message": str(error)}]) from None


def _accounts(handlers: Handlers, who: Caller, body: OpenBody, channel: Channel) -> tuple[str, ...]:
    """Ours on that channel that the caller may use, the best first. The desk and the house need
    none: they go by their channel's name then."""
    ours = [a.name for a in handlers.runtime.accounts if a.channel == channel]
    if body.account and body.account not in ours:
        known = ", ".join(ours) or "none yet"
        field = {"field": "account", "message": f"is no {channel} account; there is {known}"}
        raise Invalid(f"`account` is no {channel} account: there is {known}", errors=[field])
    usable = [name for name in ours if who.uses_account(name)]
    if body.account and not who.uses_account(body.account):
        raise Forbidden(f"your key is not for account {body.account}: ask for one that is")
    named = (body.account, handlers.policies.current.reply_from.get(channel, ""))
    usable.sort(key=lambda name: (name not in named, name not in handlers.senders, name))
    if not usable and channel in _HOUSE:
        return (channel,)
    if not usable:
        raise Invalid(
            f"there is no {channel} account to write from: choose another `channel`, or have one "
            "added to the channels file",
            name="no-outbound",
        )
    return tuple(usable)


def _message(
    handlers: Handlers, who: Caller, body: OpenBody, channel: Channel, account: str
) -> MessageReceived:
    """What they say, or would have said if they had begun."""
    id, now = new_id(), handlers.runtime.now()
    text = body.text.strip()
    return MessageReceived(
        id=id,
        account=body.account,
        channel=channel,
        kind="visit" if channel == "counter" else "message",
        provider_event_id=str(id),
        sender=_sender(handlers, who, body, channel, account),
        occurred_at=now,
        received_at=now,
        subject=body.subject.strip(),
        text=text,
        reply_text=text,
        product=body.product,
        priority=body.priority,
    )


def _sender(
    handlers: Handlers, who: Caller, body: OpenBody, channel: Channel, account: str
) -> Sender:
    """The customer; of an internal request the agent, as the colleague they are."""
    authentication: Authentication = "proven" if body.verified else "asserted"
    if channel == "internal":
        me = Identity(scheme="employee_no", value=who.actor)
        return Sender(identities=(me,), authentication="proven", name=who.actor)
    if not body.identity and body.customer is None:
        raise Invalid(
            "say whom it is about: `customer`, an id of /v1/customers, or an `identity` such as "
            "email:jo@example.org",
            name="no-customer",
        )
    known = _person(handlers, body, account) if body.identity else None
    return Sender(
        identities=(known,) if known else (),
        authentication=authentication if channel == "counter" else "asserted",
        name=body.name.strip(),
    )


def _person(handlers: Handlers, body: OpenBody, account: str) -> Identity:
    """Whose it is. Beside a `customer` a shared one only says where to reach them, and is not put
    on their record. Raises Invalid, on the field."""
    shared = handlers.policies.current.is_shared
    try:
        identity = _identity(handlers, body.identity.strip(), account)
        return lookup.of_a_person(
            identity, handlers.own, shared if body.customer is None else lambda _: False
        )
    except Invalid as error:
        field = {"field": "identity", "message": error.detail}
        raise Invalid(error.detail, name=error.problem, errors=[field]) from None


def _identity(handlers: Handlers, written: str, account: str) -> Identity:
    """`scheme:value`, or a bare value that shows its scheme. Raises Invalid."""
    ours = handlers.runtime.accounts.get(account) or Account(account, "counter", "generic")
    if ":" in written:
        region = text_at(dict(ours.settings), "region")
        return lookup.identity(written, (region,) if region else ())
    if not written:
        raise Invalid("`identity` is blank: write scheme:value, such as email:jo@example.org")
    return sender_of(PostedSender(address=written), ours).identities[0]


def _reply(handlers: Handlers, who: Caller, body: OpenBody, channel: Channel) -> Reply | None:
    """The first message, or the outcome of the call; nothing yet, where neither is given."""
    text = body.text.strip()
    if not (text or body.template or body.outcome):
        return None
    return Reply(
        message_id=new_id(),
        agent=who.actor,
        text=text,
        answers=0,
        channel=channel,
        template=body.template,
        outcome=body.outcome,
        senders=handlers.senders,
    )
