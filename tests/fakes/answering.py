"""What the strict fakes of send APIs have in common: what reached them, and a set answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


@dataclass(frozen=True)
class Sent:
    """One request that reached a fake, refused or not."""

    path: str
    headers: Mapping[str, str]
    body: Any


class Refusal(Exception):
    """What the real API would say no to, in its own form."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(str(content))
        self.status = status
        self.content = content


@dataclass
class Answering:
    """accepted  the bodies that were taken, in order; `requests` holds the refused ones as well"""

    requests: list[Sent] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    _answers: deque[Response] = field(default_factory=deque)

    def answer(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        """The next request gets this, whatever it asks: JSON, or bytes as they are."""
        given = dict(headers or {})
        if isinstance(content, bytes):
            self._answers.append(Response(content, status, given, "text/html"))
        else:
            self._answers.append(JSONResponse(content, status, given))

    def note(self, request: Request, body: Any) -> Response | None:
        """Remembers a request; the answer that was set for it, where one was."""
        self.requests.append(Sent(request.url.path, dict(request.headers), body))
        return self._answers.popleft() if self._answers else None
