"""The signed marks by which what comes back finds its way, whatever else was lost.

`support+r<case><check>@example.org`, where replies go: 26 characters of case id and 16 of a keyed
hash, in lower-case base32, because mail servers change the case of a local part.
`support+b<message><check>@example.org`, where bounces go: the same of the message that was sent.
`[#<case><check>]` in a subject: the last resort, behind gateways that rewrite all addresses; it has
8 characters of check, and anyone who once saw it can show it, so the router heeds it only from the
case's own customer.

None of them proves who a person is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal
from uuid import UUID

from shared.accounts import Account

_CASE: Final = 26  # characters
_CHECK: Final = 16
_TAG_CHECK: Final = 8
_TAG: Final = re.compile(rf"\[#([a-z2-7]{{{_CASE}}})([a-z2-7]{{{_TAG_CHECK}}})\]", re.IGNORECASE)
_Kind = Literal["reply", "bounce", "subject"]


def reply_secrets(account: Account) -> Sequence[str]:
    """What signs the account's tokens: `reply_secret`, else the provider's signing key."""
    return account.secrets("reply_secret") or account.secrets("signing_key")


def reply_address(address: str, case_id: UUID, secret: str) -> str:
    """`address` with the token of a case as its extension: who answers, answers the case."""
    return _extended(address, "r", "reply", case_id, secret)


def token_in(recipients: Iterable[str], address: str, secrets: Sequence[str]) -> str:
    """The id of the case that a rightly signed token among `recipients` names; else empty."""
    return _named("r", "reply", recipients, address, secrets)


def bounce_address(address: str, message_id: UUID, secret: str) -> str:
    """`address` with the token of a message as its extension: the envelope sender of that mail."""
    return _extended(address, "b", "bounce", message_id, secret)


def bounced_in(recipients: Iterable[str], address: str, secrets: Sequence[str]) -> str:
    """The id of the message whose return address is among `recipients`; else empty."""
    return _named("b", "bounce", recipients, address, secrets)


def subject_tag(address: str, case_id: UUID, secret: str) -> str:
    """`[#…]`, which names a case in a subject."""
    name = _base32(case_id)
    return f"[#{name}{_check('subject', name, address, secret)[:_TAG_CHECK]}]".upper()


def tag_in(subject: str, address: str, secrets: Sequence[str]) -> str:
    """The id of the case that a rightly signed tag in `subject` names; else empty."""
    for found in _TAG.finditer(subject[:2000]):
        name, given = found[1].lower(), found[2].lower()
        if _is_signed("subject", name, given, address, secrets):
            return _id(name)
    return ""


def _extended(address: str, mark: str, kind: _Kind, id: UUID, secret: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}+{mark}{_base32(id)}{_check(kind, _base32(id), address, secret)}@{domain}"


def _named(
    mark: str, kind: _Kind, recipients: Iterable[str], address: str, secrets: Sequence[str]
) -> str:
    local, _, domain = address.lower().rpartition("@")
    for recipient in recipients:
        start, _, its_domain = recipient.strip().strip("<>").lower().rpartition("@")
        extension = start.removeprefix(f"{local}+{mark}")
        if its_domain == domain and extension != start and len(extension) == _CASE + _CHECK:
            name, given = extension[:_CASE], extension[_CASE:]
            if _is_signed(kind, name, given, address, secrets) and (id := _id(name)):
                return id
    return ""


def _is_signed(kind: _Kind, name: str, given: str, address: str, secrets: Sequence[str]) -> bool:
    shown = given.encode("utf-8", "replace")
    right = [_check(kind, name, address, s)[: len(given)].encode() for s in secrets if s]
    return sum(hmac.compare_digest(shown, one) for one in right) > 0


def _check(kind: _Kind, name: str, address: str, secret: str) -> str:
    signed = f"regie {kind} token\x1f{address.lower()}\x1f{name}".encode("utf-8", "replace")
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return base64.b32encode(digest[:10]).decode().lower()


def _base32(id: UUID) -> str:
    return base64.b32encode(id.bytes).decode().rstrip("=").lower()


def _id(name: str) -> str:
    try:
        return str(UUID(bytes=base64.b32decode(name.upper() + "======")))
    except (binascii.Error, ValueError):
        return ""
