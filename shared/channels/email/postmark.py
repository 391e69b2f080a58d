"""Postmark: mails by its inbound webhook, and what became of ours by its others.

Source: postmarkapp.com/developer, "Inbound webhook" (2026). Tick “Include raw email content in JSON
payload”: then the mail comes whole. Without it the fields are read. Nothing is signed: a password
in the address is all that there is. A mail answered with anything but 200 comes again for 10 hours,
one answered with 403 never.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.email import webhook_password
from shared.channels.email.handed import deliver, sharing
from shared.channels.email.postmark_events import status_of
from shared.channels.email.postmark_parsed import handed_in
from shared.channels.wire import load, text_at
from shared.errors import Refused, Unreadable

# 35 MB of attachments, in base64 and with the raw mail a second time.
MAX_BODY: Final = 110 * 1024 * 1024


class PostmarkInbound:
    """The door of accounts with provider `postmark`.

    Settings: `address`; `password`, `username` of the webhooks' address.
    """

    @property
    def max_body(self) -> int:
        return MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Refused("Postmark needs no handshake: it POSTs to this address")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        """Raises Unauthenticated."""
        webhook_password.verify(request, account)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """A mail, or what became of one of ours. Raises Unreadable."""
        document = load(request.body)
        if not isinstance(document, dict):
            raise Unreadable("the body is no JSON object: it is no webhook of Postmark")
        siblings = sharing(account, accounts, _passwords)
        if _is_mail(document):
            return deliver(handed_in(document, request.body), account, siblings, request)
        status = status_of(document, account, siblings, request.received_at)
        return Parsed(statuses=[status] if status else ())


def _is_mail(document: Any) -> bool:
    return text_at(document, "RecordType") in ("", "Inbound")


def _passwords(account: Account) -> Collection[str]:
    return account.secrets("password")
