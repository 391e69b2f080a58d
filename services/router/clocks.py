"""Starting, tightening, meeting and pausing a case's deadlines (DESIGN 5.3 and 5.4). Pure."""

from __future__ import annotations

from datetime import datetime

from services.router import deadlines
from services.router.case import ANSWERS, WORK, Case, Deadline, Unanswered
from services.router.deadlines import DeadlinePlan
from services.router.policy import Facts, ServiceLevel
from services.router.turn import Turn
from shared import events as ev
from shared.events import Metric


def await_answer(turn: Turn, level: ServiceLevel, since: datetime) -> str:
    """The clock for the oldest unanswered message, as `level` promises it; what was done, in
    words.

    since  from when a tighter target counts that, counted from the oldest, would be past already:
           a change of ours, or the next message, makes no breach of what was promised otherwise
    """
    waiting = turn.case.unanswered
    if not waiting:
        return ""
    oldest = min(waiting, key=lambda message: message.at)
    plan = _plan(turn, level, oldest.at)
    carried = turn.case.clock(*ANSWERS)
    if plan is not None and carried is not None and plan.due_at <= turn.now and since > oldest.at:
        plan = _plan(turn, level, since)
    return _hold(turn, plan, oldest.received_at or turn.now)


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
        and (plan := _plan(turn, level, message.at)) is not None
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
    oldest = min(turn.case.unanswered, key=lambda message: message.at)
    plan = DeadlinePlan(
        metric=clock.metric,
        started_at=oldest.at,
        due_at=promised,
        warn_at=tuple(step for step in clock.warn_at if step < promised),
        rule=clock.rule,
        calendar=clock.calendar,
        escalations=clock.escalations,
        words=f"keeps the promise of {promised:%Y-%m-%d %H:%M} UTC",
    )
    turn.explain("deadline", plan.rule, _start(turn, plan, oldest.received_at or oldest.at))


def replan(turn: Turn) -> None:
    """Another team or priority may promise more; it never promises less (DESIGN 5.4)."""
    case = turn.case
    if case.state == "closed":
        return
    oldest = min(case.unanswered, key=lambda message: message.at, default=None)
    level = _level_by_facts(turn, oldest)
    if level is None:
        return
    words = [await_answer(turn, level, turn.now)]
    words += [_tighten(turn, level, metric) for metric in WORK]
    if any(words):
        turn.explain("deadline", level.rule, "; ".join(filter(None, words)))


def _tighten(turn: Turn, level: ServiceLevel, metric: Metric) -> str:
    """A clock of the case itself; one that would be past already counts from now."""
    clock = turn.case.clock(metric)
    if clock is None or clock.state != "running":
        return ""
    plan = deadlines.plan(turn.policy, level, metric, clock.started_at)
    if plan is not None and plan.due_at <= turn.now:
        plan = deadlines.plan(turn.policy, level, metric, turn.now)
    if plan is None or plan.due_at >= clock.due_at:
        return ""
    turn.record(ev.DeadlineSuperseded(number=clock.number, reason="tightened"))
    return _start(turn, plan, clock.started_at)


def promise_work(turn: Turn, level: ServiceLevel, since: datetime, received_at: datetime) -> str:
    """The clocks of the case itself as if `level` had promised them too, from `since` on; in
    words."""
    words = [await_news(turn, level, since, received_at)]
    if turn.case.clock("resolution") is None:
        words.append(await_resolution(turn, level, since, received_at))
    for metric in WORK:
        clock = turn.case.clock(metric)
        if clock is None or clock.state != "running":
            continue
        plan = deadlines.plan(turn.policy, level, metric, min(clock.started_at, since))
        if plan is not None and plan.due_at < clock.due_at:
            turn.record(ev.DeadlineSuperseded(number=clock.number, reason="tightened"))
            words.append(_start(turn, plan, received_at))
    return "; ".join(filter(None, words))


def await_work(turn: Turn) -> None:
    """What runs where nobody waits for an answer: towards the resolution, but for a case that
    waits for the customer; and towards the next news of it, until it is closed."""
    case = turn.case
    if case.state == "closed":
        return
    level = _level_by_facts(turn, case.unanswered[0] if case.unanswered else None)
    if level is None:
        return
    since = case.answered_at or turn.now
    words = [await_news(turn, level, since, since)]
    if case.state != "waiting_customer":
        words.append(await_resolution(turn, level, turn.now, turn.now))
    if any(words):
        turn.explain("deadline", level.rule, "; ".join(filter(None, words)))


