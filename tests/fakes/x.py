"""X's API for direct messages, as strict as the real one about what it is given."""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

USER_AUTHENTICATION = {"title": "Unauthorized", "status": 401, "detail": "Unauthorized"}
PICTURES = {"image/jpeg", "image/png", "image/webp", "image/gif"}


@dataclass
class FakeX(Answering):
    """One app with one user who authorised it, by OAuth 1.0a."""

    user_id: str = "4337869213"
    key: str = "key"
    secret: str = "new"
    token: str = "token"
    token_secret: str = "token-secret"

    def __post_init__(self) -> None:
        self.pictures: dict[str, bytes] = {}
        self.app = Starlette(
            routes=[
                Route("/2/dm_conversations/with/{who}/messages", self._message, methods=["POST"]),
                Route("/2/media/upload", self._upload, methods=["POST"]),
                Route("/2/users/me", self._me),
                Route("/i/ton/{path:path}", self._file),
            ]
        )

    async def _message(self, request: Request) -> Response:
        body = json.loads(await request.body())
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._authorised(request)
            self._check(body, request.path_params["who"])
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append(body)
        id = str(1000 + len(self.accepted))
        return JSONResponse({"data": {"dm_conversation_id": "1-2", "dm_event_id": id}}, 201)

    def _check(self, body: Any, who: str) -> None:
        if not re.fullmatch(r"[0-9]{1,19}", who):
            raise _invalid("participant_id is not a user id")
        if set(body) - {"text", "attachments"} or not body:
            raise _invalid("unknown or missing fields")
        if len(body.get("text", "x")) > 10_000 or body.get("text") == "":
            raise _invalid("text is empty or too long")
        for each in body.get("attachments", []):
            if each["media_id"] not in self.pictures:
                raise _invalid("no such media")
        if len(body.get("attachments", [])) > 1:
            raise _invalid("one attachment a message")

    async def _upload(self, request: Request) -> Response:
        form = await request.form()
        if (answer := self.note(request, dict(form))) is not None:
            return answer
        try:
            self._authorised(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        media = form["media"]
        if isinstance(media, str) or media.content_type not in PICTURES:
            return JSONResponse(_invalid("no picture").content, 400)
        if form.get("media_category") not in ("dm_image", "dm_gif"):
            return JSONResponse(_invalid("media_category").content, 400)
        id = str(5000 + len(self.pictures))
        self.pictures[id] = await media.read()
        return JSONResponse({"data": {"id": id, "media_key": f"3_{id}"}})

    async def _me(self, request: Request) -> Response:
        try:
            self._authorised(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return JSONResponse({"data": {"id": self.user_id, "name": "Parcels", "username": "p"}})

    async def _file(self, request: Request) -> Response:
        try:
            self._authorised(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return Response(b"\xff\xd8\xff picture", media_type="image/jpeg")

    def _authorised(self, request: Request) -> None:
        """OAuth 1.0a by its own reading of RFC 5849."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        given = {
            unquote(name): unquote(value.strip('"'))
            for name, _, value in (part.strip().partition("=") for part in rest.split(","))
        }
        signed = given.pop("oauth_signature", "")
        url = f"{request.url.scheme}://{request.url.netloc}{request.url.path}"
        pairs = sorted(
            (quote(name, safe="~"), quote(value, safe="~"))
            for name, value in (*given.items(), *request.query_params.multi_items())
        )
        normal = "&".join("=".join(pair) for pair in pairs)
        base = "&".join(quote(part, safe="~") for part in (request.method, url, normal))
        key = f"{quote(self.secret, safe='~')}&{quote(self.token_secret, safe='~')}"
        right = base64.b64encode(hmac.digest(key.encode(), base.encode(), "sha1")).decode()
        known = (given.get("oauth_consumer_key"), given.get("oauth_token"))
        if scheme != "OAuth" or known != (self.key, self.token) or signed != right:
            raise Refusal(401, USER_AUTHENTICATION)


def _invalid(why: str) -> Refusal:
    return Refusal(400, {"title": "Invalid Request", "status": 400, "detail": why})
