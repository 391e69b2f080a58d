"""Vonage's Messages API and what its dashboard shows, as strict as the real ones.

An ASGI application: hand `FakeVonage().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

COMMON = frozenset(
    {"message_type", "to", "from", "channel", "client_ref", "webhook_url", "webhook_version"}
)
FILES = frozenset({"image", "audio", "video", "vcard", "file"})
SENDER = re.compile(r"[1-9]\d{6,14}|\d{4,6}|[A-Za-z0-9 ]{1,11}")


@dataclass
class FakeVonage(Answering):
    """One account at Vonage, and one application of it where `public_key` (PEM) is given.

    numbers, applications  as their resources have them, applications by id
    """

    api_key: str = "abcd1234"
    api_secret: str = "Secret-of-vonage"
    application_id: str = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
    public_key: str = ""
    at: int = 0
    balance: float = 12.5
    numbers: Sequence[dict[str, Any]] = ()
    applications: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/account/get-balance", self._balance),
                Route("/account/numbers", self._numbers),
                Route("/v2/applications/{id}", self._application),
                Route("/v1/calls", self._calls),
            ]
        )

    async def _balance(self, request: Request) -> Response:
        return self._shown(request, "Basic", {"value": self.balance, "autoReload": False})

    async def _numbers(self, request: Request) -> Response:
        """Those that contain the pattern, as `search_pattern=1` asks; none: no list at all."""
        assert request.query_params["search_pattern"] == "1"
        pattern = request.query_params["pattern"]
        found = [each for each in self.numbers if pattern in each["msisdn"]]
        return self._shown(
            request, "Basic", {"count": len(found), "numbers": found} if found else {}
        )

    async def _application(self, request: Request) -> Response:
        found = self.applications.get(request.path_params["id"])
        return self._shown(request, "Basic", found)

    async def _calls(self, request: Request) -> Response:
        """The Voice API knows applications only, by their tokens."""
        return self._shown(request, "Bearer", {"count": 0, "_embedded": {"calls": []}})

    def _shown(self, request: Request, scheme: str, document: Any) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        try:
            self._check_credentials(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        if not request.headers["authorization"].startswith(scheme):
            return JSONResponse(_error("unauthorized", "Unauthorized", "Other credentials."), 401)
        if document is None:
            return JSONResponse(_error("not-found", "Not Found", "No such application."), 404)
        return JSONResponse(document)

    def refuse(self, code: str, status: int = 422, retry_after: str = "") -> None:
        """The next request is refused with this error of Vonage's."""
        headers = {"retry-after": retry_after} if retry_after else None
        self.answer(status, _error(code, "Refused", "Because of this."), headers)

    async def _messages(self, request: Request) -> Response:
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._check_credentials(request)
            _check(body)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append(body)
        return JSONResponse({"message_uuid": str(UUID(int=len(self.accepted)))}, 202)

    def _check_credentials(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            expected = base64.b64encode(f"{self.api_key}:{self.api_secret}".encode()).decode()
            right = given == expected
        else:
            right = scheme == "Bearer" and self._is_ours(given)
        if not right:
            raise Refusal(401, _error("unauthorized", "Unauthorized", "Check your credentials."))

    def _is_ours(self, token: str) -> bool:
        try:
            claims = jwt.decode(
                token, self.public_key, ["RS256"],
                options={"verify_exp": False, "verify_iat": False},
            )  # fmt: skip
        except jwt.PyJWTError:
            return False
        return bool(
            claims["application_id"] == self.application_id
            and claims["jti"]
            and claims["iat"] <= self.at < claims["exp"] <= claims["iat"] + 24 * 3600
        )


def _check(body: Any) -> None:
    if not isinstance(body, dict):
        raise _invalid("body")
    type, channel = body.get("message_type"), body.get("channel")
    allowed = {"sms": {"text"}, "mms": FILES}.get(str(channel))
    if allowed is None:
        raise _invalid("channel")
    if type not in allowed:
        raise _invalid("message_type")
    if unknown := body.keys() - COMMON - {type} - ({"sms"} if channel == "sms" else set()):
        raise _invalid(*sorted(unknown))
    _check_parties(body)
    content = body.get(type)
    if type == "text" and not (isinstance(content, str) and 0 < len(content) <= 1000):
        raise _invalid("text")
    if type != "text" and not str((content or {}).get("url", "")).startswith("http"):
        raise _invalid(f"{type}.url")
    if body.get("sms", {}).get("encoding_type", "auto") not in ("text", "unicode", "auto"):
        raise _invalid("sms.encoding_type")


def _check_parties(body: dict[str, Any]) -> None:
    if not re.fullmatch(r"[1-9]\d{6,14}", str(body.get("to"))):
        raise _invalid("to")
    if not SENDER.fullmatch(str(body.get("from"))):
        raise _invalid("from")
    if len(str(body.get("client_ref", ""))) > 100:
        raise _invalid("client_ref")


def _invalid(*names: str) -> Refusal:
    content = _error("1020", "Invalid params", "Invalid.")
    wrong = [{"name": name, "reason": "is not valid"} for name in names]
    return Refusal(422, content | {"invalid_parameters": wrong})


def _error(code: str, title: str, detail: str) -> dict[str, Any]:
    return {
        "type": f"https://developer.vonage.com/api-errors/messages#{code}",
        "title": title,
        "detail": detail,
        "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
    }
