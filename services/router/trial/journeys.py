"""Tells a journey of a policy file to the real core, and says where it went another way. Pure.

Each step is what it would be in service: a message is joined and taken, a deed is decided, and
between the steps every clock that falls due is fired at its own instant. What is sent to a customer
is reported sent at once, and a switch that the policy starts by itself is offered. A step comes
before what falls due at the same instant: a reply in the last moment is in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from services.router.case import Case
from services.router.commands import Command, CustomerFacts, PassTime, ReportDelivery, TakeMessage
from services.router.decide import decide
from services.router.firing import next_fire
from services.router.joining import Joined, join
from services.router.offers import suggestion
from services.router.policy import Policy
from services.router.rules.examples import JourneyStep, Said
from services.router.taking import facts_of
from services.router.trial.deeds import CODE, commands_of
from services.router.trial.outcomes import Came, Told, differences
from shared.channels.table import reply_window
from shared.errors import Refused
from shared.events import (
    DeadlineBreached,
    Identity,
    MessageReceived,
    ReplyRequested,
    Scheme,
    Sender,
    SwitchSuggested,
    Thread,
)

_IDS: Final = UUID("5f0f6c53-6f0e-4b0a-9a3e-0d9f4f6d3a11")
_SCHEMES: Final[Mapping[str, Scheme]] = {
    "email": "email", "whatsapp": "e164", "phone": "e164", "sms": "e164", "messenger": "psid",
    "instagram": "igsid", "x": "x", "teams": "teams", "portal": "customer_no", "webchat": "chat",
    "counter": "customer_no", "internal": "employee_no",
}  # fmt: skip
_MOST_FIRINGS: Final = 10_000  # of one case between two steps


def journey_differences(policy: Policy, steps: Sequence[JourneyStep], index: int) -> Iterator[str]:
    """What came otherwise than expected in the test with this index, each with its line."""
    world = _World(policy)
    for number, step in enumerate(steps):
        line = policy.document.line(("tests", index, "journey", number))
        for difference in differences(policy, step, world.take(step)):
            yield f"line {line}: {difference}"


# --- the world of one journey ------------------------------------------------------------------


@dataclass
class _Known:
    """A customer: their cases, and the one that the last message or deed was about."""

    facts: CustomerFacts
    cases: list[UUID] = field(default_factory=list)
    current: UUID | None = None


class _World:
    """The customers and cases of one journey, and its clock."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._cases: dict[UUID, Case] = {}
        self._told: dict[UUID, Told] = {}
        self._known: dict[str, _Known] = {}
        self._made = 0
        self._now: datetime | None = None

    def take(self, step: JourneyStep) -> Came:
        at = self._policy.instant(step.at)
        now = at if self._now is None else max(at, self._now)
        self._pass_time(now, including=False)
        self._now = now
        joined, refused, without_code = "", None, False
        try:
            if step.given is not None:
                without_code = step.given.code and self._on_offer(step, step.given) is None
                joined = self._hear(step, step.given, now)
            elif step.do is not None:
                self._act(step, now)
        except Refused as error:
            refused = error
        self._pass_time(now, including=True)
        current = self._of(step).current
        if current is None:
            return Came(None, Told(), joined, refused)
        return Came(self._cases[current], self._told[current], joined, refused, without_code)

    def _of(self, step: JourneyStep) -> _Known:
        if step.customer not in self._known:
            self._known[step.customer] = _Known(CustomerFacts(id=self._new_id()))
        return self._known[step.customer]

    def _new_id(self) -> UUID:
        self._made += 1
        return uuid5(_IDS, str(self._made))

    def _decide(self, case_id: UUID, command: Command, now: datetime) -> bool:
        """Whether anything happened."""
        decided = decide(self._cases.get(case_id), case_id, command, self._policy, now)
        told = self._told.setdefault(case_id, Told())
        for decision in decided.decisions:
            if decision.kind == "routing":
                told.rule = decision.rule
            elif decision.kind == "service_level":
                told.level = decision.rule
        self._cases[case_id] = decided.case.pruned()
        for event in [change.event for change in decided.changes]:
            told.breached |= isinstance(event, DeadlineBreached)
            if isinstance(event, ReplyRequested):
                self._decide(case_id, ReportDelivery(event.message_id, "sent", now), now)
            elif isinstance(event, SwitchSuggested):
                self._offer(case_id, event, now)
        return bool(decided.changes)

    def _offer(self, case_id: UUID, event: SwitchSuggested, now: datetime) -> None:
        """What the policy starts by itself; where it cannot be, the case goes on without it."""
        ids = (self._new_id(), self._new_id())
        with suppress(Refused):
            self._decide(case_id, suggestion(self._cases[case_id], event, ids, CODE), now)

    # --- time --------------------------------------------------------------------------------

    def _pass_time(self, until: datetime, *, including: bool) -> None:
        for case_id in list(self._cases):
            self._fire(case_id, until, including=including)

    def _fire(self, case_id: UUID, until: datetime, *, including: bool) -> None:
        """Cases do not act on each other, so each has its time to itself."""
        assert self._now is not None
        now = self._now
        for _ in range(_MOST_FIRINGS):
            at = next_fire(self._cases[case_id], self._policy, now)
            if at is None or at > until or (at == until and not including):
                return
            happened = self._decide(case_id, PassTime(watermark=at), at)
            if not happened and at == now:
                return
            now = at

    # --- messages ----------------------------------------------------------------------------

    def _hear(self, step: JourneyStep, said: Said, now: datetime) -> str:
        """`new` or `same`: where the message went."""
        known = self._of(step)
        facts = _facts(known.facts, said)
        message = self._message(said, step.customer, now)
        mine = [self._cases[case_id] for case_id in known.cases]
        handoff = self._on_offer(step, said)
        joined = handoff[0] if handoff else self._join(message, facts, mine, now)
        case_id = joined.case.id if joined.case is not None else self._new_id()
        command = TakeMessage(
            case_id=case_id, message=message, customer=facts, joined=joined.why,
            marked=joined.marked, handoff_id=handoff[1] if handoff else None,
        )  # fmt: skip
        self._decide(case_id, command, now)
        known.facts = replace(facts, known=True)
        known.current = case_id
        if joined.case is None:
            known.cases.append(case_id)
        return "new" if joined.case is None else "same"

    def _on_offer(self, step: JourneyStep, said: Said) -> tuple[Joined, UUID] | None:
        """The switch whose code a message names."""
        for case_id in reversed(self._of(step).cases if said.code else ()):
            case = self._cases[case_id]
            for offer in case.offers:
                if offer.to_channel == said.channel:
                    return Joined(case, "code"), offer.handoff_id
        return None

    def _join(
        self, message: MessageReceived, facts: CustomerFacts, mine: Sequence[Case], now: datetime
    ) -> Joined:
        def product() -> str:
            return message.product or self._policy.route(facts_of(message, facts), now).product

        return join(
            message, facts.id, threads=(), cases=mine, product_of=product, policy=self._policy,
            now=now,
        )  # fmt: skip

    def _message(self, said: Said, customer: str, now: datetime) -> MessageReceived:
        id = self._new_id()
        written = now if said.at is None else min(self._policy.instant(said.at), now)
        window = reply_window(said.channel)
        identity = Identity(scheme=_SCHEMES[said.channel], value=customer or "customer")
        return MessageReceived(
            id=id,
            account=said.account or said.channel,
            channel=said.channel,
            kind=said.kind,
            provider_event_id=str(id),
            sender=Sender(
                identities=(identity,), authentication=said.message.authentication or "asserted"
            ),
            occurred_at=written,
            received_at=now,
            subject=said.subject,
            text=said.text,
            reply_text=said.text,
            thread=Thread(message_id=str(id)),
            reply_window_closes_at=None if window is None else written + window,
            product=said.product or "",
            priority=said.priority or "",
            attributes=dict(said.attributes),
        )

    # --- deeds -------------------------------------------------------------------------------

    def _act(self, step: JourneyStep, now: datetime) -> None:
        assert step.do is not None
        current = self._of(step).current
        if current is None:
            return
        case = self._cases[current]
        for command in commands_of(step.do, case, self._policy, now, self._new_id):
            self._decide(current, command, now)


def _facts(before: CustomerFacts, said: Said) -> CustomerFacts:
    """What an earlier message told of the customer stays, unless this one says otherwise."""
    told = said.customer.model_dump(include=said.customer.model_fields_set)
    return replace(before, **told)
