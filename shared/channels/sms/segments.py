"""How many parts a text message is sent in. Pure.

Source: 3GPP TS 23.038 (the GSM 7-bit default alphabet and its extension table) and TS 23.040 (the
header that joins parts takes seven characters of each).
"""

from __future__ import annotations

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # each takes two places: an escape stands before it


def parts(text: str) -> int:
    """The parts `text` takes: 160 characters in one or 153 in each of several in the GSM
    alphabet; 70, or 67, once a single character is outside it. No text takes none."""
    if not text:
        return 0
    if all(letter in _BASIC or letter in _EXTENDED for letter in text):
        return _packed([2 if letter in _EXTENDED else 1 for letter in text], 160, 153)
    return _packed([len(letter.encode("utf-16-le")) // 2 for letter in text], 70, 67)


def _packed(sizes: list[int], alone: int, joined: int) -> int:
    if sum(sizes) <= alone:
        return 1
    count, used = 1, 0
    for size in sizes:  # neither an escape nor a surrogate is separated from its second half
        if used + size > joined:
            count, used = count + 1, 0
        used += size
    return count
