"""Mail addresses: read from headers, compared with our own, told apart by their `+extension`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from shared.accounts import Account
from shared.channels.email.charsets import decode
from shared.channels.email.headers import Headers, header_text
from shared.channels.email.mailboxes import mailboxes

_LABEL: Final = r"[^\s@<>,;:\"()\[\]\\.=?]{1,63}+"
_ADDRESS: Final = re.compile(
    r"(?:(?!.*=\?)[^\s@<>,;:\"()\[\]\\]{1,200}+|\"(?:[^\"\\\x00-\x1f]|\\[\x20-\x7e]){1,64}+\")@"
    rf"(?:{_LABEL}(?:\.{_LABEL}){{0,20}}+|\[[0-9A-Za-z:.]{{3,60}}\])"
)
_SAFE_LOCAL: Final = re.compile(r'"([A-Za-z0-9!#$%&\'*+/=?^_`{|}~.-]+)"(@.+)')
_LONGEST: Final = 64 * 1024  # characters of an address list
_LONGEST_NAME: Final = 2_000  # characters, its encoding not undone
MOST: Final = 1_000  # addresses of one header


class Address(NamedTuple):
    """`value` in lower case, as an identity has it; `name` as it is shown."""

    name: str
    value: str


def addresses(raw: bytes) -> tuple[Address, ...]:
    """Every mail address in a header, in order; at most 1,000."""
    return _addresses(raw[:_LONGEST])


@lru_cache(maxsize=64)  # the same few headers of one mail are asked for a dozen times
def _addresses(raw: bytes) -> tuple[Address, ...]:
    # Taken apart before decoding: an encoded name may hold a comma or an angle bracket.
    read = [Address(_name(name), _plain(value)) for name, value in mailboxes(_line(raw))]
    good = [each for each in read if is_address(each.value)]
    return tuple((good or _encoded(raw))[:MOST])


def _line(raw: bytes) -> str:
    # The escapes of ISO-2022-JP would read as brackets.
    return decode(raw).text if b"\x1b" in raw else raw.decode("utf-8", "surrogateescape")


def _encoded(raw: bytes) -> list[Address]:
    """`=?utf-8?Q?Jan_<jan@example.net>?=`: all of it in one encoded word, brackets too."""
    if b"=?" not in raw:
        return []
    inner = mailboxes(header_text(raw))
    found = [Address(name[:200], _plain(value)) for name, value in inner if name]
    return [each for each in found if is_address(each.value)]


def sender_of(headers: Headers) -> Address | None:
    """Who says to have written it: From, else Sender; None where both are missing or broken."""
    for name in ("From", "Sender"):
        if found := author_in(headers.raw(name)):
            return found
    return None


def author_in(raw: bytes) -> Address | None:
    """The one address of a header that should have one; None where it has none."""
    return next(iter(addresses(raw)), None)


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
    # Of many addresses without commas each has all the words around them for its name.
    return header_text(name[:_LONGEST_NAME].encode("utf-8", "surrogateescape"))[:200]


def _plain(value: str) -> str:
    value = unicodedata.normalize("NFC", decode(value.encode("utf-8", "surrogateescape")).text)
    if found := _SAFE_LOCAL.fullmatch(value):  # quotes that change nothing
        value = found[1] + found[2]
    return value.lower()
