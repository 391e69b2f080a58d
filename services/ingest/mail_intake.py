"""From a mail on the wire to the intake, and what its server is answered.

`250` goes out only after the message is durable; any trouble of ours is a 451, so that the other
server keeps the mail and comes again: its queue is our retry buffer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from shared.accounts import Account
from shared.channels import Parked, Parsed
from shared.channels.email import message_from_mime
from shared.channels.email.addresses import account_at
from shared.channels.email.mime import LARGEST
from shared.errors import RegieError, Unavailable
from shared.reading import OFF_LOOP, READING
from shared.telemetry import describe

log = structlog.get_logger("ingest")

Accept = Callable[[Parsed, str], Awaitable[None]]

_MOST_RECIPIENTS: Final = 100
_LONGEST_ACCEPT: Final = 60.0  # seconds; the other server waits ten minutes (RFC 5321 4.5.3.2.6)

_TAKEN, _LATER = "250 2.0.0 OK", "451 4.3.0 Not durable yet: keep it and come again"
_TOO_LARGE, _STRANGE = "552 5.3.4 Message too large", "550 5.1.1 No such mailbox here"
_TOO_MANY = "452 4.5.3 Too many recipients: send the rest in another mail"


def max_size(account: Account) -> int:
    """Bytes that a mail to this account may have."""
    return min(int(account.settings.get("max_size", LARGEST)), LARGEST)


class MailIntake:
    """What aiosmtpd asks for each recipient and each mail (its `handle_…` hooks)."""

    def __init__(
        self,
        accounts: Sequence[Account],
        accept: Accept,
        now: Callable[[], datetime],
        lmtp: bool,
    ) -> None:
        self._accounts, self._accept, self._now, self._lmtp = accounts, accept, now, lmtp
        self._taking: set[asyncio.Future[None]] = set()

    async def finish(self, seconds: float) -> None:
        """Returns when no mail is being taken in, or after `seconds`."""
        if self._taking:
            await asyncio.wait(self._taking, timeout=seconds)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if account_at(address, self._accounts) is None:
            return _STRANGE
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return _TOO_MANY
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        done = asyncio.get_running_loop().create_future()
        self._taking.add(done)
        try:
            return await self._take(envelope)
        finally:
            done.set_result(None)
            self._taking.discard(done)

    async def handle_exception(self, error: Exception) -> str:
        # Said of any fault of ours: aiosmtpd's own answer would make the other server give up.
        log.error("a mail session failed", error=describe(error))
        return _LATER

    async def _take(self, envelope: Envelope) -> str:
        """One answer; in LMTP one for each recipient, in their order."""
        answers: dict[str, str] = {}
        owners = [account_at(each, self._accounts) for each in envelope.rcpt_tos]
        known = [owner for owner in owners if owner is not None]
        for account in known:
            if account.name not in answers:
                own = [each for each in envelope.rcpt_tos if account_at(each, [account])]
                answers[account.name] = await self._deliver(account, own, envelope)
        if self._lmtp:
            return "\r\n".join(answers[account.name] for account in known)
        # SMTP has one answer for all. What is durable already is recognised when it comes again.
        return next((each for each in answers.values() if each != _TAKEN), _TAKEN)

    async def _deliver(
        self, account: Account, recipients: Sequence[str], envelope: Envelope
    ) -> str:
        raw = envelope.original_content or b""
        if len(raw) > max_size(account):
            return _TOO_LARGE
        sender = (envelope.mail_from or "").strip("<> ").lower()
        received_at = self._now()
        try:
            async with asyncio.timeout(_LONGEST_ACCEPT):
                parsed = await parsed_mail(raw, account, sender, recipients, received_at)
                await self._accept(parsed, account.name)
        except (Unavailable, TimeoutError) as error:
            log.warning("a mail is not durable yet", account=account.name, error=describe(error))
            return _LATER
        except Exception:
            log.exception("a mail could not be taken in", account=account.name)
            return _LATER
        return _TAKEN


async def parsed_mail(
    raw: bytes,
    account: Account,
    sender: str | None,
    recipients: Sequence[str],
    received_at: datetime,
) -> Parsed:
    """What `read` returns; of a large mail beside the event loop. Raises Unavailable."""
    if len(raw) <= OFF_LOOP:
        return read(raw, account, sender, recipients, received_at)
    mail = (raw, account, sender, recipients, received_at)
    return await READING.parsed(raw, message_from_mime, *mail)


def read(
    raw: bytes,
    account: Account,
    sender: str | None,
    recipients: Sequence[str],
    received_at: datetime,
) -> Parsed:
    """The mail's events, or the mail itself, parked. Never raises: a mail that no parser of ours
    can read must not come again and again."""
    try:
        return message_from_mime(raw, account, sender, recipients, received_at)
    except RegieError as error:
        reason = str(error)
    except Exception as error:
        log.exception("a parser failed", account=account.name)
        reason = f"the parser of email/{account.provider} failed: {describe(error)}"
    return Parsed(parked=(Parked(raw, reason, key=hashlib.sha256(raw).hexdigest()),))
