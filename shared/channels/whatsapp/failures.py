"""Why Meta did not take a message, and whether the same message may be sent again.

Source: Meta, "Cloud API error codes" and "Handle errors" (Graph API v23.0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.channels.whatsapp.content import explanation
from shared.channels.wire import mapping_at, text_at
from shared.errors import SendError

_CLASSES: Final[Mapping[str, tuple[int, ...]]] = {
    # 24 hours have passed since the customer's last message
    "window_closed": (131047,),
    "throttled": (4, 80007, 130429, 131048, 131056, 131064, 133016),
    # expired, withdrawn, or without the permission to send for this number
    "token": (0, 3, 10, 190, 131005, *range(200, 300)),
    # a policy, a restriction or a bill: the account's, or the customer's wish; some come as 403
    "rejected": (368, 130472, 130497, 131031, 131042, 131049, 131050),
    # not on WhatsApp, ourselves, not on a test number's list, or only reachable by number
    "invalid_recipient": (131021, 131026, 131030, 131062),
    "temporary": (1, 2, 131000, 131016, 131057),
}
_CODES: Final = {code: name for name, codes in _CLASSES.items() for code in codes}
_AGAIN: Final = frozenset({"throttled", "temporary"})
# One message in six seconds to the same person; other limits are lifted within a minute or so.
_PAUSES: Final = {131056: 6.0}


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    error = _error_in(response)
    code = error.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        return _named(code, error, response)
    if response.status_code >= 500:
        return _doubtful(response)
    return _send_error(_by_status(response.status_code), f"HTTP {response.status_code}", response)


def _named(code: int, error: Mapping[str, Any], response: httpx.Response) -> SendError:
    name = _CODES.get(code)
    if name is None and response.status_code >= 500:
        return _doubtful(response)
    if name is None:
        name = _by_status(response.status_code)
    reason = f"{explanation(error) or 'no reason given'} ({code})"
    return _send_error(name, reason, response, _PAUSES.get(code))


def _send_error(
    name: str, reason: str, response: httpx.Response, pause: float | None = None
) -> SendError:
    again = name in _AGAIN
    wait = _retry_after(response) or pause if again else None
    return SendError(name, reason, again=again, retry_after=wait)


def _doubtful(response: httpx.Response) -> SendError:
    # A gateway may give up on a message that went through behind it.
    reason = f"HTTP {response.status_code} without a word on whether the message was sent"
    return SendError("temporary", reason, doubtful=True)


def _by_status(status: int) -> str:
    if status == 429:
        return "throttled"
    return "token" if status in (401, 403) else "rejected"


def _error_in(response: httpx.Response) -> Mapping[str, Any]:
    try:
        return mapping_at(json.loads(response.content), "error")
    except (ValueError, RecursionError):
        return {}


def _retry_after(response: httpx.Response) -> float | None:
    # Seconds only: Meta does not use the date form.
    given = text_at(dict(response.headers), "retry-after")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 7 else None
