"""What a policy file may say: every section with its fields. The classes are the format.

A key that is no field here is an error. Everything is immutable. Durations in service levels are
those of their calendar, all others wall clock; see `policy_values` for the kinds of values.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from services.router.openings import Week, week_of
from services.router.policy_values import (
    SUPERVISORS,
    CalendarName,
    Count,
    Day,
    Hours,
    IdentityText,
    Lease,
    LevelCondition,
    LevelName,
    MailAddress,
    Moment,
    NotEmpty,
    OneOrMore,
    OwnerName,
    ProductName,
    ReceiverName,
    Region,
    RoutingCondition,
    RuleName,
    Scale,
    Spans,
    Target,
    TeamName,
    TimeOfDay,
    Url,
    WallClock,
    WorkingCalendar,
    Zone,
)
from shared.durations import Duration
from shared.events import Authentication, Channel, Kind, Metric, Priority

SwitchReason = Literal[
    "agent", "customer", "breach", "window_closing", "call_missed", "form_abandoned",
    "cheaper_channel",
]  # fmt: skip


METRICS: Final[tuple[Metric, ...]] = get_args(Metric)


class Section(BaseModel):
    """One mapping of the file: its keys are the fields, or their aliases, and no others."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


# --- who and when ----------------------------------------------------------------------------


class CalendarSection(Section):
    """Opening hours, by default in the file's time zone. Exceptions override holidays."""

    timezone: Zone | None = None
    hours: Hours = Field(default_factory=dict)
    holidays: Annotated[tuple[Region, ...], OneOrMore] = ()
    exceptions: Mapping[Day, Spans] = Field(default_factory=dict)

    def week(self) -> Week:
        return week_of(self.hours)


class Notify(Section):
    """Somebody to tell: exactly one of its fields."""

    webhook: Url | None = None
    email: MailAddress | None = None

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

    capacity      how many running cases an agent has at most; None: no bound
    confidential  only members read its cases
    external      a chain partner: gets handoffs by webhook or mail, has no agents here
    """

    calendar: CalendarName | None = None
    fallback: TeamName | None = None
    capacity: Count | None = None
    skills: tuple[str, ...] = ()
    notify: tuple[Notify, ...] = ()
    confidential: StrictBool = False
    external: StrictBool = False


class Customers(Section):
    """Colleagues by mail domain, and groups by identity; the first group that has one counts."""

    internal_domains: tuple[str, ...] = ()
    groups: Mapping[str, tuple[IdentityText, ...]] = Field(default_factory=dict)


# --- what about ------------------------------------------------------------------------------


class Result(Section):
    """A named output of a step: who cannot take the case without it, where a draft of it goes on.

    required_for   a handoff to one of these is refused while the result is missing
    switch_points  channels that can pick up a half-finished one
    """

    required_for: tuple[ReceiverName, ...] = ()
    switch_points: tuple[Channel, ...] = ()


class Product(Section):
    results: Mapping[str, Result] = Field(default_factory=dict)


class Joining(Section):
    """How long a message on another channel joins a case, and how long a closed one reopens."""

    window: WallClock = Duration(3, "d")
    reopen: WallClock = Duration(7, "d")


# --- rules -----------------------------------------------------------------------------------


class RoutingRule(Section):
    """The first that matches says who answers; what it leaves out stays as it came."""

    name: str = Field(min_length=1)
    when: RoutingCondition | None = None
    team: TeamName
    product: ProductName | None = None
    priority: Priority | None = None
    skills: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class ServiceLevelRule(Section):
    """By when, in a calendar: open time for m and h, business days for bd.

    update_every  progress news to the customer at least so often
    warn_before   reminders, counted back from due in the same calendar
    """

    name: str = Field(min_length=1)
    when: LevelCondition | None = None
    calendar: WorkingCalendar
    first_response: Target | None = None
    next_response: Target | None = None
    resolution: Target | None = None
    update_every: Target | None = None
    warn_before: tuple[Target, ...] = ()

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

    notify: tuple[Literal["team", "supervisors"], ...] = ("team",)
    priority: Literal["raise"] | None = None
    reassign: Literal["fallback"] | None = None

    @property
    def raises_priority(self) -> bool:
        return self.priority == "raise"

    @property
    def reassigns(self) -> bool:
        return self.reassign == "fallback"


# --- what is sent ----------------------------------------------------------------------------


class QuietHours(Section):
    """No reminders from `start` to `end`, local time of the file, but for one priority and up."""

    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")
    spared: Priority | None = Field(default=None, alias="except")


class Digest(Section):
    """More than `over` reminders for one recipient go out together, `every` so often."""

    over: Count
    every: Lease


class Promises(Section):
    """Agreements with customers: the calendar of call-backs, how often one is tried."""

    calendar: WorkingCalendar | None = None
    attempts: Count = 3
    remind_before: tuple[Lease, ...] = ()


class Survey(Section):
    """A question to the customer, so long after closing, where the channel is one of these."""

    after: WallClock
    channels: tuple[Channel, ...]
    question: str = Field(min_length=1)
    scale: Scale = (1, 5)
    follow_up_below: Count | None = None


class Retention(Section):
    """How long things are kept. None: for ever, but for the log, which forgets by itself."""

    messages: Lease | None = None
    attachments: Lease | None = None
    raw: Lease | None = None
    log: Lease = Duration(7, "d")


# --- switching -------------------------------------------------------------------------------


class SwitchRow(Section):
    """One row of the matrix: a switch from a channel to another, for these reasons.

    product  only for cases of this product; None: of any
    consent  ask the customer on the old channel, or have it recorded before, or none is needed
    hours    only while this calendar is open
    cost     what a contact costs on each channel
    """

    from_channel: Channel = Field(alias="from")
    to_channel: Channel = Field(alias="to")
    reasons: Annotated[tuple[SwitchReason, ...], NotEmpty]
    consent: Literal["ask", "recorded", "none"] = "ask"
    product: ProductName | None = None
    hours: CalendarName | None = None
    cost: Mapping[Channel, Annotated[float, Field(strict=True, ge=0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _two_channels(self) -> SwitchRow:
        if self.from_channel == self.to_channel:
            raise ValueError(f"switches from `{self.from_channel}` to itself")
        return self

    def as_dict(self) -> dict[str, Any]:
        """In the file's own words, without what is empty: for `permitted` in an answer."""
        row = self.model_dump(mode="json", by_alias=True)
        return {key: value for key, value in row.items() if value not in (None, {})}


