"""Replies by a provider's send API, or by SMTP for an account that names no key of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import httpx

from shared.accounts import Account
from shared.channels import Outbound, Outgoing, Receipt
from shared.channels.email.addresses import is_address, own_address
from shared.errors import SendError


class ApiOrSmtp:
    """Chooses by the account: `secret` is the field with the API's key."""

    def __init__(self, secret: str, api: Outbound, smtp: Outbound) -> None:
        self._secret = secret
        self._api = api
        self._smtp = smtp

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError."""
        chosen = self._api if account.secrets(self._secret) else self._smtp
        return await chosen.send(message, account, http)


def key_of(account: Account, secret: str) -> str:
    """The key to sign in with. Raises SendError where the account has none."""
    if not (keys := account.secrets(secret)):
        raise SendError("token", f"account {account.name} has no {secret}: it cannot send by API")
    return keys[0]


def address_of(account: Account) -> str:
    """Our address, for From. Raises SendError."""
    if not is_address(address := own_address(account)):
        raise SendError("misconfigured", f"account {account.name} has no mail `address`")
    return address


def text_of(message: Outgoing) -> str:
    """The text, without what UTF-8 does not take. Raises SendError where nothing would leave."""
    text = message.text.replace("\0", "").encode("utf-8", "ignore").decode()
    if not (text.strip() or message.files):
        raise SendError("rejected", "there is no text to send")
    return text if text.strip() else " "  # an empty text is refused


def encoded_files(message: Outgoing, most: int, provider: str) -> Sequence[str]:
    """The content of each file in base64. Raises SendError.

    most  bytes of all of them in base64, the text included
    """
    if len(message.files) < len(message.attachments):
        raise SendError("rejected", "an attachment cannot be read: send the text without it")
    encoded = [base64.b64encode(file.content).decode() for file in message.files]
    size = len(message.text.encode("utf-8", "ignore")) + sum(map(len, encoded))
    if size > most:
        raise SendError(
            "rejected",
            f"the mail has {size / 1e6:.1f} MB with its files in base64 and {provider} takes "
            f"{most / 1e6:.0f} MB: send fewer files, or a link",
        )
    return encoded
