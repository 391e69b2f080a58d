"""What may be asked of a case: the inputs of `decide`. Names are imperative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from services.router.case import Promise
from services.router.rules.conditions import Facts
from services.router.rules.people import Notify
from shared.durations import Duration
from shared.events import (
    Attachment,
    Channel,
    DeliveryState,
    Identity,
    Kind,
    MessageAdded,
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
class Opening:
    """What an agent who opens a case says of it, beside its first message.

    team       instead of the one that routing names
    parent_id  the case that waits for this one
    fresh      a case of its own, whatever else is open
    """

    by: str
    team: str = ""
    parent_id: UUID | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """A customer's message joins this case, or opens it.

    joined  why it is here: new, thread, customer, product, code
    marked  why it must be shown with care: other_sender, code_from_elsewhere …
    arrived_at  for what was replayed: when, so that it counts as a late arrival
    opening  where an agent registered it for them
    promised  by when another case had promised its answer
    """

    case_id: UUID
    message: MessageReceived
    customer: CustomerFacts
    joined: str
    marked: str = ""
    handoff_id: UUID | None = None
    arrived_at: datetime | None = None
    opening: Opening | None = None
    promised: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReviseMessage:
    """A message of the case has other words now; `settled`: and needs no answer."""

    message_id: UUID
    reason: str
    before: str = ""
    after: str = ""
    settled: bool = False


@dataclass(frozen=True, slots=True)
class HearMore:
    """More is told of a call whose message is in this case.

    message     the call as it stands now, under the id of its message
    kind        what it was said to be this time
    told        what it was said to be before; of that, `stood` is what it was taken for, and
                `before` its words
    handoff_id  whose code the caller had keyed in
    """

    message: MessageReceived
    customer: CustomerFacts
    kind: Kind
    stood: Kind
    told: tuple[Kind, ...]
    before: str = ""
    marked: str = ""
    handoff_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """What a survey's question depends on beside its case.

    opted_out  the customer wants no such questions, or to be forgotten
    asked_at   when they were last asked, about any case
    bouncing   what we wrote to them last on that channel did not arrive
    senders    the accounts that can send; None: all
    templates  those that have a template named `survey`, for a closed reply window
    """

    opted_out: bool = False
    asked_at: datetime | None = None
    bouncing: bool = False
    senders: frozenset[str] | None = None
    templates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PassTime:
    """Time passed. `watermark`: everything accepted before it has been handled; without `asking`
    nobody is asked a survey's question yet. `own`: where the agent who has the case is reminded."""

    watermark: datetime | None
    asking: Asking | None = None
    own: tuple[Notify, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    agent: str


@dataclass(frozen=True, slots=True)
class Release:
    agent: str
    may_release_others: bool = False


@dataclass(frozen=True, slots=True)
class Give:
    """Regie gives the case to an agent of its team."""

    agent: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An agent's answer. `answers` is the case version it was written against.

    senders  the accounts that can send; None: all
    unfit    why `attachments` cannot leave by an account, by its name
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
    unfit: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenCase:
    """An agent begins, to write or to call first: nobody waits for an answer yet.

    account, identity  where the first message goes, and from where
    team               instead of the one that routing names
    reply              the first message, or the outcome of a call that was made
    """

    agent: str
    customer: CustomerFacts
    account: str
    channel: Channel
    subject: str = ""
    text: str = ""
    product: str = ""
    priority: Priority | Literal[""] = ""
    team: str = ""
    identity: Identity | None = None
    reply_window_closes_at: datetime | None = None
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class TakeNote:
    note_id: UUID
    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The case waits for the customer, or for colleagues; `until` brings it back by itself."""

    agent: str
    state: Literal["waiting_customer", "waiting_internal"]
    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """`empty`: nothing is left of it after a split."""

    agent: str
    reason: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Reopen:
    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChangePriority:
    agent: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class Way:
    """Where a customer finds us on a channel.

    account  ours there; address: as customers know it; link: a page of theirs that takes a code
    """

    account: str = ""
    address: str = ""
    link: str = ""


NO_WAY: Final = Way()


@dataclass(frozen=True, slots=True)
class OfferHandoff:
    """A channel switch or a team transfer.

    code  the resume code to invite with (its hash is stored beside the event)
    way   where the customer finds us on the new channel, for the invitation
    partner_token  opens the pack for an external team, which has no key; answer_url holds it
    automatic  the policy starts it, nobody asked: it stands on offer though nothing can be written
    supervisor  who may move a frozen case as well
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
    way: Way = NO_WAY
    invitation_id: UUID | None = None
    senders: frozenset[str] | None = None
    partner_token: str = ""
    answer_url: str = ""
    automatic: bool = False
    supervisor: bool = False


@dataclass(frozen=True, slots=True)
class AcceptHandoff:
    """`by_code`: a switch that the customer accepted by telling an agent the code."""

    handoff_id: UUID
    agent: str
    by_code: bool = False


@dataclass(frozen=True, slots=True)
class DeclineHandoff:
    handoff_id: UUID
    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A partner is done: the case returns to the team that handed it over, with the answer."""

    agent: str
    team: str
    back_to: str
    note_id: UUID
    text: str = ""


@dataclass(frozen=True, slots=True)
class ReportDelivery:
    """What became of a reply of this case."""

    message_id: UUID
    status: DeliveryState
    at: datetime
    provider_id: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReviseCase:
    """A person corrects what the case is about; None leaves a field as it is."""

    agent: str
    product: str | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RecordResult:
    """A named output: a draft may be filled in further, a final one is a new version."""

    agent: str
    name: str
    state: Literal["draft", "final"]
    data: dict[str, Any] = field(default_factory=dict)
    files: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class MakePromise:
    """`due_at`, or `within` of the promises' calendar from now."""

    promise_id: UUID
    agent: str
    kind: Literal["call_back", "answer", "other"]
    what: str = ""
    due_at: datetime | None = None
    within: Duration | None = None


@dataclass(frozen=True, slots=True)
class KeepPromise:
    """Kept in a way that Regie cannot see by itself."""

    promise_id: UUID
    agent: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class RenegotiatePromise:
    """Another time; a later one needs the customer's consent on record."""

    promise_id: UUID
    new_id: UUID
    agent: str
    due_at: datetime | None = None
    within: Duration | None = None
    consent: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Thaw:
    """A supervisor lets a frozen case go on."""

    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaveCase:
    """These messages were joined wrongly and go to another case."""

    agent: str
    message_ids: tuple[UUID, ...]
    to_case: UUID


@dataclass(frozen=True, slots=True)
class Moved:
    """A message as its case took it, what the rules may ask of it, whether it waits."""

    event: MessageAdded
    facts: Facts
    waits: bool


@dataclass(frozen=True, slots=True)
class ReceiveMessages:
    """Messages that were joined to another case wrongly open this one, or join it.

    promised    by when the other case had promised their answer
    call_backs  the calls that these messages asked for
    """

    agent: str
    from_case: UUID
    customer: CustomerFacts
    messages: tuple[Moved, ...]
    subject: str = ""
    promised: datetime | None = None
    call_backs: tuple[Promise, ...] = ()


@dataclass(frozen=True, slots=True)
class MoveCase:
    """The case becomes another customer's."""

    customer_id: UUID
    merge_id: UUID
    reason: str
    agent: str = "regie"


@dataclass(frozen=True, slots=True)
class NoteChild:
    """An internal request of this case was opened, or came to its end."""

    child_id: UUID
    team: str
    closed: bool = False
    reason: str = ""
    agent: str = "regie"


@dataclass(frozen=True, slots=True)
class InheritResult:
    """An internal request of this case came to a final result."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    files: tuple[Attachment, ...] = ()
    agent: str = "regie"


@dataclass(frozen=True, slots=True)
class Forget:
    """The words of the case are about to go."""

    reason: Literal["erasure", "retention"]
    agent: str = "regie"


Command = (
    TakeMessage | ReviseMessage | HearMore | PassTime | Claim | Release | Give | Reply | TakeNote
    | Pause
    | Close | Reopen
    | ChangePriority | ReviseCase | RecordResult | MakePromise | KeepPromise | RenegotiatePromise
    | Thaw | OpenCase | LeaveCase | ReceiveMessages | MoveCase | NoteChild | InheritResult
    | OfferHandoff | AcceptHandoff | DeclineHandoff
    | ReportDelivery | GiveBack | Forget
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
