"""Replies by SMTP, through the server in an account's `outbound` setting.

Whether a message may be sent again depends on where it failed: until the server has the text it
certainly was not delivered; once it has, only its answer says so, and without one nobody knows.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiosmtplib
import httpx

from shared.accounts import Account
from shared.channels import FileLimits, Outgoing, Receipt
from shared.channels.email.addresses import is_address, own_address
from shared.channels.email.compose import (
    composed,
    message_id,
    recipient_of,
    return_address,
)
from shared.channels.email.smtp_connection import client_for, greet, log_in, untrusted
from shared.errors import SendError

LIMIT: Final = 15.0  # seconds for all of it
# 25 MB is what most servers take, and base64 makes four bytes of three; `SIZE` tells of others.
FILES: Final = FileLimits(most=50, size=18_000_000, total=18_000_000)
_FAREWELL: Final = 0.5  # seconds for QUIT, when the message is delivered already

# RFC 3463: the mailbox, its domain, its syntax; it has moved; it is disabled.
_NOBODY: Final = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4")
_CREDENTIALS: Final = frozenset({530, 534, 535, 538})


class SmtpOutbound:
    """Sends one mail a connection. `outbound` of an account: docs/channels/email-smtp.md."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit  # seconds for one message

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Returns once the server has taken it. Raises SendError within the limit."""
        sender, recipient = own_address(account), recipient_of(message)
        if not is_address(sender):
            raise SendError("misconfigured", f"account {account.name} has no mail `address`")
        attempt = _Attempt(client_for(account, LIMIT), account)
        try:
            async with asyncio.timeout(self._limit):
                mail = await composed(message, account, datetime.now(UTC))
                await attempt.deliver(return_address(message, account), recipient, mail)
        except SendError:
            raise
        except Exception as error:
            raise attempt.failure(error) from error
        finally:
            attempt.client.close()
        return Receipt(message_id(message.id, account))


@dataclass
class _Attempt:
    """One connection; `handed_over` from the moment the server may have the text."""

    client: aiosmtplib.SMTP
    account: Account
    handed_over: bool = False

    async def deliver(self, sender: str, recipient: str, mail: bytes) -> None:
        await greet(self.client)
        await log_in(self.client, self.account)
        options = self._options(sender, recipient, mail)
        encoding = "utf-8" if "SMTPUTF8" in options else "ascii"
        await self.client.mail(sender, options=options, encoding=encoding)
        await self.client.rcpt(recipient, encoding=encoding)
        self.handed_over = True
        await self.client.data(mail)
        with suppress(Exception):  # it is delivered, whatever becomes of the farewell
            await self.client.quit(timeout=_FAREWELL)

    def _options(self, sender: str, recipient: str, mail: bytes) -> list[str]:
        """What MAIL says of the mail (RFC 1870, 6152, 6531). Raises SendError for one that the
        server is sure to refuse."""
        options = ["BODY=8BITMIME"] if self.client.supports_extension("8bitmime") else []
        most = self.client.esmtp_extensions.get("size", "")
        if self.client.supports_extension("size"):
            options.append(f"SIZE={len(mail)}")
        if most.isascii() and most.isdigit() and 0 < int(most) < len(mail):
            raise SendError(
                "rejected",
                f"the mail has {len(mail) / 1e6:.1f} MB with its files and the mail server takes "
                f"{int(most) / 1e6:.1f} MB: send fewer files, or a link",
            )
        if sender.isascii() and recipient.isascii():
            return options
        if not self.client.supports_extension("smtputf8"):
            raise SendError(
                "invalid_recipient",
                "the mail server takes no address with accents (SMTPUTF8): use another one",
            )
        return [*options, "SMTPUTF8"]

    def failure(self, error: Exception) -> SendError:
        """What a failed attempt means for the message."""
        if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 400:
            return _refusal(error)
        if self.handed_over:
            return SendError(
                "timeout",
                "the mail server took the text and did not answer: it may have been delivered",
                doubtful=True,
            )
        if (advice := untrusted(error)) is not None:
            return SendError("certificate", advice, again=True)
        if isinstance(error, TimeoutError):
            return SendError("timeout", "the mail server took too long to answer", again=True)
        if isinstance(error, OSError | aiosmtplib.SMTPException):
            return SendError("connection", f"no connection to the mail server: {error}", again=True)
        return SendError("rejected", f"the mail cannot be sent: {error}")


def _refusal(error: aiosmtplib.SMTPResponseException) -> SendError:
    said = f"{error.code} {error.message}"[:500]
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or error.code in _CREDENTIALS:
        # Nothing is wrong with the message: it waits for the operator to mend the password.
        return SendError("token", f"the mail server refused our login: {said}", again=True)
    if error.code < 500:
        return SendError("throttled", f"the mail server asks to come again: {said}", again=True)
    # 5.7.x: the address may be right, it is we who may not (RFC 3463: security or policy).
    refused = isinstance(error, aiosmtplib.SMTPRecipientRefused) and "5.7." not in said
    if error.message.startswith(_NOBODY) or (refused and error.code in (550, 551, 553)):
        return SendError("invalid_recipient", f"the mail server knows no such address: {said}")
    return SendError("rejected", f"the mail server refused the mail: {said}")
