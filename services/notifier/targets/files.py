"""The bytes of what goes with a reply, and a link for the providers that fetch them from us."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.channels import File
from shared.database import transaction
from shared.errors import SendError, Unavailable
from shared.events import Attachment, ReplyRequested
from shared.links import LIVES, Links, links
from shared.runtime import Runtime
from shared.telemetry import describe


class Files:
    """From the blob store. The key of the links is read once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._links: Links | None = None

    async def of(self, reply: ReplyRequested) -> Sequence[File]:
        """In the reply's order; `url` is empty without REGIE_PUBLIC_URL. Raises SendError."""
        if not reply.attachments:
            return ()
        try:
            signed = await self._signed()
            contents = [await self._content(each) for each in reply.attachments]
        except (Unavailable, PoolTimeout) as error:
            # Nothing has left yet, and nothing must be doubted for it.
            raise SendError("unavailable", describe(error), again=True) from error
        until = self._runtime.now() + LIVES
        return [
            File(
                name=each.name,
                content_type=each.content_type,
                content=content,
                url=signed.sign(reply.message_id, number, until) if signed else "",
            )
            for number, (each, content) in enumerate(
                zip(reply.attachments, contents, strict=True), 1
            )
        ]

    async def _signed(self) -> Links | None:
        base = self._runtime.settings.public_url
        if base and self._links is None:
            async with transaction(self._runtime.engine) as connection:
                self._links = await links(connection, base)
        return self._links

    async def _content(self, file: Attachment) -> bytes:
        content = await self._runtime.blobs.get(file.blob.ref) if file.blob else None
        if content is None:
            raise SendError(
                "no_file", f"the file {file.name!r} is no longer kept: send the text without it"
            )
        return content
