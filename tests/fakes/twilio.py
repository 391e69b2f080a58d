"""Twilio's Messages resource and what its console shows, as strict as the real ones.

An ASGI application: hand `FakeTwilio().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    status     of the account
    numbers, short_codes, applications, services, senders  as their resources have them
    """

    account_sid: str = "AC00000000000000000000000000000001"
    auth_token: str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    stopped: frozenset[str] = frozenset()
    open: frozenset[str] | None = None
    templates: frozenset[str] | None = None
    status: str = "active"
    numbers: Sequence[dict[str, Any]] = ()
    short_codes: Sequence[dict[str, Any]] = ()
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    senders: Sequence[dict[str, Any]] = ()

    def __post_init__(self) -> None:
        account = "/2010-04-01/Accounts/{sid}"
        self.app = Starlette(
            routes=[
                Route(f"{account}/Messages.json", self._messages, methods=["POST"]),
                Route(f"{account}.json", self._account),
                Route(f"{account}/IncomingPhoneNumbers.json", self._numbers),
                Route(f"{account}/SMS/ShortCodes.json", self._short_codes),
                Route(f"{account}/Applications/{{id}}.json", self._application),
                Route("/v1/Services/{id}", self._service),
                Route("/v2/Channels/Senders", self._senders),
                Route("/v2/Channels/Senders/{id}", self._sender),
            ]
        )

    # --- what the console shows ----------------------------------------------------------------

    async def _account(self, request: Request) -> Response:
        return self._shown(request, {"sid": self.account_sid, "status": self.status})

    async def _numbers(self, request: Request) -> Response:
        """Those that contain what is looked for, as Twilio does."""
        part = request.query_params["PhoneNumber"]
        found = [each for each in self.numbers if part in each["phone_number"]]
        return self._shown(request, {"incoming_phone_numbers": found})

    async def _short_codes(self, request: Request) -> Response:
        part = request.query_params["ShortCode"]
        found = [each for each in self.short_codes if part in each["short_code"]]
        return self._shown(request, {"short_codes": found})

    async def _application(self, request: Request) -> Response:
        return self._shown(request, self.applications.get(request.path_params["id"]))

    async def _service(self, request: Request) -> Response:
        return self._shown(request, self.services.get(request.path_params["id"]))

    async def _senders(self, request: Request) -> Response:
        """Short, as Twilio lists them: without their webhooks."""
        assert request.query_params["Channel"] == "whatsapp", "Twilio needs the channel"
        listed = [{"sid": s["sid"], "sender_id": s["sender_id"]} for s in self.senders]
        return self._shown(request, {"senders": listed})

    async def _sender(self, request: Request) -> Response:
        id = request.path_params["id"]
        return self._shown(request, next((s for s in self.senders if s["sid"] == id), None))

    def _shown(self, request: Request, document: Any) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        try:
            self._check_credentials(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        if document is None:
            return JSONResponse(_error(404, 20404, "The requested resource was not found"), 404)
        return JSONResponse(document)

    # --- messages --------------------------------------------------------------------------------

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
        if request.path_params.get("sid", self.account_sid) != self.account_sid:
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
