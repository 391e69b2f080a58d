"""When a clock is due and when it warns. Pure: a policy, a service level and a start go in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from services.router.calendars import Calendar
from services.router.policy import EscalationRule, Policy, ServiceLevel
from shared.durations import Duration
from shared.events import Escalation, Metric


@dataclass(frozen=True, slots=True)
class DeadlinePlan:
    """One clock of a case: what `DeadlineStarted` will say. Instants are UTC.

    rule      the service level it comes from
    calendar  in whose open time it runs
    words     the arithmetic, ``1h in `office` from Fri 17:10 = Sat 10:40``
    """

    metric: Metric
    started_at: datetime
    due_at: datetime
    warn_at: tuple[datetime, ...]
    rule: str
    calendar: str
    words: str
    escalations: tuple[Escalation, ...] = ()


class Resumed(NamedTuple):
    """A clock that stood still, and goes on."""

    due_at: datetime
    warn_at: tuple[datetime, ...]
    escalations: tuple[Escalation, ...]


def plan(
    policy: Policy, level: ServiceLevel, metric: Metric, started_at: datetime
) -> DeadlinePlan | None:
    """None where the service level promises nothing for this metric. Raises NeverOpen."""
    target = level.targets.get(metric)
    if target is None:
        return None
    calendar = policy.calendar(level.calendar)
    due_at, warn_at, words = _clock(calendar, target, level.warn_before, started_at)
    steps = _steps(calendar, level.escalate, started_at, due_at) if level.escalate else ()
    return DeadlinePlan(
        metric, started_at, due_at, warn_at, level.rule, level.calendar, words, steps
    )


@lru_cache(maxsize=4096)
def _clock(
    calendar: Calendar, target: Duration, warn_before: tuple[Duration, ...], started_at: datetime
) -> tuple[datetime, tuple[datetime, ...], str]:
    """(due, warnings, words). Remembered, since at a high rate many messages share a second."""
    due = calendar.add(started_at, target)
    # a step at or before the start is skipped
    steps = (calendar.subtract(due.at, step, started_at) for step in warn_before)
    warn_at = tuple(sorted({step for step in steps if step is not None}))
    return due.at, warn_at, due.words


@lru_cache(maxsize=4096)
def _steps(
    calendar: Calendar,
    escalate: tuple[EscalationRule, ...],
    started_at: datetime,
    due_at: datetime,
) -> tuple[Escalation, ...]:
    """In the order they come; one at or before the start is skipped, as a warning is."""
    steps = []
    for rule in escalate:
        at: datetime | None = due_at
        if rule.before is not None:
            at = calendar.subtract(due_at, rule.before, started_at)
        elif rule.after is not None:
            at = calendar.add(due_at, rule.after).at
        if at is not None:
            raises, reassigns = rule.priority == "raise", rule.reassign == "fallback"
            steps.append(Escalation(at=at, notify=rule.notify, raises=raises, reassigns=reassigns))
    return tuple(sorted(steps, key=lambda step: step.at))


def resume(  # noqa: PLR0917 - one clock, field by field
    policy: Policy,
    calendar: str,
    due_at: datetime,
    paused_at: datetime,
    resumed_at: datetime,
    warn_at: tuple[datetime, ...] = (),
    escalations: tuple[Escalation, ...] = (),
) -> Resumed:
    """Adds the open time that passed while it was paused, exactly, to due and to each warning.

    `warn_at` and `escalations` hold what is still to come. A calendar that the policy no longer
    has counts as always open: the clock began under an older version.
    """
    if calendar not in policy.calendars:
        stood_still = max(resumed_at - paused_at, timedelta())
        return _later(lambda at: at + stood_still, due_at, warn_at, escalations)
    hours = policy.calendar(calendar)
    paused = hours.open_between(paused_at, resumed_at)
    return _later(lambda at: hours.later(at, paused), due_at, warn_at, escalations)


def _later(
    moved: Callable[[datetime], datetime],
    due_at: datetime,
    warn_at: tuple[datetime, ...],
    escalations: tuple[Escalation, ...],
) -> Resumed:
    steps = tuple(replace(step, at=moved(step.at)) for step in escalations)
    return Resumed(moved(due_at), tuple(map(moved, warn_at)), steps)


def reply_window_bound(
    policy: Policy, calendar: str, closes_at: datetime, started_at: datetime
) -> datetime:
    """By when to answer so that the channel still lets us: its window's end less the margin.

    A bound in closed time of the rule's calendar moves back to the end of the last open span before
    it, as long as that is after the start; otherwise it stays.
    """
    bound = policy.reply_window_margin.before(closes_at)
    hours = policy.calendar(calendar)
    if hours.is_open(bound):
        return bound
    return hours.end_of_last_open_span_before(bound, started_at) or bound


def tighten(carried: datetime | None, new: datetime) -> datetime:
    """The earliest promise stands: a switch or a transfer never moves it later (DESIGN 5.4)."""
    return new if carried is None else min(carried, new)
