"""A mail as a provider's webhook hands it over, given to the accounts it is for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.accounts import Account, Accounts
from shared.channels import Parked, Parsed, WebhookRequest
from shared.channels.email.addresses import (
    account_at,
    is_address,
    own_address,
    without_extension,
)
from shared.channels.email.inbound import Envelope, message_from_mail
from shared.channels.email.mime import Mail


@dataclass(frozen=True, slots=True)
class Handed:
    """What a provider says of one mail.

    raw         the bytes that are kept of it
    recipients  whom it was delivered to; None where that is not said, and then the path says it
    named       whom the mail itself names. They are asked where `recipients` is nobody of ours:
                the mail was forwarded to the provider from the address that customers know
    sender      of the envelope; empty for the null sender, None where it is not known
    extension   what stood behind the `+` of the address it came by
    event_id    what the provider calls it
    """

    mail: Mail
    raw: bytes
    recipients: Sequence[str] | None
    named: Sequence[str] = ()
    sender: str | None = None
    extension: str = ""
    event_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def deliver(
    handed: Handed, account: Account, siblings: Sequence[Account], request: WebhookRequest
) -> Parsed:
    """A message for each account it is for; parked where that is none.

    account   whose path the post came in by
    siblings  it, and those whose secret would have let the post in as well
    """
    owners = _owners(handed.recipients or (), siblings) or _owners(handed.named, siblings)
    if not owners and handed.recipients is None:
        owners = {account.name: account}
    if not owners:
        return Parsed(parked=[_nobodys(handed, request)])
    return _together(
        message_from_mail(handed.mail, handed.raw, _envelope(handed, owner, request))
        for owner in owners.values()
    )


def sharing(
    account: Account, accounts: Accounts, secrets: Callable[[Account], Collection[str]]
) -> list[Account]:
    """`account`, and the accounts of its provider that have one of its secrets."""
    ours = set(secrets(account))
    others = [
        each
        for each in accounts
        if (each.channel, each.provider) == (account.channel, account.provider)
        and each.name != account.name
        and ours & set(secrets(each))
    ]
    return [account, *others]


def _owners(recipients: Iterable[str], siblings: Sequence[Account]) -> dict[str, Account]:
    found = (account_at(recipient, siblings) for recipient in recipients)
    return {account.name: account for account in found if account is not None}


def _nobodys(handed: Handed, request: WebhookRequest) -> Parked:
    reason = (
        f"{', '.join(handed.recipients or ())[:300] or 'recipient'} is no account with the secret "
        "of this one: add one with that address to the channels file, or have such mail sent "
        "elsewhere"
    )
    return Parked(request.body, reason, key=handed.event_id or handed.mail.digest)


def _envelope(handed: Handed, owner: Account, request: WebhookRequest) -> Envelope:
    own = [
        each for each in (*(handed.recipients or ()), *handed.named) if account_at(each, [owner])
    ]
    extended = _with_extension(own_address(owner), handed.extension)
    return Envelope(
        owner,
        request.received_at,
        handed.sender,
        [*([extended] if is_address(extended) else []), *own],
        handed.attributes,
        handed.event_id,
    )


def _with_extension(address: str, extension: str) -> str:
    if not extension:
        return ""
    local, _, domain = without_extension(address).rpartition("@")
    return f"{local}+{extension.strip().lower()}@{domain}"


def _together(parsed: Iterable[Parsed]) -> Parsed:
    found = list(parsed)
    return Parsed(
        messages=[message for each in found for message in each.messages],
        statuses=[status for each in found for status in each.statuses],
        blobs=list({blob.ref: blob for each in found for blob in each.blobs}.values()),
    )
