"""What Vonage's error codes mean, whether they come at once or with a status.

Sources: developer.vonage.com/api-errors/messages and, for the receipts of the SMS API,
…/messaging/sms/guides/delivery-receipts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.channels.posting import retry_after
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import SendError

_CLASSES: Final[Mapping[str, tuple[int, ...]]] = {
    "window_closed": (1340,),
    "throttled": (1000,),
    "token": (1060, 1080),
    "opted_out": (1050, 1140),
    "invalid_recipient": (1040, 1170, 1190, 1200, 1220, 1260, 1270, 1310, 1320, 1330),
    "rejected": (
        1010, 1020, 1021, 1022, 1070, 1090, 1120, 1130, 1150, 1160, 1210, 1230, 1240, 1241, 1250,
        1280, 1290, 1300, 1350, 1360, 1370, 1380, 1390, 1400, 1410, 1420, 1430, 1440, 1450, 1460,
    ),
    # the platform or the network could not say what became of it
    "undelivered": (1030, 1100, 1180),
}  # fmt: skip
_CODES: Final = {str(code): name for name, codes in _CLASSES.items() for code in codes}
_RECEIPTS: Final[Mapping[str, tuple[str, str]]] = {
    "1": ("undelivered", "the network gave no reason"),
    "2": ("undelivered", "out of reach for now"),
    "3": ("invalid_recipient", "the number is out of reach for good"),
    "4": ("opted_out", "they, or their network, refuse our messages"),
    "5": ("invalid_recipient", "the number has moved to another network"),
    "6": ("rejected", "the network took it for spam"),
    "7": ("undelivered", "the telephone had no room"),
    "8": ("undelivered", "the network had a fault"),
    "9": ("rejected", "the network does not take this kind of message"),
    "10": ("rejected", "the network did not accept it"),
    "11": ("rejected", "no network is allowed to take it"),
    "12": ("invalid_recipient", "there is no way to this number"),
    "13": ("invalid_recipient", "the number is not allowed"),
    "14": ("invalid_recipient", "they may not be written to: an age or a service bars it"),
    "15": ("rejected", "the network found the number barred"),
    "39": ("rejected", "the sender is not allowed to write there"),
    "50": ("rejected", "an entity filter of the network stopped it"),
    "51": ("rejected", "a header filter of the network stopped it"),
    "52": ("rejected", "a content filter of the network stopped it"),
    "53": ("rejected", "a consent filter of the network stopped it"),
    "54": ("rejected", "regulations stop it"),
    "99": ("undelivered", "the network gave no reason"),
}
_FRAGMENT: Final = re.compile(r"#([A-Za-z0-9_-]{1,40})$")


def told(item: Any) -> tuple[str, str]:
    """The code and the reason in a status of the Messages API."""
    error = mapping_at(item, "error")
    code = _code(error) or text_at(error, "code")
    words = text_at(error, "detail") or text_at(error, "reason") or "Vonage gave no reason"
    return code, _said(_CODES.get(code, ""), words)


def told_by_receipt(item: Any) -> tuple[str, str]:
    """The code and the reason in a delivery receipt of the SMS API."""
    code = text_at(item, "err-code")
    name, words = _RECEIPTS.get(code, ("", "Vonage gave no reason"))
    return code, _said(name, words)


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    error = _body(response)
    code = _code(error)
    name = _CODES.get(code, "")
    if response.status_code >= 500 and name not in ("throttled", "token"):
        reason = f"HTTP {response.status_code} without a word on whether the message was sent"
        return SendError("temporary", reason, doubtful=True)
    name = name or _by_status(response.status_code)
    words = text_at(error, "detail") or text_at(error, "title") or "no reason given"
    wrong = [text_at(each, "name") for each in list_at(error, "invalid_parameters")]
    fields = f": {', '.join(filter(None, wrong))}" if any(wrong) else ""
    again = name == "throttled"
    return SendError(
        name,
        f"{words}{fields} ({code or f'HTTP {response.status_code}'})",
        again=again,
        retry_after=retry_after(response) if again else None,
    )


def _by_status(status: int) -> str:
    if status == 429:
        return "throttled"
    return "token" if status in (401, 403) else "rejected"


def _code(error: Mapping[str, Any]) -> str:
    # The number stands at the end of the type's address; `title` repeats it in a status.
    found = _FRAGMENT.search(text_at(dict(error), "type"))
    title = text_at(dict(error), "title")
    return found[1] if found else (title if title.isdigit() else "")


def _said(name: str, words: str) -> str:
    return f"{name}: {words}" if name else words


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
