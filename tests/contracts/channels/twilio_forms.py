"""Requests as Twilio makes them: forms off the wire, signed by Twilio's own library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

from twilio.request_validator import RequestValidator

from shared.accounts import Account, Accounts, load_accounts
from shared.channels import Parsed, WebhookRequest
from shared.channels.calls import better
from shared.channels.phone import TwilioInbound
from shared.events import MessageReceived

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ELSEWHERE = "ffffffffffffffffffffffffffffffff"
PUBLIC = "https://regie.example.org"
RECEIVED = datetime(2026, 3, 2, 9, 1, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"
CALL = "CA5e1f0a7b9c3d4e2f8a6b1c0d9e7f3a21"
STARTED = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)
CARRIED = urlencode({"at": int(STARTED.timestamp()), "from": "+31612345678", "to": "+31880000000"})
TRANSCRIPT = "Hello, this is Ann. My parcel arrived damaged: the blue & white vase, order 1001."

LINE = """
  {name}:
    channel: phone
    provider: twilio
    number: "{number}"
    auth_token: {token}
    public_url: {public}
    voice: {voice}
"""
_FORMS = Path(__file__).parent / "phone"


def line(
    name: str = "desk-phone",
    number: str = "+31880000000",
    token: str = TOKEN,
    public: str = PUBLIC,
    voice: str = '{dial: ["+31880000010"], timeout: 20s, voicemail: true}',
) -> str:
    return LINE.format(name=name, number=number, token=token, public=public, voice=voice)


def accounts(*lines: str) -> Accounts:
    return load_accounts("accounts:" + "".join(lines or (line(),)), "channels.yaml", {})


def first(*lines: str) -> Account:
    return next(iter(accounts(*lines)))


def wire(name: str) -> bytes:
    """The body of `phone/<name>.txt`, as it came."""
    return (_FORMS / f"{name}.txt").read_bytes().rstrip()


class Fields(dict[str, list[str]]):
    """A form whose values may repeat, as web frameworks hand it to Twilio's library."""

    def getall(self, name: str) -> list[str]:
        return self[name]


def fields(pairs: Iterable[tuple[str, str]]) -> Fields:
    found = Fields()
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def pairs(body: bytes) -> list[tuple[str, str]]:
    """Raises ValueError for bytes that are no form in UTF-8."""
    return parse_qsl(body.decode(), keep_blank_values=True, errors="strict")


def changed(name: str, **by: str) -> bytes:
    """A form from a file, with some of its fields changed."""
    return urlencode({**dict(pairs(wire(name))), **by}).encode()


def request(
    path: str = "",
    body: bytes = b"",
    raw_query: str = "",
    headers: Mapping[str, str] | None = None,
    at: datetime = RECEIVED,
) -> WebhookRequest:
    return WebhookRequest(
        method="POST",
        path=path,
        query=parse_qsl(raw_query, keep_blank_values=True),
        raw_query=raw_query,
        headers={"content-type": FORM, **(headers or {})},
        body=body,
        received_at=at,
    )


def signed(
    path: str,
    body: bytes,
    raw_query: str = "",
    token: str = TOKEN,
    account: str = "desk-phone",
    at: datetime = RECEIVED,
) -> WebhookRequest:
    """The request with the signature Twilio's library puts on it.

    Raises ValueError when the body is not a form.
    """
    url = f"{PUBLIC}/webhooks/{account}{path}" + (f"?{raw_query}" if raw_query else "")
    signature = RequestValidator(token).compute_signature(url, fields(pairs(body)))
    return request(path, body, raw_query, {"x-twilio-signature": signature}, at)


def tell(path: str, body: bytes, *lines: str, query: str = CARRIED) -> Parsed:
    """What one request becomes, through the same two calls as at the door."""
    everyone, account = accounts(*lines), first(*lines)
    inbound, asked = TwilioInbound(), signed(path, body, query)
    inbound.verify(asked, account)
    return inbound.parse(asked, account, everyone)


def answer(parsed: Parsed) -> ElementTree.Element:
    assert parsed.answer.status == 200
    assert parsed.answer.content_type.startswith("text/xml")
    return ElementTree.fromstring(parsed.answer.body)


def verbs(parsed: Parsed) -> list[str]:
    return [verb.tag for verb in answer(parsed)]


def fold(messages: Iterable[MessageReceived]) -> tuple[MessageReceived | None, list[str]]:
    """What the router does with them: first makes, better replaces, an edit adds, repeats drop."""
    seen, stands, added = set(), None, []
    for message in messages:
        if message.id in seen:
            continue
        seen.add(message.id)
        if message.kind == "edit":
            added.append(message.text)
        elif stands is None or better(stands.kind, message.kind):
            stands = message
    return stands, added
