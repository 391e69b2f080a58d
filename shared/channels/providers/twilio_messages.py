"""Twilio's messages, which text messages and WhatsApp share: one door, one form, one send API.

Sources: twilio.com/docs/messaging/guides/webhook-request (edition of March 2026), …/guides/
track-outbound-message-status, …/api/message-resource, and twilio.com/docs/usage/webhooks.

A messaging service has one address for all its senders, so each item goes to the account of its
own channel and number, whichever of the two channels' doors it came in by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest, media
from shared.channels.owners import owner, unknown
from shared.channels.providers import twilio
from shared.channels.providers.twilio_errors import told
from shared.channels.wire import dump
from shared.errors import NotFound, Refused, Unreadable
from shared.events import (
    Attachment,
    Channel,
    DeliveryState,
    DeliveryStatusReceived,
    MessageReceived,
)
from shared.ids import event_id

Form = Mapping[str, str]
Reader = Callable[[Form, Account, WebhookRequest], MessageReceived]

STATUS: Final = "/status"  # the door of status callbacks
CORRELATION: Final = "id"  # our own message id, in the callback's address, which is signed
_MAX_BODY: Final = 128 * 1024
_MOST_FILES: Final = 10  # of one message (Twilio, "MediaUrl")
_EMPTY: Final = Answer(
    body=b'<?xml version="1.0" encoding="UTF-8"?><Response/>', content_type="text/xml"
)
_STATES: Final[Mapping[str, DeliveryState]] = {
    "queued": "accepted",
    "accepted": "accepted",
    "scheduled": "accepted",
    "sending": "accepted",
    "sent": "sent",
    "partially_delivered": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}


class TwilioInbound:
    """Message webhooks of Twilio: `/webhooks/<account>`, and `/status` behind it.

    readers  what makes a message of a form, by channel
    """

    def __init__(self, readers: Mapping[Channel, Reader]) -> None:
        self._readers = readers

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        """Twilio has none: a GET comes from a console left on the wrong method."""
        raise Refused("Twilio must use HTTP POST here: set it beside the URL in its console")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        twilio.verify(request, account)
        if request.path.rstrip("/") not in ("", STATUS):
            raise NotFound(
                "no such door: use the account's webhook address itself for incoming messages, "
                f"and {STATUS} behind it for status callbacks"
            )

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One message or one status. Raises Unreadable for a body that is no form or names no
        message."""
        form = twilio.form(request)
        if not (sid := form.get("MessageSid") or form.get("SmsSid", "")):
            raise Unreadable("the form names no message: MessageSid is missing")
        is_status = _is_status(request, form)
        ours = form.get("From" if is_status else "To", "")
        found = _owner(ours, form, account, accounts)
        if found is None and is_status and (_correlation(request) or _names_nobody(form)):
            # The callback's address is this account's, and is signed as a whole.
            found = account
        if found is None:
            reason = unknown(ours, "the Twilio console")
            return Parsed(parked=[Parked(dump(form), reason, _key(sid, form))], answer=_EMPTY)
        try:
            if is_status:
                return Parsed(statuses=[_status(sid, form, found, request)], answer=_EMPTY)
            reader = self._readers[found.channel]
            return Parsed(messages=[reader(form, found, request)], answer=_EMPTY)
        except Unreadable as error:
            return Parsed(parked=[Parked(dump(form), str(error), _key(sid, form))], answer=_EMPTY)


def files(form: Form) -> tuple[tuple[Attachment, ...], int]:
    """The files of a form, still at Twilio, behind the account's own credentials where it asks
    for them; and how many more it counts without an address that could be fetched."""
    given = form.get("NumMedia", "")
    counts = given.isascii() and given.isdigit() and len(given) < 6
    count = min(int(given), _MOST_FILES) if counts else 0
    found = [
        media.remote(
            form.get(f"MediaUrl{index}", ""),
            form.get(f"MediaContentType{index}", ""),
            media_id=form.get(f"MediaUrl{index}", "").rpartition("/")[2][:100],
        )
        for index in range(count)
    ]
    there = tuple(file for file in found if file is not None)
    return there, count - len(there)


def bare(address: str) -> str:
    """An address without its channel: `whatsapp:+31…` is `+31…`."""
    return address.strip().removeprefix("whatsapp:").strip()


def _is_status(request: WebhookRequest, form: Form) -> bool:
    # Where one address was pasted everywhere, the fields decide.
    state = form.get("MessageStatus") or form.get("SmsStatus", "")
    if request.path.rstrip("/") == STATUS:
        return True
    return state.lower() not in ("", "received", "receiving")


def _owner(address: str, form: Form, account: Account, accounts: Accounts) -> Account | None:
    channel: Channel = "whatsapp" if address.startswith("whatsapp:") else "sms"
    return owner(
        [bare(address)],
        account,
        accounts,
        lambda each: each.secrets("auth_token"),
        channel=channel,
        service=form.get("MessagingServiceSid", ""),
    )


def _names_nobody(form: Form) -> bool:
    return not (form.get("From") or form.get("MessagingServiceSid"))


def _status(
    sid: str, form: Form, owner: Account, request: WebhookRequest
) -> DeliveryStatusReceived:
    word = (form.get("MessageStatus") or form.get("SmsStatus", "")).lower()
    if (state := _STATES.get(word)) is None:
        raise Unreadable(f"MessageStatus {word[:40]!r} is not one Regie knows")
    code = form.get("ErrorCode", "")
    words = form.get("ErrorMessage") or form.get("ChannelStatusMessage", "")
    return DeliveryStatusReceived(
        id=event_id(owner.name, sid, "status", state),
        account=owner.name,
        provider_id=sid,
        status=state,
        at=request.received_at,  # Twilio signs no time
        correlation=_correlation(request),
        code=code,
        reason=told(code, words) if code or state == "failed" else "",
    )


def _correlation(request: WebhookRequest) -> str:
    return next((value for name, value in request.query if name == CORRELATION), "")


def _key(sid: str, form: Form) -> str:
    return f"{sid} {form.get('MessageStatus', '')}".strip()
