"""Postmark's API, as strict as the real one about what it is given.

Hand `FakePostmark().app` to `httpx.ASGITransport`, or serve it on loopback and name it as an
account's `api_base`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

# The fields of "Send a single email".
FIELDS = frozenset(
    {"From", "To", "Cc", "Bcc", "Subject", "Tag", "HtmlBody", "TextBody", "ReplyTo", "Metadata",
     "Headers", "TrackOpens", "TrackLinks", "Attachments", "MessageStream"}
)  # fmt: skip
ADDRESS = re.compile(r"[!-~]+@[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
FORBIDDEN = (".exe", ".bat", ".vbs", ".msi", ".com", ".scr", ".reg")
LARGEST = 10_000_000


@dataclass
class FakePostmark(Answering):
    """One server at Postmark. `inactive` are addresses it no longer sends to."""

    token: str = "server-token"
    senders: frozenset[str] = frozenset({"support@example.org"})
    streams: frozenset[str] = frozenset({"outbound", "support"})
    inactive: frozenset[str] = frozenset()
    hook: str = ""

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/email", self._email, methods=["POST"]),
                Route("/server", self._server),
            ]
        )

    def refuse(self, code: int, status: int = 422, message: str = "Because of this.") -> None:
        """The next request is refused with this error of Postmark's."""
        self.answer(status, {"ErrorCode": code, "Message": message})

    async def _email(self, request: Request) -> Response:
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
        id = f"0a129aee-e1cd-480d-b08d-{len(self.accepted):012}"
        return JSONResponse({"To": body["To"], "SubmittedAt": "2026-10-01T12:00:00.5Z",
                             "MessageID": id, "ErrorCode": 0, "Message": "OK"})  # fmt: skip

    async def _server(self, request: Request) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        try:
            self._authorize(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return JSONResponse({"ID": 1, "Name": "Support", "InboundHookUrl": self.hook,
                             "InboundAddress": "451d9b70cf@inbound.postmarkapp.com",
                             "RawEmailEnabled": True, "DeliveryType": "Live"})  # fmt: skip

    def _authorize(self, request: Request) -> None:
        if "application/json" not in request.headers.get("accept", ""):
            raise _refusal(409, "The 'Accept' header must be application/json.")
        if request.headers.get("x-postmark-server-token") != self.token:
            raise _refusal(10, "Request does not contain a valid Server token.", 401)

    def _check(self, request: Request, raw: bytes, body: Any) -> None:
        if len(raw) > LARGEST:
            raise _refusal(413, "Payload Too Large", 413)
        if not isinstance(body, dict) or body.keys() - FIELDS:
            raise _refusal(403, "Incompatible JSON.")
        name, sender = parseaddr(body.get("From", ""))
        if not ADDRESS.fullmatch(sender) or len(body["From"]) > 255 or "=?" in name:
            raise _refusal(300, f"Invalid 'From' address: '{body.get('From')}'.")
        if sender not in self.senders:
            raise _refusal(400, "The 'From' address is not a Sender Signature on your account.")
        if not ADDRESS.fullmatch(str(body.get("To"))):
            raise _refusal(300, f"Invalid 'To' address: '{body.get('To')}'.")
        if body["To"] in self.inactive:
            raise _refusal(406, "You tried to send to recipient(s) marked as inactive.")
        if body.get("MessageStream", "outbound") not in self.streams:
            raise _refusal(1235, "The stream provided does not exist on this server.")
        _check_content(body)


def _check_content(body: dict[str, Any]) -> None:
    if not (body.get("TextBody") or body.get("HtmlBody")):
        raise _refusal(300, "Provide either email TextBody or HtmlBody or both.")
    if len(body.get("Subject", "")) > 2000:
        raise _refusal(300, "The 'Subject' may not exceed 2000 characters.")
    metadata = body.get("Metadata") or {}
    if len(metadata) > 10 or not all(
        isinstance(v, str) and len(k) <= 20 and len(v) <= 80 for k, v in metadata.items()
    ):
        raise _refusal(300, "Metadata has 10 fields, names of 20 and values of 80 characters.")
    for header in body.get("Headers") or ():
        if header.keys() != {"Name", "Value"} or not str(header["Value"]).isascii():
            raise _refusal(300, "Invalid 'Headers'.")
    for file in body.get("Attachments") or ():
        _check_file(file)


def _check_file(file: dict[str, Any]) -> None:
    if file.keys() - {"Name", "Content", "ContentType", "ContentID"} or not file.get("Name"):
        raise _refusal(300, "Invalid 'Attachments'.")
    if file["Name"].lower().endswith(FORBIDDEN):
        raise _refusal(411, f"Forbidden attachment type: {file['Name']}")
    try:
        base64.b64decode(file["Content"], validate=True)
    except (KeyError, binascii.Error):
        raise _refusal(300, "The attachment content is no base64.") from None


def _refusal(code: int, message: str, status: int = 422) -> Refusal:
    return Refusal(status, {"ErrorCode": code, "Message": message})
