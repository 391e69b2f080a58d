"""What a page tells besides words: what it has, what was read, that somebody types; and the stream
that it is told by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from services.ingest import chat_store
from services.ingest.chat import SMALL
from services.ingest.chat_feed import Feed, Watcher
from services.ingest.chat_gate import Chat, too_many
from services.ingest.chat_holding import Holding
from services.ingest.chat_store import Session
from services.ingest.chat_stream import Stream
from services.ingest.intake import Intake
from shared.channels import Parsed
from shared.channels.webchat_posted import PostedMark, read
from shared.database import transaction
from shared.errors import Invalid
from shared.events import DeliveryState, DeliveryStatusReceived
from shared.ids import event_id
from shared.web import Json, read_body

TYPING: Final = timedelta(seconds=6)
STREAMS_EACH: Final = 8  # open event streams of one session


@dataclass(frozen=True)
class Signals:
    holding: Holding
    intake: Intake
    feed: Feed

    async def mark(self, request: Request, chat: Chat, id: UUID, what: DeliveryState) -> Response:
        """`upto` was delivered, or read: told to the router, then remembered."""
        self.holding.one_signal(chat, id)
        upto = read(await read_body(request, SMALL), PostedMark).upto
        async with transaction(self.holding.engine) as connection:
            session = await self.holding.held(connection, request, chat, id)
            before = session.read if what == "read" else session.delivered
            upto = min(upto, session.last)
            answers = await chat_store.answers_within(connection, id, before, upto)
        if upto > before:
            statuses = [self._status(chat, answer, what) for answer in answers]
            if statuses:
                await self.intake.accept(Parsed(statuses=statuses), chat.account.name)
            session = await self._marked(request, chat, id, what, upto)
        return Json({"delivered": session.delivered, "read": session.read})

    async def _marked(
        self, request: Request, chat: Chat, id: UUID, what: DeliveryState, upto: int
    ) -> Session:
        until = self.holding.now() + chat.settings.lifetime
        async with transaction(self.holding.engine) as connection:
            session = await self.holding.held(connection, request, chat, id, lock=True)
            delivered = max(session.delivered, upto)
            come = max(session.read, upto) if what == "read" else session.read
            await chat_store.mark(connection, id, delivered=delivered, read=come, until=until)
        return replace(session, delivered=delivered, read=come)

    def _status(self, chat: Chat, answer: UUID, what: DeliveryState) -> DeliveryStatusReceived:
        return DeliveryStatusReceived(
            id=event_id(chat.account.name, str(answer), "status", what),
            account=chat.account.name,
            provider_id=str(answer),
            status=what,
            at=self.holding.now(),
            correlation=str(answer),
        )

    async def type_(self, request: Request, chat: Chat, id: UUID) -> Response:
        self.holding.one_signal(chat, id)
        async with transaction(self.holding.engine) as connection:
            await self.holding.held(connection, request, chat, id)
            await chat_store.type_(connection, id, self.holding.now() + TYPING)
        return Response(status_code=204)

    async def events(self, request: Request, chat: Chat, id: UUID, after: int) -> Response:
        """What is new after line `after`, or after `Last-Event-ID`, and then as it comes."""
        last = request.headers.get("last-event-id", "")
        if last:
            if not (last.isascii() and last.isdigit() and len(last) < 10):
                raise Invalid("Last-Event-ID is the `id` of the last event that came: a number")
            after = int(last)
        async with transaction(self.holding.engine) as connection:
            await self.holding.held(connection, request, chat, id)
        if self.feed.count(id) >= STREAMS_EACH:
            raise too_many("the session has open streams enough: close some tabs", 10.0)
        if self.feed.from_address(chat.address) >= chat.settings.streams:
            raise too_many("too many open streams from this address", 10.0)
        watcher = Watcher(id, chat.address, after)
        return Stream(self.feed, watcher, request.app.state.stopping)
