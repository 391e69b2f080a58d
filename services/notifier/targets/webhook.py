"""Standard Webhooks 1.0, the sending side: signed, bounded, without redirects.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import msgspec

from services.notifier.answers import Answer, TargetError
from services.notifier.models import Delivery
from shared.channels.providers.standard_webhooks import sign_all
from shared.guarded_http import UNCALLABLE

TIMEOUT: Final = 15.0  # seconds
LARGEST_BODY: Final = 20_000  # bytes
LARGEST_ANSWER: Final = 16 * 1024
_ANSWER_SECONDS: Final = 1.0  # for what follows the status, which nobody needs
_YEAR: Final = 366 * 86_400.0
_ENCODER: Final = msgspec.json.Encoder()


class Webhook:
    """Posts each delivery to its URL. `timeout`: seconds it may take in all."""

    def __init__(
        self, http: httpx.AsyncClient, now: Callable[[], datetime], timeout: float = TIMEOUT
    ) -> None:
        self._http = http
        self._now = now
        self._timeout = timeout

    async def send(self, delivery: Delivery) -> Answer:
        """Raises TargetError for every answer but 2xx, and for none."""
        body = body_of(delivery.payload)
        if len(body) > LARGEST_BODY:
            reason = f"the event takes {len(body)} bytes, and a webhook {LARGEST_BODY}"
            raise TargetError("rejected", reason)
        answer = await self._post(delivery, body)
        if not 200 <= answer.status < 300:
            raise _failure(answer)
        return answer

    async def _post(self, delivery: Delivery, body: bytes) -> Answer:
        headers = signed(delivery, body, self._now())
        until = asyncio.get_running_loop().time() + self._timeout
        try:
            request = self._http.build_request(
                "POST", delivery.url or delivery.address, content=body, headers=headers
            )
            async with asyncio.timeout_at(until):
                given = await self._http.send(request, stream=True)
        except UNCALLABLE as error:
            raise TargetError("forbidden", str(error)) from error
        except TimeoutError as error:
            reason = f"no answer within {self._timeout:g} s"
            raise TargetError("timeout", reason, again=True) from error
        except httpx.HTTPError as error:
            raise TargetError(
                "connection", f"{type(error).__name__}: {error}", again=True
            ) from error
        try:
            pause = retry_after(given.headers.get("retry-after", ""), self._now())
            return Answer(given.status_code, await _start_of(given, until), retry_after=pause)
        finally:
            await given.aclose()


def body_of(payload: Mapping[str, Any]) -> bytes:
    """The same bytes at every try, whatever order the database gives the members."""
    return _ENCODER.encode({name: payload[name] for name in ("type", "timestamp", "data")})


def signed(delivery: Delivery, body: bytes, now: datetime) -> dict[str, str]:
    """The headers. The id stays the same over retries and replays, the timestamp does not."""
    assert delivery.secrets, "a target is given its secret with its first delivery"
    id, timestamp = f"msg_{delivery.id.hex}", int(now.timestamp())
    return {
        "content-type": "application/json",
        "accept-encoding": "identity",  # the answer is read as it comes: nothing to unpack
        "user-agent": "Regie",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign_all(delivery.secrets, id, timestamp, body),
    }


def retry_after(given: str, now: datetime) -> float | None:
    """Seconds, from either form of the header (RFC 9110 section 10.2.3), at most a year; None for
    neither."""
    if given.isascii() and given.isdigit():
        return min(float(given), _YEAR)
    try:
        at = parsedate_to_datetime(given)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), _YEAR)


async def _start_of(response: httpx.Response, until: float) -> str:
    """The first 16 kB, or as much as comes soon: the status has said what matters."""
    read = bytearray()
    soon = asyncio.get_running_loop().time() + _ANSWER_SECONDS
    try:
        async with asyncio.timeout_at(min(soon, until)):
            async for part in response.aiter_raw():
                read += part
                if len(read) >= LARGEST_ANSWER:
                    break
    except (httpx.HTTPError, TimeoutError):
        pass
    return bytes(read[:LARGEST_ANSWER]).decode("utf-8", "replace").replace("\0", "")


def _failure(answer: Answer) -> TargetError:
    if answer.status == 410:
        return TargetError("gone", "the target answered 410 Gone: it wants nothing more", answer)
    hint = "; redirects are not followed" if 300 <= answer.status < 400 else ""
    return TargetError(
        f"http_{answer.status}", f"HTTP {answer.status}{hint}", answer,
        again=True, retry_after=answer.retry_after,
    )  # fmt: skip
