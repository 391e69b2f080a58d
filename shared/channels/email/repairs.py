"""What is mended before a mail can be taken apart: the encoding of its bytes and its line ends."""

from __future__ import annotations

import codecs
import re
from typing import Final

_FIRST_END: Final = re.compile(rb"[\r\n]+")


def mended(raw: bytes) -> bytes:
    """`raw` without marks and empty lines at its start, its lines ended by LF or CRLF.

    Some programs save a mail as UTF-16, old ones end lines in CR alone, some gateways double it.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\0" in raw[:1000]:
        text = raw.decode("utf-16", "replace")
        raw = text.encode() if ":" in text[:1000] else raw
    raw = raw.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    first = _FIRST_END.search(raw)
    if first is None:
        return raw
    if b"\n" not in raw or (first[0].startswith(b"\r") and b"\n" not in first[0]):
        return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if raw.count(b"\r\r\n") * 2 > raw.count(b"\n"):
        return raw.replace(b"\r\r\n", b"\r\n")
    return raw
