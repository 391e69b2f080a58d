"""Replies by SMTP, through the server in an account's `outbound` setting.

Whether a message may be sent again depends on where it failed: until the server has the text it
certainly was not delivered; once it has, only its answer says so, and without one nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiosmtplib
import httpx

from shared.accounts import Account
from shared.channels import Outgoing, Receipt
from shared.channels.email.addresses import domain_of, is_address, own_address
from shared.channels.email.compose import Enclosed, compose, message_id
from shared.errors import RegieError, SendError

LIMIT: Final = 15.0  # seconds for all of it
_FAREWELL: Final = 0.5  # seconds for QUIT, when the message is delivered already

# RFC 3463: the mailbox, its domain, its syntax; it has moved; it is disabled.
_NOBODY: Final = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4")
_CREDENTIALS: Final = frozenset({530, 534, 535, 538})


class SmtpOutbound:
    """Sends one mail a connection.

    Settings: `outbound: {host, port, starttls, tls, username, password}`; of these only `host` is
    needed. `read` gets an attachment's bytes by its blob reference; without it a message with
    attachments is refused rather than sent without them.
    """

    def __init__(
        self,
        read: Callable[[str], Awaitable[bytes | None]] | None = None,
        limit: float = LIMIT,
    ) -> None:
        self._read = read
        self._limit = limit  # seconds for one message

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Returns once the server has taken it. Raises SendError within the limit."""
        sender, recipient = own_address(account), _recipient(message)
        if not is_address(sender):
            raise SendError("misconfigured", f"account {account.name} has no mail `address`")
        attempt = _Attempt(_client(account, sender))
        try:
            async with asyncio.timeout(self._limit):
                files = [await self._enclosed(each) for each in message.attachments]
                mail = compose(message, account, datetime.now(UTC), files)
                await attempt.deliver(sender, recipient, mail)
        except SendError:
            raise
        except Exception as error:
            raise attempt.failure(error) from error
        finally:
            attempt.client.close()
        return Receipt(message_id(message.id, account))

    async def _enclosed(self, attachment: Any) -> Enclosed:
        content = None
        if self._read is not None and attachment.blob is not None:
            try:
                content = await self._read(attachment.blob.ref)
            except RegieError as error:
                raise SendError("attachment", str(error), again=True) from error
        if content is None:
            raise SendError(
                "rejected",
                f"the attachment {attachment.name!r} cannot be read: send the text without it",
            )
        return Enclosed(attachment, content)


@dataclass
class _Attempt:
    """One connection; `handed_over` from the moment the server may have the text."""

    client: aiosmtplib.SMTP
    handed_over: bool = False

    async def deliver(self, sender: str, recipient: str, mail: bytes) -> None:
        await self.client.connect()
        if self.client.is_ehlo_or_helo_needed:
            with suppress(aiosmtplib.SMTPHeloError):  # then MAIL tries HELO
                await self.client.ehlo()
        options = ["BODY=8BITMIME"] if self.client.supports_extension("8bitmime") else []
        encoding = "ascii"
        if not recipient.isascii():
            if not self.client.supports_extension("smtputf8"):
                raise SendError(
                    "invalid_recipient",
                    "the mail server takes no address with accents (SMTPUTF8): use another one",
                )
            options, encoding = [*options, "SMTPUTF8"], "utf-8"
        await self.client.mail(sender, options=options, encoding=encoding)
        await self.client.rcpt(recipient, encoding=encoding)
        self.handed_over = True
        await self.client.data(mail)
        with suppress(Exception):  # it is delivered, whatever becomes of the farewell
            await self.client.quit(timeout=_FAREWELL)

    def failure(self, error: Exception) -> SendError:
        """What a failed attempt means for the message."""
        if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 400:
            return _refusal(error)
        if self.handed_over:
            return SendError(
                "no_answer",
                "the mail server took the text and did not answer: it may have been delivered",
                doubtful=True,
            )
        if isinstance(error, TimeoutError):
            return SendError("timeout", "the mail server took too long to answer", again=True)
        if isinstance(error, OSError | aiosmtplib.SMTPException):
            return SendError(
                "unreachable", f"no connection to the mail server: {error}", again=True
            )
        return SendError("rejected", f"the mail cannot be sent: {error}")


def _refusal(error: aiosmtplib.SMTPResponseException) -> SendError:
    said = f"{error.code} {error.message}"[:500]
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or error.code in _CREDENTIALS:
        # Nothing is wrong with the message: it waits for the operator to mend the password.
        return SendError("token", f"the mail server refused our login: {said}", again=True)
    if error.code < 500:
        return SendError("throttled", f"the mail server asks to come again: {said}", again=True)
    refused = isinstance(error, aiosmtplib.SMTPRecipientRefused)
    if error.message.startswith(_NOBODY) or (refused and error.code in (550, 551, 553)):
        return SendError("invalid_recipient", f"the mail server knows no such address: {said}")
    return SendError("rejected", f"the mail server refused the mail: {said}")


def _recipient(message: Outgoing) -> str:
    address = message.recipient.value.strip()
    if message.recipient.scheme != "email" or not is_address(address):
        raise SendError("invalid_recipient", "this is no mail address: correct the customer's")
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise SendError("invalid_recipient", "the address has an impossible domain") from error


def _client(account: Account, sender: str) -> aiosmtplib.SMTP:
    outbound = account.settings.get("outbound")
    if not isinstance(outbound, Mapping) or not outbound.get("host"):
        raise SendError(
            "misconfigured",
            f"account {account.name} has no `outbound: {{host, port}}`: add the mail server "
            "that its replies leave by to the channels file",
        )
    try:
        return aiosmtplib.SMTP(
            hostname=str(outbound["host"]),
            port=int(outbound["port"]) if outbound.get("port") else None,
            username=_text(outbound, "username"),
            password=_text(outbound, "password"),
            local_hostname=domain_of(sender),
            use_tls=bool(outbound.get("tls")),
            # Unset: used where the server offers it. True: never without.
            start_tls=None if outbound.get("starttls") is None else bool(outbound["starttls"]),
            timeout=LIMIT,
        )
    except ValueError as error:
        raise SendError("misconfigured", f"account {account.name}: outbound: {error}") from error


def _text(settings: Mapping[str, Any], name: str) -> str | None:
    return str(settings[name]) if settings.get(name) else None
