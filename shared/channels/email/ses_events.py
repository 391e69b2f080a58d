"""Amazon's word on a mail of ours: delivered, delayed, bounced, complained of, refused.

Source: docs.aws.amazon.com/ses, "Amazon SNS notification contents" (`notificationType`) and
"Examples of event data" (`eventType`); the two have the same objects. A notification holds one
kind, and each of our mails has one recipient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from shared.accounts import Account
from shared.channels.email.addresses import account_at, addresses
from shared.channels.email.returned import OUR_ID
from shared.channels.email.ses_api import TAG, message_id, region_of
from shared.channels.times import moment
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.events import DeliveryStatusReceived
from shared.ids import event_id

# By kind: the object that tells of it. Opens, clicks and subscriptions say nothing of delivery.
EVENTS: Final[Mapping[str, str]] = {
    "Send": "send",
    "Delivery": "delivery",
    "DeliveryDelay": "deliveryDelay",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "Rendering Failure": "failure",
    "Open": "open",
    "Click": "click",
    "Subscription": "subscription",
}
# Transient bounces that concern this mail: SES has tried for hours, and gives up.
_GIVEN_UP: Final = frozenset(
    ("MailboxFull", "MessageTooLarge", "ContentRejected", "AttachmentRejected",
     "CustomTimeoutExceeded")
)  # fmt: skip
_SUPPRESSED: Final = "OnAccountSuppressionList"
_ARN: Final = re.compile(r"arn:aws[a-z-]*:ses:([a-z0-9-]+):", re.ASCII)


class _Told(NamedTuple):
    status: Literal["sent", "delivered", "failed"]
    code: str = ""
    reason: str = ""


def status_of(
    kind: str, said: Any, account: Account, siblings: Sequence[Account], received_at: datetime
) -> DeliveryStatusReceived | None:
    """The status in a notification of one of EVENTS; None where it tells nothing of delivery.
    Raises Unreadable."""
    event, mail = mapping_at(said, EVENTS[kind]), mapping_at(said, "mail")
    id = need(mail, "messageId", "mail.")
    told = _told(kind, event)
    if told is None:
        return None
    owner = _owner(mail, siblings) or account
    given = text_at(event, "feedbackId") or id
    return DeliveryStatusReceived(
        id=event_id(owner.name, given, "delivery_status", f"{told.status} {kind}"),
        account=owner.name,
        provider_id=message_id(id, _region(mail) or region_of(owner)),
        status=told.status,
        at=_at(event, mail, received_at),
        correlation=_correlation(mail),
        code=told.code[:100],
        reason=told.reason[:500],
    )


def _told(kind: str, event: Any) -> _Told | None:
    match kind:
        case "Send":
            return _Told("sent")
        case "Delivery":
            return _Told("delivered", reason=text_at(event, "smtpResponse"))
        case "DeliveryDelay":
            code, reason = _recipient(event, "delayedRecipients")
            return _Told("sent", text_at(event, "delayType") or code, f"delayed: {reason}")
        case "Bounce":
            return _bounced(event)
        case "Complaint":
            return _complained(event)
        case "Reject":
            return _Told(
                "failed", "rejected", text_at(event, "reason") or "Amazon refused the mail"
            )
        case "Rendering Failure":
            return _Told("failed", "rejected", text_at(event, "errorMessage"))
    return None


def _bounced(event: Any) -> _Told | None:
    kind, detail = text_at(event, "bounceType"), text_at(event, "bounceSubType")
    code, reason = _recipient(event, "bouncedRecipients")
    failed = any(
        text_at(each, "action").lower() == "failed" for each in list_at(event, "bouncedRecipients")
    )
    # What is `General` or `Undetermined` may be an absence notice, unless the other server says so.
    if kind == "Permanent" or detail in _GIVEN_UP or failed:
        words = f"{kind} {detail}: {reason}" if reason else f"{kind} {detail}"
        return _Told("failed", code or detail, words.strip())
    return None


def _complained(event: Any) -> _Told:
    if text_at(event, "complaintSubType") == _SUPPRESSED:
        return _Told("failed", _SUPPRESSED, "the address is on the account's suppression list")
    # Who complains of a mail has got it.
    return _Told("delivered", "complaint", text_at(event, "complaintFeedbackType") or "complaint")


def _recipient(event: Any, name: str) -> tuple[str, str]:
    first = next(iter(list_at(event, name)), None)
    return text_at(first, "status"), text_at(first, "diagnosticCode")


def _owner(mail: Any, siblings: Sequence[Account]) -> Account | None:
    for address in _senders(mail):
        if account := account_at(address, siblings):
            return account
    return None


def _senders(mail: Any) -> Iterator[str]:
    yield text_at(mail, "source")
    for line in list_at(mapping_at(mail, "commonHeaders"), "from"):
        if isinstance(line, str):
            yield from (each.value for each in addresses(line.encode("utf-8", "replace")))


def _region(mail: Any) -> str:
    found = _ARN.match(text_at(mail, "sourceArn"))
    return found[1] if found else ""


def _correlation(mail: Any) -> str:
    tagged = next(iter(list_at(mapping_at(mail, "tags"), TAG)), "")
    try:
        return str(UUID(tagged)) if isinstance(tagged, str) else ""
    except ValueError:
        pass
    # Feedback without tags may have the headers as we wrote them.
    written = [text_at(each, "value") for each in list_at(mail, "headers")
               if text_at(each, "name").lower() == "message-id"]  # fmt: skip
    ours = next((found for each in written if (found := OUR_ID.search(each))), None)
    return ours[1].lower() if ours else ""


def _at(event: Any, mail: Any, received_at: datetime) -> datetime:
    at = moment(text_at(event, "timestamp")) or moment(text_at(mail, "timestamp"))
    return min(at, received_at) if at else received_at
