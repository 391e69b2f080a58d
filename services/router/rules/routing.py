"""The rules: who gets a case, by when it is answered, and what happens on the way to a breach."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, model_validator

from services.router.rules.section import Section, Within
from services.router.rules.values import (
    Lease,
    LevelCondition,
    NotEmpty,
    OwnTeamName,
    ProductName,
    RoutingCondition,
    Target,
    WorkingCalendar,
)
from shared.durations import Duration
from shared.events import Metric, Priority

METRICS: Final[tuple[Metric, ...]] = get_args(Metric)

Recipient = Literal["team", "supervisors"]


class RoutingTarget(Section):
    """Whom a case is offered to, and for how long. What is left out is as in its rule.

    skills  `[]` asks for none
    wait    wall clock; unclaimed for so long, it goes on to the next target
    """

    team: OwnTeamName | None = None
    skills: tuple[str, ...] | None = None
    wait: Lease | None = Field(default=None, alias="for")


class RoutingRule(Section):
    """The first that matches says who answers; what it leaves out stays as it came.

    targets  whom it is offered to, one after the other; without them, `team` and `skills` alone
    """

    name: str = Field(min_length=1)
    when: RoutingCondition | None = None
    team: OwnTeamName
    product: ProductName | None = None
    priority: Priority | None = None
    skills: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    targets: Annotated[tuple[RoutingTarget, ...], NotEmpty] = ()

    @model_validator(mode="after")
    def _each_target_goes_on(self) -> RoutingRule:
        for index, target in enumerate(self.targets[:-1]):
            if target.wait is None:
                raise Within(
                    ("targets", index),
                    "has no `for`, so the next is never tried: say how long a case waits there "
                    "unclaimed, such as for: 30m",
                )
        return self


class EscalationRule(Section):
    """One step of an escalation, before or after due, in the calendar of its service level.

    before, after  exactly one of them; a step before that is at or before the start is left out
    notify         who is told
    """

    before: Target | None = None
    after: Target | None = None
    notify: tuple[Recipient, ...] = ()
    priority: Literal["raise"] | None = None
    reassign: Literal["fallback"] | None = None

    @model_validator(mode="after")
    def _one_moment_and_something_to_do(self) -> EscalationRule:
        if (self.before is None) == (self.after is None):
            raise ValueError("give one of before and after: {before: 30m, notify: [team]}")
        if not (self.notify or self.priority or self.reassign):
            raise ValueError(
                "does nothing: give notify: [team, supervisors], priority: raise "
                "or reassign: fallback"
            )
        return self


class ServiceLevelRule(Section):
    """By when, in a calendar: open time for m and h, business days for bd.

    update_every  progress news to the customer at least so often
    warn_before   reminders to the team, counted back from due in the same calendar
    escalate      what else is done before and after due
    """

    name: str = Field(min_length=1)
    when: LevelCondition | None = None
    calendar: WorkingCalendar
    first_response: Target | None = None
    next_response: Target | None = None
    resolution: Target | None = None
    update_every: Target | None = None
    warn_before: tuple[Target, ...] = ()
    escalate: tuple[EscalationRule, ...] = ()

    @model_validator(mode="after")
    def _some_target(self) -> ServiceLevelRule:
        if not any((self.first_response, self.next_response, self.resolution, self.update_every)):
            raise ValueError("has no target: give first_response, such as 4h")
        return self

    @cached_property
    def targets(self) -> Mapping[Metric, Duration]:
        """What is promised, by metric. The next response is as the first by default."""
        promised: dict[Metric, Duration | None] = {
            "first_response": self.first_response,
            "next_response": self.next_response or self.first_response,
            "resolution": self.resolution,
            "update": self.update_every,
        }
        return {metric: target for metric, target in promised.items() if target is not None}


class OnBreach(Section):
    """What a breach does, once a case, for first and next response."""

    notify: tuple[Recipient, ...] = ("team",)
    priority: Literal["raise"] | None = None
    reassign: Literal["fallback"] | None = None

    @property
    def raises_priority(self) -> bool:
        return self.priority == "raise"

    @property
    def reassigns(self) -> bool:
        return self.reassign == "fallback"
