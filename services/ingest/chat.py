"""Web chat's doors, for visitors' pages: a session, its lines both ways, and leaving.

    POST   /v1/chat/{account}/sessions                  a session and its token, shown once
    GET    …/sessions/{session}                         how it stands, after a reload
    PATCH  …/sessions/{session}                         the visitor's name and mail address
    DELETE …/sessions/{session}                         the visitor leaves
    POST   …/sessions/{session}/messages                a line; durable before the 202
    GET    …/sessions/{session}/messages?after=n        both sides' lines
    GET    …/sessions/{session}/events                  the same as they come (SSE)
    POST   …/sessions/{session}/read, delivered, typing
    GET    …/sessions/{session}/messages/{id}/files/{n} a file of a line

The token goes in `Authorization`, never in an address: what stands there is logged on its way.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from services.ingest import chat_store
from services.ingest.chat_gate import Chat
from services.ingest.chat_holding import Holding, hash_of
from services.ingest.chat_store import Session
from shared.channels.webchat import Visitor
from shared.channels.webchat_posted import PostedContact, PostedStart, mail_address, read
from shared.channels.webchat_proof import proof_of
from shared.database import transaction
from shared.errors import Conflict
from shared.ids import new_id
from shared.web import Json, read_body

SMALL: Final = 64 * 1024  # bytes of a body without files


@dataclass(frozen=True)
class Sessions:
    holding: Holding

    async def start(self, request: Request, chat: Chat) -> Response:
        rate = chat.settings.limits["sessions"]
        self.holding.gate.slow_down(chat, "sessions", rate, chat.address)
        posted = read(await read_body(request, SMALL) or b"{}", PostedStart)
        token = f"chat_{secrets.token_urlsafe(32)}"
        now = self.holding.now()
        visitor = _visitor(posted, chat, now)
        until = now + chat.settings.lifetime
        async with transaction(self.holding.engine) as connection:
            await chat_store.begin(
                connection, visitor, chat.account.name, hash_of(token), now, until
            )
        begun = {"session": visitor.session, "token": token, "expires_at": until, "next_seq": 1}
        return Json(begun, 201)

    async def show(self, request: Request, chat: Chat, id: UUID) -> Response:
        async with transaction(self.holding.engine) as connection:
            session = await self.holding.held(connection, request, chat, id)
        return Json(_state(session))

    async def introduce(self, request: Request, chat: Chat, id: UUID) -> Response:
        self.holding.one_signal(chat, id)
        posted = read(await read_body(request, SMALL), PostedContact)
        now, settings = self.holding.now(), chat.settings
        async with transaction(self.holding.engine) as connection:
            session = await self.holding.held(connection, request, chat, id, lock=True)
            was = session.visitor
            name = was.name if posted.name is None else posted.name.strip()
            email = was.email if posted.email is None else mail_address(posted.email)
            if was.email_proven and email != was.email:
                raise Conflict("the mail address is the one the shop vouches for: change it there")
            await chat_store.introduce(connection, id, name, email)
            if email != was.email:
                mailed = email and settings.follow_up_from
                at = now + settings.follow_up_after if mailed else None
                await chat_store.follow_up(connection, id, at)
        return Json(_state(replace(session, visitor=replace(was, name=name, email=email))))

    async def leave(self, request: Request, chat: Chat, id: UUID) -> Response:
        async with transaction(self.holding.engine) as connection:
            await self.holding.held(connection, request, chat, id, lock=True)
            await chat_store.end(connection, id, self.holding.now())
        return Response(status_code=204)


def _visitor(posted: PostedStart, chat: Chat, now: datetime) -> Visitor:
    visitor = Visitor(
        session=new_id(),
        name=posted.name.strip(),
        email=mail_address(posted.email),
        language=posted.language,
        page=posted.page,
    )
    if not posted.token:
        return visitor
    proof = proof_of(posted.token, chat.account, now)
    return replace(
        visitor,
        name=proof.name or visitor.name,
        email=proof.email or visitor.email,
        customer_ref=proof.customer_ref,
        email_proven=bool(proof.email),
    )


def _state(session: Session) -> dict[str, Any]:
    visitor = session.visitor
    return {
        "session": visitor.session,
        "name": visitor.name,
        "email": visitor.email,
        "verified": bool(visitor.customer_ref),
        "expires_at": session.expires_at,
        "next_seq": session.next_seq,
        "last": session.last,
        "delivered": session.delivered,
        "read": session.read,
    }
