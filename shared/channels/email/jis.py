"""ISO-2022-JP as mailers in Japan write it: with the characters of vendors (①, ㈱) that the
standard's own codec refuses. Read by way of Shift_JIS, whose Windows form (cp932) has them."""

from __future__ import annotations

import re
from typing import Final

_SHIFT: Final = re.compile(rb"\x1b(\$@|\$B|\$\(D|\(B|\(J|\(I)")


def jis_text(content: bytes) -> str:
    """The text of `content`; what is no character in it is U+FFFD."""
    out: list[str] = []
    at, mode = 0, b"(B"
    for found in [*_SHIFT.finditer(content), None]:
        piece = content[at : found.start() if found else len(content)]
        out.append(_read(piece, mode))
        if found:
            at, mode = found.end(), found[1]
    return "".join(out)


def _read(piece: bytes, mode: bytes) -> str:
    if mode in (b"$@", b"$B"):
        return b"".join(map(_shifted, re.findall(rb"[!-~]{2}|[\r\n\t ]", piece))).decode(
            "cp932", "replace"
        )
    if mode == b"(I":
        return bytes(byte | 0x80 for byte in piece).decode("cp932", "replace")
    if mode == b"$(D":
        return bytes(byte | 0x80 for byte in piece).decode("euc_jis_2004", "replace")
    return piece.decode("cp932", "replace")


def _shifted(pair: bytes) -> bytes:
    if len(pair) == 1:
        return pair
    high, low = pair
    low += 0x7E if high % 2 == 0 else (0x1F if low < 0x60 else 0x20)
    high = (high + 1) // 2 + (0x70 if high < 0x5F else 0xB0)
    return bytes((high, low))
