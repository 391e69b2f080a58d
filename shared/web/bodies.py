"""Reading a request's body within bounds: of size, while it streams, and of time."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request

from shared.errors import Refused, TooLarge

BODY_SECONDS: Final = 60.0


async def read_body(request: Request, limit: int) -> bytes:
    """The body's bytes. Raises TooLarge as soon as more than `limit` bytes are announced or
    seen, and Refused when it does not come within a minute."""
    if _announced(request) > limit:
        raise too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(request, limit)
    except TimeoutError as error:
        raise Refused(
            f"the body did not arrive within {BODY_SECONDS:.0f} s: send it again",
            name="body-too-slow",
            headers={"Connection": "close"},
        ) from error


async def _collect(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def too_large(limit: int) -> TooLarge:
    """The rest of the body is not worth reading, so the connection ends with the answer."""
    return TooLarge(
        f"the body may have at most {limit} bytes here: send less, or in parts",
        headers={"Connection": "close"},
        limit=limit,
    )
