"""Mail addresses: read from headers, compared with our own, told apart by their `+extension`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import getaddresses
from functools import lru_cache
from typing import Final, NamedTuple

from shared.accounts import Account
from shared.channels.email.headers import Headers, header_text

_ADDRESS: Final = re.compile(
    r"[^\s@<>,;:\"()\[\]\\]{1,200}@[^\s@<>,;:\"()\\.]{1,63}(?:\.[^\s@<>,;:\"()\\.]{1,63}){0,20}"
)
_LONGEST: Final = 16 * 1024  # characters of an address list; enough for hundreds of recipients


class Address(NamedTuple):
    """`value` in lower case, as an identity has it; `name` as it is shown."""

    name: str
    value: str


def addresses(raw: bytes) -> tuple[Address, ...]:
    """Every mail address in a header, in order; broken ones are searched for an address."""
    return _addresses(raw[:_LONGEST])


@lru_cache(maxsize=64)  # the same few headers of one mail are asked for a dozen times
def _addresses(raw: bytes) -> tuple[Address, ...]:
    line = raw.decode("utf-8", "surrogateescape")
    try:
        # Parsed before decoding: an encoded name may hold a comma or an angle bracket.
        pairs = getaddresses([line])
    except Exception:  # nested comments exhaust the standard library's parser
        pairs = []
    read = [Address(_name(name), _plain(value)) for name, value in pairs]
    # What does not stand there as it is was glued together by the parser from broken pieces.
    good = [each for each in read if is_address(each.value) and each.value in line.lower()]
    return tuple(good or _searched(header_text(raw).lower()))


def _searched(line: str) -> list[Address]:
    # `a@bank.example <b@evil.example>`: the name before the brackets may look like an address.
    angled = re.findall(r"<\s*([^<>\s]{3,300})\s*>", line)
    found = [each for each in angled if is_address(each)] or _ADDRESS.findall(line)
    return [Address("", each) for each in found]


def sender_of(headers: Headers) -> Address | None:
    """Who says to have written it: From, else Sender; None where both are missing or broken."""
    for name in ("From", "Sender"):
        if found := author_in(headers.raw(name)):
            return found
    return None


def author_in(raw: bytes) -> Address | None:
    """The one address of a header that should have one; None where it has none."""
    found = addresses(raw)
    line = header_text(raw[:_LONGEST]).lower()
    # An unquoted name may look like an address: what stands in brackets is the address.
    bracketed = [each for each in found if f"<{each.value}>" in line]
    return next(iter(bracketed if bracketed and "," not in line else found), None)


def recipients_of(headers: Headers, *names: str) -> list[str]:
    """The addresses in all headers of these names, each once, in order."""
    found = (each.value for name in names for raw in headers.all(name) for each in addresses(raw))
    return list(dict.fromkeys(found))


def is_address(value: str) -> bool:
    return _ADDRESS.fullmatch(value) is not None


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def without_extension(address: str) -> str:
    """`desk+abc@example.org` → `desk@example.org`, in lower case."""
    local, _, domain = address.strip().strip("<>").lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def own_address(account: Account) -> str:
    """The account's address, in lower case; empty where its settings have none."""
    return str(account.settings.get("address", "")).strip().lower()


def account_at(address: str, accounts: Iterable[Account]) -> Account | None:
    """The account with this address, its own `+extension` first, then without one."""
    by_address = {own_address(account): account for account in accounts}
    exact = address.strip().strip("<>").lower()
    return by_address.get(exact) or by_address.get(without_extension(exact))


def _name(name: str) -> str:
    return header_text(name.encode("utf-8", "surrogateescape"))[:200]


def _plain(value: str) -> str:
    return header_text(value.encode("utf-8", "surrogateescape")).replace(" ", "").lower()
