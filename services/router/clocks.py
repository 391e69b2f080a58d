"""Starting, tightening, meeting and pausing a case's deadlines (DESIGN 5.3 and 5.4). Pure."""

from __future__ import annotations

from datetime import datetime

from services.router import deadlines
from services.router.case import ANSWERS, Case, Deadline
from services.router.deadlines import DeadlinePlan
from services.router.policy import ServiceLevel
from services.router.turn import Turn
from shared import events as ev
from shared.events import Metric


def await_answer(turn: Turn, level: ServiceLevel, received_at: datetime) -> None:
    """The clock for the oldest unanswered message: started, tightened, or left as promised."""
    since = turn.case.waiting_since
    if since is None:
        return
    metric: Metric = "first_response" if turn.case.answered_at is None else "next_response"
    plan = deadlines.plan(turn.policy, level, metric, since)
    if plan is None:
        return
    carried = turn.case.clock(*ANSWERS)
    if carried is not None and carried.due_at <= plan.due_at:
        turn.explain(
            "deadline", carried.rule, f"keeps {_words(carried)}: {plan.words} is no earlier"
        )
        return
    if carried is not None:
        turn.record(ev.DeadlineSuperseded(number=carried.number, reason="tightened"))
    _start(turn, plan, received_at)


def await_resolution(
    turn: Turn, level: ServiceLevel, since: datetime, received_at: datetime
) -> None:
    """The clock until the case is closed: one a case, resumed where it was paused."""
    running = turn.case.clock("resolution")
    if running is None:
        plan = deadlines.plan(turn.policy, level, "resolution", since)
        if plan is not None:
            _start(turn, plan, received_at)
    elif running.state == "paused" and running.paused_at is not None:
        resumed = deadlines.resume(
            turn.policy, running.calendar, running.due_at, running.paused_at,
            max(since, running.paused_at), running.warn_at[running.step :],
        )  # fmt: skip
        turn.record(
            ev.DeadlineResumed(
                number=running.number, due_at=resumed.due_at, warn_at=resumed.warn_at
            )
        )


def answered(turn: Turn, before: Case) -> None:
    """After a human reply: met what it answered; what it left waiting keeps a clock of its own."""
    if len(turn.case.unanswered) < len(before.unanswered):
        clock = turn.case.clock(*ANSWERS)
        if clock is not None and clock.state == "running":
            turn.record(ev.DeadlineMet(number=clock.number, metric=clock.metric))
    resolution = turn.case.clock("resolution")
    waits = turn.case.state == "waiting_customer"
    if waits and resolution is not None and resolution.state == "running":
        turn.record(ev.DeadlinePaused(number=resolution.number))


def _start(turn: Turn, plan: DeadlinePlan, received_at: datetime) -> None:
    late = plan.due_at <= received_at
    turn.record(
        ev.DeadlineStarted(
            number=turn.next_seq,
            metric=plan.metric,
            started_at=plan.started_at,
            due_at=plan.due_at,
            warn_at=() if late else plan.warn_at,
            rule=plan.rule,
            policy_version=turn.policy.version,
            calendar=plan.calendar,
            words=plan.words,
            late=late,
        )
    )
    turn.explain("deadline", plan.rule, f"{plan.metric}: {plan.words}")


def _words(deadline: Deadline) -> str:
    return f"the promise of {deadline.due_at:%Y-%m-%d %H:%M} UTC ({deadline.rule})"
