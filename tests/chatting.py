"""Web chat in tests: a serving Regie with a chat and its mail account, and a visitor's page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import orjson
from sqlalchemy import text

from services.ingest.service import service as ingest
from shared import chat
from shared.accounts import Accounts, load_accounts
from shared.blobs import FolderBlobs
from shared.broker.postgres import PostgresBroker
from shared.database import connect, transaction
from shared.events import DeliveryStatusReceived, MessageReceived
from shared.runtime import Runtime
from shared.settings import Settings
from shared.topics import DELIVERIES_REPORTED, MESSAGES_RECEIVED
from tests.builders import EXAMPLE
from tests.doors import ADMIN, Door, open_door
from tests.rooms import SetClock
from tests.waiting import BOUND, until

ORIGIN = "https://shop.example"
SECRET = "a-secret-that-only-the-shop-and-regie-know"
ACCOUNTS = """
accounts:
  chat:
    channel: webchat
    provider: generic
    origins: [https://shop.example, "http://localhost:3000"]
    secret: {secret}
    {more}
  quiet: {{channel: webchat, provider: generic}}
  other: {{channel: webchat, provider: generic, origins: https://other.example}}
  support-mail:
    channel: email
    provider: smtp
    address: help@shop.example
    listen: 127.0.0.1:0
    outbound: {{host: 127.0.0.1, port: {port}, starttls: false}}
"""


def chat_accounts(more: str = "region: NL", port: int = 25) -> Accounts:
    return load_accounts(ACCOUNTS.format(more=more, port=port, secret=SECRET), "channels.yaml", {})


def chat_runtime(url: str, folder: Path, accounts: Accounts, clock: Any = None) -> Runtime:
    runtime = Runtime(
        settings=Settings(
            admin_key=ADMIN, data_dir=folder, database_url=url, policy_file=str(EXAMPLE)
        ),
        engine=connect(url),
        broker=PostgresBroker(url),
        blobs=FolderBlobs(folder / "blobs"),
        accounts=accounts,
    )
    return replace(runtime, now=clock) if clock is not None else runtime


@asynccontextmanager
async def chat_door(
    url: str, folder: Path, more: str = "region: NL", clock: SetClock | None = None
) -> AsyncIterator[Door]:
    """Ingest alone, without its mail listener."""
    runtime = chat_runtime(url, folder, chat_accounts(more), clock)
    service = ingest(runtime)
    chats = {"chats": service.tasks["chats"]}
    async with open_door(runtime, [replace(service, subscriptions=(), tasks=chats)]) as door:
        yield door


# What a module opens once for all of its tests: generous, since all its visitors are one address.
WIDE = """follow_up_from: support-mail
    max_text: 100
    max_size: 300KB
    limits: {session: 100/1m, address: 5000/1m, sessions: 500/1m}
"""


@dataclass
class Page:
    """A visitor's page in a browser."""

    http: httpx.AsyncClient
    session: UUID
    token: str
    origin: str = ORIGIN
    account: str = "chat"
    begun: dict[str, Any] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Origin": self.origin}

    def path(self, rest: str = "") -> str:
        return f"/v1/chat/{self.account}/sessions/{self.session}{rest}"

    async def say(self, seq: int, words: str, **more: Any) -> httpx.Response:
        body = {"seq": seq, "text": words} | more
        return await self.http.post(self.path("/messages"), json=body, headers=self.headers)

    async def get(self, rest: str = "", **query: Any) -> httpx.Response:
        return await self.http.get(self.path(rest), params=query, headers=self.headers)

    async def post(self, rest: str, body: Any = None) -> httpx.Response:
        return await self.http.post(self.path(rest), json=body, headers=self.headers)

    async def read(self, upto: int) -> httpx.Response:
        return await self.post("/read", {"upto": upto})

    @asynccontextmanager
    async def stream(self, after: int = 0, last: str = "") -> AsyncIterator[Events]:
        headers = self.headers | ({"Last-Event-ID": last} if last else {})
        path = f"{self.path('/events')}?after={after}"
        async with self.http.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            events = Events(answer)
            reading = asyncio.create_task(events.take_in())
            try:
                yield events
            finally:
                reading.cancel()


@dataclass
class Events:
    """What an event stream has told so far: (event, id, data)."""

    answer: httpx.Response
    told: list[tuple[str, str, Any]] = field(default_factory=list)
    over: bool = False

    async def take_in(self) -> None:
        event = {"event": "", "id": "", "data": ""}
        try:
            async for line in self.answer.aiter_lines():
                if not line and event["data"]:
                    self.told.append((event["event"], event["id"], orjson.loads(event["data"])))
                    event = {"event": "", "id": "", "data": ""}
                name, _, value = line.partition(": ")
                if name in event:
                    event[name] = value
        except httpx.HTTPError:
            pass
        self.over = True

    def lines(self) -> list[str]:
        return [data["text"] for event, _, data in self.told if event == "line"]

    def named(self, event: str) -> list[Any]:
        return [data for name, _, data in self.told if name == event]

    async def has(self, *lines: str, bound: float = BOUND) -> None:
        async def there() -> bool:
            return self.lines() == list(lines)

        try:
            await until(there, bound)
        except TimeoutError:
            raise AssertionError(f"wanted {lines}, told {self.told}") from None

    async def hears(self, event: str, count: int = 1) -> None:
        async def there() -> bool:
            return len(self.named(event)) >= count

        await until(there)

    async def ends(self) -> None:
        async def there() -> bool:
            return self.over

        await until(there)


async def visit(http: httpx.AsyncClient, account: str = "chat", **said: Any) -> Page:
    """A session begun from the shop's page."""
    answer = await http.post(f"/v1/chat/{account}/sessions", json=said, headers={"Origin": ORIGIN})
    assert answer.status_code == 201, answer.text
    begun = answer.json()
    return Page(http, UUID(begun["session"]), begun["token"], begun=begun)


async def change(runtime: Runtime, statement: str, **values: Any) -> None:
    async with transaction(runtime.engine) as connection:
        await connection.execute(text(statement), values)


async def heard(door: Door) -> list[MessageReceived]:
    rows = await door.records(MESSAGES_RECEIVED)
    return [msgspec.json.decode(row.value, type=MessageReceived) for row in rows]


async def statuses(door: Door) -> list[tuple[str, str]]:
    rows = await door.records(DELIVERIES_REPORTED)
    told = [msgspec.json.decode(row.value, type=DeliveryStatusReceived) for row in rows]
    return sorted((each.correlation, each.status) for each in told)


async def answer(door: Door, page: Page, words: str, **given: Any) -> UUID:
    """What the notifier writes when an agent answers; the message's id."""
    said = chat.Answer(given.pop("id", uuid4()), page.session, uuid4(), words, **given)
    async with transaction(door.runtime.engine) as connection:
        await chat.reader(connection, page.session, door.runtime.now())
        await chat.say(connection, said, door.runtime.now(), None)
    return said.message_id
