"""Content-Transfer-Encoding undone: base64 with noise in it, torn quoted-printable, uuencode."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_MOST_PIECES: Final = 1_000
_BASE64_ONLY: Final = re.compile(rb"[A-Za-z0-9+/\s]*")
_IN_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=\s_-]+")
_NO_BASE64: Final = re.sub(rb"[A-Za-z0-9+/]", b"", bytes(range(256)))
_URL_SAFE: Final = re.compile(rb"[A-Za-z0-9=\s_-]+")  # base64 as in addresses (RFC 4648, 5)
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_UU_BEGIN: Final = re.compile(r"begin [0-7]{3,4} (\S.{0,200})")
_UUENCODED: Final = frozenset({"uuencode", "xuuencode", "uue", "xuue"})


def decoded(body: bytes, encoding: str) -> bytes:
    """The content of a part. Never raises: what fits no encoding comes back as it was."""
    encoding = re.sub(r"[^a-z0-9]+", "", encoding.partition("(")[0].lower())
    if encoding == "base64":
        return _base64(body) or body  # says base64, but is plain text from its first line on
    if encoding == "quotedprintable":
        # A soft break may be followed by blanks, and a lone CR makes the decoder skip a line.
        body = re.sub(rb"\r(?!\n)", b"\n", body)
        return binascii.a2b_qp(re.sub(rb"=[ \t]+(?=\r?\n)", b"=", body))
    if encoding in _UUENCODED:
        _, files = without_uuencoded(body.decode("latin-1"))
        return files[0][1] if files else body
    return body


def _base64(body: bytes) -> bytes:
    body = _before_text(body)
    if _is_text(body):
        return b""
    first, *rest = re.split(rb"={1,2}\s*", body, maxsplit=_MOST_PIECES)
    # Joined pieces each have their own padding; what else stands behind it is noise.
    kept = [first, *(piece for piece in rest if piece and _is_base64(piece))]
    return b"".join(_piece(piece) for piece in kept)


def _before_text(body: bytes) -> bytes:
    # Scanners and lists add a footer in plain text behind the base64.
    if b" " not in body:
        return body
    at = 0
    for line in body.splitlines(keepends=True):
        if line.strip().count(b" ") * 12 > len(line.strip()) or line.rstrip() == b"--":
            return body[:at]
        at += len(line)
    return body


def _is_text(body: bytes) -> bool:
    # Noise is a few bytes; where every fifth one is foreign, it is no base64 that went wrong.
    start = body[:1024]
    return sum(map(len, _IN_BASE64.findall(start))) * 5 < len(start) * 4


def _is_base64(piece: bytes) -> bool:
    return _BASE64_ONLY.fullmatch(piece) is not None


def _piece(piece: bytes) -> bytes:
    if _URL_SAFE.fullmatch(piece):
        piece = piece.translate(_FROM_URL)
    clean = piece.translate(None, _NO_BASE64)
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    return base64.b64decode(clean + b"=" * (-len(clean) % 4))


def without_uuencoded(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """`text` without the uuencoded files in it, and those files by name.

    Old programs put attachments so into plain text. Only a whole block, up to its `end`, counts.
    """
    if "begin " not in text:
        return text, []
    lines = text.splitlines()
    kept: list[str] = []
    files: list[tuple[str, bytes]] = []
    at = 0
    while at < len(lines):
        found = _UU_BEGIN.fullmatch(lines[at])
        content, after = _uu_block(lines, at + 1) if found else (None, at)
        if found is None or content is None:
            kept.append(lines[at])
            at += 1
        else:
            files.append((found[1].strip(), content))
            at = after
    return ("\n".join(kept), files) if files else (text, [])


def _uu_block(lines: list[str], at: int) -> tuple[bytes | None, int]:
    out: list[bytes] = []
    while at < len(lines) and lines[at].strip() != "end":
        try:
            line = lines[at].encode("ascii")
            # Some encoders fill the last line up; the count in front says what is meant.
            wanted = (((line[0] - 32) & 63) * 4 + 5) // 3 + 1 if line else 0
            out.append(binascii.a2b_uu(line[:wanted]))
        except (binascii.Error, UnicodeEncodeError):
            return None, at
        at += 1
    return (b"".join(out), at + 1) if at < len(lines) else (None, at)
