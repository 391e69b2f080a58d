"""cases.changed: what we say to the customer, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.events.body import Event
from shared.values import Attachment, Channel, DeliveryState, Identity


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
    purpose: Literal["answer", "invitation", "survey", "notice"] = "answer"


class ReplySent(Event, frozen=True):
    """It reached the provider: what it answers is answered, if a person wrote it."""

    message_id: UUID
    provider_id: str = ""


class ReplyFailed(Event, frozen=True):
    """It did not reach the customer. `permitted`: the channels the case may switch to instead."""

    message_id: UUID
    code: str
    reason: str
    permitted: tuple[Channel, ...] = ()


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


class SurveySent(Event, frozen=True):
    """The question after closing, once a case; its answer counts until `expires_at`.

    account  it leaves by this one, where the answer comes back
    scale    the worst and the best score
    """

    message_id: UUID
    channel: Channel
    expires_at: datetime
    account: str = ""
    scale: tuple[int, int] = (1, 5)


class SurveySkipped(Event, frozen=True):
    """Why nobody was asked: the window had closed, they had opted out, no permitted channel; or
    `failed`: the question did not reach them."""

    reason: str


class SurveyAnswered(Event, frozen=True):
    message_id: UUID
    score: int
    comment: str = ""
    channel: Channel = "email"


class SurveyDeclined(Event, frozen=True):
    """They want no such questions, from any case, ever again."""

    message_id: UUID
    channel: Channel
