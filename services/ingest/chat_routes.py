"""The chat's routes: their addresses, and how they are described."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from services.ingest.chat import Sessions
from services.ingest.chat_feed import Feed
from services.ingest.chat_gate import Chat, Gate, preflight
from services.ingest.chat_holding import Holding
from services.ingest.chat_lines import LARGEST_PAGE, Lines
from services.ingest.chat_signals import Signals
from services.ingest.intake import Intake
from shared.channels.webchat_posted import PostedContact, PostedLine, PostedMark, PostedStart
from shared.runtime import Runtime
from shared.web.schemas import request_schema

_SESSION: Final = "/sessions/{session}"


class Begun(BaseModel):
    """`token` is shown this once; `next_seq` numbers the first line."""

    session: UUID
    token: str
    expires_at: datetime
    next_seq: int


class State(BaseModel):
    """A session: `last` is the number of its last line, `read` and `delivered` how far the page
    has come."""

    session: UUID
    name: str
    email: str
    verified: bool
    expires_at: datetime
    next_seq: int
    last: int
    delivered: int
    read: int


class Acknowledged(BaseModel):
    """The line is durable: `n` is its place among both sides' lines."""

    id: UUID
    seq: int
    n: int
    at: datetime


class ShownFile(BaseModel):
    name: str
    content_type: str
    size: int | None


class ShownLine(BaseModel):
    """`from` is `you`, `agent`, or `system` for what nobody typed."""

    model_config = {"json_schema_extra": {"required": ["n", "id", "from", "text", "at"]}}

    n: int
    id: UUID
    text: str
    at: datetime
    seq: int | None = None
    files: list[ShownFile] = []


class LinePage(BaseModel):
    """`next_cursor` is the `after` of the next page."""

    items: list[ShownLine]
    next_cursor: str | None


class Marks(BaseModel):
    delivered: int
    read: int


def routes(runtime: Runtime, intake: Intake, feed: Feed) -> APIRouter:
    gate = Gate(runtime.accounts)
    passed, holding = Depends(gate.pass_), Holding(runtime, gate)
    router = APIRouter(prefix="/v1/chat/{account}", tags=["chat"])
    _add_sessions(router, Sessions(holding), passed)
    _add_lines(router, Lines(holding, intake), passed)
    _add_signals(router, Signals(holding, intake, feed), passed)

    @router.options("/{rest:path}", include_in_schema=False)
    async def ask_first(chat: Chat = passed) -> Response:
        return preflight()

    return router


def _add_sessions(router: APIRouter, chats: Sessions, passed: Any) -> None:
    @router.post("/sessions", status_code=201, response_model=Begun,
                 openapi_extra=request_schema(PostedStart))  # fmt: skip
    async def start_chat(request: Request, chat: Chat = passed) -> Response:
        """Begins a session; its token speaks for the visitor from then on."""
        return await chats.start(request, chat)

    @router.get(_SESSION, response_model=State)
    async def show_chat(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """How the session stands: for a page that was loaded again. 401: start a new one."""
        return await chats.show(request, chat, session)

    @router.patch(_SESSION, response_model=State, openapi_extra=request_schema(PostedContact))
    async def introduce_visitor(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """The visitor's name, or the mail address that unread answers go to."""
        return await chats.introduce(request, chat, session)

    @router.delete(_SESSION, status_code=204)
    async def leave_chat(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """The visitor leaves; what they have not read goes by mail where they left an address."""
        return await chats.leave(request, chat, session)


def _add_lines(router: APIRouter, chats: Lines, passed: Any) -> None:
    @router.post(f"{_SESSION}/messages", status_code=202, response_model=Acknowledged,
                 openapi_extra=request_schema(PostedLine))  # fmt: skip
    async def post_line(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """A line of the visitor's; the same `seq` with the same body has the same answer, with
        another body 409 `seq-taken`."""
        return await chats.post(request, chat, session)

    @router.get(f"{_SESSION}/messages", response_model=LinePage)
    async def list_lines(
        session: UUID,
        request: Request,
        chat: Chat = passed,
        after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    ) -> Response:
        """Both sides' lines after number `after`, in order."""
        return await chats.lines(request, chat, session, after, limit)

    @router.get(f"{_SESSION}/messages/{{message}}/files/{{number}}", response_class=Response)
    async def get_file(
        session: UUID, message: UUID, number: int, request: Request, chat: Chat = passed
    ) -> Response:
        """A file of a line, counted from 1."""
        return await chats.file(request, chat, session, message, number)


def _add_signals(router: APIRouter, chats: Signals, passed: Any) -> None:
    marked: dict[str, Any] = {"response_model": Marks, "openapi_extra": request_schema(PostedMark)}

    @router.get(f"{_SESSION}/events", response_class=Response)
    async def stream_lines(
        session: UUID,
        request: Request,
        chat: Chat = passed,
        after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ) -> Response:
        """Server-sent events: `line` (its `id:` is the line's number), `read`, `typing`, `end`."""
        return await chats.events(request, chat, session, after)

    @router.post(f"{_SESSION}/delivered", **marked)
    async def mark_delivered(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """The page has the lines up to this one."""
        return await chats.mark(request, chat, session, "delivered")

    @router.post(f"{_SESSION}/read", **marked)
    async def mark_read(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """The visitor has seen the lines up to this one."""
        return await chats.mark(request, chat, session, "read")

    @router.post(f"{_SESSION}/typing", status_code=204)
    async def visitor_types(session: UUID, request: Request, chat: Chat = passed) -> Response:
        """The visitor is writing; holds for 6 s."""
        return await chats.type_(request, chat, session)
