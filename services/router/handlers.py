"""The router's one set of handlers: the topics and the API both come here.

Each loads its batch, decides, and saves, in the one transaction its caller opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import attaching, contacts, queries, reports_in, splits
from services.router.arrivals import Arrivals
from services.router.case import Case
from services.router.commands import Command
from services.router.contacts import Contact
from services.router.decide import Decided
from services.router.desk import Desk
from services.router.offers import Offers
from services.router.splits import Split
from services.router.versions.policies import Policies
from shared import activity, cloudevents
from shared.broker import Message
from shared.cloudevents import Received
from shared.errors import NotFound
from shared.events import (
    AttachmentFetched,
    AttachmentLost,
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
    """Each batch and each command reads in its own transaction which policy is in force: that
    changes between two of them, in every process at once, never within one."""

    runtime: Runtime
    policies: Policies
    own: frozenset[Identity] = field(init=False)
    offers: Offers = field(init=False)

    def __post_init__(self) -> None:
        self.offers = Offers(
            self.runtime.accounts, lambda channel: self.policies.current.reply_from.get(channel, "")
        )
        self.own = frozenset(
            Identity(scheme=scheme, value=value)
            for account in self.runtime.accounts
            for scheme, value in account.own_addresses()
        )

    @property
    def senders(self) -> frozenset[str]:
        """The accounts that can send."""
        return self.offers.senders

    async def desk(self, connection: AsyncConnection) -> Desk:
        """One batch's work: at one moment, under the policy in force at that moment."""
        while True:
            known, now = self.policies.current, self.runtime.now()
            # Known before this moment and newest after it. Otherwise a case could be dated before
            # the version it names, or after one that it should have named.
            if await self.policies.in_force(connection) is known:
                return Desk(connection, known, now, self.offers)

    async def on_messages(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """messages.received: customers, cases, deadlines; files that came after."""
        desk = await self.desk(connection)
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
        news = [r.body for r in batch if isinstance(r.body, AttachmentFetched | AttachmentLost)]
        await attaching.take(connection, news)
        await activity.came_in(connection, ((m.account, m.received_at) for m in messages))

    async def on_deliveries(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """deliveries.reported: what became of our replies."""
        desk = await self.desk(connection)
        reports = [
            (r.id, r.body)
            for r in batch
            if isinstance(r.body, DeliveryReported | DeliveryStatusReceived)
        ]
        if reports:
            await reports_in.take(desk, reports)
        await desk.save()
        heard = [
            (r.body.account, r.record.timestamp)
            for r in batch
            if isinstance(r.body, DeliveryStatusReceived)
        ]
        await activity.came_in(connection, heard)

    async def on_command(
        self, connection: AsyncConnection, case_id: UUID, choose: Callable[[Case], Command]
    ) -> Decided:
        """One command from the API, chosen with the locked case in sight.

        Raises Refused, and then nothing is written.
        """
        desk = await self.desk(connection)
        desk.seat(await queries.lock_cases(connection, [case_id]))
        if case_id not in desk.cases:
            raise NotFound(f"there is no case {case_id}: take its id from /v1/inbox")
        command = choose(desk.cases[case_id])
        decided = desk.decide(case_id, command)
        await desk.save()
        return decided

    async def on_contact(
        self, connection: AsyncConnection, contact: Contact, allow: Callable[[Case], None]
    ) -> Case:
        """A case that one of our people opens; `allow` may refuse by the case that waits for it.

        Raises Refused, and then nothing is written.
        """
        desk = await self.desk(connection)
        case = desk.cases[await contacts.open_case(desk, self.own, contact)]
        if contact.opening.parent_id is not None:
            allow(desk.cases[contact.opening.parent_id])
        await desk.save()
        return case

    async def on_split(
        self,
        connection: AsyncConnection,
        case_id: UUID,
        asked: Split,
        choose: Callable[[Case], Command],
        allow: Callable[[Case], None],
    ) -> Decided:
        """Messages leave a case; `choose` and `allow` may refuse by this one and the other.

        Raises Refused, and then nothing is written.
        """
        desk = await self.desk(connection)
        decided = await splits.split(desk, case_id, asked, choose, allow)
        await desk.save()
        return decided


def _passed_on(received: Received) -> Message:
    """A heartbeat goes the whole way: router, outbox, notifier."""
    body = received.body
    assert isinstance(body, HeartbeatSent)
    return cloudevents.encode(
        CASES_CHANGED, b"", body, id=received.id, source="/router", partition=body.partition
    )
