"""cases.changed: the case itself, its messages, whose it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.events.body import Event
from shared.values import Authentication, Channel, Identity, Kind, Priority


class CaseOpened(Event, frozen=True):
    """`skills` are those the first target of its rule asks for; `relax_at`: until when.

    opened_by  the agent who began it, else empty: then the customer's message did
    reply_to, reply_window_closes_at  of a contact that an agent began: where they write to, and
               until when the channel lets them do so freely
    """

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
    skills: tuple[str, ...] = ()
    relax_at: datetime | None = None
    split_from: UUID | None = None
    opened_by: str = ""
    known: bool = False
    reply_to: Identity | None = None
    reply_window_closes_at: datetime | None = None


class MessageAdded(Event, frozen=True):
    """An inbound message joined the case. `joined` says why: thread, customer, product, code …

    unanswered   it waits for an answer (a reaction, an auto-reply or a read receipt does not)
    reply_to     where an answer to it goes
    answer_by    the reply window's end less the policy's margin
    arrived_at   for what was replayed: when; else it arrived when it was received
    rule         the service level that promises an answer to it
    language     the customer's, where it is known and the message is surely theirs
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
    language: str = ""


class MessageRevised(Event, frozen=True):
    """More is known of a message: a call's better outcome, an edit, a withdrawal.

    settled           it waits no more, and nobody had to answer it
    subject, preview  what the case shows instead, where it showed the message's old words
    kind              of a call: what it was said to be this time; its promises count as well
    occurred_at       of a call: since when it is known to have been, where that is earlier
    """

    message_id: UUID
    reason: str
    settled: bool = False
    subject: str | None = None
    preview: str | None = None
    kind: Kind | None = None
    occurred_at: datetime | None = None


class MessageSplit(Event, frozen=True):
    """A message went to another case: the joining was wrong, and is undone."""

    message_id: UUID
    to_case: UUID
    by: str


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
    skills: tuple[str, ...] = ()
    relax_at: datetime | None = None


class CaseRevised(Event, frozen=True):
    """A person corrected what the case is about."""

    product: str
    tags: tuple[str, ...]
    by: str


class CaseAssigned(Event, frozen=True):
    """Another team or agent has the case, or others may take it.

    automatic  nobody chose it: it does not count as ping-pong
    skills     what an agent must have to be offered it
    step       which target of its routing rule holds, counted from 0; until `relax_at`
    until      for how long it is the agent's, where Regie gave it
    """

    team: str
    reason: str
    agent: str = ""
    automatic: bool = False
    skills: tuple[str, ...] = ()
    step: int = 0
    relax_at: datetime | None = None
    until: datetime | None = None


class CasePriorityChanged(Event, frozen=True):
    priority: Priority
    reason: str


class CaseClaimed(Event, frozen=True):
    agent: str
    until: datetime


class CaseReleased(Event, frozen=True):
    agent: str
    reason: str


class CaseMoved(Event, frozen=True):
    """The case is another customer's: two records were merged, or a merge was undone."""

    customer_id: UUID
    from_customer: UUID
    merge_id: UUID
    reason: str


class ChildOpened(Event, frozen=True):
    """An internal request of this case: it waits on another team since then."""

    child_id: UUID
    team: str


class ChildClosed(Event, frozen=True):
    child_id: UUID
    team: str
    reason: str = ""


class NoteAdded(Event, frozen=True):
    note_id: UUID
    author: str
    text: str


class CasePaused(Event, frozen=True):
    """The case waits for the customer or for colleagues; at `until` it comes back by itself."""

    state: Literal["waiting_customer", "waiting_internal"]
    author: str
    reason: str = ""
    until: datetime | None = None


class CaseResumed(Event, frozen=True):
    """It waits no more: somebody took it up, its time came, or news is due to the customer."""

    reason: str


class CaseClosed(Event, frozen=True):
    """It is over, and so are its clocks.

    empty     nothing is left of it, its messages went to another case
    promised  the earliest promise that was open: a reply still on its way may fail yet
    """

    author: str
    reason: str = ""
    empty: bool = False
    promised: datetime | None = None


class CaseReopened(Event, frozen=True):
    reason: str


class CaseForgotten(Event, frozen=True):
    """The words of the case are gone: the person was erased, or the policy keeps them no longer.

    Who has a copy of them drops it. `erasure`: the addresses are gone too, and nothing more is done
    on the case.
    """

    reason: Literal["erasure", "retention"]
