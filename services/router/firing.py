"""What is due: warnings, breaches, leases and offers that ran out (DESIGN 5.5, 5.6). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.router import assignment, clocks, fulfilling, suggesting, surveying
from services.router.case import ANSWERS, FAR, Case, Deadline
from services.router.commands import PassTime
from services.router.policy import Policy
from services.router.rules.people import Notify
from services.router.turn import Turn
from shared import events as ev
from shared.events import Target

RECHECK: Final = timedelta(seconds=2)
_STEP_LIVES: Final = timedelta(days=4)


def pass_time(turn: Turn, command: PassTime) -> None:
    for number in [deadline.number for deadline in turn.case.running]:
        if (deadline := _live(turn, number)) is not None and deadline.state == "running":
            _warn(turn, deadline, command.own)
            _judge(turn, deadline, command.watermark)
    for number in [deadline.number for deadline in turn.case.running]:
        if (deadline := _live(turn, number)) is not None:
            _escalate(turn, deadline)
    called = fulfilling.pass_time(turn, command.watermark, command.own)
    if called and turn.case.state == "waiting_customer":
        _bring_back(turn, "a promise to the customer is due")
    assignment.end_claim(turn)
    assignment.return_unanswered(turn)
    assignment.relax(turn)
    suggesting.on_time(turn)
    _wake(turn)
    for offer in turn.case.offers:
        if offer.expires_at <= turn.now:
            turn.record(ev.HandoffExpired(handoff_id=offer.handoff_id))
    surveying.pass_time(turn, command)


def _live(turn: Turn, number: int) -> Deadline | None:
    """As it is now: a step taken before may have put a tighter clock in its place."""
    return next((d for d in turn.case.running if d.number == number), None)


def next_fire(case: Case, policy: Policy, now: datetime) -> datetime | None:
    """When the clock must look at this case again; never in the past (see clock.py)."""
    times = [offer.expires_at for offer in case.offers]
    times.extend(at for d in case.running if (at := _next_of(d, now)) is not None)
    times.extend(fulfilling.looks(case, now, RECHECK))
    if case.agent:
        times.append(assignment.returns_at(case, policy) or FAR)
    elif case.state == "open":
        times.append(case.relax_at or FAR)
    times.append(suggesting.window_closing_at(case, policy, now) or FAR)
    times.append(surveying.due_at(case, policy) or FAR)
    times.extend(at for at in (case.claim_until, case.wakes_at) if at is not None)
    first = min(times, default=FAR)
    return max(first, now) if first < FAR else None


def _next_of(deadline: Deadline, now: datetime) -> datetime | None:
    steps = (step.at for step in deadline.escalations[deadline.escalated :])
    if deadline.state == "breached":
        return min(steps, default=None)
    if deadline.state != "running":
        return None
    if deadline.at_risk and deadline.due_at <= now:
        return now + RECHECK
    early = (at for at in steps if at < deadline.due_at)
    return min((*deadline.warn_at[deadline.step :], *early, deadline.due_at))


def _escalate(turn: Turn, deadline: Deadline) -> None:
    """Every step that is due, told once; those after due begin with the breach."""
    steps = [e for e in deadline.escalations[deadline.escalated :] if e.at <= turn.now]
    if deadline.state != "breached":
        steps = [step for step in steps if step.at < deadline.due_at]
    if not steps or deadline.state not in ("running", "breached"):
        return
    team, number = turn.case.team, deadline.escalated + len(steps)
    names = tuple(dict.fromkeys(name for step in steps for name in step.notify))
    raises = any(step.raises for step in steps)
    reassigns = any(step.reassigns for step in steps)
    words = f"step {number} of {len(deadline.escalations)} of {deadline.metric}"
    turn.explain("escalation", deadline.rule, words)
    turn.record(
        ev.DeadlineEscalated(
            number=deadline.number,
            metric=deadline.metric,
            step=number,
            due_at=deadline.due_at,
            expires_at=_told_again_at(deadline, number, names) or turn.now + _STEP_LIVES,
            notify=assignment.told(turn, names, "escalation", raises=raises),
        )
    )
    if raises:
        assignment.raise_priority(turn, "escalation")
    if reassigns:
        assignment.to_fallback(turn, "escalation")
    if raises or turn.case.team != team:
        clocks.replan(turn)


def _told_again_at(deadline: Deadline, number: int, names: Sequence[str]) -> datetime | None:
    """When a later step makes this one stale: where it tells one of the same."""
    later = (step for step in deadline.escalations[number:] if set(step.notify) & set(names))
    return next((step.at for step in later), None)


def _wake(turn: Turn) -> None:
    if turn.case.wakes_at is not None and turn.case.wakes_at <= turn.now:
        _bring_back(turn, "its time came")


def _bring_back(turn: Turn, reason: str) -> None:
    """Into the inbox again, where its clocks are seen."""
    if turn.case.state in ("waiting_customer", "waiting_internal"):
        turn.record(ev.CaseResumed(reason=reason))
        clocks.await_work(turn)


def _warn(turn: Turn, deadline: Deadline, own: Sequence[Notify]) -> None:
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
            notify=assignment.reminded(turn, own, "reminder"),
        )
    )
    if deadline.metric == "update" and turn.case.state == "waiting_customer":
        _bring_back(turn, "news is due to the customer")


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
    if deadline.metric != "resolution" and any(
        p.human and not p.doubtful and p.accepted_at <= deadline.due_at for p in case.pending
    ):
        return "delivery_lag"
    return ""


def _breach(turn: Turn, deadline: Deadline) -> None:
    case, rule = turn.case, turn.policy.on_breach
    escalate = deadline.metric in ANSWERS and not case.escalated and not deadline.late
    notify: tuple[Target, ...] = ()
    if escalate:
        notify = assignment.told(turn, rule.notify, "breach", raises=rule.raises_priority)
    elif deadline.late and deadline.metric in ANSWERS:
        notify = turn.policy.together(assignment.told(turn, rule.notify, "breach", raises=False))
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
        clocks.replan(turn)
        suggesting.suggest(turn, "breach")
    assignment.drop_skills(turn, "breach")
    if deadline.metric == "update" and turn.case.state == "waiting_customer":
        _bring_back(turn, "news is due to the customer")
