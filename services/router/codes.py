"""Resume codes: 40 random bits as `R-7K4Q-2M9X`, and nine digits for the phone. Pure.

Crockford base32 has no I, L, O or U, and reads what people write instead of them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HEARD: Final = str.maketrans("ILOU", "110V")
_WRITTEN: Final = re.compile(r"\bR[-\s]?([0-9A-Z]{4})[-\s]?([0-9A-Z]{4})\b", re.IGNORECASE)
_MOST: Final = 5  # looked at in one message: a list of guesses is not a conversation


def written(bits: int) -> str:
    """40 bits as the customer sees them."""
    letters = "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(35, -5, -5))
    return f"R-{letters[:4]}-{letters[4:]}"


def found_in(*texts: str) -> list[str]:
    """The codes these texts show, as `written`; at most five."""
    found: dict[str, None] = {}
    for text in texts:
        for match in _WRITTEN.finditer(text[:20_000]):
            found[_canonical(match[1] + match[2])] = None
    return list(found)[:_MOST]


def hashed(code: str) -> bytes:
    """What is stored. Codes live 72 hours and five guesses an hour, so a plain hash is enough."""
    return hashlib.sha256(code.encode()).digest()


def masked(text: str) -> str:
    """The text with its codes hidden, for histories."""
    return _WRITTEN.sub("R-****-****", text)


def _canonical(letters: str) -> str:
    letters = letters.upper().translate(_HEARD)
    return f"R-{letters[:4]}-{letters[4:]}"
