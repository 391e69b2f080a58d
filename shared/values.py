"""The parts events are made of: channels, identities, blobs, and the words for states."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Literal

import msgspec

Channel = Literal[
    "email", "whatsapp", "phone", "sms", "messenger", "instagram", "x", "teams",
    "portal", "webchat", "counter", "internal",
]  # fmt: skip
Kind = Literal[
    "message", "reaction", "edit", "revoke", "call_missed", "voicemail", "call_ended",
    "callback_requested", "form_abandoned", "visit", "bounce", "auto_reply", "unsupported",
]  # fmt: skip
Scheme = Literal[
    "email", "e164", "bsuid", "psid", "igsid", "x", "teams", "customer_no", "employee_no", "chat",
]  # fmt: skip
Authentication = Literal["proven", "asserted"]
Priority = Literal["low", "normal", "high", "urgent"]
CaseState = Literal["open", "waiting_customer", "waiting_internal", "closed"]
Metric = Literal["first_response", "next_response", "resolution", "update"]
DeadlineState = Literal["running", "paused", "met", "breached", "superseded"]
DeliveryState = Literal["accepted", "sent", "delivered", "read", "failed", "unknown"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of an event, without a type of its own."""


class Identity(Value, frozen=True):
    """One address of a person: `value` is normalised by its channel (e164 with `+`, mail lower)."""

    scheme: Scheme
    value: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"


class Sender(Value, frozen=True):
    """Who sent a message. The first identity is where a reply goes.

    authentication  `proven` by the platform, or `asserted` by whoever typed it (DESIGN 1)
    customer_ref    the integrator's own customer number
    former          what the platform itself says they were known by until now
    """

    identities: tuple[Identity, ...]
    authentication: Authentication
    name: str = ""
    customer_ref: str = ""
    former: Identity | None = None


class Blob(Value, frozen=True):
    """Bytes in the blob store. `size` in bytes, `sha256` in hex."""

    ref: str
    size: int
    sha256: str


class Attachment(Value, frozen=True):
    """A file. Either already ours (`blob`), or still with the provider (`url` or `media_id`).

    lost  why it could not be fetched from there: a code and words; empty while there is hope
    """

    name: str
    content_type: str
    size: int | None = None
    blob: Blob | None = None
    url: str = ""
    media_id: str = ""
    content_id: str = ""
    inline: bool = False
    sha256: str = ""
    lost: str = ""


class Thread(Value, frozen=True):
    """How a message hangs together with others on its own channel.

    message_id  its own id there (a mail's Message-ID with its angle brackets, a wamid)
    references  ids it answers, nearest first
    token       our own signed reply token, verified by the channel
    tag         the case a signed tag in the subject names: heeded from its own customer only
    target      for edit, revoke and reaction: the id of the message it is about
    """

    message_id: str = ""
    references: tuple[str, ...] = ()
    token: str = ""
    tag: str = ""
    target: str = ""


class Call(Value, frozen=True):
    """The outcome of one telephone call; `duration` in seconds."""

    outcome: Literal["answered", "missed", "voicemail"]
    duration: int = 0
    direction: Literal["in", "out"] = "in"


class Wording(Value, frozen=True):
    """The policy's own words for one kind of notice, in one language; what is empty is built in."""

    kind: str
    subject: str = ""
    text: str = ""


class Manner(Value, frozen=True):
    """How a notification to a person is put: what the policy says of it where it was decided.

    language  of the words, such as `nl`; empty: English
    zone      in which times are told, such as `Europe/Amsterdam`; empty: UTC
    sender    the mail account it leaves by; empty: the only one that sends
    urgency   what ntfy calls its priority, 1 to 5; 0: by the kind of notice
    words     instead of the built-in ones: of this kind of notice, and of a digest
    own       an agent named the address: it must be a public one
    """

    language: str = ""
    zone: str = ""
    sender: str = ""
    urgency: int = 0
    words: tuple[Wording, ...] = ()
    own: bool = False


class Digest(Value, frozen=True):
    """More than `over` notifications to one target within `every`: the rest leave together, at
    its end. `over` 0: not even one leaves alone."""

    over: int
    every: timedelta


class Quiet(Value, frozen=True):
    """Hours in which somebody is not to be disturbed: every day from `start` up to `end`, which
    may be the next day's, as clocks in `zone` show it (`Europe/Amsterdam`)."""

    start: time
    end: time
    zone: str


class Target(Value, frozen=True):
    """Where a notification goes: one of the policy's `notify` entries.

    not_before  the end of the recipient's quiet hours, where it would come within them
    quiet       those hours, for what is tried again or told together; None: it wakes people
    manner      how it is put; None for a webhook, whose receiver is a program
    digest      when it waits for others; None: it never does
    """

    kind: str
    address: str
    name: str = ""
    not_before: datetime | None = None
    manner: Manner | None = None
    digest: Digest | None = None
    quiet: Quiet | None = None


class Escalation(Value, frozen=True):
    """One step of a clock's escalation: at an instant before or after due, who is told and what
    is done. `notify` names `team` and `supervisors`."""

    at: datetime
    notify: tuple[str, ...] = ()
    raises: bool = False
    reassigns: bool = False