class Handoff(Section):
    """How long an offer stands, and how long a resume code works."""

    offer_ttl: Lease = Duration(4, "h")
    code_ttl: Lease = Duration(72, "h")


class PingPong(Section):
    """People may send a case on so often; then it stays, and the owner is told."""

    max_hops: Count = 4
    owner: OwnerName = SUPERVISORS


# --- tests -----------------------------------------------------------------------------------


class GivenCustomer(Section):
    group: str = ""
    language: str = ""
    internal: StrictBool = False
    known: StrictBool = False


class GivenMessage(Section):
    authentication: Authentication | Literal[""] = ""


class Given(Section):
    """A made-up event, in the names that conditions use, and the moment it occurs."""

    at: Moment | None = None
    channel: Channel = "email"
    account: str = ""
    kind: Kind = "message"
    subject: str = ""
    text: str = ""
    product: ProductName | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = Field(default_factory=dict)
    customer: GivenCustomer = GivenCustomer()
    message: GivenMessage = GivenMessage()


class Expected(Section):
    """What must come of it; what is left out is not looked at. Deadlines need `at`."""

    rule: RuleName | None = None
    team: TeamName | None = None
    product: ProductName | None = None
    priority: Priority | None = None
    skills: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    service_level: LevelName | None = None
    first_response: Moment | None = None
    next_response: Moment | None = None
    resolution: Moment | None = None
    update: Moment | None = None

    @model_validator(mode="after")
    def _something(self) -> Expected:
        if not self.model_fields_set:
            raise ValueError("expects nothing: give team, product, priority or service_level")
        return self


class PolicyTest(Section):
    """An example that is a requirement. `at` may stand here or among what is given."""

    name: str = Field(min_length=1)
    at: Moment | None = None
    given: Given
    expect: Expected

    @model_validator(mode="after")
    def _deadlines_have_a_start(self) -> PolicyTest:
        wants_deadline = any(getattr(self.expect, metric) for metric in METRICS)
        if wants_deadline and self.moment() is None:
            raise ValueError("expects a deadline but not from when: give at: 2026-11-20T17:10")
        return self

    def moment(self) -> Moment | None:
        return self.given.at or self.at


# --- the file --------------------------------------------------------------------------------


class PolicyFile(Section):
    """The whole file. Teams, routing and service levels must be there; the rest has defaults."""

    name: str = "policy"
    timezone: Zone = ZoneInfo("UTC")
    calendars: Mapping[str, CalendarSection] = Field(default_factory=dict)
    customers: Customers = Customers()
    shared_identities: tuple[IdentityText, ...] = ()
    supervisors: Supervisors = Supervisors()
    teams: Annotated[Mapping[str, Team], NotEmpty]
    products: Mapping[str, Product] = Field(default_factory=dict)
    joining: Joining = Joining()
    routing: Annotated[tuple[RoutingRule, ...], NotEmpty]
    service_levels: Annotated[tuple[ServiceLevelRule, ...], NotEmpty]
    on_breach: OnBreach = OnBreach()
    claim_lease: Lease = Duration(30, "m")
    return_unanswered_after: Lease | None = None
    quiet_hours: QuietHours | None = None
    digest: Digest | None = None
    reply_window_margin: WallClock = Duration(1, "h")
    reply_from: Mapping[Channel, str] = Field(default_factory=dict)
    switches: tuple[SwitchRow, ...] = ()
    handoff: Handoff = Handoff()
    ping_pong: PingPong = PingPong()
    promises: Promises = Promises()
    survey: Survey | None = None
    retention: Retention = Retention()
    tests: tuple[PolicyTest, ...] = ()
