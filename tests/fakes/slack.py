"""Slack's incoming webhooks, as strict as the real ones: what they refuse, and in which words.

slack = FakeSlack()
endpoint.always("/services/T0/B0/x", slack)
slack.answers.append(status(429, b"rate_limited", retry_after="30"))
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.endpoint import Behaviour, Request, status

_TOP = {"text", "blocks", "unfurl_links", "unfurl_media"}
_BARE = re.compile(r"&(?!amp;|lt;|gt;)|[<>]")


@dataclass
class FakeSlack:
    """`messages` are those it took; `answers` go out first, whatever is asked."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Behaviour] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.answers:
            await self.answers.pop(0)(request, writer)
            return
        wrong = _wrong_with(request)
        if not wrong:
            self.messages.append(request.json())
        await status(400 if wrong else 200, (wrong or "ok").encode())(request, writer)


def _wrong_with(request: Request) -> str:
    if not request.headers.get("content-type", "").startswith("application/json"):
        return "invalid_payload"
    try:
        message = request.json()
    except json.JSONDecodeError:
        return "invalid_payload"
    if set(message) - _TOP or not (message.get("text") or message.get("blocks")):
        return "no_text"
    blocks = message.get("blocks", [])
    if len(blocks) > 50 or not all(map(_is_block, blocks)) or _BARE.search(message["text"]):
        return "invalid_blocks"
    return ""


def _is_block(block: dict[str, Any]) -> bool:
    """Bare `<` would mention or link, so a message of ours has none."""
    words = block["text"]
    match block["type"]:
        case "header":
            return words["type"] == "plain_text" and 1 <= len(words["text"]) <= 150
        case "section":
            right = words["type"] == "mrkdwn" and 1 <= len(words["text"]) <= 3000
            return right and not _BARE.search(words["text"])
    return False
