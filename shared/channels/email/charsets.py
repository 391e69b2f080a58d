"""Bytes to text, whatever charset a mail declares, rightly, wrongly or not at all.

Order: declared, its alias (WHATWG Encoding Standard, encoding.spec.whatwg.org), UTF-8, a guess,
cp1252. Nothing here raises, and every step is linear in the length of the bytes.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from charset_normalizer import from_bytes

from shared.channels.wire import clean_text

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]*")
# What is declared names one charset, what is sent is its superset: browsers read it so too.
_WIDER: Final = {
    "iso8859-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030",
    "euc_kr": "cp949", "shift_jis": "cp932", "big5": "big5hkscs", "tis-620": "cp874",
}  # fmt: skip
_SPELLINGS: Final = {
    "utf-8mb4": "utf-8", "utf-8mb3": "utf-8", "unicode-1-1-utf-8": "utf-8", "unicode": "utf-16",
    "unicode-1-1-utf-7": "utf-7", "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8",
    "iso-8859-6-i": "iso8859-6", "ks_c_5601-1987": "cp949", "ks_c_5601": "cp949",
    "x-sjis": "cp932", "x-mac-roman": "mac_roman", "macintosh": "mac_roman", "x-ansi": "cp1252",
    "x-mac-cyrillic": "mac_cyrillic", "windows-874": "cp874", "windows-949": "cp949",
    "x-windows-949": "cp949", "windows-31j": "cp932", "ansi": "cp1252", "latin-9": "iso8859-15",
}  # fmt: skip
# Codecs of Python that are no charsets of mail; some take quadratic time.
_REFUSED: Final = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_ESCAPED: Final = ("utf-7", "iso2022", "hz", "utf-16", "utf-32")  # other text inside ASCII bytes
_LATIN: Final = frozenset({"ascii", "cp1252", "cp1254", "iso8859-15", "mac-roman", "cp1250"})
_CONTROLS: Final = {code: None for code in range(32) if code not in (9, 10, 13)} | {0xFEFF: None}
_LINE_ENDS: Final = re.compile("\r\n?|\x0b|\x0c|\u2028|\u2029")
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
    codec = codec_of(declared)
    if content.isascii() and not (codec or "").startswith(_ESCAPED):
        text = _strictly(content, "iso2022_jp") if b"\x1b$" in content else None
        return Decoded(tidy(text or content.decode("ascii")), False)
    if codec and not _lies(content, codec) and (text := _strictly(content, codec)) is not None:
        return Decoded(tidy(text), False)
    return Decoded(tidy(_guess(content)), bool(declared) or not _is_utf8(content))


def tidy(text: str) -> str:
    """`text` without what databases, logs and readers stumble over; lines end in LF."""
    return clean_text(_LINE_ENDS.sub("\n", text).translate(_CONTROLS))


@lru_cache(maxsize=512)
def codec_of(declared: str) -> str | None:
    """Python's name for a declared charset, with its superset taken; None when unknown."""
    found = _LABEL.search(declared[:80])
    if found is None:
        return None
    label = found.group().lower()
    for name in (_SPELLINGS.get(label, label), label.removeprefix("x-"), label.replace("-", "")):
        try:
            codec = codecs.lookup(name)
        except (LookupError, ValueError):
            continue
        if codec.name not in _REFUSED and getattr(codec, "_is_text_encoding", True):
            return _WIDER.get(codec.name, codec.name)
    return None


def _lies(content: bytes, codec: str) -> bool:
    # Accented Latin text is never valid UTF-8 by chance, and UTF-16 is never free of NUL bytes
    # or a mark at its start.
    if codec in _LATIN:
        return _is_utf8(content)
    return codec.startswith(("utf-16", "utf-32")) and not (
        b"\0" in content or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    )


def _guess(content: bytes) -> str:
    if (text := _strictly(content, "utf-8")) is not None:
        return text
    lenient = content.decode("utf-8", "replace")
    if len(lenient) - len(lenient.encode("ascii", "ignore")) > 2 * lenient.count("\ufffd"):
        return content.decode("utf-8", "regie-cp1252")
    first = next((at for at in range(len(content)) if content[at] > 127), 0)
    sample = content[max(0, first - 1024) :][:8192]
    if _mostly_ascii(sample):
        return _western(content)
    best = from_bytes(sample, cp_isolation=_CANDIDATES).best()
    return content.decode(best.encoding, "replace") if best else _western(content)


def _mostly_ascii(sample: bytes) -> bool:
    # Few accents among ASCII letters: a Western language, where a statistical guess on a short
    # mail does worse than cp1252. Greek, Cyrillic and Asian text is mostly high bytes, and they
    # stand side by side.
    high = sum(1 for byte in sample if byte > 127)
    letters = sum(1 for byte in sample if 65 <= (byte & ~32) <= 90)
    pairs = any(a > 127 and b > 127 for a, b in pairwise(sample))
    return high * 3 < letters or not pairs


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
