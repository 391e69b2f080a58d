"""One GET to a provider's API, for `regie doctor`: bounded, and whatever happens is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from shared.channels import Finding
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


def refused(answer: Asked, what: str, provider: str) -> Finding:
    """What an answer other than 200 means.

    what  the account's field, or the thing at the provider, that was asked with or for
    """
    if not answer.status:
        advice = f"{answer.reason}: look at api_base, the network and {provider}'s status page"
        return Finding("reachable", False, advice, "reach")
    if answer.status in (401, 403):
        advice = (
            f"{provider} refuses it (HTTP {answer.status}): compare it with what {provider} has"
        )
        return Finding(what, False, advice)
    if answer.status == 404:
        return Finding(what, False, f"{provider} knows no such thing: compare the account's ids")
    advice = f"{provider} answered HTTP {answer.status}: try again later"
    return Finding(what, False, advice, "reach")
