"""`POST /v1/messages`: the generic door, for whoever holds an integrator's key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import structlog
from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from services.ingest.intake import Intake
from services.ingest.queries import Use, find_message, first_use
from shared.accounts import Account
from shared.channels import NewBlob, Parsed
from shared.channels.portal import message_from_json
from shared.channels.posted import PostedMessage
from shared.channels.wire import load, text_at
from shared.database import transaction
from shared.errors import DatabaseUnavailable, Forbidden, Invalid, NotFound, TooLarge, Unreadable
from shared.events import MessageReceived
from shared.idempotency import fingerprint
from shared.ids import event_id, new_id
from shared.runtime import Runtime
from shared.security import FRESH_AT_INGEST, Caller, caller
from shared.web import Json, read_body
from shared.web.schemas import request_schema

LARGEST_BODY: Final = 35 * 1024 * 1024  # the attachments in base64, and the rest
LARGEST_WORDS: Final = 1024 * 1024
LARGEST_FILES: Final = 25 * 1024 * 1024
_OFF_LOOP: Final = 256 * 1024  # a larger body is taken apart beside the event loop

Integrator = Annotated[Caller, Depends(caller("integrator", fresh=FRESH_AT_INGEST))]

log = structlog.get_logger("ingest")


class Accepted(BaseModel):
    """The message is durable; `id` finds it again at `GET /v1/messages/{id}`."""

    id: UUID


class RoutedCase(BaseModel):
    id: UUID
    state: str
    team: str
    due_at: datetime | None


class OfferedSwitch(BaseModel):
    """A channel the customer may go on by. A call is accepted by a `callback_requested` message
    in the same thread, with the number as `attributes.phone`."""

    id: UUID
    to_channel: str
    expires_at: datetime


class RoutedMessage(BaseModel):
    """A message and the case it became part of. Times in UTC."""

    id: UUID
    account: str
    channel: str
    kind: str
    state: str
    occurred_at: datetime
    received_at: datetime
    processed_at: datetime
    case: RoutedCase
    offers: list[OfferedSwitch]


@dataclass(frozen=True)
class Messages:
    runtime: Runtime
    intake: Intake

    async def post(self, request: Request, who: Integrator, key: str = "") -> Response:
        """Accepts one message. Its id is the same for every repeat of the request."""
        body = await read_body(request, LARGEST_BODY)
        document = _document(body)
        account = self._account(text_at(document, "account"), who)
        use = _Request(who.key_id, key, body, self.runtime.now())
        if len(body) > _OFF_LOOP:
            message, blobs = await asyncio.to_thread(use.read, document, account)
        else:
            message, blobs = use.read(document, account)
        message = await self._settle(message, use, text_at(document, "id"))
        await self.intake.accept(Parsed(messages=(message,), blobs=blobs), account.name)
        return Json({"id": message.id}, 202, {"Location": f"/v1/messages/{message.id}"})

    async def find(self, message_id: UUID, who: Integrator) -> RoutedMessage:
        """A message's case."""
        async with transaction(self.runtime.engine) as connection:
            found = await find_message(connection, message_id, self.runtime.now())
        if found is None or not who.uses_account(found["account"]):
            raise NotFound(
                "no message of this id is routed: if it was accepted just now, ask again shortly",
                name="message-not-routed",
                headers={"Retry-After": "1"},
            )
        return RoutedMessage(case=_case(found), **found)

    def _account(self, name: str, who: Caller) -> Account:
        account = self.runtime.accounts.get(name)
        if account is None:
            fault = {"field": "account", "message": "is no account of the channels file"}
            raise Invalid("`account` names an account of the channels file", errors=[fault])
        if not who.uses_account(name):
            raise Forbidden(f"your key is not for account {name}: ask for one that is")
        return account

    async def _settle(
        self, message: MessageReceived, use: _Request, own_id: str
    ) -> MessageReceived:
        """The message under the id that its key stood for first, where the database can tell."""
        uses = use.names(message, own_id)
        if not uses:
            return message
        try:
            async with transaction(self.runtime.engine) as connection:
                ids = [await first_use(connection, each) for each in uses]
        except DatabaseUnavailable:
            # The id is made of the key, so a repeat is still recognised when it is routed.
            log.warning("accepted without looking up its key", message=str(message.id))
            return message
        return msgspec.structs.replace(message, id=ids[-1])


@dataclass(frozen=True)
class _Request:
    """What identifies a request: its caller, its Idempotency-Key, its bytes."""

    key_id: str
    key: str
    body: bytes
    received_at: datetime

    def read(
        self, document: Mapping[str, Any], account: Account
    ) -> tuple[MessageReceived, list[NewBlob]]:
        name = f"{self.key_id}:{self.key}" if self.key else new_id().hex
        message, blobs = message_from_json(document, account, self.received_at, name)
        files = sum(file.size or 0 for file in message.attachments)
        if files > LARGEST_FILES:
            raise TooLarge(f"attachments may take {LARGEST_FILES} bytes together: send fewer")
        # As they were posted: cleaned, HTML may be shorter, or cut.
        words = (text_at(document, name) for name in ("text", "html"))
        if sum(len(each.encode("utf-8", "ignore")) for each in words) > LARGEST_WORDS:
            raise TooLarge(f"text and html may take {LARGEST_WORDS} bytes: attach the rest")
        return message, blobs

    def names(self, message: MessageReceived, own_id: str) -> list[Use]:
        """The key in the header, free again after a day, and the integrator's own id, for ever."""
        print_ = fingerprint(self.body)
        uses = []
        if self.key:
            again = None if own_id else event_id(message.account, new_id().hex, message.kind)
            uses.append(Use(self.key, self.key_id, print_, message.id, again))
        if own_id:
            name = f"id\x1f{message.account}\x1f{message.kind}\x1f{own_id}"
            uses.append(Use(name, "", print_, message.id))
        return uses


def routes(runtime: Runtime, intake: Intake) -> APIRouter:
    messages = Messages(runtime, intake)
    router = APIRouter(prefix="/v1/messages", tags=["messages"])

    @router.post(
        "", status_code=202, response_model=Accepted, openapi_extra=request_schema(PostedMessage)
    )
    async def post_message(
        request: Request,
        who: Integrator,
        idempotency_key: Annotated[str, Header(max_length=255)] = "",
    ) -> Response:
        """Accepts one message; a repeat with the same Idempotency-Key, or `id`, is the same one."""
        return await messages.post(request, who, idempotency_key)

    @router.get("/{message_id}")
    async def get_message(message_id: UUID, who: Integrator) -> RoutedMessage:
        """The case a message became part of; 404 while it is not routed."""
        return await messages.find(message_id, who)

    return router


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = load(body)
    except Unreadable as error:
        raise Invalid(str(error), name="not-json") from error
    if not isinstance(document, dict):
        raise Invalid("the body is one message: a JSON object")
    return document


def _case(found: Mapping[str, Any]) -> RoutedCase:
    return RoutedCase(
        id=found["case_id"], state=found["case_state"], team=found["team"], due_at=found["due_at"]
    )
