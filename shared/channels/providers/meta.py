"""Meta's Graph webhooks: the handshake, the signature and the envelope of all its channels.

Source: developers.facebook.com, "Graph API webhooks: getting started" and, for WhatsApp,
"Create a webhook endpoint" (read in the edition of April 2026).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.accounts import Account, Accounts
from shared.channels import Answer, WebhookRequest
from shared.channels.wire import load, mapping_at, text_at
from shared.errors import Forbidden, Unauthenticated, Unreadable
from shared.events import Channel

MAX_BODY: Final = 3 * 1024 * 1024  # Meta's own bound on one POST of up to 1,000 updates


class Change(NamedTuple):
    """One change of one entry. An entry or change of the wrong shape has no `field`, and stands
    whole in `value`: the rest of the envelope is read all the same."""

    field: str
    value: Any


def handshake(request: WebhookRequest, verify_tokens: Sequence[str]) -> Answer:
    """Meta's GET when an address is saved: the challenge comes back as it was sent.

    Raises Forbidden when the token is none of ours, naming what to compare.
    """
    asked = dict(request.query)
    if asked.get("hub.mode") != "subscribe" or "hub.challenge" not in asked:
        raise Forbidden(
            "this address answers Meta's handshake only: "
            "hub.mode=subscribe with hub.challenge and hub.verify_token"
        )
    if not _among(asked.get("hub.verify_token", ""), verify_tokens):
        raise Forbidden(
            "hub.verify_token is not this account's verify_token: "
            "enter the same one in the app's webhook settings and in the channels file"
        )
    return Answer(body=asked["hub.challenge"].encode("utf-8", "replace"))


def verify(request: WebhookRequest, app_secrets: Sequence[str]) -> None:
    """Checks `X-Hub-Signature-256` against the bytes on the wire, never against parsed JSON:
    Meta signs its own escaped spelling. Raises Unauthenticated.

    There is no timestamp in it, so a recorded request stays valid: deduplication is the defence.
    """
    given = request.headers.get("x-hub-signature-256", "")
    if not given:
        raise Unauthenticated("send X-Hub-Signature-256")
    expected = (
        "sha256=" + hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
        for secret in app_secrets
        if secret
    )
    if not _among(given, list(expected)):
        raise Unauthenticated("X-Hub-Signature-256 matches no app secret of this account")


def entries(body: bytes, *objects: str) -> tuple[str, Sequence[Any]]:
    """Which of `objects` an envelope is of, and its entries; their shape is unchecked.

    Raises Unreadable where the body is no such envelope.
    """
    document = load(body)
    object = document.get("object") if isinstance(document, dict) else None
    if object not in objects:
        raise Unreadable(f"the body is not a webhook of object {' or '.join(map(repr, objects))}")
    if not isinstance(document.get("entry"), list):
        raise Unreadable("the webhook has no list `entry`")
    return object, document["entry"]


def changes(body: bytes, object: str) -> Iterator[Change]:
    """Every change in an envelope of this `object`; the shape below it is unchecked.

    Raises Unreadable where the body is no such envelope.
    """
    for entry in entries(body, object)[1]:
        yield from changes_of(entry)


def changes_of(entry: Any) -> Iterator[Change]:
    listed = entry.get("changes") if isinstance(entry, dict) else None
    for change in listed if isinstance(listed, list) else (entry,):
        yield _change(change)


def owners(
    account: Account, accounts: Accounts, channel: Channel, field: str
) -> Mapping[str, Account]:
    """The accounts of `channel` this signature speaks for, by Meta's id of each (`field`).

    An app secret belongs to an app and serves all its numbers, pages and profiles; an app may
    speak for no other's.
    """
    secrets = set(account.secrets("app_secret"))
    return {
        id: each
        for each in accounts
        if (each.channel, each.provider) == (channel, "meta")
        and secrets & set(each.secrets("app_secret"))
        and (id := str(each.settings.get(field, "")))
    }


def explanation(error: Any) -> str:
    """The most telling words of one of Meta's error objects; empty when it has none."""
    return (
        text_at(mapping_at(error, "error_data"), "details")
        or text_at(error, "details")
        or text_at(error, "error_user_msg")
        or text_at(error, "message")
        or text_at(error, "title")
    )


def unowned(id: str, field: str) -> str:
    """Why an item about `id` is parked."""
    return (
        f"{field} {id[:40]} is no account with this app secret: "
        "add it to the channels file, or take its webhook back in Meta's app settings"
    )


def _change(change: Any) -> Change:
    if isinstance(change, dict) and isinstance(change.get("field"), str) and "value" in change:
        return Change(change["field"], change["value"])
    return Change("", change)


def _among(given: str, known: Sequence[str]) -> bool:
    # Every one is compared, in constant time: nothing is learnt from how long a refusal takes.
    offered = given.encode("utf-8", "replace")
    equal = [hmac.compare_digest(offered, one.encode()) for one in known if one]
    return any(equal)
