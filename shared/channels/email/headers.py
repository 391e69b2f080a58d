"""The header block of a mail or a part: split, repaired and decoded, whatever wrote it.

Values are kept as the bytes that came; each reader below decodes what it needs. The standard
library's `policy.default` parses by a grammar that raises, and takes quadratic time, on hostile
headers, and decodes encoded words one by one; so only its address and parameter parsers are used.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from typing import Final

from shared.channels.email.charsets import decode, tidy
from shared.channels.email.transfer import decoded

LONGEST_BLOCK: Final = 256 * 1024
LONGEST_HEADER: Final = 64 * 1024

_FIELD: Final = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_KNOWN: Final = re.compile(
    rb"(?:From|To|Cc|Subject|Date|Message-ID|MIME-Version|Content-[A-Za-z-]+|Received|X-[!-9;-~]+)"
    rb"[ \t]*:",
    re.IGNORECASE,
)
# The text of an encoded word may hold a stray `?` or `=`, but never the start of another word.
_WORD: Final = re.compile(
    rb"=\?([^?\s]{1,64})\?([bBqQ])\?((?:[^?=]|=(?!\?[^=])|\?(?!=)){0,4000})\?="
)
_IDS: Final = re.compile(r"<([^<>]{1,990})>")


@dataclass(frozen=True, slots=True)
class Headers:
    """Fields in the order they came; names as written, values unfolded bytes."""

    fields: tuple[tuple[str, bytes], ...] = ()

    def all(self, name: str) -> list[bytes]:
        """Every value of `name`, topmost first."""
        name = name.lower()
        return [value for field, value in self.fields if field.lower() == name]

    def raw(self, name: str) -> bytes:
        """The topmost value of `name`; empty where there is none."""
        return next(iter(self.all(name)), b"")

    def text(self, name: str) -> str:
        """The topmost value, decoded to one line."""
        return header_text(self.raw(name))

    def has(self, name: str) -> bool:
        return bool(self.all(name))


def read_headers(block: bytes) -> Headers:
    """The fields of a header block. Never raises; what is no field is left out."""
    return Headers(tuple(_fields(block[:LONGEST_BLOCK])))


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
    at = 0
    for line in head.splitlines(keepends=True):
        plain = line[:1] not in b" \t" and not _FIELD.match(line)
        if plain and not line.startswith((b"From ", b">From ")):
            rest = head[at + len(line) :].splitlines()
            return None if any(_KNOWN.match(later) for later in rest) else at
        at += len(line)
    return None


def _fields(block: bytes) -> Iterator[tuple[str, bytes]]:
    name, lines = "", list[bytes]()
    for line in block.splitlines():
        found = _FIELD.match(line)
        if found is None:
            lines.append(line)  # folded, or a folded line that lost its indent
            continue
        if name:
            yield name, _unfolded(lines)
        name, lines = found.group(1).decode("ascii"), [line[found.end() :]]
    if name:
        yield name, _unfolded(lines)


def _unfolded(lines: list[bytes]) -> bytes:
    return b" ".join(stripped for line in lines if (stripped := line.strip()))[:LONGEST_HEADER]


def header_text(raw: bytes) -> str:
    """One readable line: encoded words (RFC 2047) and raw 8-bit text decoded."""
    plain = b"=?" not in raw and raw.isascii() and b"\x1b" not in raw
    return " ".join((tidy(raw.decode("ascii")) if plain else _decoded(raw)).split())


def _decoded(raw: bytes) -> str:
    """Words of one charset are joined before decoding: mailers cut them inside a character."""
    out: list[str] = []
    pending: list[tuple[str, str, bytes]] = []
    at = 0
    for word in _WORD.finditer(raw):
        between = raw[at : word.start()]
        if between.strip() or not pending:
            out += [_joined(pending), decode(between).text]
            pending = []
        charset = word[1].decode("ascii", "replace").partition("*")[0].lower()
        pending.append((charset, word[2].decode().lower(), word[3]))
        at = word.end()
    return "".join([*out, _joined(pending), decode(raw[at:]).text])


def _joined(words: list[tuple[str, str, bytes]]) -> str:
    runs: list[tuple[str, bytes]] = []
    carried = b""  # base64 cut within a group of four goes on in the next word
    for number, (charset, encoding, text) in enumerate(words):
        if encoding == "b":
            text = carried + text.strip()
            follows = [word[:2] for word in words[number + 1 : number + 2]]
            carried = b""
            if len(text) % 4 and not text.endswith(b"=") and follows == [(charset, "b")]:
                text, carried = text[: len(text) & ~3], text[len(text) & ~3 :]
        content = decoded(text, "base64") if encoding == "b" else binascii.a2b_qp(text, header=True)
        if runs and runs[-1][0] == charset:
            content = runs.pop()[1] + content
        runs.append((charset, content))
    return "".join(decode(content, charset).text for charset, content in runs)


def message_ids(raw: bytes) -> list[str]:
    """Every Message-ID in a header, with its angle brackets; bare ones get theirs. At most 200."""
    line = header_text(raw)
    found = [re.sub(r"\s", "", each) for each in _IDS.findall(line)]
    if not found:
        found = [word.strip("<>,;\"'") for word in line.split() if "@" in word]
    return [f"<{each}>" for each in found if each][:200]


def parameters(raw: bytes) -> tuple[str, dict[str, str]]:
    """A Content-Type or Content-Disposition: its value in lower case, and its parameters.

    RFC 2231 (continued, with a charset) and RFC 2047 inside quotes, which is wrong but common.
    """
    line = decode(raw[:8192]).text  # the parser below is quadratic in its quotes
    message = Message()
    message["content-type"] = " ".join(line.split())
    try:
        pairs = message.get_params(failobj=[]) or []
    except Exception:  # the standard library's parser raises on some broken continuations
        pairs = [(line.partition(";")[0], "")]
    read = [(name.lower(), _parameter(value)) for name, value in pairs]
    value = read[0][0].strip() if read else ""
    return value, {name: text for name, text in reversed(read[1:]) if text}


def _parameter(value: str | tuple[str | None, str | None, str]) -> str:
    if isinstance(value, tuple):
        try:
            value = decode(value[2].encode("latin-1"), value[0] or "").text
        except UnicodeEncodeError:
            value = collapse_rfc2231_value(value)
    return header_text(value.encode("utf-8", "surrogateescape")) if "=?" in value else value


def date_of(headers: Headers) -> datetime | None:
    """The sender's own word on when the mail was written; None if missing or unreadable."""
    try:
        written = parsedate_to_datetime(headers.text("Date"))
        return (written if written.tzinfo else written.replace(tzinfo=UTC)).astimezone(UTC)
    except Exception:  # years beyond the calendar, zones beyond a day: ValueError, OverflowError …
        return None
