"""Bytes to text, whatever charset a mail declares, rightly, wrongly or not at all.

Order: declared, its alias (labels.py), UTF-8, a guess, cp1252, latin-1. Nothing here raises, and
every step is linear in the length of the bytes.
"""

from __future__ import annotations

import codecs
import re
from itertools import pairwise
from typing import Final, NamedTuple

from charset_normalizer import from_bytes

from shared.channels.email.jis import jis_text
from shared.channels.email.labels import codec_of
from shared.channels.wire import clean_text

__all__ = ["Decoded", "codec_of", "decode", "tidy"]

_ESCAPED: Final = ("utf-7", "iso2022", "hz", "utf-16", "utf-32")  # other text inside ASCII bytes
# Text in these is never valid UTF-8 by chance: their letters do not follow each other so.
_SINGLE: Final = re.compile(r"ascii|cp125\d|iso8859-\d+|koi8[-_][a-z]|mac[-_].*|cp874|latin.*")
_HIGH: Final = re.compile(rb"[\x80-\xff]+")
_WIDE: Final = re.compile("[\u3000-\uffef]")
_KANA: Final = re.compile("[\u3041-\u30fe]")
_HALF: Final = re.compile("[\uff61-\uff9f]{2}")
_ODD: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_CONTROLS: Final = {
    code: None for code in (*range(32), *range(0x7F, 0xA0)) if code not in (9, 10, 13)
} | {0xFEFF: None, 0xFFFE: None, 0xFFFF: None}
_LINE_ENDS: Final = re.compile("\r\n?|\x0b|\x0c|\x85|\u2028|\u2029")
_CANDIDATES: Final = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r", "cp932",
    "gb18030", "big5", "cp949", "euc_jp",
]  # fmt: skip


class Decoded(NamedTuple):
    """`guessed` is true where the declared charset did not fit the bytes."""

    text: str
    guessed: bool


def decode(content: bytes, declared: str = "") -> Decoded:
    """`content` as text: without NUL, control characters and lone surrogates, lines ended by LF."""
    codec = codec_of(declared) if declared else None
    if content.isascii() and not (codec or "").startswith(_ESCAPED):
        return Decoded(tidy(_japanese(content) or content.decode("ascii")), False)
    if codec and not _lies(content, codec) and (text := _strictly(content, codec)) is not None:
        return Decoded(tidy(text), False)
    if text := _japanese(content):
        return Decoded(tidy(text), not (codec or "").startswith("iso2022_jp"))
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Decoded(tidy(content.decode("utf-16", "replace")), True)
    said_utf8 = codec == "utf-8"
    return Decoded(tidy(_guess(content, said_utf8)), bool(declared) or not _is_utf8(content))


def tidy(text: str) -> str:
    """`text` without what databases, logs and readers stumble over; lines end in LF."""
    if _ODD.search(text) is None:
        return text
    return clean_text(_LINE_ENDS.sub("\n", text).translate(_CONTROLS))


def _lies(content: bytes, codec: str) -> bool:
    # UTF-16 is never free of NUL bytes or a mark at its start. The charsets of East Asia can read
    # like UTF-8 for a few characters, not for many.
    if codec.startswith(("utf-16", "utf-32")):
        marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return b"\0" not in content and not content.startswith(marks)
    if codec == "utf-8" or codec.startswith(_ESCAPED) or not _is_utf8(content):
        return False
    if _SINGLE.fullmatch(codec):
        return True
    return sum(map(len, _HIGH.findall(content[:4096]))) >= 24


def _japanese(content: bytes) -> str:
    if b"\x1b$" not in content or not content.isascii():
        return ""
    return _strictly(content, "iso2022_jp_2") or jis_text(content)


def _guess(content: bytes, said_utf8: bool) -> str:
    if (text := _strictly(content, "utf-8")) is not None:
        return text
    if (text := _cut_off(content)) is not None:
        return text
    if b"\xed" in content and (text := _paired(content)) is not None:
        return text
    lenient = content.decode("utf-8", "replace")
    beyond_ascii = len(lenient) - len(lenient.encode("ascii", "ignore"))
    if beyond_ascii + said_utf8 > 2 * lenient.count("\ufffd"):
        return content.decode("utf-8", "regie-cp1252")
    first = _HIGH.search(content)
    sample = content[max(0, (first.start() if first else 0) - 1024) :][:8192]
    if _mostly_ascii(sample):
        return _western(content)
    for codec in ("cp932", "euc_jp"):
        if (text := _strictly(content, codec)) is not None and _is_japanese(text):
            return text
    best = from_bytes(sample, cp_isolation=_CANDIDATES).best()
    return content.decode(best.encoding, "replace") if best else _western(content)


def _cut_off(content: bytes) -> str | None:
    """UTF-8 that ends inside its last character; what is left of that goes."""
    for cut in (2, 3):
        begun = content[-cut:]
        started = begun[0] >= 0xE0 and all(0x80 <= byte < 0xC0 for byte in begun[1:])
        if started and (text := _strictly(content[:-cut], "utf-8")) is not None:
            return text
    whole = _strictly(content[:-1], "utf-8")
    return None if whole is None or whole.isascii() else whole + _western(content[-1:])


def _paired(content: bytes) -> str | None:
    """UTF-8 that writes a character beyond U+FFFF as two halves, each in three bytes (CESU-8)."""
    try:
        halves = content.decode("utf-8", "surrogatepass")
        return halves.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except UnicodeError:
        return None


def _mostly_ascii(sample: bytes) -> bool:
    # Few accents among ASCII letters: a Western language, where a statistical guess on a short
    # mail does worse than cp1252. Greek, Cyrillic and Asian text is mostly high bytes, and they
    # stand side by side.
    high = sum(1 for byte in sample if byte > 127)
    letters = sum(1 for byte in sample if 65 <= (byte & ~32) <= 90)
    pairs = any(a > 127 and b > 127 for a, b in pairwise(sample))
    return high < 4 or high * 3 < letters or not pairs


def _is_japanese(text: str) -> bool:
    # Syllables stand between the characters; in other text read as Japanese they hardly occur.
    wide = len(_WIDE.findall(text))
    return wide > 0 and len(_KANA.findall(text)) * 5 > wide and not _HALF.search(text)


def _western(content: bytes) -> str:
    text = _strictly(content, "cp1252")
    return content.decode("latin-1") if text is None else text


def _strictly(content: bytes, codec: str) -> str | None:
    try:
        return content.decode(codec)
    except (ValueError, LookupError, OverflowError):
        return None


def _is_utf8(content: bytes) -> bool:
    return _strictly(content, "utf-8") is not None


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    # One paragraph pasted in another charset must not spoil the rest.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _western(error.object[error.start : error.end]), error.end


codecs.register_error("regie-cp1252", _as_cp1252)
