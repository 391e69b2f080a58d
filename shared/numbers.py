"""Telephone numbers as identities: E.164 with a plus, or nothing at all.

A caller and a WhatsApp user meet in `e164`, so every channel goes through here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

# What carriers send in the place of a number, spelt on a keypad: ANONYMOUS, RESTRICTED, BLOCKED,
# UNKNOWN and UNAVAILABLE (Twilio, "Why am I getting calls from these strange numbers?"). Some of
# them look like real numbers, and all their callers would become one customer.
_WITHHELD: Final = frozenset({"266696687", "7378742833", "2562533", "8656696", "86282452253"})
_WRITTEN: Final = re.compile(r"(?:tel:)?[+0-9\s().\-/]{4,32}", re.IGNORECASE)
# Up to six digits are short codes; the few countries with lines that short write the country too.
_SHORTEST: Final = 7
# WhatsApp still writes Mexican mobiles with the 1 that the numbering plan dropped in 2019.
_MEXICAN_MOBILE: Final = re.compile(r"\+521([0-9]{10})")


@lru_cache(maxsize=4096)
def to_e164(raw: str, region: str | None) -> str | None:
    """`raw` as `+31612345678`, or None where it names no line that could be called back.

    `region` (ISO 3166, `NL`) reads a national number; without it only numbers that carry their
    country are read (`+31…`; digits alone are not guessed at). None for withheld callers, short
    codes, alphanumeric senders, and lengths the country does not have. Length decides, not the
    list of ranges in use: ranges are opened faster than any list is updated.
    """
    text = raw.strip()
    digits = re.sub(r"[^0-9]", "", text)
    if not _WRITTEN.fullmatch(text) or digits in _WITHHELD or len(digits) < _SHORTEST:
        return None
    text = _MEXICAN_MOBILE.sub(r"+52\1", text)
    try:
        number = phonenumbers.parse(text, region.upper() if region else None)
    except phonenumbers.NumberParseException:
        return None
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:  # a local-only length is not enough
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
