"""Starting, tightening, meeting and pausing a case's deadlines (DESIGN 5.3 and 5.4). Pure."""

from __future__ import annotations

from datetime import datetime

from services.router import deadlines
from services.router.case import ANSWERS, Case, Deadline, Unanswered
from services.router.deadlines import DeadlinePlan
from services.router.policy import Facts, ServiceLevel
from services.router.turn import Turn
from shared import events as ev
from shared.events import Metric


def await_answer(turn: Turn, level: ServiceLevel) -> str:
    """The clock for the oldest unanswered message, as `level` promises it; what was done, in
    words."""
    waiting = turn.case.unanswered
    if not waiting:
        return ""
    oldest = min(waiting, key=lambda message: message.at)
    return _hold(turn, _plan(turn, level, oldest), oldest.received_at or turn.now)


def await_rest(turn: Turn) -> None:
    """What is still, or again, unanswered needs a running clock: the earliest of what its
    messages were promised, and never later than what a failed reply had promised."""
    case = turn.case
    if not case.unanswered or case.clock(*ANSWERS) is not None:
        return
    plans = [
        (plan, message)
        for message in case.unanswered
        if (level := level_of(turn, message)) is not None
        and (plan := _plan(turn, level, message)) is not None
    ]
    if plans:
        plan, message = min(plans, key=lambda pair: pair[0].due_at)
        words = _hold(turn, plan, message.received_at or turn.now)
        turn.explain("deadline", plan.rule, words)
    await_work(turn)


def keep_promise(turn: Turn, promised: datetime | None) -> None:
    """The earliest promise stands, though it was met by a reply that failed."""
    clock = turn.case.clock(*ANSWERS)
    if promised is None or clock is None or clock.due_at <= promised:
        return
    turn.record(ev.DeadlineSuperseded(number=clock.number, reason="promised earlier"))
    plan = DeadlinePlan(
        metric=clock.metric,
        started_at=clock.started_at,
        due_at=promised,
        warn_at=tuple(step for step in clock.warn_at if step < promised),
        rule=clock.rule,
        calendar=clock.calendar,
        words=f"keeps the promise of {promised:%Y-%m-%d %H:%M} UTC",
    )
    turn.explain("deadline", plan.rule, _start(turn, plan, clock.started_at))


def replan(turn: Turn) -> None:
    """Another team or priority may promise more; it never promises less (DESIGN 5.4)."""
    case = turn.case
    if case.unanswered and case.state != "closed":
        oldest = min(case.unanswered, key=lambda message: message.at)
        level = _level_by_facts(turn, oldest)
        if level is not None and (words := await_answer(turn, level)):
            turn.explain("deadline", level.rule, words)


def await_work(turn: Turn) -> None:
    """An open case runs towards its resolution, also where nobody waits for an answer."""
    case = turn.case
    if case.state == "open":
        level = _level_by_facts(turn, case.unanswered[0] if case.unanswered else None)
        if level is not None and (words := await_resolution(turn, level, turn.now, turn.now)):
            turn.explain("deadline", level.rule, words)


def level_of(turn: Turn, message: Unanswered) -> ServiceLevel | None:
    """The service level a message was promised by, if the policy still has it."""
    named = next((s for s in turn.policy.service_levels if s.name == message.rule), None)
    if named is None:
        return _level_by_facts(turn, message)
    return ServiceLevel(named.name, named.calendar, named.targets, named.warn_before, ())


def _level_by_facts(turn: Turn, message: Unanswered | None) -> ServiceLevel | None:
    case = turn.case
    facts = Facts(
        channel=case.channel, account=case.account, product=case.product,
        kind=message.kind if message else "message", priority=case.priority, tags=case.tags,
        customer_group=case.group, customer_internal=case.internal, customer_known=True,
    )  # fmt: skip
    return turn.policy.service_level(facts, case.team, turn.now)


def _plan(turn: Turn, level: ServiceLevel, message: Unanswered) -> DeadlinePlan | None:
    metric: Metric = "first_response" if turn.case.answered_at is None else "next_response"
    return deadlines.plan(turn.policy, level, metric, message.at)


def _hold(turn: Turn, plan: DeadlinePlan | None, received_at: datetime) -> str:
    """Started, tightened, or left as promised. What is breached stays so until it is answered."""
    carried = turn.case.clock(*ANSWERS)
    if plan is None or (carried is not None and carried.state == "breached"):
        return ""
    if carried is not None and deadlines.tighten(carried.due_at, plan.due_at) == carried.due_at:
        return f"keeps {_words(carried)}: {plan.words} is no earlier"
    if carried is not None:
        turn.record(ev.DeadlineSuperseded(number=carried.number, reason="tightened"))
    return _start(turn, plan, received_at)


def await_resolution(
    turn: Turn, level: ServiceLevel, since: datetime, received_at: datetime
) -> str:
    """The clock until the case is closed: one a case, resumed where it was paused; in words."""
    running = turn.case.clock("resolution")
    if running is None:
        plan = deadlines.plan(turn.policy, level, "resolution", since)
        return "" if plan is None else _start(turn, plan, received_at)
    if running.state == "paused" and running.paused_at is not None:
        resumed = deadlines.resume(
            turn.policy, running.calendar, running.due_at, running.paused_at,
            max(since, running.paused_at), running.warn_at[running.step :],
        )  # fmt: skip
        turn.record(
            ev.DeadlineResumed(
                number=running.number, due_at=resumed.due_at, warn_at=resumed.warn_at
            )
        )
        return f"resolution goes on, due {resumed.due_at:%Y-%m-%d %H:%M} UTC"
    return ""


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


def _start(turn: Turn, plan: DeadlinePlan, received_at: datetime) -> str:
    late = plan.due_at <= received_at
    turn.record(
        ev.DeadlineStarted(
            number=turn.next_seq,
            metric=plan.metric,
            started_at=plan.started_at,
            due_at=plan.due_at,
            warn_at=() if late else plan.warn_at,
            rule=plan.rule,
            policy_version=turn.policy_version,
            calendar=plan.calendar,
            words=plan.words,
            late=late,
        )
    )
    return f"{plan.metric}: {plan.words}"


def _words(deadline: Deadline) -> str:
    return f"the promise of {deadline.due_at:%Y-%m-%d %H:%M} UTC ({deadline.rule})"
