"""What an agent sees of a visitor beside the case: whether they are there, what they have read.

The visitor is the case's `chat:` identity. An answer goes the way of all answers, by the case.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import Response

from services.ingest import chat_store
from shared.database import transaction
from shared.errors import NotFound
from shared.runtime import Runtime
from shared.security import Caller, caller

HERE: Final = timedelta(seconds=40)  # pages are noted every 15 s
TYPING: Final = timedelta(seconds=6)

Agent = Annotated[Caller, Depends(caller("agent"))]


class VisitorView(BaseModel):
    """A visitor as they are now. Times in UTC.

    unread     answers that were not read yet; mailed_at: when the last of them went by mail
    mail       whether they left an address
    verified   the integrator vouches for them
    ended_at   they left; after `expires_at` nothing reaches their page either
    """

    id: UUID
    name: str
    here: bool
    seen_at: datetime | None
    typing: bool
    unread: int
    mailed_at: datetime | None
    mail: bool
    verified: bool
    page: str
    language: str
    ended_at: datetime | None
    expires_at: datetime


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v1/chat/{account}/visitors", tags=["chat"])

    @router.get("/{visitor}")
    async def see_visitor(account: str, visitor: UUID, who: Agent) -> VisitorView:
        """Whether the visitor is there, types, and has read what they were told."""
        now = runtime.now()
        async with transaction(runtime.engine) as connection:
            session = await chat_store.find(connection, visitor, None)
            if session is None or session.account != account:
                raise _unknown()
            unread, mailed_at = await chat_store.unread(connection, visitor)
        person, typing, seen = session.visitor, session.typing_until, session.seen_at
        over = session.over(now)
        return VisitorView(
            id=visitor,
            name=person.name,
            here=not over and seen is not None and now - seen < HERE,
            seen_at=seen,
            typing=not over and typing is not None and typing > now,
            unread=unread,
            mailed_at=mailed_at,
            mail=bool(person.email),
            verified=bool(person.customer_ref),
            page=person.page,
            language=person.language,
            ended_at=session.ended_at,
            expires_at=session.expires_at,
        )

    @router.post("/{visitor}/typing", status_code=204)
    async def agent_types(account: str, visitor: UUID, who: Agent) -> Response:
        """The visitor's page shows for 6 s that somebody is writing."""
        async with transaction(runtime.engine) as connection:
            until = runtime.now() + TYPING
            if not await chat_store.agent_types(connection, account, visitor, until):
                raise _unknown()
        return Response(status_code=204)

    return router


def _unknown() -> NotFound:
    return NotFound(
        "there is no such visitor: it is the value of the case's `chat` identity, and is forgotten "
        "two days after the session expired"
    )
