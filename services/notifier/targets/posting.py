"""One POST through the guarded client: bounded, without redirects, and what is read of the answer.

What an address names beyond its host may be a secret (whoever has a hook's may write there), so no
reason given here names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from services.notifier.answers import Answer, TargetError
from shared.guard import Forbidden
from shared.guarded_http import UNCALLABLE
from shared.notices import Request

TIMEOUT: Final = 15.0  # seconds
LARGEST_ANSWER: Final = 16 * 1024
_ANSWER_SECONDS: Final = 1.0  # for what follows the status, which has said what matters
_YEAR: Final = 366 * 86_400.0
# The answer is read as it comes: nothing is unpacked.
_HEADERS: Final = {"accept-encoding": "identity", "user-agent": "Regie"}


class Post:
    """`timeout`: seconds that a call may take in all."""

    def __init__(
        self, http: httpx.AsyncClient, now: Callable[[], datetime], timeout: float = TIMEOUT
    ) -> None:
        self._http = http
        self._now = now
        self._timeout = timeout

    async def __call__(self, address: str, request: Request) -> Answer:
        """Whatever status it has. Raises TargetError where there is none."""
        until = asyncio.get_running_loop().time() + self._timeout
        given = await self._begin(address, request, until)
        try:
            pause = retry_after(given.headers.get("retry-after", ""), self._now())
            return Answer(given.status_code, await _start_of(given, until), retry_after=pause)
        finally:
            await given.aclose()

    async def _begin(self, address: str, request: Request, until: float) -> httpx.Response:
        headers = _HEADERS | dict(request.headers)
        try:
            made = self._http.build_request("POST", address, content=request.body, headers=headers)
            async with asyncio.timeout_at(until):
                return await self._http.send(made, stream=True)
        except UNCALLABLE as error:
            raise TargetError("forbidden", _why(error)) from error
        except TimeoutError as error:
            reason = f"no answer within {self._timeout:g} s"
            raise TargetError("timeout", reason, again=True) from error
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"  # which shows no path of the address
            raise TargetError("connection", reason, again=True) from error


def retry_after(given: str, now: datetime) -> float | None:
    """Seconds, from either form of the header (RFC 9110 section 10.2.3), at most a year; None for
    neither."""
    if given.isascii() and given.isdigit():
        return min(float(given), _YEAR)
    try:
        at = parsedate_to_datetime(given)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return min(max((at - now).total_seconds(), 0.0), _YEAR)
    except (ValueError, OverflowError):
        return None


def _why(error: Exception) -> str:
    """The guard's reason, which names host and port alone; of a broken URL nothing."""
    if isinstance(error.__cause__, Forbidden):
        return str(error)
    return "this address cannot be called: correct it"


async def _start_of(response: httpx.Response, until: float) -> str:
    """The first 16 kB, or as much as comes soon."""
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
