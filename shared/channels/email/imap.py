"""A mailbox on an IMAP server (RFC 3501): blocking calls, for a thread of its own.

Nothing is fetched whole that is larger than the account allows, reading marks nothing (BODY.PEEK),
and whatever goes wrong comes out as MailboxUnavailable: after it the connection is of no use.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from shared.accounts import Account
from shared.channels.email.imap_connection import (
    Client,
    MailboxUnavailable,
    connect,
    cut,
    hang_up,
    log_in,
    speaking,
)
from shared.channels.email.imap_settings import (
    SEEN,
    TAKEN,
    ImapSettings,
    Waiting,
    sequence_sets,
    to_take,
)

_LOOKS: Final = 5  # at a mailbox where mail comes faster than it can be searched
_FLAGGED: Final = "\\Flagged"


class Fetched(NamedTuple):
    """A mail as it lies there, or its beginning where it is larger than allowed (`cut`).

    at  when the mail server received it
    """

    uid: int
    raw: bytes
    at: datetime
    cut: bool


@dataclass(slots=True)
class Mailbox:
    """An open folder. `validity` and a uid name a mail for as long as the server keeps its word.

    keywords  whether mails can carry a mark of our own
    idles     whether the server tells of new mail by itself (RFC 2177)
    """

    client: Client
    settings: ImapSettings
    validity: int
    keywords: bool
    idles: bool

    @classmethod
    def open(cls, account: Account, *, only_looking: bool = False) -> Self:
        """Connects, logs in and opens the folder. Raises MailboxUnavailable.

        only_looking  nothing is made, `move_to` neither
        """
        settings = ImapSettings.of(account)
        with speaking(settings):
            client = connect(settings)
            try:
                log_in(client, account, settings)
                return cls._opened(client, settings, make=not only_looking)
            except BaseException:
                hang_up(client)
                raise

    @classmethod
    def _opened(cls, client: Client, settings: ImapSettings, *, make: bool) -> Self:
        try:
            if make and settings.move_to and not client.folder_exists(settings.move_to):
                client.create_folder(settings.move_to)
            selected = client.select_folder(settings.folder)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            raise MailboxUnavailable(
                "folder", f"the folder cannot be opened: mend `folder` or `move_to` ({error})"[:300]
            ) from error
        kept = {flag.decode("utf-8", "replace") for flag in selected.get(b"PERMANENTFLAGS", ())}
        keywords = bool({"\\*", TAKEN} & kept)
        if not keywords and SEEN not in kept:
            raise MailboxUnavailable(
                "folder", "the folder is read-only: no mail could be marked as taken in. Give "
                "the user the right to change flags",
            )  # fmt: skip
        idles = client.has_capability("IDLE")
        return cls(client, settings, int(selected[b"UIDVALIDITY"]), keywords, idles)

    # --- what waits ------------------------------------------------------------------------------

    def waiting(self) -> list[int]:
        """The uids of what is to be taken in, oldest first."""
        found: list[int] = []
        with speaking(self.settings):
            for _ in range(_LOOKS):
                self.client.announced()
                found = sorted(self.client.search(to_take(self.keywords)))
                # What came while it searched is announced now, and IDLE will not tell it again.
                if not self.client.announced():
                    break
        return found

    def sizes(self, uids: Sequence[int]) -> list[Waiting]:
        """What has vanished meanwhile is not among them."""
        with speaking(self.settings):
            found = self.client.fetch(list(uids), ["RFC822.SIZE", "INTERNALDATE"])
            return [
                Waiting(uid, int(data.get(b"RFC822.SIZE") or 0), _received(data))
                for uid, data in sorted(found.items())
            ]

    def fetch(self, mails: Sequence[Waiting]) -> list[Fetched]:
        """Their bytes, of each no more than the account allows."""
        most = self.settings.most
        received = {mail.uid: mail.at for mail in mails}
        with speaking(self.settings):
            # One byte more than is allowed shows that it is too large.
            found = self.client.fetch(list(received), [f"BODY.PEEK[]<0.{most + 1}>"])
            bodies = {uid: _body(data) for uid, data in found.items()}
        return [
            Fetched(uid, raw[:most], received[uid], len(raw) > most)
            for uid, raw in sorted(bodies.items())
        ]

    # --- marks -----------------------------------------------------------------------------------

    def taken_before(self) -> bool:
        """Whether any mail here carries our mark; without keywords nobody can tell."""
        with speaking(self.settings):
            return not self.keywords or bool(self.client.search(["KEYWORD", TAKEN]))

    def older(self, before: datetime | None, *, seen: bool) -> list[int]:
        """The uids of what waits and came before then; `seen`: only what a person has read."""
        with speaking(self.settings):
            wanted = [*to_take(self.keywords), *(["SEEN"] if seen else [])]
            uids = sorted(self.client.search(wanted))
        if before is None or not uids:
            return uids
        return [mail.uid for mail in self.sizes(uids) if mail.at < before]

    def mark(self, uids: Iterable[int], *, visibly: Iterable[int] = ()) -> None:
        """Marks them as taken in, those of `visibly` so that people see it, then moves them."""
        uids = list(uids)
        with speaking(self.settings):
            for line in sequence_sets(visibly):
                self.client.add_flags(line, [_FLAGGED], silent=True)
            for line in sequence_sets(uids):
                self.client.add_flags(line, [TAKEN if self.keywords else SEEN], silent=True)
            if self.settings.move_to:
                for line in sequence_sets(uids):
                    _move(self.client, line, self.settings.move_to)

    def put_aside(self, uids: Iterable[int]) -> None:
        """Marks them as nothing to be taken in; they stay where they are."""
        with speaking(self.settings):
            for line in sequence_sets(uids):
                self.client.add_flags(line, [TAKEN], silent=True)

    # --- waiting for more ------------------------------------------------------------------------

    def listen(self) -> bool:
        """Lets the server tell of new mail (IDLE); whether it has told of some already."""
        with speaking(self.settings):
            self.client.idle()
            return _tells(self.client.idle_check(timeout=0))

    def heard(self, seconds: float) -> bool:
        """Whether it told of any within `seconds`, or hung up."""
        with speaking(self.settings):
            began = time.monotonic()
            told = self.client.idle_check(timeout=seconds)
            # A closed connection looks like silence that was cut short.
            hung_up = not told and time.monotonic() - began < seconds / 2
            return hung_up or _tells(told)

    def listen_no_more(self) -> None:
        with speaking(self.settings):
            self.client.idle_done()

    # --- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Says good-bye. Never raises."""
        with suppress(Exception):
            self.client.logout()
        hang_up(self.client)

    def cut(self) -> None:
        """Ends what another thread waits for. Never raises, never waits."""
        cut(self.client)


def _tells(told: Iterable[tuple[Any, ...]]) -> bool:
    return any(b"EXISTS" in each[1:2] or each[0] == b"BYE" for each in told)


def _received(data: dict[bytes, Any]) -> datetime:
    found = data.get(b"INTERNALDATE")
    # Without a zone it would be anybody's hour.
    return found if isinstance(found, datetime) and found.tzinfo else datetime.now(UTC)


def _body(data: dict[bytes, Any]) -> bytes:
    return next((each or b"" for name, each in data.items() if name.startswith(b"BODY[")), b"")


def _move(client: Client, line: str, folder: str) -> None:
    if client.has_capability("MOVE"):
        client.move(line, folder)
        return
    client.copy(line, folder)
    client.add_flags(line, ["\\Deleted"], silent=True)
    if client.has_capability("UIDPLUS"):  # else it would expunge what others have deleted
        client.uid_expunge(line)
