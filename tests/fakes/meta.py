"""Meta's Cloud API for WhatsApp, as strict as the real one about what it is given: messages,
uploads, the files customers sent, and what it tells of a number.

An ASGI application: hand `FakeMeta().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TYPES = frozenset(
    {"text", "template", "image", "video", "audio", "document", "sticker", "location", "contacts",
     "interactive", "reaction"}
)  # fmt: skip
FIELDS = frozenset(
    {"messaging_product", "recipient_type", "to", "recipient", "type", "context", "preview_url",
     "biz_opaque_callback_data", *TYPES}
)  # fmt: skip
_OFFICE = "application/vnd.openxmlformats-officedocument"
UPLOADS = {
    **dict.fromkeys(("image/jpeg", "image/png"), 5),
    **dict.fromkeys(("audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "video/mp4"), 16),
    **dict.fromkeys(("audio/ogg; codecs=opus", "video/3gpp"), 16),
    **dict.fromkeys(
        ("text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel",
         "application/vnd.ms-powerpoint", f"{_OFFICE}.wordprocessingml.document",
         f"{_OFFICE}.spreadsheetml.sheet", f"{_OFFICE}.presentationml.presentation"), 100),
}  # fmt: skip


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
    uploads    (content type, bytes) of files that were placed here, by their id
    files      (content type, bytes) of files that customers sent, by their id
    digests    what is told of a file's digest, where that is not its own
    number     what is told of the phone number; `subscribed`: whether an app gets webhooks
    """

    token: str = "EAAB-access"
    phone_number_id: str = "106540352242922"
    templates: frozenset[tuple[str, str]] | None = None
    requests: list[Sent] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    uploads: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    number: dict[str, Any] = field(default_factory=lambda: {"status": "CONNECTED"})
    subscribed: bool = True
    address: str = "http://meta.test"

    def __post_init__(self) -> None:
        self._answers: deque[Response] = deque()
        self.app = Starlette(
            routes=[
                Route("/bytes/{id}", self._bytes),
                Route("/{version}/{number}/messages", self._messages, methods=["POST"]),
                Route("/{version}/{number}/media", self._upload, methods=["POST"]),
                Route("/{version}/{account}/subscribed_apps", self._subscribed),
                Route("/{version}/{node}", self._node),
            ]
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

    async def _upload(self, request: Request) -> Response:
        form = await request.form()
        self.requests.append(Sent(request.url.path, dict(request.headers), dict(form)))
        if self._answers:
            return self._answers.popleft()
        try:
            self._admit(request)
            type, content = _uploaded(form)
            upload = form["file"]
            read = await upload.read() if isinstance(upload, UploadFile) else b""
            if len(read) > UPLOADS[type] * 1024 * 1024:
                raise Refusal(400, 100, "(#100) Param file must be smaller")
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        id = f"9{len(self.uploads):05d}"
        self.uploads[id] = (content, read)
        return JSONResponse({"id": id})

    async def _node(self, request: Request) -> Response:
        node = request.path_params["node"]
        try:
            self._known(request)
            if node == self.phone_number_id:
                return JSONResponse({"id": node, **self.number})
            if node not in self.files:
                raise Refusal(400, 100, "Unsupported get request. Object does not exist")
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        type, content = self.files[node]
        digest = self.digests.get(node, hashlib.sha256(content).hexdigest())
        return JSONResponse(
            {"messaging_product": "whatsapp", "id": node, "url": f"{self.address}/bytes/{node}",
             "mime_type": type, "sha256": digest, "file_size": len(content)}
        )  # fmt: skip

    async def _bytes(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Response(b"no", 401)
        return Response(self.files[request.path_params["id"]][1])

    async def _subscribed(self, request: Request) -> Response:
        try:
            self._known(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        app = {"whatsapp_business_api_data": {"id": "1", "name": "Regie"}}
        return JSONResponse({"data": [app] if self.subscribed else []})

    def _known(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, 190, "Invalid OAuth access token - Cannot parse access token")
        if not re.fullmatch(r"v\d+\.\d", request.path_params["version"]):
            raise Refusal(400, 2500, "Unknown path components")

    def _admit(self, request: Request) -> None:
        self._known(request)
        if request.path_params["number"] != self.phone_number_id:
            raise Refusal(400, 100, "Unsupported post request. Object does not exist")

    def _check(self, request: Request, body: Any) -> None:
        self._admit(request)
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise Refusal(400, 100, "(#100) The parameter messaging_product is required.")
        if not isinstance(body, dict):
            raise Refusal(400, 100, "(#100) Invalid parameter")
        if unknown := set(body) - FIELDS:
            raise Refusal(400, 100, f"(#100) Unexpected key {sorted(unknown)[0]!r} on param")
        _check_body(body)
        self._check_media(body)
        if body["type"] == "template":
            self._check_template(body["template"])

    def _check_template(self, template: Any) -> None:
        if not isinstance(template, dict) or not template.get("name"):
            raise Refusal(400, 100, "(#100) The parameter template['name'] is required.")
        language = template.get("language")
        if not isinstance(language, dict) or not language.get("code"):
            raise Refusal(400, 100, "(#100) The parameter template['language'] is required.")
        for component in template.get("components", []):
            _check_component(component)
        known = (template["name"], language["code"])
        if self.templates is not None and known not in self.templates:
            raise Refusal(404, 132001, "(#132001) Template name does not exist in the translation")

    def _check_media(self, body: dict[str, Any]) -> None:
        media = body[body["type"]]
        if body["type"] not in ("image", "video", "audio", "document", "sticker"):
            return
        if ("id" in media) == ("link" in media):
            raise Refusal(400, 131008, "(#131008) exactly one of id and link is needed")
        if "id" in media and media["id"] not in self.uploads:
            raise Refusal(400, 131009, "(#131009) Media id does not exist")
        if "caption" in media and (body["type"] == "audio" or len(media["caption"]) > 1024):
            raise Refusal(400, 100, "(#100) Invalid parameter: caption")
        if "filename" in media and body["type"] != "document":
            raise Refusal(400, 100, "(#100) Unexpected key 'filename'")

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        self.accepted.append(body)
        contact = {"input": body.get("to") or body.get("recipient")}
        contact["wa_id" if "to" in body else "user_id"] = contact["input"]
        return {
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": f"wamid.FAKE{len(self.accepted):06d}"}],
        }


def _uploaded(form: FormData) -> tuple[str, str]:
    type = str(form.get("type", ""))
    if form.get("messaging_product") != "whatsapp":
        raise Refusal(400, 100, "(#100) The parameter messaging_product is required.")
    if type not in UPLOADS:
        raise Refusal(400, 100, f"(#100) Param file must be of another type than {type}")
    upload = form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename or upload.content_type != type:
        raise Refusal(400, 100, "(#100) The parameter file is required.")
    return type, type


def _check_component(component: dict[str, Any]) -> None:
    kind = component.get("type")
    if kind not in ("header", "body", "button"):
        raise Refusal(400, 100, "(#100) Param type must be one of {header, body, button}")
    if kind == "button" and not {"sub_type", "index"} <= component.keys():
        raise Refusal(400, 131008, "(#131008) Required parameter is missing")
    for parameter in component["parameters"]:
        type = parameter.get("type")
        if not (type and parameter.get(type)) or (type != "text" and kind != "header"):
            raise Refusal(400, 131008, "(#131008) Required parameter is missing")
        if type == "text" and re.search(r"[\n\t]| {5}", parameter["text"]):
            details = "Param text cannot have new-line/tab characters or 5 spaces in a row"
            raise Refusal(400, 100, "(#100) Invalid parameter", details)


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
