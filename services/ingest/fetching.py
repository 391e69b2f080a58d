"""What a webhook needs that is not in it: one GET to its provider, bounded, before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx
import structlog

from shared.errors import ProviderUnavailable
from shared.guard import Guard
from shared.guarded_http import guarded_client
from shared.named_targets import origins_of
from shared.runtime import Runtime
from shared.telemetry import describe

log = structlog.get_logger("ingest")

# A new one for each errand: they are hours apart, and the door has nothing to close at its end.
Client = Callable[[], httpx.AsyncClient]


def client_of(runtime: Runtime) -> Client:
    """The guarded client. What the channels file names (`api_base`) may be private."""
    origins = origins_of(runtime.accounts.api_bases())
    guard = Guard.of(runtime.settings.allow_private_targets, origins)
    return lambda: guarded_client(guard)


async def fetch(
    client: Client,
    url: str,
    *,
    most: int,
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> bytes | None:
    """The document at `url`; None where the provider says no for good (4xx, or a redirect, which is
    not followed), or it is larger than `most` bytes.

    Raises ProviderUnavailable for all that may be otherwise when its webhook comes again.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            client() as http,
            http.stream("GET", url, headers=dict(headers or {})) as response,
        ):
            if response.status_code == 200:
                return await _read(response, most)
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise ProviderUnavailable(f"{_host(url)} cannot be asked: {describe(error)}") from error
    if status in (408, 425, 429) or not 300 <= status < 500:
        raise ProviderUnavailable(f"{_host(url)} answered HTTP {status}")
    log.warning("a provider refused a document", host=_host(url), status=status)
    return None


async def _read(response: httpx.Response, most: int) -> bytes | None:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > most:
            log.warning("a provider's document is too large", host=response.url.host, most=most)
            return None
    return bytes(content)


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return "an impossible address"
