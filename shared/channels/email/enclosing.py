"""A whole mail with its files, for a provider's API that takes mails as they are written."""

from __future__ import annotations

from datetime import datetime

from shared.accounts import Account
from shared.channels import Outgoing
from shared.channels.email.by_api import address_of
from shared.channels.email.compose import composed
from shared.errors import SendError


async def whole_mail(
    message: Outgoing, account: Account, at: datetime, most: int, provider: str
) -> bytes:
    """The mail, of `most` bytes with its files in base64. Raises SendError."""
    address_of(account)
    if not (message.text.strip() or message.files):
        raise SendError("rejected", "there is no text to send")
    mail = await composed(message, account, at)
    if len(mail) > most:
        raise SendError(
            "rejected",
            f"the mail has {len(mail) / 1e6:.1f} MB with its files in base64 and {provider} takes "
            f"{most / 1e6:.0f} MB: send fewer files, or a link",
        )
    return mail
