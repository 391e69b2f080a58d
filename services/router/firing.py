"""What is due: warnings, breaches, leases and offers that ran out (DESIGN 5.5, 5.6). Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.router import assignment
from services.router.case import ANSWERS, Case, Deadline
from services.router.commands import PassTime
from services.router.turn import Turn
from shared import events as ev
from shared.events import Target

RECHECK: Final = timedelta(seconds=2)


def pass_time(turn: Turn, command: PassTime) -> None:
    for deadline in turn.case.running:
        if deadline.state == "running":
            _warn(turn, deadline)
            _judge(turn, deadline, command.watermark)
    assignment.end_claim(turn)
    for offer in turn.case.offers:
        if offer.expires_at <= turn.now:
            turn.record(ev.HandoffExpired(handoff_id=offer.handoff_id))


def next_fire(case: Case, now: datetime) -> datetime | None:
    """When the clock must look at this case again; never in the past (see clock.py)."""
    times = [offer.expires_at for offer in case.offers]
    if case.claim_until is not None:
        times.append(case.claim_until)
    times.extend(_next_of(d, now) for d in case.running if d.state == "running")
    return max(min(times), now) if times else None


def _next_of(deadline: Deadline, now: datetime) -> datetime:
    if deadline.at_risk and deadline.due_at <= now:
        return now + RECHECK
    return min(*deadline.warn_at[deadline.step :], deadline.due_at, deadline.due_at)


def _warn(turn: Turn, deadline: Deadline) -> None:
    """The latest step that is due, alone: whoever slept through two is reminded once."""
    due = [step for step in deadline.warn_at[deadline.step :] if step <= turn.now]
    if not due or deadline.due_at <= turn.now:
        return
    number = deadline.step + len(due)
    later = deadline.warn_at[number:]
    turn.record(
        ev.DeadlineWarned(
            number=deadline.number,
            metric=deadline.metric,
            step=number,
            due_at=deadline.due_at,
            expires_at=later[0] if later else deadline.due_at,
            notify=turn.policy.notify_team(turn.case.team),
        )
    )


def _judge(turn: Turn, deadline: Deadline, watermark: datetime | None) -> None:
    if deadline.due_at > turn.now:
        return
    risk = _excuse(turn.case, deadline, watermark)
    if risk:
        if deadline.at_risk != risk:
            turn.record(ev.DeadlineAtRisk(number=deadline.number, reason=risk))
            turn.explain("at_risk", deadline.rule, f"due, but the answer may be in our own {risk}")
        return
    _breach(turn, deadline)


def _excuse(case: Case, deadline: Deadline, watermark: datetime | None) -> str:
    """Why this is perhaps no breach: the answer may be in what we have not handled or sent yet."""
    if watermark is None or watermark < deadline.due_at:
        return "pipeline_lag"
    if deadline.metric in ANSWERS and any(
        p.human and not p.doubtful and p.accepted_at <= deadline.due_at for p in case.pending
    ):
        return "delivery_lag"
    return ""


def _breach(turn: Turn, deadline: Deadline) -> None:
    policy, case = turn.policy, turn.case
    escalate = deadline.metric in ANSWERS and not case.escalated and not deadline.late
    notify: tuple[Target, ...] = policy.notify_on_breach(case.team) if escalate else ()
    due = f"{deadline.due_at:%Y-%m-%d %H:%M} UTC"
    late = ", and it had arrived overdue" if deadline.late else ""
    turn.explain("breach", deadline.rule, f"{deadline.metric} was due {due}, unanswered{late}")
    turn.record(
        ev.DeadlineBreached(
            number=deadline.number,
            metric=deadline.metric,
            due_at=deadline.due_at,
            arrived_late=deadline.late,
            notify=notify,
        )
    )
    if escalate:
        assignment.escalate(turn)
