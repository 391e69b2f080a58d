"""What may be asked of a case: the inputs of `decide`. Names are imperative."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from shared.events import (
    Attachment,
    Channel,
    DeliveryState,
    MessageReceived,
    Priority,
)


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What routing may know of a customer."""

    id: UUID
    group: str = ""
    language: str = ""
    internal: bool = False
    known: bool = False


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """A customer's message joins this case, or opens it.

    joined  why it is here: new, thread, customer, product, code
    marked  why it must be shown with care: other_sender, code_from_elsewhere …
    arrived_at  for what was replayed: when, so that it counts as a late arrival
    """

    case_id: UUID
    message: MessageReceived
    customer: CustomerFacts
    joined: str
    marked: str = ""
    handoff_id: UUID | None = None
    arrived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReviseMessage:
    """A message of the case has other words now; `settled`: and needs no answer."""

    message_id: UUID
    reason: str
    before: str = ""
    after: str = ""
    settled: bool = False


@dataclass(frozen=True, slots=True)
class PassTime:
    """Time passed. `watermark`: everything accepted before it has been handled."""

    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class Claim:
    agent: str


@dataclass(frozen=True, slots=True)
class Release:
    agent: str
    may_release_others: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An agent's answer. `answers` is the case version it was written against.

    senders  the accounts that can send; None: all
    """

    message_id: UUID
    agent: str
    text: str
    answers: int
    channel: Channel | None = None
    template: str = ""
    outcome: Literal["", "reached", "no_answer", "voicemail"] = ""
    occurred_at: datetime | None = None
    attachments: tuple[Attachment, ...] = ()
    senders: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class TakeNote:
    note_id: UUID
    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reopen:
    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChangePriority:
    agent: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class OfferHandoff:
    """A channel switch or a team transfer.

    code         the resume code to invite with (its hash is stored beside the event)
    own_address  our address on the new channel, for the invitation
    """

    handoff_id: UUID
    agent: str
    reason: str
    to_team: str = ""
    to_channel: Channel | Literal[""] = ""
    address: str = ""
    consent: dict[str, Any] | None = None
    results: tuple[str, ...] = ()
    code: str = ""
    own_address: str = ""
    invitation_id: UUID | None = None
    senders: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class AcceptHandoff:
    handoff_id: UUID
    agent: str


@dataclass(frozen=True, slots=True)
class DeclineHandoff:
    handoff_id: UUID
    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReportDelivery:
    """What became of a reply of this case."""

    message_id: UUID
    status: DeliveryState
    at: datetime
    provider_id: str = ""
    code: str = ""
    reason: str = ""


Command = (
    TakeMessage | ReviseMessage | PassTime | Claim | Release | Reply | TakeNote | Close | Reopen
    | ChangePriority | OfferHandoff | AcceptHandoff | DeclineHandoff | ReportDelivery
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """One explanation: which rule, under which policy version, from which inputs (DESIGN 5.7)."""

    kind: str
    rule: str
    policy_version: int
    words: str
    inputs: dict[str, Any] = field(default_factory=dict)
    trail: tuple[dict[str, Any], ...] = ()
