"""A connection to an IMAP server: TLS, the login, and what its failures mean. Blocking calls."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, LoginError

from shared.accounts import Account
from shared.channels.email.access import access_tokens
from shared.channels.email.imap_settings import ImapSettings
from shared.errors import Unavailable

_TIMES: Final = SocketTimeout(10, 60)  # seconds to connect, and for each read

Trouble = Literal["credentials", "certificate", "folder", "unreachable", "protocol"]


class MailboxUnavailable(Unavailable):
    """The mailbox cannot be read now. `code` says whose turn it is to mend it."""

    def __init__(self, code: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.code: Trouble = code


def connect(settings: ImapSettings) -> Client:
    """Connected and, unless the account says otherwise, encrypted to a server that proved who it
    is. Not logged in yet."""
    trust = ssl.create_default_context(cafile=settings.ca_file or None)
    client = Client(
        settings.host,
        settings.port,
        ssl=settings.tls,
        ssl_context=trust if settings.tls else None,
        timeout=_TIMES,
    )
    client.normalise_times = False  # with their zone
    try:
        _encrypt(client, settings, trust)
    except BaseException:
        hang_up(client)
        raise
    return client


def _encrypt(client: Client, settings: ImapSettings, trust: ssl.SSLContext) -> None:
    if settings.tls or settings.starttls is False:
        return
    if client.has_capability("STARTTLS"):
        client.starttls(trust)
    elif settings.starttls:
        raise MailboxUnavailable(
            "certificate",
            f"{settings.host} offers no STARTTLS, which the account demands: use its TLS port "
            "(`tls: true`), or ask whoever runs it",
        )


def log_in(client: Client, account: Account, settings: ImapSettings) -> None:
    """With an access token (XOAUTH2) where the account has one, else with a password. Of several
    each is tried in turn: one of them may be the new one."""
    ways = [
        *((client.oauth2_login, each) for each in _tokens(account)),
        *((client.login, each) for each in account.secrets("password")),
    ]
    refusal: LoginError | None = None
    for way, secret in ways:
        try:
            way(settings.username, secret)
        except LoginError as error:
            refusal = error
        else:
            return
    what = "our login" if refusal else "nothing, for the account has neither password nor token"
    raise MailboxUnavailable(
        "credentials",
        f"{settings.host} refused {what}: set `password`, `access_token` or `access_token_file` "
        f"of account {account.name}" + (f" ({refusal})"[:200] if refusal else ""),
    ) from refusal


def _tokens(account: Account) -> Sequence[str]:
    try:
        return access_tokens(account)
    except (OSError, ValueError) as error:
        raise MailboxUnavailable(
            "credentials", f"account {account.name}: access_token_file cannot be read: {error}"
        ) from error


@contextmanager
def speaking(settings: ImapSettings) -> Iterator[None]:
    """Whatever goes wrong in here is a MailboxUnavailable."""
    try:
        yield
    except MailboxUnavailable:
        raise
    except ssl.SSLCertVerificationError as error:
        raise MailboxUnavailable(
            "certificate",
            f"the certificate of {settings.host} is not trusted ({error.verify_message}): use the "
            "name that stands in it, or name its authority in `ca_file`",
        ) from error
    except (OSError, IMAPClientAbortError) as error:
        words = error.strerror or type(error).__name__ if isinstance(error, OSError) else "cut off"
        raise MailboxUnavailable(
            "unreachable", f"no connection to {settings.host}:{settings.port}: {words}"
        ) from error
    except Exception as error:
        # The library fails in many ways on an answer it did not expect; its words quote mails.
        name = type(error).__name__
        raise MailboxUnavailable(
            "protocol", f"{settings.host} answered what cannot be understood: {name}"
        ) from error


def cut(client: Client) -> None:
    """From any thread: whoever waits for the server waits no more. Never raises."""
    with suppress(Exception):
        client.socket().shutdown(socket.SHUT_RDWR)


def hang_up(client: Client) -> None:
    """Gives the connection back to the system. Never raises."""
    with suppress(Exception):
        client.shutdown()


class Client(IMAPClient):  # type: ignore[misc]  # untyped
    """Misses no announcement of new mail.

    One may come at the end of the answer to another command, where the library keeps it to itself;
    or in one packet with the server's consent to IDLE, when it lies in a buffer where no polling
    of the socket shows it: so the first look after `idle` reads without asking.
    """

    _unread = False

    def announced(self) -> bool:
        """Whether new mail was announced since this was last asked."""
        _, numbers = self._imap.response("EXISTS")
        return bool(numbers != [None])

    def idle(self) -> None:
        super().idle()
        self._unread = True

    def _poll_socket(self, sock: Any, timeout: float | None = None) -> Any:
        return self._first_look() or super()._poll_socket(sock, timeout)

    def _select_poll_socket(self, sock: Any, timeout: float | None = None) -> Any:
        return self._first_look() or super()._select_poll_socket(sock, timeout)

    def _first_look(self) -> bool:
        first, self._unread = self._unread, False
        return first
