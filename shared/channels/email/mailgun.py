"""Mailgun: mails by a route's `forward()`, and what became of ours by its event webhooks.

Source: documentation.mailgun.com, "Receiving messages via HTTP" and "Securing webhooks". Point
the route at an address ending in `mime`: then the mail comes whole. A parsed post is read too.

The signature covers a timestamp and a token but not the body, so it proves that Mailgun once
spoke, not that it said this. The defence is TLS and the bound on the timestamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.email.addresses import addresses
from shared.channels.email.form import Form, read_form
from shared.channels.email.handed import Handed, deliver, sharing
from shared.channels.email.mailgun_events import status_of
from shared.channels.email.mailgun_parsed import mail_from_form, stored_files
from shared.channels.email.mailgun_signature import check, is_json
from shared.channels.email.mime import Mail, read_mail
from shared.channels.wire import load
from shared.errors import Forbidden, Unreadable
from shared.events import Attachment

MAX_BODY: Final = 35 * 1024 * 1024


class MailgunInbound:
    """The door of accounts with provider `mailgun`. Settings: `address`, `signing_key`."""

    @property
    def max_body(self) -> int:
        return MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Forbidden("Mailgun needs no handshake: it POSTs to this address")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        """Raises Unauthenticated. Also a post that was cut off is Mailgun's, if it is signed."""
        check(request, account.secrets("signing_key"))

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """A mail, or the status of one of ours. Raises Unreadable."""
        siblings = sharing(account, accounts, _keys)
        if is_json(request):
            status = status_of(load(request.body), account, siblings, request.received_at)
            return Parsed(statuses=[status] if status else ())
        try:
            form = read_form(request)
        except ValueError as error:
            raise Unreadable(str(error)) from error
        parsed = deliver(_handed(form, request.body), account, siblings, request)
        return _with_files(parsed, stored_files(form))


def _with_files(parsed: Parsed, stored: tuple[Attachment, ...]) -> Parsed:
    if not stored:
        return parsed
    messages = [
        msgspec.structs.replace(each, attachments=(*each.attachments, *stored))
        for each in parsed.messages
    ]
    return replace(parsed, messages=messages)


def _keys(account: Account) -> Sequence[str]:
    return account.secrets("signing_key")


def _mail(form: Form, body: bytes) -> tuple[Mail, bytes]:
    """The mail, and the bytes that are kept of it: the raw mail, or the form as it was posted."""
    if raw := form.content("body-mime"):
        return read_mail(raw), raw
    return mail_from_form(form), body


def _handed(form: Form, body: bytes) -> Handed:
    mail, raw = _mail(form, body)
    given = [each.value for each in addresses(form.content("recipient") or b"")]
    return Handed(
        mail,
        raw,
        # A form without `recipient` is no route's; then the path alone says whose it is.
        recipients=given if form.has("recipient") else None,
        sender=form.text("sender").strip("<> ").lower() if form.has("sender") else None,
    )