def await_news(turn: Turn, level: ServiceLevel, since: datetime, received_at: datetime) -> str:
    """The customer hears of the case at least so often (`update_every`), whoever it waits for."""
    if turn.case.clock("update") is not None:
        return ""
    plan = deadlines.plan(turn.policy, level, "update", since)
    return "" if plan is None else _start(turn, plan, received_at)


def lose_news(turn: Turn, lost_at: datetime) -> None:
    """What counted as news did not arrive: the clock goes back to the news before it."""
    clock = turn.case.clock("update")
    if clock is None or clock.started_at < lost_at:
        return
    turn.record(ev.DeadlineSuperseded(number=clock.number, reason="the news did not arrive"))
    level = _level_by_facts(turn, None)
    if level is not None:
        since = turn.case.answered_at or turn.case.opened_at
        await_news(turn, level, since, since)


def pause(turn: Turn) -> None:
    """Waiting for the customer stops the clock of the resolution, and no other (DESIGN 5.4)."""
    resolution = turn.case.clock("resolution")
    waits = turn.case.state == "waiting_customer"
    if waits and resolution is not None and resolution.state == "running":
        turn.record(ev.DeadlinePaused(number=resolution.number))


def level_of(turn: Turn, message: Unanswered) -> ServiceLevel | None:
    """The service level a message was promised by, if the policy still has it."""
    return turn.policy.level(message.rule) or _level_by_facts(turn, message)


def _level_by_facts(turn: Turn, message: Unanswered | None) -> ServiceLevel | None:
    """By what the case knows; of a message's words only which rule they matched."""
    case, matched = turn.case, message.rule if message else turn.case.level
    facts = Facts(
        channel=case.channel, account=case.account, product=case.product,
        kind=message.kind if message else "message", priority=case.priority, tags=case.tags,
        customer_group=case.group, customer_internal=case.internal, customer_known=case.known,
        customer_language=case.language,
    )  # fmt: skip
    return turn.policy.service_level_again(facts, case.team, turn.now, matched)


def _plan(turn: Turn, level: ServiceLevel, since: datetime) -> DeadlinePlan | None:
    metric: Metric = "first_response" if turn.case.answered_at is None else "next_response"
    return deadlines.plan(turn.policy, level, metric, since)


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
            running.escalations[running.escalated :],
        )  # fmt: skip
        turn.record(
            ev.DeadlineResumed(
                number=running.number,
                due_at=resumed.due_at,
                # steps already taken keep their numbers, so that none comes twice
                warn_at=running.warn_at[: running.step] + resumed.warn_at,
                escalations=running.escalations[: running.escalated] + resumed.escalations,
                words=f"{running.words}; with its pauses {resumed.due_at:%Y-%m-%d %H:%M} UTC",
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
    if turn.case.answered_at != before.answered_at:
        _tell_news(turn)
    wait_for_children(turn)
    pause(turn)


def wait_for_children(turn: Turn) -> None:
    """Nobody outside waits, and colleagues have to answer first: then it is them it waits for."""
    case = turn.case
    if case.children and not case.unanswered and case.state in ("open", "waiting_customer"):
        teams = ", ".join(dict.fromkeys(child.team for child in case.children))
        turn.record(
            ev.CasePaused(state="waiting_internal", author=turn.actor, reason=f"waits for {teams}")
        )
        await_work(turn)


def answer_first(turn: Turn) -> None:
    """The customer waits for an answer: that goes before what colleagues still owe the case."""
    case = turn.case
    if case.children and case.unanswered and case.state == "waiting_internal":
        turn.record(ev.CaseResumed(reason="the customer waits for an answer"))


def _tell_news(turn: Turn) -> None:
    """A person's word reached the customer: the next news is due counted from it."""
    clock = turn.case.clock("update")
    if clock is not None and clock.state == "running":
        turn.record(ev.DeadlineMet(number=clock.number, metric="update"))
    if turn.case.state != "closed" and (level := _level_by_facts(turn, None)) is not None:
        words = await_news(turn, level, turn.now, turn.now)
        if words:
            turn.explain("deadline", level.rule, words)


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
            escalations=() if late else plan.escalations,
        )
    )
    return f"{plan.metric}: {plan.words}"


def _words(deadline: Deadline) -> str:
    return f"the promise of {deadline.due_at:%Y-%m-%d %H:%M} UTC ({deadline.rule})"
