"""Mailgun: mails by a route's `forward()`, and what became of ours by its event webhooks.

Source: documentation.mailgun.com, "Receiving messages via HTTP" and "Securing webhooks". Point
the route at an address ending in `mime`: then the mail comes whole. A parsed post is read too.

The signature covers a timestamp and a token but not the body, so it proves that Mailgun once
spoke, not that it said this. The defence is TLS and the bound on the timestamp.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.email.addresses import account_at, addresses
from shared.channels.email.form import Form, read_form
from shared.channels.email.inbound import Envelope, message_from_mail
from shared.channels.email.mailgun_events import status_of
from shared.channels.email.mailgun_parsed import mail_from_form
from shared.channels.email.mime import Mail, read_mail
from shared.channels.wire import load, mapping_at, text_at
from shared.errors import Forbidden, Unauthenticated, Unreadable

# A post that failed comes again for 8 hours, and whether with its first timestamp is not said:
# refusing it would lose the mail. An hour on top is for slow clocks and queues.
OLDEST: Final = 9 * 3600
NEWEST: Final = 15 * 60  # ahead of us: a clock may be off, a recording may not wait for its day
MAX_BODY: Final = 35 * 1024 * 1024


class _Signature(NamedTuple):
    timestamp: str
    token: str
    signature: str


class MailgunInbound:
    """The door of accounts with provider `mailgun`. Settings: `address`, `signing_key`."""

    @property
    def max_body(self) -> int:
        return MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Forbidden("Mailgun needs no handshake: it POSTs to this address")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        """Checks hex HMAC-SHA256(signing_key, timestamp + token). Raises Unauthenticated."""
        given = _signature(request)
        if not all(given):
            raise Unauthenticated("send the fields timestamp, token and signature")
        _check_age(given.timestamp, request.received_at)
        signed = (given.timestamp + given.token).encode("utf-8", "replace")
        expected = [
            hmac.new(key.encode(), signed, hashlib.sha256).hexdigest().encode()
            for key in account.secrets("signing_key")
            if key
        ]
        offered = given.signature.encode("utf-8", "replace")
        # Every key is compared: the time taken does not tell which came close.
        if not sum(hmac.compare_digest(offered, one) for one in expected):
            raise Unauthenticated("the signature matches no signing_key of this account")

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """A mail, or the status of one of ours. Raises Unreadable."""
        siblings = [account, *(each for each in accounts if _shares_key(each, account))]
        if _is_json(request):
            status = status_of(load(request.body), account, siblings, request.received_at)
            return Parsed(statuses=[status] if status else ())
        try:
            form = read_form(request)
        except ValueError as error:
            raise Unreadable(str(error)) from error
        mail, raw = _mail(form, request.body)
        return _delivered(form, mail, raw, account, siblings, request)


def _signature(request: WebhookRequest) -> _Signature:
    try:
        if _is_json(request):
            holder = mapping_at(load(request.body), "signature")
            return _Signature(*(text_at(holder, name) for name in _Signature._fields))
        form = read_form(request)
        return _Signature(*(form.text(name).strip() for name in _Signature._fields))
    except (ValueError, Unreadable) as error:
        raise Unauthenticated(f"no signature can be read: {error}") from error


def _check_age(timestamp: str, received_at: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise Unauthenticated("timestamp must be Unix seconds")
    age = received_at.timestamp() - int(timestamp)
    if not -NEWEST <= age <= OLDEST:
        raise Unauthenticated("timestamp is over 9 hours old or 15 minutes ahead: set the clocks")


def _is_json(request: WebhookRequest) -> bool:
    return "json" in request.headers.get("content-type", "").lower()


def _shares_key(other: Account, account: Account) -> bool:
    return other.provider == account.provider and bool(
        set(other.secrets("signing_key")) & set(account.secrets("signing_key"))
    )


def _mail(form: Form, body: bytes) -> tuple[Mail, bytes]:
    """The mail, and the bytes that are kept of it: the raw mail, or the form as it was posted."""
    if raw := form.content("body-mime"):
        return read_mail(raw), raw
    return mail_from_form(form), body


def _delivered(
    form: Form,
    mail: Mail,
    raw: bytes,
    account: Account,
    siblings: Sequence[Account],
    request: WebhookRequest,
) -> Parsed:
    # A form without `recipient` is no route's; then the path alone says whose it is.
    recipients = [each.value for each in addresses(form.content("recipient") or b"")]
    owners = _owners(recipients, siblings) if form.has("recipient") else {account.name: account}
    if not owners:
        reason = (
            f"{', '.join(recipients)[:300] or 'recipient'} is no account with this signing_key: "
            "add one with that address to the channels file, or change the route"
        )
        return Parsed(parked=[Parked(request.body, reason, key=mail.digest)])
    parsed = [
        message_from_mail(mail, raw, _envelope(form, owner, recipients, request.received_at))
        for owner in owners.values()
    ]
    return _together(parsed)


def _owners(recipients: Iterable[str], siblings: Sequence[Account]) -> dict[str, Account]:
    found = (account_at(recipient, siblings) for recipient in recipients)
    return {account.name: account for account in found if account is not None}


def _envelope(
    form: Form, owner: Account, recipients: Sequence[str], received_at: datetime
) -> Envelope:
    own = [each for each in recipients if account_at(each, [owner])]
    sender = form.text("sender").strip("<> ").lower() if form.has("sender") else None
    return Envelope(owner, received_at, sender, own)


def _together(parsed: Sequence[Parsed]) -> Parsed:
    return Parsed(
        messages=[message for each in parsed for message in each.messages],
        statuses=[status for each in parsed for status in each.statuses],
        blobs=list({blob.ref: blob for each in parsed for blob in each.blobs}.values()),
    )
