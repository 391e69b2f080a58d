"""SendGrid's events: what became of a mail of ours.

Source: twilio.com/docs/sendgrid, "Event Webhook reference" (2026). They come as a JSON array, out
of order, and some twice: `sg_event_id` names each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from shared.accounts import Account
from shared.channels import Parked, Parsed
from shared.channels.email.addresses import domain_of, own_address
from shared.channels.email.compose import message_id
from shared.channels.email.returned import OUR_ID
from shared.channels.wire import dump, need, text_at
from shared.errors import Unreadable
from shared.events import DeliveryState, DeliveryStatusReceived
from shared.ids import event_id

# Our own words in `custom_args`: they come back in every event of the mail, on its top level.
MESSAGE: Final = "regie_message_id"
ACCOUNT: Final = "regie_account"

# `deferred` is not failed: SendGrid tries on for 72 hours. An `open` or `click` is a reader's.
# A report as spam proves that it arrived; unsubscribing says nothing of this mail.
_STATES: Final[Mapping[str, DeliveryState]] = {
    "processed": "sent",
    "deferred": "sent",
    "delivered": "delivered",
    "spamreport": "delivered",
    "open": "read",
    "click": "read",
    "bounce": "failed",
    "dropped": "failed",
}
_WORDS: Final[Mapping[str, str]] = {
    "deferred": "put off by their mail server",
    "spamreport": "they marked it as spam",
    "dropped": "SendGrid did not send it",
    "bounce": "their mail server does not take it",
    "blocked": "their mail server refused this mail, not the address",
}


class _Told(NamedTuple):
    code: str = ""
    reason: str = ""


def read_events(
    document: Any, account: Account, siblings: Sequence[Account], received_at: datetime
) -> Parsed:
    """The statuses in an event webhook; events one by one are parked. Raises Unreadable."""
    events = [document] if isinstance(document, dict) else document
    if not isinstance(events, list):
        raise Unreadable("the JSON is no array of events: it is no event webhook of SendGrid")
    statuses, parked = list[DeliveryStatusReceived](), list[Parked]()
    for event in events:
        try:
            statuses += _statuses(event, account, siblings, received_at)
        except Unreadable as error:
            parked.append(Parked(dump(event), str(error), key=text_at(event, "sg_event_id")))
    return Parsed(statuses=statuses, parked=parked)


def _statuses(
    event: Any, account: Account, siblings: Sequence[Account], received_at: datetime
) -> Iterable[DeliveryStatusReceived]:
    kind = need(event, "event", "an event's ")
    if (status := _status(kind, event)) is None:
        return ()
    owner = _owner(event, siblings) or account
    correlation = _correlation(event)
    provider_id = _provider_id(event, owner, correlation)
    told = _told(kind, event)
    found = DeliveryStatusReceived(
        id=event_id(owner.name, _event_id(event, kind, provider_id), "delivery_status", status),
        account=owner.name,
        provider_id=provider_id,
        status=status,
        at=_at(event, received_at),
        correlation=correlation,
        code=told.code,
        reason=told.reason[:500],
    )
    return (found,)


def _status(kind: str, event: Any) -> DeliveryState | None:
    if kind == "open" and event.get("sg_machine_open") is True:
        return "delivered"  # a mail program has fetched the pictures, nobody has looked
    return _STATES.get(kind)


def _told(kind: str, event: Any) -> _Told:
    if kind not in _WORDS:
        return _Told()
    cause = "blocked" if text_at(event, "type") == "blocked" and kind == "bounce" else kind
    said = text_at(event, "reason") or text_at(event, "response")
    return _Told(
        text_at(event, "status") or cause, f"{_WORDS[cause]}: {said}" if said else _WORDS[cause]
    )


def _correlation(event: Any) -> str:
    """Our message's id: as we named it to the API, else in the Message-ID it left with."""
    try:
        return str(UUID(text_at(event, MESSAGE)))
    except ValueError:
        ours = OUR_ID.fullmatch(text_at(event, "smtp-id"))
        return ours[1].lower() if ours else ""


def _provider_id(event: Any, owner: Account, correlation: str) -> str:
    if text_at(event, MESSAGE) and correlation:
        return message_id(UUID(correlation), owner)
    # The part before the first dot is the same for all recipients and servers.
    return text_at(event, "smtp-id") or need(event, "sg_message_id").partition(".")[0]


def _event_id(event: Any, kind: str, provider_id: str) -> str:
    parts = (provider_id, kind, text_at(event, "timestamp"), text_at(event, "email"))
    return text_at(event, "sg_event_id") or "/".join(parts)


def _owner(event: Any, siblings: Sequence[Account]) -> Account | None:
    named, smtp_id = text_at(event, ACCOUNT), text_at(event, "smtp-id").strip("<>")
    for account in siblings:
        if account.name == named:
            return account
    # A mail that went by SMTP names no account; its Message-ID has our domain.
    at = [
        each for each in siblings if smtp_id and domain_of(own_address(each)) == domain_of(smtp_id)
    ]
    return at[0] if len(at) == 1 else None


def _at(event: Any, received_at: datetime) -> datetime:
    # Their clock, but nothing has happened after we heard of it.
    try:
        return min(datetime.fromtimestamp(float(text_at(event, "timestamp")), UTC), received_at)
    except (ValueError, OverflowError, OSError):
        return received_at
