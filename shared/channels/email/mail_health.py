"""What `regie doctor` finds at an account's mail servers: its mailbox or our listener, and its way
out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiosmtplib
import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.email.imap import Mailbox
from shared.channels.email.imap_connection import MailboxUnavailable
from shared.channels.email.smtp_connection import client_for, greet, log_in, untrusted
from shared.errors import SendError

_BOUND: Final = 7.0  # seconds for each of the two


class MailHealth:
    """Logs in and out again, on both sides; opens the mailbox without changing anything."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        asked = []
        if account.provider == "imap":
            asked.append(_mailbox(account))
        if account.provider == "smtp":
            asked.append(_listener(account))
        if account.settings.get("outbound"):
            asked.append(_way_out(account))
        found = [finding for each in await asyncio.gather(*asked) for finding in each]
        if not account.settings.get("outbound"):
            advice = "the account only receives: give it `outbound` to reply by it"
            found.append(Finding("replies", False, advice))
        return found


async def _mailbox(account: Account) -> list[Finding]:
    try:
        async with asyncio.timeout(_BOUND):
            return await asyncio.to_thread(_looked, account)
    except TimeoutError:
        advice = "the server takes too long to answer: look at it"
        return [Finding("mailbox", False, advice, "reach")]


def _looked(account: Account) -> list[Finding]:
    try:
        box = Mailbox.open(account, only_looking=True)
    except MailboxUnavailable as error:
        return [Finding("mailbox", False, str(error), "subscription")]
    try:
        slower = f"no IDLE: mail is seen every {box.settings.every:g} s (`every`)"
        marks = (
            "the server keeps no keywords: a mail that somebody reads elsewhere first is not "
            "taken in. Let nobody else read this mailbox"
        )
        return [
            Finding(f"mailbox {box.settings.folder}", True, about="subscription"),
            Finding("new mail is announced", box.idles, "" if box.idles else slower),
            Finding("mails can be marked", box.keywords, "" if box.keywords else marks),
        ]
    finally:
        box.close()


async def _listener(account: Account) -> list[Finding]:
    host, _, port = str(account.settings["listen"]).rpartition(":")
    what = f"our listener at {host}:{port}"
    try:
        async with asyncio.timeout(_BOUND):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            greeting = await reader.readline()
            writer.close()
    except (OSError, TimeoutError, ValueError):
        advice = "nobody answers there: start `regie serve ingest`"
        return [Finding(what, False, advice, "subscription")]
    ours = greeting.startswith(b"220") and b"Regie" in greeting
    advice = "" if ours else "another program listens there: end it"
    return [Finding(what, ours, advice, "subscription")]


async def _way_out(account: Account) -> list[Finding]:
    try:
        client = client_for(account, _BOUND)
    except SendError as error:
        return [Finding("outgoing mail server", False, error.reason)]
    try:
        async with asyncio.timeout(_BOUND):
            await greet(client)
            await log_in(client, account)
            await client.quit()
    except aiosmtplib.SMTPAuthenticationError as error:
        advice = f"it refused our login ({error.code}): check username and password of `outbound`"
        return [Finding("outgoing mail server", False, advice)]
    except SendError as error:
        return [Finding("outgoing mail server", False, error.reason)]
    except (OSError, TimeoutError, aiosmtplib.SMTPException) as error:
        advice = untrusted(error) or f"no connection: {type(error).__name__}. Check host and port"
        return [Finding("outgoing mail server", False, advice, "reach")]
    finally:
        client.close()
    return [Finding("outgoing mail server", True, about="reach")]
