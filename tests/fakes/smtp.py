"""A mail server on loopback, strict about what it is given, that can be told to misbehave.

async with FakeSmtp() as server:
    server.answer("RCPT", "550 5.1.1 no such user")
    …
    assert server.accepted == []
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

ONCE = ("From", "Date", "Message-ID")  # RFC 5322 section 3.6


@dataclass(frozen=True)
class Mail:
    """One mail that was taken. `content` is what stood between DATA and the dot."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    options: tuple[str, ...]


@dataclass
class FakeSmtp:
    """Takes any mail that keeps to the standards; `accepted` holds them in order.

    users  name and password of those who may log in; none: nobody has to
    """

    users: dict[str, str] = field(default_factory=dict)
    accepted: list[Mail] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._answers: dict[str, deque[str]] = {}
        self._server: asyncio.Server | None = None
        self._sessions: set[_Session] = set()
        self._over = asyncio.Event()

    def answer(self, verb: str, status: str) -> None:
        """The next MAIL, RCPT or DATA (after its text) gets this answer.

        `hang` answers nothing as long as the server lives, `drop` cuts the connection.
        """
        self._answers.setdefault(verb, deque()).append(status)

    def settings(self) -> dict[str, Any]:
        """What an account has as `outbound`."""
        return {"host": "127.0.0.1", "port": self.port, "starttls": False}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._over.set()
        self._server.close()
        for session in list(self._sessions):
            session.cut()
        await asyncio.wait_for(self._server.wait_closed(), 5)

    def _session(self) -> SMTP:
        return _Session(
            _Hooks(self),
            self._sessions,
            enable_SMTPUTF8=True,
            hostname="mail.test",
            auth_required=bool(self.users),
            auth_require_tls=False,
            authenticator=self._login,
            loop=asyncio.get_running_loop(),
        )

    def _login(self, server: Any, session: Any, envelope: Any, how: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        right = self.users.get(given.login.decode()) == given.password.decode()
        return AuthResult(success=right, handled=False)

    async def told(self, verb: str, server: SMTP) -> str | None:
        waiting = self._answers.get(verb)
        status = waiting.popleft() if waiting else None
        if status == "hang":
            await self._over.wait()
            return "421 4.3.2 closing down"
        if status == "drop":
            assert isinstance(server, _Session)
            server.cut()
        return status


class _Session(SMTP):
    def __init__(self, hooks: _Hooks, sessions: set[_Session], **settings: Any) -> None:
        super().__init__(hooks, **settings)
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        super().connection_lost(error)

    def cut(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


class _Hooks:
    """aiosmtpd's `handle_…` hooks."""

    def __init__(self, fake: FakeSmtp) -> None:
        self._fake = fake

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (told := await self._fake.told("MAIL", server)) is not None:
            return told
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (told := await self._fake.told("RCPT", server)) is not None:
            return told
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if (told := await self._fake.told("DATA", server)) is not None:
            return told
        content = envelope.original_content or b""
        if wrong := _wrong_with(content, envelope):
            return f"554 5.6.0 {wrong}"
        options = tuple(envelope.mail_options)
        taken = Mail(envelope.mail_from or "", tuple(envelope.rcpt_tos), content, options)
        self._fake.accepted.append(taken)
        return "250 OK"


def _wrong_with(content: bytes, envelope: Envelope) -> str:
    if b"\n" in content.replace(b"\r\n", b"") or b"\r" in content.replace(b"\r\n", b""):
        return "a line ends in a lone CR or LF"
    if max(map(len, content.split(b"\r\n"))) > 998:
        return "a line is longer than 998"
    if not content.isascii() and "BODY=8BITMIME" not in envelope.mail_options:
        return "8-bit text without BODY=8BITMIME"
    headers = BytesHeaderParser().parsebytes(content)
    missing = [name for name in ONCE if len(headers.get_all(name, [])) != 1]
    if missing:
        return f"{', '.join(missing)} must stand there once"
    return "" if headers.get("To") else "To is missing"
