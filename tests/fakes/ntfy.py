"""An ntfy server with one protected topic, as strict as the real one about headers and sizes."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from typing import Any

from tests.fakes.endpoint import Behaviour, Request, status

_LARGEST = 4096


@dataclass
class FakeNtfy:
    """`messages` are those it took, with headers as a phone shows them."""

    user: str = ""
    password: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Behaviour] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.answers:
            await self.answers.pop(0)(request, writer)
            return
        code, error = self._judge(request)
        if not error:
            self.messages.append(_shown(request))
        body = (
            {"id": "x", "event": "message"} if not error else {"code": code * 100, "error": error}
        )
        await status(code, json.dumps(body).encode())(request, writer)

    def _judge(self, request: Request) -> tuple[int, str]:
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and request.headers.get("authorization") != f"Basic {secret}":
            return 403, "forbidden"
        if request.headers.get("priority", "3") not in ("1", "2", "3", "4", "5"):
            return 400, "invalid request: priority invalid"
        if not all(value.isascii() for value in request.headers.values()):
            return 400, "invalid request: header is no ASCII"
        if len(request.body) > _LARGEST:  # it would become an attachment
            return 413, "attachment too large"
        return 200, ""


def _shown(request: Request) -> dict[str, Any]:
    shown = {name: _decoded(request.headers.get(name, "")) for name in ("title", "click", "tags")}
    return {
        **shown,
        "priority": int(request.headers.get("priority", "3")),
        "message": request.body.decode("utf-8"),
    }


def _decoded(header: str) -> str:
    words = header.split()
    assert all(len(word) <= 75 for word in words if word.startswith("=?")), "RFC 2047, section 2"
    return str(make_header(decode_header(header)))
