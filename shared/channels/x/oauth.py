"""How the account's own calls are signed: OAuth 1.0a, or a bearer token of OAuth 2.0.

OAuth 1.0a (RFC 5849, HMAC-SHA1) is the one for a service: its tokens stay good until they are
taken back, while those of OAuth 2.0 end after two hours. Bodies in JSON or multipart are not part
of what is signed (RFC 5849, 3.4.1.3.1).
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import httpx

from shared.accounts import Account
from shared.channels.posting import bearer
from shared.errors import SendError

Pair = tuple[str, str]


def authorization(account: Account, method: str, url: str) -> dict[bytes, bytes]:
    """The header for one call. Raises SendError (`token`) where the account cannot call."""
    tokens = account.secrets("access_token")
    if not tokens:
        raise SendError(
            "token",
            f"account {account.name} has no access_token: give it one, with access_token_secret "
            "and consumer_key, from the app's page at X",
        )
    held = account.secrets("access_token_secret")
    key = str(account.settings.get("consumer_key", ""))
    if not (held and key):
        return bearer(tokens[0])
    given = [
        ("oauth_consumer_key", key),
        ("oauth_nonce", secrets.token_hex(16)),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", str(int(time.time()))),
        ("oauth_token", tokens[0]),
        ("oauth_version", "1.0"),
    ]
    signed = signature(method, url, given, account.secrets("consumer_secret")[0], held[0])
    written = ", ".join(f'{k}="{_quoted(v)}"' for k, v in (*given, ("oauth_signature", signed)))
    return {b"authorization": f"OAuth {written}".encode()}


def signature(
    method: str, url: str, given: Sequence[Pair], consumer_secret: str, token_secret: str
) -> str:
    """The `oauth_signature` of a call with these parameters besides those of its URL."""
    address = httpx.URL(url)
    base = str(address.copy_with(query=None, fragment=None))
    pairs = _normal((*given, *address.params.multi_items()))
    text = "&".join(map(_quoted, (method.upper(), base, pairs)))
    key = f"{_quoted(consumer_secret)}&{_quoted(token_secret)}"
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode()


def _normal(pairs: Iterable[Pair]) -> str:
    return "&".join(f"{k}={v}" for k, v in sorted((_quoted(k), _quoted(v)) for k, v in pairs))


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")
