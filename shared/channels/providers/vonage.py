"""Vonage's webhooks: a signed token about the body, or the older signature among the parameters.

Sources: developer.vonage.com, "Signed webhooks" (Messages, Voice: `Authorization: Bearer` with a
JWT) and "Signing messages" (SMS API: `sig`). Both are made with the account's signature secret.

Neither page says whether a repeat is signed anew, and Vonage repeats for 24 hours. So a signature
may be a day old: what is replayed within it has the id of the first, and is dropped by that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.wire import load, text_at
from shared.errors import Misconfigured, Unauthenticated, Unreadable

OLDEST: Final = 25 * 3600  # seconds: a day of repeats, and an hour for the last of them
AHEAD: Final = 300  # seconds a clock of theirs may be fast
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 1000
# "Signature method" of the dashboard, told apart by the length of the digest in hex.
_METHODS: Final = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


def verify(request: WebhookRequest, account: Account) -> None:
    """Checks the token, or else the `sig` parameter, with every `signature_secret` of the account.

    Raises Unauthenticated, also for anything a sender may have got wrong on purpose.
    """
    secrets = [secret for secret in account.secrets("signature_secret") if secret]
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        _check_claims(_claims(token.strip(), secrets), request)
        return
    try:
        given = parameters(request)
    except Unreadable as error:
        raise Unauthenticated(f"no signature can be found: {error}") from error
    if "sig" not in given:
        raise Unauthenticated(
            "send `Authorization: Bearer` with Vonage's token: switch signed webhooks on in the "
            "application's settings, or message signing on for the SMS API"
        )
    _check_sig(given, secrets, request.received_at)


def parameters(request: WebhookRequest) -> dict[str, str]:
    """What an SMS API webhook says: its form, or the texts and numbers of its JSON object; of a
    request without a body, its query. Raises Unreadable."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.body:
        return dict(request.query)
    if kind != _FORM:
        document = load(request.body)
        if not isinstance(document, dict):
            raise Unreadable("the body is not a JSON object")
        return {name: _written(value) for name, value in document.items()}
    try:
        pairs = parse_qsl(
            request.body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise Unreadable(f"the form cannot be read: {error}") from error
    return dict(pairs)


def token(account: Account, at: datetime, id: str) -> str:
    """The token by which the account's application calls Vonage: RS256, good for 5 minutes.

    id  names this token (`jti`). Raises Misconfigured, naming what is missing or wrong.
    """
    application, keys = account.settings.get("application_id"), account.secrets("private_key")
    if not (application and keys):
        raise Misconfigured(
            f"account {account.name} has neither api_key with api_secret nor application_id with "
            "private_key: it cannot call Vonage"
        )
    issued = int(at.timestamp())
    claims = {"application_id": application, "iat": issued, "exp": issued + 300, "jti": id}
    try:
        return jwt.encode({"alg": "RS256", "typ": "JWT"}, claims, RSAKey.import_key(keys[0]))
    except (JoseError, ValueError, TypeError) as error:
        raise Misconfigured(
            f"the private_key of account {account.name} is no RSA key: give the whole PEM that "
            "Vonage made with the application, line breaks and all"
        ) from error


# --- the token of a webhook ------------------------------------------------------------------


def _claims(token: str, secrets: Sequence[str]) -> dict[str, Any]:
    """The claims of a JWT that one of `secrets` signed by HS256, the only algorithm there is."""
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    expected = [_hs256(signed, secret) for secret in secrets]
    offered = signature.encode("utf-8", "replace")
    # Every one is compared, in constant time: nothing is learnt from how long a refusal takes.
    matches = [hmac.compare_digest(offered, one) for one in expected]
    if not any(matches):
        raise Unauthenticated("the token is signed by no signature_secret of this account")
    named, claims = _part(header), _part(payload)
    if named.get("alg") != "HS256" or "crit" in named:
        raise Unauthenticated("the token is not signed by HS256, as Vonage signs")
    return claims


def _check_claims(claims: dict[str, Any], request: WebhookRequest) -> None:
    at = request.received_at
    _check_age(text_at(claims, "iat"), "the token's iat", at)
    if claims.get("iss", "Vonage") != "Vonage":
        raise Unauthenticated("the token is not issued by Vonage")
    if "exp" in claims and _seconds(text_at(claims, "exp")) <= at.timestamp():
        raise Unauthenticated("the token has expired: send it anew")
    # The signature does not cover the body; the hash that it does cover, does.
    given = claims.get("payload_hash")
    if given is None and request.method == "GET" and not request.body:
        return
    digest = hashlib.sha256(request.body).hexdigest()
    if not hmac.compare_digest(str(given).lower().encode("utf-8", "replace"), digest.encode()):
        raise Unauthenticated("the token's payload_hash is not that of the body")


def _hs256(signed: str, secret: str) -> bytes:
    digest = hmac.digest(secret.encode(), signed.encode("utf-8", "replace"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def _part(text: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise Unauthenticated("the token is no JWT") from error
    return found if isinstance(found, dict) else {}


# --- the older signature ---------------------------------------------------------------------


def _check_sig(given: Mapping[str, str], secrets: Sequence[str], at: datetime) -> None:
    offered = given["sig"].strip().lower()
    if (method := _METHODS.get(len(offered))) is None:
        raise Unauthenticated("sig is no digest of a method Vonage signs with")
    signed = "".join(
        f"&{name}={value.replace('&', '_').replace('=', '_')}"
        for name, value in sorted(given.items())
        if name != "sig"
    ).encode("utf-8", "replace")
    expected = [hmac.new(secret.encode(), signed, method).hexdigest() for secret in secrets]
    if method == "md5":  # "MD5 hash signature" is no HMAC: the secret only follows
        plain = (signed + secret.encode() for secret in secrets)
        expected += [hashlib.md5(each).hexdigest() for each in plain]  # noqa: S324
    presented = offered.encode("utf-8", "replace")
    matches = [hmac.compare_digest(presented, one.encode()) for one in expected]
    if not any(matches):
        raise Unauthenticated(
            "sig matches no signature_secret of this account: compare it, and the signature "
            "method, with Vonage's dashboard"
        )
    _check_age(given.get("timestamp", ""), "timestamp", at)


def _check_age(given: str, name: str, at: datetime) -> None:
    age = at.timestamp() - _seconds(given)
    if not -AHEAD <= age <= OLDEST:
        raise Unauthenticated(f"{name} is missing, in the future or over a day old: set clocks")


def _seconds(text: str) -> float:
    """Unix seconds; a moment long ago for what is none."""
    whole = text.partition(".")[0]
    return float(whole) if whole.isascii() and whole.isdigit() and len(whole) < 16 else 0.0


def _written(value: Any) -> str:
    # As it stands in JSON, which is what was signed; a nested value is signed by nobody.
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
