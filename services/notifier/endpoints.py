"""Which addresses a subscription may name. What a key says is a stranger's word: a private network
is called only where REGIE_ALLOW_PRIVATE_TARGETS lists it. The connection step looks again."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from shared.addresses import Address, unwrapped, written_address
from shared.errors import Invalid
from shared.guard import Forbidden, Guard, origin_of, plain

_LONGEST: Final = 2_000


def checked(url: str, guard: Guard) -> str:
    """The URL as it will be called. Raises Invalid, saying what would be right."""
    origin = origin_of(url)
    if origin is None or len(url) > _LONGEST or not url.isprintable() or " " in url:
        raise _wrong("give a whole URL of at most 2,000 characters: https://hooks.example.org/in")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise _wrong("leave name and password out of the URL: the signature proves who calls")
    if parts.fragment:
        raise _wrong("leave the part after `#` out: it is never sent")
    host, port = origin
    try:
        guard.permit_unresolved(host, port)
    except Forbidden as error:
        raise Invalid(str(error), name="target-forbidden") from error
    if parts.scheme != "https" and not _named(guard, host, port):
        raise _wrong(
            "use https: plain http is for hosts that REGIE_ALLOW_PRIVATE_TARGETS lists only"
        )
    return url


def _named(guard: Guard, host: str, port: int) -> bool:
    """Whether the operator lists this very host, or the network its address is in."""
    if (plain(host), port) in guard.origins:
        return True
    address = written_address(plain(host))
    return address is not None and any(
        _in(unwrapped(address), network) for network in guard.networks
    )


def _in(address: Address, network: object) -> bool:
    return getattr(network, "version", None) == address.version and address in network  # type: ignore[operator]


def _wrong(words: str) -> Invalid:
    return Invalid(words, name="url-refused")
