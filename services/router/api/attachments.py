"""Files of messages: reading them, links to them, asking for a lost one, handing in new ones."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.api import views
from services.router.api.cleaning import cleaned
from services.router.api.enclosing import LARGEST, Upload, keep_upload
from services.router.api.file_views import state_of
from services.router.api.serving import Stored, serve
from services.router.handlers import Handlers
from shared import cloudevents, outbox
from shared.database import transaction
from shared.errors import Conflict, Forbidden, NotFound
from shared.events import Attachment, AttachmentRequested
from shared.ids import new_id
from shared.keys import sender_key
from shared.links import LIVES, Links, links
from shared.security import Caller, caller
from shared.topics import MESSAGES_RECEIVED
from shared.web import Json, read_body

Agent = Annotated[Caller, Depends(caller("agent"))]
_BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The bytes."},
    206: {"description": "The range asked for."},
    304: {"description": "Not changed."},
    416: {"description": "There is no such range."},
}
_PAGE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
        "sandbox allow-popups allow-popups-to-escape-sandbox"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
_MESSAGE: Final = text(
    "SELECT messages.id, messages.account, messages.provider_id, messages.data, cases.team "
    "FROM messages JOIN cases ON cases.id = messages.case_id WHERE messages.id = :id"
)
_HOPE: Final = text(
    "UPDATE messages SET data = data #- ARRAY['attachments', CAST(:place AS text), 'lost'] "
    "WHERE id = :id"
)


class Link(BaseModel):
    """An address that needs no key, until `expires_at`."""

    url: str
    expires_at: datetime


class Asked(BaseModel):
    state: str


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(tags=["attachments"])
    _add_reading(router, handlers)
    _add_bodies(router, handlers)
    _add_asking(router, handlers)
    _add_uploads(router, handlers)
    return router


def _add_reading(router: APIRouter, handlers: Handlers) -> None:
    async def get_file(message_id: UUID, number: int, who: Agent, request: Request) -> Response:
        """The `number`th file of a message, counted from 1, to be saved."""
        async with transaction(handlers.runtime.engine) as connection:
            found = await _message(connection, handlers, message_id, who)
        return await serve(handlers.runtime.blobs, Stored.of(file_at(found, number)), request)

    at = "/v1/attachments/{message_id}/{number:int}"
    router.add_api_route(at, get_file, methods=["GET"], response_class=Response, responses=_BYTES)
    router.add_api_route(at, get_file, methods=["HEAD"], include_in_schema=False)

    @router.post(at + "/link", response_model=Link, status_code=201)
    async def link(message_id: UUID, number: int, who: Agent) -> Response:
        """An address for an hour that opens without a key: for a page's `<img>`."""
        until = handlers.runtime.now() + LIVES
        async with transaction(handlers.runtime.engine) as connection:
            Stored.of(file_at(await _message(connection, handlers, message_id, who), number))
            made = await links(connection, handlers.runtime.settings.public_url)
        url = made.sign(message_id, number, until)
        return Json({"url": url, "expires_at": until}, 201, {"Cache-Control": "no-store"})


def _add_bodies(router: APIRouter, handlers: Handlers) -> None:
    async def body_of(message_id: UUID, name: str, who: Caller) -> tuple[Any, str, Links]:
        async with transaction(handlers.runtime.engine) as connection:
            found = await _message(connection, handlers, message_id, who)
            made = await links(connection)
        blob = found.data.get(f"{name}_blob")
        content = await handlers.runtime.blobs.get(blob["ref"]) if blob else None
        if content is None:
            raise NotFound(f"this message has no {name} besides what its timeline shows")
        return found, content.decode(errors="replace"), made

    @router.get("/v1/attachments/{message_id}/text", response_class=Response)
    async def whole_text(message_id: UUID, who: Agent) -> Response:
        """All of a text too long for the timeline."""
        _, content, _ = await body_of(message_id, "text", who)
        return Response(content, headers=_PAGE, media_type="text/plain")

    @router.get("/v1/attachments/{message_id}/html", response_class=Response)
    async def clean_html(message_id: UUID, who: Agent) -> Response:
        """The HTML, cleaned: no script, form or style, and no picture from elsewhere; those that
        came along are shown by links that live an hour."""
        found, content, made = await body_of(message_id, "html", who)
        until = handlers.runtime.now() + LIVES
        pictures = {
            name: made.sign(message_id, number, until)
            for number, file in enumerate(found.data.get("attachments", ()), 1)
            for name in (file.get("content_id"), file.get("sha256"))
            if name and file.get("blob")
        }
        page = await asyncio.to_thread(cleaned, content, pictures)
        return Response(page, headers=_PAGE, media_type="text/html")


