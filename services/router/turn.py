"""One decision in progress: the case as it stands, the events so far, and why. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from services.router.case import Case
from services.router.commands import Decision
from services.router.evolve import evolve
from services.router.policy import Policy
from shared.events import UNVERSIONED, CaseChanged, CaseEvent, CaseOpened


class Turn:
    """Records events and keeps the case up to date with them, so that the next step sees it."""

    def __init__(
        self, case: Case | None, case_id: UUID, policy: Policy, now: datetime, actor: str
    ) -> None:
        self._case = case
        self._id = case_id
        self.policy = policy
        self.policy_version = policy.version
        self.now = now
        self.actor = actor
        self.changes: list[CaseChanged] = []
        self.decisions: list[Decision] = []

    @property
    def case(self) -> Case:
        if self._case is None:
            raise ValueError(f"case {self._id} is not open yet")
        return self._case

    @property
    def is_new(self) -> bool:
        return self._case is None

    @property
    def next_seq(self) -> int:
        return 1 if self._case is None else self._case.seq + 1

    @property
    def next_version(self) -> int:
        return 1 if self._case is None else self._case.version + 1

    def record(self, event: CaseEvent) -> None:
        """Appends the event to the case's history and moves the case on."""
        counted = not isinstance(event, UNVERSIONED)
        opened = event if isinstance(event, CaseOpened) else self.case
        change = CaseChanged(
            case_id=self._id,
            seq=self.next_seq,
            version=self.next_version if counted else self.case.version,
            at=self.now,
            actor=self.actor,
            customer_id=opened.customer_id,
            team=opened.team,
            channel=opened.channel,
            event=event,
            confidential=self._is_confidential(opened.team),
        )
        self._case = evolve(self._case, change)
        self.changes.append(change)

    def _is_confidential(self, team: str) -> bool:
        found = self.policy.teams.get(team)
        return found is not None and found.confidential

    def explain(self, kind: str, rule: str, words: str, **more: Any) -> None:
        """Says why, beside the events (`/v1/cases/{id}/decisions`)."""
        self.decisions.append(Decision(kind, rule, self.policy_version, words, **more))
