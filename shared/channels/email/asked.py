"""A question to a provider's API for `regie doctor`: its answer, or what hindered it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.channels import Finding
from shared.channels.wire import load
from shared.errors import Unreadable

_BOUND: Final = 7.0  # seconds; two questions are within the 15 of an examination


async def ask(
    http: httpx.AsyncClient, address: str, headers: Mapping[bytes, bytes], secret: str
) -> Mapping[str, Any] | Finding:
    """The JSON object at `address`; a Finding that is not ok where there is none.

    secret  the field whose value is in `headers`
    """
    try:
        response = await http.get(address, headers=dict(headers), timeout=_BOUND)
        if response.status_code in (401, 403):
            return Finding(
                f"sign in with {secret}",
                ok=False,
                advice=f"the provider refused it (HTTP {response.status_code}): make a new one "
                f"with the right to send and to read its settings, and put it into {secret}",
            )
        document = load(response.content) if response.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, Unreadable) as error:
        return _silent(address, type(error).__name__)
    if not isinstance(document, dict):
        return _silent(address, f"HTTP {response.status_code}")
    return document


def posts_to(address: str, account: str) -> bool:
    """Whether a webhook's address is the one of our account."""
    path = address.partition("?")[0].rstrip("/")
    return path.endswith((f"/webhooks/{account}", f"/webhooks/{account}/mime"))


def _silent(address: str, what: str) -> Finding:
    return Finding(
        "reach the provider",
        ok=False,
        advice=f"{httpx.URL(address).host} gave no answer to read ({what}): look at api_base, the "
        "network and the provider's status page",
        about="reach",
    )