def _add_asking(router: APIRouter, handlers: Handlers) -> None:
    @router.post(
        "/v1/attachments/{message_id}/{number:int}/fetch", response_model=Asked, status_code=202
    )
    async def fetch_again(message_id: UUID, number: int, who: Agent) -> Response:
        """A lost file is asked of its provider again, from the beginning."""
        async with transaction(handlers.runtime.engine) as connection:
            found = await _message(connection, handlers, message_id, who)
            file = file_at(found, number)
            if file is None:
                raise NotFound("there is no such file: the case's timeline lists them")
            if not who.writes_team(found.team):
                raise Forbidden(f"this case is with team {found.team}: only they may ask again")
            if (state := state_of(file)) != "lost":
                raise Conflict(f"this file is {state}: only a lost one is asked for again")
            await connection.execute(_HOPE, {"id": message_id, "place": str(number - 1)})
            event = _asked(found, number, file, who.actor, handlers.runtime.now())
            await outbox.enqueue(connection, [event])
        handlers.runtime.written.set()
        return Json({"state": "waiting"}, 202)


def _add_uploads(router: APIRouter, handlers: Handlers) -> None:
    @router.post(
        "/v1/cases/{case_id}/attachments",
        response_model=Upload,
        status_code=201,
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/octet-stream": {}}}
        },
    )
    async def upload(
        case_id: UUID,
        who: Agent,
        request: Request,
        name: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        """Takes the bytes of one file in, for a reply on this case within a day: name its `id`
        among the reply's `attachments`."""
        async with transaction(handlers.runtime.engine) as connection:
            item = await views.one(connection, case_id, handlers, who)
        if not who.writes_team(item.team):
            raise Forbidden(f"this case is with team {item.team}: only they write on it")
        content = await read_body(request, LARGEST)
        declared = request.headers.get("content-type", "")
        kept = await keep_upload(handlers, case_id, who.actor, name, declared, content)
        return Json(kept.model_dump(), 201)


def file_at(found: Any, number: int) -> dict[str, Any] | None:
    files: list[dict[str, Any]] = found.data.get("attachments", [])
    return files[number - 1] if 0 < number <= len(files) else None


async def message_row(connection: AsyncConnection, message_id: UUID) -> Any:
    """The message with its case's team. Raises NotFound."""
    found = (await connection.execute(_MESSAGE, {"id": message_id})).one_or_none()
    if found is None:
        raise NotFound("there is no such message: take the address from the case's timeline")
    return found


async def _message(
    connection: AsyncConnection, handlers: Handlers, message_id: UUID, who: Caller
) -> Any:
    """Raises NotFound, also for what `who` may not see."""
    found = await message_row(connection, message_id)
    if not views.may_see(who, found.team, handlers.policies.current):
        raise NotFound("there is no such message: take the address from the case's timeline")
    return found


def _asked(found: Any, number: int, file: dict[str, Any], by: str, at: datetime) -> Any:
    source = {name: value for name, value in file.items() if name != "lost"}
    event = AttachmentRequested(
        message_id=found.id,
        number=number,
        account=found.account,
        reference=found.provider_id,
        file=msgspec.convert(source, Attachment),
        by=by,
        at=at,
    )
    senders = found.data.get("sender") or [f"{found.account}\x1f{found.id}"]
    key = sender_key(senders[0])
    return cloudevents.encode(MESSAGES_RECEIVED, key, event, id=str(new_id()), source="/router")
