"""Mailgun's signature, found in whatever is left of its post.

The signature covers a timestamp and a token and nothing else. So a post that was cut off, or comes
under a wrong content type, can still be Mailgun's: it is for the parser to say that it cannot be
read. Only where the three are not to be found it is nobody's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from shared.channels import WebhookRequest
from shared.channels.email.form import Form, read_parts
from shared.channels.wire import load, mapping_at, text_at
from shared.errors import Unauthenticated, Unreadable

# A post that failed comes again for 8 hours, and whether with its first timestamp is not said:
# refusing it would lose the mail. An hour on top is for slow clocks and queues.
OLDEST: Final = 9 * 3600
NEWEST: Final = 15 * 60  # ahead of us: a clock may be off, a recording may not wait for its day
_QUOTED: Final = r'"%s"\s*:\s*"?([^"\\,}\s]{1,200})'


class Signature(NamedTuple):
    timestamp: str
    token: str
    signature: str


def check(request: WebhookRequest, keys: Sequence[str]) -> None:
    """Checks hex HMAC-SHA256(signing_key, timestamp + token). Raises Unauthenticated."""
    given = find(request)
    if not all(given):
        raise Unauthenticated("send the fields timestamp, token and signature")
    _check_age(given.timestamp, request.received_at)
    signed = (given.timestamp + given.token).encode("utf-8", "replace")
    expected = [
        hmac.new(key.encode(), signed, hashlib.sha256).hexdigest().encode() for key in keys if key
    ]
    offered = given.signature.encode("utf-8", "replace")
    # Every key is compared: the time taken does not tell which came close.
    if not sum(hmac.compare_digest(offered, one) for one in expected):
        raise Unauthenticated("the signature matches no signing_key of this account")


def find(request: WebhookRequest) -> Signature:
    """The three fields, as far as they are there."""
    if "content-type" not in request.headers:
        return Signature("", "", "")  # not even a broken post of Mailgun's is without one
    if is_json(request) or request.body.lstrip()[:1] == b"{":
        return _in_json(request.body)
    form = _in_form(request)
    return Signature(*(form.text(name).strip() for name in Signature._fields))


def is_json(request: WebhookRequest) -> bool:
    return "json" in request.headers.get("content-type", "").lower()


def _in_json(body: bytes) -> Signature:
    try:
        holder = mapping_at(load(body), "signature")
        return Signature(*(text_at(holder, name) for name in Signature._fields))
    except Unreadable:
        # Cut off: the signature stands before the event.
        text = body[:4096].decode("utf-8", "replace").partition('"signature"')[2]
        found = (re.search(_QUOTED % name, text) for name in Signature._fields)
        return Signature(*(match[1] if match else "" for match in found))


def _in_form(request: WebhookRequest) -> Form:
    form = read_parts(request)
    if form.has("signature"):
        return form
    # Under another name, or with a boundary that is not its own: then the body shows what it is.
    boundary = request.body[2:200].partition(b"\n")[0].strip().decode("latin-1")
    multipart = f'multipart/form-data; boundary="{boundary}"'
    kind = multipart if request.body.startswith(b"--") else ""
    return read_parts(replace(request, headers={"content-type": kind}))


def _check_age(timestamp: str, received_at: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise Unauthenticated("timestamp must be Unix seconds")
    age = received_at.timestamp() - int(timestamp)
    if not -NEWEST <= age <= OLDEST:
        raise Unauthenticated("timestamp is over 9 hours old or 15 minutes ahead: set the clocks")
