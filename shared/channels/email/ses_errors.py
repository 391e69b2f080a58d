"""What Amazon SES means when it does not take a mail.

Source: docs.aws.amazon.com/ses, API Reference v2, "SendEmail: Errors" and "Common Errors"; SES
Developer Guide, "Errors related to the sending quotas".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from shared.channels.posting import retry_after
from shared.channels.wire import text_at
from shared.errors import SendError

_A_DAY_IS_FULL: Final = 3600.0  # seconds until it is worth asking again: the quota rolls


class _Class(NamedTuple):
    code: str
    advice: str = ""
    again: bool = False
    doubtful: bool = False
    wait: float | None = None


_THROTTLED: Final = _Class("throttled", again=True)
_TOKEN: Final = _Class("token", "check access_key_id, secret_access_key, region and ses:SendEmail")
_CLASSES: Final[Mapping[str, _Class]] = {
    "TooManyRequests": _THROTTLED,
    "LimitExceeded": _THROTTLED,
    "Throttling": _THROTTLED,
    "RequestThrottled": _THROTTLED,
    "ServiceUnavailable": _Class("temporary", again=True),
    "InternalFailure": _Class("temporary", "it may have been sent", doubtful=True),
    "InternalServerError": _Class("temporary", "it may have been sent", doubtful=True),
    "MessageRejected": _Class("rejected", "verify the address or domain, or move the account out "
                              "of the sandbox, if it says so"),
    "MailFromDomainNotVerified": _Class("rejected", "verify the MAIL FROM domain in SES"),
    "AccountSuspended": _Class("rejected", "Amazon has suspended sending: write to its support"),
    "SendingPaused": _Class("paused", "sending is paused: resume it in SES", again=True, wait=900),
    "NotFound": _Class("rejected", "check configuration_set: SES has none of that name here"),
    "BadRequest": _Class("rejected"),
    "UnrecognizedClient": _TOKEN,
    "InvalidClientTokenId": _TOKEN,
    "SignatureDoesNotMatch": _TOKEN,
    "InvalidSignature": _TOKEN,
    "IncompleteSignature": _TOKEN,
    "MissingAuthenticationToken": _TOKEN,
    "AccessDenied": _TOKEN,
    "NotAuthorized": _TOKEN,
    "ExpiredToken": _TOKEN,
    "OptInRequired": _TOKEN,
    "RequestExpired": _Class("token", "the clock of this machine is wrong: set it"),
}  # fmt: skip
# The words for a recipient that is none; SES has no code of its own for them.
_ADDRESS: Final = re.compile(
    r"illegal address|invalid (?:to|email|recipient)|local address|missing (?:final|domain)"
    r"|domain (?:contains|ends|starts)|address (?:is|was) not valid|malformed",
    re.IGNORECASE,
)


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    name, words = said(response)
    found = _CLASSES.get(name) or _by_status(response.status_code)
    if found.code == "rejected" and name == "BadRequest" and _ADDRESS.search(words):
        found = _Class("invalid_recipient", "correct the customer's address")
    wait = found.wait
    if "daily" in words.lower() and found is _THROTTLED:
        wait = _A_DAY_IS_FULL
    reason = ": ".join(filter(None, (words or "no reason given", found.advice)))
    return SendError(
        found.code,
        f"{reason} ({name or f'HTTP {response.status_code}'})"[:500],
        again=found.again,
        doubtful=found.doubtful,
        retry_after=(retry_after(response) or wait) if found.again else None,
    )


def said(response: httpx.Response) -> tuple[str, str]:
    """The error's name without its ending `Exception`, and its words."""
    try:
        document: Any = response.json()
    except (ValueError, RecursionError):
        document = None
    name = response.headers.get("x-amzn-errortype", "") or text_at(document, "__type")
    # `MessageRejected:http://…`, or with a namespace before `#`
    name = name.partition(":")[0].rpartition("#")[2].strip().removesuffix("Exception")
    return name, text_at(document, "message") or text_at(document, "Message")


def _by_status(status: int) -> _Class:
    if status == 429:
        return _THROTTLED
    if status == 503:
        return _Class("temporary", again=True)
    if status >= 500 or status < 400:
        return _Class("temporary", "it may have been sent", doubtful=True)
    return _TOKEN if status in (401, 403) else _Class("rejected")
