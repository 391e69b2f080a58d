"""The token Microsoft sends with each activity, checked; and the one we call Microsoft with.

Sources: learn.microsoft.com, "Authenticate requests with the Bot Connector API" (edition of
October 2024). The token does not cover the body, so the address it names is compared with the one
the activity names: what is replayed with another body cannot lead our answers elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from shared.accounts import Account
from shared.channels import KeySource, WebhookRequest
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import Forbidden, Unauthenticated

ISSUER: Final = "https://api.botframework.com"
_OPENID: Final = "https://login.botframework.com/v1/.well-known/openidconfiguration"
_KEYS_HOST: Final = re.compile(r"https://login\.botframework\.com/\S*")
_SKEW: Final = 300  # seconds that clocks may differ
_LONGEST: Final = 16_384


def keys_wanted(request: WebhookRequest, account: Account) -> KeySource:
    """Where the keys are that this token may be signed with. Raises Unauthenticated."""
    base = str(account.settings.get("api_base", "")).rstrip("/")
    return KeySource(
        url=f"{base}/v1/.well-known/openidconfiguration" if base else _OPENID,
        id=_header(token_of(request)),
        leads=lambda document: _jwks(document, base),
        read=read_keys,
    )


def token_of(request: WebhookRequest) -> str:
    """Raises Unauthenticated where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or len(token) > _LONGEST:
        raise Unauthenticated("send `Authorization: Bearer` with the Bot Connector's token")
    return token.strip()


def check(request: WebhookRequest, account: Account, activity: Any) -> None:
    """Raises Unauthenticated, and Forbidden for a key that does not speak for the channel.

    activity  None for a body nobody can read: it is parked, and there is no address to compare
    """
    token = token_of(request)
    key = request.keys.get(_header(token))
    if key is None:
        raise Unauthenticated("the token is signed by no key that Microsoft publishes for bots")
    claims = _claims(token, key)
    _check_claims(claims, account, request.received_at.timestamp())
    if activity is None:
        return
    named = text_at(activity, "serviceUrl")
    told = text_at(claims, "serviceurl") or text_at(claims, "serviceUrl")
    if told.rstrip("/") != named.rstrip("/"):
        raise Unauthenticated("the token is for another serviceUrl than the activity's")
    channel = text_at(activity, "channelId")
    if channel not in list_at(key, "endorsements"):
        raise Forbidden(f"the token's key does not speak for the channel {channel[:40]!r}")


def _check_claims(claims: Mapping[str, Any], account: Account, now: float) -> None:
    if claims.get("iss") != ISSUER:
        raise Unauthenticated(f"the token is not issued by {ISSUER}")
    if claims.get("aud") != account.settings.get("app_id"):
        raise Unauthenticated("the token is for another app than this account's app_id")
    begins, ends = claims.get("nbf"), claims.get("exp")
    if not isinstance(ends, int | float) or now > ends + _SKEW:
        raise Unauthenticated("the token has expired: send it anew")
    if isinstance(begins, int | float) and now < begins - _SKEW:
        raise Unauthenticated("the token is not valid yet: one of the two clocks is wrong")


def _claims(token: str, key: Mapping[str, Any]) -> dict[str, Any]:
    part = {name: key[name] for name in ("kty", "n", "e") if name in key}
    try:
        return dict(jwt.decode(token, RSAKey.import_key(part), algorithms=["RS256"]).claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Unauthenticated("the token is not signed by the key it names") from error


def _header(token: str) -> str:
    """The id of the key; before the signature is checked, and worth as little."""
    part = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise Unauthenticated("the token is no JWT") from error
    if text_at(header, "alg") != "RS256" or not (id := text_at(header, "kid")):
        raise Unauthenticated("the token is not signed by RS256 with a key that it names")
    return id


def _jwks(document: bytes, base: str) -> str:
    """The address of the keys. Raises ValueError where it is not where Microsoft keeps them."""
    address = text_at(json.loads(document), "jwks_uri")
    if not (_KEYS_HOST.fullmatch(address) or (base and address.startswith(f"{base}/"))):
        raise ValueError(f"jwks_uri {address[:100]!r} is not at login.botframework.com")
    return address


def read_keys(document: bytes) -> dict[str, Any]:
    """By id, each with its `endorsements`. Raises ValueError."""
    keys = list_at(json.loads(document), "keys")
    known = {text_at(key, "kid"): mapping_at({"key": key}, "key") for key in keys}
    if not known:
        raise ValueError("the document has no `keys`")
    return {id: key for id, key in known.items() if id and key.get("kty") == "RSA"}
