"""The mailboxes of all accounts with provider `imap`, each read by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.mail_intake import Accept
from services.ingest.mailbox_pauses import pause_after
from services.ingest.mailbox_reader import MailboxReader
from services.ingest.mailbox_taking import Taking
from services.ingest.turns import Turns
from shared.accounts import Account


class Mailboxes:
    """Their settings: docs/channels/email-imap.md."""

    def __init__(
        self,
        accounts: Iterable[Account],
        accept: Accept,
        engine: AsyncEngine,
        now: Callable[[], datetime],
        pause: Callable[[str, int], float] = pause_after,
    ) -> None:
        self._turns = Turns(engine.url)
        self._readers = {
            account.name: MailboxReader(
                account, Taking(account, accept, engine, now), self._turns, engine, pause
            )
            for account in accounts
            if account.channel == "email" and account.provider == "imap"
        }

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for name, reader in self._readers.items():
                    group.create_task(reader.run(), name=f"mailbox {name}")
        finally:
            await self._turns.close()
