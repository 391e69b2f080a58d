"""What an account says of its mailbox, and what is asked of the mailbox: pure.

A mail that has been taken in carries the keyword `$RegieTaken`, in the mailbox itself: what is
still to be taken is known there, whoever looks, and is not lost with a database or a UIDVALIDITY.
Where a server keeps no keywords (PERMANENTFLAGS without `\\*`), `\\Seen` has to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from shared.accounts import Account
from shared.channels.email.mime import LARGEST
from shared.durations import Duration

TAKEN: Final = "$RegieTaken"
SEEN: Final = "\\Seen"
_EVERY: Final = "1m"
_GROUP: Final = 50  # mails
_GROUP_BYTES: Final = 8 * 1024 * 1024
_LONGEST_SET: Final = 6_000  # characters; servers take a command line of 8,000 (RFC 7162, 4)


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """An account's mailbox. `every` in seconds, `most` in bytes; for the rest see the docs.

    starttls  True: not without; None: where the server offers it; False: never
    start     what of the mails that are there already is taken at the very first connection
    """

    host: str
    port: int
    tls: bool
    starttls: bool | None
    ca_file: str
    username: str
    folder: str
    move_to: str
    every: float
    most: int
    start: Literal["unseen", "all", "new"]

    @classmethod
    def of(cls, account: Account) -> ImapSettings:
        given = account.settings
        tls = bool(given.get("tls", not given.get("starttls")))
        starttls = given.get("starttls")
        return cls(
            host=str(given["host"]),
            port=int(given.get("port", 993 if tls else 143)),
            tls=tls,
            starttls=None if starttls is None else bool(starttls),
            ca_file=str(given.get("ca_file", "")),
            username=str(given["username"]),
            folder=str(given.get("folder", "INBOX")),
            move_to=str(given.get("move_to", "")),
            every=Duration.parse(given.get("every", _EVERY)).timedelta().total_seconds(),
            most=min(int(given.get("max_size", LARGEST)), LARGEST),
            start=given.get("start", "unseen"),
        )


class Waiting(NamedTuple):
    """A mail that is to be taken in. `size` is what the server says: some only guess."""

    uid: int
    size: int
    at: datetime


def to_take(keywords: bool) -> list[str]:
    """The search for what has not been taken in."""
    return ["UNKEYWORD", TAKEN, "UNDELETED"] if keywords else ["UNSEEN", "UNDELETED"]


def groups(mails: Iterable[Waiting], alone: Iterable[int] = ()) -> Iterator[list[Waiting]]:
    """The mails in portions that fit in memory; one of `alone` (uids) by itself."""
    apart = set(alone)
    group: list[Waiting] = []
    size = 0
    for mail in mails:
        full = len(group) == _GROUP or size + mail.size > _GROUP_BYTES
        if group and (full or mail.uid in apart or group[-1].uid in apart):
            yield group
            group, size = [], 0
        group.append(mail)
        size += mail.size
    if group:
        yield group


def sequence_sets(uids: Iterable[int]) -> Iterator[str]:
    """`1:4,7` for 1, 2, 3, 4, 7: as few command lines as servers put up with."""
    line = ""
    for first, last in _runs(sorted(set(uids))):
        piece = str(first) if first == last else f"{first}:{last}"
        if line and len(line) + len(piece) >= _LONGEST_SET:
            yield line
            line = ""
        line += f",{piece}" if line else piece
    if line:
        yield line


def _runs(uids: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for index in range(1, len(uids) + 1):
        if index == len(uids) or uids[index] != uids[index - 1] + 1:
            yield uids[start], uids[index - 1]
            start = index
