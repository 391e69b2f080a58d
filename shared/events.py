"""What travels on the topics: typed bodies, and their CloudEvents 1.0 envelope.

A body's `type` is its class name, dotted at the first word: `CaseOpened` is `case.opened`. Bodies
are msgspec structs (docs/adr/0006): the router decodes and encodes thousands a second. A field
added here must have a default, so that an older event still reads.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from shared.values import (
    Attachment,
    Authentication,
    Blob,
    Call,
    CaseState,
    Channel,
    DeadlineState,
    DeliveryState,
    Identity,
    Kind,
    Metric,
    Priority,
    Scheme,
    Sender,
    Target,
    Thread,
    Value,
)  # fmt: skip

__all__ = [
    "RANK", "UNVERSIONED", "Attachment", "Authentication", "Blob", "Body", "Call", "CaseAssigned",
    "CaseChanged", "CaseClaimed", "CaseClosed", "CaseEvent", "CaseOpened", "CasePriorityChanged",
    "CaseReleased", "CaseReopened", "CaseRouted", "CaseState", "Channel", "DeadlineAtRisk",
    "DeadlineBreached", "DeadlineMet", "DeadlinePaused", "DeadlineResumed", "DeadlineStarted",
    "DeadlineState", "DeadlineSuperseded", "DeadlineWarned", "DeliveryReported", "DeliveryState",
    "DeliveryStatusChanged", "DeliveryStatusReceived", "Event", "HandoffAccepted",
    "HandoffDeclined", "HandoffExpired", "HandoffOffered", "HeartbeatSent", "Identity", "Kind",
    "MessageAdded", "MessageReceived", "MessageRevised", "Metric", "NoteAdded", "Priority",
    "ReplyDoubtful", "ReplyFailed", "ReplyRecorded", "ReplyRequested", "ReplySent", "Scheme",
    "Sender", "Target", "Thread", "Value", "type_name",
]  # fmt: skip

# A later state never gives way to an earlier one; `failed` is final from any state but `read`.
RANK: Final[dict[str, int]] = {
    "pending": 0, "accepted": 1, "unknown": 1, "sent": 2, "delivered": 3, "failed": 4, "read": 5,
}  # fmt: skip


@cache
def type_name(class_name: str) -> str:
    """`DeliveryStatusReceived` → `delivery.status_received`."""
    first, *rest = re.findall(r"[A-Z][a-z0-9]*", class_name)
    return f"{first.lower()}.{'_'.join(word.lower() for word in rest)}"


class Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=type_name
):
    """The body of something that happened."""


# --- messages.received -----------------------------------------------------------------------


class MessageReceived(Event, frozen=True):
    """One inbound contact, parsed; or, with `echo`, a reply typed in the provider's own app.

    text                   all of it, readable; `reply_text` is the same without quoted history
    occurred_at            the provider's signed time, never later than `received_at`
    reply_window_closes_at until when the channel lets us answer freely
    raw                    the provider's own item (small JSON), or in `raw_blob` its raw bytes
    text_blob, html_blob   bodies over 256 kB (text then holds the first 10,000 characters); HTML
    """

    id: UUID
    account: str
    channel: Channel
    kind: Kind
    provider_event_id: str
    sender: Sender
    occurred_at: datetime
    received_at: datetime
    recipient: str = ""
    subject: str = ""
    text: str = ""
    reply_text: str = ""
    language: str = ""
    thread: Thread = Thread()
    attachments: tuple[Attachment, ...] = ()
    automatic: bool = False
    echo: bool = False
    shared_sender: bool = False
    reply_window_closes_at: datetime | None = None
    product: str = ""
    priority: Priority | Literal[""] = ""
    draft: dict[str, Any] | None = None
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    call: Call | None = None
    text_blob: Blob | None = None
    html_blob: Blob | None = None
    raw: Any = None
    raw_blob: Blob | None = None


class HeartbeatSent(Event, frozen=True):
    """Written by the router to each partition every 5 s, so that idle partitions advance."""

    partition: int
    sent_at: datetime


# --- deliveries.reported ---------------------------------------------------------------------


class DeliveryStatusReceived(Event, frozen=True):
    """A provider's word on a message we sent. `correlation` is our own id where it echoes one."""

    id: UUID
    account: str
    provider_id: str
    status: DeliveryState
    at: datetime
    correlation: str = ""
    code: str = ""
    reason: str = ""


class DeliveryReported(Event, frozen=True):
    """The notifier's word on one delivery. `dropped` means it was stale and never left."""

    delivery_id: UUID
    case_id: UUID
    effect: str
    status: Literal["sent", "failed", "unknown", "dropped"]
    at: datetime
    message_id: UUID | None = None
    account: str = ""
    provider_id: str = ""
    code: str = ""
    reason: str = ""


# --- cases.changed ---------------------------------------------------------------------------


class CaseOpened(Event, frozen=True):
    customer_id: UUID
    account: str
    channel: Channel
    subject: str
    team: str
    product: str
    priority: Priority
    rule: str
    policy_version: int
    tags: tuple[str, ...] = ()
    group: str = ""
    internal: bool = False
    stirred: bool = True
    parent_id: UUID | None = None


class MessageAdded(Event, frozen=True):
    """An inbound message joined the case. `joined` says why: thread, customer, product, code …

    unanswered   it waits for an answer (a reaction, an auto-reply or a read receipt does not)
    reply_to     where an answer to it goes
    answer_by    the reply window's end less the policy's margin
    arrived_at   for what was replayed: when; else it arrived when it was received
    rule         the service level that promises an answer to it
    """

    message_id: UUID
    account: str
    channel: Channel
    kind: Kind
    occurred_at: datetime
    received_at: datetime
    authentication: Authentication
    joined: str
    unanswered: bool
    preview: str = ""
    subject: str = ""
    reply_to: Identity | None = None
    references: tuple[str, ...] = ()
    reply_window_closes_at: datetime | None = None
    answer_by: datetime | None = None
    arrived_at: datetime | None = None
    rule: str = ""
    marked: str = ""


