"""One POST of a notice to a person's service, bounded, with every answer named.

The address is a secret: whoever has it may write there. So nothing that is kept names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import httpx

from services.notifier.answers import Answer, TargetError
from services.notifier.targets.webhook import LARGEST_ANSWER, TIMEOUT, retry_after
from shared.guard import Forbidden
from shared.guarded_http import UNCALLABLE
from shared.notices import Request

_ANSWER_SECONDS: Final = 2.0
_LATER: Final = (408, 425, 429)  # of what is the sender's fault, what may still come right


class Post:
    """Over the guarded client. `timeout`: seconds until the answer begins."""

    def __init__(
        self, http: httpx.AsyncClient, now: Callable[[], datetime], timeout: float = TIMEOUT
    ) -> None:
        self._http = http
        self._now = now
        self._timeout = timeout

    async def __call__(
        self, address: str, request: Request, reasons: Mapping[str, str] | None = None
    ) -> Answer:
        """A 2xx. `reasons`: advice for a word in a refusal's body. Raises TargetError: `again`
        where the same request may be taken later."""
        given = await self._send(address, request)
        try:
            pause = retry_after(given.headers.get("retry-after", ""), self._now())
            answer = Answer(given.status_code, await _start_of(given), retry_after=pause)
        finally:
            await given.aclose()
        if not 200 <= answer.status < 300:
            raise refusal(answer, reasons or {})
        return answer

    async def _send(self, address: str, request: Request) -> httpx.Response:
        headers = {"accept-encoding": "identity", "user-agent": "Regie", **request.headers}
        try:
            made = self._http.build_request("POST", address, content=request.body, headers=headers)
            async with asyncio.timeout(self._timeout):
                return await self._http.send(made, stream=True)
        except UNCALLABLE as error:
            raise TargetError("forbidden", _why(error)) from error
        except TimeoutError as error:
            reason = f"no answer within {self._timeout:g} s"
            raise TargetError("timeout", reason, again=True) from error
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"  # which shows no path of the address
            raise TargetError("connection", reason, again=True) from error


def refusal(answer: Answer, reasons: Mapping[str, str]) -> TargetError:
    """Permanent but for the server's own faults, and for 408, 425 and 429."""
    said = answer.body.strip()[:200]
    advice = next((advice for word, advice in reasons.items() if word in said), "")
    hint = "redirects are not followed" if 300 <= answer.status < 400 else advice
    return TargetError(
        f"http_{answer.status}",
        "; ".join(part for part in (f"HTTP {answer.status} {said}".rstrip(), hint) if part),
        answer,
        again=answer.status >= 500 or answer.status in _LATER,
        retry_after=answer.retry_after,
    )


def _why(error: Exception) -> str:
    """The guard's reason, which names host and port alone; of a broken URL nothing."""
    if isinstance(error.__cause__, Forbidden):
        return str(error)
    return "this address cannot be called: correct it in the policy's `notify`"


async def _start_of(response: httpx.Response) -> str:
    """The first 16 kB, or as much as comes soon: the status has said what matters."""
    read = bytearray()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            async for part in response.aiter_raw():
                read += part
                if len(read) >= LARGEST_ANSWER:
                    break
    except (httpx.HTTPError, TimeoutError):
        pass
    return bytes(read[:LARGEST_ANSWER]).decode("utf-8", "replace").replace("\0", "")
