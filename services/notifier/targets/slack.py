"""Slack, by an incoming webhook. It knows no repeat for one: after a doubt a notice may come twice.

Source: docs.slack.dev, "Sending messages using incoming webhooks", "Handling errors".
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
    "channel_is_archived": "its channel was archived: make a webhook for another",
    "channel_not_found": "its channel is gone: make a webhook for another",
    "no_service": "the webhook was removed or switched off: make a new one",
    "no_active_hooks": "the webhook was removed or switched off: make a new one",
    "invalid_token": "the webhook's address is wrong or was withdrawn: copy it again",
    "action_prohibited": "the workspace's administrators do not allow it: ask them",
    "posting_to_general_channel_denied": "it may not write to #general: choose another channel",
}


class Slack:
    def __init__(self, post: Post, words: Words) -> None:
        self._post = post
        self._words = words

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        request = notices.slack(self._words.of(delivery))
        return accepted(await self._post(delivery.address, request), delivery.address, _ADVICE)
