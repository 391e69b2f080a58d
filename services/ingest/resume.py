"""The resume page's door: what a code is for, and going on with it (DESIGN 5.10).

    GET  /v1/resume/{code}   shows where the conversation goes on; changes nothing (link previews)
    POST /v1/resume/{code}   goes on: the customer's words, with the code, are a message

No key: whoever has the code was given it. It shows nobody's words, and only a POST spends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from services.ingest import queries
from services.ingest.intake import Intake
from services.ingest.queries import Resumable
from shared import codes
from shared.accounts import Account
from shared.channels import Parsed
from shared.database import transaction
from shared.errors import Conflict, Invalid, NotFound, TooMany
from shared.events import Authentication, Identity, Kind, MessageReceived, Sender, Thread
from shared.ids import event_id, new_id
from shared.numbers import to_e164
from shared.runtime import Runtime
from shared.web import Json

_GUESSES: Final = 5
_HOUR: Final = timedelta(hours=1)
# The page itself can carry these; on the others the customer writes or calls.
_HERE: Final = frozenset(("portal", "webchat"))
_SAFE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class Shown(BaseModel):
    """Where a conversation goes on.

    state    open (the code works), spent, or over
    here     whether a POST with `text` goes on; on channel phone, one with `phone` asks for a call
    address  where to write or call otherwise; digits: the code as it is said on the telephone
    """

    state: str
    channel: str
    subject: str
    expires_at: datetime
    here: bool
    address: str | None = None
    digits: str | None = None


class GoOn(BaseModel):
    """The customer's words; for a call, the number to ring."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=20_000)] = ""
    phone: Annotated[str, Field(max_length=40)] = ""
    name: Annotated[str, Field(max_length=200)] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("holds a NUL character, which no text may: leave it out")
        return value


@dataclass(frozen=True)
class Resume:
    runtime: Runtime
    intake: Intake

    async def show(self, code: str, client: str) -> Response:
        written, found = await self._find(code, client)
        account = self._account(found)
        here = found.channel in _HERE or found.channel == "phone"
        shown = Shown(
            state=found.state(self.runtime.now()),
            channel=found.channel,
            subject=found.subject,
            expires_at=found.expires_at,
            here=here and account is not None,
            address=_address(account),
            digits=codes.spoken(written) if found.channel == "phone" else None,
        )
        return Json(shown.model_dump(), headers=_SAFE)

    async def go_on(self, code: str, client: str, body: GoOn) -> Response:
        """Accepts the words; the router spends the code when it handles them."""
        written, found = await self._find(code, client)
        if found.state(self.runtime.now()) != "open":
            raise Conflict(
                "this code was used, or its time is over: write or call us as you like",
                name="code-spent",
            )
        account = self._account(found)
        if account is None or (found.channel not in _HERE and found.channel != "phone"):
            where = _address(account)
            raise Conflict(
                f"this code is for {found.channel}: mention it there"
                + (f", {where}" if where else ""),
                name="another-channel",
            )
        message = self._message(written, found, account, body)
        await self.intake.accept(Parsed(messages=(message,)), account.name)
        return Json({"id": message.id}, 202, _SAFE)

    async def _find(self, code: str, client: str) -> tuple[str, Resumable]:
        """Five wrong ones an hour, and no more are looked at."""
        written = (codes.found_in(code) or [""])[0]
        sender, now = f"page:{client}", self.runtime.now()
        async with transaction(self.runtime.engine) as connection:
            wrong = await queries.wrong_codes(connection, sender, now - _HOUR)
            if wrong >= _GUESSES:
                raise TooMany("five codes were wrong: try again in an hour, or call us")
            found = await queries.find_code(connection, codes.hashed(written)) if written else None
            if found is None:
                await queries.note_wrong_code(connection, sender, now)
        if found is None:
            raise NotFound("this is no code of ours: see whether all of it was copied, R-7K4Q-2M9X")
        return written, found

    def _account(self, found: Resumable) -> Account | None:
        ours = [a for a in self.runtime.accounts if a.channel == found.channel]
        return min(ours, key=lambda account: account.name, default=None)

    def _message(
        self, code: str, found: Resumable, account: Account, body: GoOn
    ) -> MessageReceived:
        calls = found.channel == "phone"
        if not (body.phone if calls else body.text.strip()):
            raise Invalid("give the `phone` number to ring" if calls else "give some `text`")
        now, name = self.runtime.now(), new_id().hex
        kind: Kind = "callback_requested" if calls else "message"
        return MessageReceived(
            id=event_id(account.name, name, kind),
            account=account.name,
            channel=account.channel,
            kind=kind,
            provider_event_id=name,
            sender=_sender(found, account, body),
            occurred_at=now,
            received_at=now,
            text=body.text,
            reply_text=body.text,
            thread=Thread(message_id=f"resume-{name}"),
            attributes={"code": code},
        )


def _sender(found: Resumable, account: Account, body: GoOn) -> Sender:
    """The holder of the code: known by what the handoff names, else by the handoff alone."""
    if found.channel == "phone":
        number = to_e164(body.phone, str(account.settings.get("region", "")) or None)
        if not number:
            raise Invalid("this is no telephone number: write it with its country, +31 6 …")
        return _sent("e164", number, "asserted", body.name)
    return _sent("chat", f"resume-{found.handoff_id}", "proven", body.name)


def _sent(scheme: Any, value: str, authentication: Authentication, name: str) -> Sender:
    identity = Identity(scheme=scheme, value=value)
    return Sender(identities=(identity,), authentication=authentication, name=name)


def _address(account: Account | None) -> str | None:
    addresses = sorted(value for _, value in account.own_addresses()) if account else []
    return addresses[0] if addresses else None


def routes(runtime: Runtime, intake: Intake) -> APIRouter:
    resume = Resume(runtime, intake)
    router = APIRouter(prefix="/v1/resume", tags=["customers"])

    @router.get("/{code}", response_model=Shown)
    async def show(code: str, request: Request) -> Response:
        """What the code is for. Looking spends nothing."""
        return await resume.show(code[:40], _client(request))

    @router.post("/{code}", status_code=202)
    async def go_on(code: str, request: Request, body: GoOn) -> Response:
        """Goes on with the conversation: the code is spent, and everything told is at hand."""
        return await resume.go_on(code[:40], _client(request), body)

    return router


def _client(request: Request) -> str:
    return request.client.host if request.client else "unknown"
