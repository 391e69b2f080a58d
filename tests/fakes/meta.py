"""Meta's send API for WhatsApp, as strict as the real one about what it is given.

An ASGI application: hand `FakeMeta().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TYPES = frozenset(
    {"text", "template", "image", "video", "audio", "document", "sticker", "location", "contacts",
     "interactive", "reaction"}
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """One request that reached the fake, refused or not."""

    path: str
    headers: Mapping[str, str]
    body: Any


class Refusal(Exception):
    def __init__(self, status: int, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.content = _error(code, message, details)


@dataclass
class FakeMeta:
    """One phone number at Meta.

    templates  (name, language) of those approved; None approves all
    accepted   the bodies that were taken, in order; `requests` holds the refused ones as well
    """

    token: str = "EAAB-access"
    phone_number_id: str = "106540352242922"
    templates: frozenset[tuple[str, str]] | None = None
    requests: list[Sent] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answers: deque[Response] = deque()
        self.app = Starlette(
            routes=[Route("/{version}/{number}/messages", self._messages, methods=["POST"])]
        )

    def answer_error(
        self, code: int, *, status: int = 400, details: str = "", retry_after: str = ""
    ) -> None:
        """The next request is refused with this error of Meta's."""
        headers = {"retry-after": retry_after} if retry_after else None
        content = _error(code, f"(#{code}) refused on request", details)
        self._answers.append(JSONResponse(content, status, headers))

    def answer_with(self, status: int, body: bytes = b"", content_type: str = "text/html") -> None:
        """The next request gets this answer, whatever it asks."""
        self._answers.append(Response(body, status, media_type=content_type))

    async def _messages(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self.requests.append(Sent(request.url.path, dict(request.headers), body))
        if self._answers:
            return self._answers.popleft()
        try:
            self._check(request, body)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return JSONResponse(self._accept(body))

    def _check(self, request: Request, body: Any) -> None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, 190, "Invalid OAuth access token - Cannot parse access token")
        if not re.fullmatch(r"v\d+\.\d", request.path_params["version"]):
            raise Refusal(400, 2500, "Unknown path components")
        if request.path_params["number"] != self.phone_number_id:
            raise Refusal(400, 100, "Unsupported post request. Object does not exist")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise Refusal(400, 100, "(#100) The parameter messaging_product is required.")
        if not isinstance(body, dict):
            raise Refusal(400, 100, "(#100) Invalid parameter")
        _check_body(body)
        if body["type"] == "template":
            self._check_template(body["template"])

    def _check_template(self, template: Any) -> None:
        if not isinstance(template, dict) or not template.get("name"):
            raise Refusal(400, 100, "(#100) The parameter template['name'] is required.")
        language = template.get("language")
        if not isinstance(language, dict) or not language.get("code"):
            raise Refusal(400, 100, "(#100) The parameter template['language'] is required.")
        for component in template.get("components", []):
            for parameter in component["parameters"]:
                if not (parameter.get("type") == "text" and parameter.get("text")):
                    raise Refusal(400, 131008, "(#131008) Required parameter is missing")
                if re.search(r"[\n\t]| {5}", parameter["text"]):
                    details = "Param text cannot have new-line/tab characters or 5 spaces in a row"
                    raise Refusal(400, 100, "(#100) Invalid parameter", details)
        known = (template["name"], language["code"])
        if self.templates is not None and known not in self.templates:
            raise Refusal(404, 132001, "(#132001) Template name does not exist in the translation")

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        self.accepted.append(body)
        contact = {"input": body.get("to") or body.get("recipient")}
        contact["wa_id" if "to" in body else "user_id"] = contact["input"]
        return {
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": f"wamid.FAKE{len(self.accepted):06d}"}],
        }


def _check_body(body: dict[str, Any]) -> None:
    if body.get("messaging_product") != "whatsapp":
        raise Refusal(400, 100, "(#100) The parameter messaging_product is required.")
    if body.get("recipient_type", "individual") not in ("individual", "group"):
        raise Refusal(400, 100, "(#100) Param recipient_type must be one of {individual, group}")
    _check_recipient(body)
    if not isinstance(body.get("biz_opaque_callback_data", ""), str) or (
        len(body.get("biz_opaque_callback_data", "")) > 512
    ):
        raise Refusal(400, 100, "(#100) Param biz_opaque_callback_data is too long")
    type = body.setdefault("type", "text")
    if type not in TYPES:
        raise Refusal(400, 100, f"(#100) Param type must be one of {sorted(TYPES)} - got {type!r}")
    if not isinstance(body.get(type), dict):
        raise Refusal(400, 131008, f"(#131008) Required parameter is missing: {type}")
    if type == "text":
        _check_text(body["text"].get("body"))
    if "context" in body and not str(body["context"].get("message_id", "")).startswith("wamid."):
        raise Refusal(400, 131009, "(#131009) Parameter value is not valid: context.message_id")


def _check_recipient(body: dict[str, Any]) -> None:
    to, recipient = body.get("to"), body.get("recipient")
    if to is None and recipient is None:
        raise Refusal(400, 100, "(#100) The parameter to is required.")
    if to is not None and not re.fullmatch(r"\+?[0-9]{5,15}", str(to)):
        raise Refusal(400, 131009, "(#131009) Parameter value is not valid: to")
    if to is None and not re.fullmatch(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}", str(recipient)):
        raise Refusal(400, 131009, "(#131009) Parameter value is not valid: recipient")


def _check_text(body: Any) -> None:
    if not isinstance(body, str) or not body:
        raise Refusal(400, 100, "(#100) The parameter text['body'] is required.")
    if len(body) > 4096:
        details = "Param text['body'] must be at most 4096 characters long."
        raise Refusal(400, 100, "(#100) Invalid parameter", details)


def _error(code: int, message: str, details: str = "") -> dict[str, Any]:
    error: dict[str, Any] = {
        "message": message,
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "AbCdEfGhIjKlMnOp",
    }
    if details:
        error["error_data"] = {"messaging_product": "whatsapp", "details": details}
    return {"error": error}
