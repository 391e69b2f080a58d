"""What an agent typed to find a customer: an identity, or a resume code. Pure.

email         jo@example.org
e164          +31612345678, 0031612345678; 0612345678 where an account names its `region`
customer_no   1001 (and an employee's number: whatever shows no scheme)
resume code   R-7K4Q-2M9X, or its nine digits
scheme:value  beyond doubt; the plus of a number may have become a blank in the query
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, get_args

from shared import codes
from shared.errors import Invalid
from shared.events import Identity, Scheme
from shared.numbers import to_e164

SCHEMES: Final[tuple[Scheme, ...]] = get_args(Scheme)
_MAIL: Final = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+")
_SCHEME: Final = re.compile(r"([a-z_0-9]+):(.*)", re.DOTALL)
_LONGEST: Final = 320


@dataclass(frozen=True, slots=True)
class Lookup:
    """Whoever has one of these. `hint`: how to write it, should nobody be found."""

    identities: tuple[Identity, ...] = ()
    codes: tuple[str, ...] = ()
    hint: str = ""


def read(typed: str, regions: Iterable[str] = ()) -> Lookup:
    """Raises Invalid for what can be no identity; it says what would be."""
    typed = _plus(typed)
    if not typed.strip() or len(typed) > _LONGEST or "\x00" in typed:
        raise Invalid(f"`identity` takes 1 to {_LONGEST} characters: scheme:value, or the value")
    if match := _SCHEME.fullmatch(typed):
        return Lookup((_of_scheme(match[1], _plus(match[2]), tuple(regions)),))
    return _bare(typed.strip(), tuple(regions))


def identity(text: str, regions: Iterable[str] = ()) -> Identity:
    """`scheme:value`, normalised. Raises Invalid."""
    match = _SCHEME.fullmatch(text.strip())
    if match is None:
        raise Invalid(f"write an identity as scheme:value; schemes are {', '.join(SCHEMES)}")
    return _of_scheme(match[1], match[2], tuple(regions))


def of_a_person(
    identity: Identity, own: Collection[Identity], is_shared: Callable[[Identity], bool]
) -> Identity:
    """The identity itself. Raises Invalid for an address of ours, and for one that many use."""
    if identity in own:
        raise Invalid(f"{identity} is an address of ours, and nobody's", name="own-address")
    if is_shared(identity):
        raise Invalid(
            f"{identity} is one of the policy's `shared_identities`: many people use it",
            name="shared-identity",
        )
    return identity


def _plus(text: str) -> str:
    """In a query `+` means a blank, and clients forget to write %2B."""
    return f"+{text[1:]}" if re.match(r" \d", text) else text


def _of_scheme(scheme: str, value: str, regions: tuple[str, ...]) -> Identity:
    if scheme not in SCHEMES:
        raise Invalid(f"`{scheme}` is no scheme: they are {', '.join(SCHEMES)}")
    value = value.strip()
    if scheme == "email":
        if not _MAIL.fullmatch(value):
            raise Invalid("email takes a bare mail address: email:jo@example.org")
        value = value.lower()
    elif scheme == "e164":
        numbers = _numbers(value, regions)
        if len(numbers) != 1:
            raise Invalid("e164 takes a number with its country: e164:+31612345678")
        value = numbers[0]
    if not value:
        raise Invalid(f"`{scheme}:` lacks its value")
    return Identity(scheme=scheme, value=value)


def _bare(typed: str, regions: tuple[str, ...]) -> Lookup:
    if "@" in typed:
        return Lookup((_of_scheme("email", typed, ()),))
    shown = tuple(codes.found_in(typed)) if re.match(r"[rR]-?\s?", typed) else ()
    spoken = tuple(codes.digits_in(typed))
    numbers = _numbers(typed, regions)
    if typed.startswith(("+", "00")) and not numbers:
        raise Invalid("this is no telephone number: write it with its country, +31612345678")
    known = [Identity(scheme="e164", value=number) for number in numbers]
    if not typed.startswith("+"):
        known += [Identity(scheme="customer_no", value=typed)]
        known += [Identity(scheme="employee_no", value=typed)]
    hint = ""
    if typed.startswith("0") and not numbers:
        hint = "; a telephone number is written with its country: +31612345678"
    return Lookup(tuple(known), (*shown, *spoken), hint)


def _numbers(typed: str, regions: tuple[str, ...]) -> tuple[str, ...]:
    """What it is as a telephone number, in each of our regions where it names no country."""
    if not typed.startswith(("+", "0")):
        return ()
    international = re.sub(r"^00", "+", typed)
    places = (None,) if international.startswith("+") else regions
    found = (to_e164(international, place) for place in places)
    return tuple(dict.fromkeys(number for number in found if number))
