"""The notifier at work on a real database and a real endpoint, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text

from services.notifier.digests import Digests
from services.notifier.handlers import Handlers
from services.notifier.sender import Sender
from services.notifier.targets import Outlets
from shared.accounts import load_accounts
from shared.blobs import FolderBlobs
from shared.broker import Record
from shared.broker.postgres import PostgresBroker
from shared.cloudevents import Received
from shared.database import connect, transaction
from shared.events import (
    Body,
    CaseChanged,
    CaseEvent,
    DeadlineBreached,
    DeadlineWarned,
    DeliveryReported,
    Identity,
    Metric,
    ReplyRequested,
    Target,
)
from shared.runtime import Runtime
from shared.settings import Settings
from tests.builders import NOON
from tests.fakes.endpoint import Behaviour, Endpoint, status
from tests.rooms import SetClock
from tests.waiting import until

ACCOUNTS = """
accounts:
  desk-whatsapp:
    channel: whatsapp
    provider: meta
    phone_number_id: "106540352242922"
    app_secret: s
    verify_token: v
    access_token: t
    api_base: {url}
    rate: {{account: 9999/1s/9999, recipient: 9999/1s/9999}}  # the clock may stand still
  service-portal: {{channel: portal, provider: generic, secret: whsec_c2VjcmV0c2VjcmV0c2VjcmV0}}
