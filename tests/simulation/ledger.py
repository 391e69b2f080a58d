"""What a case's history says, added up from its events alone: the second opinion of the machine.

It knows the words of the design and none of the code that decides. Every event is checked as it
comes (no false breach, one reminder a step, …); what follows from them all is asked for afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Final
from uuid import UUID

from shared import events as ev
from shared.events import CaseChanged, Metric

ANSWERS: Final[tuple[Metric, ...]] = ("first_response", "next_response")
# "Counts its events except delivery statuses, warnings and heartbeats."
QUIET: Final = (
    ev.DeliveryStatusChanged, ev.DeadlineWarned, ev.DeadlineEscalated, ev.DeadlineAtRisk,
)  # fmt: skip
_REMEMBERED: Final = 8  # a bounce of an older answer is not connected with it any more


@dataclass
class Waiting:
    """A customer's message that wants an answer, and the replies that gave one."""

    id: UUID
    version: int
    at: datetime
    rule: str
    promised: datetime
    by: set[UUID] = field(default_factory=set)
    dismissed: bool = False
    withdrawn: bool = False

    @property
    def unanswered(self) -> bool:
        return not self.by and not self.dismissed


@dataclass
class Reply:
    accepted_at: datetime
    answers: int
    human: bool
    doubtful: bool = False


@dataclass
class Clock:
    """One deadline: every due it ever had, and what was said of it."""

    started: ev.DeadlineStarted
    dues: list[datetime]
    state: str = "running"
    ended: bool = False
    paused_at: datetime | None = None
    warn_at: tuple[datetime, ...] = ()
    warned: set[int] = field(default_factory=set)
    escalated: set[int] = field(default_factory=set)

    @property
    def metric(self) -> str:
        return self.started.metric

    @property
    def due(self) -> datetime:
        return self.dues[-1]


