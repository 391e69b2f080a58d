"""One POST to a provider's send API, bounded, with every way it can go wrong named."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.errors import SendError

_BOUND: Final = 15.0  # seconds for the whole call
_TIMES: Final = httpx.Timeout(_BOUND, connect=5.0, pool=5.0)


async def post(
    http: httpx.AsyncClient,
    address: str,
    *,
    headers: Mapping[bytes, bytes],
    json: Any = None,
    form: Mapping[str, Any] | None = None,
    files: Mapping[str, tuple[str, bytes, str]] | None = None,
    content: bytes | None = None,
    repeatable: bool = False,
) -> httpx.Response:
    """The provider's answer, whatever its status.

    files       (name, bytes, content type) by field: with them `form` goes out as multipart
    content     the very bytes, for a provider that has them signed
    repeatable  the provider drops a repeat of this very request (an idempotency key is in it), so
                that a silence is no doubt: the same message may simply be sent again

    Raises SendError: `again` while nothing has left, `doubtful` once it may have been read.
    """
    try:
        async with asyncio.timeout(_BOUND):
            return await http.post(
                address,
                json=json,
                data=form,
                files=files,
                content=content,
                headers=dict(headers),
                timeout=_TIMES,
            )
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
        reason = f"{type(error).__name__}: no connection to {httpx.URL(address).host}"
        raise SendError("connection", reason, again=True) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise SendError("rejected", f"{address} cannot be called: {error}") from error
    except (httpx.HTTPError, TimeoutError) as error:
        reason = f"{type(error).__name__}: no answer after the message was sent"
        raise SendError("timeout", reason, again=repeatable, doubtful=not repeatable) from error


def basic(user: str, password: str) -> dict[bytes, bytes]:
    """The header of HTTP basic authentication."""
    return {b"authorization": b"Basic " + base64.b64encode(f"{user}:{password}".encode())}


def bearer(token: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {token}".encode()}


def retry_after(response: httpx.Response) -> float | None:
    """Seconds the provider asked us to wait; None where it named none, or named a date."""
    given = response.headers.get("retry-after", "").strip()
    return float(given) if given.isascii() and given.isdigit() and len(given) < 7 else None
