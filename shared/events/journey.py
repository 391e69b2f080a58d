"""cases.changed: handoffs, results, promises, and a case that goes to and fro."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from shared.events.body import Event
from shared.values import Attachment, Channel, Target


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
    cost: dict[str, float] = msgspec.field(default_factory=dict)
    answer_url: str = ""


class HandoffAccepted(Event, frozen=True):
    """`consent`: that the customer agreed, where it came with the acceptance; `address`: where
    they can be found on the new channel, where they named it."""

    handoff_id: UUID
    by: str
    how: str = ""
    consent: dict[str, Any] | None = None
    address: str = ""


class HandoffDeclined(Event, frozen=True):
    handoff_id: UUID
    by: str
    reason: str = ""


class HandoffExpired(Event, frozen=True):
    handoff_id: UUID


class SwitchSuggested(Event, frozen=True):
    """The policy starts a switch by itself; the router makes the offer in the same transaction."""

    reason: str
    to_channel: Channel


class ResultRecorded(Event, frozen=True):
    """A named output of a step, valid on every channel. `version` counts from 1 within the name.

    data   what was filled in so far, or all of it; files: references into the blob store
    """

    name: str
    version: int
    state: Literal["draft", "final"]
    author: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    files: tuple[Attachment, ...] = ()


class PromiseMade(Event, frozen=True):
    """Something agreed with the customer.

    kind       `call_back` is kept by reaching them, `answer` by a sent reply, `other` by hand
    remind_at  when to remind whoever made it
    replaces   the promise it renegotiates
    address    of a call back: the number to dial; preferred: when, in the customer's words
    asked_in   the message or the switch by which the customer asked for it: it follows from that
    """

    promise_id: UUID
    kind: Literal["call_back", "answer", "other"]
    what: str
    due_at: datetime
    by: str
    remind_at: tuple[datetime, ...] = ()
    attempts: int = 3
    replaces: UUID | None = None
    words: str = ""
    address: str = ""
    preferred: str = ""
    asked_in: UUID | None = None


class PromiseReminded(Event, frozen=True):
    """One reminder step; `step` counts from 1."""

    promise_id: UUID
    step: int
    due_at: datetime
    expires_at: datetime
    by: str = ""
    notify: tuple[Target, ...] = ()


class PromiseAttempted(Event, frozen=True):
    """They were not reached. `count` of `most` tries; the last one is told to the team."""

    promise_id: UUID
    count: int
    most: int
    outcome: str
    notify: tuple[Target, ...] = ()


class PromiseKept(Event, frozen=True):
    """`late` where it had been broken before: it stays broken, and is over.

    message_id  the reply that kept it
    """

    promise_id: UUID
    how: str
    late: bool = False
    message_id: UUID | None = None


class PromiseRevived(Event, frozen=True):
    """The reply that had kept it did not arrive: it is owed again, to the same time."""

    promise_id: UUID
    reason: str


class PromiseBroken(Event, frozen=True):
    """Its time passed, or all tries were used up (`reason` is `late` or `unreached`)."""

    promise_id: UUID
    due_at: datetime
    reason: str = "late"
    by: str = ""
    notify: tuple[Target, ...] = ()


class PromiseRenegotiated(Event, frozen=True):
    """Another time was agreed; later only with the customer's recorded consent."""

    promise_id: UUID
    by: str
    consent: dict[str, Any] | None = None


class CaseFrozen(Event, frozen=True):
    """People sent it to and fro without a result: it stays with the owner, clocks running on.

    trail  the teams and channels it went over
    """

    owner: str
    reason: str
    trail: tuple[str, ...] = ()
    notify: tuple[Target, ...] = ()


class CaseThawed(Event, frozen=True):
    by: str
    reason: str = ""
