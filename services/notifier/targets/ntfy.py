"""ntfy, by a topic's address: a push message on whoever subscribed to it.

A name and password, or a token as password, stand in the address: `https://:tk_…@host/topic`.
Source: docs.ntfy.sh, "Publishing"; its errors have a code of their own (42901: too many requests).
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
    "unauthorized": "name and password in the address are wrong: correct them",
    "forbidden": "this topic may not be written to: put a name and password into the address",
}


class Ntfy:
    def __init__(self, post: Post, words: Words) -> None:
        self._post = post
        self._words = words

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        request = notices.ntfy(self._words.of(delivery))
        return accepted(await self._post(delivery.address, request), delivery.address, _ADVICE)
