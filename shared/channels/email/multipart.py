"""A multipart's body, cut at its delimiters (RFC 2046), however they were spoilt.

Mended are: a boundary that was lost, is quoted once too often, has blanks at its ends or is not the
one that stands in the body; a closing delimiter that was lost, or stands before the last part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_FIELD: Final = rb"(?:Content-[A-Za-z-]+|MIME-Version)[ \t]*:"
# A line that can only be a delimiter: fields of a part, or an empty line, stand right behind it.
_DELIMITER: Final = re.compile(
    rb"(?:\A|\n)--(-*+[^\s-][^\r\n]{0,200}+)\r?\n(?=" + _FIELD + rb"|\r?\n)", re.IGNORECASE
)
_OPENS: Final = re.compile(
    rb"\A(?:[^\r\n]{0,200}\r?\n){0,8}?--(\S[^\r\n]{0,200})\r?\n" + _FIELD, re.IGNORECASE
)


class Cut(NamedTuple):
    """The parts, and the text that stands before and behind them all."""

    parts: list[bytes]
    around: bytes


def pieces(body: bytes, boundary: str) -> Cut:
    """The raw parts of a multipart, in order; none where nothing in it delimits."""
    given = boundary.encode("utf-8", "surrogateescape")
    tried = dict.fromkeys((given.rstrip(), given.strip(), given.strip().strip(b"'\"")))
    around = body
    for delimiter in tried:
        cut = _cut(body, b"--" + delimiter) if delimiter else Cut([], body)
        if cut.parts:
            return cut
        around = min(around, cut.around, key=len)
    for found in _DELIMITER.finditer(body):
        if (cut := _cut(body, b"--" + found[1].rstrip())).parts:
            return cut
    return Cut([], around)


def opens_multipart(body: bytes) -> bytes:
    """The boundary of a body that is a multipart though its headers do not say so; else empty."""
    found = _OPENS.match(body)
    if found is None:
        return b""
    boundary = found[1].rstrip()
    closed = re.search(
        rb"\n--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r?\n|\Z)", body[found.end() :]
    )
    return boundary if closed else b""


def _cut(body: bytes, delimiter: bytes) -> Cut:
    parts: list[bytes] = []
    around: list[bytes] = []
    start, open_ = 0, False
    for at, end, last in _delimiters(body, delimiter):
        (parts if open_ else around).append(body[start:at])
        start, open_ = end, not last
    rest = body[start:]
    if open_ and rest.strip():
        parts.append(rest)  # the closing delimiter was lost
    elif not open_:
        around.append(rest)
    return Cut(parts, b"\n".join(around))


def _delimiters(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    # Where the line end before it begins, where the next line begins, and whether it closes.
    at = body.find(delimiter)
    while at >= 0:
        # Only at the start of a line is its end looked for: a long line may hold thousands.
        if at == 0 or body[at - 1 : at] == b"\n":
            newline = body.find(b"\n", at)
            end = len(body) if newline < 0 else newline + 1
            rest = body[at + len(delimiter) : end].strip()
            if rest in (b"", b"--"):
                before = at - 1 - (body[at - 2 : at - 1] == b"\r") if at else 0
                yield max(before, 0), end, rest == b"--"
                at = body.find(delimiter, end)
                continue
        at = body.find(delimiter, at + len(delimiter))
