"""The integrator's word on a visitor who is signed in: a JWT signed with the account's `secret`.

HS256 and nothing else (RFC 7519; RFC 8725 section 3.1: the algorithm is ours to choose, not the
token's). Claims: `sub`, the customer's number; `exp`, at most a day ahead; `aud`, the account's
name, which may be left out; `name`, `email` and `email_verified` as OpenID Connect has them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OctKey

from shared.accounts import Account
from shared.channels.webchat_posted import mail_address
from shared.channels.wire import clean_text
from shared.errors import Invalid, Unauthenticated

LONGEST: Final = timedelta(days=1)
_SLACK: Final = timedelta(seconds=60)  # between the integrator's clock and ours
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Proof:
    """Who the integrator says it is. `email` only where it verified the address itself."""

    customer_ref: str
    name: str = ""
    email: str = ""


def proof_of(token: str, account: Account, now: datetime) -> Proof:
    """Raises Unauthenticated for a token that proves nothing, and says why."""
    claims = _signed(token, account)
    _check_time(claims, now)
    audience = claims.get("aud", account.name)
    if account.name not in (audience if isinstance(audience, list) else [audience]):
        raise Unauthenticated(f"the token is for another audience than {account.name}: see `aud`")
    customer = _text(claims, "sub")
    if not customer:
        raise Unauthenticated("the token names nobody: put the customer's number into `sub`")
    return Proof(customer, _text(claims, "name"), _mail(claims))


def _signed(token: str, account: Account) -> Mapping[str, Any]:
    secrets = account.secrets("secret")
    if not secrets:
        raise Unauthenticated(f"account {account.name} has no `secret`, so no token can be checked")
    for secret in secrets:
        try:
            return _decoded(token, secret)
        except Exception:  # noqa: S112 - whatever a stranger's token does to the library, it is refused
            continue
    raise Unauthenticated("the token is not signed with this account's `secret` by HS256")


def _decoded(token: str, secret: str) -> Mapping[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on a short secret, which is the operator's choice
        key = OctKey.import_key(secret)
    claims = jwt.decode(token, key, algorithms=["HS256"]).claims
    if not isinstance(claims, dict):
        raise TypeError("the claims are no object")
    return claims


def _check_time(claims: Mapping[str, Any], now: datetime) -> None:
    ends, begins = _time(claims.get("exp")), _time(claims.get("nbf", 0))
    if ends is None or begins is None:
        raise Unauthenticated("the token needs `exp`, in seconds since 1970: at most a day ahead")
    at = now.timestamp()
    if ends <= at - _SLACK.total_seconds():
        raise Unauthenticated("the token has expired: get a new one from the shop's server")
    if ends > at + (LONGEST + _SLACK).total_seconds():
        raise Unauthenticated("the token lives too long: let `exp` be at most a day ahead")
    if begins > at + _SLACK.total_seconds():
        raise Unauthenticated("the token is not valid yet: see `nbf`")


def _time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return clean_text(text).strip()[:_LONGEST_TEXT] if isinstance(text, str) else ""


def _mail(claims: Mapping[str, Any]) -> str:
    if claims.get("email_verified") is not True:
        return ""
    try:
        return mail_address(_text(claims, "email"))
    except Invalid as error:
        raise Unauthenticated("the token's `email` is no mail address") from error
