"""cases.changed: deadlines, from their start to their end."""

from __future__ import annotations

from datetime import datetime

from shared.events.body import Event
from shared.values import Escalation, Metric, Target


class DeadlineStarted(Event, frozen=True):
    """A clock began. `number` names it within its case; `words` is the arithmetic, readable.

    late  it was already due when its message reached us
    """

    number: int
    metric: Metric
    started_at: datetime
    due_at: datetime
    rule: str
    policy_version: int
    warn_at: tuple[datetime, ...] = ()
    calendar: str = ""
    words: str = ""
    late: bool = False
    escalations: tuple[Escalation, ...] = ()


class DeadlineSuperseded(Event, frozen=True):
    number: int
    reason: str


class DeadlineMet(Event, frozen=True):
    number: int
    metric: Metric


class DeadlinePaused(Event, frozen=True):
    number: int


class DeadlineResumed(Event, frozen=True):
    number: int
    due_at: datetime
    warn_at: tuple[datetime, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    words: str = ""


class DeadlineWarned(Event, frozen=True):
    """One reminder step. `step` counts from 1; a delivery of it is stale after `expires_at`."""

    number: int
    metric: Metric
    step: int
    due_at: datetime
    expires_at: datetime
    notify: tuple[Target, ...] = ()


class DeadlineEscalated(Event, frozen=True):
    """Steps of the escalation up to `step` (from 1) were taken; who is told of it."""

    number: int
    metric: Metric
    step: int
    due_at: datetime
    expires_at: datetime
    notify: tuple[Target, ...] = ()


class DeadlineAtRisk(Event, frozen=True):
    """Due, but perhaps answered in what we have not handled yet: `pipeline_lag`, `delivery_lag`."""

    number: int
    reason: str


class DeadlineBreached(Event, frozen=True):
    number: int
    metric: Metric
    due_at: datetime
    arrived_late: bool = False
    notify: tuple[Target, ...] = ()
