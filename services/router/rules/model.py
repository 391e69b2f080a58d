"""What a policy file may say: every section with its fields. The classes are the format.

A key that is no field is an error. Everything is immutable. Durations in service levels are those
of their calendar, all others wall clock; see `rules/values` for the kinds of values.

    people    calendars, teams, whom to tell and when not, customers
    routing   routing and its targets, service levels and their escalation, breaches
    switches  the matrix of channel switches, handoffs
    templates words instead of the built-in ones
    examples  tests and journeys
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from services.router.rules.examples import Expected, Given, PolicyTest
from services.router.rules.people import (
    CalendarSection,
    Customers,
    Notify,
    QuietHours,
    Supervisors,
    Team,
)
from services.router.rules.routing import (
    METRICS,
    EscalationRule,
    OnBreach,
    RoutingRule,
    RoutingTarget,
    ServiceLevelRule,
)
from services.router.rules.section import Section
from services.router.rules.switches import Handoff, PingPong, SwitchReason, SwitchRow
from services.router.rules.templates import Templates
from services.router.rules.values import (
    Count,
    IdentityText,
    Kept,
    Language,
    Lease,
    NotEmpty,
    ReceiverName,
    Scale,
    WallClock,
    Weight,
    WorkingCalendar,
    Zone,
)
from shared.durations import Duration
from shared.events import Channel

__all__ = [
    "METRICS",
    "CalendarSection",
    "Customers",
    "Digest",
    "EscalationRule",
    "Expected",
    "Given",
    "Handoff",
    "Joining",
    "Notify",
    "OnBreach",
    "PingPong",
    "PolicyFile",
    "PolicyTest",
    "Product",
    "Promises",
    "QuietHours",
    "Result",
    "Retention",
    "RoutingRule",
    "RoutingTarget",
    "Section",
    "ServiceLevelRule",
    "Supervisors",
    "Survey",
    "SwitchReason",
    "SwitchRow",
    "Team",
    "Templates",
]

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


# --- what is sent ----------------------------------------------------------------------------


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
    """A question to the customer, so long after closing, where the channel is one of these.

    rest             nobody is asked twice within this time
    follow_up_below  a lower score opens the case again
    """

    after: WallClock
    channels: tuple[Channel, ...]
    question: str = Field(min_length=1)
    scale: Scale = (1, 5)
    rest: WallClock = Duration(30, "d")
    follow_up_below: Count | None = None


class Retention(Section):
    """How long things are kept. None: for ever, but for the log, which forgets by itself.

    messages       after their case was closed; attachments and raw: after they came
    erasure_delay  between the request to erase a person and its doing: it can be withdrawn
    """

    messages: Kept | None = None
    attachments: Kept | None = None
    raw: Kept | None = None
    log: Kept = Duration(7, "d")
    erasure_delay: WallClock = Duration(14, "d")


# --- the file --------------------------------------------------------------------------------


class PolicyFile(Section):
    """The whole file. Teams, routing and service levels must be there; the rest has defaults.

    language     of what our own people are told, where they ask for no other
    notify_from  the mail account that notices leave by; by default that of `reply_from`, or the
                 only one that sends
    templates    words instead of the built-in ones
    weights      what a running case on a channel counts against its agent's capacity; 1 by default
    """

    name: str = "policy"
    timezone: Zone = ZoneInfo("UTC")
    language: Language = "en"
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
    weights: Mapping[Channel, Weight] = Field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    notify_from: str | None = None
    templates: Templates = Templates()
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
