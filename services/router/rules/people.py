"""Who answers and in which hours, who is told and when not, and who the customers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, model_validator

from services.router.openings import Week, week_of
from services.router.rules.section import Section
from services.router.rules.values import (
    CalendarName,
    Count,
    Day,
    Hours,
    IdentityText,
    MailAddress,
    OneOrMore,
    OwnTeamName,
    Region,
    Spans,
    TimeOfDay,
    Url,
    Zone,
)
from shared.events import Priority


class CalendarSection(Section):
    """Opening hours, by default in the file's time zone. Exceptions override holidays."""

    timezone: Zone | None = None
    hours: Hours = Field(default_factory=dict)
    holidays: Annotated[tuple[Region, ...], OneOrMore] = ()
    exceptions: Mapping[Day, Spans] = Field(default_factory=dict)

    def week(self) -> Week:
        return week_of(self.hours)


class QuietHours(Section):
    """No reminders from `start` to `end`; what would come then comes at the end.

    timezone  by default the file's
    spared    the priority from which on nobody is spared; None: quiet for all
    """

    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")
    timezone: Zone | None = None
    spared: Priority | None = Field(default=None, alias="except")

    @model_validator(mode="after")
    def _some_hours(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError(
                f"from {self.start:%H:%M} to {self.end:%H:%M} is no time at all, or all day: "
                'give two times, {from: "20:00", to: "07:00"}'
            )
        return self


class Notify(Section):
    """Somebody to tell: exactly one of `webhook` and `email`.

    quiet_hours  this recipient's own; by default the file's
    """

    webhook: Url | None = None
    email: MailAddress | None = None
    quiet_hours: QuietHours | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_kind(cls, given: Any) -> Any:
        if isinstance(given, str):
            kind = "webhook" if "/" in given or "@" not in given else "email"
            raise ValueError(f"say what it is: write {{{kind}: {given}}}")
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> Notify:
        if (self.webhook is None) == (self.email is None):
            raise ValueError("give one of webhook and email: {webhook: https://host/path}")
        return self

    @property
    def kind(self) -> Literal["webhook", "email"]:
        return "webhook" if self.email is None else "email"

    @property
    def address(self) -> str:
        return self.webhook or self.email or ""


class Supervisors(Section):
    notify: tuple[Notify, ...] = ()


class Team(Section):
    """Who answers.

    calendar      when it works, for those who read the file: deadlines are counted in those of
                  their service levels
    capacity      what an agent has at most, in weights of cases whose clock runs; None: no bound
    give          waiting cases go to its online agents by themselves; else agents take them
    confidential  only members read its cases
    external      a chain partner: gets handoffs by webhook or mail, has no agents here
    """

    calendar: CalendarName | None = None
    fallback: OwnTeamName | None = None
    capacity: Count | None = None
    skills: tuple[str, ...] = ()
    notify: tuple[Notify, ...] = ()
    confidential: StrictBool = False
    external: StrictBool = False
    give: StrictBool = False

    @model_validator(mode="after")
    def _has_agents_to_give_to(self) -> Team:
        if self.external and self.give:
            raise ValueError("an external team has no agents here: leave out `give`, or `external`")
        return self


class Customers(Section):
    """Colleagues by mail domain, and groups by identity; the first group that has one counts."""

    internal_domains: tuple[str, ...] = ()
    groups: Mapping[str, tuple[IdentityText, ...]] = Field(default_factory=dict)
