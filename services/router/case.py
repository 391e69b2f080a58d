"""A case as deciding sees it. How each event changes it stands in `evolve`. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from shared import events as ev
from shared.events import (
    CaseState,
    Channel,
    Escalation,
    Identity,
    Kind,
    Metric,
    Priority,
    Value,
)

FAR: Final = datetime.fromisoformat("9999-01-01T00:00:00+00:00")  # "never", for what sorts by due
PRIORITIES: Final[tuple[Priority, ...]] = ("urgent", "high", "normal", "low")
SPOKEN: Final = frozenset(("phone", "counter"))  # an agent speaks there; nothing can be sent
ANSWERS: Final[tuple[Metric, ...]] = ("first_response", "next_response")
WORK: Final[tuple[Metric, ...]] = ("resolution", "update")


class Deadline(Value, frozen=True):
    """One clock. Ended ones stay until the case is saved, so that their rows are written.

    priority       the case's when it began
    team, channel  the case's when it was breached
    agent          who answered in the end, or closed the case; empty where nobody did
    """

    number: int
    metric: Metric
    state: ev.DeadlineState
    started_at: datetime
    due_at: datetime
    rule: str
    policy_version: int
    calendar: str = ""
    warn_at: tuple[datetime, ...] = ()
    step: int = 0
    at_risk: str = ""
    words: str = ""
    late: bool = False
    escalations: tuple[Escalation, ...] = ()
    escalated: int = 0
    priority: Priority = "normal"
    team: str = ""
    channel: Channel | Literal[""] = ""
    agent: str = ""
    paused_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def live(self) -> bool:
        return self.ended_at is None


class Unanswered(Value, frozen=True):
    """A customer's message waiting for an answer.

    version      the case version it came with: a reply that names a later one has seen it
    received_at  when it reached us; what was due already then arrived late
    rule         the service level it was promised by
    """

    version: int
    at: datetime
    message_id: UUID | None = None
    received_at: datetime | None = None
    rule: str = ""
    kind: Kind = "message"


class Pending(Value, frozen=True):
    """A reply accepted from an agent and not yet reported sent.

    doubtful  nobody knows whether it left; should it turn out sent after all, it counts
    """

    message_id: UUID
    accepted_at: datetime
    answers: int
    human: bool
    doubtful: bool = False
    author: str = ""


class Answered(Value, frozen=True):
    """What a reply answered, kept a while: a late bounce makes it unanswered again.

    answers   the version it named; promised: the earliest promise it kept
    """

    message_id: UUID
    waiting: tuple[Unanswered, ...]
    answers: int = 0
    promised: datetime | None = None
    author: str = ""


class Route(Value, frozen=True):
    """Where an answer on one channel goes."""

    account: str
    identity: Identity
    references: tuple[str, ...] = ()
    window_closes_at: datetime | None = None
    answer_by: datetime | None = None


class Offer(Value, frozen=True):
    """A handoff not yet accepted."""

    handoff_id: UUID
    expires_at: datetime
    to_team: str = ""
    to_channel: Channel | Literal[""] = ""
    address: str = ""
    author: str = ""


class Promise(Value, frozen=True):
    """Something agreed with the customer, until it is kept, renegotiated, or the case closes.

    state     `broken` is still owed: it waits on top until somebody keeps it
    attempts  how often they were tried and not reached, of `most`
    made_at   what was said or tried before then has nothing to do with it
    address   of a call back: the number to dial; preferred: when they would like it
    asked_in  the message or the switch by which the customer asked for it
    """

    id: UUID
    kind: Literal["call_back", "answer", "other"]
    what: str
    due_at: datetime
    by: str
    state: Literal["open", "broken"] = "open"
    remind_at: tuple[datetime, ...] = ()
    step: int = 0
    attempts: int = 0
    most: int = 3
    made_at: datetime | None = None
    address: str = ""
    preferred: str = ""
    asked_in: UUID | None = None


class Kept(Value, frozen=True):
    """A promise that a reply kept, a while: should the reply bounce, it is owed again."""

    promise: Promise
    message_id: UUID


class Result(Value, frozen=True):
    """The newest version of a named output; what it holds stands in its own row.

    finals  how many of its versions were final
    """

    name: str
    version: int
    state: Literal["draft", "final"]
    finals: int = 0


class Hop(Value, frozen=True):
    """A person sent it on: to another team, or the customer to another channel.

    results  how many final results there were then: one more in between, and it is no ping-pong
    """

    kind: Literal["team", "channel"]
    left: str
    to: str
    results: int = 0


class Child(Value, frozen=True):
    """An internal request of this case that another team has not finished."""

    case_id: UUID
    team: str
    since: datetime


class Asked(Value, frozen=True):
    """The survey's question, and until when a score counts as its answer.

    over  they answered it, or want no such questions
    """

    message_id: UUID
    channel: Channel
    expires_at: datetime
    account: str = ""
    scale: tuple[int, int] = (1, 5)
    asked_at: datetime | None = None
    over: bool = False


class Case(Value, frozen=True):
    """The customer's matter, folded from its events.

    given_at  since when the present agent has it; active_at: when an agent last worked on it
    skills    what an agent must have to be offered it; step: the target of its routing rule that
              holds, until relax_at unless somebody takes it
    returned_by  who let it go last, until the customer writes again or somebody else has it
    wakes_at  when a pause ends by itself
    level     the service level of the newest message; known: the customer had been here before
    language  the customer's, `nl`; empty where it is not known
    hops      since it was opened, reopened or thawed; hopped: how many in all
    closed_by the person who did; empty for what only was left over by a split
    matters   how many messages with work in them it had; what an agent opened counts as one
    tried     calls in vain since somebody of ours reached them
    survey    until somebody of ours writes again; surveyed: asked or passed over, once a case
    erased    its person was: nothing is done on it any more
    """

    id: UUID
    customer_id: UUID
    account: str
    channel: Channel
    subject: str
    team: str
    priority: Priority
    product: str
    rule: str
    opened_at: datetime
    touched_at: datetime
    group: str = ""
    internal: bool = False
    seq: int = 0
    version: int = 0
    state: CaseState = "open"
    agent: str = ""
    preview: str = ""
    tags: tuple[str, ...] = ()
    claim_until: datetime | None = None
    given_at: datetime | None = None
    returned_by: str = ""
    active_at: datetime | None = None
    skills: tuple[str, ...] = ()
    step: int = 0
    relax_at: datetime | None = None
    wakes_at: datetime | None = None
    answered_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    parent_id: UUID | None = None
    escalated: bool = False
    stirred: bool = True
    unanswered: tuple[Unanswered, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    pending: tuple[Pending, ...] = ()
    answered: tuple[Answered, ...] = ()
    routes: dict[str, Route] = msgspec.field(default_factory=dict)
    offers: tuple[Offer, ...] = ()
    promises: tuple[Promise, ...] = ()
    kept: tuple[Kept, ...] = ()
    results: tuple[Result, ...] = ()
    hops: tuple[Hop, ...] = ()
    hopped: int = 0
    frozen: str = ""
    children: tuple[Child, ...] = ()
    split_from: UUID | None = None
    survey: Asked | None = None
    surveyed: bool = False
    suggested: tuple[str, ...] = ()
    level: str = ""
    known: bool = False
    language: str = ""
    matters: int = 0
    tried: int = 0
    erased: bool = False

    @property
    def waiting_since(self) -> datetime | None:
        """The oldest message nobody answered yet."""
        return min((message.at for message in self.unanswered), default=None)

    @property
    def running(self) -> tuple[Deadline, ...]:
        return tuple([d for d in self.deadlines if d.ended_at is None])

    def carries(self, message_id: UUID) -> bool:
        """Whether this is a person's reply that is on its way, or that answered something."""
        return any(p.message_id == message_id and p.human for p in self.pending) or any(
            a.message_id == message_id for a in self.answered
        )

    def clock(self, *metrics: Metric) -> Deadline | None:
        """The live deadline of one of these metrics."""
        for deadline in self.deadlines:
            if deadline.ended_at is None and deadline.metric in metrics:
                return deadline
        return None

    def effective_due(self) -> tuple[datetime, str]:
        """What the queue sorts by: the least live deadline, promise or reply-window bound, and its
        name.

        What is breached or broken still waits for its answer and keeps the case on top.
        """
        dues: list[tuple[datetime, str]] = [
            (d.due_at, d.metric)
            for d in self.deadlines
            if d.ended_at is None and d.state != "paused"
        ]
        dues.extend((promise.due_at, "promise") for promise in self.promises)
        route = self.routes.get(self.channel)
        if self.unanswered and route is not None and route.answer_by is not None:
            dues.append((route.answer_by, "reply_window"))
        return min(dues, default=(FAR, ""))

    def pruned(self) -> Case:
        """As stored: without the deadlines that ended."""
        running = self.running
        return self if len(running) == len(self.deadlines) else replace(self, deadlines=running)
