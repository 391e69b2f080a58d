"""A text message as an event of ours, whichever provider brought it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from shared.accounts import Account
from shared.channels import media
from shared.errors import Unreadable
from shared.events import Attachment, Identity, Kind, MessageReceived, Sender, Thread
from shared.ids import event_id
from shared.numbers import to_e164

OptOut = Literal["", "stop", "start", "help"]
_LONGEST_NAME: Final = 200
_SHORT_CODE: Final = re.compile(r"\+?[0-9]{1,6}")
# A network gives a name in the place of a number to companies only.
_NAMED: Final = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Text:
    """One text message.

    sender   as the provider writes it: a number, a short code, or a name
    lost     files the provider counts and gives no address for
    opt_out  what the provider itself took the message for, and acted on
    """

    id: str
    sender: str
    recipient: str
    at: datetime
    text: str
    files: tuple[Attachment, ...] = ()
    lost: int = 0
    kind: Kind = "message"
    opt_out: OptOut = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def opt_out(word: str) -> OptOut:
    """A provider's word for an opt-out keyword it acted on."""
    match word.strip().lower():
        case "stop":
            return "stop"
        case "start":
            return "start"
        case "help":
            return "help"
    return ""


def message(text: Text, owner: Account, received_at: datetime, raw: Any) -> MessageReceived:
    """Raises Unreadable for one without an id or a sender."""
    if not (text.id and text.sender):
        raise Unreadable(f"the message names no {'sender' if text.id else 'id'}")
    said = text.text.strip() or _files_said(text)
    number = to_e164(text.sender, None)
    attributes = {"opt_out": text.opt_out, "sender": "" if number else text.sender}
    return MessageReceived(
        id=event_id(owner.name, text.id, text.kind),
        account=owner.name,
        channel="sms",
        kind=text.kind,
        provider_event_id=text.id,
        sender=_sender(text.sender, number),
        recipient=to_e164(text.recipient, None) or text.recipient,
        occurred_at=min(text.at, received_at),
        received_at=received_at,
        text=said,
        reply_text=said,
        thread=Thread(message_id=text.id),
        attachments=text.files,
        # The network wrote down who sent it, or the provider has answered it: nobody waits.
        automatic=answers_nothing(text.sender) or text.opt_out in ("stop", "start"),
        attributes={name: value for name, value in attributes.items() if value}
        | dict(text.attributes),
        raw=raw,
    )


def answers_nothing(sender: str) -> bool:
    """Whether no answer can reach `sender`, because it is a name or a short code: a machine's."""
    return bool(_NAMED.search(sender) or _SHORT_CODE.fullmatch(sender.strip()))


def _sender(written: str, number: str | None) -> Sender:
    # A text message's sender is whatever its network let through: asserted. A name is no
    # identity: anyone may call themselves so.
    if number is None:
        return Sender(identities=(), authentication="asserted", name=written[:_LONGEST_NAME])
    return Sender(identities=(Identity(scheme="e164", value=number),), authentication="asserted")


def _files_said(text: Text) -> str:
    words = [f"[{media.word(file)}]" for file in text.files]
    words += ["[file without an address]"] * text.lost
    return "\n".join(words) or "[empty message]"
