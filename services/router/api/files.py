"""Links that open without a key: `/v1/files/{token}`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.router.api.attachments import file_at, message_row
from services.router.api.serving import Stored, serve
from services.router.handlers import Handlers
from shared.database import transaction
from shared.links import links


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/files", tags=["attachments"])

    async def open_link(token: str, request: Request) -> Response:
        """The file that a signed link names, while the link and the file live."""
        runtime = handlers.runtime
        async with transaction(runtime.engine) as connection:
            made = await links(connection)
            message_id, number = made.open(token[:100], runtime.now())
            found = await message_row(connection, message_id)
        return await serve(runtime.blobs, Stored.of(file_at(found, number)), request)

    router.add_api_route("/{token}", open_link, methods=["GET"], response_class=Response)
    router.add_api_route("/{token}", open_link, methods=["HEAD"], include_in_schema=False)
    return router
