"""The lines of a web chat: the visitor's go into the log before they are acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
from fastapi import Request
from starlette.responses import Response

from services.ingest import chat_store
from services.ingest.chat import SMALL
from services.ingest.chat_frames import shown
from services.ingest.chat_gate import Chat
from services.ingest.chat_holding import Holding
from services.ingest.intake import Intake
from shared.blobs import owned
from shared.channels import NewBlob, Parsed
from shared.channels.webchat import files_in, fingerprint, message_of
from shared.channels.webchat_posted import PostedLine, check_words, read
from shared.database import transaction
from shared.errors import Conflict, NotFound
from shared.events import Attachment, MessageReceived
from shared.keys import message_key
from shared.web import Json, page, read_body

LARGEST_PAGE: Final = 200
_OFF_LOOP: Final = 256 * 1024


@dataclass(frozen=True)
class Lines:
    holding: Holding
    intake: Intake

    async def post(self, request: Request, chat: Chat, id: UUID) -> Response:
        """A line, in the log before the answer; a repeat gets the same answer."""
        self.holding.one_line(chat, id)
        settings = chat.settings
        most = SMALL + 6 * settings.max_text + settings.max_size * 4 // 3
        body = await read_body(request, most)
        taken = await asyncio.to_thread(_taken, body, chat) if len(body) > _OFF_LOOP else None
        line, files, blobs = taken or _taken(body, chat)
        now = self.holding.now()
        async with transaction(self.holding.engine) as connection:
            session = await self.holding.held(connection, request, chat, id, lock=True)
            message = message_of(
                session.visitor, chat.account, line, files, received_at=now, before=session.thread
            )
            claim = await chat_store.claim_line(
                connection, id, line.seq, message_id=message.id, at=now,
                print_=fingerprint(line.text, files), text=line.text, files=_owned(message),
            )  # fmt: skip
        if claim.fingerprint != fingerprint(line.text, files):
            raise Conflict(
                f"line {line.seq} is another one already, of another tab maybe: take `next_seq`",
                name="seq-taken",
                next_seq=max(session.next_seq, line.seq + 1),
            )
        n = claim.n
        if n is None:
            # It first reached us when its number was claimed, whatever became of that try.
            first = msgspec.structs.replace(message, occurred_at=min(claim.at, now))
            await self.intake.accept(Parsed(messages=(first,), blobs=blobs), chat.account.name)
            n = await self._accepted(request, chat, id, message.id, message.provider_event_id)
        return Json({"id": message.id, "seq": line.seq, "n": n, "at": claim.at}, 202)

    async def _accepted(
        self, request: Request, chat: Chat, id: UUID, message_id: UUID, name: str
    ) -> int:
        until = self.holding.now() + chat.settings.lifetime
        async with transaction(self.holding.engine) as connection:
            await self.holding.held(connection, request, chat, id, lock=True)
            return await chat_store.accept_line(connection, id, message_id, name, until)

    async def lines(
        self, request: Request, chat: Chat, id: UUID, after: int, limit: int
    ) -> Response:
        async with transaction(self.holding.engine) as connection:
            await self.holding.held(connection, request, chat, id)
            found = await chat_store.lines_after(connection, id, after, limit + 1)
        last = str(found[limit - 1].n) if len(found) > limit else None
        return Json(page([shown(line) for line in found[:limit]], last))

    async def file(
        self, request: Request, chat: Chat, id: UUID, message_id: UUID, number: int
    ) -> Response:
        """A file of a line, to be saved: nothing of it is shown as a page of ours."""
        async with transaction(self.holding.engine) as connection:
            await self.holding.held(connection, request, chat, id)
            file = await chat_store.file_of(connection, id, message_id, number)
        content = await self.holding.blobs.get(file.blob.ref) if file and file.blob else None
        if content is None:
            raise NotFound("there is no such file, or it is kept no longer")
        return Response(
            content, media_type="application/octet-stream",
            headers={"Content-Disposition": "attachment"},
        )  # fmt: skip


def _owned(message: MessageReceived) -> list[Attachment]:
    """Its files by the names the intake stores them under: the visitor's own."""
    owner = message_key(message)
    return [
        msgspec.structs.replace(file, blob=owned(file.blob, owner)) if file.blob else file
        for file in message.attachments
    ]


def _taken(body: bytes, chat: Chat) -> tuple[PostedLine, list[Attachment], list[NewBlob]]:
    line = read(body, PostedLine)
    check_words(line, chat.settings.max_text)
    return line, *files_in(line, chat.settings)
