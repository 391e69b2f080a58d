"""Telephone numbers as identities: E.164 with a plus, or nothing at all.

A caller and a WhatsApp user meet in `e164`, so every channel goes through here.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

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
_PLAIN: Final = re.compile(r"\+([1-9][0-9]{6,14})")


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
    if _is_plain(text):
        return text
    try:
        number = phonenumbers.parse(text, region.upper() if region else None)
    except phonenumbers.NumberParseException:
        return None
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:  # a local-only length is not enough
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _is_plain(text: str) -> bool:
    """Whether `text` is E.164 beyond doubt, so that `parse`, which reads any way of writing a
    number and takes its time over it, would only give it back."""
    if not (written := _PLAIN.fullmatch(text)):
        return False
    digits = written[1]
    for length in (1, 2, 3):  # no country code begins with another one
        if (plan := _plan(digits[:length])) is not None:
            national = digits[length:]
            return len(national) in plan.lengths and not plan.prefix.match(national)
    return False


class _Plan(NamedTuple):
    """A country's numbering plan: how long its numbers are, and what is dialled before them
    within the country, which `parse` may take off."""

    lengths: frozenset[int]
    prefix: re.Pattern[str]


@cache
def _plan(code: str) -> _Plan | None:
    region = phonenumbers.region_code_for_country_code(int(code))
    known = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    if known is None or known.general_desc is None:
        return None
    prefix = known.national_prefix_for_parsing
    return _Plan(
        frozenset(known.general_desc.possible_length), re.compile(f"0|{prefix}" if prefix else "0")
    )
