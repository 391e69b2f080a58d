"""One GET to a provider's API, for `regie doctor`: bounded, and whatever happens is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from shared.channels.wire import load
from shared.errors import Unreadable

_BOUND: Final = 4.0  # seconds


class Asked(NamedTuple):
    """status    of the answer; 0 where there was none, and `reason` says why
    document  its JSON; None where it is none
    """

    status: int
    document: Any = None
    text: str = ""
    reason: str = ""


async def ask(http: httpx.AsyncClient, url: str, headers: Mapping[Any, Any]) -> Asked:
    """Raises nothing; bounds its own time (4 s)."""
    try:
        async with asyncio.timeout(_BOUND):
            response = await http.get(url, headers=dict(headers))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return Asked(0, reason=f"no answer from the provider ({type(error).__name__})")
    try:
        document = load(response.content)
    except Unreadable:
        document = None
    return Asked(response.status_code, document, response.text)
