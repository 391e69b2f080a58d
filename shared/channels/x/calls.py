"""What X's API answers, told apart by what may be done about it.

Source: docs.x.com, "Response codes and errors", "Rate limits" (read August 2026).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels.posting import retry_after
from shared.channels.wire import list_at, text_at
from shared.errors import SendError

_API: Final = "https://api.x.com"


def address(account: Account, path: str) -> str:
    base = str(account.settings.get("api_base", "") or _API).rstrip("/")
    return f"{base}{path}"


def answer_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return {}


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    status, words = response.status_code, _words(response)
    if status == 429:
        reason = f"X takes 15 messages in 15 minutes of one account: {words}"
        return SendError("throttled", reason, again=True, retry_after=_pause(response))
    if status == 401:
        return SendError("token", f"X does not take the account's access_token: {words}")
    if status == 403:
        reason = f"this person takes no direct messages from us, or the app may send none: {words}"
        return SendError("not_permitted", reason)
    if status == 404:
        return SendError("invalid_recipient", f"there is no such person at X any more: {words}")
    if status >= 500:
        return SendError(
            "temporary", f"HTTP {status} without a word on whether it was sent", doubtful=True
        )
    return SendError("rejected", f"{words} (HTTP {status})")


def _words(response: httpx.Response) -> str:
    body = answer_of(response)
    first = next(iter(list_at(body, "errors")), None)
    return (
        text_at(body, "detail") or text_at(first, "message") or text_at(body, "title")
        or "X gave no reason"
    )[:300]  # fmt: skip


def _pause(response: httpx.Response) -> float | None:
    """Seconds until the window ends: X names its end, measured here against its own clock."""
    if (asked := retry_after(response)) is not None:
        return asked
    try:
        ends = float(response.headers["x-rate-limit-reset"])
        now = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return min(max(ends - now, 1.0), 86_400.0)