class MessageRevised(Event, frozen=True):
    """More is known of a message: a call's better outcome, an edit, a withdrawal.

    settled           it waits no more, and nobody had to answer it
    subject, preview  what the case shows instead, where it showed the message's old words
    """

    message_id: UUID
    reason: str
    settled: bool = False
    subject: str | None = None
    preview: str | None = None


class CaseRouted(Event, frozen=True):
    """The first message with work in it: what came before it (a thumb up, a newsletter) had
    opened the case without telling what it is about."""

    team: str
    product: str
    priority: Priority
    subject: str
    rule: str
    policy_version: int
    tags: tuple[str, ...] = ()


class CaseAssigned(Event, frozen=True):
    """Another team or agent has the case. `automatic` moves do not count as ping-pong."""

    team: str
    reason: str
    agent: str = ""
    automatic: bool = False


class CasePriorityChanged(Event, frozen=True):
    priority: Priority
    reason: str


class CaseClaimed(Event, frozen=True):
    agent: str
    until: datetime


class CaseReleased(Event, frozen=True):
    agent: str
    reason: str


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


class DeadlineWarned(Event, frozen=True):
    """One reminder step. `step` counts from 1; a delivery of it is stale after `expires_at`."""

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


class ReplyRequested(Event, frozen=True):
    """An agent's (or our own) message to the customer, for the notifier to send.

    answers    the case version whose messages it answers; 0 for what answers nothing
    human      typed by a person: only then it stops a clock
    secret     `text` holds a code: the notifier forgets it once sent
    """

    message_id: UUID
    account: str
    channel: Channel
    recipient: Identity
    text: str
    answers: int
    human: bool
    author: str
    subject: str = ""
    references: tuple[str, ...] = ()
    template: str = ""
    attachments: tuple[Attachment, ...] = ()
    reply_window_closes_at: datetime | None = None
    secret: bool = False


class ReplySent(Event, frozen=True):
    """It reached the provider: what it answers is answered, if a person wrote it."""

    message_id: UUID
    provider_id: str = ""


class ReplyFailed(Event, frozen=True):
    message_id: UUID
    code: str
    reason: str


class ReplyDoubtful(Event, frozen=True):
    """Nobody knows whether it was delivered; a person must look before it is sent again."""

    message_id: UUID
    reason: str


class ReplyRecorded(Event, frozen=True):
    """An answer given outside Regie: a call's outcome, or a reply typed in the provider's app."""

    message_id: UUID
    channel: Channel
    author: str
    occurred_at: datetime
    answers: int
    account: str = ""
    provider_id: str = ""
    outcome: Literal["", "reached", "no_answer", "voicemail"] = ""
    text: str = ""


class DeliveryStatusChanged(Event, frozen=True):
    message_id: UUID
    status: DeliveryState
    code: str = ""
    reason: str = ""


class NoteAdded(Event, frozen=True):
    note_id: UUID
    author: str
    text: str


class CaseClosed(Event, frozen=True):
    author: str
    reason: str = ""


class CaseReopened(Event, frozen=True):
    reason: str


class HandoffOffered(Event, frozen=True):
    """A channel switch or a team transfer on offer; the old side keeps the case until accepted."""

    handoff_id: UUID
    reason: str
    author: str
    expires_at: datetime
    from_team: str
    from_channel: Channel
    to_team: str = ""
    to_channel: Channel | Literal[""] = ""
    address: str = ""
    consent: dict[str, Any] | None = None
    code_expires_at: datetime | None = None
    results: tuple[str, ...] = ()
    notify: tuple[Target, ...] = ()


class HandoffAccepted(Event, frozen=True):
    handoff_id: UUID
    by: str
    how: str = ""


class HandoffDeclined(Event, frozen=True):
    handoff_id: UUID
    by: str
    reason: str = ""


class HandoffExpired(Event, frozen=True):
    handoff_id: UUID


CaseEvent = (
    CaseOpened | CaseRouted | MessageAdded | MessageRevised
    | CaseAssigned | CasePriorityChanged | CaseClaimed | CaseReleased
    | DeadlineStarted | DeadlineSuperseded | DeadlineMet | DeadlinePaused | DeadlineResumed
    | DeadlineWarned | DeadlineAtRisk | DeadlineBreached
    | ReplyRequested | ReplySent | ReplyFailed | ReplyDoubtful | ReplyRecorded
    | DeliveryStatusChanged | NoteAdded | CaseClosed | CaseReopened
    | HandoffOffered | HandoffAccepted | HandoffDeclined | HandoffExpired
)  # fmt: skip

# These say something about the case without changing what an agent would act on: they do not
# count in its version (DESIGN 6).
UNVERSIONED: Final = (DeliveryStatusChanged, DeadlineWarned, DeadlineAtRisk)


class CaseChanged(Event, frozen=True):
    """One event of one case, with its place in the case's history.

    seq      counts all events of the case, from 1
    version  counts those that matter to someone acting on it: the ETag
    actor    an agent's name, `customer`, `clock` or `regie`
    """

    case_id: UUID
    seq: int
    version: int
    at: datetime
    actor: str
    customer_id: UUID
    team: str
    channel: Channel
    event: CaseEvent


Body = MessageReceived | HeartbeatSent | DeliveryStatusReceived | DeliveryReported | CaseChanged
