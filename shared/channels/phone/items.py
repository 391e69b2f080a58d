"""What a call becomes: one message with its outcome, and an edit for its transcript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from shared.accounts import Account
from shared.channels.phone.call import Told
from shared.channels.phone.voice import region_of
from shared.events import Call, Identity, Kind, MessageReceived, Sender, Thread
from shared.ids import event_id
from shared.numbers import to_e164

_OUTCOMES: Final[Mapping[Kind, Literal["answered", "missed", "voicemail"]]] = {
    "call_ended": "answered", "call_missed": "missed", "voicemail": "voicemail",
    "callback_requested": "missed",
}  # fmt: skip
_WORDS: Final[Mapping[tuple[Kind, bool], str]] = {
    ("call_missed", False): "Missed call from",
    ("voicemail", False): "Voicemail from",
    ("callback_requested", False): "Call back",
    ("call_ended", False): "Answered call from",
    ("call_ended", True): "Call to",
}
_LONGEST_NAME: Final = 200


def messages(told: Told, kind: Kind, owner: Account) -> tuple[MessageReceived, ...]:
    """The outcome this request tells of and, where it brings the transcript, the edit with it.

    A transcript brings its voicemail again, so that it finds one even where the requests before
    it were lost; a voicemail that is there already has the same id.
    """
    found = _outcome(told, kind, owner)
    transcript = told.transcript.strip()
    return (found, _edit(told, transcript, owner)) if transcript else (found,)


def _outcome(told: Told, kind: Kind, owner: Account) -> MessageReceived:
    length = {"call_ended": told.talked, "voicemail": told.recorded}.get(kind, 0)
    text = f"{_WORDS[kind, told.outbound]} {_who(told, owner)}"
    if length:
        text = f"{text} ({length // 60}:{length % 60:02d})"
    return _message(
        told,
        owner,
        kind=kind,
        event=told.id,
        text=f"{text}\n{told.words}" if told.words else text,
        thread=Thread(message_id=told.id),
        attributes=_attributes(told, kind, owner),
        call=Call(
            outcome=_OUTCOMES[kind],
            duration=length,
            direction="out" if told.outbound else "in",
        ),
        attachments=(told.recording,) if kind == "voicemail" and told.recording else (),
    )


def _attributes(told: Told, kind: Kind, owner: Account) -> dict[str, Any]:
    """`digits`, which the router reads as a resume code; of a call asked for, `phone` to dial."""
    found: dict[str, Any] = {"digits": told.digits} if told.digits and not told.outbound else {}
    if kind != "callback_requested":
        return found
    number = _number(told, owner)
    return found | dict(told.asked) | ({"phone": number} if number else {})


def _edit(told: Told, transcript: str, owner: Account) -> MessageReceived:
    event = told.transcript_id or told.id
    thread = Thread(message_id=event, target=told.id)
    return _message(told, owner, kind="edit", event=event, text=transcript, thread=thread)


def _message(
    told: Told, owner: Account, *, kind: Kind, event: str, text: str, **more: Any
) -> MessageReceived:
    return MessageReceived(
        id=event_id(owner.name, event, kind),
        account=owner.name,
        channel="phone",
        kind=kind,
        provider_event_id=event,
        sender=_sender(told, owner),
        recipient=to_e164(told.ours, region_of(owner)) or told.ours,
        occurred_at=told.occurred_at,
        received_at=told.received_at,
        text=text,
        reply_text=text,
        raw=told.raw,
        **more,
    )


def _sender(told: Told, owner: Account) -> Sender:
    # Caller id is the caller's word; of a withheld one nothing is known, so that its calls never
    # meet in one customer.
    name = "" if told.outbound else told.name
    number = _number(told, owner)
    identities = (Identity(scheme="e164", value=number),) if number else ()
    return Sender(
        identities=identities, authentication="asserted", name=name.strip()[:_LONGEST_NAME]
    )


def _who(told: Told, owner: Account) -> str:
    theirs = (told.theirs or "").strip()
    named = theirs[:_LONGEST_NAME] if theirs.lower().startswith(("sip:", "client:")) else ""
    return _number(told, owner) or named or "a withheld number"


def _number(told: Told, owner: Account) -> str | None:
    return to_e164(told.theirs or "", region_of(owner))
