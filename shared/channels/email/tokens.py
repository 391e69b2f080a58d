"""The signed token in a reply address: it leads an answer to its case, whatever else was lost.

`support+r<case><check>@example.org`: 26 characters of case id and 16 of a keyed hash, in lower-case
base32, because mail servers change the case of a local part. It names a case, it proves no person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from shared.accounts import Account

_CASE: Final = 26  # characters
_CHECK: Final = 16


def reply_secrets(account: Account) -> Sequence[str]:
    """What signs the account's tokens: `reply_secret`, else the provider's signing key."""
    return account.secrets("reply_secret") or account.secrets("signing_key")


def reply_address(address: str, case_id: UUID, secret: str) -> str:
    """`address` with the token of a case as its extension."""
    local, _, domain = address.rpartition("@")
    case = base64.b32encode(case_id.bytes).decode().rstrip("=").lower()
    return f"{local}+r{case}{_check(case, address, secret)}@{domain}"


def token_in(recipients: Iterable[str], address: str, secrets: Sequence[str]) -> str:
    """The id of the case that a rightly signed token among `recipients` names; else empty."""
    local, _, domain = address.lower().rpartition("@")
    for recipient in recipients:
        start, _, its_domain = recipient.lower().rpartition("@")
        extension = start.removeprefix(f"{local}+r")
        if its_domain == domain and extension != start and len(extension) == _CASE + _CHECK:
            case, given = extension[:_CASE], extension[_CASE:].encode("utf-8", "replace")
            right = [_check(case, address, secret).encode() for secret in secrets if secret]
            if sum(hmac.compare_digest(given, one) for one in right):
                return _case_id(case)
    return ""


def _check(case: str, address: str, secret: str) -> str:
    signed = f"{address.lower()}\x1f{case}".encode("utf-8", "replace")
    digest = hmac.new(secret.encode(), b"regie reply token\x1f" + signed, hashlib.sha256).digest()
    return base64.b32encode(digest[:10]).decode().lower()


def _case_id(case: str) -> str:
    try:
        return str(UUID(bytes=base64.b32decode(case.upper() + "======")))
    except (binascii.Error, ValueError):
        return ""
