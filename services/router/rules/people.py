"""Who answers and in which hours, who is told and when not, and who the customers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, StrictBool, model_validator

from services.router.openings import Week, week_of
from services.router.rules.section import Section
from services.router.rules.values import (
    CalendarName,
    Count,
    Day,
    Hours,
    IdentityText,
    Language,
    MailAddress,
    OneOrMore,
    OwnTeamName,
    Region,
    Spans,
    TimeOfDay,
    TopicUrl,
    Urgency,
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


NotifyKind = Literal["webhook", "email", "slack", "teams", "ntfy"]
KINDS: Final[tuple[NotifyKind, ...]] = get_args(NotifyKind)
_HOSTS: Final[Mapping[str, NotifyKind]] = {
    "hooks.slack.com": "slack",
    "logic.azure.com": "teams",
    "powerplatform.com": "teams",
    "webhook.office.com": "teams",
    "ntfy.": "ntfy",
}


class Notify(Section):
    """Somebody to tell: exactly one of `webhook`, `email`, `slack`, `teams` and `ntfy`.

    slack        the address of an incoming webhook
    teams        of a workflow that takes a card
    ntfy         of a topic; `priority` is ntfy's, 1 to 5, by default that of the kind of notice
    language     of what people read; by default the file's
    quiet_hours  this recipient's own; by default the file's
    """

    webhook: Url | None = None
    email: MailAddress | None = None
    slack: Url | None = None
    teams: Url | None = None
    ntfy: TopicUrl | None = None
    priority: Urgency | None = None
    language: Language | None = None
    quiet_hours: QuietHours | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_kind(cls, given: Any) -> Any:
        if isinstance(given, str):
            raise ValueError(f"say what it is: write {{{_kind_for(given)}: {given}}}")
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> Notify:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"give one of {', '.join(KINDS)}: {{webhook: https://host/path}}")
        if self.priority is not None and self.ntfy is None:
            raise ValueError("`priority` is for ntfy: leave it out, or give {ntfy: https://…}")
        if self.language is not None and self.webhook is not None:
            raise ValueError("a webhook gets data, which has no language: leave `language` out")
        return self

    @property
    def kind(self) -> NotifyKind:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def address(self) -> str:
        return str(getattr(self, self.kind))


def _kind_for(given: str) -> NotifyKind:
    if "@" in given and "/" not in given:
        return "email"
    return next((kind for part, kind in _HOSTS.items() if part in given), "webhook")


class Supervisors(Section):
    notify: tuple[Notify, ...] = ()


class Team(Section):
    """Who answers.

    calendar      when it works, for those who read the file: deadlines are counted in those of
                  their service levels
    capacity      what an agent has at most, in weights of cases whose clock runs; None: no bound
    give          waiting cases go to its online agents by themselves; else agents take them
    confidential  only members read its cases
    external      a chain partner: gets handoffs by its `notify`, has no agents here
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
