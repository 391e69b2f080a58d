"""Microsoft's login and the Bot Connector, as strict as the real ones about what they are given."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

KNOWN = {"type", "text", "textFormat", "attachments"}


@dataclass
class FakeTeams(Answering):
    """One bot in one tenant. `conversations` are those it is in."""

    app_id: str = "app-1"
    secret: str = "secret"
    tenant: str = "tenant-1"
    conversations: set[str] = field(default_factory=lambda: {"a:known"})

    def __post_init__(self) -> None:
        self.tokens: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
                Route("/v3/conversations", self._open, methods=["POST"]),
                Route("/v3/conversations/{id}/activities", self._activity, methods=["POST"]),
                Route("/v3/attachments/{id}/views/original", self._file),
            ]
        )

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        right = {
            "grant_type": "client_credentials", "client_id": self.app_id,
            "client_secret": self.secret, "scope": "https://api.botframework.com/.default",
        }  # fmt: skip
        if dict(form) != right or request.path_params["tenant"] != self.tenant:
            error = {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid secret",
            }
            return JSONResponse(error, 401)
        self.tokens.append(f"token-{len(self.tokens)}")
        answer = {"token_type": "Bearer", "expires_in": 3599, "access_token": self.tokens[-1]}
        return JSONResponse(answer)

    async def _open(self, request: Request) -> Response:
        body = json.loads(await request.body())
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._authorised(request)
            if body["bot"] != {"id": f"28:{self.app_id}"} or len(body["members"]) != 1:
                raise _bad("BadSyntax", "bot or members")
            if body["channelData"] != {"tenant": {"id": self.tenant}}:
                raise _bad("BadSyntax", "tenant")
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        id = f"a:with-{body['members'][0]['id']}"
        self.conversations.add(id)
        return JSONResponse({"id": id}, 201)

    async def _activity(self, request: Request) -> Response:
        body = json.loads(await request.body())
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            self._authorised(request)
            self._check(body, request.path_params["id"])
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append(body)
        return JSONResponse({"id": str(1000 + len(self.accepted))}, 201)

    def _check(self, body: Any, conversation: str) -> None:
        if conversation not in self.conversations:
            raise Refusal(403, _error("BotNotInConversationRoster", "The bot is not part of it."))
        if body.get("type") != "message" or set(body) - KNOWN:
            raise _bad("BadSyntax", "unknown fields")
        if len(json.dumps(body).encode("utf-16")) > 100_000:
            raise Refusal(413, _error("MessageSizeTooBig", "Message size too large."))
        for each in body.get("attachments", []):
            if not each["contentUrl"].startswith("https://"):
                raise _bad("BadArgument", "contentUrl")

    async def _file(self, request: Request) -> Response:
        try:
            self._authorised(request)
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        return Response(b"\x89PNG picture", media_type="image/png")

    def _authorised(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not self.tokens or given != f"Bearer {self.tokens[-1]}":
            raise Refusal(401, _error("Unauthorized", "Authorization has been denied."))


def _error(code: str, words: str) -> Any:
    return {"error": {"code": code, "message": words}}


def _bad(code: str, words: str) -> Refusal:
    return Refusal(400, _error(code, words))
