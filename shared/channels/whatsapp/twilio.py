"""WhatsApp by Twilio: what Meta's webhook says in JSON, Twilio says in one flat form.

Sources: twilio.com/docs/messaging/guides/webhook-request (parameters for WhatsApp, edition of March
2026) and twilio.com/docs/whatsapp (buttons, lists, flows, business-scoped user ids).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from shared.accounts import Account
from shared.channels import WebhookRequest, media
from shared.channels.providers.twilio_messages import Form, bare, files
from shared.channels.whatsapp.content import Content
from shared.channels.whatsapp.items import REPLY_WINDOW
from shared.channels.whatsapp.people import sender_of
from shared.channels.wire import clean, text_at
from shared.errors import Unreadable
from shared.events import MessageReceived, Sender, Thread
from shared.ids import event_id
from shared.numbers import to_e164

_LONGEST_NAME: Final = 200
_REFERRAL: Final = {
    "ReferralBody": "body",
    "ReferralHeadline": "headline",
    "ReferralSourceId": "source_id",
    "ReferralSourceType": "source_type",
    "ReferralSourceUrl": "source_url",
    "ReferralMediaUrl": "media_url",
    "ReferralMediaContentType": "media_content_type",
    "ReferralCtwaClid": "ctwa_clid",
}


def message(form: Form, owner: Account, request: WebhookRequest) -> MessageReceived:
    """A customer's WhatsApp message. Raises Unreadable where no sender can be made out."""
    sid = form.get("MessageSid") or form.get("SmsSid", "")
    content = content_of(form)
    opens = content.kind in ("message", "unsupported")
    answered = form.get("OriginalRepliedMessageSid", "")
    return MessageReceived(
        id=event_id(owner.name, sid, content.kind),
        account=owner.name,
        channel="whatsapp",
        kind=content.kind,
        provider_event_id=sid,
        sender=_sender(form),
        recipient=to_e164(bare(form.get("To", "")), None) or bare(form.get("To", "")),
        occurred_at=request.received_at,  # Twilio signs no time
        received_at=request.received_at,
        text=content.text,
        reply_text=content.text,
        thread=Thread(
            message_id=sid,
            references=(answered,) if answered and not content.target else (),
            target=content.target,
        ),
        attachments=content.attachments,
        reply_window_closes_at=request.received_at + REPLY_WINDOW if opens else None,
        attributes={**_circumstances(form), **content.attributes},
        raw=dict(form),
    )


def content_of(form: Form) -> Content:
    """What a form says. Its `MessageType` names the kind; older senders leave it out, and then the
    fields do. What cannot be read at all becomes `unsupported`: the customer did write."""
    match form.get("MessageType", "").lower():
        case "reaction":
            return _reaction(form)
        case "location":
            return _location(form)
    if form.get("Latitude") and form.get("Longitude"):
        return _location(form)
    if form.get("ButtonText") or form.get("ButtonPayload"):
        return _button(form)
    if form.get("ListId") or form.get("ListTitle"):
        return _list(form)
    if form.get("InteractiveData") or form.get("FlowData"):
        return _form(form)
    return _words(form)


def _words(form: Form) -> Content:
    found, lost = files(form)
    text = form.get("Body", "").strip()
    if text or found or lost:
        named = [f"[{_file_word(form, media.word(file))}]" for file in found]
        named += ["[file without an address]"] * lost
        return Content(text or "\n".join(named), attachments=found)
    if (type := form.get("MessageType", "").lower()) == "text":
        return Content("[empty message]")
    return Content(f"[cannot be shown here ({type or 'no type'})]", kind="unsupported")


def _file_word(form: Form, word: str) -> str:
    type = form.get("MessageType", "").lower()
    return type if type in ("sticker", "document") else word


def _reaction(form: Form) -> Content:
    emoji = form.get("Body", "").strip()  # empty takes an earlier reaction back
    if not (target := form.get("OriginalRepliedMessageSid", "")):
        raise Unreadable(
            "OriginalRepliedMessageSid is missing: nobody knows what the reaction is to"
        )
    return Content(
        emoji or "[reaction taken back]",
        kind="reaction",
        target=target,
        attributes={"emoji": emoji},
    )


def _location(form: Form) -> Content:
    point = ", ".join(_filled(form.get("Latitude", ""), form.get("Longitude", "")))
    named = _filled(form.get("Label", ""), form.get("Address", ""), point, form.get("Body", ""))
    return Content("[location] " + "\n".join(dict.fromkeys(named)))


def _button(form: Form) -> Content:
    payload = form.get("ButtonPayload", "").strip()
    text = (form.get("ButtonText") or form.get("Body", "")).strip() or payload
    return Content(text, attributes={"payload": payload} if payload else {})


def _list(form: Form) -> Content:
    payload = form.get("ListId", "").strip()
    title = (form.get("ListTitle") or form.get("Body", "")).strip() or payload
    text = "\n".join(_filled(title, form.get("ListDescription", "").strip()))
    return Content(text, attributes={"payload": payload} if payload else {})


def _form(form: Form) -> Content:
    given = form.get("InteractiveData") or form.get("FlowData", "")
    try:
        answers = clean(json.loads(given))
    except (ValueError, RecursionError, Unreadable):
        answers = None
    if not isinstance(answers, dict):
        return Content("\n".join(_filled("[form sent]", form.get("Body", ""), given)))
    shown = {name: answer for name, answer in answers.items() if name != "flow_token"}
    lines = (f"{name}: {_plain(answer)}" for name, answer in shown.items())
    return Content("\n".join(_filled("[form sent]", *lines)), attributes={"form": shown})


def _plain(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _sender(form: Form) -> Sender:
    # Twilio signs what Meta vouches for: proven. `From` may hold a business-scoped user id.
    named = [bare(form.get(name, "")) for name in ("From", "WaId", "ExternalUserId")]
    found = sender_of(named, ())
    name = text_at(dict(form), "ProfileName")[:_LONGEST_NAME]
    return msgspec.structs.replace(found, name=name)


def _circumstances(form: Form) -> dict[str, Any]:
    """What rules may ask about beyond the text, by the names they have with Meta."""
    referral = {ours: form[theirs] for theirs, ours in _REFERRAL.items() if form.get(theirs)}
    forwarded = "true" in (
        form.get("Forwarded", "").lower(),
        form.get("FrequentlyForwarded", "").lower(),
    )
    found: dict[str, Any] = {"referral": referral, "forwarded": forwarded}
    return {name: value for name, value in found.items() if value}


def _filled(*texts: str) -> Iterable[str]:
    return [text for text in texts if text]
