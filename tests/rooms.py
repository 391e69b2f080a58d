"""The router at work on a real database, without a broker: handlers called as a consumer would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.router.case import Case
from services.router.commands import Command
from services.router.handlers import Handlers
from services.router.versions.policies import Policies
from shared.accounts import Accounts, load_accounts
from shared.blobs import FolderBlobs
from shared.broker import Record
from shared.broker.postgres import PostgresBroker
from shared.cloudevents import Received
from shared.database import connect, transaction
from shared.events import Event
from shared.runtime import Runtime
from shared.settings import Settings
from tests.builders import EXAMPLE, NOON

SECRETS = {
    "MAILGUN_SIGNING_KEY": "mailgun-key",
    "META_APP_SECRET": "meta-secret",
    "META_VERIFY_TOKEN": "meta-verify",
    "META_ACCESS_TOKEN": "meta-access",
    "TWILIO_AUTH_TOKEN": "twilio-token",
    "PORTAL_SECRET": "whsec_" + "c2VjcmV0" * 4,
}


def example_accounts() -> Accounts:
    """The channels file that ships in deploy/."""
    file = EXAMPLE.with_name("channels.yaml")
    return load_accounts(file.read_text(encoding="utf-8"), str(file), SECRETS)


class SetClock:
    """A clock that stands where it is set."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Room:
    """A router over one database."""

    runtime: Runtime
    handlers: Handlers
    clock: SetClock
    records: int = field(default=0)

    @property
    def engine(self) -> AsyncEngine:
        return self.runtime.engine

    async def hear(self, *bodies: Event) -> None:
        """messages.received, as one batch."""
        async with transaction(self.engine) as connection:
            await self.handlers.on_messages(connection, self.received(bodies))

    async def report(self, *bodies: Event) -> None:
        """deliveries.reported, as one batch."""
        async with transaction(self.engine) as connection:
            await self.handlers.on_deliveries(connection, self.received(bodies))

    async def tell(self, case_id: UUID, command: Command) -> Case:
        async with transaction(self.engine) as connection:
            decided = await self.handlers.on_command(connection, case_id, lambda _: command)
        return decided.case

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with transaction(self.engine) as connection:
            return list((await connection.execute(text(query), values)).all())

    def received(self, bodies: Sequence[Event]) -> list[Received]:
        return [self._received(body) for body in bodies]

    def _received(self, body: Any) -> Received:
        self.records += 1
        record = Record("messages.received", 0, self.records, b"", b"", (), self.clock())
        return Received(str(getattr(body, "id", None) or uuid4()), body, record)


async def make_room(url: str, folder: Path) -> Room:
    """A router with the example policy and accounts. Dispose of `engine` afterwards."""
    clock = SetClock()
    engine = connect(url)
    runtime = Runtime(
        settings=Settings(policy_file=str(EXAMPLE), data_dir=folder),
        engine=engine,
        broker=PostgresBroker(url),
        blobs=FolderBlobs(folder / "blobs"),
        accounts=example_accounts(),
        now=clock,
    )
    policies = Policies(engine, runtime.accounts.channels())
    await policies.load(str(EXAMPLE))
    return Room(runtime, Handlers(runtime, policies), clock)
