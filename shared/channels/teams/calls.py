"""Calls to Microsoft: the token, kept while it is good, and what an answer lets us do.

Source: learn.microsoft.com, "Authenticate requests from your bot", "Optimize your bot: handle
HTTP throttling" (editions of October 2024).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels.posting import bearer, retry_after
from shared.channels.wire import mapping_at, text_at
from shared.errors import SendError

_LOGIN: Final = "https://login.microsoftonline.com"
_SCOPE: Final = "https://api.botframework.com/.default"
_ANYBODY: Final = (
    "botframework.com"  # of a bot for many tenants; new ones have a tenant of their own
)
_EARLY: Final = 300.0  # seconds before its end a token is fetched anew
_BOUND: Final = 15.0
_UNINSTALLED: Final = ("BotNotInConversationRoster", "ConversationNotFound", "ForbiddenOperation")


@dataclass
class Tokens:
    """One for each account, by its name. Two calls at once may both fetch one: either will do."""

    _kept: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def header(self, account: Account, http: httpx.AsyncClient) -> dict[bytes, bytes]:
        """The header of a call for this account. Raises SendError."""
        token, until = self._kept.get(account.name, ("", 0.0))
        if time.monotonic() >= until:
            token, lasts = await _fetch(account, http)
            self._kept[account.name] = token, time.monotonic() + lasts - _EARLY
        return bearer(token)

    def forget(self, account: Account) -> None:
        """Microsoft did not take it: the next call fetches another."""
        self._kept.pop(account.name, None)


async def _fetch(account: Account, http: httpx.AsyncClient) -> tuple[str, float]:
    """A token and how many seconds it is good for. Nothing was sent yet: a silence is no doubt."""
    secrets = account.secrets("app_password")
    if not secrets:
        raise SendError(
            "token",
            f"account {account.name} has no app_password: give it a client secret of the app "
            "registration",
        )
    base = str(account.settings.get("api_base", "") or _LOGIN).rstrip("/")
    tenant = account.settings.get("tenant_id") or _ANYBODY
    form = {
        "grant_type": "client_credentials",
        "client_id": str(account.settings.get("app_id", "")),
        "client_secret": str(secrets[0]),
        "scope": _SCOPE,
    }
    try:
        async with asyncio.timeout(_BOUND):
            response = await http.post(f"{base}/{tenant}/oauth2/v2.0/token", data=form)
    except (httpx.HTTPError, TimeoutError) as error:
        reason = f"{type(error).__name__}: no token from Microsoft"
        raise SendError("connection", reason, again=True) from error
    return _token_in(response)


def _token_in(response: httpx.Response) -> tuple[str, float]:
    body = answer_of(response)
    if response.is_success and (token := text_at(body, "access_token")):
        lasts = text_at(body, "expires_in")
        return token, float(lasts) if lasts.isascii() and lasts.isdigit() else 3600.0
    if response.status_code == 429 or response.status_code >= 500:
        raise SendError(
            "temporary", f"Microsoft's login says HTTP {response.status_code}", again=True,
            retry_after=retry_after(response),
        )  # fmt: skip
    words = text_at(body, "error_description") or text_at(body, "error") or "no reason given"
    raise SendError("token", f"Microsoft gives no token for this app: {words[:300]}")


def answer_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return {}


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    status = response.status_code
    error = mapping_at(answer_of(response), "error")
    code, words = text_at(error, "code"), text_at(error, "message") or "no reason given"
    said = f"{words[:300]} ({code or f'HTTP {status}'})"
    if status == 429:
        return SendError("throttled", said, again=True, retry_after=retry_after(response))
    if status == 412:  # Microsoft asks for a repeat: the message was not taken
        return SendError("temporary", said, again=True)
    if status == 401:
        return SendError("token", said)
    if status == 404 or code.startswith(_UNINSTALLED):
        return SendError("not_permitted", f"they took the bot out of their Teams: {said}")
    if status == 403:
        return SendError("not_permitted", said)
    if status >= 500:
        return SendError("temporary", said, doubtful=True)
    return SendError("rejected", said)
