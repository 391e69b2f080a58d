"""A session with the mail server in front, SMTP or LMTP, and how much of us it may take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

from services.ingest.mail_intake import MailIntake

_LONGEST_LINE: Final = 64 * 1024  # bytes; many programs ignore the limit of 998

log = structlog.get_logger("ingest")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one address puts up with. Counts, and seconds.

    sessions  connections at once; one more is told to come again
    texts     mails read at once, for each may fill the memory; the next one waits for its turn
    silence   after it a connection is closed (RFC 5321 4.5.3.2.7)
    text      the longest that the text of one mail may take, however steadily it trickles
    """

    sessions: int = 100
    texts: int = 8
    silence: float = 300.0
    text: float = 600.0


class SmtpSession(SMTP):
    """aiosmtpd's session, known to its listener while it lasts."""

    line_length_limit = _LONGEST_LINE

    def __init__(
        self,
        intake: MailIntake,
        sessions: set[SMTP],
        texts: asyncio.Semaphore,
        limits: Limits,
        **settings: Any,
    ) -> None:
        super().__init__(intake, **settings)
        self._sessions, self._texts, self._limits = sessions, texts, limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        if len(self._sessions) <= self._limits.sessions:
            await super()._handle_client()
            return
        log.warning("too many mail connections", most=self._limits.sessions)
        await self.push("421 4.3.2 Too many connections: come again")
        self._close()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        # Before the text is asked for, so that it waits in the other server's queue, not here.
        async with self._texts:
            try:
                async with asyncio.timeout(self._limits.text):
                    await super().smtp_DATA(arg)
            except TimeoutError:
                log.warning("a mail took too long to come", most=self._limits.text)
                self._close()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class LmtpSession(SmtpSession, LMTP):
    """LMTP (RFC 2033): after the text, one answer for each recipient."""

    _answers = 1

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        self._answers = max(1, len(self.envelope.rcpt_tos) if self.envelope else 1)
        await super().smtp_DATA(arg)

    async def push(self, status: Any) -> None:
        # These two aiosmtpd says by itself, once, when it has read a text that is too long.
        if isinstance(status, str) and status.startswith(("552 Error", "500 Line")):
            status = "\r\n".join([status] * self._answers)
        await super().push(status)
