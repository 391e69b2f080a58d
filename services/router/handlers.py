"""The router's one set of handlers: the topics and the API both come here.

Each loads its batch, decides, and saves, in the one transaction its caller opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import queries, redeeming, reports_in
from services.router.arrivals import Arrivals
from services.router.case import Case
from services.router.commands import Command, OfferHandoff
from services.router.decide import Decided
from services.router.desk import Desk
from services.router.policies import Policies
from shared import cloudevents
from shared.broker import Message
from shared.channels.table import can_send
from shared.cloudevents import Received
from shared.errors import NotFound
from shared.events import (
    Channel,
    DeliveryReported,
    DeliveryStatusReceived,
    HeartbeatSent,
    Identity,
    MessageReceived,
)
from shared.runtime import Runtime
from shared.topics import CASES_CHANGED


@dataclass
class Handlers:
    """`policies` holds the one in force; it changes between two batches, never within one."""

    runtime: Runtime
    policies: Policies
    own: frozenset[Identity] = field(init=False)
    senders: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.senders = frozenset(a.name for a in self.runtime.accounts if can_send(a))
        self.own = frozenset(
            Identity(scheme=scheme, value=value)
            for account in self.runtime.accounts
            for scheme, value in account.own_addresses()
        )

    def desk(self, connection: AsyncConnection) -> Desk:
        return Desk(connection, self.policies.current, self.runtime.now())

    def own_address(self, channel: Channel) -> str:
        """Where a customer finds us on a channel: for invitations. Empty when we are not there."""
        named = self.policies.current.reply_from.get(channel)
        ours = [
            a for a in self.runtime.accounts if a.channel == channel and named in (None, a.name)
        ]
        addresses = sorted(value for account in ours for _, value in account.own_addresses())
        return addresses[0] if addresses else ""

    async def on_messages(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """messages.received: customers, cases, deadlines."""
        desk = self.desk(connection)
        desk.published.extend(_passed_on(r) for r in batch if isinstance(r.body, HeartbeatSent))
        messages = [r.body for r in batch if isinstance(r.body, MessageReceived)]
        if messages:
            replayed = {
                r.body.id: r.replayed_at
                for r in batch
                if isinstance(r.body, MessageReceived) and r.replayed_at is not None
            }
            await Arrivals(desk, self.own).take(messages, replayed)
        await desk.save()

    async def on_deliveries(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """deliveries.reported: what became of our replies."""
        desk = self.desk(connection)
        reports = [
            (r.id, r.body)
            for r in batch
            if isinstance(r.body, DeliveryReported | DeliveryStatusReceived)
        ]
        if reports:
            await reports_in.take(desk, reports)
        await desk.save()

    async def on_command(
        self, connection: AsyncConnection, case_id: UUID, choose: Callable[[Case], Command]
    ) -> Decided:
        """One command from the API, chosen with the locked case in sight.

        Raises Refused, and then nothing is written.
        """
        desk = self.desk(connection)
        desk.seat(await queries.lock_cases(connection, [case_id]))
        if case_id not in desk.cases:
            raise NotFound(f"there is no case {case_id}: take its id from /v1/inbox")
        command = choose(desk.cases[case_id])
        decided = desk.decide(case_id, command)
        await desk.save()
        if isinstance(command, OfferHandoff) and command.code:
            await redeeming.keep_code(connection, decided.case, command)
        return decided


def _passed_on(received: Received) -> Message:
    """A heartbeat goes the whole way: router, outbox, notifier."""
    body = received.body
    assert isinstance(body, HeartbeatSent)
    return cloudevents.encode(
        CASES_CHANGED, b"", body, id=received.id, source="/router", partition=body.partition
    )
