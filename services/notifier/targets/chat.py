"""Replies to a web chat: a line in the store that the visitor's page is shown from.

Nothing is called, and a line is known by its message: so what failed here may always be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.answers import Answer
from services.notifier.models import Delivery
from services.notifier.targets.replies import reply_in
from shared import chat
from shared.accounts import Account, Accounts
from shared.channels.webchat import settings_of, takes_chats
from shared.chat import Reader
from shared.database import is_deadlock, transaction
from shared.errors import SendError, Unavailable
from shared.events import Identity

_BOUND: Final = 10.0  # seconds


class Chats:
    """`answers(delivery)` says which deliveries are for it."""

    def __init__(
        self, engine: AsyncEngine, accounts: Accounts, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._now = now

    def answers(self, delivery: Delivery) -> bool:
        account = self._accounts.get(delivery.address) if delivery.kind == "account" else None
        return account is not None and takes_chats(account)

    async def send(self, delivery: Delivery) -> Answer:
        """Returns once the page can read it. Raises SendError."""
        try:
            async with asyncio.timeout(_BOUND):
                await self._say(delivery)
        except (Unavailable, TimeoutError) as error:
            raise SendError("database", "the chat store does not answer", again=True) from error
        except Exception as error:
            if not is_deadlock(error):
                raise
            raise SendError("database", "the session is busy", again=True) from error
        return Answer(provider_id=str(reply_in(delivery).message_id))

    async def _say(self, delivery: Delivery) -> None:
        reply, now = reply_in(delivery), self._now()
        account, session = self._accounts.get(reply.account), session_of(reply.recipient)
        async with transaction(self._engine) as connection:
            reader = await chat.reader(connection, session, now) if session else None
            if account is None or reader is None or session is None:
                raise _nobody("there is no such chat any more")
            answer = chat.Answer(
                message_id=reply.message_id, session=session, case_id=delivery.case_id,
                text=reply.text, subject=reply.subject, files=reply.attachments,
                human=reply.human, secret=reply.secret,
            )  # fmt: skip
            follow_up_at = follow_up(account, reader, now)
            if reader.over and follow_up_at is None:
                raise _nobody("the visitor has left and can be mailed nothing")
            await chat.say(connection, answer, now, follow_up_at)


def follow_up(account: Account, reader: Reader, now: datetime) -> datetime | None:
    """When an answer that stays unread goes by mail: at once to who has left; None: never."""
    settings = settings_of(account)
    if not settings.follow_up_from or not reader.email:
        return None
    return now + (timedelta() if reader.over else settings.follow_up_after)


def session_of(recipient: Identity) -> UUID | None:
    try:
        return UUID(recipient.value) if recipient.scheme == "chat" else None
    except ValueError:
        return None


def _nobody(why: str) -> SendError:
    return SendError("chat_over", f"{why}: write to them on another channel")