"""
MESSAGES = "/v23.0/106540352242922/messages"  # where the account's replies arrive


@dataclass
class Notifying:
    """A notifier over one database. `endpoint` is its team's target and its provider's API."""

    runtime: Runtime
    clock: SetClock
    endpoint: Endpoint
    seqs: dict[UUID, int] = field(default_factory=dict)

    async def open_case(self, case_id: UUID | None = None) -> UUID:
        case_id = case_id or uuid4()
        case = _case(case_id)
        columns = ", ".join(case)
        await self.run(
            f"INSERT INTO cases ({columns}) SELECT {columns} "
            "FROM jsonb_populate_record(NULL::cases, CAST(:doc AS jsonb))",
            doc=msgspec.json.encode(case).decode(),
        )
        return case_id

    async def open_cases(self, count: int) -> list[UUID]:
        """So many alike, by one statement."""
        first = await self.open_case()
        rows = await self.rows(
            "INSERT INTO cases SELECT (jsonb_populate_record(c, jsonb_build_object('id', "
            "gen_random_uuid()))).* FROM cases c, generate_series(2, :count) WHERE c.id = :first "
            "RETURNING id",
            count=count, first=first,
        )  # fmt: skip
        return [first, *(row.id for row in rows)]

    async def move_case(self, case_id: UUID, **columns: Any) -> None:
        """What the router commits later: `version`, `state`, `answered_at`."""
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        await self.run(f"UPDATE cases SET {changes} WHERE id = :id", id=case_id, **columns)

    async def hear(self, *changes: CaseChanged) -> None:
        """cases.changed, as one batch."""
        batch = [received(change, f"{change.case_id}:{change.seq}") for change in changes]
        async with transaction(self.runtime.engine) as connection:
            await Handlers(self.runtime.now).on_case_events(connection, batch)

    def change(self, case_id: UUID, event: CaseEvent, at: datetime | None = None) -> CaseChanged:
        self.seqs[case_id] = seq = self.seqs.get(case_id, 0) + 1
        return CaseChanged(
            case_id=case_id, seq=seq, version=1, at=at or self.clock(), actor="clock",
            customer_id=uuid4(), team="parcels", channel="whatsapp", event=event,
        )  # fmt: skip

    def webhook(self, path: str = "/parcels") -> Target:
        return Target(kind="webhook", address=f"{self.endpoint.url}{path}")

    def warning(
        self, case_id: UUID, *targets: Target, metric: Metric = "first_response"
    ) -> CaseChanged:
        due_at = self.clock() + timedelta(minutes=30)
        event = DeadlineWarned(
            number=1, metric=metric, step=1, due_at=due_at, expires_at=due_at,
            notify=targets or (self.webhook(),),
        )  # fmt: skip
        return self.change(case_id, event)

    def breach(self, case_id: UUID, *targets: Target) -> CaseChanged:
        event = DeadlineBreached(
            number=1, metric="first_response", due_at=self.clock(),
            notify=targets or (self.webhook(),),
        )  # fmt: skip
        return self.change(case_id, event)

    def reply(self, case_id: UUID, words: str = "It left today.", **given: Any) -> CaseChanged:
        values: dict[str, Any] = {
            "message_id": uuid4(),
            "account": "desk-whatsapp",
            "channel": "whatsapp",
            "recipient": Identity(scheme="e164", value="+31612345678"),
            "text": words,
            "answers": 1,
            "human": True,
            "author": "jo",
            "reply_window_closes_at": self.clock() + timedelta(hours=20),
        }
        return self.change(case_id, ReplyRequested(**(values | given)))

    def sender(self, *, timeout: float = 0.5, drain: float = 2.0) -> Sender:
        outlets = Outlets(self.runtime, [self.endpoint.url], timeout=timeout)
        return Sender(self.runtime, outlets, chance=lambda: 0.5, drain=drain)

    @asynccontextmanager
    async def sending(self, *, count: int = 1, **given: float) -> AsyncIterator[None]:
        """With so many senders at work, as if each had a process."""
        async with asyncio.TaskGroup() as group:  # a sender that dies ends the test
            tasks = [group.create_task(self.sender(**given).run()) for _ in range(count)]
            tasks.append(group.create_task(Digests(self.runtime).run()))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with transaction(self.runtime.engine) as connection:
            return list((await connection.execute(text(query), values)).all())

    async def run(self, statement: str, **values: Any) -> None:
        async with transaction(self.runtime.engine) as connection:
            await connection.execute(text(statement), values)

    async def states(self) -> list[str]:
        rows = await self.rows("SELECT state FROM deliveries ORDER BY at, seq, target")
        return [row.state for row in rows]

    async def settled(self, *states: str) -> None:
        """Waits until the deliveries, oldest first, are in these states."""

        async def there() -> bool:
            return await self.states() == list(states)

        try:
            await until(there)
        except TimeoutError:
            rows = await self.rows("SELECT state, attempts, error, next_at FROM deliveries")
            raise AssertionError(f"wanted {states}, found {rows}") from None

    async def tried(self, attempts: int, state: str = "pending") -> None:
        """Waits until the only delivery has been tried so often and rests in this state."""

        async def there() -> bool:
            rows = await self.rows("SELECT attempts, state FROM deliveries")
            return [tuple(row) for row in rows] == [(attempts, state)]

        await until(there)

    async def reports(self) -> list[DeliveryReported]:
        """What the outbox holds for the router, in order."""
        rows = await self.rows(
            "SELECT value FROM outbox WHERE topic = 'deliveries.reported' ORDER BY id"
        )
        bodies = [msgspec.json.decode(row.value, type=Body) for row in rows]
        return [body for body in bodies if isinstance(body, DeliveryReported)]


@asynccontextmanager
async def notifying(
    url: str,
    folder: Path,
    now: datetime = NOON,
    *,
    accounts: str = ACCOUNTS,
    clock: SetClock | None = None,
) -> AsyncIterator[Notifying]:
    """`accounts`: a channels file, with `{url}` where the endpoint goes."""
    engine = connect(url)
    clock = clock or SetClock(now)
    async with Endpoint() as endpoint:
        endpoint.always(MESSAGES, whatsapp())
        runtime = Runtime(
            settings=Settings(data_dir=folder),
            engine=engine,
            broker=PostgresBroker(url),
            blobs=FolderBlobs(folder / "blobs"),
            accounts=load_accounts(accounts.format(url=endpoint.url), "channels.yaml", {}),
            now=clock,
        )
        try:
            yield Notifying(runtime, clock, endpoint)
        finally:
            await engine.dispose()


def whatsapp(wamid: str = "wamid.X") -> Behaviour:
    return status(200, b'{"messages": [{"id": "' + wamid.encode() + b'"}]}')


def received(body: Any, id: str) -> Received:
    return Received(id, body, Record("cases.changed", 0, 0, b"", b"", (), NOON))


def texts(endpoint: Endpoint) -> Sequence[str]:
    """What customers were told, in order."""
    return [request.json()["text"]["body"] for request in endpoint.at(MESSAGES)]


def _case(case_id: UUID) -> dict[str, Any]:
    return {
        "id": case_id, "customer_id": uuid4(), "account": "desk-whatsapp", "channel": "whatsapp",
        "subject": "", "preview": "", "team": "parcels", "agent": "", "state": "open",
        "priority": 2, "product": "", "version": 1, "seq": 1, "opened_at": NOON,
        "touched_at": NOON, "due_at": NOON, "due_metric": "", "at_risk": "", "doc": {},
    }  # fmt: skip
