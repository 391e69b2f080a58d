"""Microsoft Teams, by a workflow that takes a card ("When a Teams webhook request is received").

202 says that the workflow was started, not that the card is in the channel; it knows no repeat.
Source: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.notifier.answers import Answer
from services.notifier.models import Delivery
from services.notifier.targets.people import accepted
from services.notifier.targets.posting import Post
from services.notifier.wording import Words
from shared import notices

_ADVICE: Final[Mapping[str, str]] = {
    "WorkflowNotFound": "the workflow was deleted: make a new one",
    "WorkflowTriggerIsNotEnabled": "the workflow is switched off: switch it on",
    "DirectApiAuthorizationRequired": "copy the workflow's whole address, with its `sig`",
}


class Teams:
    def __init__(self, post: Post, words: Words) -> None:
        self._post = post
        self._words = words

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        request = notices.teams(self._words.of(delivery))
        return accepted(await self._post(delivery.address, request), delivery.address, _ADVICE)
