"""Telnyx's Messages API and what its portal shows, as strict as the real ones, idempotency and all.

An ASGI application: hand `FakeTelnyx().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

# The parameters of "Send a message"; `text` and `from` have their own checks.
FIELDS = frozenset(
    {"to", "from", "text", "subject", "media_urls", "type", "messaging_profile_id", "webhook_url",
     "webhook_failover_url", "use_profile_webhooks", "auto_detect", "encoding", "send_at"}
)  # fmt: skip
NUMBER = re.compile(r"\+[1-9]\d{6,14}")


@dataclass
class FakeTelnyx(Answering):
    """One account at Telnyx.

    stopped  numbers that answered STOP
    numbers, texml, call_control, profiles  as their resources have them, the last three by id
    """

    api_key: str = "KEY0123"
    stopped: frozenset[str] = frozenset()
    numbers: Sequence[dict[str, Any]] = ()
    texml: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    call_control: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    profiles: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    _first: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/v2/messages", self._messages, methods=["POST"]),
                Route("/v2/phone_numbers", self._numbers),
                Route("/v2/texml_applications/{id}", self._texml),
                Route("/v2/call_control_applications/{id}", self._call_control),
                Route("/v2/messaging_profiles/{id}", self._profile),
            ]
        )

    async def _numbers(self, request: Request) -> Response:
        wanted = request.query_params.get("filter[phone_number]")
        found = [each for each in self.numbers if wanted in (None, each["phone_number"])]
        return self._shown(request, found)

    async def _texml(self, request: Request) -> Response:
        return self._shown(request, self.texml.get(request.path_params["id"]))

    async def _call_control(self, request: Request) -> Response:
        return self._shown(request, self.call_control.get(request.path_params["id"]))

    async def _profile(self, request: Request) -> Response:
        return self._shown(request, self.profiles.get(request.path_params["id"]))

    def _shown(self, request: Request, data: Any) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return JSONResponse(_error("10009", "Authentication failed", "No key."), 401)
        if data is None:
            return JSONResponse(_error("10005", "Resource not found", "Not here."), 404)
        return JSONResponse({"data": data})

    def refuse(self, code: str, status: int = 400, retry_after: str = "") -> None:
        """The next request is refused with this error of Telnyx's."""
        headers = {"retry-after": retry_after} if retry_after else None
        self.answer(status, _error(code, "Refused", "Because of this."), headers)

    async def _messages(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._check(request, body)
            return JSONResponse(self._accept(request.headers["idempotency-key"], body))
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)

    def _accept(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        if key in self._first:
            before, answer = self._first[key]
            if before != body:
                raise _refusal(422, "10043", "Idempotency key reused with another request")
            return answer
        self.accepted.append(body)
        to = [{"phone_number": body["to"], "status": "queued", "carrier": "", "line_type": ""}]
        data = {"id": str(UUID(int=len(self.accepted))), "record_type": "message",
                "direction": "outbound", "to": to, "errors": []}  # fmt: skip
        self._first[key] = body, {"data": data}
        return {"data": data}

    def _check(self, request: Request, body: Any) -> None:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise _refusal(401, "10009", "Authentication failed")
        if not re.fullmatch(r"[A-Za-z0-9_:-]{1,255}", request.headers.get("idempotency-key", "")):
            raise _refusal(400, "10015", "Bad Request", "/headers/Idempotency-Key")
        if not isinstance(body, dict) or body.keys() - FIELDS:
            raise _refusal(400, "10015", "Bad Request")
        if not NUMBER.fullmatch(str(body.get("to"))):
            raise _refusal(400, "40310", "Invalid 'to' address", "/to")
        self._check_sender(str(body.get("from", "")), body)
        if body["to"] in self.stopped:
            raise _refusal(409, "40300", "Blocked due to STOP message")
        _check_content(body)

    def _check_sender(self, sender: str, body: dict[str, Any]) -> None:
        if NUMBER.fullmatch(sender) or re.fullmatch(r"\d{5,6}", sender):
            return
        if not re.fullmatch(r"[A-Za-z0-9 ]{1,11}", sender):
            raise _refusal(400, "40305", "Invalid 'from' address", "/from")
        if not body.get("messaging_profile_id"):
            raise _refusal(400, "40306", "Alpha sender not configured", "/messaging_profile_id")


def _check_content(body: dict[str, Any]) -> None:
    text, urls = body.get("text", ""), body.get("media_urls", [])
    if not (isinstance(text, str) and isinstance(urls, list)) or not (text or urls):
        raise _refusal(400, "40316", "No content provided", "/text")
    if len(urls) > 10 or not all(str(url).startswith("http") for url in urls):
        raise _refusal(400, "40317", "Invalid MMS content", "/media_urls")
    # Ten parts, by a count of its own: 153 letters of plain English each, else 67.
    if not urls and len(text) > (1530 if text.isascii() else 670):
        raise _refusal(400, "40302", "Message too large", "/text")


def _refusal(status: int, code: str, title: str, pointer: str = "") -> Refusal:
    return Refusal(status, _error(code, title, title, pointer))


def _error(code: str, title: str, detail: str, pointer: str = "") -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "title": title, "detail": detail}
    return {"errors": [error | ({"source": {"pointer": pointer}} if pointer else {})]}
