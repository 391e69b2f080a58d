"""Twilio's Messages resource, as strict as the real one about what it is given.

An ASGI application: hand `FakeTwilio().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

FIELDS = frozenset(
    {"To", "From", "MessagingServiceSid", "Body", "MediaUrl", "ContentSid", "ContentVariables",
     "StatusCallback"}
)  # fmt: skip
ADDRESS = re.compile(r"(whatsapp:)?\+[1-9]\d{6,14}|whatsapp:[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
SENDER = re.compile(r"(whatsapp:)?\+[1-9]\d{6,14}|\d{3,8}|[A-Za-z0-9 ]{1,11}")


@dataclass
class FakeTwilio(Answering):
    """One account at Twilio.

    stopped    numbers that answered STOP
    open       WhatsApp users inside their window; None: all of them
    templates  the ContentSids there are; None: any
    """

    account_sid: str = "AC00000000000000000000000000000001"
    auth_token: str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    stopped: frozenset[str] = frozenset()
    open: frozenset[str] | None = None
    templates: frozenset[str] | None = None

    def __post_init__(self) -> None:
        path = "/2010-04-01/Accounts/{sid}/Messages.json"
        self.app = Starlette(routes=[Route(path, self._messages, methods=["POST"])])

    def refuse(self, code: int | str, status: int = 400, retry_after: str = "") -> None:
        """The next request is refused with this error of Twilio's."""
        headers = {"retry-after": retry_after} if retry_after else None
        self.answer(status, _error(status, int(code), "Refused on request"), headers)

    async def _messages(self, request: Request) -> Response:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
        body: dict[str, Any] = {}
        for name, value in pairs:
            body.setdefault(name, []).append(value)
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._check(request, body)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append({k: v if k == "MediaUrl" else v[0] for k, v in body.items()})
        sid = f"SM{len(self.accepted):032x}"
        content = {"sid": sid, "status": "queued", "error_code": None, "error_message": None}
        return JSONResponse(content, 201)

    def _check(self, request: Request, body: dict[str, list[str]]) -> None:
        self._check_credentials(request)
        if not request.headers["content-type"].startswith("application/x-www-form-urlencoded"):
            raise _refusal(415, 20415, "Unsupported Media Type")
        if unknown := body.keys() - FIELDS:
            raise AssertionError(f"Twilio has no parameter {unknown}")
        to = _one(body, "To")
        if not ADDRESS.fullmatch(to):
            raise _refusal(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        sender, service = _one(body, "From"), _one(body, "MessagingServiceSid")
        if not (sender or service):
            raise _refusal(400, 21603, "A 'From' phone number is required.")
        if sender and not SENDER.fullmatch(sender):
            raise _refusal(400, 21212, f"The 'From' number {sender} is not a valid phone number.")
        if sender and to.startswith("whatsapp:") != sender.startswith("whatsapp:"):
            raise _refusal(400, 63007, "Twilio could not find a Channel with the specified From")
        if to in self.stopped:
            raise _refusal(400, 21610, "Attempt to send to unsubscribed recipient")
        self._check_content(to, body)
        if not _one(body, "StatusCallback").startswith(("http://", "https://")):
            raise _refusal(400, 21609, "The 'StatusCallback' URL is not a valid URL.")

    def _check_credentials(self, request: Request) -> None:
        expected = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            raise _refusal(401, 20003, "Authenticate")
        if request.path_params["sid"] != self.account_sid:
            raise _refusal(404, 20404, "The requested resource was not found")

    def _check_content(self, to: str, body: dict[str, list[str]]) -> None:
        text, media, template = (
            _one(body, "Body"),
            body.get("MediaUrl", []),
            _one(body, "ContentSid"),
        )
        if template:
            self._check_template(template, _one(body, "ContentVariables"))
            return
        if not (text or media):
            raise _refusal(400, 21602, "Message body is required.")
        if len(text) > 1600:
            raise _refusal(400, 21617, "The concatenated message body exceeds the 1600 limit.")
        if len(media) > (1 if to.startswith("whatsapp:") else 10):
            raise _refusal(400, 21623, "Number of media files exceeds allowed limit.")
        if self.open is not None and to.startswith("whatsapp:") and to not in self.open:
            raise _refusal(400, 63016, "Outside the allowed window")

    def _check_template(self, template: str, variables: str) -> None:
        if self.templates is not None and template not in self.templates:
            raise _refusal(404, 21655, f"The ContentSid {template} is invalid")
        try:
            given = json.loads(variables or "{}")
        except ValueError:
            given = None
        if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
            raise _refusal(400, 21656, "The ContentVariables Parameter is invalid")
        if any(re.search(r"[\n\t]| {4}", value) for value in given.values()):
            raise _refusal(400, 63013, "Template parameters may not hold line breaks")


def _one(body: dict[str, list[str]], name: str) -> str:
    return body.get(name, [""])[0]


def _refusal(status: int, code: int, message: str) -> Refusal:
    return Refusal(status, _error(status, code, message))


def _error(status: int, code: int, message: str) -> dict[str, Any]:
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
