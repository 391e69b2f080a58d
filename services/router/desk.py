"""A batch's unit of work: the cases at hand, every decision taken, and one save for all of it.

Two doors lead here, the topic and the API; both load, decide and save through this class.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import projections
from services.router.case import Case
from services.router.commands import Command, Decision
from services.router.decide import Decided, decide
from services.router.models import MessageRow
from services.router.policy import Policy
from shared import cloudevents, outbox
from shared.broker import Message
from shared.events import CaseChanged
from shared.topics import CASES_CHANGED


class Desk:
    """Cases change here in memory, then all at once in the transaction of `connection`."""

    def __init__(self, connection: AsyncConnection, policy: Policy, now: datetime) -> None:
        self.connection = connection
        self.policy = policy
        self.now = now
        self.cases: dict[UUID, Case] = {}
        self._stored: dict[UUID, Case] = {}
        self.changes: list[CaseChanged] = []
        self.decisions: list[tuple[UUID, int, Decision]] = []
        self.messages: list[MessageRow] = []
        self.published: list[Message] = []

    def seat(self, cases: Mapping[UUID, Case]) -> None:
        """Takes cases that were read and locked in this transaction."""
        self._stored.update(cases)
        self.cases.update(cases)

    def decide(self, case_id: UUID, command: Command) -> Decided:
        """Decides and keeps the outcome. Raises Refused and then changes nothing."""
        decided = decide(self.cases.get(case_id), case_id, command, self.policy, self.now)
        self.cases[case_id] = decided.case
        self.changes.extend(decided.changes)
        version = decided.case.version
        self.decisions.extend((case_id, version, decision) for decision in decided.decisions)
        return decided

    async def save(self) -> None:
        """Events, rows and outgoing events together: all of it is committed, or none."""
        changed = {id: case for id, case in self.cases.items() if case is not self._stored.get(id)}
        await projections.save(self, changed, self._stored)
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
