"""What Postmark's error codes mean.

Source: postmarkapp.com/developer, "API overview: API error codes" (2026).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.channels.posting import retry_after
from shared.channels.wire import text_at
from shared.errors import SendError

_CLASSES: Final[Mapping[str, tuple[int, ...]]] = {
    "token": (10,),
    # maintenance: nothing was taken
    "temporary": (100,),
    "throttled": (429,),
    # the sender signature is missing or not confirmed, the account is not approved, the stream is
    # unknown, archived, or an inbound one
    "misconfigured": (400, 401, 412, 413, 1221, 1224, 1235),
    # it bounced, complained or asked for no more: Postmark sends there nothing
    "invalid_recipient": (406,),
    # malformed, or no credits
    "rejected": (300, 402, 403, 405, 409, 410, 411),
}
_CODES: Final = {code: name for name, codes in _CLASSES.items() for code in codes}
_ADVICE: Final[Mapping[str, str]] = {
    "misconfigured": ": put it right at Postmark, or in the channels file",
    "invalid_recipient": ": ask for another address, or reactivate it at Postmark",
    "token": ": put the server's API token into server_token",
}


def failure(response: httpx.Response) -> SendError | None:
    """The SendError of an answer; None where Postmark took the mail."""
    told, status = _told(response), response.status_code
    code = told.get("ErrorCode")
    if response.is_success and code in (0, None):
        return None
    words = text_at(told, "Message") or "no reason given"
    name = _name(code, status, words)
    reason = f"{words[:500]} ({code or f'HTTP {status}'}){_ADVICE.get(name, '')}"
    if name == "doubtful":
        # A gateway may give up on a mail that went through behind it.
        return SendError("temporary", f"{reason}: it may have been sent", doubtful=True)
    again = name in ("throttled", "temporary")
    return SendError(
        name, reason, again=again, retry_after=retry_after(response) if again else None
    )


def _name(code: Any, status: int, words: str) -> str:
    if code == 300 and "'To'" in words:
        return "invalid_recipient"
    if isinstance(code, int) and (name := _CODES.get(code)):
        return name
    if status == 429:
        return "throttled"
    if status == 503:
        return "temporary"
    if status >= 500 or status == 408:
        return "doubtful"
    return "token" if status in (401, 403) else "rejected"


def _told(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
