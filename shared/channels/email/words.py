"""Encoded words (RFC 2047) and raw 8-bit text in a header, as one readable line.

What mailers get wrong and is mended: words cut inside a character or inside a group of four, blanks
around the encoding's letter, no `?=` at the end, words inside quotes, and words encoded twice.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, NamedTuple

from shared.channels.email.charsets import decode, tidy
from shared.channels.email.transfer import decoded

# The text of an encoded word may hold a stray `?` or `=`, but never the start of another word.
_WORD: Final = re.compile(
    rb"=\?[ \t]?([^?\s]{1,64})[ \t]?\?[ \t]?([bBqQ])[ \t]?\?"
    rb"((?:[^?=]++|=(?!\?[^=])|\?(?!=)){0,8000}+)(?:\?=|\Z)"
)


class _Word(NamedTuple):
    charset: str
    encoding: str
    text: bytes


def header_text(raw: bytes) -> str:
    """One readable line: encoded words and raw 8-bit text decoded."""
    if b"=?" not in raw and raw.isascii() and b"\x1b" not in raw:
        return " ".join(tidy(raw.decode("ascii")).split())
    text = _decoded(raw)
    if "=?" in text and _WORD.search(raw) and _WORD.search(again := text.encode()):
        text = _decoded(again)
    return " ".join(text.split())


def _decoded(raw: bytes) -> str:
    """Words of one charset are joined before decoding: mailers cut them inside a character."""
    out: list[str] = []
    pending: list[_Word] = []
    at = 0
    for found in _WORD.finditer(raw):
        between = raw[at : found.start()]
        if between.strip() or not pending:
            out += [_joined(pending), decode(between).text]
            pending = []
        charset = found[1].decode("ascii", "replace").partition("*")[0].lower()
        pending.append(_Word(charset, found[2].decode().lower(), found[3]))
        at = found.end()
    return "".join([*out, _joined(pending), decode(raw[at:]).text])


def _joined(words: list[_Word]) -> str:
    runs: list[tuple[str, list[bytes]]] = []
    carried = b""  # base64 cut within a group of four goes on in the next word
    for number, word in enumerate(words):
        text = word.text
        if word.encoding == "b":
            text, carried = carried + text.strip(), b""
            follows = [(each.charset, each.encoding) for each in words[number + 1 : number + 2]]
            if len(text) % 4 and not text.endswith(b"=") and follows == [(word.charset, "b")]:
                text, carried = text[: len(text) & ~3], text[len(text) & ~3 :]
        content = decoded(text, "base64") if word.encoding == "b" else _unquoted(text)
        if runs and runs[-1][0] == word.charset:
            runs[-1][1].append(content)
        else:
            runs.append((word.charset, [content]))
    return "".join(decode(b"".join(pieces), charset).text for charset, pieces in runs)


def _unquoted(text: bytes) -> bytes:
    # Some mailers fold inside the word, behind a soft break as in a body.
    return binascii.a2b_qp(re.sub(rb"=[ \t]++", b"", text), header=True)
