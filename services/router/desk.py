"""A batch's unit of work: the cases at hand, every decision taken, and one save for all of it.

Two doors lead here, the topic and the API; both load, decide and save through this class.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import children, handoff_rows, projections, survey_rows
from services.router.case import Case
from services.router.commands import Command, Decision, OfferHandoff
from services.router.decide import Decided, decide
from services.router.models import MessageRow
from services.router.offers import Offers
from services.router.policy import Policy
from shared import cloudevents, outbox
from shared.broker import Message
from shared.errors import Refused
from shared.events import CaseChanged, SwitchSuggested
from shared.topics import CASES_CHANGED

_LOG = structlog.get_logger()


class Desk:
    """Cases change here in memory, then all at once in the transaction of `connection`."""

    def __init__(
        self, connection: AsyncConnection, policy: Policy, now: datetime, offers: Offers
    ) -> None:
        self.connection = connection
        self.policy = policy
        self.now = now
        self.offers = offers
        self.cases: dict[UUID, Case] = {}
        self._stored: dict[UUID, Case] = {}
        self.changes: list[CaseChanged] = []
        self.decisions: list[tuple[UUID, int, Decision]] = []
        self.messages: list[MessageRow] = []
        self.published: list[Message] = []
        self.offered: list[OfferHandoff] = []

    def seat(self, cases: Mapping[UUID, Case]) -> None:
        """Takes cases that were read and locked in this transaction."""
        self._stored.update(cases)
        self.cases.update(cases)

    def decide(self, case_id: UUID, command: Command) -> Decided:
        """Decides and keeps the outcome. Raises Refused and then changes nothing."""
        decided = self._decide(case_id, command)
        for change in decided.changes:
            if isinstance(change.event, SwitchSuggested):
                self._offer(case_id, change.event)
        return decided

    def _offer(self, case_id: UUID, event: SwitchSuggested) -> None:
        """What the policy starts by itself; where it cannot be, the case goes on without it."""
        try:
            self._decide(case_id, self.offers.suggested(self.cases[case_id], event))
        except Refused as error:
            _LOG.info("a suggested switch is not offered", case=str(case_id), reason=error.name)

    def _decide(self, case_id: UUID, command: Command) -> Decided:
        before = self.cases.get(case_id)
        decided = decide(before, case_id, command, self.policy, self.now)
        self.cases[case_id] = decided.case
        if isinstance(command, OfferHandoff):
            self.offered.append(command)
        self.changes.extend(decided.changes)
        version = decided.case.version
        self.decisions.extend((case_id, version, decision) for decision in decided.decisions)
        self._tell_parent(before, decided)
        return decided

    def _tell_parent(self, before: Case | None, decided: Decided) -> None:
        """The case that waits for this one; it was locked with it (`queries.lock_cases`)."""
        parent_id = decided.case.parent_id
        if parent_id is not None and parent_id in self.cases:
            for command in children.told(before, decided.case, decided.changes):
                self._decide(parent_id, command)

    def standing_offers(self) -> list[tuple[Case, OfferHandoff]]:
        """The offers made here, each with its case as it is now."""
        return [
            (case, offer)
            for offer in self.offered
            for case in self.cases.values()
            if any(o.handoff_id == offer.handoff_id for o in case.offers)
        ]

    def untouched(self) -> list[Case]:
        """Those that no decision changed."""
        return [case for id, case in self.cases.items() if case is self._stored.get(id)]

    async def save(self) -> None:
        """Events, rows and outgoing events together: all of it is committed, or none."""
        changed = {id: case for id, case in self.cases.items() if case is not self._stored.get(id)}
        await projections.save(self, changed, self._stored)
        await handoff_rows.save(self)
        await survey_rows.save(self)
        await outbox.enqueue(
            self.connection, [*self.published, *(_published(change) for change in self.changes)]
        )


def _published(change: CaseChanged) -> Message:
    return cloudevents.encode(
        CASES_CHANGED,
        change.case_id.bytes,
        change,
        id=f"{change.case_id}:{change.seq}",
        source="/router",
    )
