"""A mail that SES took in for us: the mail itself, and what SES found about it.

Source: docs.aws.amazon.com/ses, "Contents of notifications for Amazon SES email receiving".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from shared.accounts import Account
from shared.channels import Parked, Parsed, WebhookRequest
from shared.channels.email.addresses import addresses, recipients_of
from shared.channels.email.handed import Handed, deliver
from shared.channels.email.mime import Mail, read_mail
from shared.channels.email.ses_bucket import place
from shared.channels.times import moment
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import Unreadable
from shared.events import MessageReceived

# The name of SES in `trusted_authserv`, as it signs its own Authentication-Results.
AUTHSERV: Final = "amazonses.com"
_VERDICTS: Final = ("spam", "virus", "spf", "dkim", "dmarc")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\s]+")


def received(
    said: Any, request: WebhookRequest, account: Account, siblings: Sequence[Account]
) -> Parsed:
    """The mail, for each account it was for. Raises Unreadable."""
    head, receipt = mapping_at(said, "mail"), mapping_at(said, "receipt")
    raw = _content(said, request)
    if isinstance(raw, str):
        return Parsed(parked=[Parked(request.body, raw, key=text_at(head, "messageId"))])
    given = [each.lower() for each in list_at(receipt, "recipients") if isinstance(each, str)]
    mail = read_mail(raw)
    handed = Handed(
        mail,
        raw,
        recipients=given if "recipients" in receipt else None,
        named=recipients_of(mail.headers, "To", "Cc"),
        sender=text_at(head, "source").strip("<> ").lower() if "source" in head else None,
        attributes=_found(receipt),
    )
    parsed = deliver(handed, account, siblings, request)
    by_name = {each.name: each for each in siblings}
    at = min(moment(text_at(receipt, "timestamp")) or request.received_at, request.received_at)
    messages = [
        msgspec.structs.replace(
            _vouched(message, mail, receipt, by_name[message.account]), occurred_at=at
        )
        for message in parsed.messages
    ]
    return replace(parsed, messages=messages)


def _content(said: Any, request: WebhookRequest) -> bytes | str:
    """The raw mail; or why there is none."""
    bucket, key = place(said)
    if key:
        return request.enclosed or (
            f"the mail lies in the bucket {bucket[:80]} and cannot be fetched: give the account "
            "access_key_id and secret_access_key with s3:GetObject there, then replay this"
        )
    given = said.get("content")
    if not isinstance(given, str) or not given.strip():
        return (
            "the notification holds no mail: let the rule publish it (SNS action) or keep it in a "
            "bucket (S3 action)"
        )
    encoding = text_at(mapping_at(mapping_at(said, "receipt"), "action"), "encoding").upper()
    if encoding == "BASE64" or (not encoding and _BASE64.fullmatch(given[:10_000])):
        try:
            return base64.b64decode("".join(given.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Unreadable(f"content is not base64: {error}") from error
    return given.encode("utf-8", "replace")


def _found(receipt: Any) -> dict[str, Any]:
    """What SES found: `verdicts` as it words them, and what a rule wants to ask by itself."""
    given = {name: text_at(mapping_at(receipt, f"{name}Verdict"), "status") for name in _VERDICTS}
    verdicts = {name: status for name, status in given.items() if status}
    bad = {name: True for name in ("spam", "virus") if verdicts.get(name) == "FAIL"}
    return {**({"verdicts": verdicts} if verdicts else {}), **bad}


def _vouched(message: MessageReceived, mail: Mail, receipt: Any, owner: Account) -> MessageReceived:
    """Where the account trusts SES, its signed word stands above any header in the mail."""
    if AUTHSERV not in _trusted(owner):
        return message
    authors = [each.value for raw in mail.headers.all("From") for each in addresses(raw)]
    passed = text_at(mapping_at(receipt, "dmarcVerdict"), "status") == "PASS"
    named = [identity.value for identity in message.sender.identities] == authors
    proven = passed and named and len(authors) == 1
    sender = msgspec.structs.replace(
        message.sender, authentication="proven" if proven else "asserted"
    )
    return msgspec.structs.replace(message, sender=sender)


def _trusted(account: Account) -> Sequence[str]:
    given = account.settings.get("trusted_authserv", ())
    return [each.lower() for each in ((given,) if isinstance(given, str) else given)]
