"""Meta's Send API for Messenger and Instagram, as strict as the real one about what it is given.

An ASGI application: hand `FakeDirect().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

FIELDS = frozenset({"recipient", "messaging_type", "tag", "message", "notification_type"})
MESSAGE = {
    "page": frozenset({"text", "attachment", "quick_replies", "metadata"}),
    "instagram": frozenset({"text", "attachment", "attachments", "quick_replies"}),
}
LARGEST = {"image": 8, "video": 25, "audio": 25, "file": 25}


@dataclass
class FakeDirect(Answering):
    """One page, and with `platform` instagram the profile linked to it.

    hours      since the customer wrote last
    granted    whether HUMAN_AGENT came through App Review
    uploads    (type, content type, bytes) of the files that were placed here, by their id
    """

    token: str = "EAAG-page"
    page_id: str = "114352288281000"
    platform: str = "page"
    customer: str = "6712345678901234"
    hours: float = 1
    granted: bool = True
    subscribed: bool = True
    me: dict[str, Any] = field(default_factory=dict)
    uploads: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/{version}/{node}/messages", self._messages, methods=["POST"]),
                Route("/{version}/{node}/message_attachments", self._attach, methods=["POST"]),
                Route("/{version}/{node}/subscribed_apps", self._subscribed),
                Route("/{version}/{node}", self._node),
            ]
        )

    def refuse(
        self,
        code: int,
        subcode: int = 0,
        status: int = 400,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """The next request is refused with this error of Meta's."""
        self.answer(status, _error(code, "Because of this.", subcode), headers)

    async def _messages(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._admit(request)
            self._check(body)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append(body)
        mid = f"m_FAKE{len(self.accepted):06d}"
        return JSONResponse({"recipient_id": self.customer, "message_id": mid})

    async def _attach(self, request: Request) -> Response:
        form = await request.form()
        if (answer := self.note(request, dict(form))) is not None:
            return answer
        upload = form.get("filedata")
        try:
            self._admit(request)
            if not isinstance(upload, UploadFile) or not upload.filename:
                raise _refusal(400, 100, "(#100) filedata is required")
            message = json.loads(str(form.get("message", "null")))
            type = message["attachment"]["type"]
            content = await upload.read()
            if (form.get("platform") == "instagram") != (self.platform == "instagram"):
                raise _refusal(400, 100, "(#100) Param platform is wrong")
            if type not in LARGEST or len(content) > LARGEST[type] * 1024 * 1024:
                raise _refusal(400, 100, "(#100) Attachment size exceeds allowable limit", 2018109)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        id = f"17{len(self.uploads):05d}"
        self.uploads[id] = (type, str(upload.content_type), content)
        return JSONResponse({"attachment_id": id})

    async def _node(self, request: Request) -> Response:
        try:
            self._admit(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return JSONResponse({"id": self.page_id, "name": "The shop", **self.me})

    async def _subscribed(self, request: Request) -> Response:
        app = {"id": "555000111", "subscribed_fields": ["messages"]}
        return JSONResponse({"data": [app] if self.subscribed else []})

    def _admit(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise _refusal(401, 190, "Invalid OAuth access token.", 463)
        if not re.fullmatch(r"v\d+\.\d", request.path_params["version"]):
            raise _refusal(400, 2500, "Unknown path components")
        if request.path_params["node"] not in ("me", self.page_id):
            raise _refusal(400, 100, "Unsupported post request. Object does not exist", 33)

    def _check(self, body: Any) -> None:
        if not isinstance(body, dict) or set(body) - FIELDS:
            raise _refusal(400, 100, "(#100) Invalid keys were found in param")
        if body.get("recipient") != {"id": self.customer}:
            raise _refusal(400, 100, "(#100) No matching user found", 2018001)
        self._check_window(body)
        message = body.get("message")
        if not isinstance(message, dict) or set(message) - MESSAGE[self.platform]:
            raise _refusal(400, 100, "(#100) Invalid keys were found in param message")
        if ("text" in message) == ("attachment" in message):
            raise _refusal(400, 100, "(#100) Message cannot be empty, must provide one", 2018034)
        if len(str(message.get("metadata", ""))) > 1000:
            raise _refusal(400, 100, "(#100) metadata is too long")
        if "text" in message:
            self._check_text(message["text"])
        else:
            self._check_attachment(message["attachment"])

    def _check_window(self, body: dict[str, Any]) -> None:
        closed = 2534022 if self.platform == "instagram" else 2018278
        kind, tag = body.get("messaging_type"), body.get("tag")
        if (kind, tag) == ("MESSAGE_TAG", "HUMAN_AGENT"):
            if not self.granted:
                raise _refusal(400, 100, "(#100) Tag HUMAN_AGENT is not approved", 2018276)
            if self.hours >= 7 * 24:
                raise _refusal(403, 10, "(#10) sent outside of allowed window.", closed)
        elif kind != "RESPONSE" or tag is not None:
            raise _refusal(400, 100, "(#100) Param messaging_type is wrong")
        elif self.hours >= 24:
            raise _refusal(403, 10, "(#10) sent outside of allowed window.", closed)

    def _check_text(self, text: Any) -> None:
        if not isinstance(text, str) or not text:
            raise _refusal(400, 100, "(#100) param message[text] must be a string")
        if self.platform == "page" and len(text) > 2000:
            raise _refusal(400, 100, "(#100) Length of param message[text] must be <= 2000")
        if self.platform == "instagram" and len(text.encode()) > 1000:
            raise _refusal(400, 100, "(#100) Length of param message[text] must be <= 1000 bytes")

    def _check_attachment(self, attachment: Any) -> None:
        id = attachment.get("payload", {}).get("attachment_id")
        if id not in self.uploads or self.uploads[id][0] != attachment.get("type"):
            raise _refusal(400, 100, "(#100) Upload attachment failure.", 2018047)


def _refusal(status: int, code: int, message: str, subcode: int = 0) -> Refusal:
    return Refusal(status, _error(code, message, subcode))


def _error(code: int, message: str, subcode: int = 0) -> dict[str, Any]:
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    return {"error": error | ({"error_subcode": subcode} if subcode else {})}
