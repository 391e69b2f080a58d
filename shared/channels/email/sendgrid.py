"""SendGrid: mails by Inbound Parse, and what became of ours by the Event Webhook.

Source: twilio.com/docs/sendgrid, "Configure the inbound parse webhook" (2026). Tick “POST the raw,
full MIME message”: then the mail comes whole. A post taken apart into fields is read too. Both
webhooks may point at the same address.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.email import sendgrid_signature, webhook_password
from shared.channels.email.form import read_form
from shared.channels.email.handed import deliver, sharing
from shared.channels.email.sendgrid_events import read_events
from shared.channels.email.sendgrid_parsed import handed_in
from shared.channels.email.sendgrid_signature import SIGNATURE, keys
from shared.channels.wire import load
from shared.errors import Forbidden, Unauthenticated, Unreadable

MAX_BODY: Final = 45 * 1024 * 1024  # a mail has 30 MB at the most; its HTML comes beside its text


class SendGridInbound:
    """The door of accounts with provider `sendgrid`.

    Settings: `address`; `public_key` (one or several), or `password` where nothing is signed.
    """

    @property
    def max_body(self) -> int:
        return MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Forbidden("SendGrid needs no handshake: it POSTs to this address")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        """By the signature, or by the password in the address. Raises Unauthenticated."""
        signs, password = bool(keys(account)), bool(account.secrets("password"))
        if not (signs or password):
            raise Unauthenticated(
                f"account {account.name} has neither public_key nor password: add the public key "
                "of the parse security policy to the channels file, or a password that stands in "
                "the webhook's address"
            )
        if signs and (not password or request.headers.get(SIGNATURE)):
            sendgrid_signature.verify(request, account)
        else:
            webhook_password.verify(request, account)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """A mail, or what became of many of ours. Raises Unreadable."""
        siblings = sharing(account, accounts, _secrets)
        if _is_json(request):
            return read_events(load(request.body), account, siblings, request.received_at)
        try:
            form = read_form(request)
        except ValueError as error:
            raise Unreadable(str(error)) from error
        return deliver(handed_in(form, request.body), account, siblings, request)


def _secrets(account: Account) -> Collection[str]:
    return (*keys(account), *account.secrets("password"))


def _is_json(request: WebhookRequest) -> bool:
    return "json" in request.headers.get("content-type", "").lower()
