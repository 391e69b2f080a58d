"""Our own mail server: SMTP or LMTP from the mail server in front, straight into the intake.

Strange recipients are refused, so nothing is ever relayed. It runs in the process's own loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiosmtpd.smtp import SMTP

from services.ingest.mail_intake import Accept, MailIntake, max_size
from services.ingest.mail_session import Limits, LmtpSession, SmtpSession
from shared.accounts import Account, Accounts
from shared.errors import Misconfigured

_LIMITS: Final = Limits()
_FAREWELL: Final = 5.0  # seconds that mails being taken in get when the door closes


class MailDoor:
    """Listens for every account with provider `smtp`; accounts may share an address.

    Settings: `listen: host:port`, `max_size` (35 MB at most), `protocol: smtp` or `lmtp`.
    """

    def __init__(
        self,
        accounts: Accounts,
        accept: Accept,
        now: Callable[[], datetime],
        limits: Limits = _LIMITS,
    ) -> None:
        self._listeners = [
            _Listener(place, mailboxes, accept, now, limits)
            for place, mailboxes in _places(accounts).items()
        ]

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Where it listens; with port 0 in `listen`, the port the system chose."""
        return [listener.address for listener in self._listeners]

    async def run(self) -> None:
        """Listens until cancelled."""
        try:
            await self.start()
            await asyncio.Event().wait()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Raises Misconfigured when an address cannot be listened on."""
        for listener in self._listeners:
            await listener.start()

    async def stop(self) -> None:
        """Closes the door; what is being taken in gets five seconds."""
        for listener in reversed(self._listeners):
            await listener.stop()


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    lmtp: bool


def _places(accounts: Iterable[Account]) -> dict[_Place, list[Account]]:
    places: dict[_Place, list[Account]] = {}
    for account in accounts:
        if account.channel == "email" and account.provider == "smtp":
            places.setdefault(_place(account), []).append(account)
    taken = [(place.host, place.port) for place in places if place.port]
    if len(set(taken)) < len(taken):
        raise Misconfigured(
            "accounts listen on one address, some with protocol smtp and some with lmtp: "
            "give them different ports"
        )
    return places


def _place(account: Account) -> _Place:
    host, _, port = str(account.settings["listen"]).rpartition(":")
    protocol = str(account.settings.get("protocol", "smtp")).lower()
    if protocol not in ("smtp", "lmtp"):
        raise Misconfigured(f"account {account.name}: protocol must be smtp or lmtp")
    return _Place(host.strip("[]"), int(port), protocol == "lmtp")


class _Listener:
    """One address, and the mails of all its accounts."""

    def __init__(
        self,
        place: _Place,
        accounts: Sequence[Account],
        accept: Accept,
        now: Callable[[], datetime],
        limits: Limits,
    ) -> None:
        self._place, self._accounts = place, accounts
        self._intake = MailIntake(accounts, accept, now, place.lmtp)
        self._limits = limits
        self._sessions: set[SMTP] = set()
        self._texts = asyncio.Semaphore(limits.texts)
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        assert self._server is not None, "the door is not open"
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def start(self) -> None:
        place = self._place
        kind = LmtpSession if place.lmtp else SmtpSession
        largest = max(max_size(account) for account in self._accounts)
        hostname = socket.gethostname()
        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            return kind(
                self._intake,
                self._sessions,
                self._texts,
                self._limits,
                data_size_limit=largest,
                timeout=self._limits.silence,
                enable_SMTPUTF8=True,
                hostname=hostname,
                ident="Regie",
                loop=loop,
            )

        try:
            self._server = await loop.create_server(session, place.host, place.port)
        except OSError as error:
            raise Misconfigured(
                f"account {self._accounts[0].name} cannot listen on {place.host}:{place.port} "
                f"({error.strerror}): choose another address, or stop what uses it"
            ) from error

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        await self._intake.finish(_FAREWELL)
        for session in list(self._sessions):
            if session.transport is not None:
                session.transport.close()  # what was answered still goes out
        with suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), _FAREWELL)
        self._server = None
