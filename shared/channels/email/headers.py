"""The header block of a mail or a part: split, repaired and decoded, whatever wrote it.

Values are kept as the bytes that came; each reader decodes what it needs. The standard library's
`policy.default` parses by a grammar that raises, and takes quadratic time, on hostile headers, and
decodes encoded words one by one; so only its reader of dates is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Final

from shared.channels.email.parameters import parameters
from shared.channels.email.words import header_text

__all__ = [
    "LONGEST_BLOCK",
    "Headers",
    "date_of",
    "has_known_field",
    "header_text",
    "message_ids",
    "parameters",
    "read_headers",
    "split_head",
]

LONGEST_BLOCK: Final = 256 * 1024
LONGEST_HEADER: Final = 64 * 1024

_FIELD: Final = re.compile(rb"([!-9;-~]{1,200})[ \t]*+:")
_KNOWN: Final = re.compile(
    rb"(?:From|To|Cc|Subject|Date|Message-ID|MIME-Version|Content-[A-Za-z-]+|Received|Return-Path"
    rb"|Reply-To|Sender|In-Reply-To|References|X-[!-9;-~]+)[ \t]*:",
    re.IGNORECASE,
)
_HYPHENATED: Final = re.compile(rb"[A-Za-z]+(?:-[A-Za-z0-9]+)+[ \t]*:")
_PARAMETER: Final = re.compile(rb"[A-Za-z-]+[*0-9]*[ \t]*=")
_SEPARATOR: Final = (b"From ", b">From ")  # of a mail folder, not of the mail
_IDS: Final = re.compile(r"<([^<>]{1,990})>")


@dataclass(frozen=True)
class Headers:
    """Fields in the order they came; names as written, values unfolded bytes.

    cut  something was longer than is read: 256 KiB together, 64 KiB one field
    """

    fields: tuple[tuple[str, bytes], ...] = ()
    cut: bool = False

    @cached_property
    def _by_name(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for name, value in self.fields:
            found.setdefault(name.lower(), []).append(value)
        return found

    def all(self, name: str) -> list[bytes]:
        """Every value of `name`, topmost first."""
        return list(self._by_name.get(name.lower(), ()))

    def raw(self, name: str) -> bytes:
        """The topmost value of `name`; empty where there is none."""
        return next(iter(self._by_name.get(name.lower(), ())), b"")

    def text(self, name: str) -> str:
        """The topmost value, decoded to one line."""
        return header_text(self.raw(name))

    def has(self, name: str) -> bool:
        return name.lower() in self._by_name


def read_headers(block: bytes) -> Headers:
    """The fields of a header block. Never raises; what is no field is left out."""
    fields = tuple(_fields(block[:LONGEST_BLOCK]))
    cut = len(block) > LONGEST_BLOCK or any(len(value) > LONGEST_HEADER for _, value in fields)
    return Headers(tuple((name, value[:LONGEST_HEADER]) for name, value in fields), cut)


def split_head(part: bytes) -> tuple[bytes, bytes]:
    """The header block and the body of a mail or part.

    Mails come without the blank line between them, and with a folded line that lost its indent.
    A line that is no field ends the headers only if no known field follows it in the block.
    """
    if not part.lstrip(b"\r\n") or part[:1] in b"\r\n":
        return b"", part.removeprefix(b"\r").removeprefix(b"\n")
    end = re.search(rb"\n\r?\n", part)
    head, body = (part[: end.start()], part[end.end() :]) if end else (part, b"")
    if len(head) <= LONGEST_BLOCK and (at := _body_without_gap(head)) is not None:
        return head[:at], part[at:]
    return head, body


def _body_without_gap(head: bytes) -> int | None:
    at, before = 0, b""
    for line in head.splitlines(keepends=True):
        plain = line[:1] not in b" \t" and not _FIELD.match(line)
        continued = before.rstrip().endswith(b";") and _PARAMETER.match(line)
        before = line
        if plain and not continued and not line.startswith(_SEPARATOR):
            rest = head[at + len(line) :].splitlines()
            return None if any(_KNOWN.match(later) for later in rest) else at
        at += len(line)
    return None


def _fields(block: bytes) -> Iterator[tuple[str, bytes]]:
    name, lines = "", list[bytes]()
    for line in block.splitlines():
        found = _FIELD.match(line if name else line.lstrip())
        if found is None:
            if not line.startswith(_SEPARATOR):
                lines.append(line)  # folded, or a folded line that lost its indent
            continue
        if name:
            yield name, _unfolded(lines)
        name = found.group(1).decode("ascii")
        lines = [found.string[found.end() :]]
    if name:
        yield name, _unfolded(lines)


def _unfolded(lines: list[bytes]) -> bytes:
    return b" ".join(stripped for line in lines if (stripped := line.strip()))


def has_known_field(block: bytes) -> bool:
    """Whether a mail's own headers stand in `block`, and not just text with a colon in it."""
    lines = (line.lstrip() for line in block[:LONGEST_BLOCK].splitlines())
    return any(_KNOWN.match(line) or _HYPHENATED.match(line) for line in lines)


def message_ids(raw: bytes) -> list[str]:
    """Every Message-ID in a header, with its angle brackets; bare ones get theirs. At most 200."""
    line = header_text(raw)
    found = [re.sub(r"\s", "", each) for each in _IDS.findall(line)]
    if not found:
        found = [word.strip("<>,;\"'") for word in line.split() if "@" in word]
    return [f"<{each}>" for each in found if each][:200]


def date_of(headers: Headers) -> datetime | None:
    """The sender's own word on when the mail was written; None if missing or unreadable."""
    try:
        written = parsedate_to_datetime(headers.text("Date"))
        return (written if written.tzinfo else written.replace(tzinfo=UTC)).astimezone(UTC)
    except Exception:  # years beyond the calendar, zones beyond a day: ValueError, OverflowError …
        return None
