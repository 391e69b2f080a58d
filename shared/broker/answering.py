"""The bound on every call to a log, and the one error its callers know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import BrokerUnavailable


@asynccontextmanager
async def answering(
    what: str, seconds: float, errors: tuple[type[BaseException], ...]
) -> AsyncIterator[None]:
    """Raises BrokerUnavailable, saying `what`, for any of `errors` or after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise BrokerUnavailable(f"{what}: no answer within {seconds:g} s") from error
    except errors as error:
        raise BrokerUnavailable(f"{what}: {str(error) or type(error).__name__}") from error
