"""What Telnyx's error codes mean, whether they come at once or with a status.

Sources: developers.telnyx.com, "Messaging Error Code Reference", "API error codes" and
"Idempotency".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.channels.posting import retry_after
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import SendError

_CLASSES: Final[Mapping[str, tuple[int, ...]]] = {
    "throttled": (10011, 40011, 40016, 40018, 40318),
    "token": (10009, 10010, 20001, 20002, 40312, 40314),
    # they answered STOP
    "opted_out": (40300,),
    "invalid_recipient": (10002, 10016, 40001, 40008, 40012, 40310),
    "rejected": (
        10004, 10015, 20100, 40002, 40003, 40009, 40010, 40013, 40015, 40017, 40301, 40302, 40304,
        40305, 40306, 40308, 40309, 40311, 40313, 40315, 40316, 40317, 40319, 40320, 40321, 40322,
    ),
    # the network could not say what became of it
    "undelivered": (40004, 40005, 40006, 40014, 40100),
}  # fmt: skip
_CODES: Final = {str(code): name for name, codes in _CLASSES.items() for code in codes}


def told(payload: Any) -> tuple[str, str]:
    """The code and the reason of a failed message."""
    error = next(iter(list_at(payload, "errors")), None)
    code = text_at(error, "code")
    words = text_at(error, "detail") or text_at(error, "title") or "Telnyx gave no reason"
    name = _CODES.get(code, "")
    return code, f"{name}: {words}" if name else words


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    error = _first(response)
    code, status = text_at(error, "code"), response.status_code
    name = _CODES.get(code) or _by_status(status)
    # The idempotency key makes a repeat harmless, so that a fault of theirs is no doubt.
    again = name in ("throttled", "temporary")
    words = text_at(error, "detail") or text_at(error, "title") or "no reason given"
    pointer = text_at(mapping_at(error, "source"), "pointer")
    reason = f"{words}{f' at {pointer}' if pointer else ''} ({code or f'HTTP {status}'})"
    return SendError(
        name, reason, again=again, retry_after=retry_after(response) if again else None
    )


def _by_status(status: int) -> str:
    if status == 429:
        return "throttled"
    if status in (408, 409, 425) or status >= 500:  # 409: the first of two is still under way
        return "temporary"
    return "token" if status in (401, 403) else "rejected"


def _first(response: httpx.Response) -> Any:
    try:
        return next(iter(list_at(json.loads(response.content), "errors")), None)
    except (ValueError, RecursionError):
        return None
