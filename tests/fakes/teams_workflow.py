"""A Power Automate workflow that posts a card, as strict as the trigger and the card's schema."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.endpoint import Behaviour, Request, status

_LARGEST = 28_000
_ELEMENTS = {"TextBlock", "RichTextBlock"}
_CARD = "application/vnd.microsoft.card.adaptive"


@dataclass
class FakeWorkflow:
    """`cards` are those it took; `answers` go out first, whatever is asked."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Behaviour] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.answers:
            await self.answers.pop(0)(request, writer)
            return
        if len(request.body) > _LARGEST:
            await status(413, b'{"error":{"code":"RequestEntityTooLarge"}}')(request, writer)
            return
        try:
            self.cards.append(_card_in(json.loads(request.body)))
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            body = json.dumps(
                {"error": {"code": "TriggerInputSchemaMismatch", "message": str(error)}}
            )
            await status(400, body.encode())(request, writer)
            return
        await status(202)(request, writer)

    def lines(self, number: int = -1) -> list[str]:
        """What stands on a card, line by line."""
        blocks = self.cards[number]["body"]
        return ["".join(run["text"] for run in block["inlines"]) for block in blocks]


def _card_in(message: Any) -> dict[str, Any]:
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == _CARD
    assert attachment["contentUrl"] is None
    card: dict[str, Any] = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    assert tuple(map(int, card["version"].split("."))) <= (1, 4)
    assert {element["type"] for element in card["body"]} <= _ELEMENTS
    for action in card.get("actions", []):
        assert action["type"] == "Action.OpenUrl"
        assert action["url"].startswith(("https://", "http://"))
    return card
