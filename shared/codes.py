"""Resume codes: 40 random bits as `R-7K4Q-2M9X`. Pure.

Crockford base32 has no I, L, O or U, and reads what people write instead of them. A code of ours
holds a digit, so that it is told from a word when it is written without its hyphens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HEARD: Final = str.maketrans("ILOU", "110V")
_WRITTEN: Final = re.compile(r"\bR(-?)\s?([0-9A-Z]{4})(-?)\s?([0-9A-Z]{4})\b", re.IGNORECASE)
_KEYED: Final = re.compile(r"(?<![\d+])\d{3}[ .-]?\d{3}[ .-]?\d{3}(?!\d)", re.ASCII)
_MOST: Final = 5  # looked at in one message: a list of guesses is not a conversation


def written(bits: int) -> str:
    """40 bits as the customer sees them."""
    letters = "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(35, -5, -5))
    return f"R-{letters[:4]}-{letters[4:]}"


def drawn(random_bits: Callable[[int], int]) -> str:
    """A fresh code; `random_bits(40)` is drawn again until one holds a digit (19 of 20 do)."""
    while True:
        code = written(random_bits(40))
        if any(letter.isdigit() for letter in code):
            return code


def found_in(*texts: str) -> list[str]:
    """The codes these texts show, as `written`; at most five."""
    return list(dict.fromkeys(code for text in texts for code in _shown(text[:20_000])))[:_MOST]


def _shown(text: str) -> Iterator[str]:
    for match in _WRITTEN.finditer(text):
        letters = match[2] + match[4]
        if (match[1] and match[3]) or any(letter.isdigit() for letter in letters):
            yield _canonical(letters)


def digits(code: str) -> str:
    """The nine digits that stand for a code on the telephone."""
    number = 0
    for letter in code.removeprefix("R-").replace("-", ""):
        number = number * 32 + _ALPHABET.index(letter)
    return f"{number % 1_000_000_000:09}"


def spoken(code: str) -> str:
    """They, in threes, as they are read out."""
    nine = digits(code)
    return f"{nine[:3]} {nine[3:6]} {nine[6:]}"


def digits_in(*texts: str) -> list[str]:
    """Nine digits that were keyed in or read out, however they are grouped."""
    found = (re.sub(r"\D", "", match) for text in texts for match in _KEYED.findall(text[:2000]))
    return list(dict.fromkeys(found))[:_MOST]


def hashed(code: str) -> bytes:
    """What is stored. Codes live 72 hours and five guesses an hour, so a plain hash is enough."""
    return hashlib.sha256(code.encode()).digest()


def masked(text: str) -> str:
    """The text with its codes hidden, for histories."""
    text = re.sub(r"\bR-[0-9A-Z]{4}-[0-9A-Z]{4}\b", "R-****-****", text)
    return _KEYED.sub("*** *** ***", text)


def _canonical(letters: str) -> str:
    letters = letters.upper().translate(_HEARD)
    return f"R-{letters[:4]}-{letters[4:]}"
