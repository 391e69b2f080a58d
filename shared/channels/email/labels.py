"""Names of charsets: those in mails, to Python's.

Source of the aliases: WHATWG Encoding Standard (encoding.spec.whatwg.org), section 4.2; further
ones are what mailers write.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]*")
# What is declared names one charset, what is sent is its superset: browsers read it so too.
_WIDER: Final = {
    "iso8859-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030",
    "euc_kr": "cp949", "shift_jis": "cp932", "big5": "big5hkscs", "tis-620": "cp874",
    "iso8859-11": "cp874", "ascii": "ascii", "iso2022_jp": "iso2022_jp_2",
}  # fmt: skip
_SPELLINGS: Final = {
    "utf-8mb4": "utf-8", "utf-8mb3": "utf-8", "utf8mb4": "utf-8", "utf8mb3": "utf-8",
    "unicode-1-1-utf-8": "utf-8", "unicode11utf8": "utf-8", "unicode20utf8": "utf-8",
    "x-unicode20utf8": "utf-8", "utf-8-bom": "utf-8",
    "unicode": "utf-16", "csunicode": "utf-16", "ucs-2": "utf-16", "iso-10646-ucs-2": "utf-16",
    "unicodefeff": "utf-16", "unicodefffe": "utf-16-be",
    "unicode-1-1-utf-7": "utf-7", "unicode-2-0-utf-7": "utf-7", "x-unicode-2-0-utf-7": "utf-7",
    "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8", "csiso88598i": "iso8859-8",
    "csiso88598e": "iso8859-8", "logical": "iso8859-8", "visual": "iso8859-8",
    "iso-8859-6-i": "iso8859-6", "iso-8859-6-e": "iso8859-6", "csiso88596i": "iso8859-6",
    "csiso88596e": "iso8859-6", "sun_eu_greek": "iso8859-7",
    "csisolatin9": "iso8859-15", "latin-9": "iso8859-15", "iso-8859-1-i": "iso8859-1",
    "8859-1": "iso8859-1", "8859_1": "iso8859-1", "iso-latin-1": "iso8859-1",
    "iso-8859-1-windows-3.1-latin-1": "cp1252", "iso-8859": "iso8859-1",
    "iso-8859-15-euro": "iso8859-15",
    "ks_c_5601-1987": "cp949", "ks_c_5601-1989": "cp949", "ks_c_5601": "cp949",
    "ksc_5601": "cp949", "ksc5601-1987": "cp949", "csksc56011987": "cp949",
    "iso-ir-149": "cp949", "cseuckr": "cp949", "windows-949": "cp949", "x-windows-949": "cp949",
    "x-sjis": "cp932", "windows-31j": "cp932", "cseucpkdfmtjapanese": "euc_jp",
    "cp50220": "iso2022_jp_ext", "cp50221": "iso2022_jp_ext", "iso-2022-jp-ms": "iso2022_jp_ext",
    "gb_2312": "gb18030", "gb_2312-80": "gb18030", "csgb2312": "gb18030", "gb_18030": "gb18030",
    "windows-936": "gb18030", "iso-2022-cn": "hz", "cn-big5": "big5hkscs",
    "x-x-big5": "big5hkscs", "windows-950": "cp950",
    "x-mac-roman": "mac_roman", "macintosh": "mac_roman", "csmacintosh": "mac_roman",
    "mac": "mac_roman", "x-mac-cyrillic": "mac_cyrillic", "x-mac-ukrainian": "mac_cyrillic",
    "x-mac-ce": "mac_latin2", "x-mac-centraleurroman": "mac_latin2",
    "koi": "koi8_r", "koi8": "koi8_r", "koi8-ru": "koi8_u",
    "windows-874": "cp874", "dos-874": "cp874", "x-ansi": "cp1252", "ansi": "cp1252",
    "ascii7": "ascii", "7bit": "ascii", "usascii": "ascii",
}  # fmt: skip
# Codecs of Python that are no charsets of mail; some take quadratic time.
_REFUSED: Final = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)


@lru_cache(maxsize=512)
def codec_of(declared: str) -> str | None:
    """Python's name for a declared charset, with its superset taken; None when unknown."""
    found = _LABEL.search(declared[:80])
    if found is None:
        return None
    for name in _tried(found.group().lower()):
        try:
            codec = codecs.lookup(name)
        except (LookupError, ValueError):
            continue
        if codec.name not in _REFUSED and getattr(codec, "_is_text_encoding", True):
            return _WIDER.get(codec.name, codec.name)
    return None


def _tried(label: str) -> Iterator[str]:
    yield _SPELLINGS.get(label, label)
    yield label.removeprefix("x-").removeprefix("cs").removeprefix("iso-")
    yield label.replace("-", "").replace("_", "")
    if found := re.search(r"8859-?_?(\d{1,2})", label):
        yield f"iso8859-{found[1]}"
    if found := re.search(r"(?:win(?:dows)?|cp)[-_]?(\d{3,4})", label):
        yield f"cp{found[1]}"
