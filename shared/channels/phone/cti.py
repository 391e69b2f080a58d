"""The telephone exchange in the house, by webhook: sipgate, Placetel, Asterisk, or any other that
can post the small JSON of docs/channels/phone.md.

Secured by Standard Webhooks, by Placetel's signature, or by the account's secret in a header:
`Authorization: Bearer`, the password of `Authorization: Basic` (sipgate takes one within the URL),
or `X-Webhook-Secret`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final
from urllib.parse import parse_qsl

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.phone import asterisk, carried, twiml
from shared.channels.phone.cti_events import EVENTS, Post, id_of, read
from shared.channels.phone.lines import concluded, owner_of, unknown
from shared.channels.phone.voice import voice_of
from shared.channels.providers import standard_webhooks, twilio
from shared.channels.wire import clean_text, load, text_at
from shared.errors import NotFound, Refused, Unauthenticated, Unreadable

_MAX_BODY: Final = 256 * 1024
_MOST_FIELDS: Final = 200
_FORM: Final = "application/x-www-form-urlencoded"
_PLACETEL: Final = "x-placetel-signature"


class CtiInbound:
    """`/webhooks/<account>`: one event of one call in a POST."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Refused("post the events of calls here: there is nothing to fetch")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        secrets = [secret for secret in account.secrets("secret") if secret]
        if "webhook-signature" in request.headers:
            standard_webhooks.verify(secrets, request.headers, request.body, request.received_at)
        elif _PLACETEL in request.headers:
            _check_placetel(request, secrets)
        elif not (_shown(request, secrets) or _was_given_by_us(request, secrets)):
            raise Unauthenticated(
                "sign by Standard Webhooks, or send the account's secret: `Authorization: Bearer`, "
                "the password of `Authorization: Basic`, or `X-Webhook-Secret`"
            )
        _require_door(request.path)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One event. Raises Unreadable for a body that is of no call."""
        _require_door(request.path)
        body = _body(request)
        post = Post(body, account, request.received_at)
        answer = _answer(request, body, account)
        if asterisk.is_event(body):
            told, stated = asterisk.read(post)
        elif text_at(body, "event").lower() not in EVENTS:
            return unknown(id_of(body) or "?", text_at(body, "event"), request.body, answer)
        else:
            told, stated = read(post, voice_of(account))
        # An exchange names extensions where a provider names lines: then it is this account's.
        owner = owner_of(told.ours, account, accounts, lambda each: each.secrets("secret"))
        return concluded(told, stated, owner or account, request.body, answer)


def _require_door(path: str) -> None:
    if path.rstrip("/"):
        raise NotFound("post to the account's webhook address itself: there are no others")


def _body(request: WebhookRequest) -> dict[str, Any]:
    if not _is_form(request):
        body = load(request.body)
        if not isinstance(body, dict):
            raise Unreadable("the body is not a JSON object")
        return body
    try:
        pairs = parse_qsl(
            request.body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise Unreadable(f"the form cannot be read: {error}") from error
    # `user[]` may come several times, one for each telephone that rings; who answers is one.
    return {clean_text(name).removesuffix("[]"): clean_text(value) for name, value in pairs}


def _answer(request: WebhookRequest, body: dict[str, Any], account: Account) -> Answer:
    """sipgate tells of a call's answer and end only where it is asked to, in XML."""
    if not _is_form(request):
        return Answer()
    if text_at(body, "event") != "newCall" or not account.settings.get("public_url"):
        return twiml.nothing()
    at = str(int(request.received_at.timestamp()))
    query = carried.written({"at": at}, id_of(body), account.secrets("secret"))
    address = twilio.address(account, "", query)
    return twiml.follow(address, address)


def _is_form(request: WebhookRequest) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def _check_placetel(request: WebhookRequest, secrets: list[str]) -> None:
    """The body's HMAC in hex. Source: Placetel, "Call Control-/Notify-API: our POST request"."""
    given = request.headers[_PLACETEL].encode("utf-8", "replace")
    made = [hmac.new(each.encode(), request.body, hashlib.sha256).hexdigest() for each in secrets]
    # Every one is compared, in constant time.
    matches = [hmac.compare_digest(given, each.encode()) for each in made]
    if not any(matches):
        raise Unauthenticated(
            "X-PLACETEL-SIGNATURE is not made with this account's secret: enter the same one at "
            "Placetel and in the channels file"
        )


def _shown(request: WebhookRequest, secrets: list[str]) -> bool:
    offered = _offered(request).encode("utf-8", "replace")
    # Every one is compared, in constant time: nothing is learnt from how long a refusal takes.
    matches = [hmac.compare_digest(offered, secret.encode()) for secret in secrets]
    return any(matches)


def _offered(request: WebhookRequest) -> str:
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return request.headers.get("x-webhook-secret", "")
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _was_given_by_us(request: WebhookRequest, secrets: list[str]) -> bool:
    """Whether it comes to an address that our own answer gave, for this very call."""
    if not any(name == "seal" for name, _ in request.query):
        return False
    try:
        return carried.sealed(request.query, id_of(_body(request)), secrets)
    except Unreadable:
        return False
