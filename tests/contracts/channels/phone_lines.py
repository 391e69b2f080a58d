"""Lines of each provider, and requests signed as it signs them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OctKey

from shared.accounts import Account, Accounts
from shared.channels import Inbound, Parsed, WebhookRequest
from shared.channels.phone import CtiInbound, TelnyxInbound, VonageInbound, carried
from shared.channels.providers import standard_webhooks
from tests.contracts.channels.behaviour import load, named

RECEIVED = datetime(2026, 3, 2, 9, 1, 0, tzinfo=UTC)
STARTED = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)
SIGNATURE_SECRET = "a-signature-secret-of-at-least-32-characters"
ELSEWHERE = "another-signature-secret-of-32-characters-or-more"
CTI_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_FOLDER = Path(__file__).parent / "phone"
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = base64.b64encode(_KEY.public_key().public_bytes_raw()).decode()
VOICE = {"dial": ["+31880000010"], "timeout": "20s", "voicemail": True}

Headers = Callable[[bytes, datetime], dict[str, str]]


def vonage_headers(body: bytes, at: datetime, secret: str = SIGNATURE_SECRET) -> dict[str, str]:
    """A token as Vonage makes it, by a library for JWTs."""
    claims = {
        "iat": int(at.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "a1b2c3d4",
        "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    }
    token = jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(secret))
    return {"authorization": f"Bearer {token}", "content-type": JSON}


def telnyx_headers(body: bytes, at: datetime) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signature = _KEY.sign(timestamp.encode() + b"|" + body)
    kind = JSON if body.lstrip().startswith(b"{") else FORM
    return {
        "telnyx-timestamp": timestamp,
        "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
        "content-type": kind,
    }


def cti_headers(body: bytes, at: datetime) -> dict[str, str]:
    timestamp = int(at.timestamp())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_webhooks.sign(CTI_SECRET, "msg_1", timestamp, body),
        "content-type": JSON if body.lstrip().startswith(b"{") else FORM,
    }


@dataclass(frozen=True)
class Line:
    """One provider's line: its adapter, its account, and how it signs and names a call."""

    provider: str
    inbound: Inbound
    fields: Mapping[str, Any]
    headers: Headers
    id: Callable[[bytes], str]
    seals: Sequence[str] = ()

    def accounts(self, voice: Mapping[str, Any] | None = None, **more: Any) -> Accounts:
        account = {
            "channel": "phone",
            "provider": self.provider,
            "number": "+31880000000",
            "public_url": "https://regie.example.org",
            "voice": VOICE if voice is None else voice,
            **self.fields,
        }
        every = {"desk-phone": account, **more}
        return _loaded(json.dumps({"accounts": every}))

    def account(self, voice: Mapping[str, Any] | None = None) -> Account:
        return named(self.accounts(voice), "desk-phone")

    def request(
        self, path: str, body: bytes, query: str = "", at: datetime = RECEIVED
    ) -> WebhookRequest:
        return WebhookRequest(
            method="POST",
            path=path,
            query=parse_qsl(query, keep_blank_values=True),
            raw_query=query,
            headers=self.headers(body, at),
            body=body,
            received_at=at,
        )

    def tell(
        self,
        path: str,
        body: bytes,
        voice: Mapping[str, Any] | None = None,
        query: str = "",
        others: Mapping[str, Any] | None = None,
    ) -> Parsed:
        """What one request becomes, through the same two calls as at the door."""
        asked = self.request(path, body, query)
        everyone = self.accounts(voice, **(others or {}))
        self.inbound.verify(asked, named(everyone, "desk-phone"))
        return self.inbound.parse(asked, named(everyone, "desk-phone"), everyone)

    def carrying(self, body: bytes, **more: str) -> str:
        """The query of an address that Regie gave out for this call."""
        values = {"at": str(int(STARTED.timestamp())), "from": "+31612345678"}
        values |= {"to": "+31880000000", **more}
        return carried.written(values, self.id(body), self.seals)

    def wire(self, name: str) -> bytes:
        return _wire(self.provider, name)


def changed(line: Line, name: str, /, **by: Any) -> bytes:
    """A body from the table with some of its fields changed."""
    body = line.wire(name)
    if body.startswith(b"{"):
        return json.dumps({**json.loads(body), **by}).encode()
    return urlencode({**dict(parse_qsl(body.decode(), keep_blank_values=True)), **by}).encode()


_loaded = cache(load)


@cache
def _wire(provider: str, name: str) -> bytes:
    folder = _FOLDER / provider
    if (file := folder / f"{name}.txt").exists():
        return file.read_bytes().rstrip()
    table = "call_control" if provider == "telnyx" else "bodies"
    found = json.loads((folder / f"{table}.json").read_text())[name]
    if "form" in found:
        return urlencode([tuple(pair) for pair in found["form"]]).encode()
    return json.dumps(found.get("json", found)).encode()


def calls(line: Line) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((_FOLDER / line.provider / "calls.json").read_text())
    return found


def _sid(body: bytes) -> str:
    return dict(parse_qsl(body.decode())).get("CallSid", "")


VONAGE = Line(
    "vonage",
    VonageInbound(),
    {"signature_secret": [ELSEWHERE, SIGNATURE_SECRET]},
    vonage_headers,
    lambda body: str(json.loads(body)["conversation_uuid"]),
    (ELSEWHERE,),
)
TELNYX = Line("telnyx", TelnyxInbound(), {"public_key": PUBLIC_KEY}, telnyx_headers, _sid)
CTI = Line("cti", CtiInbound(), {"secret": CTI_SECRET}, cti_headers, lambda body: "")
LINES = (VONAGE, TELNYX, CTI)
