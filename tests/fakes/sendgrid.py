"""SendGrid's v3 API, as strict as the real one about what it is given.

Hand `FakeSendGrid().app` to `httpx.ASGITransport`, or serve it on loopback and name it as an
account's `api_base`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

# The parameters of "Mail Send".
FIELDS = frozenset(
    {"personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments",
     "template_id", "headers", "categories", "custom_args", "send_at", "batch_id", "asm",
     "ip_pool_name", "mail_settings", "tracking_settings"}
)  # fmt: skip
RESERVED = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "to", "from", "subject",
     "content-transfer-encoding", "reply-to", "cc", "bcc"}
)  # fmt: skip
ADDRESS = re.compile(r"[!-~]+@[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
LARGEST = 30_000_000


@dataclass
class FakeSendGrid(Answering):
    """One account at SendGrid. `senders` are its verified sender identities."""

    api_key: str = "SG.key"
    senders: frozenset[str] = frozenset({"support@example.org"})
    scopes: tuple[str, ...] = ("mail.send", "user.webhooks.parse.settings.read")
    parse_urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/v3/mail/send", self._send, methods=["POST"]),
                Route("/v3/scopes", self._scopes),
                Route("/v3/user/webhooks/parse/settings", self._settings),
            ]
        )

    async def _send(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._authorize(request)
            self._check(request, raw, body)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append(body)
        return Response(status_code=202, headers={"X-Message-Id": f"sg-{len(self.accepted)}"})

    async def _scopes(self, request: Request) -> Response:
        return self._told(request, {"scopes": list(self.scopes)})

    async def _settings(self, request: Request) -> Response:
        kept = [{"url": url, "hostname": "parse.example.org", "spam_check": False,
                 "send_raw": True} for url in self.parse_urls]  # fmt: skip
        return self._told(request, {"result": kept})

    def _told(self, request: Request, content: Any) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        try:
            self._authorize(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return JSONResponse(content)

    def _authorize(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise _refusal(401, "The provided authorization grant is invalid, expired, or revoked")

    def _check(self, request: Request, raw: bytes, body: Any) -> None:
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise _refusal(415, "Content-Type should be application/json.")
        if len(raw) > LARGEST:
            raise _refusal(413, "The message size must be less than 30MB")
        if not isinstance(body, dict) or body.keys() - FIELDS:
            raise _refusal(400, "Bad Request")
        _check_people(body)
        if body["from"]["email"] not in self.senders:
            words = "The from address does not match a verified Sender Identity."
            raise _refusal(403, words, "from")
        _check_content(body)
        _check_headers(body)


def _check_people(body: dict[str, Any]) -> None:
    for personalization in body.get("personalizations") or [{}]:
        for to in personalization.get("to") or [{}]:
            if not ADDRESS.fullmatch(str(to.get("email", ""))):
                words = "Does not contain a valid address."
                raise _refusal(400, words, "personalizations.0.to.0.email")
    for name in ("from", *(["reply_to"] if "reply_to" in body else [])):
        if not ADDRESS.fullmatch(str((body.get(name) or {}).get("email", ""))):
            raise _refusal(400, "Does not contain a valid address.", f"{name}.email")


def _check_content(body: dict[str, Any]) -> None:
    if not body.get("subject"):
        raise _refusal(400, "The subject is required.", "subject")
    for part in body.get("content") or [{}]:
        if not (part.get("value") and part.get("type") in ("text/plain", "text/html")):
            words = "The content value must be a string at least one character in length."
            raise _refusal(400, words, "content.0.value")
    for file in body.get("attachments") or ():
        if file.keys() - {"content", "type", "filename", "disposition", "content_id"}:
            raise _refusal(400, "Additional property is not allowed", "attachments")
        try:
            decoded = base64.b64decode(file["content"], validate=True)
        except (KeyError, binascii.Error):
            decoded = b""
        if not decoded:
            raise _refusal(400, "The attachment content must be base64 encoded.", "attachments")
        if not file.get("filename"):
            raise _refusal(400, "The filename is required.", "attachments.0.filename")


def _check_headers(body: dict[str, Any]) -> None:
    for name, value in (body.get("headers") or {}).items():
        if name.lower() in RESERVED or not (isinstance(value, str) and value.isascii()):
            raise _refusal(400, "The header is reserved or no ASCII text.", f"headers.{name}")
    arguments = body.get("custom_args") or {}
    if not all(isinstance(value, str) for value in arguments.values()):
        raise _refusal(400, "Each custom_args value must be a string.", "custom_args")
    if len(json.dumps(arguments)) > 10_000:
        raise _refusal(400, "The custom_args may not exceed 10000 bytes.", "custom_args")


def _refusal(status: int, message: str, field: str | None = None) -> Refusal:
    return Refusal(status, {"errors": [{"message": message, "field": field, "help": None}]})
