"""How events of deadlines change a case. Pure; part of `evolve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from services.router.case import ANSWERS, Case, Deadline
from shared import events as ev
from shared.events import CaseChanged, Event

Rule = Callable[[Case, Any, CaseChanged], Case]


def _deadline_started(case: Case, event: ev.DeadlineStarted, change: CaseChanged) -> Case:
    started = Deadline(
        number=event.number,
        metric=event.metric,
        state="running",
        started_at=event.started_at,
        due_at=event.due_at,
        warn_at=event.warn_at,
        rule=event.rule,
        policy_version=event.policy_version,
        calendar=event.calendar,
        words=event.words,
        late=event.late,
        escalations=event.escalations,
        priority=case.priority,
    )
    return replace(case, deadlines=(*case.deadlines, started))


def _on_deadline(case: Case, number: int, **changes: Any) -> Case:
    return replace(
        case,
        deadlines=tuple(replace(d, **changes) if d.number == number else d for d in case.deadlines),
    )


def _deadline_met(case: Case, event: ev.DeadlineMet, change: CaseChanged) -> Case:
    """By the reply of that very moment, or by whoever closes the case; what turned out to need no
    answer is met by nobody."""
    replied = case.answered_at == change.at and case.answered
    agent = case.answered[-1].author if replied else ""
    if event.metric == "resolution":
        agent = change.actor
    return _on_deadline(case, event.number, state="met", ended_at=change.at, agent=agent)


def _deadline_breached(case: Case, event: ev.DeadlineBreached, change: CaseChanged) -> Case:
    return replace(
        _on_deadline(
            case, event.number, state="breached", at_risk="", team=case.team, channel=case.channel
        ),
        escalated=case.escalated or (event.metric in ANSWERS and not event.arrived_late),
    )


def _words_of(case: Case, number: int) -> str:
    return next((d.words for d in case.deadlines if d.number == number), "")


RULES: Final[Mapping[type[Event], Rule]] = {
    ev.DeadlineStarted: _deadline_started,
    ev.DeadlineSuperseded: lambda case, e, c: _on_deadline(
        case, e.number, state="superseded", ended_at=c.at
    ),
    ev.DeadlineMet: _deadline_met,
    ev.DeadlinePaused: lambda case, e, c: _on_deadline(
        case, e.number, state="paused", paused_at=c.at
    ),
    ev.DeadlineResumed: lambda case, e, _: _on_deadline(
        case,
        e.number,
        state="running",
        paused_at=None,
        due_at=e.due_at,
        warn_at=e.warn_at,
        words=e.words or _words_of(case, e.number),
        escalations=e.escalations,
        at_risk="",
    ),
    ev.DeadlineWarned: lambda case, e, _: _on_deadline(case, e.number, step=e.step),
    ev.DeadlineEscalated: lambda case, e, _: _on_deadline(case, e.number, escalated=e.step),
    ev.DeadlineAtRisk: lambda case, e, _: _on_deadline(case, e.number, at_risk=e.reason),
    ev.DeadlineBreached: _deadline_breached,
}
