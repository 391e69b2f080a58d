"""From mails fetched out of a mailbox to the intake: a portion at a time, in one publish.

What is too large, or cannot be taken in for a reason of its own, is parked and marked in the
mailbox so that people see it: it must neither be lost nor stop what stands behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.mail_intake import Accept, parsed_mail
from services.ingest.mailbox_rows import routed
from shared.accounts import Account
from shared.channels import Parked, Parsed
from shared.channels.email.delivered import delivered
from shared.channels.email.imap import Fetched
from shared.errors import Unavailable
from shared.telemetry import describe

_LONGEST_ACCEPT: Final = 60.0  # seconds

log = structlog.get_logger("ingest")


class Taken(NamedTuple):
    """The uids that are durable now, and those of them that a person has to look at."""

    uids: Sequence[int]
    odd: Sequence[int]


class Taking:
    """Takes in the mails of one account."""

    def __init__(
        self,
        account: Account,
        accept: Accept,
        engine: AsyncEngine,
        now: Callable[[], datetime],
    ) -> None:
        self._account, self._accept, self._engine, self._now = account, accept, engine, now

    async def take(self, mails: Sequence[Fetched]) -> Taken:
        """Returns once all of it is durable. Raises Unavailable when it cannot be now."""
        parsed = await self._parsed(mails)
        ids = {message.id for each in parsed for message in each.messages}
        known = await routed(self._engine, ids)
        fresh = [Parsed() if _is_known(each, known) else each for each in parsed]
        try:
            await self._durably(_together(fresh))
        except Unavailable:
            raise
        except Exception as error:
            log.warning("mails go in one by one", account=self._account.name, error=describe(error))
            fresh = [await self._alone(mail, each) for mail, each in zip(mails, fresh, strict=True)]
        odd = [mail.uid for mail, each in zip(mails, fresh, strict=True) if each.parked]
        return Taken([mail.uid for mail in mails], odd)

    async def give_up(self, folder: str, validity: int, uid: int) -> None:
        """Notes a mail that the server cannot give us. Raises Unavailable."""
        about = f"UID {uid} of {folder} (UIDVALIDITY {validity})"
        reason = f"the mail server does not give this mail: {about}. Look at it in the mailbox"
        key = f"imap {validity}.{uid}"
        await self._durably(Parsed(parked=(Parked(about.encode(), reason, key=key),)))

    async def _parsed(self, mails: Sequence[Fetched]) -> list[Parsed]:
        now, parsed = self._now(), list[Parsed]()
        for mail in mails:
            parsed.append(await self._read(mail, now))
            await asyncio.sleep(0)  # others' turn: a portion may be many small mails
        return parsed

    async def _read(self, mail: Fetched, now: datetime) -> Parsed:
        if mail.cut:
            return _parked(
                mail,
                f"the mail is larger than the {len(mail.raw)} bytes that the account's max_size "
                "allows: this is its beginning, the whole of it is in the mailbox",
            )
        sender, recipients = delivered(mail.raw, self._account)
        parsed = await parsed_mail(mail.raw, self._account, sender, recipients, now)
        return _occurred(parsed, mail.at)

    async def _alone(self, mail: Fetched, parsed: Parsed) -> Parsed:
        try:
            await self._durably(parsed)
        except Unavailable:
            raise
        except Exception as error:
            log.exception("a mail could not be taken in", account=self._account.name)
            parsed = _parked(mail, f"the mail could not be taken in: {describe(error)}")
            await self._durably(parsed)
        return parsed

    async def _durably(self, parsed: Parsed) -> None:
        if not (parsed.messages or parsed.statuses or parsed.parked):
            return
        try:
            async with asyncio.timeout(_LONGEST_ACCEPT):
                await self._accept(parsed, self._account.name)
        except TimeoutError as error:
            raise Unavailable("the log or the blob store took too long") from error


def _occurred(parsed: Parsed, at: datetime) -> Parsed:
    """The mail server's own time of receipt: a customer's clock runs while we do not look."""
    messages = [
        msgspec.structs.replace(message, occurred_at=min(at, message.received_at))
        for message in parsed.messages
    ]
    return Parsed(messages, parsed.statuses, parsed.parked, parsed.blobs)


def _is_known(parsed: Parsed, known: set[UUID]) -> bool:
    return bool(parsed.messages) and all(message.id in known for message in parsed.messages)


def _together(parsed: Sequence[Parsed]) -> Parsed:
    return Parsed(
        messages=tuple(chain.from_iterable(each.messages for each in parsed)),
        statuses=tuple(chain.from_iterable(each.statuses for each in parsed)),
        parked=tuple(chain.from_iterable(each.parked for each in parsed)),
        blobs=tuple(chain.from_iterable(each.blobs for each in parsed)),
    )


def _parked(mail: Fetched, reason: str) -> Parsed:
    return Parsed(parked=(Parked(mail.raw, reason, key=hashlib.sha256(mail.raw).hexdigest()),))
