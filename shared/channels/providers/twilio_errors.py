"""What Twilio's error codes of messages mean, whether they come at once or with a status.

Source: twilio.com/docs/api/errors, the pages of the codes named here.
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
    # 24 hours have passed since the customer's last WhatsApp message
    "window_closed": (63016,),
    "throttled": (14107, 20429, 21611, 30001, 30022, 63017, 63018),
    # wrong or withdrawn credentials, or an account that is suspended or closed
    "token": (20003, 20005, 20006, 20008, 30002),
    # they told us, or Twilio, to stop
    "opted_out": (21610, 63014, 63050),
    # no such number, a landline, switched off, not on WhatsApp, or not reachable from ours
    "invalid_recipient": (
        21211, 21214, 21217, 21265, 21401, 21408, 21421, 21612, 21614, 21635,
        30003, 30005, 30006, 63003, 63015, 63024,
    ),
    # too long, too large, filtered, unregistered, unpaid, or a template that is none
    "rejected": (
        21602, 21603, 21604, 21605, 21606, 21607, 21609, 21617, 21620, 21623, 21655, 21656,
        21659, 21660, 21703, 21705, 30004, 30007, 30019, 30023, 30032, 30034, 30038, 30044,
        63005, 63007, 63013, 63019, 63020, 63021, 63022, 63027, 63028, 63032, 63033, 63040,
        63041, 63042, 63049, 63051,
    ),
    # the carrier or the channel could not say what became of it
    "undelivered": (30008, 30009, 30010, 30017, 63001, 63002, 63009, 63010, 63012),
}  # fmt: skip
_CODES: Final = {str(code): name for name, codes in _CLASSES.items() for code in codes}
# A status callback carries the number only.
_WORDS: Final[Mapping[str, str]] = {
    "21610": "they answered STOP: Twilio sends them nothing until they answer START",
    "30001": "too many messages waited to be sent",
    "30002": "the Twilio account is suspended",
    "30003": "the telephone is switched off or out of reach",
    "30004": "the telephone or its network blocks our messages",
    "30005": "the number does not exist",
    "30006": "it is a landline, or a network that takes no messages",
    "30007": "the network took it for spam",
    "30008": "the network gave no reason",
    "30009": "a part of it was lost on the way",
    "30010": "it costs more than the limit that was set",
    "30017": "the network is overloaded",
    "30019": "the network found its content too large",
    "30022": "too many messages for the registered campaign",
    "30034": "the sending number is not registered for business messages in the United States",
    "63003": "the number is not on WhatsApp",
    "63005": "WhatsApp did not take the content",
    "63013": "WhatsApp found it against its policy",
    "63014": "they have blocked us",
    "63015": "the sandbox reaches only those who joined it",
    "63016": "more than 24 hours since the customer's last message: use a template",
    "63018": "too many messages at once",
    "63024": "they cannot be reached on WhatsApp",
    "63032": "WhatsApp limits what this person is sent",
    "63049": "WhatsApp chose not to deliver a marketing message",
    "63050": "they stopped our marketing messages",
}


def class_of(code: str) -> str:
    """`window_closed`, `throttled` …; empty for a code that is not known here."""
    return _CODES.get(code, "")


def told(code: str, words: str = "") -> str:
    """The reason of a failed message: its class and what it means, as far as either is known."""
    name, meaning = class_of(code), words.strip() or _WORDS.get(code, "")
    said = ": ".join(part for part in (name, meaning) if part) or "Twilio gave no reason"
    return f"{said} ({code})" if code else said


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    error = _body(response)
    code, words = text_at(error, "code"), text_at(error, "message")
    name = class_of(code)
    if not name and response.status_code >= 500:
        reason = f"HTTP {response.status_code} without a word on whether the message was sent"
        return SendError("temporary", reason, doubtful=True)
    name = name or _by_status(response.status_code)
    again = name == "throttled"
    reason = f"{words or 'no reason given'} ({code or f'HTTP {response.status_code}'})"
    return SendError(
        name, reason, again=again, retry_after=retry_after(response) if again else None
    )


def refused(code: str, words: str) -> SendError:
    """The SendError for a message that was taken and failed in the same answer."""
    name = class_of(code) or "rejected"
    return SendError(name, told(code, words), again=name == "throttled")


def _by_status(status: int) -> str:
    if status == 429:
        return "throttled"
    return "token" if status in (401, 403) else "rejected"


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
