"""Web chat: what an account allows, and what a visitor's page posts. Pure.

No provider stands behind it: the visitor's page speaks to `POST /v1/chat/{account}/…` itself
(docs/channels/webchat.md). A visitor is known by the session, identity `chat`. The mail address
they leave is their own word; only a token that the integrator signed (`webchat_proof`) proves more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.accounts import Account
from shared.blobs import blob_for
from shared.channels import NewBlob, Rate
from shared.channels.bodies import file_name
from shared.channels.webchat_posted import PostedLine
from shared.durations import Duration
from shared.errors import Forbidden, TooLarge
from shared.events import Attachment, Identity, MessageReceived, Sender, Thread
from shared.ids import event_id

_RATES: Final[Mapping[str, str]] = {
    "session": "30/1m", "address": "240/1m", "account": "6000/1m", "sessions": "20/10m",
}  # fmt: skip
_STREAMS: Final = 100


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What the channels file says of a web chat, with what holds where it is silent.

    origins         the pages that may speak to it; without any its doors are closed
    lifetime        how long a session lasts after the visitor's last word
    follow_up_after how long an answer may stay unread before it goes by mail
    follow_up_from  the mail account it then leaves by; empty: it does not
    max_text        characters of one line; max_size: bytes of its files together
    proxies         reverse proxies of ours whose `X-Forwarded-For` names the visitor's address
    limits          requests by `session`, `address` and `account`, and new `sessions` an address
    streams         open event streams from one address
    """

    origins: frozenset[str]
    lifetime: timedelta
    follow_up_after: timedelta
    follow_up_from: str
    max_text: int
    max_size: int
    proxies: int
    limits: Mapping[str, Rate]
    streams: int


def takes_chats(account: Account) -> bool:
    """Whether visitors may speak to it; else it is a door for an integrator's own messages."""
    return account.channel == "webchat" and bool(account.settings.get("origins"))


def settings_of(account: Account) -> ChatSettings:
    given = account.settings
    rates = {**_RATES, **given.get("limits", {})}
    return ChatSettings(
        origins=frozenset(given.get("origins", ())),
        lifetime=_long(given.get("session_lifetime", "1d")),
        follow_up_after=_long(given.get("follow_up_after", "5m")),
        follow_up_from=given.get("follow_up_from", ""),
        max_text=given.get("max_text", 4_000),
        max_size=given.get("max_size", 5_000_000),
        proxies=given.get("proxies", 0),
        limits={name: _rate(rates[name]) for name in _RATES},
        streams=rates.get("streams", _STREAMS),
    )


def admit(headers: Mapping[str, str], settings: ChatSettings) -> str:
    """The origin a page may be told it comes from; empty for what is no browser. Raises Forbidden.

    A browser names the origin of every request to another host, and says by `Sec-Fetch-Site` that
    it is one (Fetch standard, 2.2.7; Fetch Metadata 2.4). Programs can claim any: limits are there
    for them.
    """
    origin = headers.get("origin", "").lower()
    if origin:
        if origin in settings.origins:
            return origin
        raise Forbidden(
            f"pages of {origin[:100]} may not use this chat: add it to the account's `origins`",
            name="origin-not-listed",
        )
    site = headers.get("sec-fetch-site")
    host = headers.get("host", "").lower()
    own = site == "same-origin" and any(o.endswith(f"://{host}") for o in settings.origins)
    if site is None or own:
        return ""
    raise Forbidden(
        "a browser must name its origin: call this by fetch from a page of the account's `origins`",
        name="origin-missing",
    )


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever holds a session.

    customer_ref  the integrator's own number of them, proven by its signature; empty: unproven
    email_proven  the signature covers the mail address too
    """

    session: UUID
    name: str = ""
    email: str = ""
    language: str = ""
    page: str = ""
    customer_ref: str = ""
    email_proven: bool = False

    @property
    def sender(self) -> Sender:
        known = [Identity(scheme="chat", value=str(self.session))]
        mail = Identity(scheme="email", value=self.email) if self.email else None
        if self.customer_ref:
            known.append(Identity(scheme="customer_no", value=self.customer_ref))
            if mail and self.email_proven:
                known.append(mail)
            return Sender(
                identities=tuple(known), authentication="proven", name=self.name,
                customer_ref=self.customer_ref,
            )  # fmt: skip
        if mail:
            known.append(mail)
        return Sender(identities=tuple(known), authentication="asserted", name=self.name)


def line_id(account: str, session: UUID, seq: int) -> UUID:
    """The message's id: a line posted again is the same message, whatever became of the answer."""
    return event_id(account, f"{session}-{seq}", "message")


def files_in(line: PostedLine, settings: ChatSettings) -> tuple[list[Attachment], list[NewBlob]]:
    """Raises TooLarge where they take more than the account allows."""
    if sum(len(file.content) for file in line.attachments) > settings.max_size:
        raise TooLarge(f"files may take {settings.max_size} bytes together: send fewer")
    attachments, blobs = [], []
    for number, file in enumerate(line.attachments, start=1):
        blob = blob_for(file.content)
        name = file_name(file.name) or f"file {number}"
        attachments.append(
            Attachment(
                name=name, content_type=file.content_type, size=blob.size, blob=blob,
                sha256=blob.sha256,
            )
        )  # fmt: skip
        blobs.append(NewBlob(blob.ref, file.content))
    return attachments, blobs


def fingerprint(text: str, files: Sequence[Attachment]) -> bytes:
    """What tells one line from another under the same number."""
    said = "\x1e".join((text, *(f"{f.name}\x1f{f.content_type}\x1f{f.sha256}" for f in files)))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()


def message_of(
    visitor: Visitor,
    account: Account,
    line: PostedLine,
    files: Sequence[Attachment],
    *,
    received_at: datetime,
    before: str = "",
) -> MessageReceived:
    """A visitor's line as an event. `before`: the name of the line before it, since a session is
    one thread."""
    name = f"{visitor.session}-{line.seq}"
    attributes: dict[str, Any] = {"session": str(visitor.session)}
    if visitor.page:
        attributes["page"] = visitor.page
    return MessageReceived(
        id=line_id(account.name, visitor.session, line.seq),
        account=account.name,
        channel="webchat",
        kind="message",
        provider_event_id=name,
        sender=visitor.sender,
        occurred_at=received_at,
        received_at=received_at,
        text=line.text,
        reply_text=line.text,
        language=visitor.language,
        thread=Thread(message_id=name, references=(before,) if before else ()),
        attachments=tuple(files),
        attributes=attributes,
    )


def _long(text: str) -> timedelta:
    return Duration.parse(text).timedelta()


def _rate(written: str) -> Rate:
    count, _, span = written.partition("/")
    return Rate(int(count), _long(span).total_seconds())
