"""Amazon SES: mails, and what became of ours, as SNS brings them.

Source: docs.aws.amazon.com/ses, "Contents of notifications for Amazon SES email receiving",
"Amazon SNS notification contents" (of sending) and "event data published to Amazon SNS".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Enclosure, Parked, Parsed, WebhookRequest
from shared.channels.email import ses_bucket
from shared.channels.email.handed import sharing
from shared.channels.email.ses_events import EVENTS, status_of
from shared.channels.email.ses_mail import received
from shared.channels.providers import sns
from shared.channels.wire import load, text_at
from shared.errors import Forbidden, Unreadable

MAX_BODY: Final = 1024 * 1024  # SNS carries 256 kB, and writes them escaped
# What SES says once when a topic is connected: in plain text for events, in JSON for feedback.
_HELLO: Final = "Successfully validated SNS topic"
_WELCOME: Final = "AmazonSnsSubscriptionSucceeded"


class SesInbound:
    """The door of accounts with provider `ses`. Settings: `address`, `topic_arn`, and for mails
    that lie in S3 `region`, `access_key_id` and `secret_access_key`."""

    @property
    def max_body(self) -> int:
        return MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Forbidden("SNS asks nothing by GET: subscribe this address to the topic by HTTPS")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        sns.verify(request, account)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """A mail, the status of one of ours, or the answer to a subscription. Raises Unreadable."""
        envelope = sns.envelope(request.body)
        match envelope.get("Type"):
            case sns.SUBSCRIBED:
                return Parsed(calls=[sns.confirmation(envelope, account)])
            case sns.UNSUBSCRIBED:
                return _parked(request, envelope, "the subscription was ended: mails no longer "
                               "come in by this topic; subscribe the address again")  # fmt: skip
        said = text_at(envelope, "Message")
        if said.startswith(_HELLO):
            return Parsed()
        siblings = sharing(account, accounts, sns.topics)
        return _told(load(said.encode("utf-8", "replace")), envelope, request, account, siblings)


def enclosure(request: WebhookRequest, account: Account) -> Enclosure | None:
    """The mail itself, where SES has put it into a bucket; None where the notification holds it, or
    the account has no key to fetch it with."""
    try:
        said = load(text_at(sns.envelope(request.body), "Message").encode("utf-8", "replace"))
    except Unreadable:
        return None
    return ses_bucket.enclosure(said, account, request.received_at)


def _told(
    said: Any,
    envelope: Mapping[str, Any],
    request: WebhookRequest,
    account: Account,
    siblings: Sequence[Account],
) -> Parsed:
    kind = text_at(said, "notificationType") or text_at(said, "eventType")
    if kind == "Received":
        return received(said, request, account, siblings)
    if kind in EVENTS:
        status = status_of(kind, said, account, siblings, request.received_at)
        return Parsed(statuses=[status] if status else ())
    if kind == _WELCOME:
        return Parsed()
    reason = f"this is no notification of SES that we know: {kind[:60] or 'it names no type'}"
    return _parked(request, envelope, reason)


def _parked(request: WebhookRequest, envelope: Mapping[str, Any], reason: str) -> Parsed:
    return Parsed(parked=[Parked(request.body, reason, key=text_at(envelope, "MessageId"))])
