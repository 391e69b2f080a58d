"""Whether an account of X can be spoken for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.wire import mapping_at, text_at
from shared.channels.x.calls import address, answer_of, failure
from shared.channels.x.oauth import authorization
from shared.errors import SendError

_BOUND: Final = 15.0


class XHealth:
    """Asks who the token belongs to (`GET /2/users/me`)."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        try:
            return [_told(await _me(account, http), account)]
        except SendError as error:
            return [Finding("token", False, error.reason)]
        except (httpx.HTTPError, TimeoutError) as error:
            advice = f"X does not answer ({type(error).__name__}): try again later"
            return [Finding("reachable", False, advice, "reach")]


async def _me(account: Account, http: httpx.AsyncClient) -> str:
    url = address(account, "/2/users/me")
    async with asyncio.timeout(_BOUND):
        response = await http.get(url, headers=authorization(account, "GET", url))
    if not response.is_success:
        raise failure(response)
    return text_at(mapping_at(answer_of(response), "data"), "id")


def _told(id: str, account: Account) -> Finding:
    ours = account.settings.get("user_id")
    advice = f"the token speaks for user {id}, not for {ours}: authorise the app as the other user"
    return Finding("token", id == ours, "" if id == ours else advice)
