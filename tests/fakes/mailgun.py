"""Mailgun's API for mails as they are written, as strict as the real one; its routes and domains.

An ASGI application: hand `FakeMailgun().app` to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

ADDRESS = re.compile(r"[^\s@<>,]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
FIELD = re.compile(r"to|message|o:[a-z-]+|v:[A-Za-z0-9_-]+|h:[A-Za-z-]+|t:[a-z-]+")


@dataclass
class FakeMailgun(Answering):
    """One account at Mailgun, in one region."""

    api_key: str = "key-0123456789"
    domains: dict[str, str] = field(default_factory=lambda: {"mg.example.org": "active"})
    routes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/v3/{domain}/messages.mime", self._messages, methods=["POST"]),
                Route("/v3/routes", self._routes),
                Route("/v4/domains/{domain}", self._domain),
            ]
        )

    async def _messages(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0]
        form = await request.form() if kind == "multipart/form-data" else None
        if (answer := self.note(request, form)) is not None:
            return answer
        if not self._known(request):
            return PlainTextResponse("Forbidden", 401)
        try:
            accepted = await self._checked(form, request.path_params["domain"])
        except Refusal as refusal:
            return JSONResponse(refusal.content, refusal.status)
        self.accepted.append(accepted)
        id = BytesParser(policy=default).parsebytes(accepted["message"])["Message-ID"]
        return JSONResponse({"id": str(id), "message": "Queued. Thank you."})

    async def _checked(self, form: Any, domain: str) -> dict[str, Any]:
        if domain not in self.domains:
            raise _refusal(404, f"Domain not found: {domain}")
        if form is None or any(not FIELD.fullmatch(name) for name in form):
            raise _refusal(400, "unknown parameter")
        if not all(ADDRESS.fullmatch(each.strip()) for each in str(form.get("to")).split(",")):
            raise _refusal(400, "to parameter is not a valid address. please check documentation")
        message = form.get("message")
        if not isinstance(message, UploadFile):
            raise _refusal(400, "Need a MIME message in the message parameter as a file")
        mail = await message.read()
        if len(mail) > 25 * 1024 * 1024:
            raise _refusal(413, "Request Entity Too Large")
        if not mail.lower().startswith(b"content-type:") and b"\r\nFrom: " not in mail:
            raise _refusal(400, "from parameter is missing")
        return {**{name: str(value) for name, value in form.items()}, "message": mail}

    async def _routes(self, request: Request) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        if not self._known(request):
            return PlainTextResponse("Forbidden", 401)
        actions = [f'forward("{address}")' for address in self.routes]
        return JSONResponse({"total_count": 1, "items": [{"actions": [*actions, "stop()"]}]})

    async def _domain(self, request: Request) -> Response:
        if not self._known(request):
            return PlainTextResponse("Forbidden", 401)
        name = request.path_params["domain"]
        if name not in self.domains:
            return JSONResponse({"message": "Domain not found"}, 404)
        domain = {"name": name, "state": self.domains[name], "is_disabled": False}
        return JSONResponse({"domain": domain, "sending_dns_records": []})

    def _known(self, request: Request) -> bool:
        expected = base64.b64encode(f"api:{self.api_key}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {expected}"


def _refusal(status: int, message: str) -> Refusal:
    return Refusal(status, {"message": message})
