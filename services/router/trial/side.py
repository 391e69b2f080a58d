"""One side of a comparison: what became of a case, then or under another policy. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from services.router.case import Case
from shared import events as ev
from shared.events import CaseChanged, Metric


class Routed(NamedTuple):
    """Where it went, and by which rule; without one it stayed where it was."""

    team: str
    rule: str


class Clock(NamedTuple):
    """Names a promise on both sides: what it counts towards, and from when."""

    metric: Metric
    started_at: datetime


@dataclass(slots=True)
class Promise:
    """A deadline as it stood last; `late`: it was broken before it could be kept."""

    due_at: datetime
    counted: bool
    breached: bool = False
    late: bool = False


@dataclass(slots=True)
class Side:
    """A case as it stands, and what counts of how it came there.

    routed    by the instant it was routed
    promised  its deadlines; one that was tightened or resumed is the same promise
    heard     of each message that waits for an answer: its receipt, and the team that had it
    """

    case: Case | None = None
    routed: dict[datetime, Routed] = field(default_factory=dict)
    promised: dict[Clock, Promise] = field(default_factory=dict)
    heard: list[tuple[datetime, str]] = field(default_factory=list)
    _numbers: dict[int, Clock] = field(default_factory=dict)

    def follow(self, change: CaseChanged, case: Case, counted: bool) -> None:
        """Takes what was recorded, with the case as it was afterwards."""
        self.note(change, case.team, counted)
        self.case = case

    def note(self, change: CaseChanged, team: str, counted: bool) -> None:
        """`team` had the case; `counted`: it belongs to the time that is reported."""
        note = _NOTES.get(type(change.event))
        if note is not None:
            note(self, change, change.event, team, counted)

    def _opened(
        self, change: CaseChanged, event: ev.CaseOpened | ev.CaseRouted, team: str, counted: bool
    ) -> None:
        if counted:
            self.routed[change.at] = Routed(event.team, event.rule)

    def _reopened(self, change: CaseChanged, _: ev.CaseReopened, team: str, counted: bool) -> None:
        if counted and change.actor == "customer":
            self.routed[change.at] = Routed(team, "")

    def _assigned(
        self, change: CaseChanged, event: ev.CaseAssigned, team: str, counted: bool
    ) -> None:
        """By a rule only where a message opened the case again."""
        if change.at in self.routed and change.actor == "customer":
            self.routed[change.at] = Routed(event.team, event.reason)

    def _heard(self, _: CaseChanged, event: ev.MessageAdded, team: str, counted: bool) -> None:
        if counted and event.unanswered:
            self.heard.append((event.received_at, team))

    def _started(self, _: CaseChanged, event: ev.DeadlineStarted, team: str, counted: bool) -> None:
        clock = Clock(event.metric, event.started_at)
        self._numbers[event.number] = clock
        before = self.promised.get(clock)
        if before is None:
            self.promised[clock] = Promise(event.due_at, counted=counted)
        else:
            before.due_at = event.due_at

    def _resumed(self, _: CaseChanged, event: ev.DeadlineResumed, team: str, counted: bool) -> None:
        self.promised[self._numbers[event.number]].due_at = event.due_at

    def _breached(
        self, _: CaseChanged, event: ev.DeadlineBreached, team: str, counted: bool
    ) -> None:
        promise = self.promised[self._numbers[event.number]]
        promise.breached = True
        promise.late = promise.late or event.arrived_late


_Note = Callable[[Side, CaseChanged, Any, str, bool], None]

_NOTES: Final[dict[type[ev.Event], _Note]] = {
    ev.CaseOpened: Side._opened,
    ev.CaseRouted: Side._opened,
    ev.CaseReopened: Side._reopened,
    ev.CaseAssigned: Side._assigned,
    ev.MessageAdded: Side._heard,
    ev.DeadlineStarted: Side._started,
    ev.DeadlineResumed: Side._resumed,
    ev.DeadlineBreached: Side._breached,
}
