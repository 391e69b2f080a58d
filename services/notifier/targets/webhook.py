"""Standard Webhooks 1.0, the sending side: signed, bounded, without redirects.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx
import msgspec

from services.notifier.answers import Answer, TargetError
from services.notifier.models import Delivery
from services.notifier.targets.posting import TIMEOUT, Post
from shared.channels.providers.standard_webhooks import sign_all
from shared.notices import Request

LARGEST_BODY: Final = 20_000  # bytes
_ENCODER: Final = msgspec.json.Encoder()


class Webhook:
    """Posts each delivery to its URL. `timeout`: seconds it may take in all."""

    def __init__(
        self, http: httpx.AsyncClient, now: Callable[[], datetime], timeout: float = TIMEOUT
    ) -> None:
        self._now = now
        self._post = Post(http, now, timeout)

    async def send(self, delivery: Delivery) -> Answer:
        """Raises TargetError for every answer but 2xx, and for none."""
        body = body_of(delivery.payload)
        if len(body) > LARGEST_BODY:
            reason = f"the event takes {len(body)} bytes, and a webhook {LARGEST_BODY}"
            raise TargetError("rejected", reason)
        request = Request(body, signed(delivery, body, self._now()))
        answer = await self._post(delivery.url or delivery.address, request)
        if not 200 <= answer.status < 300:
            raise _failure(answer)
        return answer


def body_of(payload: Mapping[str, Any]) -> bytes:
    """The same bytes at every try, whatever order the database gives the members."""
    return _ENCODER.encode({name: payload[name] for name in ("type", "timestamp", "data")})


def signed(delivery: Delivery, body: bytes, now: datetime) -> dict[str, str]:
    """The headers. The id stays the same over retries and replays, the timestamp does not."""
    assert delivery.secrets, "a target is given its secret with its first delivery"
    id, timestamp = f"msg_{delivery.id.hex}", int(now.timestamp())
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign_all(delivery.secrets, id, timestamp, body),
    }


def _failure(answer: Answer) -> TargetError:
    if answer.status == 410:
        return TargetError("gone", "the target answered 410 Gone: it wants nothing more", answer)
    hint = "; redirects are not followed" if 300 <= answer.status < 400 else ""
    return TargetError(
        f"http_{answer.status}", f"HTTP {answer.status}{hint}", answer,
        again=True, retry_after=answer.retry_after,
    )  # fmt: skip
