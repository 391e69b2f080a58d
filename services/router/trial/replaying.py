"""A case's history, lived through once more under another policy. Pure.

Its inputs (`retelling`) go through the real `decide` at the instants they had, and between them
time passes at the instants at which the replayed case wants to be looked at. A moment that the
real case waited for as well passes as it did then: whoever answered within the second in which the
clock came round broke no promise then, and breaks none now. So the same policy gives the same case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from services.router.case import Case, Deadline
from services.router.commands import Command, Decision, PassTime, TakeMessage
from services.router.decide import decide, evolve
from services.router.firing import RECHECK, next_fire
from services.router.policy import Policy
from services.router.trial.retelling import ASKED, CLOCK, DECIDED, READERS, History, Retelling
from services.router.trial.side import Side
from shared import events as ev
from shared.errors import Refused
from shared.events import CaseChanged

_DAWN: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    ruled         the policy that history was made under
    since, until  what is reported: messages by their receipt, all else by its instant
    """

    candidate: Policy
    ruled: Policy
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that the candidate refuses, although it was carried out then."""

    asked: str
    name: str
    detail: str


@dataclass(slots=True)
class Replayed:
    """One case as it was, and as it would have been.

    rules, levels  the routing rules and service levels of the candidate that matched
    kept           it cannot be told again, and is taken as it was, before and after
    """

    history: History
    then: Side = field(default_factory=Side)
    now: Side = field(default_factory=Side)
    refused: list[Refusal] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    levels: set[str] = field(default_factory=set)
    kept: bool = False


def replay(history: History, trial: Trial) -> Replayed:
    """Raises only what deciding raises beside Refused: a fault of ours, never of the candidate's
    refusals, which are told in the outcome."""
    replaying = _Replaying(history, trial)
    replaying.run()
    return replaying.outcome


class _Replaying:
    def __init__(self, history: History, trial: Trial) -> None:
        self.outcome = Replayed(history)
        self._history = history
        self._policy = trial.candidate
        self._trial = trial
        self._retelling = Retelling(history, trial.candidate)
        self._then = self.outcome.then
        self._now = self.outcome.now
        self._at = _DAWN  # up to where the replayed case has been decided

    def run(self) -> None:
        changes = self._history.changes
        if not self._retelling.possible:
            self._keep()
            return
        for first, end in _moments(changes):
            at = changes[first].at
            self._pass_until(at)
            if changes[first].actor == CLOCK:
                self._tick(changes[first:end], at)
            else:
                self._tell(first, end)
        self._pass_until(self._trial.until)

    def _keep(self) -> None:
        self.outcome.kept = True
        changes = self._history.changes
        for first, end in _moments(changes):
            counted = self._counts(changes[first:end])
            for change in changes[first:end]:
                case = evolve(self._then.case, change)
                self._then.follow(change, case, counted)
                self._now.follow(change, case, counted)

    # --- what was asked ------------------------------------------------------------------------

    def _tell(self, first: int, end: int) -> None:
        changes = self._history.changes
        counted = self._counts(changes[first:end])
        for index in range(first, end):
            change = changes[index]
            kind = type(change.event)
            if kind in READERS:
                command = self._retelling.command(index, self._now.case)
                if command is not None:
                    self._ask(command, change, counted)
            elif kind not in DECIDED:
                self._carry(change)
            self._then.follow(change, evolve(self._then.case, change), counted)

    def _counts(self, moment: Sequence[CaseChanged]) -> bool:
        """By the receipt of a message, not by when it was handled."""
        since = self._trial.since
        for change in moment:
            if type(change.event) is ev.MessageAdded:
                return change.event.received_at >= since
        return moment[0].at >= since

    def _ask(self, command: Command, change: CaseChanged, counted: bool) -> None:
        try:
            changes = self._decide(command, change.at, counted)
        except Refused as error:
            if counted:
                asked = ev.type_name(type(change.event).__name__)
                self.outcome.refused.append(Refusal(asked, error.problem, error.detail))
            return
        if type(command) is TakeMessage:
            self._retelling.told(change.version, changes)

    def _carry(self, recorded: CaseChanged) -> None:
        """As it was, under the next number of the replayed case."""
        change = self._retelling.carried(recorded)
        if change is None:
            return
        case, before = self._now.case, self._then.case
        if case is not None and before is not None:
            version = case.version + change.version - before.version
            change = replace(change, seq=case.seq + 1, version=version)
        self._now.case = evolve(case, change)

    def _decide(self, command: Command, at: datetime, counted: bool) -> Sequence[CaseChanged]:
        decided = decide(self._now.case, self._history.case_id, command, self._policy, at)
        for change in decided.changes:
            self._now.note(change, change.team, counted)
        self._now.case = decided.case
        self._at = max(self._at, at)
        if counted:
            self._note_rules(decided.decisions)
        return decided.changes

    def _note_rules(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if decision.kind == "routing":
                self.outcome.rules.add(decision.rule)
            elif decision.kind in ("service_level", "deadline"):
                self.outcome.levels.add(decision.rule)

    # --- time ----------------------------------------------------------------------------------

    def _tick(self, moment: Sequence[CaseChanged], at: datetime) -> None:
        """The clock came round then: for a moment that both cases waited for, it does now."""
        case = self._now.case
        shared = case is not None and self._awaited(self._raw(case))
        counted = at >= self._trial.since
        for change in moment:
            if type(change.event) in ASKED:
                self._carry(change)
            self._then.follow(change, evolve(self._then.case, change), counted)
        if shared:
            lagged = any(_lagged(change.event) for change in moment)
            self._pass_time(at, None if lagged else at)

    def _pass_until(self, limit: datetime) -> None:
        """Every moment of its own that lies before `limit`."""
        case = self._now.case
        if case is None:
            return
        if any(d.at_risk and not self._shared(d) for d in case.running):
            self._look_again(limit)
        while (at := self._next(limit)) is not None:
            at = max(at, self._at)
            if not self._pass_time(at, at):
                return

    def _look_again(self, limit: datetime) -> None:
        """What just happened may have settled what was at risk; nothing else will."""
        at = self._at + RECHECK
        if at < limit:
            self._pass_time(at, at)

    def _pass_time(self, at: datetime, watermark: datetime | None) -> bool:
        return bool(self._decide(PassTime(watermark), at, at >= self._trial.since))

    def _next(self, limit: datetime) -> datetime | None:
        """The next moment of its own. What is at risk waits for what happens next."""
        assert self._now.case is not None
        case = _calm(self._now.case)
        at = self._raw(case)
        if at is None or at >= limit:
            return None
        if not self._awaited(at):
            return at
        own = (
            d.due_at
            for d in case.running
            if d.state == "running" and d.due_at < limit and not self._shared(d)
        )
        return min(own, default=None)

    def _raw(self, case: Case) -> datetime | None:
        """When the clock has to look at it, also where that time is past."""
        return next_fire(case, self._policy, _DAWN)

    def _awaited(self, at: datetime | None) -> bool:
        """Whether the real case waited for this moment too; perhaps behind what was at risk."""
        case = self._then.case
        if case is None:
            return False
        if at == next_fire(case, self._trial.ruled, _DAWN):
            return True
        calm = _calm(case)
        return calm is not case and at == next_fire(calm, self._trial.ruled, _DAWN)

    def _shared(self, deadline: Deadline) -> bool:
        """Whether the real case had this very deadline too."""
        case = self._then.case
        return case is not None and any(
            d.due_at == deadline.due_at and d.metric == deadline.metric for d in case.running
        )


def _moments(changes: Sequence[CaseChanged]) -> Iterator[tuple[int, int]]:
    """[first, end) of what was recorded at one instant, the clock's apart from everybody's."""
    first = 0
    for index in range(1, len(changes) + 1):
        if index == len(changes) or _other_moment(changes[first], changes[index]):
            yield first, index
            first = index


def _other_moment(one: CaseChanged, two: CaseChanged) -> bool:
    return one.at != two.at or (one.actor == CLOCK) != (two.actor == CLOCK)


def _lagged(event: ev.Event) -> bool:
    return type(event) is ev.DeadlineAtRisk and event.reason == "pipeline_lag"


def _calm(case: Case) -> Case:
    """Without the deadlines that are at risk."""
    if not any(d.at_risk for d in case.deadlines):
        return case
    return replace(case, deadlines=tuple(d for d in case.deadlines if not d.at_risk))
