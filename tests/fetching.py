"""Ingest's fetcher and a router over one database, without a broker; files are at an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.ingest.media import Fetcher
from services.ingest.media_handlers import MediaHandlers, read
from services.router.handlers import Handlers
from shared.accounts import Accounts, load_accounts
from shared.broker import Record
from shared.cloudevents import encode
from shared.database import transaction
from shared.events import AttachmentRequested, Body, Event, MessageReceived
from shared.keys import message_key
from shared.runtime import Runtime
from shared.settings import Settings
from shared.topics import MESSAGES_RECEIVED
from tests.builders import EXAMPLE, NOON
from tests.fakes.endpoint import Endpoint
from tests.rooms import Room, make_room
from tests.waiting import until

SID = "AC" + "1" * 32
ACCOUNTS = """
accounts:
  desk-whatsapp:
    channel: whatsapp
    provider: twilio
    number: "+31880000002"
    account_sid: {sid}
    auth_token: [new-token, old-token]
    public_url: https://regie.example.org
    api_base: {url}
  desk-sms:
    channel: sms
    provider: telnyx
    number: "+31880000003"
    public_key: "cHVibGlj"
    api_key: telnyx-key
    public_url: https://regie.example.org
    api_base: {url}
  support-mail:
    channel: email
    provider: smtp
    address: support@example.org
    listen: 127.0.0.1:0
    max_size: 2kB
  service-portal: {{channel: portal, provider: generic, secret: whsec_c2VjcmV0c2VjcmV0c2VjcmV0}}
"""


@dataclass
class Line:
    """One message's way, from the topic to the agent's timeline, with its files."""

    room: Room
    runtime: Runtime
    endpoint: Endpoint
    offset: int = 0

    async def hear(self, *messages: MessageReceived) -> None:
        """Both groups read the topic."""
        await self.room.hear(*messages)
        await self.note(*((m, message_key(m)) for m in messages))

    async def note(self, *events: tuple[Any, bytes]) -> None:
        """The fetcher's group alone."""
        batch = [read(self._record(event, key)) for event, key in events]
        async with transaction(self.runtime.engine) as connection:
            await MediaHandlers(self.runtime.now).on_messages(connection, batch)

    def _record(self, event: Event, key: bytes) -> Record:
        self.offset += 1
        sent = encode(MESSAGES_RECEIVED, key, event, id="x", source="/test")  # type: ignore[arg-type]
        return Record(MESSAGES_RECEIVED, 0, self.offset, key, sent.value, sent.headers, NOON)

    @asynccontextmanager
    async def fetching(self, count: int = 1) -> AsyncIterator[None]:
        """With so many fetchers at work, as if each had a process."""
        tasks = [
            asyncio.create_task(Fetcher(self.runtime, lambda: 0.0).run()) for _ in range(count)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            if faults := [e for e in ended if not isinstance(e, asyncio.CancelledError)]:
                raise AssertionError(faults)

    async def news(self) -> list[Any]:
        """What the outbox holds for messages.received, handed to both groups, and gone from it."""
        rows = await self.room.rows(
            "SELECT id, key, value FROM outbox WHERE topic = 'messages.received' ORDER BY id"
        )
        bodies = [msgspec.json.decode(row.value, type=Body) for row in rows]
        await self.room.hear(*bodies)
        asked = [
            (body, bytes(row.key))
            for body, row in zip(bodies, rows, strict=True)
            if isinstance(body, AttachmentRequested)
        ]
        if asked:
            await self.note(*asked)
        await self.run("DELETE FROM outbox WHERE topic = 'messages.received'")
        return bodies

    async def settled(self, *states: str) -> list[Any]:
        """Waits until the files are in these states, oldest first; then the router hears of it."""

        async def there() -> bool:
            rows = await self.media()
            return [row.state for row in rows] == list(states)

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(f"wanted {states}, found {await self.media()}") from None
        return await self.news()

    async def tried(self, tries: int) -> Any:
        """Waits until the only file was tried so often, and waits for the next time."""

        async def there() -> bool:
            rows = await self.media()
            return [row.tries for row in rows] == [tries] and bool(rows[0].code)

        await until(there)
        return (await self.media())[0]

    async def media(self) -> list[Any]:
        return await self.room.rows(
            "SELECT message_id, number, state, tries, code, reason, next_at, blob, content_type "
            "FROM media ORDER BY noted_at, message_id, number"
        )

    async def files(self, message_id: UUID) -> list[dict[str, Any]]:
        """The attachments of the message's row."""
        (row,) = await self.room.rows(
            "SELECT data -> 'attachments' AS files FROM messages WHERE id = :id", id=message_id
        )
        found: list[dict[str, Any]] = row.files
        return found

    async def run(self, statement: str, **values: Any) -> None:
        async with transaction(self.runtime.engine) as connection:
            await connection.execute(text(statement), values)


def accounts_at(url: str) -> Accounts:
    return load_accounts(ACCOUNTS.format(url=url, sid=SID), "channels.yaml", {})


@asynccontextmanager
async def fetching_line(
    url: str, folder: Path, allowed: Sequence[str] = ("here",), public_url: str = ""
) -> AsyncIterator[Line]:
    """`allowed`: private addresses that may be called; `here` is the endpoint's."""
    async with Endpoint() as endpoint:
        room = await make_room(url, folder)
        here = f"127.0.0.1:{endpoint.port}"
        names = ",".join(here if each == "here" else each for each in allowed)
        settings = Settings(
            policy_file=str(EXAMPLE), data_dir=folder, allow_private_targets=names,
            public_url=public_url,
        )  # fmt: skip
        runtime = replace(room.runtime, accounts=accounts_at(endpoint.url), settings=settings)
        room.runtime, room.handlers = runtime, Handlers(runtime, room.handlers.policies)
        try:
            yield Line(room, runtime, endpoint)
        finally:
            await room.engine.dispose()