@dataclass
class Ledger:
    """`now`, `watermark` and `occurred_at` are of the step being taken."""

    now: datetime
    open_time: Callable[[str, datetime, datetime], timedelta]
    longest_promise: Callable[[str, datetime], datetime]
    watermark: datetime | None = None
    occurred_at: datetime | None = None
    seq: int = 0
    version: int = 0
    state: str = "open"
    channel: str = ""
    messages: list[Waiting] = field(default_factory=list)
    replies: dict[UUID, Reply] = field(default_factory=dict)
    answered_by: list[UUID] = field(default_factory=list)
    promised: dict[UUID, tuple[datetime | None, Waiting | None]] = field(default_factory=dict)
    clocks: dict[int, Clock] = field(default_factory=dict)
    windows: dict[str, ev.MessageAdded] = field(default_factory=dict)
    priority: str = "normal"
    notified: list[tuple[tuple[ev.Target, ...], str]] = field(default_factory=list)
    promise_before: datetime | None = None
    newly_answered: int = 0
    told: bool = False
    answered: bool = False
    to_be_closed: bool = False

    # --- a step of several events ----------------------------------------------------------

    def take(self, changes: list[CaseChanged]) -> None:
        self.newly_answered, self.told, self.answered, self.to_be_closed = 0, False, False, False
        self.promise_before, self.notified = self.promise, []
        for change, following in zip_longest(changes, changes[1:]):
            self._number(change)
            self._rate(change, following)
            name = f"_{type(change.event).__name__}"
            getattr(self, name, lambda *_: None)(change.event, change)
        assert not self.to_be_closed, "the resolution was met, and the case not closed"

    def _number(self, change: CaseChanged) -> None:
        assert change.seq == self.seq + 1, "the history has a gap"
        assert change.version == self.version + (not isinstance(change.event, QUIET))
        assert change.at == self.now
        self.seq, self.version = change.seq, change.version

    def _rate(self, change: CaseChanged, following: CaseChanged | None) -> None:
        """Whom a reminder, escalation or breach tells, and how urgent the case is by it."""
        if isinstance(change.event, ev.DeadlineWarned | ev.DeadlineEscalated | ev.DeadlineBreached):
            raised = following.event if following is not None else None
            self.notified.append((change.event.notify, getattr(raised, "priority", self.priority)))
        self.priority = getattr(change.event, "priority", self.priority)

    @property
    def unanswered(self) -> list[Waiting]:
        return [message for message in self.messages if message.unanswered]

    @property
    def live(self) -> dict[int, Clock]:
        return {number: clock for number, clock in self.clocks.items() if not clock.ended}

    @property
    def promise(self) -> datetime | None:
        """The earliest that is still to be kept, or was broken and is still owed."""
        return min((c.due for c in self.live.values() if c.metric in ANSWERS), default=None)

    @property
    def effective_due(self) -> datetime | None:
        """The least of the running clocks and the reply window less its margin."""
        dues = [clock.due for clock in self.live.values() if clock.state != "paused"]
        window = self.windows.get(self.channel)
        if self.unanswered and window is not None and window.answer_by is not None:
            dues.append(window.answer_by)
        return min(dues, default=None)

    # --- messages and replies --------------------------------------------------------------

    def _CaseOpened(self, event: ev.CaseOpened, _: CaseChanged) -> None:  # noqa: N802
        self.channel = event.channel

    def _MessageAdded(self, event: ev.MessageAdded, change: CaseChanged) -> None:  # noqa: N802
        if event.reply_to is not None:
            old = self.windows.get(event.channel)
            before = old.reply_window_closes_at if old is not None else None
            after = event.reply_window_closes_at
            if before is None or (after is not None and after >= before):
                self.windows[event.channel] = event
        if not event.unanswered:
            return
        promised = self.longest_promise(event.rule, event.occurred_at)
        self.messages.append(
            Waiting(event.message_id, change.version, event.occurred_at, event.rule, promised)
        )
        if event.reply_to is not None:
            self.channel = event.channel
        if self.state == "waiting_customer":
            self.state = "open"

    def _MessageRevised(self, event: ev.MessageRevised, _: CaseChanged) -> None:  # noqa: N802
        for message in self.messages:
            if event.settled and message.id == event.message_id:
                self.newly_answered += message.unanswered
                message.dismissed = message.withdrawn = True
        if event.settled and not self.unanswered:
            self._end_breached(*ANSWERS)

    def _ReplyRequested(self, event: ev.ReplyRequested, change: CaseChanged) -> None:  # noqa: N802
        self.replies[event.message_id] = Reply(change.at, event.answers, event.human)

    def _ReplyDoubtful(self, event: ev.ReplyDoubtful, _: CaseChanged) -> None:  # noqa: N802
        if event.message_id in self.replies:
            self.replies[event.message_id].doubtful = True

    def _ReplySent(self, event: ev.ReplySent, _: CaseChanged) -> None:  # noqa: N802
        reply = self.replies.pop(event.message_id)
        if reply.human and self.state != "closed":
            self._answer(event.message_id, reply.answers)

    def _ReplyRecorded(self, event: ev.ReplyRecorded, _: CaseChanged) -> None:  # noqa: N802
        if event.outcome in ("", "reached"):
            self._answer(event.message_id, event.answers)

    def _ReplyFailed(self, event: ev.ReplyFailed, _: CaseChanged) -> None:  # noqa: N802
        reply = self.replies.pop(event.message_id, None)
        human = reply is not None and reply.human
        if event.message_id in self.answered_by:
            human = True
            self.answered_by.remove(event.message_id)
            for message in self.messages:
                message.by.discard(event.message_id)
        if human and self.state == "waiting_customer":
            self.state = "open"

    def _answer(self, reply: UUID, answers: int) -> None:
        self.answered = self.told = True
        # One on its way as the case was closed answered then; what it kept, it keeps.
        if reply in self.answered_by:
            self.answered_by.remove(reply)
        else:
            oldest = min(self.unanswered, key=lambda m: m.at, default=None)
            self.promised[reply] = (self.promise or self.promise_before, oldest)
        seen = [m for m in self.messages if m.version <= answers and not m.dismissed]
        newly = sum(message.unanswered for message in seen)
        self.newly_answered += newly
        for message in seen:
            message.by.add(reply)
        self.answered_by = [*self.answered_by, reply][-_REMEMBERED:]
        self._end_breached("update", *(ANSWERS if newly else ()))
        if not self.unanswered:
            self.state = "waiting_customer"

    def _end_breached(self, *metrics: str) -> None:
        """They end with the answer, without a word."""
        for clock in self.live.values():
            if clock.state == "breached" and clock.metric in metrics:
                clock.ended = True

    # --- state -----------------------------------------------------------------------------

    def _CasePaused(self, event: ev.CasePaused, _: CaseChanged) -> None:  # noqa: N802
        self.state = event.state

    def _CaseResumed(self, event: ev.CaseResumed, _: CaseChanged) -> None:  # noqa: N802
        assert self.state in ("waiting_customer", "waiting_internal")
        self.state = "open"

    def _CaseReopened(self, event: ev.CaseReopened, _: CaseChanged) -> None:  # noqa: N802
        assert self.state == "closed"
        self.state = "open"

    def _CaseClosed(self, event: ev.CaseClosed, _: CaseChanged) -> None:  # noqa: N802
        self.to_be_closed = False
        for id, reply in self.replies.items():
            if reply.human:
                self._answer(id, reply.answers)
        for message in self.unanswered:
            message.dismissed = True
        for clock in self.live.values():
            assert clock.state == "breached", "closing ended a clock without a word"
            clock.ended = True
        self.state = "closed"

    # --- clocks ----------------------------------------------------------------------------

    def _DeadlineStarted(self, event: ev.DeadlineStarted, _: CaseChanged) -> None:  # noqa: N802
        assert event.number not in self.clocks
        kind = ANSWERS if event.metric in ANSWERS else (event.metric,)
        assert not [c for c in self.live.values() if c.metric in kind], "two clocks for one thing"
        # What a message had been promised outlives it when it is withdrawn.
        assert event.due_at > event.started_at or any(m.withdrawn for m in self.messages)
        late = event.late and (event.warn_at or event.escalations)
        assert not late, "what arrived overdue has no reminder steps"
        self.clocks[event.number] = Clock(event, [event.due_at], warn_at=event.warn_at)

    def _DeadlineSuperseded(self, event: ev.DeadlineSuperseded, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        clock.state, clock.ended = "superseded", True

    def _DeadlineMet(self, event: ev.DeadlineMet, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        if clock.metric in ANSWERS:
            assert self.newly_answered, "only a human, sent reply meets a clock"
        elif clock.metric == "update":
            assert self.told, "only a person's word is news"
        else:
            self.to_be_closed = True
        assert clock.state == "running" or clock.metric == "resolution"
        clock.state, clock.ended = "met", True

    def _DeadlinePaused(self, event: ev.DeadlinePaused, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        assert clock.metric == "resolution", "an unanswered message's clock was paused"
        assert clock.state == "running"
        clock.state, clock.paused_at = "paused", self.now

    def _DeadlineResumed(self, event: ev.DeadlineResumed, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        assert clock.state == "paused"
        assert clock.paused_at is not None
        since = max(self.occurred_at or self.now, clock.paused_at)
        count = self.open_time
        stood_still, added = (
            count(clock.started.calendar, a, b)
            for a, b in ((clock.paused_at, since), (clock.due, event.due_at))
        )
        assert added == stood_still, "not exactly the open time that it was paused"
        assert event.due_at >= clock.due
        clock.dues.append(event.due_at)
        clock.state = "running"
        clock.warn_at = event.warn_at

    def _DeadlineWarned(self, event: ev.DeadlineWarned, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        assert clock.state == "running"
        assert self.now < clock.due == event.due_at < event.expires_at + timedelta(days=999)
        assert event.step not in clock.warned, "reminded twice of one step"
        clock.warned.add(event.step)

    def _DeadlineEscalated(self, event: ev.DeadlineEscalated, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        assert clock.state in ("running", "breached")
        assert event.step not in clock.escalated, "escalated twice by one step"
        clock.escalated.add(event.step)

    def _DeadlineAtRisk(self, event: ev.DeadlineAtRisk, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        assert clock.state == "running"
        assert clock.due <= self.now
        assert event.reason in ("pipeline_lag", "delivery_lag")

    def _DeadlineBreached(self, event: ev.DeadlineBreached, _: CaseChanged) -> None:  # noqa: N802
        clock = self.live[event.number]
        assert clock.state == "running", "breached twice, or while it stood still"
        assert clock.due <= self.now
        assert self.watermark is not None, "nobody knows what still waits in the topic"
        assert clock.due <= self.watermark, "the answer may still wait in the topic"
        if clock.metric != "resolution":
            leaving = [r for r in self.replies.values() if r.human and not r.doubtful]
            assert all(r.accepted_at > clock.due for r in leaving), "its reply has not left yet"
        assert event.arrived_late == clock.started.late
        clock.state = "breached"
