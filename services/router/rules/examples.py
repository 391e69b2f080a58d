"""The examples of a policy file, which are requirements: what is given, what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from itertools import pairwise
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StrictBool, ValidationInfo, model_validator

from services.router.rules.routing import METRICS
from services.router.rules.section import Section, Within
from services.router.rules.switches import SwitchReason
from services.router.rules.values import (
    LevelName,
    Moment,
    ProductName,
    ReplyChannel,
    RuleName,
    TeamName,
    names_of,
)
from shared.events import Authentication, CaseState, Channel, Kind, Priority

DueMetric = Literal[
    "first_response", "next_response", "resolution", "update", "promise", "reply_window", "none"
]


class Example(Section):
    """What a key without a value says nobody knows: it would look like a check and be none."""

    @model_validator(mode="after")
    def _no_empty_field(self) -> Self:
        for name in sorted(self.model_fields_set):
            if getattr(self, name) is None:
                raise Within((name,), "is empty: give it a value, or leave it out")
        return self


class GivenCustomer(Section):
    group: str = ""
    language: str = ""
    internal: StrictBool = False
    known: StrictBool = False


class GivenMessage(Section):
    authentication: Authentication | Literal[""] = ""


class Given(Example):
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


class Expected(Example):
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


# --- journeys --------------------------------------------------------------------------------


class Said(Given):
    """A customer's message in a journey.

    at    when it was written, where it reached us later; by default as the step
    code  it names the resume code of the switch on offer to that channel
    """

    code: StrictBool = False

    @model_validator(mode="after")
    def _no_tags(self) -> Said:
        if self.tags:
            raise ValueError("no message comes with tags: give what the rules see, such as text")
        return self


class Switch(Section):
    """A switch of channel, offered. `consent`: the customer's is on record."""

    to: Channel
    reason: SwitchReason = "agent"
    consent: StrictBool = False


class Deed(Example):
    """What an agent does: one of these.

    by        who does it, where it is not `claim`
    reply     `true` on the case's own channel, or a channel; it is sent at once
    offer     a transfer to a team that is yet to be accepted or declined
    transfer  the same, accepted at once
    until     when a pause ends by itself
    """

    by: str = "agent"
    claim: str | None = Field(default=None, min_length=1)
    release: StrictBool = False
    reply: ReplyChannel | None = None
    outcome: Literal["reached", "no_answer", "voicemail"] | None = None
    note: str | None = Field(default=None, min_length=1)
    pause: Literal["waiting_customer", "waiting_internal"] | None = None
    until: Moment | None = None
    close: StrictBool = False
    reopen: StrictBool = False
    priority: Priority | None = None
    offer: TeamName | None = None
    transfer: TeamName | None = None
    accept: StrictBool = False
    decline: StrictBool = False
    switch: Switch | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Deed:
        if len(self.named()) != 1:
            raise ValueError(
                "say one thing that is done, such as {claim: jo}, {reply: true} or {close: true}; "
                "two things are two steps"
            )
        if self.until is not None and self.pause is None:
            raise ValueError("`until` is for a pause: {pause: waiting_customer, until: …}")
        return self

    def named(self) -> list[str]:
        """The keys of what is done."""
        done = self.model_fields_set - {"by", "until"}
        return sorted(name for name in done if getattr(self, name) not in (None, False))


class ExpectedThen(Expected):
    """What must be so after a step; what is left out is not looked at.

    case      `new` or `same`: where the message went
    agent     who has the case; "" for nobody
    due       by when it must be answered (effective due), and what says so; `none` for nothing
    breached  whether a clock of the case ever was
    refused   the name of the error that the deed must be refused with
    """

    case: Literal["new", "same"] | None = None
    state: CaseState | None = None
    agent: str | None = None
    due: Moment | None = None
    due_metric: DueMetric | None = None
    breached: StrictBool | None = None
    refused: str | None = None


class JourneyStep(Example):
    """One step of a journey: a message, a deed, or nothing but time until `at`.

    customer  whose; by default one and the same
    """

    at: Moment
    customer: str = ""
    given: Said | None = None
    do: Deed | None = None
    expect: ExpectedThen | None = None

    @model_validator(mode="after")
    def _one_thing_at_a_time(self) -> JourneyStep:
        if self.given is not None and self.do is not None:
            raise ValueError("has both `given` and `do`: make it two steps")
        if self.given is None and self.do is None and self.expect is None:
            raise ValueError("does nothing and expects nothing: give `given`, `do` or `expect`")
        if self.expect is not None and self.expect.refused and self.do is None:
            raise ValueError("`refused` is for what an agent does: give `do`")
        return self


# --- both ------------------------------------------------------------------------------------


class PolicyTest(Section):
    """An example that is a requirement: one event, or a journey.

    at  of one event; it may stand here or among what is given
    """

    name: str = Field(min_length=1)
    at: Moment | None = None
    given: Given | None = None
    expect: Expected | None = None
    journey: tuple[JourneyStep, ...] = ()

    @model_validator(mode="after")
    def _one_event_or_a_journey(self, info: ValidationInfo) -> PolicyTest:
        if self.journey:
            if self.given is not None or self.expect is not None or self.at is not None:
                raise ValueError("has a journey: move `at`, `given` and `expect` into its steps")
            _check_journey(self.journey, names_of(info).timezone)
        elif self.given is None or self.expect is None:
            raise ValueError("is no example: give `given` and `expect`, or a `journey` of steps")
        elif any(getattr(self.expect, metric) for metric in METRICS) and self.moment() is None:
            raise ValueError("expects a deadline but not from when: give at: 2026-11-20T17:10")
        return self

    def moment(self) -> Moment | None:
        return (self.given and self.given.at) or self.at


def _check_journey(steps: Sequence[JourneyStep], zone: ZoneInfo) -> None:
    if steps[0].given is None:
        raise Within(("journey", 0), "a journey begins with what a customer says: give `given`")
    instants = [(s.at if s.at.tzinfo else s.at.replace(tzinfo=zone)).astimezone(UTC) for s in steps]
    for index, (one, other) in enumerate(pairwise(instants), start=1):
        if other < one:
            raise Within(
                ("journey", index, "at"),
                f"comes before the step before it ({other:%H:%M} after {one:%H:%M}, in UTC): put "
                "it in order",
            )
